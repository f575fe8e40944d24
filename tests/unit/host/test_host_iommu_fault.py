"""Faults are read, cleared and told; page requests are gathered by group and answered once."""

import pytest

from siov.host.iommu import DmaFault, RequestKind
from siov.host.pgtable import Prot
from siov.spec.vtd import (
    FaultReason,
    FaultRecordHi,
    FaultRecordLo,
    PageGroupResponse,
    PageRequest,
    ResponseCode,
    Unit,
)


@pytest.mark.parametrize(
    ("t1", "t2", "kind"),
    [
        (0, 0, RequestKind.WRITE),
        (0, 1, RequestKind.PAGE_REQUEST),
        (1, 0, RequestKind.READ),
        (1, 1, RequestKind.ATOMIC),
    ],
)
def test_a_record_becomes_who_what_where_and_why(machine, iommu, t1, t2, kind):
    hi = FaultRecordHi.of(SID=0x3B05, PP=1, PV=0x12345, FR=FaultReason.SSS_2, T1=t1, T2=t2, PRIV=1)
    machine.fault(0, hi, FaultRecordLo.of(FI=0xABCDE))
    fault = DmaFault(
        reason=FaultReason.SSS_2, rid=0x3B05, pasid=0x12345, addr=0xABCDE000, kind=kind, privileged=True
    )
    assert iommu.faults.drain() == [fault]
    assert str(fault) == (
        f"DMA {kind.value} of 3b:00.5 PASID 0x12345 at 0xabcde000: SSS_2 (a second-stage entry gives neither "
        "read nor write)"
    )


def test_records_are_read_from_the_first_on_around_the_end_and_cleared(machine, iommu):
    for n, index in enumerate((6, 7, 0)):
        machine.fault(index, FaultRecordHi.of(SID=n, FR=FaultReason.SCT_2), FaultRecordLo(0))
    machine.put(machine.get(Unit.FSTS).replace(FRI=6))
    assert [fault.rid for fault in iommu.faults.drain()] == [0, 1, 2]
    assert not machine.get(Unit.FSTS).PPF
    assert iommu.faults.drain() == []


def test_without_pasid_there_is_none_and_no_privilege(machine, iommu):
    machine.fault(0, FaultRecordHi.of(SID=1, PV=5, PRIV=1, EXE=1, FR=FaultReason.SCT_2), FaultRecordLo(0))
    (fault,) = iommu.faults.drain()
    assert (fault.pasid, fault.privileged, fault.execute) == (None, False, False)


def test_an_interrupt_fault_tells_the_entry(machine, iommu):
    hi = FaultRecordHi.of(SID=0x100, FR=FaultReason.INTR_IRTE_P)
    machine.fault(0, hi, FaultRecordLo.of(FI=0x1234 << 36))
    (fault,) = iommu.faults.drain()
    assert (fault.index, fault.addr) == (0x1234, 0)
    assert "INTR-REMAP request of 01:00.0 for entry 4660: INTR_IRTE_P" in str(fault)


def test_a_reason_that_nobody_knows_is_told_by_its_code(machine, iommu):
    machine.fault(0, FaultRecordHi.of(FR=0xEE), FaultRecordLo(0))
    (fault,) = iommu.faults.drain()
    assert fault.name == "0xee"
    assert str(fault).endswith("reason 0xee")


def test_overflow_is_counted_and_cleared(machine, iommu):
    machine.put(machine.get(Unit.FSTS).replace(PFO=1))
    iommu.handle_faults()
    assert iommu.faults.overflows == 1
    assert not machine.get(Unit.FSTS).PFO


def test_the_log_keeps_the_last_ones_only_and_counts_all(machine, iommu):
    for n in range(300):
        machine.fault(0, FaultRecordHi.of(SID=n, FR=FaultReason.SCT_2), FaultRecordLo(0))
        iommu.faults.drain()
    assert len(iommu.faults.last) == 256
    assert iommu.faults.last[-1].rid == 299
    assert iommu.inspect()["faults"]["counts"] == {"SCT_2": 300}


def test_handlers_are_told_of_each_fault(machine, iommu):
    told = []
    iommu.faults.handlers.append(told.append)
    machine.fault(0, FaultRecordHi.of(SID=9, FR=FaultReason.SCT_2), FaultRecordLo(0))
    iommu.handle_faults()
    assert [fault.rid for fault in told] == [9]


# Page requests.


def request(addr: int, *, last: bool, group: int = 3, pasid: int = 7, **more: int) -> PageRequest:
    fields = {"TYPE": 1, "RID": 0x100, "PP": 1, "PASID": pasid, "RD": 1, "LPIG": int(last), "PRGI": group}
    return PageRequest.of(**{**fields, **more}, ADDR=addr >> 12)


def test_a_group_is_handed_over_whole_and_answered_once(machine, iommu):
    groups = []

    def handler(group):
        groups.append(group)
        return ResponseCode.SUCCESS

    iommu.page_requests.handler = handler
    machine.page_request(request(0x1000, last=False))
    machine.page_request(request(0x9000, last=True, group=4))
    machine.page_request(request(0x2000, last=True, WR=1))
    assert iommu.page_requests.drain() == 3
    assert [[one.addr for one in group] for group in groups] == [[0x9000], [0x1000, 0x2000]]
    assert groups[1][1].prot == Prot.READ | Prot.WRITE
    answers = machine.taken()
    assert [type(one) for one in answers] == [PageGroupResponse] * 2
    last = answers[1]
    assert (last.RID, last.PP, last.PASID, last.PRGI, last.RC) == (0x100, 1, 7, 3, ResponseCode.SUCCESS)
    assert machine.get(Unit.PQH).raw == machine.get(Unit.PQT).raw
    assert not machine.get(Unit.PRS).PPR


def test_private_data_comes_back_with_the_answer(machine, iommu):
    machine.page_request(request(0x1000, last=True, PDP=1, PRIV_LO=0x1122, PRIV_HI=0x3344))
    iommu.page_requests.drain()
    (answer,) = machine.taken()
    assert (answer.PDP, answer.PRIV_LO, answer.PRIV_HI) == (1, 0x1122, 0x3344)


def test_without_a_handler_the_answer_is_invalid_request(machine, iommu):
    machine.page_request(request(0x1000, last=True, PP=0, PASID=0))
    iommu.handle_page_requests()
    (answer,) = machine.taken()
    assert (answer.RC, answer.PP) == (ResponseCode.INVALID_REQUEST, 0)


def test_groups_that_are_never_closed_take_bounded_room(machine, iommu):
    held = iommu.page_requests.size // 32
    for n in range(3 * held):
        machine.page_request(request(0x1000, last=False, group=n % 512, pasid=n // 512))
        iommu.page_requests.drain()
    assert sum(map(len, iommu.page_requests.partial.values())) <= held
    assert iommu.page_requests.counts["dropped"] >= held


def test_an_overflow_voids_what_was_begun_and_is_cleared(machine, iommu):
    machine.page_request(request(0x1000, last=False))
    machine.put(machine.get(Unit.PRS).replace(PRO=1))
    iommu.page_requests.drain()
    assert iommu.page_requests.partial == {}
    assert not machine.get(Unit.PRS).PRO
    assert iommu.page_requests.counts["overflow"] == 1
