"""One step of the trace, and which ones somebody wants to see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from siov.errors import SiovError
from siov.host.linux import choices

NOTHING: Mapping[str, Any] = MappingProxyType({})


class TraceError(SiovError):
    """A trace was asked for something that there is not."""


class Kind(Enum):
    """Where in the slow way a step is."""

    CORE = "core"  # the driver core: devices, drivers, buses, kobjects
    PCI = "pci"  # the PCI subsystem
    ICE = "ice"  # the PF's driver
    MDEV = "mdev"  # mediated devices
    SYSFS = "sysfs"  # what user space reads and writes
    VFIO = "vfio"  # a virtual device's user
    CONFIG = "config"  # configuration cycles
    REGISTER = "register"  # accesses to registers of devices
    ADMINQ = "adminq"  # commands to firmware, and its events
    MAILBOX = "mailbox"  # virtchnl messages
    IOMMU = "iommu"  # invalidations
    FAULT = "fault"  # what a remapping unit refused
    INTERRUPT = "interrupt"  # vectors of the CPUs

    @classmethod
    def named(cls, name: str) -> Kind:
        """A kind by its name; `TraceError` names those there are."""
        found = next((kind for kind in cls if kind.value == name), None)
        if found is None:
            have = choices((kind.value for kind in cls), limit=len(cls))
            raise TraceError(f"a trace has no steps of kind {name!r}; there are {have}")
        return found


@dataclass(slots=True, frozen=True)
class Step:
    """What was done (`what`) on which object (`subject`), with what (`detail`, and `fields` for machines).

    `number` counts all steps from 1, `time` is the clock's in nanoseconds, `depth` how many steps this one
    is part of, `thread` who did it.
    """

    number: int
    time: int
    kind: Kind
    subject: str
    what: str
    detail: str = ""
    fields: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    depth: int = 0
    thread: str = ""


@dataclass(slots=True, frozen=True)
class Filter:
    """Steps of these kinds (none: of all) on subjects that match one of the patterns (`*` for anything)."""

    kinds: frozenset[Kind] = frozenset()
    subjects: tuple[str, ...] = ()

    @classmethod
    def of(cls, kinds: Collection[str] = (), subjects: Collection[str] = ()) -> Filter:
        """A filter out of names; `TraceError` for a kind that there is not."""
        return cls(frozenset(Kind.named(name) for name in kinds), tuple(subjects))

    def wants_kind(self, kind: Kind) -> bool:
        """Whether steps of a kind can pass."""
        return not self.kinds or kind in self.kinds

    def wants(self, kind: Kind, subject: str) -> bool:
        """Whether a step passes."""
        if not self.wants_kind(kind):
            return False
        return not self.subjects or any(fnmatchcase(subject, pattern) for pattern in self.subjects)
