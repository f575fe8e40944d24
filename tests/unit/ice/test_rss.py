"""RSS of a VSI: which queue packets come to, by key, table, hash and fields."""

from errno import EINVAL, ENOENT, EOPNOTSUPP

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
    toeplitz,
    udp_frame,
)
from siov.drivers.ice.flow import Header
from siov.drivers.ice.rss import ALL_HENA, DEFAULT_HENA, Rss
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, RssHash, RssLut, VsiProperties
from siov.spec.virtchnl import Hena, ProtoHdrType, RssAlgorithm

from .rig import RefusedError, properties

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
QUEUES = 16
UDP_FRAME, TCP_FRAME = udp_frame(src=FAR), tcp_frame(src=FAR)
PORTS = be(4000) + be(5000)
PAIR = V4.src + V4.dst


def ip(*bits):
    return Header(ProtoHdrType.IPV4, sum(1 << n for n in bits))


def of(kind, *bits):
    return Header(ProtoHdrType[kind], sum(1 << n for n in bits))


@pytest.fixture
def vsi(rig):
    return rig.vsi(2, rule=True, queues=QUEUES)


@pytest.fixture
def rss(rig, vsi) -> Rss:
    found = Rss(rig.aq, rig.props[vsi.number])
    found.set_key(TOEPLITZ_KEY)
    found.spread(QUEUES)
    return found


def queue(rig, vsi, frame):
    rig.send(frame)
    [found] = [n for n in range(vsi.count) if vsi.frames(n)]
    return found


def by(data, size=64):
    return toeplitz(data) % size % QUEUES


def errno_of(call, *args) -> int:
    with pytest.raises(LinuxError) as caught:
        call(*args)
    return caught.value.errno


# Key, table, hash.


def test_a_table_spreads_evenly_and_is_read_back(rig, vsi, rss):
    assert rss.get_lut() == bytes(n % QUEUES for n in range(64))
    assert rss.get_key() == TOEPLITZ_KEY
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS)


@pytest.mark.parametrize(
    ("size", "choice"), [(64, RssLut.VSI), (512, RssLut.GBL), (2048, RssLut.PF)], ids=["64", "512", "2048"]
)
def test_the_length_of_a_table_chooses_whose_it_is(rig, vsi, rss, size, choice):
    rss.spread(QUEUES, size)
    assert choice == properties(rig, vsi, VsiProperties.Q_OPT_RSS).LUT
    assert len(rss.get_lut()) == size
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS, size)


def test_a_global_table_is_its_vsis_own_and_goes_back_with_another_or_with_the_vsi(rig, vsi, rss):
    other = rig.vsi(3, rule=True, queues=QUEUES)
    second = Rss(rig.aq, rig.props[other.number])
    second.set_key(TOEPLITZ_KEY)
    rss.spread(QUEUES, 512)
    second.set_lut(bytes([5] * 512))
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS, 512)
    assert queue(rig, other, udp_frame(dst=other.mac, src=FAR)) == 5
    assert (len(set(rss.get_lut())), set(second.get_lut())) == (QUEUES, {5})
    rss.spread(QUEUES)
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS)
    second.release()
    assert not any(rig.machine.function.device.firmware.resources.taken.values())


def test_there_are_16_global_tables(rig, rss):
    several = [Rss(rig.aq, rig.props[rig.vsi(n, rings=False).number]) for n in range(10, 27)]
    for one in several[:16]:
        one.set_lut(bytes(512))
    with pytest.raises(RefusedError):
        several[16].set_lut(bytes(512))
    assert rss.get_lut() == bytes(n % QUEUES for n in range(64))


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128, 511, 4096])
def test_a_table_or_key_of_another_length_is_einval(rss, size):
    assert errno_of(rss.set_lut, bytes(size)) == EINVAL
    assert errno_of(rss.set_key, bytes(size)) == EINVAL


def test_a_symmetric_hash_sends_both_directions_to_one_queue(rig, vsi, rss):
    back = udp_frame(ip=Ip(V4.dst, V4.src), src=FAR, sport=5000, dport=4000)
    rss.set_algorithm(RssAlgorithm.TOEPLITZ_SYMMETRIC)
    assert properties(rig, vsi, VsiProperties.Q_OPT_RSS).HASH == RssHash.SYM_TPLZ
    assert queue(rig, vsi, UDP_FRAME) == queue(rig, vsi, back)
    rss.set_algorithm(RssAlgorithm.TOEPLITZ_ASYMMETRIC)
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS)
    assert errno_of(rss.set_algorithm, 4) == EINVAL


# Packet types.


