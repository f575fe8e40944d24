"""A guest whose kernel does with its device what it likes, beside a victim that rests and two that talk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.e810.rings import RxQueue, TxQueue
from siov.drivers.iavf import messages
from siov.host.iommu import RequestKind
from siov.host.iommu.fault import DmaFault
from siov.host.physmem import PAGE_SIZE
from siov.spec.virtchnl import Op

from .server import GuestServer, guest

TALK = 400  # frames that one neighbour sends the other, before, during and after
ENTRIES = 64
SECRET = b"the victim's own "


class Attacker:
    """A tenant whose queue has rings of the test's own; it is the `space` and `machine` of these rings."""

    def __init__(self, server: GuestServer, name: str) -> None:
        self.server, self.tenant = server, server.tenant(name)
        self.vdev, self.driver = self.tenant.vdev, self.tenant.driver
        self.device = server.device(self.tenant)
        self.vsi = self.device.adi.vsi
        seat = self.tenant.seat
        assert seat is not None
        server.tenants.loop.clear_pairs(seat)
        self.switch(False)
        self.tx = TxQueue(self, self.vsi.txq[0], self.vsi.num, ENTRIES)  # type: ignore[arg-type]
        self.rx = RxQueue(self, self.vsi.rxq[0], size=ENTRIES)  # type: ignore[arg-type]
        self.configure()

    @property
    def machine(self) -> Attacker:
        return self

    def alloc(self, size: int, align: int = PAGE_SIZE) -> int:
        return self.vdev.alloc(size)

    def read(self, at: int, size: int) -> bytes:
        return self.vdev.read(at, size)

    def write(self, at: int, data: bytes) -> None:
        self.vdev.write(at, data)

    def wr(self, name: str, value: int, index: int = 0) -> None:
        """A doorbell of its own, through its own page."""
        registers = self.driver.registers
        at = {"QTX_COMM_DBELL": registers.tx_tail(0), "QRX_TAIL": registers.rx_tail(0)}[name]
        self.vdev.write32(at, int(value))

    def pump(self) -> None:
        self.server.platform.pump()

    def memory(self) -> bytes:
        """All of its own."""
        return self.server.mem.read(self.vdev.guest.base, self.vdev.guest.size)

    def switch(self, on: bool) -> None:
        op = Op.ENABLE_QUEUES if on else Op.DISABLE_QUEUES
        self.driver.request(op, messages.queue_select(self.vsi.num, 1))

    def configure(self, *, tx_ring: int | None = None, rx_ring: int | None = None) -> None:
        """Queues anew, with rings at any address, and on; all receive buffers are posted."""
        self.switch(False)
        pair = replace(
            self.driver.queues.pairs[0],
            tx_ring=self.tx.ring if tx_ring is None else tx_ring,
            rx_ring=self.rx.ring if rx_ring is None else rx_ring,
            tx_entries=ENTRIES,
            rx_entries=ENTRIES,
            buffer=self.rx.dbuf,
        )
        payload = messages.queue_config(self.vsi.num, [pair], self.driver.max_frame, flex=True)
        self.driver.request(Op.CONFIG_VSI_QUEUES, payload)
        self.switch(True)
        self.tx.next = self.rx.next = self.rx.posted = 0
        self.rx.free = ENTRIES
        self.rx.post_all()
        self.pump()


class Scene:
    """`bad` does wrong, `victim` rests, `talker` sends to `listener` all the time; ATS is on or off."""

    def __init__(self, ats: bool) -> None:
        self.ats = ats
        self.server = GuestServer(
            guest("victim", "vdcm-1", memory="16M"),
            guest("bad", "vdcm-1"),
            guest("talker", "vdcm-1", entries=256),
            guest("listener", "vdcm-1", entries=256),
            nic={} if ats else {"atc": "off"},
        )
        self.victim = self.server.tenant("victim")
        self.bad = Attacker(self.server, "bad")
        vm = self.victim.vdev.guest
        self.page = vm.pages.alloc_pages(4, "canary")
        vm.write(self.page, (SECRET * (4 * PAGE_SIZE))[: 4 * PAGE_SIZE])
        self.hpa = vm.base + self.page  # where it is for who knows the host's addresses
        self.kept = b""
        self.mapped: dict[str, int] = {}
        self.keep()

    def memory(self) -> bytes:
        """All of the victim's."""
        vm = self.victim.vdev.guest
        return self.server.mem.read(vm.base, vm.size)

    def registers(self) -> dict[str, int]:
        """The victim's in the adapter: who interrupts it, its mailbox and its queue."""
        nic = self.server.function.device.engine
        vsi = self.server.device(self.victim).adi.vsi
        at = {"QINT_RQCTL": vsi.rxq[0], "QINT_TQCTL": vsi.txq[0], "QRX_CTRL": vsi.rxq[0]}
        at |= {f"VSI_MBX_{name}": vsi.num for name in ("ATQLEN", "ATQT", "ATQBAL", "ARQLEN", "ARQBAL")}
        at["VPINT_MBX_CTL"] = vsi.num
        return {name: nic.get(name, index) for name, index in at.items()}  # type: ignore[attr-defined]

    def talk(self) -> None:
        """The neighbours begin, and are in the middle of it when this returns."""
        self.server.send("talker", "listener", count=TALK)
        self.server.until(lambda: self.server.checked("listener.0")["frames"] >= TALK // 8)

    def harmless(self) -> None:
        """No byte of the victim has changed, and the neighbours have lost nothing."""
        self.server.until(lambda: self.server.sender("talker.0")["done"])
        self.server.rest()
        checked = self.server.checked("listener.0")
        assert (checked["frames"], checked["in_order"]) == (TALK, TALK), checked
        assert checked["lost"] == checked["corrupt"] == checked["foreign"] == 0, checked
        assert self.registers() == self.mapped
        assert self.memory() == self.kept, "the victim's memory has changed"

    def send_to_bad(self, count: int = 1) -> None:
        """Frames of a neighbour to the guest that does wrong."""
        load = self.server.send("talker", "bad", count=count, sizes=(200,))
        self.server.until(lambda: self.server.sender("talker.0", load)["done"])
        self.bad.pump()

    def held(self) -> int:
        """Translations in the device TLB."""
        return int(self.server.function.device.engine.inspect().get("atc", {}).get("held", 0))  # type: ignore[attr-defined]

    def keep(self) -> None:
        """From here on, the victim is to stay as it is."""
        self.server.rest()
        self.server.iommu.faults.drain()
        self.server.iommu.faults.last.clear()
        self.kept, self.mapped = self.memory(), self.registers()

    def fault(self, address: int, kind: RequestKind) -> None:
        """The host has been told of this once, and of nothing else; a refused translation is no fault."""
        found: list[DmaFault] = list(self.server.iommu.faults.last)
        rid, pasid = self.server.pf.dev.rid, self.bad.vdev.device.pasid
        expected: list[Any] = [] if self.ats else [(rid, pasid, address & -PAGE_SIZE, kind)]
        assert [(f.rid, f.pasid, f.addr, f.kind) for f in found] == expected

    def malicious(self, where: str) -> None:
        """The driver has heard that the adapter stopped a queue of the VSI, and which."""
        oicr = self.server.pf.oicr
        assert oicr.mdd == {self.bad.vsi.num: 1}
        assert oicr.last is not None
        assert (oicr.last.where, oicr.last.vsi) == (where, self.bad.vsi.num)
