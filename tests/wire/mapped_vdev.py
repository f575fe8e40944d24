"""A server with one adapter in this process, and clients of its virtual devices' sockets."""

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from client import Client, Memory, memory
from messages import DEVICE_GET_REGION_INFO, Region

from siov._core import Nic
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.e810 import DTYPE, TxDataQw1
from siov.spec.e810.context import TX_CONTEXT_BYTES, TxQueueContext, VmvfType

SCENARIO = {
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {"name": "nic0", "behind": "rp0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01", "ims": 64}}
    ],
    "iommu": {},
}
PATIENCE = 30.0
PAGE = 4096
IOVA, RING, ENTRIES = 0x1000_0000, 0x1000, 64  # a client's memory, and a ring in it
DESCRIPTOR = 16


class Vdevs:
    """The server; it runs by itself."""

    def __init__(self, directory: Path) -> None:
        self.platform: Platform = build(parse(SCENARIO, "wire"))
        self.platform.boot()
        self.platform.start()
        self.platform.serve_vfio_user(directory)

    def close(self) -> None:
        """Take everything down."""
        self.platform.vfio_user.stop()
        self.platform.stop()
        self.platform.unload()

    @property
    def nic(self) -> Nic:
        """The adapter."""
        [function] = self.platform.threads.nics
        engine = function.device.engine
        assert isinstance(engine, Nic)
        return engine

    @contextmanager
    def user(self, kind: str = "ice-avf-1", doorbells: str = "direct") -> Iterator["User"]:
        """A client of a new virtual device, with memory that the device reaches at IOVA."""
        mdev = self.platform.mdev.create(kind, attrs=[f"doorbells={doorbells}"])
        with ExitStack() as stack:
            stack.callback(self.platform.mdev.remove, mdev.uuid, force=True)
            user = User(self, mdev.uuid, stack.enter_context(memory(1 << 20)))
            stack.callback(user.close)
            user.connect()
            yield user

    def mdd(self, vsi: int) -> int:
        """Malicious driver events of a VSI."""
        assert self.platform.ice is not None
        return self.platform.ice.pfs["nic0"].oicr.mdd.get(vsi, 0)


@dataclass
class User:
    """Who has a virtual device on its socket."""

    vdevs: Vdevs
    uuid: str
    memory: Memory
    pages: dict[int, mmap.mmap] = field(default_factory=dict)  # by offset in BAR 0
    file: int | None = None
    client: Client = field(init=False)

    @property
    def device(self) -> VdcmDevice:
        """VDCM's side."""
        ops = self.vdevs.platform.mdev.core.find(self.uuid).ops
        assert isinstance(ops, VdcmDevice)
        return ops

    def connect(self) -> None:
        """Be its client, share memory, and map what may be mapped."""
        self.client = Client(Path(self.vdevs.platform.vfio_user.socket(self.uuid)))
        self.client.negotiate()
        self.client.map(self.memory, IOVA)
        self.pages = {}
        areas, self.file = self.areas()
        for offset, size in areas:
            assert self.file is not None
            self.pages[offset] = mmap.mmap(self.file, size, offset=offset)

    def areas(self) -> tuple[list[tuple[int, int]], int | None]:
        """What of BAR 0 can be mapped, and the file."""
        room = self.client.send(DEVICE_GET_REGION_INFO(Region.BAR0)).unpack("I")[0]
        reply = self.client.send(DEVICE_GET_REGION_INFO(Region.BAR0, argsz=room))
        if room == 32:
            assert not reply.fds
            return [], None
        assert reply.unpack("IIII")[3] == 32  # where the capability is
        kind, version, following, count, _ = struct.unpack_from("=HHIII", reply.body, 32)
        assert (kind, version, following) == (1, 1, 0)
        assert len(reply.body) == room == 48 + 16 * count
        [file] = reply.fds
        return [struct.unpack_from("=QQ", reply.body, 48 + 16 * n) for n in range(count)], file

    def leave(self) -> dict[int, mmap.mmap]:
        """Hang up, and wait until the server has noticed; gives the pages, which stay mapped."""
        self.client.close()
        endpoint = self.vdevs.platform.vfio_user.endpoints[self.uuid]
        assert eventually(lambda: not endpoint.inspect()["connected"])
        pages, self.pages = self.pages, {}
        self._forget_file()
        return pages

    def close(self) -> None:
        """Hang up and unmap."""
        for page in self.pages.values():
            page.close()
        self._forget_file()
        self.client.close()

    def _forget_file(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def store(self, offset: int, value: int) -> None:
        """Store a double word of BAR 0 into a mapped page."""
        struct.pack_into("=I", self.pages[offset & ~(PAGE - 1)], offset & (PAGE - 1), value)

    def load(self, offset: int) -> int:
        """Load one."""
        value: int = struct.unpack_from("=I", self.pages[offset & ~(PAGE - 1)], offset & (PAGE - 1))[0]
        return value

    def enable(self, queue: int = 0) -> None:
        """Enable a transmit queue, as firmware does, with a ring of packets that aren't sent."""
        vsi = self.device.adi.vsi
        ask = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, DUMMY=1, TX_BUF_SZ=64).raw
        for n in range(ENTRIES):
            self.memory[RING + DESCRIPTOR * n] = struct.pack("=QQ", IOVA, ask)
        context = TxQueueContext.of(
            BASE=(IOVA + RING) >> 7, QLEN=ENTRIES, SRC_VSI=vsi.num, VMVF_TYPE=VmvfType.VMQ, LEGACY_INT=1
        )
        self.vdevs.nic.tx_enable(vsi.txq[queue], context.to_bytes()[:TX_CONTEXT_BYTES])

    def done(self) -> int:
        """How many descriptors the device has reported, from the ring's first on."""
        words = [self.memory[at : at + 8] for at in range(RING + 8, RING + DESCRIPTOR * ENTRIES, DESCRIPTOR)]
        types = [word[0] & 0xF for word in words]
        return types.index(DTYPE.DATA) if DTYPE.DATA in types else ENTRIES

    def register(self, address: int) -> int:
        """A register of the adapter by physical address, as the host reads it."""
        data = self.vdevs.platform.root_complex.core.mmio_read(address, 4)
        assert data is not None
        return int.from_bytes(data, "little")


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether a condition comes true within a time that is long enough for any machine."""
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.001)
    return met