FRAMES = {
    "IPV4_UDP": UDP_FRAME,
    "IPV4_TCP": TCP_FRAME,
    "IPV4_SCTP": packet(V4, SCTP, sctp(b"abcd"), src=FAR),
    "IPV4_OTHER": packet(V4, 99, bytes(30), src=FAR),
    "FRAG_IPV4": packet(Ip(fragment=0x2000), 17, bytes(30), src=FAR),
    "IPV6_UDP": udp_frame(ip=V6, src=FAR),
    "IPV6_TCP": tcp_frame(ip=V6, src=FAR),
    "IPV6_OTHER": packet(V6, 99, bytes(30), src=FAR),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_packet_type_that_is_not_asked_for_is_not_hashed_and_others_are(rig, vsi, rss, name):
    rss.set_lut(bytes([7] * 64))
    rss.set_hena(DEFAULT_HENA & ~Hena.of(**{name: 1}).raw)
    if name.endswith("UDP"):  # ice hashes UDP when any of its three types is asked for
        family = name[:4]
        three = {name: 1, f"UNICAST_{family}_UDP": 1, f"MULTICAST_{family}_UDP": 1}
        rss.set_hena(DEFAULT_HENA & ~Hena.of(**three).raw)
    if name.endswith("TCP"):
        rss.set_hena(DEFAULT_HENA & ~Hena.of(**{name: 1, f"{name}_SYN": 1}).raw)
    assert {n: queue(rig, vsi, frame) for n, frame in FRAMES.items()} == {n: 7 * (n != name) for n in FRAMES}


def test_without_packet_types_nothing_is_hashed(rig, vsi, rss):
    rss.set_lut(bytes([7] * 64))
    rss.set_hena(0)
    assert {queue(rig, vsi, frame) for frame in FRAMES.values()} == {0}
    rss.set_hena(ALL_HENA)
    assert {queue(rig, vsi, frame) for frame in FRAMES.values()} == {7}
    assert queue(rig, vsi, plain(vsi.mac, FAR)) == 0, "what is not IP is never hashed"


@pytest.mark.parametrize("bit", [0, 28, 37, 47, 62])
def test_an_unknown_packet_type_is_einval(rss, bit):
    assert errno_of(rss.set_hena, 1 << bit) == EINVAL


# Fields of one's own.


def test_udp_is_hashed_by_the_fields_that_are_given_and_tcp_as_before(rig, vsi, rss):
    rss.add_cfg([of("ETH"), ip(0), of("UDP", 1)])
    assert queue(rig, vsi, UDP_FRAME) == by(V4.src + be(5000))
    assert queue(rig, vsi, TCP_FRAME) == by(PAIR + PORTS)


def test_a_pattern_without_transport_is_about_all_packets_of_ipv4_but_those_with_one_of_their_own(
    rig, vsi, rss
):
    rss.add_cfg([of("ETH"), ip(0, 1)])
    assert queue(rig, vsi, UDP_FRAME) == queue(rig, vsi, TCP_FRAME) == by(PAIR)
    rss.add_cfg([ip(), of("TCP", 0)])
    assert queue(rig, vsi, TCP_FRAME) == by(be(4000))
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR)


def test_fields_that_are_taken_away_leave_what_packet_types_ask_for(rig, vsi, rss):
    pattern = [ip(0), of("UDP")]
    rss.add_cfg(pattern)
    rss.del_cfg(pattern)
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS)
    rss.del_cfg([ip(0, 1), of("UDP", 0, 1)])
    assert queue(rig, vsi, UDP_FRAME) == 0
    assert errno_of(rss.del_cfg, pattern) == ENOENT


@pytest.mark.parametrize(
    ("headers", "errno"),
    [
        ([], EINVAL),
        ([ip(), of("UDP")], EINVAL),
        ([of("UDP", 0)], EINVAL),
        ([of("UDP", 0), ip(0)], EINVAL),
        ([ip(0), ip(1)], EINVAL),
        ([ip(0), of("IPV6", 0)], EINVAL),
        ([ip(5)], EINVAL),
        ([ip(0), of("UDP", 2)], EINVAL),
        ([ip(0), of("UDP", 0), of("GTPU_IP", 0)], EOPNOTSUPP),
        ([of("ETH"), of("PPPOE", 0)], EOPNOTSUPP),
    ],
    ids=["none", "no field", "no network", "order", "twice", "both", "field", "udp field", "gtpu", "pppoe"],
)
def test_a_pattern_that_can_not_be_hashed_changes_nothing(rig, vsi, rss, headers, errno):
    assert errno_of(rss.add_cfg, headers) == errno
    assert queue(rig, vsi, UDP_FRAME) == by(PAIR + PORTS)


def test_a_refusal_of_firmware_leaves_the_fields_and_gives_the_package_back(rig, vsi, rss):
    rig.aq.refuse = {AqOpcode.UPDATE_PKG: 0}
    with pytest.raises(RefusedError):
        rss.add_cfg([ip(0), of("UDP")])
    assert rss.configured == {}
    rss.add_cfg([ip(0), of("UDP")])
    assert queue(rig, vsi, UDP_FRAME) == by(V4.src)


def test_all_of_it_comes_back_after_a_reset_of_the_function(rig, vsi, rss):
    rss.set_algorithm(RssAlgorithm.TOEPLITZ_SYMMETRIC)
    rss.set_hena(DEFAULT_HENA & ~Hena.of(IPV4_OTHER=1).raw)
    rss.add_cfg([ip(0), of("UDP")])
    rig.after_reset(vsi)
    rig.nic.add_mac(vsi, vsi.mac)
    assert queue(rig, vsi, UDP_FRAME) == 0
    rss.replay()
    assert queue(rig, vsi, UDP_FRAME) == by(V4.src)
    assert queue(rig, vsi, FRAMES["IPV4_OTHER"]) == 0
    assert rss.get_key() == TOEPLITZ_KEY


def test_what_is_hashed_can_be_seen(rss):
    rss.set_hena(Hena.of(IPV4_SCTP=1).raw)
    assert rss.inspect() == {
        "hash": "TPLZ",
        "table": 64,
        "fields": {"IPV4_SCTP": ["IPV4_SRC", "IPV4_DST", "SCTP_SRC_PORT", "SCTP_DST_PORT"]},
    }
