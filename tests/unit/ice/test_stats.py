"""Counters that go on where hardware's go round, and the names they have."""

import pytest

from conformance.e810.frames import A, B, plain
from siov.drivers.ice.stats import (
    PORT_COUNTERS,
    VSI_COUNTERS,
    Counter,
    PortStats,
    VsiStats,
    width_of,
)
from siov.spec.virtchnl import EthStats

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
MULTI, BROADCAST = bytes([1, 0, 0x5E, 0, 0, 1]), b"\xff" * 6


@pytest.fixture
def pair(rig):
    return rig.vsi(1, rule=True), rig.vsi(2, rule=True)


def test_a_vsis_counters_start_at_zero_when_it_is_set_up(rig, pair):
    one, _ = pair
    one.tx[0].send(plain(B, A))
    stats = VsiStats(rig.hw, one.number)
    assert stats.read() == EthStats.of()
    one.tx[0].send(plain(B, A, 100))
    assert stats.read() == EthStats.of(tx_bytes=100, tx_unicast=1)


def test_each_kind_of_address_is_counted_by_sender_and_receiver(rig, pair):
    one, two = pair
    stats = [VsiStats(rig.hw, vsi.number) for vsi in pair]
    rig.nic.broadcast(two)
    rig.nic.add_mac(two, MULTI)
    one.tx[0].send(plain(B, A), plain(MULTI, A), plain(MULTI, A), plain(BROADCAST, A))
    sent, got = (s.read() for s in stats)
    assert (sent.tx_unicast, sent.tx_multicast, sent.tx_broadcast, sent.tx_bytes) == (1, 2, 1, 240)
    assert (got.rx_unicast, got.rx_multicast, got.rx_broadcast) == (1, 2, 1)
    assert got.rx_bytes in (240, 256)
    assert (sent.rx_bytes, got.tx_bytes) == (0, 0)


def test_frames_without_a_buffer_are_discards(rig):
    vsi = rig.vsi(1, rule=True, rings=False)
    stats = VsiStats(rig.hw, vsi.number)
    rig.send(plain(A, FAR), plain(A, FAR))
    assert stats.read().rx_discards == 2


@pytest.mark.parametrize(("name", "register"), VSI_COUNTERS.items())
def test_a_counter_that_goes_round_goes_on(rig, pair, name, register):
    one, _ = pair
    top = 1 << width_of(register)
    assert width_of(register) == (32 if register in ("GLV_RDPC", "GLV_TEPC") else 40)
    rig.machine.nic.set(register, top - 3, one.number)
    stats = VsiStats(rig.hw, one.number)
    for now, total in ((top - 1, 2), (4, 7), (4, 7), (3, 7 + top - 1)):
        rig.machine.nic.set(register, now, one.number)
        assert getattr(stats.read(), name) == total


def test_what_was_counted_is_kept_over_a_reset_that_clears_the_registers(rig, pair):
    one, _ = pair
    stats = VsiStats(rig.hw, one.number)
    one.tx[0].send(plain(B, A), plain(B, A))
    assert stats.read().tx_unicast == 2
    rig.nic.core_reset()
    stats.rebase()
    assert stats.read().tx_unicast == 2
    rig.machine.nic.set("GLV_UPTC", 1, one.number)
    assert stats.read().tx_unicast == 3


def test_a_ports_counters_have_ices_names(rig, pair):
    one, _ = pair
    stats = PortStats(rig.hw)
    one.tx[0].send(plain(FAR, A), plain(FAR, A, 1514), plain(B, A))
    rig.send(plain(A, FAR, 300))
    found = {name: value for name, value in stats.read().items() if value}
    assert found == {
        "tx_bytes": 60 + 1514 + 8, "tx_unicast": 2, "tx_size_64": 1, "tx_size_1522": 1,
        "rx_bytes": 304, "rx_unicast": 1, "rx_size_511": 1,
    }  # fmt: skip


def test_every_counter_of_a_port_is_a_register(rig):
    for register in PORT_COUNTERS.values():
        Counter(register, 0).update(rig.hw)
