"""A server whose virtual devices are on vfio-user sockets, and the embedded guests' driver as their client.

The driver is the one of `siov.drivers.iavf`: here its device is behind a socket, and its memory is a memfd.
"""

import os
import select
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from client import Client, Memory
from messages import DMA_MAP, DMA_UNMAP, Region
from served_function import SETTLE, holdings

from conformance.e810.frames import udp_frame
from siov.drivers.iavf import Iavf, IavfConfig, QueuePair
from siov.host.mdev import MdevDevice
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.e810 import DTYPE, RxLegacyQw1, TxDataQw1
from siov.spec.pcie import Msix
from siov.spec.vdev import MSIX_CAPABILITY
from siov.vfio_user import VfioUserSockets

PAGE = 4096
RAM = 8 << 20
PIECE = 2 << 20
ENTRIES = 64


class VdevServer:
    """A running server with one adapter; each mdev gets a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        port = {"kind": "bridge", "to": "lan", "reflective_relay": True}
        nic = {"mac": "b4:96:91:00:00:01", "ims": 64, "port": port}
        self.platform: Platform = build(
            parse(
                {
                    "name": "wire",
                    "machine": {"memory": "128M"},
                    "root_port": [{"name": "rp0", "at": "01.0"}],
                    "function": [
                        {"name": "nic0", "behind": "rp0", "at": "00.0", "model": "e810", "nic": nic}
                    ],
                    "iommu": {"mode": "scalable"},
                    "ice": {"queues": 0},
                },
                "a test",
            )
        )
        self.folder = folder
        self.platform.boot()
        self.platform.start()
        self.platform.serve_vfio_user(folder)
        self._close: list[Callable[[], None]] = []

    @property
    def sockets(self) -> VfioUserSockets:
        return self.platform.vfio_user

    def mdev(self, kind: str = "ice-avf-1") -> MdevDevice:
        """A new instance."""
        return self.platform.mdev.core.find(self.platform.mdev.create(kind).uuid)

    def connect(self, mdev: MdevDevice) -> Client:
        """A client of an instance that has not said anything."""
        client = Client(Path(self.sockets.socket(mdev.name)))
        self._close.append(client.close)
        return client

    def client(self, mdev: MdevDevice) -> Client:
        """A client that has agreed on a version."""
        client = self.connect(mdev)
        client.negotiate()
        return client

    def memory(self, size: int) -> Memory:
        """Memory that a client can share."""
        memory = Memory(size)
        self._close.append(memory.close)
        return memory

    def user(self, mdev: MdevDevice | None = None) -> "User":
        """A client with memory and a driver for an instance, by default a new one."""
        mdev = mdev or self.mdev()
        user = User(self, mdev, self.client(mdev), Memory(RAM))
        self._close.append(user.close)
        return user

    def until(self, holds: Callable[[], object], what: str, timeout: float = SETTLE) -> None:
        """Wait until something holds."""
        until = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(0.001)

    def until_gone(self, mdev: MdevDevice) -> None:
        """Wait until nothing of an instance's client is left."""
        endpoint = self.sockets.endpoints[mdev.name]
        self.until(lambda: not endpoint.inspect()["connected"], "the client was not let go")

    def stopped(self) -> int:
        """How many queues the adapter has stopped for what they wanted (malicious driver events)."""
        assert self.platform.ice is not None
        return sum(self.platform.ice.pfs["nic0"].oicr.mdd.values())

    def held(self) -> dict[str, int]:
        """What the host holds, and this process."""
        assert self.platform.memory is not None
        return {
            "free pages": self.platform.memory.free_pages,
            "PASIDs": len(self.platform.pasids.taken),
            "fds": len(os.listdir("/proc/self/fd")),
            "maps of clients": holdings()["mappings"],
        }

    def close(self) -> None:
        """Everything of the test goes, and then the server."""
        while self._close:
            self._close.pop()()
        self.platform.unload()
        self.platform.stop()


@contextmanager
def serving_vdevs() -> Iterator[VdevServer]:
    """A server; in the end it must hold nothing of its clients any more."""
    before = holdings()
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        server = VdevServer(Path(folder))
        try:
            yield server
        finally:
            server.close()
        assert not list(Path(folder).iterdir())
    assert not server.platform.threads.failures
    assert holdings()["mappings"] <= before["mappings"]


