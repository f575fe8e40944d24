"""A VSI that does wrong beside one that sends to a third all the time, each with a PASID of its own."""

from siov.host.iommu import RequestKind
from siov.spec.e810 import Interrupts
from siov.spec.e810.flow import Flow
from siov.spec.vtd import FaultReason

from .driver import E810Driver
from .frames import plain
from .machine import RID, Machine
from .space import PAGE

BAD, NEIGHBOUR, SINK = 1, 2, 3
MAL_DETECT = Interrupts.PFINT_OICR.MAL_DETECT.mask


class Scene:
    """A VSI that does wrong, a neighbour that sends to a third all the time; each has a PASID of its own."""

    def __init__(self, wire, ats: bool) -> None:
        self.ats = ats
        self.nic = E810Driver(Machine(iommu=True, ats=ats, port=wire.near))
        self.machine = self.nic.machine
        self.machine.wr("PFINT_OICR_ENA", MAL_DETECT)
        self.bad = self.nic.vsi(BAD, pasid=0x101)
        self.neighbour = self.nic.vsi(NEIGHBOUR, pasid=0x102, size=128)
        self.sink = self.nic.vsi(SINK, pasid=0x103, size=256)
        self.sent: list[bytes] = []

    def traffic(self) -> None:
        """Some frames of the neighbour, in the same round as whatever the other one has rung for."""
        for _ in range(10):
            frame = plain(self.sink.mac, self.neighbour.mac, fill=len(self.sent) * 3)
            self.neighbour.tx[0].data(frame)
            self.sent.append(frame)
        self.neighbour.tx[0].doorbell()

    def memory(self, *parts: tuple[int, int]) -> list[bytes]:
        return [self.bad.space.read(at, size) for at, size in parts]

    def fault(self, address: int, kind: RequestKind, reason: FaultReason = FaultReason.SFS_2) -> None:
        """The unit has recorded this and nothing else; a refused translation request is no fault."""
        found = self.machine.iommu.faults.drain()
        if self.ats:
            assert found == []
            return
        have = [(f.rid, f.pasid, f.addr, f.kind, f.reason) for f in found]
        assert have == [(RID, 0x101, address & -PAGE, kind, reason)]

    def neighbours_lost_nothing(self) -> None:
        self.traffic()
        self.machine.pump()
        assert self.sink.frames() == self.sent
        assert self.sink.counter("GLV_RDPC") == 0

    def caught_sending(self, queue: int) -> None:
        seen = Flow.GL_MDET_TX_TCLAN(self.machine.rd("GL_MDET_TX_TCLAN"))
        assert (1, queue) == (seen.VALID, seen.QNUM)
        assert self.machine.rd("PF_MDET_TX_TCLAN") & 1
        assert self.machine.rd("PFINT_OICR") & MAL_DETECT

    def caught_receiving(self, queue: int) -> None:
        seen = Flow.GL_MDET_RX(self.machine.rd("GL_MDET_RX"))
        assert (1, queue) == (seen.VALID, seen.QNUM)
        assert self.machine.rd("PF_MDET_RX") & 1
        assert self.machine.rd("PFINT_OICR") & MAL_DETECT
