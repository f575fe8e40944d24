"""What can be asked of a running server: the platform's methods that the control socket offers.

These Protocols are the list of what may be called; the server checks arguments by their annotations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from siov.host.kernfs import Entry
from siov.host.mdev import MdevInfo, TypeInfo
from siov.observe.capture import LIMIT, CaptureInfo
from siov.observe.trace import Step


class MdevApi(Protocol):
    """`platform.mdev`: mediated devices."""

    def types(self, parent: str | None = None) -> Sequence[TypeInfo]:
        """The types that parents offer."""

    def create(
        self,
        type: str,  # noqa: A002 (mdevctl's word for it)
        uuid: str | None = None,
        parent: str | None = None,
        attrs: list[str] | None = None,
    ) -> MdevInfo:
        """Make an instance of a type, with attributes as NAME=VALUE."""

    def list(self, parent: str | None = None) -> Sequence[MdevInfo]:
        """The instances."""

    def show(self, uuid: str) -> Mapping[str, Any]:
        """One instance with its attributes."""

    def remove(self, uuid: str, force: bool = False) -> None:
        """Remove an instance."""

    def reset(self, uuid: str) -> None:
        """Reset an instance."""


class VfioUserApi(Protocol):
    """`platform.vfio_user`: the sockets on which VMMs find mediated devices."""

    def socket(self, uuid: str) -> str:
        """The path of an instance's socket."""


class NetdevApi(Protocol):
    """`platform.netdev(name)`: a network interface."""

    def ethtool(self, words: list[str]) -> str:
        """What `ethtool OPTION INTERFACE …` prints: the option, and what is behind the interface."""


class BridgeApi(Protocol):
    """`platform.bridge(name)`: the switch in a network adapter."""

    def getlink(self) -> int:
        """The mode, 0 VEB or 1 VEPA (bridge -d link show)."""

    def setlink(self, mode: int) -> None:
        """Change the mode (bridge link set hwmode)."""


class SysfsApi(Protocol):
    """`platform.sysfs`: the tree of the host's devices by path."""

    def lstat(self, path: str) -> Entry:
        """Kind, mode and size."""

    def listdir(self, path: str = "/sys") -> Sequence[str]:
        """The names in a directory."""

    def readlink(self, path: str) -> str:
        """Where a link leads."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """A file's bytes."""

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        """One write; the bytes taken."""


class CaptureApi(Protocol):
    """`platform.capture`: frames at VSIs and ports, into files."""

    def start(self, target: str, path: str, drops: bool = False, limit: int = LIMIT) -> Sequence[CaptureInfo]:
        """Begin to record."""

    def stop(self, target: str = "*", path: str | None = None) -> Sequence[CaptureInfo]:
        """End recording; what was recorded."""

    def list(self) -> Sequence[CaptureInfo]:
        """The captures that run."""


class TracerApi(Protocol):
    """`platform.tracer`: what the host does, step by step."""

    def start(
        self,
        kinds: list[str] = ...,
        subjects: list[str] = ...,
        capacity: int | None = None,
    ) -> None:
        """Record steps from now on."""

    def stop(self) -> None:
        """Record no more."""

    def steps(
        self,
        after: int = 0,
        limit: int | None = None,
        kinds: list[str] = ...,
        subjects: list[str] = ...,
    ) -> Sequence[Step]:
        """The steps that were recorded."""


class PlatformApi(Protocol):
    """The platform, as far as the control socket reaches."""

    def inspect(self, path: str = "") -> object:
        """The state of everything, or of a part by its path."""


# What a call's name begins with: the part's Protocol, and whether the part is chosen by a name of its own.
PARTS: dict[str, tuple[type, bool]] = {
    "mdev": (MdevApi, False),
    "vfio_user": (VfioUserApi, False),
    "netdev": (NetdevApi, True),
    "bridge": (BridgeApi, True),
    "sysfs": (SysfsApi, False),
    "capture": (CaptureApi, False),
    "tracer": (TracerApi, False),
    "": (PlatformApi, False),
}
