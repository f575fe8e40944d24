"""Flow director filters: which packets they steer where, and what there is no room or no way for."""

from errno import EEXIST, EINVAL, ENOENT, ENOSPC, ETIMEDOUT

import pytest

from conformance.e810.frames import (
    SCTP,
    TOEPLITZ_KEY,
    V4,
    V6,
    Ip,
    be,
    packet,
    plain,
    sctp,
    tcp_frame,
    udp_frame,
)
from conformance.e810.rings import RxQueue
from siov.drivers.ice.fdir import Fdir, FdirError, FdirFilter
from siov.drivers.ice.fdir_profiles import Profile
from siov.drivers.ice.flow import Header, Pattern
from siov.spec.e810 import AqOpcode, RxLegacyQw1, RxLegacyQw3, VmvfType, VsiProperties, VsiType
from siov.spec.e810.package import FLOW_PROFILES, HeaderField, HeaderLevel, PacketGroup
from siov.spec.virtchnl import FdirStatus, ProtoHdrType

from .rig import Rig

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
F, G = HeaderField, PacketGroup
SRC, DST = int.from_bytes(V4.src, "big"), int.from_bytes(V4.dst, "big")
SRC6, DST6 = int.from_bytes(V6.src, "big"), int.from_bytes(V6.dst, "big")
WANTED = udp_frame(src=FAR, sport=7000, dport=80)
QUEUES = 4


