"""A platform that records what is asked of it."""

import threading
from enum import IntEnum
from errno import EINVAL, ENODEV, ENOSPC
from typing import Any

from siov.host.core import DriverCore
from siov.host.linux import LinuxError
from siov.host.mdev import MdevInfo, TypeInfo
from siov.host.sysfs import Sysfs

UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"


class Mode(IntEnum):
    VEB = 0
    VEPA = 1


class Mdev:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.hold: threading.Event | None = None
        self.entered = threading.Event()

    def types(self, parent: str | None = None) -> list[TypeInfo]:
        self.calls.append(("types", parent))
        if self.hold is not None:
            self.entered.set()
            assert self.hold.wait(60)
        return [TypeInfo("0000:3b:00.0", "ice-vdcm", "S-IOV device", "4 queue pairs", "vfio-pci", 7, "pairs")]

    def create(
        self,
        type: str,  # noqa: A002
        uuid: str | None = None,
        parent: str | None = None,
        attrs: list[str] | None = None,
    ) -> MdevInfo:
        self.calls.append(("create", type, uuid, parent))
        if type == "full":
            raise LinuxError(ENOSPC, "no full is left on 0000:3b:00.0: 0 queue pairs are free")
        if type == "bug":
            raise KeyError("bug")
        return MdevInfo(uuid or UUID, "0000:3b:00.0", type, False)

    def list(self, parent: str | None = None) -> list[MdevInfo]:
        return [MdevInfo(UUID, "0000:3b:00.0", "ice-vdcm", True)]

    def show(self, uuid: str) -> dict[str, Any]:
        attributes = {"vdev/queues": "4"}
        return {"uuid": uuid, "parent": "0000:3b:00.0", "type": "ice-vdcm", "open": False} | {
            "attributes": attributes
        }

    def remove(self, uuid: str, force: bool = False) -> None:
        self.calls.append(("remove", uuid, force))

    def reset(self, uuid: str) -> None:
        self.calls.append(("reset", uuid))


class Netdev:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def ethtool(self, words: list[str]) -> str:
        self.calls.append(("ethtool", *words))
        if words == ["-G", "rx", "many"]:
            raise LinuxError(EINVAL, "rx takes a number of descriptors, not many")
        return "NIC statistics:\n     rx_bytes: 1500\n" if words == ["-S"] else ""


class Bridge:
    def __init__(self) -> None:
        self.mode = Mode.VEB

    def getlink(self) -> int:
        return self.mode

    def setlink(self, mode: int) -> None:
        self.mode = Mode(mode)


class Platform:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.mdev = Mdev(self.calls)
        self.switch = Bridge()
        self.core = DriverCore()

    @property
    def sysfs(self) -> Sysfs:
        return self.core.sysfs

    def netdev(self, name: str) -> Netdev:
        if name != "ens1f0":
            raise LinuxError(ENODEV, f"there is no network interface {name!r}; there is ens1f0")
        return Netdev(self.calls)

    def bridge(self, name: str) -> Bridge:
        return self.switch

    def inspect(self, path: str = "") -> object:
        return {"path": path, "mode": Mode.VEPA, "bytes": b"\x00\xff", "list": (1, None)}
