"""A walk told step by step in the specification's words: which tables, which entries, what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from siov.spec import vtd
from siov.spec.word import Word

PS = 1 << 7  # in an entry of a level above 1: the entry is of a page


@dataclass(slots=True, frozen=True)
class Line:
    """One line of the tree: how deep it stands, its text, and the same for machines."""

    depth: int
    text: str
    data: dict[str, Any]


def entry_word(step: dict[str, Any]) -> Word:
    """A step's raw bytes as the word of the specification that they are."""
    raw, level = step["raw"], step["level"]
    number = int.from_bytes(raw, "little")
    prefix = {"first-stage": "Fs", "second-stage": "Ss"}.get(step["table"])
    if prefix is None:
        word: type[Word] = getattr(vtd, step["table"])
        return word(number)
    if level == 1:
        kind = "Page4K"
    elif level in (2, 3) and number & PS:
        kind = "Page2M" if level == 2 else "Page1G"
    else:
        kind = "TableEntry"
    stage: type[Word] = getattr(vtd, prefix + kind)
    return stage(number)


def set_fields(word: Word) -> str:
    """The fields of a word that are not zero, by their mnemonics."""
    shown = (f"{field.name}={field.meaning(value)}" for field, value in word if value)
    return " ".join(text for text in shown if not text.startswith("IGN")) or "all zero"


def lines(result: dict[str, Any], steps: Sequence[dict[str, Any]]) -> Iterator[Line]:
    """The walk's lines: second-stage steps inside a first stage stand deeper than what they serve."""
    nested = any(step.get("table") == "first-stage" for step in steps)
    for step in steps:
        inner = nested and "second-stage" in str(step.get("table", step.get("cache")))
        depth = 2 if inner else 1
        level = f" level {step['level']}" if step["level"] else ""
        if "cache" in step:
            answer = "hit" if step["hit"] else "miss"
            yield Line(depth, f"{step['cache']}{level}: {answer}", dict(step))
            continue
        word = entry_word(step)
        where = f"{step['table']}{level} [{step['index']}] at {step['at']:#x}"
        raw = int.from_bytes(step["raw"], "little")
        text = f"{where} = {raw:#x}  {type(word).__name__}: {set_fields(word)}"
        yield Line(depth, text, {**step, "raw": step["raw"].hex(), "fields": word.decode()})
    yield Line(0, outcome(result), dict(result))


def outcome(result: dict[str, Any]) -> str:
    """The end of a walk in a sentence: the address, or the fault with its reason."""
    if "fault" in result:
        reason = next(reason for reason in vtd.FaultReason if reason == result["fault"])
        name = reason.name.replace("_", ".")
        silent = "" if result["recorded"] else " (not recorded: FPD)"
        return f"fault {int(reason):#x} {name}: {reason.__doc__}{silent}"
    page = size_text(result["page"])
    return f"host physical address {result['hpa']:#x}, in a page of {page}, rights {result['rights']}"


def size_text(size: int) -> str:
    """The size of a page with its unit."""
    return f"{size >> 30} GiB" if size >> 30 else f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"


def memory_reads(steps: Sequence[dict[str, Any]]) -> int:
    """How many entries a walk read."""
    return sum("table" in step for step in steps)


def as_text(heading: str, result: dict[str, Any], steps: Sequence[dict[str, Any]]) -> str:
    """The walk as an indented tree, with the count of memory reads at the end."""
    told = [heading, *("  " * line.depth + line.text for line in lines(result, steps))]
    return "\n".join([*told, f"memory reads: {memory_reads(steps)}"])


def as_json(result: dict[str, Any], steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The walk for machines: its steps, its end, the count of memory reads."""
    told = [line.data for line in lines(result, steps)]
    return {"steps": told[:-1], "result": told[-1], "memory_reads": memory_reads(steps)}
