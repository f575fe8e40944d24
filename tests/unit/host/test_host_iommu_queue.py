"""The invalidation queue: all is done when it returns, in order, and its errors are told and mended."""

from errno import EINVAL, EIO, ETIMEDOUT

import pytest

from siov.host.iommu import DeviceTlbTimeoutError, InvalidationError
from siov.host.linux import LinuxError
from siov.spec.vtd import (
    DescriptorType,
    DevTlbInvDsc,
    IecInvDsc,
    InvWaitDsc,
    IqError,
    PcInvDsc,
    Unit,
)


def iec(index: int) -> IecInvDsc:
    return IecInvDsc.of(TYPE=DescriptorType.INTERRUPT_ENTRY_CACHE, G=1, IIDX=index)


@pytest.mark.parametrize("mode", ["iommu", "legacy"])
def test_descriptors_reach_the_unit_in_order_through_many_turns_of_the_ring(machine, mode, request):
    unit = request.getfixturevalue(mode)
    sent = []
    for n in range(700):
        batch = [iec((n * 7 + k) & 0xFFFF) for k in range(n % 5)]
        unit.invalidate(batch)
        sent += batch
    assert machine.taken() == sent


def test_more_than_the_ring_holds_goes_in_pieces(machine, iommu):
    sent = [iec(n) for n in range(1000)]
    iommu.invalidate(sent)
    assert machine.taken() == sent


def test_every_batch_ends_with_a_wait_whose_status_is_new(machine, iommu):
    iommu.invalidate([iec(1)])
    iommu.invalidate([iec(2)])
    waits = [one for one in machine.done if isinstance(one, InvWaitDsc)]
    assert [type(one) for one in machine.done] == [IecInvDsc, InvWaitDsc] * 2
    assert waits[0].SW == waits[1].SW == 1
    assert waits[0].STDATA != waits[1].STDATA
    assert waits[0].STADDR == waits[1].STADDR


def test_a_queue_that_stands_still_is_given_up(machine, iommu):
    machine.stuck.add("queue")
    with pytest.raises(LinuxError, match="the end of an invalidation did not happen") as refusal:
        iommu.invalidate([iec(1)])
    assert refusal.value.errno == ETIMEDOUT


@pytest.mark.parametrize("why", [IqError.INVALID_TYPE, IqError.RESERVED_FIELD])
def test_a_refused_descriptor_is_skipped_told_and_what_stands_around_it_is_done(machine, iommu, why):
    machine.refuse = lambda one: why if isinstance(one, PcInvDsc) else None
    bad = PcInvDsc.of(TYPE=DescriptorType.PASID_CACHE, G=3)
    with pytest.raises(
        InvalidationError, match=f"dmar0 refused the invalidation descriptor .*: {why.name}"
    ) as e:
        iommu.invalidate([iec(1), bad, iec(2)])
    assert (e.value.errno, e.value.info) == (EINVAL, why)
    assert machine.taken() == [iec(1), iec(2)]
    assert not machine.get(Unit.FSTS).IQE
    assert iommu.queue.errors == {"IQE": 1}
    iommu.invalidate([iec(3)])
    assert machine.taken() == [iec(3)]


def test_an_error_of_the_ring_itself_is_told_at_once(machine, iommu):
    machine.refuse = lambda one: IqError.FETCH_ERROR
    with pytest.raises(InvalidationError, match="stands still: FETCH_ERROR") as refusal:
        iommu.invalidate([iec(1)])
    assert refusal.value.errno == EIO


def test_a_device_that_does_not_answer_is_named_and_the_queue_goes_on(machine, iommu):
    machine.silent_device = 0x3B00
    silent = DevTlbInvDsc.of(TYPE=DescriptorType.DEVICE_TLB, SID=0x3B00)
    with pytest.raises(DeviceTlbTimeoutError, match="device 0x3b00 did not complete") as refusal:
        iommu.invalidate([iec(1), silent])
    assert (refusal.value.errno, refusal.value.rid) == (ETIMEDOUT, 0x3B00)
    assert not machine.get(Unit.FSTS).ITE
    machine.taken()
    iommu.invalidate([iec(2)])
    assert machine.taken() == [iec(2)]


def test_an_unexpected_completion_is_counted_and_cleared(machine, iommu):
    def before(one):
        machine.before = lambda _: None
        machine.put(machine.get(Unit.FSTS).replace(ICE=1))
        machine.stuck.add("queue")  # so that the status register is looked at before the end

    machine.before = before
    with pytest.raises(LinuxError, match="is stuck"):
        iommu.invalidate([iec(1)])
    assert iommu.queue.errors == {"ICE": 1}
    assert not machine.get(Unit.FSTS).ICE


def test_counts_are_by_the_kind_of_descriptor(machine, iommu):
    before = iommu.queue.counts["wait"]
    iommu.invalidate([iec(1), iec(2)])
    assert iommu.inspect()["queue"]["descriptors"]["interrupt_entry_cache"] == 2
    assert iommu.queue.counts["wait"] == before + 1
