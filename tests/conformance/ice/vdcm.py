"""A server whose ice driver makes virtual devices, and a user of one: its memory, its pages, its eventfds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from siov._core import Port
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.services import poll_by_sleep
from siov.drivers.ice.vdcm import IceVdcm, VdcmHost, ice_vdcm_init
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.drivers.ice.virtchnl.vsi_ops import VfOwner
from siov.host.iommu import pasid_allocator
from siov.host.mdev import MdevCore, MdevDevice
from siov.host.vfio import VfioContainer, VfioDevice
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode
from siov.threads import Threads
from siov.vdevs import composer

from .server import Server

MEMORY, GPA = 4 << 20, 0x1_0000_0000


@dataclass
class Told:
    """Answers a guest's messages: notes each call, and echoes a message that begins with `echo`."""

    owner: VfOwner
    calls: list[object] = field(default_factory=list)
    trusted: bool = False
    then: Callable[[int, bytes], None] | None = None

    def handle(self, op: int, data: bytes) -> None:
        self.calls.append((op, data))
        if self.then is not None:
            self.then(op, data)

    def notify_link(self) -> None:
        self.calls.append("notify_link")

    def notify_reset(self) -> None:
        self.calls.append("notify_reset")

    def start(self) -> None:
        self.calls.append("start")

    def begin_reset(self) -> None:
        self.calls.append("begin_reset")

    def reset(self) -> None:
        self.calls.append("reset")


class VdcmServer(Server):
    """A server with the driver loaded and its VDCM there; `host` gives it something else than `Told`.

    With `threads` it runs by itself, from before the driver is loaded until `stop`.
    """

    def __init__(
        self,
        *,
        ims: int = 0,
        port: Port | None = None,
        host: Callable[..., VdcmHost] | None = None,
        threads: bool = False,
    ) -> None:
        super().__init__(ims=ims, port=port)
        self.irqs.bypass = self.rc.core
        self.mdev = MdevCore(self.pci.core).register()
        self.pasids = pasid_allocator()
        self.threads = Threads(self.rc, [self.function])
        if threads:
            self.services.poll = poll_by_sleep
            self.threads.start()
        told = VdcmHost(self.mdev, composer(self.rc.core), Told)
        made = told if host is None else host(self.mdev, self.rc.core)
        self.pf: IcePf = self.load(vdcm=lambda pf: ice_vdcm_init(pf, made))
        assert isinstance(self.pf.vdcm, IceVdcm)
        self.vdcm: IceVdcm = self.pf.vdcm

    def pump(self) -> None:
        if not self.threads.running:
            super().pump()

    def create(self, group: str, number: int = 1) -> MdevDevice:
        """An instance of a type, with a UUID that ends in the number."""
        [parent] = self.mdev.parents.values()
        [mtype] = [each for each in parent.types if each.mtype.group == group]
        return self.mdev.create(mtype, UUID(int=0x83B8_F4F2_509F_382F_3C1E_E6BF_E0FA_1000 + number))


