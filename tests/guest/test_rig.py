"""The rig by itself: a guest boots, runs scripts exactly, and its end is told and cleaned up."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from siov.guests.image import Rig
from siov.guests.qemu import Guest, GuestError, GuestPanicError, GuestSpec, GuestTimeoutError, run_script

SIOV = (sys.executable, "-m", "siov.cli.main")
BYTES = bytes(range(256)) * 64 + random.Random(1).randbytes(5000)
CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def guest(rig: Rig) -> Iterator[Guest]:
    files = {"/root/bytes": BYTES, "/bin/greet": b"#!/bin/sh\necho hello $1\n"}
    spec = GuestSpec(smp=2, devices=("igb", "virtio-net-pci"), viommu=True)
    with Guest(spec, files=files, rig=rig) as guest:
        yield guest


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_a_script_ends_with_its_own_status(guest: Guest, status: int) -> None:
    assert guest.run(f"exit {status}").status == status


def test_a_script_that_a_signal_ends_has_the_status_of_the_shell(guest: Guest) -> None:
    assert guest.run("kill -TERM $$").status == 128 + signal.SIGTERM


def test_output_arrives_byte_for_byte_with_standard_error_in_its_place(guest: Guest) -> None:
    result = guest.run("cat bytes; echo aside >&2; printf end")
    assert result.output == BYTES + b"aside\nend"


def test_a_script_may_hold_any_text_and_be_longer_than_a_chunk(guest: Guest) -> None:
    text = 'it\'s "quoted" $HOME `x` \\ \t é\n' * 2000
    assert guest.run(f"cat <<'END'\n{text}END\n").output == text.encode()


def test_a_file_put_into_the_running_guest_arrives_byte_for_byte(guest: Guest) -> None:
    guest.put("/tmp/deep/er/bytes", BYTES * 3)
    assert guest.run("cat /tmp/deep/er/bytes").output == BYTES * 3
    guest.put("/tmp/deep/er/bytes", b"")
    assert guest.run("cat /tmp/deep/er/bytes").output == b""


def test_a_file_that_can_not_be_written_is_an_error_and_the_guest_lives_on(guest: Guest) -> None:
    with pytest.raises(GuestError, match="could not write /proc/version"):
        guest.put("/proc/version", b"x")
    assert guest.check("echo on") == "on\n"


def test_a_file_given_at_boot_is_executable_and_hides_no_program(guest: Guest) -> None:
    assert guest.check("greet you") == "hello you\n"
    assert "modprobe" in guest.check("ls /sbin /bin")


def test_what_one_script_changes_the_next_one_sees(guest: Guest) -> None:
    guest.check("echo kept >/tmp/kept; sleep 1000 & echo $! >/tmp/pid")
    assert guest.check("cat /tmp/kept; kill -0 $(cat /tmp/pid) && echo runs") == "kept\nruns\n"


def test_a_failing_script_is_an_error_with_its_output_when_it_had_to_succeed(guest: Guest) -> None:
    with pytest.raises(GuestError, match="ended with status 3") as caught:
        guest.check("echo the reason; exit 3")
    assert "the reason" in "".join(caught.value.__notes__)


def test_a_script_that_takes_too_long_is_stopped_with_its_children_only(guest: Guest) -> None:
    with pytest.raises(GuestTimeoutError, match="did not end within 1 s") as caught:
        guest.run("echo so far; sleep 1234 & sleep 1234", timeout=1)
    assert caught.value.output == b"so far\n"
    assert "sleep 1234" not in guest.check("ps")


def test_every_module_of_the_rig_loads(guest: Guest) -> None:
    names = "iavf igb igbvf e1000e virtio_net vfio-pci vfio_iommu_type1 uio_pci_generic 8021q"
    loaded = guest.check(f"set -e; for name in {names}; do modprobe $name; done; lsmod")
    there = {line.split()[0] for line in loaded.splitlines()}
    assert set(names.replace("-", "_").split()) <= there


def test_the_drivers_of_the_rig_bind_and_the_real_programs_see_them(guest: Guest) -> None:
    guest.check("modprobe igb; modprobe virtio_net")
    shown = guest.run("lspci -k; ethtool -i eth0; iperf3 --version")
    assert shown.status == 0
    assert "Ethernet controller: Intel Corporation 82576 Gigabit Network Connection" in shown.text
    assert "Kernel driver in use: igb" in shown.text
    assert "driver: virtio_net" in shown.text or "driver: igb" in shown.text
    assert "libkmod" not in shown.text


def test_vfio_pci_takes_a_device_behind_the_virtual_iommu(guest: Guest) -> None:
    script = """
        set -e
        modprobe vfio-pci
        address=$(lspci -Dn -d 8086:10c9 | cut -d' ' -f1)
        device=/sys/bus/pci/devices/$address
        [ ! -e $device/driver ] || echo $address >$device/driver/unbind
        echo vfio-pci >$device/driver_override
        echo $address >/sys/bus/pci/drivers_probe
        ls /dev/vfio
    """
    assert guest.check(script).split()[0].isdigit()


def test_lspci_of_the_rig_decodes_a_guests_dump_on_the_host_as_the_guest_does(
    guest: Guest, rig: Rig, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(guest.run("lspci -xxxx").output)
    argv = rig.lspci_argv("-F", str(dump))
    on_host = subprocess.run(argv, capture_output=True, check=True, timeout=30)
    assert b"Intel Corporation 82576" in on_host.stdout
    assert on_host.stdout == guest.run("lspci").output


def test_a_panic_is_reported_with_the_console_and_leaves_no_process(rig: Rig) -> None:
    with Guest(rig=rig) as guest:
        pid = guest.pid
        assert is_running(pid)
        with pytest.raises(GuestPanicError, match="kernel panicked: sysrq triggered crash") as caught:
            guest.run("echo '<2>before' >/dev/kmsg; echo c >/proc/sysrq-trigger")
        assert "before" in guest.console
        assert "Kernel panic - not syncing" in caught.value.console
        assert not guest.alive
        assert not is_running(pid)
        with pytest.raises(GuestError, match="the guest is gone"):
            guest.run("true")


def test_shutdown_ends_the_guest_in_order_and_an_error_inside_the_context_ends_it_too(rig: Rig) -> None:
    fds = set(os.listdir("/proc/self/fd"))
    with Guest(rig=rig) as guest:
        first = guest.pid
        guest.shutdown()
        assert not is_running(first)
        assert "Power down" in guest.console
    guest = Guest(rig=rig)
    with pytest.raises(GuestError), guest:
        guest.check("false")
    assert not is_running(guest.pid)
    assert set(os.listdir("/proc/self/fd")) == fds


def test_a_boot_that_takes_too_long_is_an_error_and_leaves_no_process(rig: Rig) -> None:
    guest = Guest(rig=rig)
    with pytest.raises(GuestTimeoutError, match=r"did not boot within 0\.2 s"):
        guest.start(timeout=0.2)
    assert not is_running(guest.pid)


def test_a_device_that_hangs_up_is_an_error_that_carries_what_qemu_says(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "vdev.sock"
    received = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(16, socket.MSG_WAITALL))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with pytest.raises(GuestError, match=r"^QEMU .*: qemu-system-x86_64: "):
            run_script(GuestSpec(sockets=(path,)), "true", timeout=10, rig=rig)
        thread.join()
    assert received[0][2:4] == b"\x01\x00"  # the command VERSION


def test_a_guest_dies_with_the_process_that_started_it(rig: Rig) -> None:
    code = "from siov.guests.qemu import Guest; Guest().start()"
    with subprocess.Popen([sys.executable, "-c", code], env=CHILD_ENVIRONMENT) as parent:
        tasks = Path(f"/proc/{parent.pid}/task")
        children: list[str] = []
        until = time.monotonic() + 30
        while not children and time.monotonic() < until:
            time.sleep(0.05)
            children = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
        time.sleep(1)  # QEMU asks to die with its parent when it reads its options
        parent.kill()
    (qemu,) = map(int, children)
    while is_running(qemu) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(qemu)


@pytest.mark.usefixtures("rig")
def test_vm_run_with_a_script_prints_its_output_only_and_ends_with_its_status() -> None:
    script = b"printf '\\001\\377\\n'; cat /proc/cmdline; exit 5"
    argv = [*SIOV, "vm", "run", "--script", "-"]
    done = subprocess.run(
        argv, input=script, capture_output=True, env=CHILD_ENVIRONMENT, timeout=120, check=False
    )
    assert done.returncode == 5
    assert done.stdout.startswith(b"\x01\xff\nconsole=ttyS0 ")
    assert done.stderr == b""


@pytest.mark.usefixtures("rig")
def test_vm_run_without_a_script_is_a_shell_on_this_terminal_until_it_ends() -> None:
    argv = [*SIOV, "vm", "run", "--memory", "1G"]
    with subprocess.Popen(
        argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=CHILD_ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        shown = b""
        while b"powers it off" not in shown:  # what is typed before is lost, as on any serial console
            data = process.stdout.read(4096)
            assert data, shown
            shown += data
        process.stdin.write(b"echo answer $((6 * 7))\nexit\n")
        shown = process.stdout.read()
    assert process.returncode == 0
    assert b"answer 42" in shown
