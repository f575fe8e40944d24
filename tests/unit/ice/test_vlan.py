"""Tags of a VSI: filters, stripping, insertion, a port VLAN."""

from errno import EEXIST, EINVAL, ENOENT, EOPNOTSUPP

import pytest

from conformance.e810.frames import A, B, plain
from siov.drivers.ice.switch import Switch
from siov.drivers.ice.vlan import VsiVlan
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, AqSetPortParams

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


@pytest.fixture
def vsi(rig):
    return rig.vsi(1, rule=True)


@pytest.fixture
def vlan(rig, vsi) -> VsiVlan:
    return VsiVlan(Switch(rig.aq), rig.props[vsi.number])


@pytest.fixture
def double(rig, vsi) -> VsiVlan:
    rig.aq.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))
    return VsiVlan(Switch(rig.aq), rig.props[vsi.number], double=True)


def tagged(*tags, size=64, dst=A, src=FAR):
    return plain(dst, src, tags=tags, size=size)


def errno_of(call, *args, **kwargs) -> int:
    with pytest.raises(LinuxError) as caught:
        call(*args, **kwargs)
    return caught.value.errno


def received(vsi):
    """(data, L2TAG1, L2TAG2_2) of each frame, None where the descriptor has none."""
    found = []
    for got in vsi.rx[0].take():
        raw = got.descriptors[-1]
        first = int.from_bytes(raw[2:4], "little") if raw[8] & 4 else None
        second = int.from_bytes(raw[22:24], "little") if raw[16] & 1 else None
        found.append((got.data, first, second))
    return found


# Filters.


def test_a_vsi_that_filters_receives_its_vlans_only(rig, vsi, vlan):
    vlan.set_rx_filtering(True)
    vlan.add(5)
    five, six = tagged((0x8100, 5)), tagged((0x8100, 6))
    rig.send(five, six)
    assert vsi.frames() == [five]
    vlan.set_rx_filtering(False)
    rig.send(five, six)
    assert vsi.frames() == [five, six]


def test_untagged_frames_are_of_vlan_0(rig, vsi, vlan):
    vlan.set_rx_filtering(True)
    rig.send(plain(A, FAR))
    assert vsi.frames() == []
    vlan.add(0)
    rig.send(plain(A, FAR))
    assert vsi.frames() == [plain(A, FAR)]


def test_a_vsi_that_filters_on_sending_sends_its_vlans_only(rig, vsi, vlan):
    vlan.set_tx_filtering(True)
    vlan.add(5)
    five, six = (tagged((0x8100, vid), dst=FAR, src=A) for vid in (5, 6))
    vsi.tx[0].send(five, six)
    assert rig.sent() == [five]


def test_a_vlan_twice_is_eexist_one_that_is_not_there_enoent(vlan):
    vlan.add(5)
    assert errno_of(vlan.add, 5) == EEXIST
    assert errno_of(vlan.remove, 6) == ENOENT
    assert errno_of(vlan.add, 4096) == EINVAL
    assert errno_of(vlan.add, 5, 0x88A8) == EINVAL
    vlan.remove(5)
    assert errno_of(vlan.remove, 5) == ENOENT


def test_filters_that_differ_in_tpid_alone_share_a_rule_until_the_last_goes(rig, vsi, double):
    double.set_rx_filtering(True)
    double.add(5, 0x8100)
    double.add(5, 0x88A8)
    double.remove(5, 0x8100)
    frame = tagged((0x88A8, 5))
    rig.send(frame)
    assert vsi.frames() == [frame]
    double.remove(5, 0x88A8)
    rig.send(frame)
    assert vsi.frames() == []


# Offloads.


def test_stripping_takes_a_tag_out_and_reports_it(rig, vsi, vlan):
    vlan.set_strip(True)
    rig.send(tagged((0x8100, 0x6123)))
    assert received(vsi) == [(plain(A, FAR), 0x6123, None)]
    vlan.set_strip(False)
    rig.send(tagged((0x8100, 0x6123)))
    assert received(vsi) == [(tagged((0x8100, 0x6123)), None, None)]


def test_insertion_can_be_blocked(rig, vsi, vlan):
    frame = plain(FAR, A)
    vlan.set_insert(False)
    vsi.tx[0].send(frame, IL2TAG1=1, L2TAG1=9)
    assert all(sent[12:14] != b"\x81\x00" for sent in rig.sent())
    vlan.set_insert(True)
    vsi.tx[0].send(frame, IL2TAG1=1, L2TAG1=9)
    assert rig.sent() == [frame[:12] + bytes.fromhex("81000009") + frame[12:]]


