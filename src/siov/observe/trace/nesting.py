"""How deep a step stands, by the calls that are under way."""

from __future__ import annotations

import threading
from types import FrameType

# A call that told a step: the frame, its code, how many calls it is below the thread's first one. The frame
# itself is not kept, for that would keep what its locals hold.
_Call = tuple[int, int, int]


class Nesting(threading.local):
    """The calls of this thread that have told a step and have not returned."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def depth(self, caller: FrameType | None, *, opens: bool) -> int:
        """How many steps one told by `caller` is part of; with `opens`, what the call does is part of it."""
        frames: list[FrameType] = []
        while caller is not None:
            frames.append(caller)
            caller = caller.f_back
        if not frames:
            return 0
        chain = [(id(frame), id(frame.f_code), len(frames) - n) for n, frame in enumerate(frames)]
        alive = set(chain[1:])  # the caller's own earlier steps stand beside this one
        while self._calls and self._calls[-1] not in alive:
            self._calls.pop()
        depth = len(self._calls)
        if opens:
            self._calls.append(chain[0])
        return depth
