"""How values are written: flags with their sign, sizes with their unit."""

from collections.abc import Iterable

from siov.spec.word import Field, Word


def sign(value: int) -> str:
    """`+` for a value that is not zero, else `-`."""
    return "+" if value else "-"


def signs(names: Iterable[str], vector: int) -> list[str]:
    """Each name with the sign of its bit, bit 0 first."""
    return [f"{name}{sign(vector >> n & 1)}" for n, name in enumerate(names)]


class Flags:
    """Writes fields of a word as `I/O+ Mem-`.

    The plan is a text of `FIELD:label` by spaces; `FIELD` alone is its own label. A field that the word has
    not raises AttributeError when the plan is made.
    """

    def __init__(self, word: type[Word], plan: str) -> None:
        self._fields: list[tuple[Field, str]] = []
        for entry in plan.split():
            name, _, label = entry.partition(":")
            self._fields.append((getattr(word, name), label or name))

    def __call__(self, word: Word) -> str:
        """The fields' labels and signs, by spaces."""
        return " ".join(f"{label}{sign(word.raw & field.mask)}" for field, label in self._fields)


def with_size(size: int) -> str:
    """` [size=64K]`; nothing for a size of 0."""
    if not size:
        return ""
    units = ["", "K", "M", "G", "T"]
    while len(units) > 1 and size % 1024 == 0:
        size //= 1024
        units.pop(0)
    return f" [size={size & 0xFFFF_FFFF}{units[0]}]"


def choose(names: str, value: int, otherwise: str) -> str:
    """The value's name out of names by `|`; an empty or missing one is `otherwise`."""
    listed = names.split("|")
    return listed[value] if value < len(listed) and listed[value] else otherwise
