"""What tests of guests' lives and deaths look at: all that the server holds, and traffic that goes on."""

import gc
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from served_vdevs import Served, Server, eventually

from conformance.siov.holdings import difference, holdings
from siov.drivers.ice.vdcm import IceVdcm
from siov.drivers.ice.vf import VirtchnlVf
from siov.guests.qemu import Guest

MIB = 1 << 20
RSS_MIB = 16  # what the process may grow by for reasons of its own: the interpreter's arenas, a test's logs
# The link of the first interface is up again.
CARRIER = """
    for i in $(seq 600); do
        [ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = 1 ] && break; usleep 50000
    done
"""
PING = "ping -c 1 -w 60 {} >/dev/null"


def held(server: Server) -> dict[str, object]:
    """All that the server holds for its devices and their guests, and mappings of guests' memory."""
    gc.collect()  # servers of tests before
    platform = server.platform
    assert platform.memory is not None
    everything = SimpleNamespace(
        platform=platform,
        pf=server.pf,
        iommu=platform.iommu,
        function=platform.functions["nic0"],
        mem=platform.memory,
        tenants=SimpleNamespace(vms={}),
    )
    found = {**holdings(everything), "memfds": len(memfds())}  # type: ignore[arg-type]
    # Firmware numbers queues and rules anew each time; how many there are is what counts.
    firmware = found["firmware"]
    assert isinstance(firmware, dict)
    taken = firmware["resources"]["taken"]
    found["firmware"] = {name: _count(value) for name, value in firmware.items()} | {"resources": taken}
    return found


def _count(value: object) -> object:
    return len(value) if isinstance(value, dict | list | set | tuple) else value


def check_held(server: Server, before: dict[str, object]) -> None:
    """The server comes to hold what it held before; some of it goes by itself, a little later."""
    eventually(lambda: not difference(before, held(server)), 20)
    if changed := difference(before, held(server)):
        pytest.fail("; ".join(f"{name} was {was}, is {now}" for name, (was, now) in changed.items()))


def memfds() -> set[str]:
    """The files of guests' memory that this process has mapped, by inode."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return {words[4] for words in lines if len(words) > 5 and words[5].startswith("/memfd:memory-backend")}


def anonymous() -> int:
    """Bytes of this process in memory that are its own: without the guests' memory, which it maps."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def pids_memory(pid: int) -> int:
    """The size in bytes of a process's mappings; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def bugs(server: Server) -> dict[str, str]:
    """Mistakes of ours that messages of guests brought to light, by device."""
    vdcm = server.pf.vdcm
    assert isinstance(vdcm, IceVdcm)
    found = {}
    for mdev, device in vdcm.devices.items():
        assert isinstance(device.messages, VirtchnlVf)
        if device.messages.counts["bugs"]:
            found[mdev.name] = device.messages.last_bug
    return found


def iperf_server(guest: Guest, *ports: int) -> None:
    """Have a guest receive on these ports."""
    for port in ports:
        guest.check(f"iperf3 -s -D -p {port}")


def iperf_start(guest: Guest, to: str, limit: int | str, *, port: int = 5201, more: str = "") -> None:
    """Have a guest send for so many seconds, or so much, as "300M"; `iperf_end` has what came of it."""
    until = f"-t {limit}" if isinstance(limit, int) else f"-n {limit}"
    guest.check(
        f"(iperf3 -c {to} -p {port} {until} {more} >/tmp/iperf.{port} 2>&1; echo $? >/tmp/status.{port})"
        " >/dev/null 2>&1 &"
    )


def iperf_end(guest: Guest, *, port: int = 5201, patience: int = 120) -> str:
    """What the sender printed; it must have ended well."""
    return guest.check(
        f"for i in $(seq {patience}); do [ -e /tmp/status.{port} ] && break; sleep 1; done;"
        f" cat /tmp/iperf.{port}; status=$(cat /tmp/status.{port}); rm /tmp/status.{port}; exit $status",
        timeout=patience + 30,
    )


def received(vdev: Served) -> int:
    """Bytes that a device has received."""
    return vdev.stats().rx_bytes


def goes_on(vdev: Served, more: int = MIB, seconds: float = 120) -> bool:
    """Whether a device receives so many bytes more; `seconds` are for a machine that is busy."""
    start = received(vdev)
    return eventually(lambda: received(vdev) >= start + more, seconds)


def is_open(vdev: Served) -> bool:
    """Whether a client has the device; nothing of the client is left when it has not."""
    opener = vdev.server.platform.mdev.core.find(vdev.uuid).opener
    return opener is not None or bool(vdev.inspect()["connected"])
