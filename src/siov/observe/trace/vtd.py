"""A remapping unit: its registers, the descriptors that go into its queue, the faults that the host takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FrameType, MappingProxyType

from siov.host.iommu.fault import DmaFault
from siov.observe.trace.names import find, told
from siov.observe.trace.step import Kind
from siov.observe.trace.tracer import Emit
from siov.observe.trace.windows import RegisterWindow
from siov.spec import vtd
from siov.spec.vtd import Descriptor, DescriptorType, FaultRecordHi, FaultRecordLo, Unit

SIZE = 0x1000

_WORDS: Mapping[int, type[Descriptor]] = MappingProxyType(
    {
        DescriptorType.CONTEXT_CACHE: vtd.CcInvDsc,
        DescriptorType.IOTLB: vtd.IotlbInvDsc,
        DescriptorType.DEVICE_TLB: vtd.DevTlbInvDsc,
        DescriptorType.INTERRUPT_ENTRY_CACHE: vtd.IecInvDsc,
        DescriptorType.WAIT: vtd.InvWaitDsc,
        DescriptorType.PASID_IOTLB: vtd.PIotlbInvDsc,
        DescriptorType.PASID_CACHE: vtd.PcInvDsc,
        DescriptorType.PASID_DEVICE_TLB: vtd.PDevTlbInvDsc,
        DescriptorType.PAGE_GROUP_RESPONSE: vtd.PageGroupResponse,
    }
)


class UnitWindow(RegisterWindow):
    """The page of registers of a remapping unit."""

    def __init__(self, name: str, base: int, read: Callable[[int, int], bytes]) -> None:
        super().__init__(name, base, SIZE, (Unit,))
        self._memory = read

    def before_write(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a write, of the descriptors that it hands over, and of the fault that it clears."""
        super().before_write(emit, at, data, caller)
        value = int.from_bytes(data, "little")
        if at == Unit.IQT.at:
            self._invalidations(emit, Unit.IQT(value).QT, caller)
            return
        found = find(Unit, at)
        if found is not None and found.word is FaultRecordHi and FaultRecordHi(value).F:
            self._fault(emit, at, caller)

    def _raw(self, at: int, size: int) -> int:
        return int.from_bytes(self._memory(self.base + at, size), "little")

    def _invalidations(self, emit: Emit, tail: int, caller: FrameType) -> None:
        """The queue's entries between its tail as it was and as it will be, both in units of 16 bytes."""
        iqa = Unit.IQA(self._raw(Unit.IQA.at, 8))
        width = 32 if iqa.DW else 16
        size = 4096 << iqa.QS
        at, end = Unit.IQT(self._raw(Unit.IQT.at, 8)).QT * 16, tail * 16
        if at >= size or end >= size:
            return
        while at != end:
            data = self._memory((iqa.IQA << 12) + at, width)
            self._descriptor(emit, data.ljust(32, b"\0"), caller)
            at = (at + width) % size

    def _descriptor(self, emit: Emit, data: bytes, caller: FrameType) -> None:
        head = Descriptor.from_bytes(data)
        kind = head.TYPE | head.TYPE_HI << 4
        word = _WORDS.get(kind, Descriptor).from_bytes(data)
        name = DescriptorType(kind).name if kind in set(DescriptorType) else f"descriptor {kind:#x}"
        fields = word.decode()
        shown = told(word).split()
        detail = " ".join(part for part in shown if not part.startswith(("TYPE=", "TYPE_HI=")))
        emit(Kind.IOMMU, self.name, name, detail, fields, caller=caller)

    def _fault(self, emit: Emit, at: int, caller: FrameType) -> None:
        hi = FaultRecordHi(self._raw(at, 8))
        lo = FaultRecordLo(self._raw(at - 8, 8))
        if not hi.F:
            return
        fault = DmaFault.decode(lo, hi)
        fields = {
            "rid": fault.rid,
            "pasid": fault.pasid,
            "addr": fault.addr,
            "kind": fault.kind.value,
            "reason": fault.name,
        }
        emit(Kind.FAULT, self.name, fault.name, str(fault), fields, caller=caller)
