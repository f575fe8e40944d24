"""Offsets and values of registers in the specification's words."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from siov.spec.word import RegisterBlock, Word


@dataclass(slots=True, frozen=True)
class Found:
    """A register, its place in each row that it stands in, and at which of its bytes an access begins."""

    name: str
    word: type[Word]
    place: tuple[int, ...]
    at: int

    def __str__(self) -> str:
        return self.name + "".join(f"[{n}]" for n in self.place) + (f"+{self.at}" if self.at else "")


_STARTS: dict[type[RegisterBlock], tuple[list[int], list[str]]] = {}


def _starts(block: type[RegisterBlock]) -> tuple[list[int], list[str]]:
    """The offsets of a block's spans, which are in order, and their names."""
    if block not in _STARTS:
        _STARTS[block] = [span.at for span in block.spans.values()], list(block.spans)
    return _STARTS[block]


def find(block: type[RegisterBlock], offset: int, prefix: str = "") -> Found | None:
    """The register at an offset; one of a block in a row has the block's name before its own."""
    starts, names = _starts(block)
    n = bisect_right(starts, offset) - 1
    if n < 0:
        return None
    span = block.spans[names[n]]
    index, rest = divmod(offset - span.at, span.stride)
    if index >= span.count or rest >= span.size:
        return None
    name = prefix + names[n]
    place = (index,) if span.count > 1 else ()
    if issubclass(span.what, Word):
        return Found(name, span.what, place, rest)
    inner = find(span.what, rest, f"{name}_")
    return inner and Found(inner.name, inner.word, place + inner.place, inner.at)


def value_of(found: Found, data: bytes) -> tuple[str, dict[str, str]]:
    """A value as text, with the fields that are not zero, and all of its fields."""
    raw = int.from_bytes(data, "little")
    bits = 8 * len(data)
    if found.at or bits != found.word.width:
        return f"{raw:#x}", {}
    word = found.word(raw)
    return f"{raw:#x}" + told(word), word.decode()


def told(word: Word) -> str:
    """The fields of a word that are not zero, with a space before; nothing when it has but one field."""
    if len(word.fields) < 2:
        return ""
    return "".join(f" {field.name}={field.meaning(value)}" for field, value in word if value)
