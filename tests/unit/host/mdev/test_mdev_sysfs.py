"""The tree that user space finds, as Documentation/driver-api/vfio-mediated-device.rst draws it."""

import errno

import pytest

from siov.host.device import Device
from siov.host.linux import LinuxError
from siov.host.mdev import MdevDevice

from . import parent as fake
from .parent import UUIDS

PF = "/sys/class/mdev_bus/0000:3b:00.0"
VDCM = f"{PF}/mdev_supported_types/ice-vdcm"


def test_a_parent_s_types_are_directories_named_after_driver_and_group(sysfs):
    assert sysfs.realpath(PF) == "/sys/devices/0000:3b:00.0"
    assert sysfs.listdir(f"{PF}/mdev_supported_types") == ["ice-vdcm", "ice-vdcm-1"]
    files = ["available_instances", "create", "description", "device_api", "devices", "driver", "name"]
    assert sysfs.listdir(VDCM) == files
    assert sysfs.lstat(f"{VDCM}/create").mode == 0o200
    assert {sysfs.lstat(f"{VDCM}/{name}").mode for name in ("name", "device_api", "description")} == {0o444}


def test_the_files_of_a_type_say_what_it_is(sysfs):
    assert sysfs.read(f"{VDCM}/name") == b"S-IOV device\n"
    assert sysfs.read(f"{VDCM}/device_api") == b"vfio-pci\n"
    assert sysfs.read(f"{VDCM}/description") == b"4 queue pairs, 5 vectors\n"


def test_a_type_without_a_description_has_no_such_file(sysfs):
    assert not sysfs.exists(f"{PF}/mdev_supported_types/ice-vdcm-1/description")


def test_available_instances_is_a_number_that_each_type_takes_from_the_other(sysfs):
    one = f"{PF}/mdev_supported_types/ice-vdcm-1"
    assert (sysfs.read(f"{VDCM}/available_instances"), sysfs.read(f"{one}/available_instances")) == (
        b"2\n",
        b"8\n",
    )
    sysfs.write(f"{one}/create", UUIDS[0])
    assert (sysfs.read(f"{VDCM}/available_instances"), sysfs.read(f"{one}/available_instances")) == (
        b"1\n",
        b"7\n",
    )


def test_an_instance_is_a_device_below_its_parent_on_the_mdev_bus_and_in_its_type(sysfs):
    sysfs.write(f"{VDCM}/create", UUIDS[0] + "\n")
    path = f"/sys/devices/0000:3b:00.0/{UUIDS[0]}"
    assert sysfs.realpath(f"/sys/bus/mdev/devices/{UUIDS[0]}") == path
    assert sysfs.realpath(f"{VDCM}/devices/{UUIDS[0]}") == path
    assert sysfs.readlink(f"{path}/mdev_type") == "../mdev_supported_types/ice-vdcm"
    assert sysfs.readlink(f"{path}/subsystem") == "../../../bus/mdev"
    assert sysfs.readlink(f"{path}/driver") == "../../../bus/mdev/drivers/vfio_mdev"
    assert sysfs.lstat(f"{path}/remove").mode == 0o200


def test_a_type_attribute_s_callback_gets_the_parent_and_an_instance_s_its_own_device(sysfs, pf):
    sysfs.write(f"{VDCM}/create", UUIDS[0])
    instance = f"/sys/bus/mdev/devices/{UUIDS[0]}/vdev"
    fake.got.clear()
    assert sysfs.read(f"{VDCM}/driver/whose") == b"0000:3b:00.0\n"
    assert sysfs.read(f"{instance}/whose") == f"{UUIDS[0]}\n".encode()
    sysfs.write(f"{VDCM}/driver/kick", "1")
    sysfs.write(f"{instance}/kick", "1")
    of_type, of_instance, of_type_too, of_instance_too = fake.got
    assert of_type is of_type_too is pf
    assert type(of_instance) is MdevDevice
    assert of_instance is of_instance_too
    assert isinstance(of_type, Device)


@pytest.mark.parametrize("where", [f"{VDCM}/driver", f"/sys/bus/mdev/devices/{UUIDS[0]}/vdev"])
def test_attributes_are_read_only_write_only_or_both(sysfs, where):
    sysfs.write(f"{VDCM}/create", UUIDS[0])
    for call in (
        lambda: sysfs.write(f"{where}/whose", "x"),
        lambda: sysfs.read(f"{where}/kick"),
    ):
        with pytest.raises(LinuxError) as refused:
            call()
        assert refused.value.errno == errno.EACCES
    sysfs.write(f"{where}/tune", "up\n")
    assert sysfs.read(f"{where}/tune") == b"up\n"


def test_each_instance_has_attributes_of_its_own(sysfs):
    for uuid in UUIDS[:2]:
        sysfs.write(f"{VDCM}/create", uuid)
        sysfs.write(f"/sys/bus/mdev/devices/{uuid}/vdev/tune", uuid)
    values = [sysfs.read(f"/sys/bus/mdev/devices/{uuid}/vdev/tune") for uuid in UUIDS[:2]]
    assert values == [f"{uuid}\n".encode() for uuid in UUIDS[:2]]
    assert sysfs.read(f"{VDCM}/driver/tune") == b"no\n"
