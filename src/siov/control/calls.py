"""A call of the platform as data: checked, carried out, or printed as the Python that does the same."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from siov.control.api import PARTS
from siov.errors import SiovError

TEXT = "latin-1"  # how bytes travel in JSON: a character each


class CallError(SiovError):
    """A call that the platform does not offer, or whose arguments are wrong."""


@dataclass(slots=True, frozen=True)
class Call:
    """A method such as "mdev.create", of the named part where there are several, with its arguments."""

    method: str
    of: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """The Python that does the same, such as `platform.mdev.create("ice-vdcm")`."""
        part, _, name = self.method.rpartition(".")
        where = f"{part}({_text(self.of)})" if self.of is not None else part
        first = next(iter(_signature(self.method).parameters.values()), None)
        # What the method is about needs no name; what it may be about does.
        plainly = first.name if first is not None and type(None) not in get_args(first.annotation) else ""
        words = [
            _text(value) if name == plainly else f"{name}={_text(value)}"
            for name, value in sorted(self.args.items(), key=lambda each: each[0] != plainly)
        ]
        return f"platform.{where}{'.' if where else ''}{name}({', '.join(words)})"

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        args = {name: v.decode(TEXT) if isinstance(v, bytes) else v for name, v in self.args.items()}
        return {"method": self.method, "of": self.of, "args": args}

    @classmethod
    def from_json(cls, data: object) -> Call:
        """From the wire; CallError for what is no call, or none that there is."""
        if not isinstance(data, dict) or not isinstance(data.get("method"), str):
            raise CallError('a call is an object with "method", "of" and "args"')
        method, of, args = data["method"], data.get("of"), data.get("args", {})
        if not isinstance(of, str | None) or not isinstance(args, dict) or not _is_text(of or ""):
            raise CallError(f'{method}: "of" is a name or null, and "args" an object')
        signature = _signature(method)
        named = PARTS[method.rpartition(".")[0]][1]
        if named is (of is None):
            raise CallError(f'{method} {"needs" if named else "takes no"} "of"')
        return cls(method, of, _checked(method, signature, args))

    def run(self, platform: object) -> Any:
        """Carry it out; the result as JSON has it. Errors are those of the method."""
        part, _, name = self.method.rpartition(".")
        target: Any = platform
        if part:
            target = getattr(platform, part, None)
            if target is None:
                raise CallError(f"this server has no {part}")
        if self.of is not None:
            target = target(self.of)
        return plain(getattr(target, name)(**self.args))


def plain(value: object) -> Any:
    """A value as JSON has it: dataclasses are objects, members of enumerations their names, bytes text."""
    if isinstance(value, Enum):
        return value.name.lower()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(TEXT)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def methods() -> list[str]:
    """The names of all calls that there are."""
    return [
        f"{part}.{name}" if part else name
        for part, (protocol, _) in PARTS.items()
        for name in vars(protocol)
        if not name.startswith("_")
    ]


def _signature(method: str) -> inspect.Signature:
    part, _, name = method.rpartition(".")
    if method not in methods():
        raise CallError(f"there is no call {method!r}; there are {', '.join(methods())}")
    function = vars(PARTS[part][0])[name]
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    found = [
        parameter.replace(annotation=hints[key])
        for key, parameter in signature.parameters.items()
        if key != "self"
    ]
    return signature.replace(parameters=found)


def _checked(method: str, signature: inspect.Signature, args: dict[str, Any]) -> dict[str, Any]:
    try:
        signature.bind(**args)
    except TypeError as why:
        takes = ", ".join(str(each) for each in signature.parameters.values()) or "nothing"
        raise CallError(f"{method}: {why}; it takes {takes}") from None
    kinds = signature.parameters
    return {name: _converted(method, name, value, kinds[name].annotation) for name, value in args.items()}


def _converted(method: str, name: str, value: object, wanted: Any) -> object:
    union = get_origin(wanted) in (Union, types.UnionType)
    kinds = get_args(wanted) if union else (wanted,)
    if bytes in kinds and isinstance(value, str):
        try:
            return value.encode(TEXT)
        except UnicodeEncodeError:
            raise CallError(f"{method}: {name} has characters that are no bytes") from None
    if not any(_is(value, kind) for kind in kinds):
        names = " or ".join(_kind_name(kind) for kind in kinds)
        raise CallError(f"{method}: {name} is {value!r:.80}, which is no {names}")
    texts = value if isinstance(value, list) else [value]
    if not all(_is_text(text) for text in texts if isinstance(text, str)):
        raise CallError(f"{method}: {name} is {value!r:.80}, which is not all characters")
    return value


def _is(value: object, kind: Any) -> bool:
    """Whether a value is of a kind: exactly of a class, or a list of what is."""
    if get_origin(kind) is list:
        (element,) = get_args(kind)
        return isinstance(value, list) and all(_is(each, element) for each in value)
    return type(value) is kind


def _kind_name(kind: Any) -> str:
    if kind is type(None):
        return "null"
    return str(kind) if get_origin(kind) is list else str(kind.__name__)


def _is_text(value: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON can carry and no encoding takes."""
    return not any(0xD800 <= ord(character) < 0xE000 for character in value)


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str) and value.isprintable():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
