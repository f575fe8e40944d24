"""Removing instances and parents: nothing is left, whoever goes first."""

import errno

import pytest

from siov.host.linux import LinuxError

from .parent import UUIDS, Ops, Pf
from .test_mdev_create import CREATE, refused

BUS = "/sys/bus/mdev/devices"


class User:
    def __init__(self, mdev) -> None:
        self.mdev, self.closed = mdev, 0
        mdev.opener = self

    def close(self) -> None:
        self.closed += 1
        self.mdev.opener = None


def test_a_write_of_a_number_but_zero_removes_the_instance_and_leaves_nothing(sysfs, mdev, ops):
    before = sysfs.tree()
    for text in ("1", "1\n", "0x10\n"):
        sysfs.write(CREATE, UUIDS[0])
        sysfs.write(f"{BUS}/{UUIDS[0]}/remove", text)
        assert (sysfs.tree(), mdev.devices) == (before, {})
    assert ops.calls == [("create", UUIDS[0]), ("remove", UUIDS[0])] * 3


def test_a_zero_removes_nothing_and_what_is_no_number_is_einval(sysfs):
    sysfs.write(CREATE, UUIDS[0])
    sysfs.write(f"{BUS}/{UUIDS[0]}/remove", "0\n")
    assert refused(sysfs.write, f"{BUS}/{UUIDS[0]}/remove", "yes").errno == errno.EINVAL
    assert sysfs.listdir(BUS) == [UUIDS[0]]


def test_an_instance_that_is_open_is_busy_unless_its_removal_is_forced(sysfs, mdev):
    sysfs.write(CREATE, UUIDS[0])
    device = mdev.find(UUIDS[0])
    user = User(device)
    error = refused(sysfs.write, f"{BUS}/{UUIDS[0]}/remove", "1")
    assert error.errno == errno.EBUSY
    assert f"mdev {UUIDS[0]} is open" in str(error)
    assert (user.closed, sysfs.listdir(BUS)) == (0, [UUIDS[0]])
    mdev.remove(device, force=True)
    assert (user.closed, sysfs.listdir(BUS)) == (1, [])


def test_the_user_is_closed_before_the_driver_takes_the_instance_away(sysfs, mdev, ops):
    sysfs.write(CREATE, UUIDS[0])
    device = mdev.find(UUIDS[0])
    user = User(device)
    user.close = lambda: ops.calls.append(("closed",))
    mdev.remove(device, force=True)
    assert ops.calls == [("create", UUIDS[0]), ("closed",), ("remove", UUIDS[0])]


def test_unbinding_an_instance_from_vfio_closes_it_and_it_stays(sysfs, mdev):
    sysfs.write(CREATE, UUIDS[0])
    user = User(mdev.find(UUIDS[0]))
    sysfs.write("/sys/bus/mdev/drivers/vfio_mdev/unbind", UUIDS[0])
    assert (user.closed, sysfs.listdir(BUS)) == (1, [UUIDS[0]])
    sysfs.write(f"{BUS}/{UUIDS[0]}/remove", "1")
    assert sysfs.listdir(BUS) == []


def test_unbinding_the_parent_s_driver_removes_all_instances_open_ones_too(sysfs, mdev, ops):
    for uuid in UUIDS[:2]:
        sysfs.write(CREATE, uuid)
    user = User(mdev.find(UUIDS[1]))
    sysfs.write("/sys/bus/pci/drivers/ice/unbind", "0000:3b:00.0")
    assert (user.closed, mdev.devices, mdev.parents) == (1, {}, {})
    assert sysfs.listdir("/sys/class/mdev_bus") == sysfs.listdir(BUS) == []
    assert sysfs.listdir("/sys/devices/0000:3b:00.0") == ["driver_override", "subsystem", "uevent"]
    assert ops.pairs == 8


def test_pulling_the_parent_out_removes_its_instances_and_gives_everything_back(sysfs, mdev, ops, pf):
    sysfs.write(CREATE, UUIDS[0])
    user = User(mdev.find(UUIDS[0]))
    pf.unregister()
    assert (user.closed, mdev.devices, mdev.parents, ops.pairs) == (1, {}, {}, 8)
    assert sysfs.listdir("/sys/devices") == []


