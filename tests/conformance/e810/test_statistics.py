"""Counters: what counts where, how wide they are, how they go round (ice_hw_autogen.h)."""

import pytest

from .driver import BROADCAST
from .frames import A, B, plain
from .machine import offset_of

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
MULTI = bytes([1, 0, 0x5E, 0, 0, 1])

PLACES = [
    ("GLV_GORC", 0x003B0000, 8), ("GLV_UPRC", 0x003B2000, 8), ("GLV_MPRC", 0x003B4000, 8),
    ("GLV_BPRC", 0x003B6000, 8), ("GLV_RDPC", 0x00294C04, 4), ("GLV_GOTC", 0x00300000, 8),
    ("GLV_UPTC", 0x0030A000, 8), ("GLV_MPTC", 0x0030C000, 8), ("GLV_BPTC", 0x0030E000, 8),
    ("GLV_TEPC", 0x00312000, 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "base", "stride"), PLACES)
def test_a_vsis_counters_lie_where_the_drivers_read_them(name, base, stride):
    assert offset_of(name, 0) == base
    assert offset_of(name, 767) == base + 767 * stride


def test_ports_count_bytes_at_0x380000_and_0x380b40():
    assert offset_of("GLPRT_GORC", 3) == 0x00380000 + 24
    assert offset_of("GLPRT_GOTC", 3) == 0x00380B40 + 24


def test_packets_are_counted_by_the_kind_of_their_address(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    nic.add_mac(two, MULTI)
    one.tx[0].send(plain(), plain(), plain(), plain(MULTI), plain(MULTI), plain(BROADCAST))
    assert [one.counter(f"GLV_{c}PTC") for c in "UMB"] == [3, 2, 1]
    assert [two.counter(f"GLV_{c}PRC") for c in "UMB"] == [3, 2, 1]
    assert [one.counter(f"GLV_{c}PRC") for c in "UMB"] == [0, 0, 0]
    assert [two.counter(f"GLV_{c}PTC") for c in "UMB"] == [0, 0, 0]


def test_bytes_sent_are_those_of_the_frames_without_crc(nic):
    """DPDK and ice take GLV_GOTC as it is."""
    one, _ = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain(size=60), plain(size=100), plain(size=1514))
    assert one.counter("GLV_GOTC") == 60 + 100 + 1514


def test_bytes_received_count_each_frame_once(nic):
    """With or without 4 bytes of CRC each: DPDK ice takes them off, Linux does not."""
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain(size=60), plain(size=100), plain(size=1514))
    assert two.counter("GLV_GORC") in (60 + 100 + 1514, 60 + 100 + 1514 + 3 * 4)


@pytest.mark.parametrize("name", ["GLV_UPTC", "GLV_GOTC"])
def test_a_40_bit_counter_goes_round_at_2_to_the_40(nic, machine, name):
    one, _ = nic.vsi(1), nic.vsi(2)
    machine.nic.set(name, (1 << 40) - 1, one.number)
    assert one.counter(name) == (1 << 40) - 1
    one.tx[0].send(plain(size=60))
    assert one.counter(name) == (0 if name == "GLV_UPTC" else 59)


@pytest.mark.parametrize("name", ["GLV_UPRC", "GLV_GORC"])
def test_a_receive_counter_goes_round_at_2_to_the_40(nic, machine, name):
    one, two = nic.vsi(1), nic.vsi(2)
    machine.nic.set(name, (1 << 40) - 1, two.number)
    one.tx[0].send(plain(size=60))
    assert two.counter(name) in ((0,) if name == "GLV_UPRC" else (59, 63))


def test_a_carry_into_the_high_half_is_seen_there(nic, machine):
    one, _ = nic.vsi(1), nic.vsi(2)
    machine.nic.set("GLV_UPTC", 0xFFFF_FFFF, one.number)
    one.tx[0].send(plain())
    at = offset_of("GLV_UPTC", one.number)
    assert (machine.read32(at), machine.read32(at + 4)) == (0, 1)


def test_a_32_bit_counter_goes_round_at_2_to_the_32(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    machine.nic.set("GLV_RDPC", (1 << 32) - 1, two.number)
    rx = nic.rx_queue(two, two.first)
    rx.enable()
    one.tx[0].send(plain())
    assert two.counter("GLV_RDPC") == 0


def test_software_cannot_write_counters(nic, machine):
    one, _ = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain(), plain())
    machine.wr("GLV_UPTC", 0, one.number)
    assert one.counter("GLV_UPTC") == 2


def test_a_port_counts_what_goes_out_and_comes_in_by_size_and_kind(nic, wire, machine):
    vsi = nic.vsi(1)
    nic.broadcast(vsi)
    vsi.tx[0].send(plain(FAR, A, 60), plain(FAR, A, 100), plain(FAR, A, 1514))
    wire.send(machine, plain(A, FAR, 60), plain(BROADCAST, FAR, 300))
    assert machine.rd64("GLPRT_UPTC") == 3
    assert machine.rd64("GLPRT_GOTC") == 60 + 100 + 1514 + 3 * 4
    assert machine.rd64("GLPRT_UPRC") == 1
    assert machine.rd64("GLPRT_BPRC") == 1
    assert machine.rd64("GLPRT_GORC") == 60 + 300 + 2 * 4
    assert [machine.rd64(f"GLPRT_PTC{n}") for n in (64, 127, 255, 511, 1023, 1522)] == [1, 1, 0, 0, 0, 1]
    assert [machine.rd64(f"GLPRT_PRC{n}") for n in (64, 127, 255, 511, 1023, 1522)] == [1, 0, 0, 1, 0, 0]


def test_frames_that_stay_inside_do_not_count_at_the_port(nic, machine):
    one, _ = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain())
    assert machine.rd64("GLPRT_UPTC") == 0


def test_a_frame_that_breaks_a_rule_of_its_vsi_counts_as_an_error_not_as_sent(nic):
    from siov.spec.e810 import VsiProperties

    one, _ = nic.vsi(1), nic.vsi(2)
    one.set("SECURITY_VALID", VsiProperties.SEC_FLAGS.of(ENA_MAC_ANTI_SPOOF=1))
    one.tx[0].send(plain(B, FAR))
    assert one.counter("GLV_TEPC") == 1
    assert one.counter("GLV_UPTC") == 0


def test_frames_that_a_vsi_has_no_queue_for_count_as_discarded_there(nic, wire, machine):
    vsi = nic.vsi(1, rings=False)
    wire.send(machine, plain(A, FAR), plain(A, FAR))
    assert vsi.counter("GLV_RDPC") == 2


def test_counters_outlive_a_reset_of_the_function_but_not_one_of_the_core(nic):
    one, _ = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain())
    nic.function_reset()
    assert one.counter("GLV_UPTC") == 1
    nic.core_reset()
    assert one.counter("GLV_UPTC") == 0