class User:
    """Who has a virtual device open: 4 MiB of memory at guest-physical 0x1_0000_0000."""

    def __init__(self, server: VdcmServer, mdev: MdevDevice) -> None:
        self.server = server
        self.mdev = mdev
        assert server.iommu is not None
        self.memory = server.mem.alloc_pages(MEMORY >> 12, "guest")
        self.container = VfioContainer(server.iommu, server.pasids)
        self.container.dma_map(GPA, self.memory, MEMORY)
        self.vfio = VfioDevice(mdev, self.container)
        self.zapped = 0
        self.vfio.zap = self._zap
        self.fds: list[int] = []

    def _zap(self) -> None:
        self.zapped += 1

    @property
    def device(self) -> VdcmDevice:
        assert isinstance(self.mdev.ops, VdcmDevice)
        return self.mdev.ops

    @property
    def told(self) -> Told:
        assert isinstance(self.device.messages, Told)
        return self.device.messages

    @property
    def num(self) -> int:
        return self.device.adi.vf_id

    def open(self) -> User:
        self.vfio.open()
        return self

    def close(self) -> None:
        if self.vfio.is_open:
            self.vfio.close()
        while self.fds:
            os.close(self.fds.pop())

    def rd(self, at: int) -> int:
        """A register of BAR 0."""
        return int.from_bytes(self.vfio.read(0, at, 4), "little")

    def wr(self, at: int, value: int) -> None:
        self.vfio.write(0, at, value.to_bytes(4, "little"))

    def page_rd(self, at: int) -> int:
        """A register of a page of BAR 0 that is mapped."""
        data = self.server.rc.core.mmio_read(self.vfio.mmap(0, at & ~0xFFF) + (at & 0xFFF), 4)
        assert data is not None
        return int.from_bytes(data, "little")

    def page_wr(self, at: int, value: int) -> None:
        self.server.rc.core.mmio_write(
            self.vfio.mmap(0, at & ~0xFFF) + (at & 0xFFF), value.to_bytes(4, "little")
        )

    def read(self, gpa: int, size: int) -> bytes:
        return self.server.mem.read(self.memory + gpa - GPA, size)

    def write(self, gpa: int, data: bytes) -> None:
        self.server.mem.write(self.memory + gpa - GPA, data)

    def all_memory(self) -> bytes:
        return self.server.mem.read(self.memory, MEMORY)

    def irqs(self) -> list[int]:
        """An eventfd for each vector."""
        self.fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(self.vfio.irq(2).count)]
        self.vfio.set_irqs(2, 0, self.fds)
        return self.fds

    def fired(self, n: int) -> int:
        try:
            return os.eventfd_read(self.fds[n])
        except BlockingIOError:
            return 0

    # The mailbox, as iavf_adminq.c drives it.

    ATQ, ARQ, BUFFERS = GPA, GPA + 0x1000, GPA + 0x10000
    ENTRIES = 32

    def open_mailbox(self) -> None:
        """Both queues, with 31 receive buffers posted."""
        for name, base in (("AT", self.ATQ), ("AR", self.ARQ)):
            for register, value in (("QH", 0), ("QT", 0), ("QLEN", 1 << 31 | self.ENTRIES)):
                self.wr(MBX[name + register], value)
            self.wr(MBX[name + "QBAL"], base & 0xFFFF_FFFF)
            self.wr(MBX[name + "QBAH"], base >> 32)
        for n in range(self.ENTRIES):
            self.post(n)
        self.wr(MBX["ARQT"], self.ENTRIES - 1)
        self.sent = self.seen = 0

    def post(self, n: int) -> None:
        at = self.BUFFERS + 0x1000 * n
        flags = AqFlags.of(BUF=1, LB=1).raw
        desc = AqDesc.of(FLAGS=flags, DATALEN=4096, ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF)
        self.write(self.ARQ + 32 * n, desc.to_bytes())

    def send(self, op: int, data: bytes = b"") -> None:
        """A message to the function."""
        at = self.BUFFERS + 0x1000 * (self.ENTRIES + self.sent % self.ENTRIES)
        self.write(at, data)
        flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512).raw
        desc = AqDesc.of(
            FLAGS=flags, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=len(data), COOKIE_HIGH=op,
            ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF,
        )  # fmt: skip
        self.write(self.ATQ + 32 * (self.sent % self.ENTRIES), desc.to_bytes())
        self.sent += 1
        self.wr(MBX["ATQT"], self.sent % self.ENTRIES)

    def take(self) -> list[tuple[int, int, bytes]]:
        """Messages that have come: virtchnl opcode, status, data."""
        found = []
        while self.seen % self.ENTRIES != self.rd(MBX["ARQH"]) & 0x3FF:
            n = self.seen % self.ENTRIES
            desc = AqDesc.from_bytes(self.read(self.ARQ + 32 * n, 32))
            found.append(
                (desc.COOKIE_HIGH, desc.COOKIE_LOW, self.read(self.BUFFERS + 0x1000 * n, desc.DATALEN))
            )
            self.post(n)
            self.wr(MBX["ARQT"], n)
            self.seen += 1
        return found


MBX = {
    "ATQBAL": 0x7C00, "ATQBAH": 0x7800, "ATQLEN": 0x6800, "ATQH": 0x6400, "ATQT": 0x8400,
    "ARQBAL": 0x6C00, "ARQBAH": 0x6000, "ARQLEN": 0x8000, "ARQH": 0x7400, "ARQT": 0x7000,
}  # fmt: skip
RSTAT, DYN_CTL01, ICR01, ICR0_ENA1 = 0x8800, 0x5C00, 0x4800, 0x5000
