"""Row 13: mediated devices by sysfs, on a server with the real parent, and by the unmodified mdevctl."""

import json
from collections.abc import Callable

import mdevctl as program
import pytest

from siov.control import fuse
from siov.drivers.ice.vdcm import IceVdcm
from siov.errors import SiovError
from siov.host.linux import LinuxError
from siov.host.sysfs import ATTR_RO, ATTR_RW, ATTR_WO, AttributeGroup, sysfs_create_groups

from .house import House, follow

ID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
OTHER = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
TYPES = ["ice-avf", "ice-avf-1", "ice-avf-16", "ice-vdcm", "ice-vdcm-1", "ice-vdcm-16"]


@pytest.fixture
def house() -> House:
    return House.build("mdev").boot()


def parent(house: House) -> str:
    return f"/sys/class/mdev_bus/{house.pf.dev.name}"


def types(house: House) -> str:
    return f"{parent(house)}/mdev_supported_types"


def text(house: House, path: str) -> str:
    return house.platform.sysfs.read(path).decode()


def test_the_function_is_a_parent_with_a_directory_for_each_type(house):
    sysfs = house.platform.sysfs
    assert sysfs.listdir("/sys/class/mdev_bus") == [house.pf.dev.name]
    assert sorted(sysfs.listdir(types(house))) == TYPES
    for name in TYPES:
        files = sorted(sysfs.listdir(f"{types(house)}/{name}"))
        assert files == ["available_instances", "create", "description", "device_api", "devices", "name"]
        assert text(house, f"{types(house)}/{name}/device_api") == "vfio-pci\n"
        assert int(text(house, f"{types(house)}/{name}/available_instances")) > 0, "a number"
    assert "8086:0dd5 with 4 queue pairs and 5 vectors" in text(house, f"{types(house)}/ice-vdcm/description")


def test_a_life_by_writes_to_files_reads_as_the_chain_of_the_notes(house):
    sysfs = house.platform.sysfs
    left = int(text(house, f"{types(house)}/ice-vdcm/available_instances"))
    with house.steps("mdev", "sysfs", "ice") as steps:
        sysfs.write(f"{types(house)}/ice-vdcm/create", ID + "\n")
        assert sysfs.listdir(f"{types(house)}/ice-vdcm/devices") == [ID]
        assert sysfs.readlink(f"/sys/bus/mdev/devices/{ID}/mdev_type").endswith("/ice-vdcm")
        assert int(text(house, f"{types(house)}/ice-vdcm/available_instances")) == left - 1
        sysfs.write(f"/sys/bus/mdev/devices/{ID}/remove", "1\n")
    follow(
        steps, "create_store", "mdev_device_create", "ice_vdcm_create", "ice_create_adi",
        "mdev_device_remove", "ice_vdcm_remove", "ice_free_adi",
    )  # fmt: skip
    assert sysfs.listdir("/sys/bus/mdev/devices") == []
    assert int(text(house, f"{types(house)}/ice-vdcm/available_instances")) == left


@pytest.mark.parametrize(
    ("written", "errno"), [("no-uuid", "EINVAL"), (ID[:-1], "EINVAL"), (ID + "00", "EINVAL"), (ID, "EEXIST")]
)
def test_a_write_to_create_that_can_not_be_makes_nothing(house, written, errno):
    house.platform.mdev.create("ice-vdcm", ID)
    vsis = sorted(house.pf.vsis)
    with pytest.raises(LinuxError) as caught:
        house.platform.sysfs.write(f"{types(house)}/ice-vdcm/create", written)
    assert caught.value.errno_name == errno
    assert sorted(house.pf.vsis) == vsis


def test_an_instance_in_use_is_not_removed_until_its_guest_lets_go():
    house = House.build("busy", vm1=f'uuid = "{ID}"').boot()
    with pytest.raises(LinuxError) as caught:
        house.platform.sysfs.write(f"/sys/bus/mdev/devices/{ID}/remove", "1")
    assert caught.value.errno_name == "EBUSY"
    house.tenant("vm1").driver.stats()
    house.platform.tenants.remove("vm1")
    assert not house.platform.sysfs.exists(f"/sys/bus/mdev/devices/{ID}")


