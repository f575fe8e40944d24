"""ADD_FDIR_FILTER, DEL_FDIR_FILTER."""

import ipaddress

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from siov.drivers.ice.fdir import FdirError
from siov.drivers.ice.virtchnl import VfLimits
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, PacketGroup
from siov.spec.virtchnl import (
    ActionType,
    FdirAdd,
    FdirDel,
    FdirStatus,
    FilterAction,
    Op,
    ProtoHdr,
    ProtoHdrs,
    Status,
)
from siov.spec.virtchnl import ProtoHdrField as Field
from siov.spec.virtchnl import ProtoHdrType as Type

from . import build
from .fake import VSI, Driver, ready

TO_QUEUE_2 = FilterAction.of(type=ActionType.QUEUE, queue_index=2)
DROP = FilterAction.of(type=ActionType.DROP)
PASS = FilterAction.of(type=ActionType.PASSTHRU)
MARK = FilterAction.of(type=ActionType.MARK, mark_id=77)


def head(kind: Type, layer: Packet, *fields: Field) -> ProtoHdr:
    """A header whose bytes scapy made."""
    return build.header(kind, *fields, buffer=bytes(layer)[:64])


def tcp4(dport: int = 80, src: str = "192.0.2.1", dst: str = "198.51.100.7") -> ProtoHdrs:
    return build.pattern(
        head(Type.ETH, Ether()),
        head(Type.IPV4, IP(src=src, dst=dst), Field.IPV4_SRC, Field.IPV4_DST),
        head(Type.TCP, TCP(sport=1024, dport=dport), Field.TCP_DST_PORT),
    )


def add(driver: Driver, hdrs: ProtoHdrs, *actions: FilterAction, **more: int) -> FdirAdd:
    """The reply, which must be the request but for the number and the status."""
    request = build.fdir(hdrs, *actions, **more)
    reply = FdirAdd(driver.ok(Op.ADD_FDIR_FILTER, request))
    assert reply.replace(flow_id=0, status=0) == FdirAdd(request).replace(flow_id=0, status=0)
    return reply


def delete(driver: Driver, flow_id: int) -> int:
    request = FdirDel.of(vsi_id=VSI, pad=0xBEEF, flow_id=flow_id)
    reply = FdirDel(driver.ok(Op.DEL_FDIR_FILTER, request.data))
    assert reply.replace(status=0) == request
    return reply.status


def test_a_filter_is_echoed_with_a_number_and_programmed_with_the_packet_s_values():
    driver = ready()
    reply = add(driver, tcp4(), TO_QUEUE_2)
    assert reply.status == FdirStatus.SUCCESS
    (made,) = driver.vsi.fdir.values()
    assert made.pattern.group == PacketGroup.IPV4_TCP
    assert made.pattern.values == {
        HeaderField.IPV4_SRC: int(ipaddress.ip_address("192.0.2.1")),
        HeaderField.IPV4_DST: int(ipaddress.ip_address("198.51.100.7")),
        HeaderField.TCP_DST_PORT: 80,
    }
    assert (made.queue, made.region, made.drop, made.mark) == (2, 0, False, None)
    assert delete(driver, reply.flow_id) == FdirStatus.SUCCESS
    assert driver.vsi.fdir == {}


def test_ipv6_addresses_are_128_bits():
    driver = ready()
    ip = IPv6(src="2001:db8::1", dst="2001:db8::2")
    hdrs = build.pattern(
        head(Type.ETH, Ether()),
        head(Type.IPV6, ip, Field.IPV6_DST),
        head(Type.UDP, UDP(sport=5, dport=6), Field.UDP_SRC_PORT),
    )
    assert add(driver, hdrs, DROP).status == FdirStatus.SUCCESS
    (made,) = driver.vsi.fdir.values()
    assert made.pattern.values == {
        HeaderField.IPV6_DST: int(ipaddress.ip_address("2001:db8::2")),
        HeaderField.UDP_SRC_PORT: 5,
    }
    assert made.drop


@pytest.mark.parametrize(
    ("actions", "want"),
    [
        ((TO_QUEUE_2,), (2, 0, False, None)),
        ((DROP,), (None, 0, True, None)),
        ((PASS,), (None, 0, False, None)),
        ((PASS, MARK), (None, 0, False, 77)),
        ((MARK, TO_QUEUE_2), (2, 0, False, 77)),
        ((FilterAction.of(type=ActionType.Q_REGION, queue_index=2, queue_region=1),), (2, 1, False, None)),
    ],
)
def test_actions_are_one_target_and_maybe_a_mark(actions, want):
    driver = ready()
    assert add(driver, tcp4(), *actions).status == FdirStatus.SUCCESS
    (made,) = driver.vsi.fdir.values()
    assert (made.queue, made.region, made.drop, made.mark) == want


BAD_ACTIONS = [
    (),
    (MARK,),
    (DROP, TO_QUEUE_2),
    (DROP, MARK, MARK),
    (FilterAction.of(type=ActionType.QUEUE, queue_index=4),),
    (FilterAction.of(type=ActionType.Q_REGION, queue_index=0, queue_region=0),),
    (FilterAction.of(type=ActionType.Q_REGION, queue_index=0, queue_region=3),),
    (FilterAction.of(type=ActionType.Q_REGION, queue_index=3, queue_region=1),),
    (FilterAction.of(type=ActionType.Q_REGION, queue_index=0, queue_region=200),),
    (FilterAction.of(type=ActionType.TC_REDIRECT),),
    (FilterAction.of(type=ActionType.COUNT), DROP),
    (FilterAction.of(type=-1),),
]


