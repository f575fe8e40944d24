"""A server of virtual devices in this process, and stock guests on them, for tests that boot guests.

    with serve(directory) as server:
        vdev = server.vdev()
        with boot(rig, (vdev,)) as (guest,):
            guest.check("ping -c 1 10.0.0.2")

The server's threads run by themselves, so a test may look at the model while its guests work: counters,
queues, tables, the memory of the host. Guest number N has the addresses 10.0.0.N and fd00::N.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siov._core import Nic, Port
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.drivers.ice.vsi import Vsi
from siov.guests.image import Rig
from siov.guests.qemu import Guest, GuestSpec
from siov.hw.e810.function import E810Function
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.virtchnl import EthStats

TYPE = "ice-avf"  # 8086:1889, which mainline's iavf binds; four queue pairs
BOOT_SECONDS = 240.0  # many times what an idle machine takes

# Bring the first interface up; the link is there when the driver has its queues on.
UP = """
    modprobe iavf
    for i in $(seq 600); do [ -e /sys/class/net/eth0 ] && break; usleep 100000; done
    ip link set eth0 up
    ip addr add 10.0.0.{n}/24 dev eth0
    ip -6 addr add fd00::{n:x}/64 dev eth0
    for i in $(seq 600); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && exit 0; usleep 100000; done
    dmesg | tail -20; exit 1
"""


@dataclass(slots=True, frozen=True)
class Served:
    """A virtual device on its socket."""

    server: "Server"
    uuid: str

    @property
    def socket(self) -> Path:
        return Path(self.server.platform.vfio_user.socket(self.uuid))

    @property
    def device(self) -> VdcmDevice:
        """VDCM's side of it."""
        ops = self.server.platform.mdev.core.find(self.uuid).ops
        assert isinstance(ops, VdcmDevice)
        return ops

    @property
    def vsi(self) -> Vsi:
        """The VSI behind it; only to be looked at, or with the function's lock held."""
        return self.device.adi.vsi

    @property
    def mac(self) -> str:
        return self.device.mac.hex(":")

    def stats(self) -> EthStats:
        """What its VSI has counted, read from the adapter's registers GLV_*."""
        with self.server.pf.lock:
            return self.vsi.stats()

    def inspect(self) -> dict[str, Any]:
        """Socket, client, memory and VFIO container."""
        return self.server.platform.vfio_user.endpoints[self.uuid].inspect()

    def remove(self) -> None:
        """Remove it; it must have no client."""
        self.server.platform.mdev.remove(self.uuid)


class Server:
    """A server with one adapter, nic0, and a bridge beside it with nobody else on it; it runs by itself.

    `nic`, `ice` and `iommu` are further keys of these tables of the scenario. `port` is the bridge's; it
    returns no frame until `port.set_reflective_relay(True)`.
    """

    def __init__(
        self, directory: Path, *, nic: dict[str, Any] | None = None, ice: dict[str, Any] | None = None,
        iommu: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        given = {"mac": "02:00:00:00:00:01", "ims": 64, **(nic or {})}
        self.platform: Platform = build(
            parse(
                {
                    "name": "guests",
                    "root_port": [{"name": "rp0", "at": "01.0"}],
                    "function": [
                        {"name": "nic0", "behind": "rp0", "at": "00.0", "model": "e810", "nic": given}
                    ],
                    "iommu": {"mode": "scalable", **(iommu or {})},
                    "ice": ice or {},
                },
                "a test",
            )
        )
        function = self.platform.functions["nic0"]
        assert isinstance(function, E810Function)
        self.nic = function.device.engine
        assert isinstance(self.nic, Nic)
        (self.port,) = Port.bridge(1, self.platform.clock)
        self.nic.attach_port(0, self.port)
        self.platform.boot()
        self.platform.start()
        self.platform.serve_vfio_user(directory)
        assert self.platform.ice is not None
        self.pf: IcePf = self.platform.ice.pfs["nic0"]

    def close(self) -> None:
        """Take everything down, also devices that guests still have."""
        self.platform.vfio_user.stop()
        self.platform.stop()
        self.platform.unload()

    def vdev(self, kind: str = TYPE, uuid: str | None = None) -> Served:
        """A new virtual device on a socket."""
        return Served(self, self.platform.mdev.create(kind, uuid).uuid)

    def ethtool(self, vdev: Served, *words: str) -> str:
        """`siov ethtool` on a virtual device, which is the host's view of it."""
        return self.platform.netdev(vdev.uuid).ethtool(words)


@contextmanager
def serve(directory: Path, **tables: Any) -> Iterator[Server]:
    """A server as long as the context lasts; `tables` as in `Server`."""
    server = Server(directory, **tables)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def boot(
    rig: Rig, vdevs: Sequence[Served], *, up: bool = True, first: int = 1,
    files: dict[str, bytes] | None = None, **spec: Any,
) -> Iterator[list[Guest]]:  # fmt: skip
    """One guest on each device, all booted at once; with `up`, number `first` and on have a link.

    `spec` are further fields of each `GuestSpec`.
    """

    def one(n: int, guest: Guest) -> None:
        guest.start(BOOT_SECONDS)
        if up:
            guest.check(UP.format(n=n), timeout=BOOT_SECONDS)

    with ExitStack() as stack:
        guests = [Guest(GuestSpec(sockets=(vdev.socket,), **spec), files=files, rig=rig) for vdev in vdevs]
        for guest in guests:
            stack.callback(guest.kill)
        with ThreadPoolExecutor(len(guests)) as pool:
            list(pool.map(one, range(first, first + len(guests)), guests))
        yield guests


@dataclass(slots=True, frozen=True)
class Pair:
    """Two guests with a link on one adapter: `a` has 10.0.0.1, `b` 10.0.0.2."""

    server: Server
    a: Guest
    b: Guest
    vdev_a: Served
    vdev_b: Served


@contextmanager
def pair(rig: Rig, directory: Path, *, files: dict[str, bytes] | None = None, **spec: Any) -> Iterator[Pair]:
    """A server with two guests; the parameters are those of `boot`."""
    with serve(directory) as server:
        vdevs = server.vdev(), server.vdev()
        with boot(rig, vdevs, files=files, **spec) as (a, b):
            yield Pair(server, a, b, *vdevs)


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether a condition comes true within a time that is long enough for any machine."""
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return met
