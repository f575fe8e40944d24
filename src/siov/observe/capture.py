"""Captures by the names that an operator knows: which frames of which adapter go into which file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os import fspath
from typing import Any, Protocol

from siov._core import Capture, Clock
from siov.errors import SiovError
from siov.host.linux import choices

LIMIT = 1 << 30  # bytes of a file, when nobody says


class CaptureError(SiovError):
    """A capture that can't be begun or ended."""


class Adapter(Protocol):
    """What frames are captured at: `siov._core.Nic`."""

    def capture(
        self,
        target: tuple[str, int],
        writer: Capture,
        *,
        name: str | None = None,
        description: str | None = None,
        comment: str | None = None,
        drops: bool = False,
    ) -> None:
        """Record what a VSI or port sends and receives."""

    def capture_stop(self, target: tuple[str, int], writer: Capture | None = None) -> int:
        """Record it no more."""

    def inspect(self) -> dict[str, Any]:
        """Its `vsis` by number, and more."""


@dataclass(slots=True, frozen=True)
class VsiInfo:
    """Who is behind a VSI."""

    pasid: int | None = None
    uuid: str | None = None

    def __str__(self) -> str:
        pasid = f"PASID {self.pasid}" if self.pasid is not None else "no PASID"
        return f"{pasid}, vdev {self.uuid}" if self.uuid else pasid


@dataclass(slots=True, frozen=True)
class CaptureInfo:
    """One interface of a capture: frames that the file took, by direction, and for which it had no room."""

    target: str
    path: str
    inbound: int = 0
    outbound: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Running:
    nic: str
    target: tuple[str, int]
    path: str
    interface: int

    @property
    def name(self) -> str:
        return f"{self.nic}/{self.target[0]}{self.target[1]}"


@dataclass(slots=True)
class CaptureManager:
    """The captures of a server: `nics` gives its adapters by name, `about` who is behind a VSI.

    A file is opened when its first interface is captured, and closed when its last one is not any more. Each
    interface is told with PASID and vdev, the file with `comment` (the scenario).
    """

    nics: Callable[[], Mapping[str, Adapter]]
    clock: Clock
    comment: str = ""
    about: Callable[[str, int], VsiInfo | None] = lambda nic, vsi: None
    _files: dict[str, Capture] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _running: list[_Running] = field(default_factory=list)

    def start(
        self, target: str, path: str, *, drops: bool = False, limit: int = LIMIT
    ) -> Sequence[CaptureInfo]:
        """Record what `nic0/vsi5`, `nic0/port0` or the vdev of a UUID sends and receives; `*` stands for any.

        A file that is recorded into already gets further interfaces. With `drops`, frames that did not pass
        are there too, with the reason. A pattern means what there is now. `CaptureError` for a target that
        there is not or that is in the file already, or a file that can't be written.
        """
        with self._lock:
            found = self._find(target)
            taken = {one.name for one in self._running if one.path == path}
            twice = [name for name in found if name in taken]
            if twice:
                raise CaptureError(f"{path} has {choices(twice)} already; stop that, or name another file")
            file = self._files.get(path) or self._open(path, limit)
            begun: list[_Running] = []
            for name, (nic, point) in found.items():
                who = self.about(nic, point[1]) if point[0] == "vsi" else None
                number = len(file.inspect()["interfaces"])
                self.nics()[nic].capture(
                    point, file, name=name, description=str(who) if who else None, drops=drops
                )
                begun.append(_Running(nic, point, path, number))
            self._files[path] = file
            self._running += begun
            return [self._info(one) for one in begun]

    def stop(self, target: str = "*", path: str | None = None) -> Sequence[CaptureInfo]:
        """End the captures of targets that match, in this file or any; what each has recorded.

        `CaptureError` when there is none.
        """
        with self._lock:
            ending = [
                one
                for one in self._running
                if (path is None or one.path == path) and self._matches(one, target)
            ]
            if not ending:
                have = choices(f"{one.name} in {one.path}" for one in self._running)
                raise CaptureError(f"no capture of {target} runs; there is {have}")
            for one in ending:
                self._running.remove(one)
                adapter = self.nics().get(one.nic)
                if adapter is not None:
                    adapter.capture_stop(one.target, self._files[one.path])
            told = [self._info(one) for one in ending]
            for gone in set(self._files) - {one.path for one in self._running}:
                del self._files[gone]
            return told

    def list(self) -> Sequence[CaptureInfo]:
        """The captures that run."""
        with self._lock:
            return [self._info(one) for one in self._running]

    def inspect(self) -> dict[str, Any]:
        """Files by path, each with its interfaces."""
        with self._lock:
            return {path: file.inspect() for path, file in self._files.items()}

    def _open(self, path: str, limit: int) -> Capture:
        try:
            return Capture(path, self.clock, limit=limit, comment=self.comment or None)
        except (OSError, ValueError) as why:
            raise CaptureError(f"can't capture into {path}: {why}") from why

    def _find(self, target: str) -> dict[str, tuple[str, tuple[str, int]]]:
        """The targets that a pattern, or the UUID of a vdev, means."""
        known = {f"{nic}/{kind}{n}": (nic, (kind, n)) for nic, kind, n in self._points()}
        found = {name: point for name, point in known.items() if fnmatchcase(name, target)}
        if not found:
            found = {name: point for name, point in known.items() if self._uuid(point) == target.lower()}
        if not found:
            raise CaptureError(f"there is nothing to capture at {target!r}; there is {choices(known)}")
        return found

    def _uuid(self, point: tuple[str, tuple[str, int]]) -> str | None:
        nic, (kind, number) = point
        who = self.about(nic, number) if kind == "vsi" else None
        return who.uuid if who else None

    def _matches(self, one: _Running, target: str) -> bool:
        return fnmatchcase(one.name, target) or self._uuid((one.nic, one.target)) == target.lower()

    def _points(self) -> Sequence[tuple[str, str, int]]:
        found = []
        for nic, adapter in self.nics().items():
            found.append((nic, "port", 0))
            found += [(nic, "vsi", int(number)) for number in sorted(adapter.inspect()["vsis"])]
        return found

    def _info(self, one: _Running) -> CaptureInfo:
        counts = self._files[one.path].inspect()["interfaces"][one.interface]
        return CaptureInfo(
            one.name, fspath(one.path), counts["inbound"], counts["outbound"], counts["dropped"]
        )