def test_files_of_an_instance_are_read_only_write_only_or_both_and_get_their_own_instance(house):
    seen: list[tuple[str, object, bytes]] = []

    def state_show(mdev) -> str:
        return f"VSI {mdev.ops.adi.vf_id}\n"

    def poke_store(mdev, data: bytes) -> None:
        seen.append(("poke", mdev, data))

    def level_show(mdev) -> str:
        return "3\n"

    def level_store(mdev, data: bytes) -> None:
        seen.append(("level", mdev, data))

    files = (ATTR_RO(state_show), ATTR_WO(poke_store), ATTR_RW(level_show, level_store))
    vdcm = house.pf.vdcm
    assert isinstance(vdcm, IceVdcm)
    vdcm.mdev_attr_groups = (AttributeGroup(files, name="vdev"),)
    made = [
        house.platform.mdev.core.find(house.platform.mdev.create("ice-vdcm", u).uuid) for u in (ID, OTHER)
    ]
    for mdev in made:
        top = f"/sys/bus/mdev/devices/{mdev.name}/vdev"
        modes = {
            name: house.platform.sysfs.lstat(f"{top}/{name}").mode & 0o777
            for name in ("state", "poke", "level")
        }
        assert modes == {"state": 0o444, "poke": 0o200, "level": 0o644}
        assert text(house, f"{top}/state") == f"VSI {mdev.ops.adi.vf_id}\n"
        house.platform.sysfs.write(f"{top}/poke", "now")
        house.platform.sysfs.write(f"{top}/level", "4")
        for name, how in (
            ("state", lambda p: house.platform.sysfs.write(p, "x")),
            ("poke", house.platform.sysfs.read),
        ):
            with pytest.raises(LinuxError):
                how(f"{top}/{name}")
    assert seen == [(n, mdev, data) for mdev in made for n, data in (("poke", b"now"), ("level", b"4"))]


def test_a_file_of_a_type_gets_the_parent_and_not_the_type(house):
    seen: list[object] = []

    def tune_store(dev, data: bytes) -> None:
        seen.append(dev)

    [directory] = [
        one for one in house.platform.mdev.core.parents[house.pf.dev].types if one.name == "ice-vdcm"
    ]
    sysfs_create_groups(directory, (AttributeGroup((ATTR_WO(tune_store),)),))
    house.platform.sysfs.write(f"{types(house)}/ice-vdcm/tune", "1")
    assert seen == [house.pf.dev]


@pytest.fixture
def mdevctl(house, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Runs mdevctl on the server's /sys; status, output, errors."""
    command = program.command(tmp_path / "root")
    if command is None:
        pytest.skip("there is no mdevctl: 'make vm' fetches one")

    def run(*words: str) -> tuple[int, str, str]:
        out, err = tmp_path / "out", tmp_path / "err"
        try:
            line = ["sh", "-c", f'exec >{out} 2>{err}; exec "$0" "$@"', *command, *words]
            status = fuse.run(house.platform.sysfs, line)
        except SiovError as why:
            pytest.skip(str(why))
        return status, out.read_text(), err.read_text()

    return run


def test_the_unmodified_mdevctl_lists_the_adapters_types(house, mdevctl):
    status, out, _ = mdevctl("types", "--dumpjson")
    assert status == 0
    [parents] = json.loads(out)
    theirs = {name: facts for each in parents[house.pf.dev.name] for name, facts in each.items()}
    assert sorted(theirs) == TYPES
    ours = {each.id: each.available_instances for each in house.platform.mdev.types()}
    assert {name: facts["available_instances"] for name, facts in theirs.items()} == ours


def test_the_unmodified_mdevctl_creates_lists_and_removes_devices_of_the_adapter(house, mdevctl):
    at = house.pf.dev.name
    before = sorted(house.pf.vsis)
    assert mdevctl("start", "--uuid", ID, "--parent", at, "--type", "ice-vdcm")[0] == 0
    assert mdevctl("start", "--uuid", OTHER, "--parent", at, "--type", "ice-avf-1")[0] == 0
    assert len(house.pf.vsis) == len(before) + 2
    [listed] = json.loads(mdevctl("list", "--dumpjson")[1])
    found = {uuid: facts["mdev_type"] for each in listed[at] for uuid, facts in each.items()}
    assert found == {ID: "ice-vdcm", OTHER: "ice-avf-1"}
    for uuid in found:
        assert mdevctl("stop", "--uuid", uuid)[0] == 0
    assert mdevctl("list")[1].strip() == ""
    assert sorted(house.pf.vsis) == before