class User:
    """A client of a virtual device: the `VdevAccess` of the driver, whose frames are moved by hand."""

    def __init__(self, server: VdevServer, mdev: MdevDevice, client: Client, ram: Memory) -> None:
        self.server, self.mdev, self.client, self.ram = server, mdev, client, ram
        for at in range(0, RAM, PIECE):
            client.send(DMA_MAP(at, PIECE, at, 3, fds=(ram.fd,)))
        self.eventfds: list[int] = []
        self.pairs: list[QueuePair] = []
        self._next = PAGE
        self._sent = self._taken = 0
        self.driver = Iavf(self, self, IavfConfig(tx_entries=ENTRIES, rx_entries=ENTRIES, itr=0))

    def up(self) -> "User":
        """Bring the driver up, with buffers posted."""
        self.driver.probe()
        self.driver.up()
        assert self.driver.wait_link()
        return self

    def close(self) -> None:
        """Hang up, as one that dies."""
        self.client.close()
        self._close_eventfds()
        if self._next:
            self.ram.close()
            self._next = 0

    # The device.

    def read32(self, offset: int) -> int:
        return int.from_bytes(self.client.read(Region.BAR0, offset, 4), "little")

    def write32(self, offset: int, value: int) -> None:
        self.client.write(Region.BAR0, offset, value.to_bytes(4, "little"))

    def address(self, offset: int) -> int:
        return offset

    def config_read(self, offset: int, size: int) -> bytes:
        return self.client.read(Region.CONFIG, offset, size)

    def config_write(self, offset: int, data: bytes) -> None:
        self.client.write(Region.CONFIG, offset, data)

    # Its memory.

    def alloc(self, size: int) -> int:
        at, self._next = self._next, self._next + -(-size // PAGE) * PAGE
        assert self._next <= RAM
        self.write(at, bytes(size))
        return at

    def free(self, address: int) -> None:
        """Memory is used once only, so that what is late can be seen."""

    def read(self, address: int, size: int) -> bytes:
        return self.ram[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        self.ram[address] = data

    def unmap(self) -> None:
        """Take all memory away from the device."""
        for at in range(0, RAM, PIECE):
            self.client.send(DMA_UNMAP(at, PIECE))

    # Its interrupts.

    def enable_vectors(self, count: int) -> None:
        self._close_eventfds()
        self.eventfds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        self.client.assign(0, *self.eventfds)
        self._msix(1)

    def disable_vectors(self) -> None:
        self._msix(0)
        self._close_eventfds()

    def wait(self, vector: int, seconds: float) -> bool:
        select.select([self.eventfds[vector]], [], [], seconds)
        try:
            os.eventfd_read(self.eventfds[vector])
        except BlockingIOError:
            return False
        return True

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _msix(self, enable: int) -> None:
        at = MSIX_CAPABILITY + Msix.CONTROL.at
        control = Msix.CONTROL.from_bytes(self.config_read(at, 2))
        self.config_write(at, control.replace(EN=enable).to_bytes())

    def _close_eventfds(self) -> None:
        for fd in self.eventfds:
            os.close(fd)
        self.eventfds = []

    # Its frames.

    def add_pair(self, pair: QueuePair) -> None:
        for n in range(pair.rx_entries):
            self.write(
                pair.rx_ring + 32 * n, struct.pack("<Q", pair.rx_buffers + pair.buffer * n) + bytes(24)
            )
        self.write32(pair.rx_tail, pair.rx_entries - 8)
        self.write32(pair.dyn_ctl, 1)  # INTENA
        self.pairs.append(pair)
        self._sent = self._taken = 0

    def clear_pairs(self) -> None:
        self.pairs.clear()

    def send(self, to: "User", payload: bytes) -> bytes:
        """Send a datagram to another user's device; the frame."""
        frame = udp_frame(payload, src=self.driver.mac, dst=to.driver.mac)
        pair, n = self.pairs[0], self._sent % ENTRIES
        at = pair.tx_buffers + pair.buffer * n
        self.write(at, frame)
        word = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, ICRC=1, TX_BUF_SZ=len(frame))
        self.write(pair.tx_ring + 16 * n, struct.pack("<Q", at) + word.to_bytes())
        self._sent += 1
        self.write32(pair.tx_tail, self._sent % ENTRIES)
        return frame

    def receive(self) -> bytes:
        """The next frame, for which it waits."""
        pair, n = self.pairs[0], self._taken % ENTRIES

        def word() -> RxLegacyQw1:
            return RxLegacyQw1.from_bytes(self.read(pair.rx_ring + 32 * n + 8, 8))

        self.server.until(lambda: word().DD, f"no frame in descriptor {n}")
        self._taken += 1
        return self.read(pair.rx_buffers + pair.buffer * n, word().LEN_PBUF)