def test_stripping_and_insertion_do_not_disturb_each_other(rig, vsi, vlan):
    vlan.set_strip(True)
    vlan.set_insert(False)
    rig.send(tagged((0x8100, 7)))
    assert received(vsi)[0][1] == 7
    vlan.set_insert(True)
    rig.send(tagged((0x8100, 7)))
    assert received(vsi)[0][1] == 7


def test_in_double_vlan_mode_the_outer_tag_is_stripped_and_the_inner_stays(rig, vsi, double):
    double.set_strip(True, outer=True, tpid=0x88A8)
    rig.send(tagged((0x88A8, 100), (0x8100, 5), size=68))
    [(data, first, second)] = received(vsi)
    assert data == tagged((0x8100, 5))
    assert 100 in (first, second)
    double.set_strip(False, outer=True)
    rig.send(tagged((0x88A8, 100), (0x8100, 5), size=68))
    assert received(vsi)[0][0] == tagged((0x88A8, 100), (0x8100, 5), size=68)


@pytest.mark.parametrize("tpid", [0x8100, 0x88A8, 0x9100])
def test_in_double_vlan_mode_the_inserted_outer_tag_is_of_the_kind_that_was_asked_for(rig, vsi, double, tpid):
    double.set_insert(True, outer=True, tpid=tpid)
    frame = plain(FAR, A)
    vsi.tx[0].ctx({"L2TAG2": 100}, IL2TAG2=1)
    vsi.tx[0].send(frame)
    assert rig.sent() == [frame[:12] + tpid.to_bytes(2, "big") + b"\x00\x64" + frame[12:]]


def test_an_outer_tag_in_single_vlan_mode_is_eopnotsupp(vlan):
    assert errno_of(vlan.set_strip, True, outer=True) == EOPNOTSUPP
    assert errno_of(vlan.set_insert, True, outer=True) == EOPNOTSUPP
    assert errno_of(vlan.set_strip, True, tpid=0x88A8) == EINVAL


def test_an_inner_tag_of_another_kind_is_einval(double):
    assert errno_of(double.set_strip, True, tpid=0x88A8) == EINVAL
    assert errno_of(double.set_strip, True, outer=True, tpid=0x1234) == EINVAL


# Port VLAN.


def test_a_port_vlan_tags_what_is_sent_and_hides_its_tag_on_receipt(rig, vsi, vlan):
    vlan.add(7)
    vlan.set_port_vlan(7, priority=2)
    frame = plain(FAR, A)
    vsi.tx[0].send(frame)
    assert rig.sent() == [frame[:12] + bytes.fromhex("81004007") + frame[12:]]
    rig.send(tagged((0x8100, 7)), tagged((0x8100, 8)))
    assert received(vsi) == [(plain(A, FAR), None, None)]


def test_a_guest_in_a_port_vlan_sends_no_tag_of_its_own(rig, vsi, vlan):
    vlan.add(7)
    vlan.set_port_vlan(7)
    vsi.tx[0].send(tagged((0x8100, 8), dst=FAR, src=A))
    assert rig.sent() == []
    assert errno_of(vlan.set_strip, True) == EINVAL


def test_without_its_port_vlan_a_vsi_is_as_before(rig, vsi, vlan):
    vlan.set_port_vlan(7)
    vlan.clear_port_vlan()
    frame = tagged((0x8100, 8), dst=B, src=A)
    vsi.tx[0].send(frame)
    assert rig.sent() == [frame]
    rig.send(tagged((0x8100, 9)))
    assert received(vsi) == [(tagged((0x8100, 9)), None, None)]


@pytest.mark.parametrize("args", [(4096,), (-1,), (5, 8), (5, -1), (5, 0, 0x88A8)])
def test_a_port_vlan_that_is_none_is_einval(vlan, args):
    assert errno_of(vlan.set_port_vlan, *args) == EINVAL
    assert vlan.port_vlan is None


def test_in_double_vlan_mode_the_port_vlan_is_an_outer_tag(rig, vsi, double):
    double.add(7, 0x88A8)
    double.set_port_vlan(7, tpid=0x88A8)
    frame = plain(FAR, A)
    vsi.tx[0].send(frame)
    assert rig.sent() == [frame[:12] + bytes.fromhex("88a80007") + frame[12:]]
