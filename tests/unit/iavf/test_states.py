"""The driver's states: what it says to the PF, in which order, and what it makes of the answers."""

from __future__ import annotations

import struct

import pytest

from siov.drivers.iavf import Iavf, IavfConfig, IavfError, State, VirtchnlError

from .fake import (
    FLEX,
    GRANTED,
    L2,
    LEGACY,
    MAC,
    RESET_IMPENDING,
    RSTAT,
    VLAN,
    FakeRings,
    FakeVdev,
    link_event,
    resources,
)

PROBE = [1, 3, 51, 7, 23, 24, 55, 57]
IFUP = [10, 6, 8]


def test_the_pf_hears_the_dialogue_in_the_order_of_the_driver(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    assert vdev.ops == PROBE
    assert iavf.state is State.DOWN
    iavf.up()
    assert vdev.ops == PROBE + IFUP
    assert iavf.state is State.RUNNING
    assert iavf.wait_link(10)
    assert iavf.link_speed == 100_000
    assert iavf.stats().tx_errors == 11
    iavf.down()
    assert vdev.ops == [*PROBE, *IFUP, 15, 9, 11]
    assert iavf.state is State.DOWN


def test_every_message_has_the_exact_length_that_the_pf_checks(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    iavf.up()
    iavf.stats()
    iavf.down()
    pairs, vectors, one = 4, 5, 1
    expected = {
        1: 8,
        3: 4,
        51: 0,
        7: 14 + 12 * vectors,
        23: 57,
        24: 69,
        55: 16,
        57: 16,
        10: 12 + 8 * one,
        6: 72 + 64 * pairs,
        8: 12,
        15: 12,
        9: 12,
        11: 12 + 8 * one,
    }
    assert {one.op: len(one.data) for one in vdev.sent} == expected


def test_descriptors_are_sent_to_the_pf_with_buffers_and_the_large_flag_over_512_bytes(
    iavf: Iavf, vdev: FakeVdev
) -> None:
    vdev.answers[3] = lambda data: (0, resources(pairs=16, vectors=17))
    iavf.config = IavfConfig(tx_entries=64, rx_entries=64)
    iavf.probe()
    iavf.up()
    assert {one.opcode for one in vdev.sent} == {0x0801}
    flags = {one.op: one.flags for one in vdev.sent}
    assert (flags[51], flags[1], flags[6]) == (0x2000, 0x3400, 0x3600)


def test_the_irq_map_has_the_queues_vectors_first_and_the_mailboxes_last_and_empty(
    iavf: Iavf, vdev: FakeVdev
) -> None:
    vdev.answers[3] = lambda data: (0, resources(pairs=4, vectors=3))
    iavf.probe()
    data = vdev.payload(7)
    assert struct.unpack_from("<H", data) == (3,)
    maps = [struct.unpack_from("<6H", data, 2 + 12 * n) for n in range(3)]
    assert maps == [(7, 1, 0b0101, 0b0101, 0, 1), (7, 2, 0b1010, 0b1010, 0, 1), (7, 0, 0, 0, 0, 0)]
    assert vdev.vectors == 3


def test_the_rss_table_spreads_over_the_queues_in_use(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.config = IavfConfig(queue_pairs=3)
    iavf.probe()
    data = vdev.payload(24)
    assert struct.unpack_from("<HH", data) == (7, 64)
    assert data[4:68] == bytes(n % 3 for n in range(64))
    assert vdev.payload(23)[4:56] == iavf.config.rss_key


def test_queues_are_configured_with_where_their_rings_are(
    iavf: Iavf, vdev: FakeVdev, rings: FakeRings
) -> None:
    iavf.probe()
    iavf.up()
    data = vdev.payload(6)
    assert struct.unpack_from("<HH", data) == (7, 4)
    for n, pair in enumerate(rings.pairs):
        at = 8 + 64 * n
        assert struct.unpack_from("<HHHHQQ", data, at) == (7, n, 512, 0, pair.tx_ring, 0)
        rx = struct.unpack_from("<HHIHHIIBBBBQ", data, at + 24)
        assert rx == (7, n, 512, 0, 0, 1536, 9728, 0, 0, 0, 0, pair.rx_ring)
        assert (pair.number, pair.vector, pair.buffer) == (n, n + 1, 1536)
    assert len({pair.rx_buffers for pair in rings.pairs}) == 4
    # 50 µs in units of 2, for receive and transmit, in the page of each vector.
    itr = {(f"{0x2101000 + 0x1000 * n + at:#x}", 25) for n in range(4) for at in (4, 8)}
    assert itr <= set(vdev.writes)


def test_registers_of_queues_are_pages_of_the_split_device(
    iavf: Iavf, vdev: FakeVdev, rings: FakeRings
) -> None:
    iavf.probe()
    iavf.up()
    pair = rings.pairs[2]
    at = [vdev.address(offset) for offset in (0x1102000, 0x102000, 0x2103000)]
    assert [pair.tx_tail, pair.rx_tail, pair.dyn_ctl] == at


def test_registers_of_the_adaptive_function_are_the_legacy_ones(rings: FakeRings) -> None:
    vdev = FakeVdev(device=0x1889)
    iavf = Iavf(vdev, rings)
    iavf.probe()
    iavf.up()
    assert iavf.wait_link(10)
    assert vdev.ops == PROBE + IFUP
    pair = rings.pairs[2]
    at = [vdev.address(offset) for offset in (0x8, 0x2008, 0x3808)]
    assert [pair.tx_tail, pair.rx_tail, pair.dyn_ctl] == at
    assert ("0x5c00", 0x19) in vdev.writes
    assert ("0x5000", 0x4000_0000) in vdev.writes
    assert vdev.names is LEGACY
    assert {("0x2840", 25), ("0x2803", 25)} - set(vdev.writes) == {("0x2803", 25)}
    assert ("0x280c", 25) in vdev.writes


def test_no_other_device_is_driven(rings: FakeRings) -> None:
    with pytest.raises(IavfError, match="does not drive device 0x1592; it drives 0x0dd5, 0x1889"):
        Iavf(FakeVdev(device=0x1592), rings)


def test_the_mailbox_vector_is_enabled_after_it_has_fired(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    vdev.writes.clear()
    vdev.deaf = True

    def hear() -> None:
        vdev.deaf = False
        vdev.write32(vdev.names["ATQT"], vdev.registers[vdev.names["ATQT"]])

    vdev.on_sleep = hear
    iavf.stats()
    assert ("0x2100000", 0x19) in vdev.writes


def test_a_link_event_before_the_queues_are_enabled_is_ignored(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.after = {}
    iavf.probe()
    vdev.tell(link_event(True))
    iavf.up()
    assert not iavf.wait_link(3)
    assert iavf.counts["early-link-events"] == 1
    vdev.tell(link_event(True, 25_000))
    assert iavf.wait_link(3)
    assert iavf.link_speed == 25_000
    vdev.tell(link_event(False))
    assert iavf.service()
    assert not iavf.link_up


def test_without_advanced_speeds_the_speed_is_a_bit(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[3] = lambda data: (0, resources(caps=L2))
    vdev.after = {8: [link_event(True, 0x40)]}
    iavf.probe()
    iavf.up()
    assert iavf.wait_link(3)
    assert iavf.link_speed == 25_000


def test_only_what_is_granted_is_used(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[3] = lambda data: (0, resources(caps=L2 | VLAN))
    iavf.probe()
    assert vdev.ops == [1, 3, 7, 28]


def test_a_flexible_descriptor_is_asked_for_by_its_number(vdev: FakeVdev, rings: FakeRings) -> None:
    vdev.answers[3] = lambda data: (0, resources(caps=GRANTED | FLEX))
    iavf = Iavf(vdev, rings, IavfConfig(rxdid=22))
    iavf.probe()
    iavf.up()
    assert vdev.payload(6)[8 + 24 + 21] == 22
    assert rings.pairs[0].rxdid == 22
    iavf = Iavf(FakeVdev(), rings, IavfConfig(rxdid=2))
    with pytest.raises(IavfError, match="RXDID 2 needs the capability RX_FLEX_DESC"):
        iavf.probe()


def test_the_address_is_the_pfs_or_made_when_the_pf_gives_none(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    assert iavf.mac == MAC
    iavf.up()
    assert vdev.payload(10)[4:11] == MAC + b"\1"
    for bad in (bytes(6), bytes.fromhex("01005e000001")):
        other = FakeVdev()
        other.answers[3] = lambda data, bad=bad: (0, resources(mac=bad))  # type: ignore[misc]
        made = Iavf(other, FakeRings())
        made.probe()
        assert any(made.mac)
        assert made.mac[0] & 3 == 2


def test_a_refusal_names_the_request_and_the_status(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[7] = lambda data: (-5, b"")
    with pytest.raises(VirtchnlError, match="the PF answered CONFIG_IRQ_MAP with ERR_PARAM") as error:
        iavf.probe()
    assert (error.value.op, error.value.status) == (7, -5)
    assert iavf.state is State.INIT_FAILED


def test_a_pf_that_does_not_answer_is_given_up(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[3] = lambda data: None
    with pytest.raises(IavfError, match="the PF did not answer GET_VF_RESOURCES in 5 s"):
        iavf.probe()
    assert 4.9 < vdev.slept < 5.2


def test_a_newer_protocol_is_refused(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[1] = lambda data: (0, struct.pack("<II", 2, 0))
    with pytest.raises(IavfError, match=r"the PF speaks virtchnl 2\.0; iavf speaks 1\.1"):
        iavf.probe()


def test_a_device_that_stays_in_reset_is_given_up(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.registers[RSTAT] = 0xDEAD_BEEF
    with pytest.raises(IavfError, match="VFGEN_RSTAT reads 3 for 20 s"):
        iavf.probe()


def test_too_little_from_the_pf_is_refused(iavf: Iavf, vdev: FakeVdev) -> None:
    vdev.answers[3] = lambda data: (0, resources(vectors=1))
    with pytest.raises(IavfError, match="the PF gives too little"):
        iavf.probe()


def test_a_reset_sets_everything_up_again(iavf: Iavf, vdev: FakeVdev, rings: FakeRings) -> None:
    iavf.probe()
    iavf.up()
    vdev.sent.clear()
    before = rings.cleared
    iavf.reset()
    assert vdev.ops == [2, *PROBE, *IFUP]
    assert iavf.state is State.RUNNING
    assert rings.cleared > before
    assert len(rings.pairs) == 4
    assert iavf.wait_link(3)
    iavf.down()
    iavf.reset()
    assert vdev.ops[-len(PROBE) :] == PROBE
    assert iavf.state.value == "down"


def test_a_reset_that_the_device_announces_is_recovered_from(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    iavf.up()
    vdev.sent.clear()
    vdev.tell(RESET_IMPENDING)
    vdev.on_sleep = vdev.reset
    assert iavf.service()
    assert vdev.ops == PROBE + IFUP
    assert iavf.state is State.RUNNING
    assert iavf.counts["resets"] == 1


def test_a_reset_that_nobody_announces_is_seen_by_the_receive_rings_length(
    iavf: Iavf, vdev: FakeVdev
) -> None:
    iavf.probe()
    iavf.up()
    vdev.sent.clear()
    vdev.reset()
    assert iavf.service()
    assert vdev.ops == PROBE + IFUP


def test_a_reset_in_the_middle_of_a_request_is_told_and_then_recovered_from(
    iavf: Iavf, vdev: FakeVdev
) -> None:
    iavf.probe()
    iavf.up()
    vdev.answers[15] = lambda data: vdev.reset()
    with pytest.raises(IavfError, match="the device was reset before the PF answered GET_STATS"):
        iavf.stats()
    assert iavf.service()
    assert iavf.state is State.RUNNING


@pytest.mark.parametrize("op", [1, 3, 7, 24, 10, 6, 8])
def test_a_reset_in_the_middle_of_a_recovery_begins_it_anew(iavf: Iavf, vdev: FakeVdev, op: int) -> None:
    iavf.probe()
    iavf.up()
    usual, times = vdev.answers.get(op, lambda data: (0, b"")), []

    def once_more(data: bytes) -> object:
        times.append(len(times))
        return vdev.reset() if len(times) < 2 else usual(data)

    vdev.answers[op] = once_more
    vdev.reset()
    assert iavf.service()
    assert iavf.state is State.RUNNING
    assert (len(times), iavf.counts["resets"]) == (2, 2)
    vdev.sent.clear()
    iavf.down()
    assert vdev.ops[-1] == 11


def test_a_device_that_is_reset_again_and_again_is_given_up(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    iavf.up()
    vdev.answers[3] = lambda data: vdev.reset()
    vdev.reset()
    with pytest.raises(IavfError, match="the device was reset before the PF answered GET_VF_RESOURCES"):
        iavf.service()
    assert iavf.state is State.COMM_FAILED
    assert iavf.service() is False


def test_remove_resets_the_device_and_gives_all_memory_back(
    iavf: Iavf, vdev: FakeVdev, rings: FakeRings
) -> None:
    iavf.probe()
    iavf.up()
    assert vdev.allocated
    iavf.remove()
    assert vdev.ops[-1] == 2
    assert (vdev.allocated, vdev.vectors, rings.pairs) == ({}, 0, [])
    assert iavf.state is State.REMOVE


def test_up_and_down_give_the_queues_memory_back(iavf: Iavf, vdev: FakeVdev) -> None:
    iavf.probe()
    before = dict(vdev.allocated)
    iavf.up()
    assert len(vdev.allocated) == len(before) + 4 * 4
    iavf.down()
    assert vdev.allocated == before
    with pytest.raises(IavfError, match="iavf is down; this needs it running"):
        iavf.down()


def test_more_than_16_pairs_are_mapped_and_enabled_by_the_second_form(
    vdev: FakeVdev, rings: FakeRings
) -> None:
    vdev.answers[3] = lambda data: (0, resources(pairs=70, vectors=71))
    iavf = Iavf(vdev, rings, IavfConfig(tx_entries=64, rx_entries=64, buffer=128))
    iavf.probe()
    iavf.up()
    assert vdev.ops == [1, 3, 51, 111, 111, 23, 24, 55, 57, 10, 6, 6, 107]
    assert [struct.unpack_from("<HH", one.data)[1] for one in vdev.sent if one.op == 6] == [62, 8]
    chunks = vdev.payload(107)
    assert struct.unpack("<HHHHiHHiHH", chunks) == (7, 0, 2, 0, 0, 0, 70, 1, 0, 70)
