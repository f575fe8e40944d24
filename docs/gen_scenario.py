"""The keys of a scenario: limits out of the models in siov.scenario, meanings out of scenario_keys.toml."""

import inspect
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from gen_registers import table
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from siov import scenario

MEANINGS = Path(__file__).with_name("scenario_keys.toml")


def scenario_keys() -> str:
    """Every table of a scenario with its keys, as Markdown."""
    meanings = tomllib.loads(MEANINGS.read_text())
    units = ", ".join(unit for unit in scenario.UNITS if unit)
    lines = [
        f'A *size* is a number of bytes, or text with a unit ({units}; powers of 1,024), such as `"64K"`. '
        'A *time* is a number of seconds, or text with a unit (us, ms, s, m, h), such as `"500ms"`. '
        f"A *name* matches `{_pattern(_plain(scenario.RootPortSpec.model_fields['name'])[1])}`.",
        "",
    ]
    for model, where in scenario_models():
        doc = (inspect.getdoc(model) or "").replace("\n", " ")
        lines += [f"## {where} {{ #{model.__name__.lower()} }}", "", doc, ""]
        rows = [
            (f"`{key}`", meanings[model.__name__][key], allowed(info), default(info))
            for key, info in model.model_fields.items()
        ]
        lines += [*table(("Key", "Meaning", "Value", "Default"), rows), ""]
    return "\n".join(lines)


def scenario_models() -> Iterator[tuple[type[BaseModel], str]]:
    """Each model once, with how its table is written in TOML, from the outside in."""
    yield scenario.Scenario, "The file itself"
    seen: set[type[BaseModel]] = set()
    for key, outer, many in _tables(scenario.Scenario):
        yield outer, f"`[[{key}]]`" if many else f"`[{key}]`"
        yield from _inside(key, outer, seen)


def _inside(
    key: str, outer: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[tuple[type[BaseModel], str]]:
    """The models that the keys of a model hold, and those inside of these, each once."""
    for inner_key, inner, row in _tables(outer):
        if inner not in seen:
            seen.add(inner)
            yield inner, f"`{inner_key} = {'[{ … }, …]' if row else '{ … }'}` in `{key}`"
            yield from _inside(inner_key, inner, seen)


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel], bool]]:
    """The keys of a model that hold tables: key, model inside, whether there may be many."""
    for key, info in model.model_fields.items():
        for inner in models(info.annotation):
            yield key, inner, get_origin(info.annotation) is tuple


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def choices(annotation: Any) -> Iterator[str]:
    """The words that a type lets one choose from."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
        return
    for inner in get_args(annotation):
        yield from choices(inner)


def allowed(info: FieldInfo) -> str:
    """What may stand behind a key."""
    inner = next(models(info.annotation), None)
    words = ", ".join(f'`"{word}"`' for word in choices(info.annotation))
    if inner is not None:
        anchor = f"#{inner.__name__.lower()}"
        kind = "list of tables" if get_origin(info.annotation) is tuple else "table"
        return f"[{kind}]({anchor})" + (f", or {words}" if words else "")
    if words:
        return words
    annotation, limits = _plain(info)
    if scenario.parse_place in limits:
        return '`"dev.fn"` as in lspci'
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f'`"{member.value}"`' for member in annotation)
    if annotation is bool:
        return "true, false"
    if scenario.parse_duration in limits:
        low, high = _bounds(limits)
        return f"time, {low} to {high} s"
    if annotation is str:
        return "name" if _pattern(limits) else "text"
    return _span(limits)


def default(info: FieldInfo) -> str:
    """What holds when a key is left out."""
    value = info.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return f'`"{value.value}"`'
    if isinstance(value, tuple):
        return f'`"{value[0]:02x}.{value[1]}"`'
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{_number(value, _plain(info)[1])}`"


def _plain(info: FieldInfo) -> tuple[Any, list[Any]]:
    """A key's type without `| None`, and all that limits it; a validator is named by its function."""
    annotation, found = info.annotation, list(info.metadata)
    while inner := [arg for arg in get_args(annotation) if arg is not NoneType]:
        annotation, *more = inner
        found += more
    limits: list[Any] = []
    for limit in found:
        limits += limit.metadata if isinstance(limit, FieldInfo) else [limit]
    return annotation, [getattr(limit, "func", limit) for limit in limits]


def _bounds(limits: list[Any]) -> tuple[int | None, int | None]:
    """The least and the greatest value."""
    low = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    high = next((limit.le for limit in limits if hasattr(limit, "le")), None)
    below = next((limit.lt for limit in limits if hasattr(limit, "lt")), None)
    return low, high if below is None else below - 1


def _pattern(limits: list[Any]) -> str | None:
    return next((p.strip("^$") for limit in limits if (p := getattr(limit, "pattern", None))), None)


def _span(limits: list[Any]) -> str:
    low, high = _bounds(limits)
    kind = "size" if scenario.parse_size in limits else "number"
    if low is None or high is None:
        return kind
    return f"{kind}, {_number(low, limits)} to {_number(high, limits)}"


def _number(value: int, limits: list[Any]) -> str:
    """A size with its unit; a number of two or more whole hexadecimal digits so; else decimal."""
    if scenario.parse_size in limits:
        unit, size = next(
            (u, n) for u, n in reversed(scenario.UNITS.items()) if value % n == 0 and (value or n == 1)
        )
        return f"{value // size}{unit}"
    low, high = _bounds(limits)
    digits = high is not None and high >= 0xFF and high & (high + 1) == 0 and high.bit_length() % 4 == 0
    return f"{value:#x}" if value and digits and low == 0 else f"{value:,}"
