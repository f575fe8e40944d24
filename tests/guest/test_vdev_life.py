"""The life of a guest on a virtual device: links, modules, reboots, resets, devices that come and go.

After each the guest reaches its neighbour, and the server holds what it held before.
"""

from collections.abc import Iterator

import pytest
from served_vdevs import UP, Pair, eventually, pair
from vdev_life import (
    CARRIER,
    MIB,
    PING,
    RSS_MIB,
    anonymous,
    bugs,
    check_held,
    goes_on,
    held,
    iperf_end,
    iperf_server,
    iperf_start,
    is_open,
    received,
)

from siov.guests.image import Rig
from siov.guests.qemu import GuestError

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def two(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two guests with a link, of which each may reboot, and has an empty root port."""
    with pair(rig, tmp_path_factory.mktemp("life"), reboot=True, spare_ports=1) as two:
        iperf_server(two.b, 5201)
        yield two
        assert bugs(two.server) == {}


@pytest.fixture(autouse=True)
def steady(two: Pair) -> Iterator[None]:
    """The server holds the same before and after each test, and has not grown."""
    two.a.check(PING.format("10.0.0.2"), timeout=90)
    before, memory = held(two.server), anonymous()
    yield
    if two.a.alive:  # else a test says why
        check_held(two.server, before)
    assert anonymous() < memory + RSS_MIB * MIB


def test_the_link_comes_back_fifty_times(two: Pair) -> None:
    script = f"""
        for n in $(seq 50); do
            ip link set eth0 down
            ip link set eth0 up
            {CARRIER}
            {PING.format("10.0.0.2")} || {{ echo "no answer after flap $n"; dmesg | tail; exit 1; }}
        done
    """
    two.a.check(script, timeout=400)


def test_the_module_goes_and_comes_twenty_times(two: Pair) -> None:
    script = f"""
        for n in $(seq 20); do
            rmmod iavf
            [ -e /sys/class/net/eth0 ] && exit 2
            ({UP.format(n=1)}) || exit 3
            {PING.format("10.0.0.2")} || {{ echo "no answer after load $n"; dmesg | tail; exit 1; }}
        done
    """
    two.a.check(script, timeout=600)


def test_a_guest_boots_again_five_times_and_once_without_a_word_to_its_kernel(two: Pair) -> None:
    before = held(two.server)
    for boot in range(6):
        if boot:
            two.a.reboot(240)
        else:
            two.a.reset(240)
        two.a.check(UP.format(n=1), timeout=240)
        two.a.check(PING.format("10.0.0.2"), timeout=90)
        check_held(two.server, before)
    state = two.vdev_a.inspect()
    assert state["counters"]["connections"] == 1  # it was reset, not opened anew
    assert state["lost_files"] == 0


@pytest.mark.parametrize("whose", ["sender", "receiver", "function"])
def test_traffic_resumes_after_the_host_has_reset_a_device(two: Pair, whose: str) -> None:
    guest = two.b if whose == "receiver" else two.a
    guest.check("dmesg -c >/dev/null")
    iperf_start(two.a, "10.0.0.2", "300M")
    assert goes_on(two.vdev_b)
    if whose == "function":
        two.server.pf.reset("PFR")
    else:
        two.server.platform.mdev.reset({"sender": two.vdev_a, "receiver": two.vdev_b}[whose].uuid)
    assert goes_on(two.vdev_b)
    iperf_end(two.a)
    log = guest.check("dmesg")
    assert "Reset indication received from the PF" in log  # RESET_IMPENDING
    assert guest.check(f"{CARRIER} cat /sys/class/net/eth0/carrier").split() == ["1"]


def test_a_device_plugged_in_behind_a_root_port_works_and_is_free_once_it_is_pulled(two: Pair) -> None:
    server = two.server
    before = held(server)
    vdev = server.vdev()
    two.b.check("ip addr add 10.1.0.2/24 dev eth0")
    two.a.plug(1, vdev.socket)
    two.a.check(f"""
        for i in $(seq 600); do [ -e /sys/class/net/eth1 ] && break; usleep 100000; done
        ip link set eth1 up
        ip addr add 10.1.0.1/24 dev eth1
        {CARRIER.replace("eth0", "eth1")}
        ping -I eth1 -c 3 -w 60 10.1.0.2
    """, timeout=240)  # fmt: skip
    assert received(vdev) > 0
    assert is_open(vdev)
    # The guest lets go of it in order. QEMU (11.1.3) then aborts in memory_region_del_subregion, whatever
    # the guest does before; the server treats the end of the VMM as any other.
    try:
        two.a.unplug(1)
        two.a.wait_event("DEVICE_DELETED", 60)
    except GuestError as error:
        assert "memory_region_del_subregion" in str(error)  # noqa: PT017 (either end is one)
        assert not two.a.alive
    assert eventually(lambda: not is_open(vdev), 60)
    vdev.remove()
    if two.a.alive:
        two.a.check(PING.format("10.0.0.2"), timeout=90)
        check_held(server, before)
