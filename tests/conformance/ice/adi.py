"""An ADI as a virtual device has it: a VSI whose rings are in a guest's memory, under its PASID."""

from dataclasses import dataclass, field

from conformance.e810.rings import RxQueue, TxQueue
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.rxq import RxRing
from siov.drivers.ice.vsi import Vsi
from siov.spec.e810 import RXDID

from .server import Guest, Server


@dataclass
class Adi:
    """A VSI with a MAC rule; `up` gives it rings and switches them on."""

    server: Server
    vsi: Vsi
    mac: bytes
    guest: Guest
    rx: list[RxQueue] = field(default_factory=list)
    tx: list[TxQueue] = field(default_factory=list)

    @classmethod
    def make(cls, server: Server, pf: IcePf, last: int, *, up: bool = True, **options) -> "Adi":
        mac = bytes([2, 0, 0, 0, 0, last])
        vsi = pf.vsi_setup(**options)
        guest = Guest.make(server, 0x100 + last)
        vsi.set_pasid(guest.pasid)
        vsi.add_mac(mac)
        adi = cls(server, vsi, mac, guest)
        if up:
            adi.up()
        return adi

    def up(self, length: int = 64) -> None:
        """Rings for every queue, on, all buffers posted."""
        for q, (txq, rxq) in enumerate(zip(self.vsi.txq, self.vsi.rxq, strict=True)):
            tx = TxQueue(self.guest, txq, self.vsi.num, length)
            rx = RxQueue(self.guest, rxq, size=length)
            self.vsi.cfg_txq(q, tx.ring, length)
            self.vsi.cfg_rxq(q, RxRing(rx.ring, length, rx.dbuf, rxdid=RXDID.LEGACY_1))
            self.vsi.ena_txq(q)
            self.vsi.ena_rxq(q)
            rx.post_all()
            self.tx.append(tx)
            self.rx.append(rx)

    def frames(self, queue: int = 0) -> list[bytes]:
        return [frame.data for frame in self.rx[queue].take()]

    def send(self, *frames: bytes, queue: int = 0) -> None:
        self.tx[queue].send(*frames)

    def close(self) -> None:
        self.vsi.release()
        self.guest.free()
