"""The unmodified mdevctl (of the rig or the system) lists, creates and removes instances of the model."""

import json

import mdevctl as program
import pytest

from siov.control import fuse
from siov.errors import SiovError
from siov.host.mdev import MdevCore, Mdevctl
from siov.host.sysfs import Sysfs

from .parent import UUIDS

PARENT = "0000:3b:00.0"


@pytest.fixture
def mdevctl(sysfs: Sysfs, tmp_path):
    """Runs mdevctl with the model's /sys; status, output, errors."""
    command = program.command(tmp_path / "root")
    if command is None:
        pytest.skip("there is no mdevctl: 'make vm' fetches one")

    def run(*words: str) -> tuple[int, str, str]:
        out, err = tmp_path / "out", tmp_path / "err"
        try:
            status = fuse.run(sysfs, ["sh", "-c", f'exec >{out} 2>{err}; exec "$0" "$@"', *command, *words])
        except SiovError as why:
            pytest.skip(str(why))
        return status, out.read_text(), err.read_text()

    return run


def test_it_lists_the_types_as_we_do(mdevctl, mdev: MdevCore):
    status, out, _ = mdevctl("types", "--dumpjson")
    assert status == 0
    (parents,) = json.loads(out)
    theirs = {name: facts for each in parents[PARENT] for name, facts in each.items()}
    ours = {
        each.id: {
            "available_instances": each.available_instances,
            "device_api": each.device_api,
            "name": each.name,
        }
        | ({"description": each.description} if each.description else {})
        for each in Mdevctl(mdev).types()
    }
    assert theirs == ours


def test_it_creates_lists_and_removes(mdevctl, mdev: MdevCore, ops):
    assert mdevctl("start", "--uuid", UUIDS[0], "--parent", PARENT, "--type", "ice-vdcm")[0] == 0
    status, made, _ = mdevctl("start", "--parent", PARENT, "--type", "ice-vdcm-1")
    assert status == 0
    assert sorted(mdev.name for mdev in mdev.devices.values()) == sorted([UUIDS[0], made.strip()])
    (listed,) = json.loads(mdevctl("list", "--dumpjson")[1])
    found = {uuid: facts["mdev_type"] for each in listed[PARENT] for uuid, facts in each.items()}
    assert found == {UUIDS[0]: "ice-vdcm", made.strip(): "ice-vdcm-1"}
    for uuid in found:
        assert mdevctl("stop", "--uuid", uuid)[0] == 0
    assert (mdev.devices, ops.pairs) == ({}, 8)
    assert mdevctl("list")[1].strip() == ""


def test_it_writes_attributes_of_an_instance(mdevctl, mdev: MdevCore, sysfs, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps({"mdev_type": "ice-vdcm", "start": "manual", "attrs": [{"vdev/tune": "fast"}]})
    )
    words = ("start", "--uuid", UUIDS[0], "--parent", PARENT, "--jsonfile", str(config))
    assert mdevctl(*words) == (0, "", "")
    assert sysfs.read(f"/sys/bus/mdev/devices/{UUIDS[0]}/vdev/tune") == b"fast\n"


def test_it_says_when_none_is_left(mdevctl, sysfs):
    for uuid in UUIDS[:2]:
        sysfs.write(f"/sys/class/mdev_bus/{PARENT}/mdev_supported_types/ice-vdcm/create", uuid)
    status, _, err = mdevctl("start", "--parent", PARENT, "--type", "ice-vdcm")
    assert status != 0
    assert "No available instances of ice-vdcm" in err
