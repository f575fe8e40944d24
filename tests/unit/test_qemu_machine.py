"""QEMU's command line: what a guest's machine is, and what is refused before QEMU starts."""

import json
import socket
from itertools import pairwise
from pathlib import Path

import pytest

from siov.errors import RigError
from siov.guests import image
from siov.guests.image import Rig
from siov.guests.machine import GuestSpec, command_line, parse_memory


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    path = tmp_path / "rig"
    (path / "root" / image.QEMU).parent.mkdir(parents=True)
    (path / "root" / image.QEMU).write_bytes(b"")
    return Rig(path, image.Recipe("", ""), "6.12", {})


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


@pytest.mark.parametrize(
    "spec",
    [
        GuestSpec(),
        GuestSpec(memory=2048, smp=4, viommu=True, trace=("vfio_user_*",), devices=("igb",)),
        GuestSpec(accel="kvm", viommu=True, sockets=(Path("/run/a.sock"),)),
    ],
)
def test_guest_memory_is_always_shared_and_all_of_it(rig: Rig, spec: GuestSpec) -> None:
    argv = command_line(rig, spec, "initrd", ["stdio"])
    assert values(argv, "-object") == [f"memory-backend-memfd,id=ram,size={spec.memory}M,share=on"]
    assert values(argv, "-machine") == ["q35,memory-backend=ram"]
    assert values(argv, "-m") == [f"{spec.memory}M"]


def test_every_device_is_alone_behind_a_root_port_of_its_own(rig: Rig) -> None:
    sockets = tuple(Path(f"/run/{index}.sock") for index in range(20))
    devices = values(command_line(rig, GuestSpec(sockets=sockets), "initrd", []), "-device")
    parsed = [json.loads(device) for device in devices]
    ports, vdevs = parsed[::2], parsed[1::2]
    assert {port["driver"] for port in ports} == {"pcie-root-port"}
    assert [vdev["socket"]["path"] for vdev in vdevs] == [str(path) for path in sockets]
    assert [vdev["bus"] for vdev in vdevs] == [port["id"] for port in ports]
    assert len({port["addr"] for port in ports}) == len({port["chassis"] for port in ports}) == 20
    assert [port["addr"] for port in ports[:9:8]] == ["0x10.0", "0x11.0"]


def test_spare_ports_are_empty_and_come_after_those_with_a_device(rig: Rig) -> None:
    spec = GuestSpec(sockets=(Path("/run/a.sock"),), spare_ports=2)
    devices = [json.loads(device) for device in values(command_line(rig, spec, "initrd", []), "-device")]
    assert [device["id"] for device in devices] == ["port0", "vdev0", "port1", "port2"]
    assert len({device["addr"] for device in devices if "addr" in device}) == 3


def test_only_a_guest_that_may_reboot_outlives_a_reset(rig: Rig) -> None:
    assert "-no-reboot" in command_line(rig, GuestSpec(), "initrd", [])
    argv = command_line(rig, GuestSpec(reboot=True), "initrd", [])
    assert "-no-reboot" not in argv
    assert [w for w in values(argv, "-append")[0].split() if w.startswith("panic=")][-1] == "panic=0"


def test_a_socket_path_with_a_comma_reaches_qemu_as_it_is(rig: Rig) -> None:
    devices = values(
        command_line(rig, GuestSpec(sockets=(Path("/run/a,b=c.sock"),)), "initrd", []), "-device"
    )
    assert json.loads(devices[1])["socket"] == {"type": "unix", "path": "/run/a,b=c.sock"}


def test_a_nics_wire_stands_before_it_and_is_qemus_json(rig: Rig) -> None:
    wire = {"type": "stream", "id": "net0", "server": True, "addr": {"type": "unix", "path": "/run/a,b"}}
    spec = GuestSpec(netdevs=(wire,), devices=("igb,netdev=net0",))
    argv = command_line(rig, spec, "initrd", [])
    assert [json.loads(netdev) for netdev in values(argv, "-netdev")] == [wire]
    assert argv.index("-netdev") < argv.index("igb,netdev=net0")


def test_the_virtual_iommu_stands_before_what_it_translates_for(rig: Rig) -> None:
    spec = GuestSpec(viommu=True, devices=("igb",), sockets=(Path("/run/a.sock"),))
    argv = command_line(rig, spec, "initrd", [])
    devices = values(argv, "-device")
    assert devices[0] == "intel-iommu,caching-mode=on"
    assert devices[-1] == "igb"
    assert "intel_iommu=on" in values(argv, "-append")[0].split()


def test_the_callers_words_stand_last_on_the_kernels_command_line(rig: Rig) -> None:
    argv = command_line(rig, GuestSpec(append="quiet=no x=y"), "initrd", [], append="siov.agent=ttyS1")
    words = values(argv, "-append")[0].split()
    assert words[0] == "console=ttyS0"
    assert words[-3:] == ["siov.agent=ttyS1", "quiet=no", "x=y"]


def test_kernel_processors_serial_ports_and_traces_are_passed_on(rig: Rig) -> None:
    spec = GuestSpec(smp=3, kernel=Path("/boot/mine"), trace=("a*", "b*"))
    argv = command_line(rig, spec, "the-initrd", ["chardev:a", "chardev:b"])
    assert values(argv, "-smp") == ["3"]
    assert values(argv, "-kernel") == ["/boot/mine"]
    assert values(argv, "-initrd") == ["the-initrd"]
    assert values(argv, "-serial") == ["chardev:a", "chardev:b"]
    assert values(argv, "-trace") == ["a*", "b*"]
    assert values(command_line(rig, GuestSpec(), "", []), "-kernel") == [str(rig.vmlinuz)]


@pytest.mark.parametrize(("text", "mib"), [("512M", 512), ("2G", 2048), ("256", 256), ("1g", 1024)])
def test_memory_sizes_are_read_in_mib(text: str, mib: int) -> None:
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "M", "1.5G", "-1", "512K", "512MB", "0x10", "٣"])
def test_a_memory_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RigError, match="is not a memory size; write it as 512M or 2G"):
        parse_memory(text)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(RigError, match="64 MiB of memory does not boot"):
        GuestSpec(memory=64)
    with pytest.raises(RigError, match="0 processors"):
        GuestSpec(smp=0)
    with pytest.raises(RigError, match="no accelerator xen; have tcg, kvm"):
        GuestSpec(accel="xen")  # type: ignore[arg-type]
    with pytest.raises(RigError, match="room for 120 devices, not 121"):
        GuestSpec(sockets=(Path("x"),) * 121)


def test_a_socket_that_is_missing_too_long_or_no_socket_is_refused_before_qemu_starts(tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"no vfio-user socket .*/nosuch: No such file"):
        GuestSpec(sockets=(tmp_path / "nosuch",)).check()
    with pytest.raises(RigError, match="longer than the 107 bytes"):
        GuestSpec(sockets=(tmp_path / ("x" * 108),)).check()
    (tmp_path / "file").write_text("")
    with pytest.raises(RigError, match="file is not a socket"):
        GuestSpec(sockets=(tmp_path / "file",)).check()
    with pytest.raises(RigError, match=r"no kernel .*nosuch"):
        GuestSpec(kernel=tmp_path / "nosuch").check()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "there"))
        GuestSpec(sockets=(tmp_path / "there",)).check()