class Control:
    """A control VSI as the driver's own code is to have it."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.nic = rig, rig.nic
        self.vsi = rig.nic.vsi(99, kind=VsiType.PF, rings=False, rule=False)
        self.vsi.set("FLOW_DIR_VALID", VsiProperties.FD_OPTIONS.of(FD_ENABLE=1, FD_PROG_ENABLE=1))
        self.tx_queue, self.rx_queue = rig.nic.free_tx, self.vsi.first
        rig.nic.free_tx += 1
        self.starts = 0

    def start(self, tx: int, tx_length: int, rx: int, rx_length: int, buffer: int) -> None:
        from conformance.e810.rings import TxQueue

        self.starts += 1
        self.tx = TxQueue(self.nic.space, self.tx_queue, self.vsi.number, tx_length, VMVF_TYPE=VmvfType.PF)
        self.tx.ring = tx
        self.nic.enable_tx(self.tx)
        self.rx = RxQueue(self.nic.space, self.rx_queue, size=rx_length, dbuf=buffer)
        self.rx.ring = rx
        self.rx.enable()

    def stop(self) -> None:
        self.nic.disable_tx(self.tx)
        self.rx.request(False)


def make(rig: Rig) -> Fdir:
    made = Fdir(rig.aq, rig.hw, Control(rig), rig.poll, rig.dma)
    made.start()
    return made


@pytest.fixture
def fdir(rig) -> Fdir:
    return make(rig)


@pytest.fixture
def vsi(rig, fdir):
    return member(rig, fdir, 2)


def member(rig, fdir, last, **space):
    """A VSI of four queues that may have filters; RSS alone sends all it hashes to queue 0."""
    found = rig.vsi(last, rule=True, queues=QUEUES)
    rig.nic.rss(found, bytes(64), TOEPLITZ_KEY)
    fdir.add_vsi(rig.props[found.number], QUEUES, **space)
    return found


def udp(sport=7000, dport=80, src=SRC, dst=DST):
    values = {F.IPV4_SRC: src, F.IPV4_DST: dst, F.UDP_SRC_PORT: sport, F.UDP_DST_PORT: dport}
    return Pattern(G.IPV4_UDP, values)


def queue(rig, vsi, frame=WANTED):
    rig.send(frame)
    found = [n for n in range(vsi.count) if vsi.frames(n)]
    return found[0] if found else None


def status_of(call, *args) -> FdirStatus:
    with pytest.raises(FdirError) as caught:
        call(*args)
    return caught.value.status


# What filters do.


def test_a_filter_steers_its_flow_and_no_other(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    assert queue(rig, vsi) == 2
    assert queue(rig, vsi, udp_frame(src=FAR, sport=7001, dport=80)) == 0
    assert queue(rig, vsi, udp_frame(src=FAR, ip=Ip(V4.dst, V4.src), sport=80, dport=7000)) == 0, "backwards"
    assert queue(rig, vsi, tcp_frame(src=FAR, sport=7000, dport=80)) == 0
    assert rig.sent() == [], "the training packet is never sent"


GROUPS = {
    "udp4": (Pattern(G.IPV4_UDP, {F.UDP_DST_PORT: 5000}), udp_frame(src=FAR), udp_frame(src=FAR, dport=1)),
    "tcp4": (
        Pattern(G.IPV4_TCP, {F.IPV4_SRC: SRC, F.TCP_SRC_PORT: 4000}),
        tcp_frame(src=FAR), tcp_frame(src=FAR, sport=1),
    ),
    "sctp4": (
        Pattern(G.IPV4_SCTP, {F.SCTP_SRC_PORT: 4000, F.SCTP_DST_PORT: 5000}),
        packet(V4, SCTP, sctp(b"abcd"), src=FAR), packet(V4, SCTP, sctp(b"abcd", sport=1), src=FAR),
    ),
    "esp4": (
        Pattern(G.IPV4_ESP, {F.ESP_SPI: 0x1234}),
        packet(V4, 50, be(0x1234, 4) + bytes(30), src=FAR),
        packet(V4, 50, be(0x1235, 4) + bytes(30), src=FAR),
    ),
    "ip4": (
        Pattern(G.IPV4_OTHER, {F.IPV4_DST: DST, F.IPV4_PROT: 99}),
        packet(V4, 99, bytes(30), src=FAR), packet(V4, 98, bytes(30), src=FAR),
    ),
    "udp6": (
        Pattern(G.IPV6_UDP, {F.IPV6_SRC: SRC6, F.IPV6_DST: DST6, F.UDP_DST_PORT: 5000}),
        udp_frame(ip=V6, src=FAR), udp_frame(ip=Ip(V6.dst, V6.src), src=FAR),
    ),
    "tcp6": (
        Pattern(G.IPV6_TCP, {F.TCP_SRC_PORT: 4000, F.TCP_DST_PORT: 5000}),
        tcp_frame(ip=V6, src=FAR), tcp_frame(ip=V6, src=FAR, dport=4000, sport=5000),
    ),
    "ip6": (
        Pattern(G.IPV6_OTHER, {F.IPV6_DST: DST6}),
        packet(V6, 99, bytes(30), src=FAR), packet(Ip(V6.dst, V6.src), 99, bytes(30), src=FAR),
    ),
    "dscp": (
        Pattern(G.IPV4_UDP, {F.IPV4_TTL: 64, F.IPV4_SRC: SRC}),
        udp_frame(src=FAR), udp_frame(ip=Ip(ttl=63), src=FAR),
    ),
    "ether": (
        Pattern(G.L2, {F.ETH_SRC: int.from_bytes(FAR, "big"), F.ETH_ETHERTYPE: 0x88B5}),
        plain(bytes([2, 0, 0, 0, 0, 2]), FAR), plain(bytes([2, 0, 0, 0, 0, 2]), bytes([2, 0xFA, 0, 0, 0, 2])),
    ),
    "vlan": (
        Pattern(G.IPV4_UDP, {F.C_VLAN_ID: 5, F.UDP_DST_PORT: 5000}),
        packet(V4, 17, be(4000) + be(5000) + be(20) + bytes(14), src=FAR, tags=((0x8100, 5),)),
        packet(V4, 17, be(4000) + be(5000) + be(20) + bytes(14), src=FAR, tags=((0x8100, 6),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_there_are_filters_on_packets_of_each_group(rig, fdir, vsi, name):
    pattern, wanted, other = GROUPS[name]
    number = fdir.add(vsi.number, FdirFilter(pattern, queue=3))
    assert (queue(rig, vsi, wanted), queue(rig, vsi, other)) == (3, 0)
    fdir.remove(vsi.number, number)
    assert queue(rig, vsi, wanted) == 0


def test_a_filter_drops(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(udp(), drop=True))
    assert queue(rig, vsi) is None
    assert queue(rig, vsi, udp_frame(src=FAR)) == 0


def test_a_region_is_spread_by_the_hash(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_UDP, {F.IPV4_SRC: SRC}), queue=2, region=1))
    assert {queue(rig, vsi, udp_frame(src=FAR, sport=n)) for n in range(1, 30)} == {2, 3}


def test_a_mark_is_shown_in_the_descriptor_and_the_queue_left_to_rss(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(udp(), mark=0xCAFE))
    rig.send(WANTED)
    [got] = vsi.rx[0].take()
    assert RxLegacyQw1(got.qword(1)).FLM
    assert RxLegacyQw3(got.qword(3)).FD_ID == 0xCAFE


def test_a_filter_of_one_vsi_is_none_of_anothers(rig, fdir, vsi):
    other = member(rig, fdir, 3)
    fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    assert queue(rig, other, udp_frame(dst=other.mac, src=FAR, sport=7000, dport=80)) == 0
    fdir.add(other.number, FdirFilter(udp(), queue=1))
    assert queue(rig, other, udp_frame(dst=other.mac, src=FAR, sport=7000, dport=80)) == 1
    assert queue(rig, vsi) == 2


def test_a_counter_counts_the_packets_of_its_filter(rig, fdir, vsi):
    one = fdir.add(vsi.number, FdirFilter(udp(), queue=2, count=True))
    two = fdir.add(vsi.number, FdirFilter(udp(1, 2), queue=2, count=True))
    silent = fdir.add(vsi.number, FdirFilter(udp(3, 4), queue=2))
    for _ in range(3):
        queue(rig, vsi)
    assert [fdir.packets(vsi.number, n) for n in (one, two, silent)] == [3, 0, None]
    fdir.remove(vsi.number, one)
    again = fdir.add(vsi.number, FdirFilter(udp(), queue=2, count=True))
    queue(rig, vsi)
    assert fdir.packets(vsi.number, again) == 1, "the counter is used again, and starts at zero"


def test_filters_without_a_counter_that_is_free_work_without_one(rig, fdir, vsi):
    rig.aq.refuse = {AqOpcode.ALLOC_RES: 0}
    number = fdir.add(vsi.number, FdirFilter(udp(), queue=2, count=True))
    assert fdir.packets(vsi.number, number) is None
    assert queue(rig, vsi) == 2


def test_more_filters_than_the_ring_has_descriptors(rig, fdir, vsi):
    numbers = [fdir.add(vsi.number, FdirFilter(udp(dport=n), queue=n % 4)) for n in range(1, 201)]
    assert numbers == list(range(200))
    assert [queue(rig, vsi, udp_frame(src=FAR, sport=7000, dport=n)) for n in (1, 63, 64, 65, 200)] == [
        1,
        3,
        0,
        1,
        0,
    ]
    for number in numbers:
        fdir.remove(vsi.number, number)
    assert fdir.vsi_space(vsi.number).best_effort == 0


# What can't be.


def test_the_same_packets_twice_and_an_unknown_number_are_told(fdir, vsi):
    number = fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    assert status_of(fdir.add, vsi.number, FdirFilter(udp(), drop=True)) is FdirStatus.RULE_EXIST
    assert status_of(fdir.add, vsi.number, FdirFilter(udp(1), queue=1), number) is FdirStatus.RULE_EXIST
    assert status_of(fdir.remove, vsi.number, number + 1) is FdirStatus.RULE_NONEXIST


@pytest.mark.parametrize(
    "wanted",
    [
        FdirFilter(udp(), queue=4),
        FdirFilter(udp(), queue=-1),
        FdirFilter(udp(), queue=3, region=1),
        FdirFilter(udp(), queue=0, region=8),
        FdirFilter(udp(), mark=1 << 32),
        FdirFilter(Pattern(G.IPV4_UDP), queue=1),
        FdirFilter(Pattern(G.IPV4_UDP, {F.TCP_SRC_PORT: 1}), queue=1),
        FdirFilter(Pattern(G.IPV4_UDP, {F.IPV6_SRC: 1}), queue=1),
        FdirFilter(Pattern(G.IPV4_UDP, {F.GTPU_TEID: 1}), queue=1),
        FdirFilter(Pattern(G.IPV4_UDP, {F.UDP_SRC_PORT: 1 << 16}), queue=1),
        FdirFilter(Pattern(G.IPV4_OTHER, {F.IPV4_PROT: 17}), queue=1),
        FdirFilter(Pattern(G.IPV4_FRAG, {F.IPV4_SRC: 1}), queue=1),
        FdirFilter(Pattern(G.L2, {F.ETH_ETHERTYPE: 0x800}), queue=1),
    ],
)
def test_a_filter_that_makes_no_sense_is_invalid_and_leaves_nothing(rig, fdir, vsi, wanted):
    assert status_of(fdir.add, vsi.number, wanted) is FdirStatus.RULE_INVALID
    assert fdir.profiles.by_number == {}
    assert rig.hw.rd("GLQF_FD_CNT") == 0


def test_a_vsi_that_is_no_member_may_have_no_filters(rig, fdir):
    assert status_of(fdir.add, 700, FdirFilter(udp(), queue=0)) is FdirStatus.RULE_INVALID


def test_other_fields_of_the_same_packets_conflict_until_the_last_filter_is_gone(rig, fdir, vsi):
    other = FdirFilter(Pattern(G.IPV4_UDP, {F.UDP_DST_PORT: 80}), queue=1)
    one, two = (fdir.add(vsi.number, FdirFilter(udp(sport), queue=2)) for sport in (1, 2))
    fdir.remove(vsi.number, one)
    assert status_of(fdir.check, vsi.number, other) is FdirStatus.RULE_CONFLICT
    assert status_of(fdir.add, vsi.number, other) is FdirStatus.RULE_CONFLICT
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_TCP, {F.TCP_DST_PORT: 80}), queue=1))
    fdir.remove(vsi.number, two)
    fdir.add(vsi.number, other)
    assert queue(rig, vsi) == 1


def test_filters_on_esp_and_on_other_ip_packets_conflict_for_esp_is_both(fdir, vsi):
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_ESP, {F.ESP_SPI: 1}), queue=1))
    other = FdirFilter(Pattern(G.IPV4_OTHER, {F.IPV4_DST: DST}), queue=1)
    assert status_of(fdir.add, vsi.number, other) is FdirStatus.RULE_CONFLICT


BY_PORT = Pattern(G.IPV4_UDP, {F.UDP_DST_PORT: 80})


def frame_for(vsi):
    return udp_frame(dst=vsi.mac, src=FAR, sport=7000, dport=80)


def hardware(rig):
    return rig.machine.function.device.firmware.package


def test_vsis_that_compare_other_fields_of_the_same_packets_each_steer_their_own(rig, fdir, vsi):
    other = member(rig, fdir, 3)
    number = fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    fdir.add(other.number, FdirFilter(BY_PORT, queue=1))
    assert (queue(rig, vsi, frame_for(vsi)), queue(rig, other, frame_for(other))) == (2, 1)
    elsewhere = [udp_frame(dst=one.mac, src=FAR, sport=7001, dport=80) for one in (vsi, other)]
    assert (queue(rig, vsi, elsewhere[0]), queue(rig, other, elsewhere[1])) == (0, 1)
    fdir.remove(vsi.number, number)
    assert (queue(rig, vsi, frame_for(vsi)), queue(rig, other, frame_for(other))) == (0, 1)


def test_vsis_that_compare_the_same_share_a_profile_until_the_last_of_them_leaves(rig, fdir, vsi):
    other = member(rig, fdir, 3)
    one, two = (fdir.add(who.number, FdirFilter(udp(), queue=2)) for who in (vsi, other))
    assert hardware(rig).profile_vsis == {(0, vsi.number), (0, other.number)}
    fdir.remove(vsi.number, one)
    assert hardware(rig).profile_vsis == {(0, other.number)}
    assert (queue(rig, vsi, frame_for(vsi)), queue(rig, other, frame_for(other))) == (0, 2)
    fdir.add(vsi.number, FdirFilter(BY_PORT, queue=3))
    fdir.remove(other.number, two)
    assert queue(rig, vsi, frame_for(vsi)) == 3
    assert sorted(hardware(rig).profiles) == [1]


def test_profiles_are_bounded_and_one_that_does_not_fit_is_refused_with_the_reason(rig, fdir, vsi):
    other = member(rig, fdir, 3)
    first = fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    taken = fdir.profiles.by_number
    for number in range(1, FLOW_PROFILES):
        taken[number] = Profile(G.L2, HeaderLevel.OUTER, 1 << 40 | number, {600 + number: 1})
    with pytest.raises(FdirError, match="all 128 flow director profiles of the function are taken") as caught:
        fdir.add(other.number, FdirFilter(BY_PORT, queue=1))
    assert caught.value.status is FdirStatus.RULE_NORESOURCE
    assert status_of(fdir.check, other.number, FdirFilter(BY_PORT)) is FdirStatus.RULE_NORESOURCE
    shared = fdir.add(other.number, FdirFilter(udp(), queue=1))
    assert (queue(rig, vsi, frame_for(vsi)), queue(rig, other, frame_for(other))) == (2, 1)
    fdir.remove(other.number, shared)
    fdir.remove(vsi.number, first)
    fdir.add(other.number, FdirFilter(BY_PORT, queue=1))
    assert queue(rig, other, frame_for(other)) == 1


def test_a_vsi_has_a_profile_a_group_at_most(rig, fdir, vsi):
    fields = {
        G.IPV4_UDP: F.UDP_DST_PORT, G.IPV4_TCP: F.TCP_DST_PORT, G.IPV4_SCTP: F.SCTP_DST_PORT,
        G.IPV4_OTHER: F.IPV4_TTL, G.IPV6_UDP: F.UDP_DST_PORT, G.IPV6_TCP: F.TCP_DST_PORT,
        G.IPV6_SCTP: F.SCTP_DST_PORT, G.IPV6_OTHER: F.IPV6_HOP_LIMIT,
    }  # fmt: skip
    for group, which in fields.items():
        for value in (1, 2):
            fdir.add(vsi.number, FdirFilter(Pattern(group, {which: value}), queue=1))
    assert len(hardware(rig).profiles) == len(fields)
    other = member(rig, fdir, 3)
    fdir.add(other.number, FdirFilter(udp(), queue=2))
    assert queue(rig, other, frame_for(other)) == 2


def test_no_room_is_told_with_what_is_in_use(rig, fdir):
    vsi = member(rig, fdir, 2, guaranteed=1, best_effort=2)
    for n in range(3):
        fdir.add(vsi.number, FdirFilter(udp(n), queue=1))
    space = fdir.vsi_space(vsi.number)
    assert (space.guaranteed, space.guaranteed_size, space.best_effort, space.best_effort_size) == (
        1,
        1,
        2,
        2,
    )
    with pytest.raises(FdirError, match="1 of 1 guaranteed and 2 of 2 shared") as caught:
        fdir.add(vsi.number, FdirFilter(udp(3), queue=1))
    assert caught.value.status is FdirStatus.RULE_NORESOURCE
    assert fdir.profiles.by_number[0].users == {vsi.number: 3}
    fdir.remove(vsi.number, 1)
    assert fdir.add(vsi.number, FdirFilter(udp(3), queue=1)) == 1


def test_the_device_may_be_full_though_a_vsi_is_not():
    rig = Rig(flows=(0, 2))
    fdir = make(rig)
    one, two = member(rig, fdir, 1), member(rig, fdir, 2)
    for n in range(2):
        fdir.add(one.number, FdirFilter(udp(n), queue=1))
    assert status_of(fdir.add, two.number, FdirFilter(udp(), queue=1)) is FdirStatus.RULE_NORESOURCE
    assert fdir.space().best_effort == fdir.space().best_effort_size == 2


def test_a_number_that_is_free_again_is_given_again(fdir, vsi):
    numbers = [fdir.add(vsi.number, FdirFilter(udp(n), queue=1)) for n in range(4)]
    fdir.remove(vsi.number, numbers[2])
    fdir.remove(vsi.number, numbers[1])
    assert [fdir.add(vsi.number, FdirFilter(udp(n), queue=1)) for n in (10, 11, 12)] == [1, 2, 4]


def test_no_answer_is_a_timeout_and_a_late_one_is_taken_for_no_other(rig, fdir, vsi):
    poll = fdir.ring.poll
    fdir.ring.poll = lambda condition, seconds: False
    assert status_of(fdir.add, vsi.number, FdirFilter(udp(), queue=2)) is FdirStatus.RULE_TIMEOUT
    fdir.ring.poll = poll
    rig.machine.pump()
    fdir.add(vsi.number, FdirFilter(udp(1), queue=1))
    assert queue(rig, vsi, udp_frame(src=FAR, sport=1, dport=80)) == 1
    assert fdir.ring.control.starts == 2


def test_each_status_has_its_errno():
    found = {status.name: FdirError(status, "").errno for status in FdirStatus if status}
    assert found == {
        "RULE_NORESOURCE": ENOSPC, "RULE_EXIST": EEXIST, "RULE_CONFLICT": EINVAL, "RULE_NONEXIST": ENOENT,
        "RULE_INVALID": EINVAL, "RULE_TIMEOUT": ETIMEDOUT, "QUERY_INVALID": EINVAL,
    }  # fmt: skip


# A VSI's end, resets.


def test_a_vsi_that_goes_takes_its_filters_and_their_profile_along(rig, fdir, vsi):
    other = member(rig, fdir, 3)
    for n in range(5):
        fdir.add(vsi.number, FdirFilter(udp(n), queue=2, count=True))
    fdir.add(other.number, FdirFilter(udp(), queue=1))
    fdir.remove_vsi(vsi.number)
    assert fdir.space().best_effort == 1
    assert fdir.counters.used == {}
    assert queue(rig, other, udp_frame(dst=other.mac, src=FAR, sport=7000, dport=80)) == 1
    fdir.remove_vsi(other.number)
    assert fdir.profiles.by_number == {}
    assert rig.machine.function.device.firmware.package.profiles == {}


def test_filters_come_back_after_a_reset_of_the_function(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(udp(), queue=2, count=True), 7)
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_TCP, {F.TCP_DST_PORT: 80}), drop=True))
    rig.after_reset(vsi)
    rig.nic.add_mac(vsi, vsi.mac)
    fdir.reset()
    fdir.ring.control = Control(rig)
    fdir.start()
    assert queue(rig, vsi) == 0
    fdir.replay()
    assert queue(rig, vsi) == 2
    assert queue(rig, vsi, tcp_frame(src=FAR, dport=80)) is None
    assert list(fdir.of(vsi.number)) == [0, 7]
    assert fdir.packets(vsi.number, 7) == 1


def test_stopped_it_steers_nothing_and_keeps_nothing(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(udp(), queue=2, count=True))
    fdir.stop()
    assert queue(rig, vsi) == 0
    assert rig.hw.rd("PFQF_FD_ENA") == rig.hw.rd("GLQF_FD_CNT") == 0
    firmware = rig.machine.function.device.firmware
    assert not any(firmware.resources.taken.values())
    assert firmware.package.profiles == {}


def test_a_refusal_of_the_profile_adds_no_filter(rig, fdir, vsi):
    rig.aq.refuse = {AqOpcode.UPDATE_PKG: 0}
    assert status_of(fdir.add, vsi.number, FdirFilter(udp(), queue=2)) is FdirStatus.RULE_NORESOURCE
    fdir.add(vsi.number, FdirFilter(udp(), queue=2))
    assert queue(rig, vsi) == 2


def test_a_profile_that_firmware_does_not_take_back_is_in_nobodys_way(rig, fdir, vsi):
    number = fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_OTHER, {F.IPV4_DST: DST}), queue=1))
    rig.aq.refuse = {AqOpcode.UPDATE_PKG: 0}
    fdir.remove(vsi.number, number)
    esp, other = (packet(V4, n, be(7, 4) + bytes(30), src=FAR) for n in (50, 99))
    number = fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_ESP, {F.ESP_SPI: 7}), queue=2))
    assert (queue(rig, vsi, esp), queue(rig, vsi, other)) == (2, 0)
    fdir.remove(vsi.number, number)
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_OTHER, {F.IPV4_SRC: SRC}), queue=3))
    assert queue(rig, vsi, other) == 3


def test_after_a_reset_other_fields_may_be_compared_than_before(rig, fdir, vsi):
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_OTHER, {F.IPV4_DST: DST}), queue=1))
    rig.after_reset(vsi)
    rig.nic.add_mac(vsi, vsi.mac)
    rig.nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    fdir.reset()
    fdir.members[vsi.number].lost.clear()
    fdir.ring.control = Control(rig)
    fdir.start()
    fdir.add(vsi.number, FdirFilter(Pattern(G.IPV4_ESP, {F.ESP_SPI: 7}), queue=2))
    assert queue(rig, vsi, packet(V4, 50, be(7, 4) + bytes(30), src=FAR)) == 2


# virtchnl's headers.


def header(kind, data, *bits):
    return Header(ProtoHdrType[kind], sum(1 << n for n in bits), data)


def test_a_pattern_of_virtchnl_headers_is_about_the_packets_that_they_describe(rig, fdir, vsi):
    headers = [
        header("ETH", bytes(14)),
        header("IPV4", V4.header(17, 30), 0, 1),
        header("UDP", be(7000) + be(80) + bytes(4), 0, 1),
    ]
    assert Pattern.of(headers) == udp()
    fdir.add(vsi.number, FdirFilter(Pattern.of(headers), queue=3))
    assert queue(rig, vsi) == 3


@pytest.mark.parametrize(
    ("kind", "data", "bit", "field", "value"),
    [
        ("ETH", bytes(12) + be(0x88F7), 2, F.ETH_ETHERTYPE, 0x88F7),
        ("ETH", bytes(6) + FAR + bytes(2), 0, F.ETH_SRC, 0x02FA00000001),
        ("C_VLAN", be(0xE005) + bytes(2), 0, F.C_VLAN_ID, 5),
        ("IPV4", b"\x45\xb8" + bytes(18), 2, F.IPV4_DSCP, 46),
        ("IPV4", bytes(8) + b"\x40\x11" + bytes(10), 3, F.IPV4_TTL, 64),
        ("IPV4", bytes(8) + b"\x40\x11" + bytes(10), 4, F.IPV4_PROT, 17),
        ("IPV6", b"\x6a\xb0" + bytes(38), 2, F.IPV6_TC, 0xAB),
        ("IPV6", bytes(6) + b"\x11\x40" + bytes(32), 3, F.IPV6_HOP_LIMIT, 64),
        ("IPV6", bytes(6) + b"\x11\x40" + bytes(32), 4, F.IPV6_PROT, 17),
        ("IPV6", V6.header(17, 0), 1, F.IPV6_DST, DST6),
        ("SCTP", be(1) + be(2), 1, F.SCTP_DST_PORT, 2),
        ("ESP", be(0x12345678, 4), 0, F.ESP_SPI, 0x12345678),
    ],
)
def test_each_field_is_taken_from_its_place_in_the_header(kind, data, bit, field, value):
    one = header(kind, data, bit)
    assert one.fields() == [field]
    assert one.value(field) == value
