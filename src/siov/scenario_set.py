"""Keys of a scenario set from outside: `iommu.iotlb.sets=8`, `nic0.nic.atc=off`, `traffic.0.rate=1000`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from siov.errors import ScenarioError
from siov.scenario import Scenario
from siov.scenario_model import Model, Part


def apply(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A scenario that is not checked yet, changed by settings PATH=VALUE, one after the other.

    Steps of a path are keys, and in a list a position from 0 on or the name of a part; the path may begin
    with such a name. A value is one of TOML, or bare text. `ScenarioError` for a path that leads nowhere.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        try:
            if not equals or not path.strip():
                raise ScenarioError("write KEY=VALUE, such as iommu.iotlb.sets=8")
            data = _table(data, Scenario, _from_the_top(data, path.strip()), text.strip())
        except ScenarioError as why:
            raise ScenarioError(f"--set {setting}: {why}") from None
    return data


def _from_the_top(data: dict[str, Any], path: str) -> str:
    """A path that begins with the name of a part, with the key of the list that the part is in."""
    first = path.partition(".")[0]
    if first in Scenario.model_fields:
        return path
    for key, name in _parts(data):
        if _after(path, name) is not None:
            return f"{key}.{path}"
    parts = ", ".join(name for _, name in _parts(data)) or "none"
    keys = ", ".join(Scenario.model_fields)
    raise ScenarioError(f"there is no {first}: keys are {keys}; parts are {parts}")


def _parts(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The key of its list and the name of each part."""
    for key, info in Scenario.model_fields.items():
        model, rows = _model(info.annotation), data.get(key)
        if model is not None and issubclass(model, Part) and isinstance(rows, list):
            yield from ((key, name) for row in rows if (name := _name(row)) is not None)


def _name(row: object) -> str | None:
    name = row.get("name") if isinstance(row, dict) else None
    return name if isinstance(name, str) else None


def _after(path: str, step: str) -> str | None:
    """What follows a step that a path begins with; None when it does not."""
    return path[len(step) + 1 :] if f"{path}.".startswith(f"{step}.") else None


def _put(node: object, kind: Any, path: str, text: str, above: str) -> object:
    """What stands in a node's place when the rest of a path is set to a text."""
    if not path:
        return _value(text, kind)
    if _is_list(kind):
        return _list(node if isinstance(node, list) else [], kind, path, text, above)
    model = _model(kind)
    if model is None:
        raise ScenarioError(f"{above} is no table, so nothing is below it")
    # A word in a table's place, such as "off", gives way; so does a table that is not there yet.
    return _table(node if isinstance(node, dict) else {}, model, path, text)


def _table(node: dict[str, Any], model: type[Model], path: str, text: str) -> dict[str, Any]:
    key, _, rest = path.partition(".")
    info = model.model_fields.get(key)
    if info is None:
        raise ScenarioError(f"{key} is no known key; there are {', '.join(model.model_fields)}")
    return {**node, key: _put(node.get(key), _kind(info), rest, text, key)}


def _list(node: list[Any], kind: Any, path: str, text: str, above: str) -> list[Any]:
    row = get_args(get_args(kind)[0] if get_origin(kind) is Annotated else kind)[0]
    names = [_name(one) or str(n) for n, one in enumerate(node)]
    for n, name in enumerate(names):
        for step in {name, str(n)}:
            if (rest := _after(path, step)) is not None:
                return [*node[:n], _put(node[n], row, rest, text, f"{above}.{step}"), *node[n + 1 :]]
    step = path.partition(".")[0]
    raise ScenarioError(f"there is no {above}.{step}; there are {', '.join(names) or 'none'}")


def _kind(info: FieldInfo) -> Any:
    """A key's type with its limits."""
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _is_list(kind: Any) -> bool:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(plain) is tuple and get_args(plain)[1:] == (Ellipsis,)


def _model(kind: Any) -> type[Model] | None:
    """The model inside a type."""
    if isinstance(kind, type) and issubclass(kind, Model):
        return kind
    return next((model for inner in get_args(kind) if (model := _model(inner)) is not None), None)


def _value(text: str, kind: Any) -> object:
    """A text as TOML has it, or as it stands where that is no TOML or only text fits, as in `at=1.0`."""
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = read.get("value")
    if len(read) != 1 or isinstance(value, str):
        return text if len(read) != 1 else value
    return text if not _fits(value, kind) and _fits(text, kind) else value


def _fits(value: object, kind: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
