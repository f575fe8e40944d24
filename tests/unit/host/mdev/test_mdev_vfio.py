"""A vdev in its user's hands: VFIO's checks before, and nothing left after."""

import errno

import pytest

from siov.host.iommu import IntelIommu, pasid_allocator
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.host.vfio import DeviceFlag, RegionFlag, VfioContainer, VfioDevice
from siov.host.vfio import SetIrqsFlag as Flag

from ..machine import RAM_BASE, UNIT_BASE, Machine
from .parent import PAGES, UUIDS
from .test_mdev_create import CREATE, refused

RID = 0x3B00


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def container(machine) -> VfioContainer:
    iommu = IntelIommu(PhysMem(machine, RAM_BASE, machine.size - RAM_BASE), UNIT_BASE, polls=50)
    iommu.enable()
    iommu.add_device(RID, pasid_bits=20)
    return VfioContainer(iommu, pasid_allocator())


@pytest.fixture
def device(sysfs, mdev, container) -> VfioDevice:
    sysfs.write(CREATE, UUIDS[0])
    return VfioDevice(mdev.find(UUIDS[0]), container)


@pytest.fixture
def opened(device, ops) -> VfioDevice:
    device.open()
    ops.calls.clear()
    return device


def test_open_attaches_a_pasid_on_the_parent_s_requester_id_before_the_device_hears_of_it(
    device, ops, machine
):
    found = []
    device.mdev.ops.open_device = lambda pasid: found.append((pasid, machine.pasid_entry(RID, pasid)))
    device.open()
    ((pasid, entry),) = found
    assert pasid == device.pasid
    assert entry is not None


def test_a_device_can_be_open_once(device, mdev, container):
    device.open()
    again = VfioDevice(device.mdev, container)
    assert refused(again.open).errno == errno.EBUSY
    assert refused(device.open).errno == errno.EBUSY
    device.close()
    again.open()


def test_an_open_that_the_device_refuses_leaves_nothing(device, machine, container):
    device.mdev.ops.fails = LinuxError(errno.EIO, "the firmware did not answer")
    assert refused(device.open).errno == errno.EIO
    assert (device.is_open, device.mdev.opener, container.attached) == (False, None, {})
    assert container.pasids.taken == set()
    assert machine.pasid_entry(RID, 1) is None
    device.mdev.ops.fails = None
    device.open()


def test_close_stops_interrupts_then_the_device_then_its_mappings_then_its_dma(opened, ops, machine):
    order = ops.calls
    pasid = opened.pasid
    opened.zap = lambda: order.append(("zap", machine.pasid_entry(RID, pasid) is not None))
    opened.set_irqs(2, 0, [7])
    order.clear()
    opened.close()
    assert order == [("disable_irqs", 2), ("close_device",), ("zap", True)]
    assert machine.pasid_entry(RID, pasid) is None
    assert opened.container.pasids.taken == set()
    assert opened.mdev.ops.zap is None


def test_a_close_that_the_device_refuses_closes_it_all_the_same(opened, machine):
    pasid = opened.pasid
    opened.mdev.ops.fails = LinuxError(errno.EIO, "the firmware did not answer")
    assert refused(opened.close).errno == errno.EIO
    assert (opened.is_open, opened.mdev.opener) == (False, None)
    assert machine.pasid_entry(RID, pasid) is None


def test_as_a_context_it_is_open_and_afterwards_closed(device):
    with device as inside:
        assert inside.is_open
    assert not device.is_open


def test_a_removal_by_force_closes_it_and_further_use_is_refused(opened, mdev, ops):
    mdev.remove(opened.mdev, force=True)
    assert [call[0] for call in ops.calls] == ["close_device", "remove"]
    assert opened.container.attached == {}
    assert refused(opened.read, 0, 0, 4).errno == errno.EBADF
    assert refused(opened.open).errno == errno.ENODEV


@pytest.mark.parametrize(
    "use",
    [
        lambda device: device.read(0, 0, 4),
        lambda device: device.write(0, 0, b"1234"),
        lambda device: device.mmap(0, 0x1000),
        lambda device: device.set_irqs(2, 0, [1]),
        lambda device: device.disable_irqs(2),
        lambda device: device.reset(),
        lambda device: device.close(),
    ],
)
def test_what_is_not_open_can_not_be_used(device, use):
    assert refused(use, device).errno == errno.EBADF


def test_it_says_that_it_is_a_pci_device_of_9_regions_and_5_interrupt_indexes(device):
    assert device.flags == DeviceFlag.PCI | DeviceFlag.RESET
    assert (device.num_regions, device.num_irqs) == (9, 5)
    assert [device.region(n).size for n in range(9)] == [0x4000, 0x2000, 0, 0, 0, 0, 0, 256, 0]
    assert [device.irq(n).count for n in range(5)] == [0, 0, 5, 0, 0]
    for wrong in (-1, 9):
        assert refused(device.region, wrong).errno == errno.EINVAL
    for wrong in (-1, 5):
        assert refused(device.irq, wrong).errno == errno.EINVAL


def test_a_region_that_is_mapped_in_parts_says_so(device):
    assert RegionFlag.CAPS in device.region(0).flags
    assert RegionFlag.CAPS not in device.region(1).flags