def test_a_driver_whose_remove_fails_is_reported_and_stops_no_other(sysfs, mdev, ops, events):
    for uuid in UUIDS[:2]:
        sysfs.write(CREATE, uuid)
    removed = []

    def remove(device) -> None:
        removed.append(device.name)
        raise LinuxError(errno.EIO, "the firmware did not answer")

    ops.remove = remove
    sysfs.write("/sys/bus/pci/drivers/ice/unbind", "0000:3b:00.0")
    assert (removed, mdev.devices) == (UUIDS[:2], {})
    assert any("the firmware did not answer" in event.detail for event in events)


@pytest.mark.parametrize("again", ["remove", "unregister_parent"])
def test_a_removal_within_a_removal_does_it_once(sysfs, mdev, ops, pf, again):
    sysfs.write(CREATE, UUIDS[0])
    device = mdev.find(UUIDS[0])
    user = User(device)
    seen = []

    def close() -> None:
        device.opener = None
        if again == "remove":
            seen.append(refused(mdev.remove, device).errno)
        else:
            mdev.unregister_parent(pf)

    user.close = close
    mdev.remove(device, force=True)
    assert seen == ([errno.EAGAIN] if again == "remove" else [])
    assert ops.calls == [("create", UUIDS[0]), ("remove", UUIDS[0])]
    assert mdev.devices == {}


def test_nothing_can_be_created_once_the_parent_is_going(sysfs, mdev, ops, pf):
    sysfs.write(CREATE, UUIDS[0])
    seen = []
    (mtype, _) = mdev.parents[pf].types
    ops.remove = lambda device: seen.append(refused(mdev.create, mtype, UUIDS[1]).errno)
    mdev.unregister_parent(pf)
    assert seen == [errno.ENODEV]


def test_a_driver_binds_again_after_it_was_unbound(sysfs, mdev):
    for _ in range(2):
        sysfs.write(CREATE, UUIDS[0])
        sysfs.write("/sys/bus/pci/drivers/ice/unbind", "0000:3b:00.0")
        sysfs.write("/sys/bus/pci/drivers/ice/bind", "0000:3b:00.0")
    assert list(mdev.devices) == []


def test_a_parent_registers_once_with_types_of_different_names(mdev, ops, pf):
    assert refused(mdev.register_parent, pf, ops).errno == errno.EEXIST
    mdev.unregister_parent(pf)
    assert refused(mdev.unregister_parent, pf).errno == errno.ENODEV
    before = mdev.core.sysfs.tree()
    for types in ((), (ops.types[0], ops.types[0])):
        ops.types = types
        assert refused(mdev.register_parent, pf, ops).errno == errno.EINVAL
    assert mdev.core.sysfs.tree() == before


def test_the_mdev_core_goes_when_its_parents_have_gone(sysfs, mdev, pf):
    assert refused(mdev.unregister).errno == errno.EBUSY
    mdev.unregister_parent(pf)
    mdev.unregister()
    assert (sysfs.listdir("/sys/class"), sysfs.listdir("/sys/bus")) == ([], ["pci"])


def test_an_unknown_instance_is_named_with_those_that_there_are(sysfs, mdev):
    sysfs.write(CREATE, UUIDS[0])
    error = refused(mdev.find, UUIDS[1])
    assert error.errno == errno.ENODEV
    assert UUIDS[0] in str(error)


@pytest.mark.parametrize("count", [1, 5])
def test_churn_leaves_the_tree_as_it_was(sysfs, mdev, count):
    before = sysfs.tree()
    small = "/sys/class/mdev_bus/0000:3b:00.0/mdev_supported_types/ice-vdcm-1/create"
    for _ in range(20):
        for uuid in UUIDS[:count]:
            sysfs.write(small, uuid)
        for uuid in reversed(UUIDS[:count]):
            sysfs.write(f"{BUS}/{uuid}/remove", "1")
    assert (sysfs.tree(), mdev.devices) == (before, {})


def test_a_driver_that_is_unregistered_takes_its_parents_along(mdev, pf):
    driver = pf.driver
    assert isinstance(driver, Pf)
    assert isinstance(driver.ops, Ops)
    driver.unregister()
    assert mdev.parents == {}