@pytest.mark.parametrize("actions", BAD_ACTIONS)
def test_actions_that_make_no_sense_are_invalid(actions: tuple[FilterAction, ...]):
    driver = ready()
    assert add(driver, tcp4(), *actions).status == FdirStatus.RULE_INVALID
    assert driver.vsi.fdir == {}


BAD_PATTERNS = [
    ProtoHdrs.of(count=0, pkt_len=64),
    ProtoHdrs.of(count=33),
    ProtoHdrs.of(count=-5),
    build.pattern(build.header(Type.ETH)),  # no field
    build.pattern(build.header(Type.ETH), tunnel_level=1),
    build.pattern(build.header(Type.TCP, Field.TCP_DST_PORT)),  # on nothing
    build.pattern(build.header(Type.IPV4, Field.IPV4_SRC), build.header(Type.IPV6, Field.IPV6_SRC)),
    build.pattern(build.header(Type.IPV4).replace(field_selector=0xFFFF_FFFF)),
    build.pattern(build.header(Type.IPV4).replace(type=99, field_selector=1)),
    build.pattern(*[build.header(Type.IPV4, Field.IPV4_SRC)] * 32),
]


@pytest.mark.parametrize("hdrs", BAD_PATTERNS)
def test_a_pattern_that_no_packet_has_is_invalid(hdrs: ProtoHdrs):
    driver = ready()
    assert add(driver, hdrs, DROP).status == FdirStatus.RULE_INVALID
    assert driver.vsi.fdir == {}


def test_the_same_pattern_exists_and_with_another_action_it_conflicts():
    driver = ready()
    first = add(driver, tcp4(), DROP)
    assert add(driver, tcp4(), DROP).status == FdirStatus.RULE_EXIST
    assert add(driver, tcp4(), TO_QUEUE_2).status == FdirStatus.RULE_CONFLICT
    delete(driver, first.flow_id)
    assert add(driver, tcp4(), TO_QUEUE_2).status == FdirStatus.SUCCESS


def test_bytes_of_fields_that_are_not_selected_mean_nothing():
    driver = ready()
    add(driver, tcp4(), DROP)
    request = tcp4()
    noisy = bytearray(request.data)
    noisy[8 + 8] ^= 0xFF  # the first byte of the Ethernet header
    assert add(driver, ProtoHdrs(bytes(noisy)), DROP).status == FdirStatus.RULE_EXIST


def test_validating_programs_nothing():
    driver = ready()
    assert add(driver, tcp4(), DROP, validate_only=1).status == FdirStatus.SUCCESS
    assert add(driver, tcp4(), MARK, validate_only=1).status == FdirStatus.RULE_INVALID
    assert driver.vsi.fdir == {}
    assert add(driver, tcp4(), DROP).status == FdirStatus.SUCCESS


def test_numbers_are_the_vf_s_own_and_are_used_again():
    driver = ready()
    ids = [add(driver, tcp4(dport), DROP).flow_id for dport in range(1, 6)]
    assert len(set(ids)) == 5
    delete(driver, ids[2])
    assert add(driver, tcp4(99), DROP).flow_id == ids[2]
    assert delete(driver, ids[2]) == FdirStatus.SUCCESS
    assert delete(driver, ids[2]) == FdirStatus.RULE_NONEXIST


@pytest.mark.parametrize("flow_id", [0, 1, 0xFFFF_FFFF])
def test_a_filter_that_is_not_there_cannot_be_deleted(flow_id: int):
    assert delete(ready(), flow_id) == FdirStatus.RULE_NONEXIST


def test_a_vf_has_a_limited_number_of_filters():
    driver = ready(limits=VfLimits(fdir_filters=10))
    for dport in range(1, 11):
        assert add(driver, tcp4(dport), DROP).status == FdirStatus.SUCCESS
    assert add(driver, tcp4(11), DROP).status == FdirStatus.RULE_NORESOURCE


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *((FdirError(status, "no"), status) for status in FdirStatus if status),
        (LinuxError(28, "no queue for the control VSI"), FdirStatus.RULE_NORESOURCE),
        (LinuxError(110, "no answer"), FdirStatus.RULE_TIMEOUT),
        (LinuxError(5, "shut"), FdirStatus.RULE_INVALID),
    ],
)
def test_what_hardware_refuses_is_told_by_its_status(error: LinuxError, status: FdirStatus):
    driver = ready()
    driver.vsi.fails["add_fdir"] = error
    assert add(driver, tcp4(), DROP).status == status
    del driver.vsi.fails["add_fdir"]
    assert add(driver, tcp4(), DROP).status == FdirStatus.SUCCESS


def test_a_filter_that_hardware_does_not_let_go_stays_the_vf_s():
    driver = ready()
    made = add(driver, tcp4(), DROP)
    driver.vsi.fails["del_fdir"] = FdirError(FdirStatus.RULE_TIMEOUT, "no answer")
    assert delete(driver, made.flow_id) == FdirStatus.RULE_TIMEOUT
    del driver.vsi.fails["del_fdir"]
    assert delete(driver, made.flow_id) == FdirStatus.SUCCESS


def test_the_vsi_of_another_is_refused_without_an_echo():
    driver = ready()
    assert driver.status(Op.ADD_FDIR_FILTER, build.fdir(tcp4(), DROP, vsi=1)) == Status.ERR_PARAM
    assert driver.status(Op.DEL_FDIR_FILTER, FdirDel.of(vsi_id=1).data) == Status.ERR_PARAM


def test_a_reset_forgets_all_filters():
    driver = ready()
    add(driver, tcp4(), DROP)
    driver.messages(Op.RESET_VF)
    assert driver.vsi.fdir == {}
    driver.begin()
    assert add(driver, tcp4(), DROP).status == FdirStatus.SUCCESS