def test_a_flat_offset_is_the_region_s_index_at_bit_40(opened, ops):
    assert opened.offset(7, 0x3C) == 7 << 40 | 0x3C
    opened.pread(1, 7 << 40 | 0x3C)
    opened.pwrite(b"\x01", 0x10)
    assert ops.calls == [("read", 7, 0x3C, 1), ("write", 0, 0x10, b"\x01")]


@pytest.mark.parametrize(
    ("offset", "size", "steps"),
    [
        (0, 4, [(0, 4)]),
        (0, 8, [(0, 4), (4, 4)]),
        (1, 4, [(1, 1), (2, 2), (4, 1)]),
        (2, 4, [(2, 2), (4, 2)]),
        (3, 1, [(3, 1)]),
        (0, 0, []),
    ],
)
def test_an_access_is_cut_into_aligned_ones_of_at_most_4_bytes(opened, ops, offset, size, steps):
    data = bytes(n & 0xFF for n in range(offset, offset + size))
    assert opened.read(0, offset, size) == data
    assert opened.write(0, offset, data) == size
    assert [call[2:] for call in ops.calls if call[0] == "read"] == steps
    assert b"".join(call[3] for call in ops.calls if call[0] == "write") == data
    assert [call[2] for call in ops.calls if call[0] == "write"] == [at for at, _ in steps]


def test_an_access_over_the_end_is_cut_there_and_one_behind_it_is_einval(opened):
    assert len(opened.read(7, 254, 8)) == 2
    assert opened.write(7, 254, bytes(8)) == 2
    for offset in (256, 1 << 39, -1):
        assert refused(opened.read, 7, offset, 1).errno == errno.EINVAL
        assert refused(opened.write, 7, offset, b"1").errno == errno.EINVAL


def test_a_region_that_there_is_not_or_that_can_not_be_written_is_einval(opened, ops):
    for index in (2, 6, 8, 9):
        assert refused(opened.read, index, 0, 4).errno == errno.EINVAL
    assert refused(opened.write, 1, 0, bytes(4)).errno == errno.EINVAL
    assert ops.calls == []


def test_a_page_in_a_sparse_area_is_mapped_to_its_physical_address(opened):
    assert [opened.mmap(0, at) for at in (0x1000, 0x2000)] == [PAGES + 0x1000, PAGES + 0x2000]
    assert opened.mmap(1, 0) == PAGES


@pytest.mark.parametrize(
    ("index", "offset"), [(0, 0), (0, 0x3000), (0, 0x1800), (0, 1 << 40), (1, 0x2000), (7, 0), (9, 0)]
)
def test_a_page_outside_or_of_a_region_that_is_trapped_is_einval(opened, index, offset):
    assert refused(opened.mmap, index, offset).errno == errno.EINVAL


def test_eventfds_go_to_the_vectors_from_start_on(opened, ops):
    opened.set_irqs(2, 1, [7, None, 9])
    assert ops.calls == [("set_irqs", 2, 1, (7, None, 9))]


TRIGGER = Flag.ACTION_TRIGGER


@pytest.mark.parametrize(
    ("flags", "index", "start", "count", "fds", "number"),
    [
        (TRIGGER | Flag.DATA_EVENTFD, 5, 0, 1, [1], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD, 2, 5, 0, [], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD, 2, 3, 3, [1, 2, 3], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD, 2, -1, 1, [1], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD, 2, 0, 2, [1], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD, 0, 0, 1, [1], errno.EINVAL),
        (TRIGGER, 2, 0, 1, [], errno.EINVAL),
        (Flag.DATA_EVENTFD, 2, 0, 1, [1], errno.EINVAL),
        (TRIGGER | Flag.DATA_EVENTFD | Flag.DATA_BOOL, 2, 0, 1, [1], errno.EINVAL),
        (TRIGGER | Flag.ACTION_MASK | Flag.DATA_NONE, 2, 0, 1, [], errno.EINVAL),
        (TRIGGER | Flag.DATA_NONE | Flag(1 << 6), 2, 0, 0, [], errno.EINVAL),
        (Flag.ACTION_MASK | Flag.DATA_NONE, 2, 0, 1, [], errno.ENOTTY),
        (Flag.ACTION_UNMASK | Flag.DATA_EVENTFD, 2, 0, 1, [1], errno.ENOTTY),
        (TRIGGER | Flag.DATA_NONE, 2, 0, 1, [], errno.ENOTTY),
        (TRIGGER | Flag.DATA_BOOL, 2, 0, 1, [], errno.ENOTTY),
    ],
)
def test_set_irqs_refuses_what_contradicts_itself_and_what_a_vdev_can_not_do(
    opened, ops, flags, index, start, count, fds, number
):
    assert refused(opened.ioctl_set_irqs, flags, index, start, count, fds).errno == number
    assert ops.calls == []


def test_an_index_that_was_disabled_is_not_disabled_again_at_close(opened, ops):
    opened.set_irqs(2, 0, [7])
    opened.disable_irqs(2)
    opened.close()
    assert [call[0] for call in ops.calls] == ["set_irqs", "disable_irqs", "close_device"]


def test_a_reset_tells_the_user_to_forget_its_mappings(opened, ops):
    zapped = []
    opened.zap = lambda: zapped.append(1)
    opened.reset()
    assert (ops.calls, zapped) == ([("reset",)], [1])
