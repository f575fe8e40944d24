"""A stock Linux guest and the test function: what it sees, and what it can do with it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import SLOT, Served, holdings, serve

from siov.guests.image import Rig
from siov.guests.qemu import Guest, GuestSpec

MIB = 1 << 20
# Memory that the guest's kernel leaves alone, so that a script may use it by its physical address.
SOURCE, TARGET = 0x1000_0000, 0x1010_0000
RESERVE = r"memmap=2M$0x10000000"
DATA = bytes((7 * n + n // 251) & 0xFF for n in range(MIB))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served") / "function.sock") as served:
        yield served


@pytest.fixture(scope="module")
def guest(rig: Rig, served: Served) -> Iterator[Guest]:
    spec = GuestSpec(sockets=(served.socket,), append=RESERVE)
    with Guest(spec, files={"/root/data": DATA}, rig=rig) as guest:
        yield guest


@pytest.fixture(scope="module")
def bar(guest: Guest) -> int:
    """Where the guest has put BAR 0, with memory space and bus mastering switched on."""
    guest.check(f"setpci -s {SLOT} COMMAND=6")
    return int(guest.check(f"cat /sys/bus/pci/devices/{SLOT}/resource").split()[0], 16)


def told_alike(line: str) -> bool:
    return not any(word in line for word in ("Memory at", "Kernel driver", "Kernel modules"))


@pytest.mark.parametrize("detail", [1, 2, 3])
def test_the_guests_lspci_reads_line_for_line_as_ours(
    guest: Guest, served: Served, rig: Rig, detail: int
) -> None:
    theirs = guest.check(f"lspci -{'v' * detail} -s {SLOT}").splitlines()
    ours = served.lspci(rig.path / "root/usr/share/misc/pci.ids", detail=detail)
    assert [line for line in theirs if told_alike(line)] == [line for line in ours if told_alike(line)]
    assert len(theirs) == len(ours)
    assert sum("Capabilities: [" in line for line in theirs) >= 7


def test_the_guest_reads_all_4096_bytes_of_the_configuration_space_as_they_are(
    guest: Guest, served: Served
) -> None:
    dump = guest.check(f"lspci -xxxx -s {SLOT}").splitlines()[1:]
    theirs = bytes(int(byte, 16) for line in dump if line for byte in line.split(":")[1].split())
    assert theirs == served.config.dump()
    assert len(theirs) == 4096


def test_a_register_keeps_what_the_guest_writes(guest: Guest, bar: int) -> None:
    assert guest.check(f"devmem {bar:#x} 32").split() == ["0x564F4953"]
    guest.check(f"devmem {bar + 4:#x} 32 0x12345678; devmem {bar + 5:#x} 8 0xab")
    assert guest.check(f"devmem {bar + 4:#x} 32").split() == ["0x1234AB78"]


def test_the_copy_engine_moves_a_mebibyte_of_guest_memory(guest: Guest, bar: int) -> None:
    script = f"""
        dd if=/root/data of=/dev/mem bs=64k seek={SOURCE >> 16} conv=notrunc 2>/dev/null
        dd if=/dev/zero of=/dev/mem bs=64k count=16 seek={TARGET >> 16} conv=notrunc 2>/dev/null
        devmem {bar + 0x10:#x} 64 {SOURCE:#x}
        devmem {bar + 0x18:#x} 64 {TARGET:#x}
        devmem {bar + 0x20:#x} 32 {MIB:#x}
        devmem {bar + 0x24:#x} 32 1
        for i in $(seq 100); do
            [ $(($(devmem {bar + 0x28:#x} 32) & 1)) = 0 ] && break
            usleep 50000
        done
        devmem {bar + 0x28:#x} 32
        dd if=/dev/mem bs=64k count=16 skip={TARGET >> 16} 2>/dev/null | cmp - /root/data && echo same
    """
    assert guest.check(script).split() == ["0x00000002", "same"]


def test_a_function_level_reset_clears_the_registers(guest: Guest, bar: int) -> None:
    guest.check(f"devmem {bar + 4:#x} 32 0x55AA55AA; echo flr > /sys/bus/pci/devices/{SLOT}/reset_method")
    guest.check(f"echo 1 > /sys/bus/pci/devices/{SLOT}/reset; setpci -s {SLOT} COMMAND=6")
    assert guest.check(f"devmem {bar + 4:#x} 32").split() == ["0x00000000"]
    assert guest.check(f"devmem {bar:#x} 32").split() == ["0x564F4953"]


@pytest.fixture(scope="session")
def vfio_probe(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A user-space driver on vfio-pci, built for the guest."""
    program = tmp_path_factory.mktemp("probe") / "vfio_probe"
    source = Path(__file__).with_name("vfio_probe.c")
    subprocess.run(["cc", "-static", "-O1", "-Wall", "-Werror", "-o", program, source], check=True)
    return program.read_bytes()


def test_a_driver_on_vfio_pci_gets_every_vector_and_copies_through_the_guests_iommu(
    rig: Rig, tmp_path: Path, vfio_probe: bytes
) -> None:
    files = {"/root/vfio_probe": vfio_probe}
    with (
        serve(tmp_path / "f.sock") as served,
        Guest(GuestSpec(sockets=(served.socket,), viommu=True), files=files, rig=rig) as guest,
    ):
        guest.check(f"""
            modprobe vfio_iommu_type1; modprobe vfio-pci; chmod +x /root/vfio_probe
            echo vfio-pci > /sys/bus/pci/devices/{SLOT}/driver_override
            echo {SLOT} > /sys/bus/pci/drivers_probe
        """)
        lines = guest.check(f"/root/vfio_probe {SLOT}", timeout=120).splitlines()
        signals = served.endpoint.inspect()["irq_signals"]
    assert lines[0] == "id 564f4953"
    assert lines[1:18] == [f"vector {n} 1" for n in range(16)] + ["doorbells 16"]
    interrupts = [line.split() for line in lines if line.startswith("interrupts")]
    assert [(words[2], words[-1]) for words in interrupts] == [
        ("1", f"vfio-msix[{n}]({SLOT})") for n in range(16)
    ]
    assert lines[-3:] == ["copy 0x2", "same 1", "fault 0x4 0x300000000"]
    assert signals == 18  # 16 doorbells, the ends of two copies


def test_one_guest_drives_two_functions(rig: Rig, tmp_path: Path) -> None:
    with serve(tmp_path / "a.sock") as first, serve(tmp_path / "b.sock") as second:
        spec = GuestSpec(sockets=(first.socket, second.socket))
        with Guest(spec, rig=rig) as guest:
            for n in (1, 2):
                slot = f"0000:0{n}:00.0"
                guest.check(f"setpci -s {slot} COMMAND=6")
                at = int(guest.check(f"cat /sys/bus/pci/devices/{slot}/resource").split()[0], 16)
                guest.check(f"devmem {at + 4:#x} 32 {0x1111 * n:#x}")
                assert guest.check(f"devmem {at + 4:#x} 32").split() == [f"0x{0x1111 * n:08X}"]
            assert guest.check("lspci -d 1234:510f | wc -l").split() == ["2"]


def test_twenty_boots_in_a_row_leave_nothing_in_the_server(rig: Rig, tmp_path: Path) -> None:
    others = holdings()["memfds"]  # those of guests that other tests keep
    with serve(tmp_path / "f.sock") as served:
        before = None
        for boot in range(20):
            with Guest(GuestSpec(sockets=(served.socket,)), rig=rig) as guest:
                assert guest.check("lspci -n -d 1234:510f").split()[:3] == ["01:00.0", "ff00:", "1234:510f"]
            deadline = time.monotonic() + 10
            while served.endpoint.inspect()["connected"] and time.monotonic() < deadline:
                time.sleep(0.01)
            state = served.endpoint.inspect()
            assert (state["connected"], state["maps"], state["irqs"]) == (False, [], [])
            before = before or holdings()  # the first boot may have warmed something up
            assert holdings() == before, f"after boot {boot + 1}"
        assert state["counters"]["connections"] == 20
        assert before is not None
        assert before["memfds"] == others
