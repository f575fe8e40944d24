"""What an operator does with mediated devices, by way of sysfs."""

import errno

import pytest

from siov.host.mdev import MdevCore, Mdevctl, MdevInfo
from siov.platform import build

from .parent import UUIDS, Ops, PciDevice
from .test_mdev_create import refused

PARENT = "0000:3b:00.0"


@pytest.fixture
def ctl(mdev: MdevCore, pf: PciDevice) -> Mdevctl:
    return Mdevctl(mdev)


def test_types_say_what_there_is_how_many_are_left_and_what_limits_them(ctl):
    big, small = ctl.types()
    assert (big.parent, big.id, big.available_instances) == (PARENT, "ice-vdcm", 2)
    assert (big.name, big.device_api, big.limit) == ("S-IOV device", "vfio-pci", "8 queue pairs are free")
    assert (small.id, small.description, small.available_instances) == ("ice-vdcm-1", "", 8)
    assert ctl.types(PARENT) == [big, small]
    assert refused(ctl.types, "0000:00:00.0").errno == errno.ENODEV


def test_an_instance_gets_the_uuid_that_is_asked_for_or_one_of_its_own(ctl):
    assert ctl.create("ice-vdcm-1", UUIDS[0].upper()) == MdevInfo(UUIDS[0], PARENT, "ice-vdcm-1", False)
    other = ctl.create("ice-vdcm-1")
    assert other.uuid not in ("", UUIDS[0])
    assert {info.uuid for info in ctl.list()} == {UUIDS[0], other.uuid}
    assert ctl.list("0000:00:00.0") == []


def test_creation_goes_through_sysfs(ctl, events):
    events.clear()
    ctl.create("ice-vdcm")
    assert events[0].function == "kernfs_fop_write_iter"


def test_a_parent_that_has_one_left_is_preferred(mdev, ctl, pf):
    other = PciDevice("0000:5e:00.0")
    ops = pf.driver.ops
    spare = Ops(4)
    pf.driver.ops = spare
    pf.bus.add_device(other)
    ops.pairs = 0
    assert ctl.create("ice-vdcm").parent == "0000:5e:00.0"
    assert refused(ctl.create, "ice-vdcm").errno == errno.ENOSPC
    assert refused(ctl.create, "ice-vdcm-1", None, PARENT).errno == errno.ENOSPC


def test_an_unknown_type_is_refused_with_those_that_there_are(ctl):
    error = refused(ctl.create, "ice-avf")
    assert error.errno == errno.EINVAL
    assert "there is ice-vdcm, ice-vdcm-1" in str(error)


def test_show_reads_the_instance_s_attributes(ctl):
    ctl.create("ice-vdcm", UUIDS[0])
    shown = ctl.show(UUIDS[0])
    assert shown["type"] == "ice-vdcm"
    assert shown["attributes"] == {"vdev/tune": "no", "vdev/whose": UUIDS[0]}
    assert refused(ctl.show, UUIDS[1]).errno == errno.ENODEV


def test_remove_takes_an_open_instance_only_by_force(ctl, mdev):
    ctl.create("ice-vdcm", UUIDS[0])
    device = mdev.find(UUIDS[0])

    class User:
        def close(self) -> None:
            device.opener = None

    device.opener = User()
    assert ctl.list()[0].open
    assert refused(ctl.remove, UUIDS[0]).errno == errno.EBUSY
    ctl.remove(UUIDS[0], force=True)
    assert ctl.list() == []
    assert refused(ctl.remove, UUIDS[0]).errno == errno.ENODEV


def test_reset_is_refused_where_the_driver_offers_none(ctl):
    ctl.create("ice-vdcm", UUIDS[0])
    assert refused(ctl.reset, UUIDS[0]).errno == errno.EOPNOTSUPP
    assert refused(ctl.reset, UUIDS[1]).errno == errno.ENODEV


def test_a_server_has_mediated_devices_in_its_sysfs_and_its_inspect_tree():
    platform = build()
    assert platform.mdev.types() == platform.mdev.list() == []
    assert platform.sysfs.exists("/sys/bus/mdev/drivers/vfio_mdev")
    assert platform.inspect("host/mdev") == {"parents": {}, "devices": {}}


def test_what_is_inspected_says_what_is_left_and_why(ctl):
    ctl.create("ice-vdcm", UUIDS[0])
    kind = ctl.inspect()["parents"][PARENT]["types"]["ice-vdcm"]
    assert (kind["devices"], kind["available_instances"]) == ([UUIDS[0]], 1)
    assert kind["limit"] == "4 queue pairs are free"
