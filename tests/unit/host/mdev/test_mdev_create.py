"""Creating an instance: a write to `create`, and every way in which it is refused."""

import errno

import pytest

from siov.host.core import DriverCore
from siov.host.linux import LinuxError
from siov.host.mdev import MdevCore

from .parent import UUIDS, Ops, plug

TYPES = "/sys/class/mdev_bus/0000:3b:00.0/mdev_supported_types"
CREATE = f"{TYPES}/ice-vdcm/create"


def refused(call, *args):
    with pytest.raises(LinuxError) as caught:
        call(*args)
    return caught.value


def test_the_trace_reads_as_linux_s_call_chain(sysfs, events):
    events.clear()
    sysfs.write(CREATE, UUIDS[0] + "\n")
    names = [event.function for event in events]
    chain = [
        "kernfs_fop_write_iter",
        "sysfs_kf_write",
        "create_store",
        "mdev_device_create",
        "ice_vdcm_create",
        "device_add",
        "bus_probe_device",
        "vfio_mdev_probe",
        "mdev_create_sysfs_files",
    ]
    assert [name for name in names if name in chain] == chain


@pytest.mark.parametrize("text", [UUIDS[0], UUIDS[0] + "\n", UUIDS[0].upper()])
def test_a_uuid_is_taken_with_or_without_a_newline_and_named_in_lower_case(sysfs, text):
    assert sysfs.write(CREATE, text) == len(text)
    assert sysfs.listdir("/sys/bus/mdev/devices") == [UUIDS[0]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "1",
        UUIDS[0][:-1],
        UUIDS[0] + "\n\n",
        UUIDS[0].replace("-", ""),
        "{" + UUIDS[0][1:-1] + "}",
        UUIDS[0][:-1] + "g",
        UUIDS[0].replace("-", "_"),
        UUIDS[0].replace("-", "", 1)[:-1] + "-1",
        "urn:uuid:" + UUIDS[0],
        b"\xff" * 36,
        "\u0660" + UUIDS[0][1:],
    ],
)
def test_what_is_no_uuid_is_refused_with_einval(sysfs, ops, text):
    error = refused(sysfs.write, CREATE, text)
    assert error.errno == errno.EINVAL
    assert ops.calls == []


def test_a_uuid_that_is_taken_is_refused_with_eexist_on_every_type(sysfs, ops):
    sysfs.write(CREATE, UUIDS[0])
    for kind in ("ice-vdcm", "ice-vdcm-1"):
        error = refused(sysfs.write, f"{TYPES}/{kind}/create", UUIDS[0].upper())
        assert error.errno == errno.EEXIST
        assert "ice-vdcm on 0000:3b:00.0" in str(error)
    assert ops.calls == [("create", UUIDS[0])]


def test_when_none_is_left_the_refusal_is_enospc_and_says_what_ran_out(sysfs, ops):
    for uuid in (UUIDS[0], UUIDS[1]):
        sysfs.write(CREATE, uuid)
    error = refused(sysfs.write, CREATE, UUIDS[2])
    assert error.errno == errno.ENOSPC
    assert "no ice-vdcm is left on 0000:3b:00.0: 0 queue pairs are free" in str(error)
    assert sysfs.listdir("/sys/bus/mdev/devices") == UUIDS[:2]


def test_a_parent_s_own_limit_counts_all_types_and_is_eusers():
    mdev = MdevCore(DriverCore()).register()
    plug(mdev, Ops(100), max_instances=2)
    sysfs = mdev.core.sysfs
    assert sysfs.read(f"{TYPES}/ice-vdcm/available_instances") == b"2\n"
    sysfs.write(CREATE, UUIDS[0])
    sysfs.write(f"{TYPES}/ice-vdcm-1/create", UUIDS[1])
    assert sysfs.read(f"{TYPES}/ice-vdcm/available_instances") == b"0\n"
    error = refused(sysfs.write, CREATE, UUIDS[2])
    assert error.errno == errno.EUSERS
    assert "0 of the 2 instances" in str(error)
    sysfs.write(f"/sys/bus/mdev/devices/{UUIDS[0]}/remove", "1")
    sysfs.write(CREATE, UUIDS[2])


def test_a_create_that_the_driver_refuses_leaves_nothing(sysfs, mdev, ops, pf):
    before = sysfs.tree()
    ops.fails = LinuxError(errno.EIO, "the firmware did not answer")
    assert refused(sysfs.write, CREATE, UUIDS[0]).errno == errno.EIO
    assert (sysfs.tree(), mdev.devices) == (before, {})
    ops.fails = None
    sysfs.write(CREATE, UUIDS[0])


def test_a_create_whose_sysfs_part_fails_is_undone_in_the_driver_too(sysfs, mdev, ops, pf):
    before = sysfs.tree()
    ops.within_create = lambda made: pf.sd.mkdir(made.name, pf)  # the name is taken meanwhile
    assert refused(sysfs.write, CREATE, UUIDS[0]).errno == errno.EEXIST
    assert ops.calls == [("create", UUIDS[0]), ("remove", UUIDS[0])]
    assert ops.pairs == 8
    pf.sd.children[UUIDS[0]].remove()
    assert (sysfs.tree(), mdev.devices) == (before, {})


def test_a_uuid_that_is_being_made_is_taken(sysfs, ops):
    seen = []
    ops.within_create = lambda made: seen.append(refused(sysfs.write, CREATE, made.name).errno)
    sysfs.write(CREATE, UUIDS[0])
    assert seen == [errno.EEXIST]


def test_an_instance_that_is_being_made_can_not_be_removed(sysfs, mdev, ops):
    seen = []
    ops.within_create = lambda made: seen.append(refused(mdev.remove, made).errno)
    sysfs.write(CREATE, UUIDS[0])
    assert seen == [errno.EAGAIN]


def test_a_parent_that_goes_while_an_instance_is_made_keeps_none(sysfs, mdev, ops, pf):
    ops.within_create = lambda made: mdev.unregister_parent(pf)
    assert refused(sysfs.write, CREATE, UUIDS[0]).errno == errno.ENODEV
    assert ops.calls == [("create", UUIDS[0]), ("remove", UUIDS[0])]
    assert (mdev.devices, ops.pairs, sysfs.listdir("/sys/bus/mdev/devices")) == ({}, 8, [])
