"""What every part of the host speaks: errors with Linux's errno, trace events with its function names."""

from __future__ import annotations

import errno as _errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from siov.errors import SiovError

EPROBE_DEFER = 517  # include/linux/errno.h: known to the kernel only, so Python's errno has no such name


class LinuxError(SiovError):
    """A request that Linux would refuse with -errno; `errno` is the number, the sentence says why."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno

    @property
    def errno_name(self) -> str:
        """The mnemonic, such as "EBUSY"."""
        return "EPROBE_DEFER" if self.errno == EPROBE_DEFER else _errno.errorcode.get(self.errno, "?")


class ProbeError(LinuxError):
    """A driver's probe found that it can't drive this device; the next driver that matches is tried."""


class ProbeDeferError(ProbeError):
    """A probe lacks something that may still come; it is tried again when another device has been bound."""

    def __init__(self, message: str) -> None:
        super().__init__(EPROBE_DEFER, message)


@dataclass(slots=True, frozen=True)
class TraceEvent:
    """One step under its Linux function name: on which object (its path below /sys), with what."""

    function: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.function} {self.subject} {self.detail}".rstrip()


TraceHook: TypeAlias = Callable[[TraceEvent], None]


def choices(names: Iterable[str], limit: int = 8) -> str:
    """What there is to choose from, for an error's sentence: at most `limit` names and how many more."""
    known = list(names)
    shown = ", ".join(known[:limit]) or "nothing"
    return f"{shown} and {len(known) - limit} more" if len(known) > limit else shown
