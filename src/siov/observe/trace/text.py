"""The trace as text, one line a step, and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from siov.observe.trace.step import Step

PATHS = ("devices/", "bus/", "class/", "module/")  # below /sys: the last name says enough
WIDTH = 400  # characters of a line's detail


def as_text(steps: Iterable[Step], *, since: int | None = None) -> Iterator[str]:
    """A line a step: milliseconds since the first one (or `since`), kind, and the step at its depth."""
    for step in steps:
        since = step.time if since is None else since
        at = (step.time - since) / 1e6
        detail = step.detail if len(step.detail) <= WIDTH else step.detail[: WIDTH - 1] + "…"
        subject = step.subject.rpartition("/")[2] if step.subject.startswith(PATHS) else step.subject
        said = " ".join(filter(None, (step.what, subject, detail)))
        yield f"{at:12.3f}  {step.kind.value:<9}  {'  ' * step.depth}{said}"


def as_dict(step: Step) -> dict[str, object]:
    """A step for machines."""
    return {
        "number": step.number,
        "time": step.time,
        "kind": step.kind.value,
        "subject": step.subject,
        "what": step.what,
        "detail": step.detail,
        "fields": dict(step.fields),
        "depth": step.depth,
        "thread": step.thread,
    }


def as_json(steps: Iterable[Step]) -> Iterator[str]:
    """A JSON object a line."""
    for step in steps:
        yield json.dumps(as_dict(step), default=str)
