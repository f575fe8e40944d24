"""The words that follow a device on ethtool's command line, as arguments of a call."""

from collections.abc import Mapping, Sequence

from siov.errors import SiovError

SWITCHES = {"on": True, "off": False}

# The fields of a rule that are addresses, and stay words; all others are numbers.
ADDRESSES = ("src", "dst", "src-ip", "dst-ip", "src-mac", "dst-mac", "src-ip-mask", "dst-ip-mask")


def pairs(words: Sequence[str], names: Mapping[str, str] | None = None) -> dict[str, int | bool]:
    """`rx 512` or `adaptive-rx on`, by the call's names; `SiovError` for a word that is not understood.

    Without `names` every name is taken, with hyphens as underscores.
    """
    found: dict[str, int | bool] = {}
    for name, value in _two(words):
        if names is not None and name not in names:
            raise SiovError(f"{name!r} can't be set; there is {', '.join(names)}")
        field = names[name] if names is not None else _field(name)
        if field in found:
            raise SiovError(f"{name} is there twice")
        found[field] = SWITCHES[value] if value in SWITCHES and names is None else _number(name, value)
    return found


def flow_rule(words: Sequence[str]) -> tuple[str, dict[str, int | str]]:
    """The method and the arguments of `ethtool -N DEV ...`: insert_rule, or delete_rule with a location.

    A mask is the word after `m`: `dst-port 80 m 0xff00` gives dst_port and dst_port_mask.
    """
    if words[0] == "delete":
        if len(words) != 2:
            raise SiovError("delete takes one rule's location; list them with -n")
        return "delete_rule", {"location": _number("delete", words[1])}
    if words[0] != "flow-type" or len(words) < 2:
        raise SiovError(f"a rule begins with flow-type, or with delete, not {words[0]!r}")
    found: dict[str, int | str] = {"flow_type": words[1]}
    last = ""
    for name, value in _two(words[2:]):
        if name == "m" and not last:
            raise SiovError(f"the mask {value} follows no field")
        name = f"{last}-mask" if name == "m" else name
        if _field(name) in found:
            raise SiovError(f"{name} is there twice")
        is_address = name in ADDRESSES or (found["flow_type"] == "ether" and name.startswith(("src", "dst")))
        found[_field(name)] = value if is_address else _number(name, value)
        last = "" if name.endswith("-mask") else name
    return "insert_rule", found


def _two(words: Sequence[str]) -> list[tuple[str, str]]:
    if len(words) % 2:
        raise SiovError(f"{words[-1]} has no value behind it")
    return list(zip(words[::2], words[1::2], strict=True))


def _field(name: str) -> str:
    field = name.replace("-", "_")
    if not field.isidentifier():
        raise SiovError(f"{name!r} is no parameter's name")
    return field


def _number(name: str, value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise SiovError(f"{name} is a number, not {value!r}") from None
