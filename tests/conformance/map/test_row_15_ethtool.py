"""Row 15: ring parameters by ethtool, and statistics that are the hardware's."""

import pytest

from siov.host.linux import LinuxError
from siov.spec.e810.context import RxQueueContext

from .house import House

REGISTERS = {
    "rx_bytes": "GLV_GORC", "rx_unicast": "GLV_UPRC", "rx_multicast": "GLV_MPRC", "rx_broadcast": "GLV_BPRC",
    "tx_bytes": "GLV_GOTC", "tx_unicast": "GLV_UPTC", "tx_multicast": "GLV_MPTC", "tx_broadcast": "GLV_BPTC",
}  # fmt: skip


@pytest.fixture
def house() -> House:
    return House.build("ethtool", vm1='type = "vdcm"', vm2='type = "avf"').boot()


def guest_ethtool(house: House, guest: str, words: str) -> str:
    """ethtool inside a guest."""
    return house.platform.netdev(guest).ethtool(words.split())


def guest_counters(house: House, guest: str) -> dict[str, int]:
    lines = guest_ethtool(house, guest, "-S").splitlines()[1:]
    return {name.strip(): int(value) for name, value in (line.split(": ") for line in lines if line)}


def hardware(house: House, guest: str) -> dict[str, int]:
    number = house.vsi(guest).num
    return {name: house.pf.hw.rd64(register, number) for name, register in REGISTERS.items()}


def length(house: House, queue: int) -> int:
    """Descriptors of a receive queue, in the context that the adapter works with."""
    words = (house.pf.hw.rd("QRX_CONTEXT", n * 2048 + queue).to_bytes(4, "little") for n in range(8))
    return RxQueueContext.from_bytes(b"".join(words)).QLEN


def test_three_witnesses_agree_on_what_passed_guest_ethtool_host_ethtool_and_registers(house):
    before = {guest: hardware(house, guest) for guest in ("vm1", "vm2")}
    house.send("vm1", "vm2", "request", count=300)
    for guest in ("vm1", "vm2"):
        now = hardware(house, guest)
        grown = {name: now[name] - before[guest][name] for name in now}
        assert grown["rx_unicast"] == grown["tx_unicast"] == 300
        seen = house.platform.tenants.results()[f"{guest}.0"]
        assert seen["rings"]["rx_frames"] == 300
        told, own = house.counters(guest), guest_counters(house, guest)
        assert {name: told[name] for name in now} == {name: own[name] for name in now} == grown


def test_bytes_are_those_of_the_frames_on_the_wire_with_their_crc_or_without_on_both_sides(house, tmp_path):
    with house.captured(house.tenant("vm2").uuid, tmp_path / "vm2.pcapng") as frames:
        house.send("vm1", "vm2", count=100)
    sent, received = house.counters("vm1")["tx_bytes"], house.counters("vm2")["rx_bytes"]
    assert received - sum(map(len, frames)) in (0, 4 * len(frames))
    assert sent - sum(map(len, frames)) in (0, 4 * len(frames))


@pytest.mark.parametrize("guest", ["vm1", "vm2"])
def test_a_ring_size_that_a_guest_sets_is_the_one_that_the_adapter_works_with(house, guest):
    assert {length(house, queue) for queue in house.vsi(guest).rxq} == {256}
    guest_ethtool(house, guest, "-G rx 1000 tx 512")
    house.run()
    assert {length(house, queue) for queue in house.vsi(guest).rxq} == {1024}, "rounded up to 32"
    for shown in (guest_ethtool(house, guest, "-g"), house.ethtool(guest, "-g")):
        assert shown.count("RX:\t\t1024\n") == shown.count("TX:\t\t512\n") == 1
    house.send("vm1", "vm2", "request", count=100)
    assert house.received("vm2") == 100


def test_a_size_out_of_range_is_refused_with_the_range_and_changes_nothing(house):
    for words in ("-G rx 32", "-G rx 4097", "-G tx 8160"):
        with pytest.raises(LinuxError, match=r"out of range \[64-4096\]"):
            guest_ethtool(house, "vm1", words)
    assert {length(house, queue) for queue in house.vsi("vm1").rxq} == {256}
    assert house.tenant("vm1").driver.counts["resets"] == 0


def test_the_hosts_own_interface_counts_and_sizes_its_own(house):
    house.platform.netdev("nic0").ethtool(["-G", "rx", "4096", "tx", "64"])
    assert "RX:\t\t4096\n" in house.platform.netdev("nic0").ethtool(["-g"])
    house.send("vm1", "vm2", "request", count=50)
    assert "     rx_unicast: 0\n" in house.platform.netdev("nic0").ethtool(["-S"]), "the guests' are theirs"
