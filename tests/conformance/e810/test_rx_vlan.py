"""Tags taken out of received frames: both places, both modes, and the ones that stay (iavf_txrx.c)."""

import pytest

from siov.spec.e810 import RXDID, AqOpcode, AqSetPortParams, VsiProperties

from .frames import A, B, plain

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
TAG = 0x6123
SINGLE, DOUBLE = ((0x8100, TAG),), ((0x88A8, 0x0064), (0x8100, TAG))


def inner(mode):
    return VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=mode)


def reported(vsi, got):
    """(L2TAG1, L2TAG2) as the last descriptor has them, None where it says there is none."""
    raw = got.descriptors[-1]
    if vsi.rx[0].rxdid == RXDID.LEGACY_1:
        first = int.from_bytes(raw[2:4], "little") if raw[8] & 4 else None
        second = int.from_bytes(raw[22:24], "little") if raw[16] & 1 else None
    else:
        first = int.from_bytes(raw[10:12], "little") if raw[9] & 0x20 else None
        second = int.from_bytes(raw[22:24], "little") if raw[17] & 8 else None
    return first, second


@pytest.mark.parametrize("rxdid", [RXDID.LEGACY_1, RXDID.FLEX_NIC, RXDID.COMMS_OVS_1])
@pytest.mark.parametrize("l2tsel", [1, 0])
def test_a_tag_is_taken_out_and_reported_where_l2tsel_says(nic, wire, machine, rxdid, l2tsel):
    vsi = nic.vsi(1, rxdid=rxdid, L2TSEL=l2tsel)
    vsi.set("VLAN_VALID", inner(0))
    wire.send(machine, plain(A, FAR, tags=SINGLE, size=64))
    [got] = vsi.rx[0].take()
    assert got.data == plain(A, FAR, size=60)
    assert reported(vsi, got) == ((TAG, None) if l2tsel else (None, TAG))


@pytest.mark.parametrize("rxdid", [RXDID.LEGACY_1, RXDID.FLEX_NIC])
def test_a_tag_stays_when_the_vsi_takes_none_out(nic, wire, machine, rxdid):
    vsi = nic.vsi(1, rxdid=rxdid)
    vsi.set("VLAN_VALID", inner(3))
    frame = plain(A, FAR, tags=SINGLE, size=64)
    wire.send(machine, frame)
    [got] = vsi.rx[0].take()
    assert got.data == frame
    assert reported(vsi, got) == (None, None)


@pytest.mark.parametrize("rxdid", [RXDID.LEGACY_1, RXDID.FLEX_NIC])
def test_a_frame_without_a_tag_reports_none(nic, wire, machine, rxdid):
    vsi = nic.vsi(1, rxdid=rxdid)
    vsi.set("VLAN_VALID", inner(0))
    wire.send(machine, plain(A, FAR))
    [got] = vsi.rx[0].take()
    assert got.data == plain(A, FAR)
    assert reported(vsi, got) == (None, None)


def test_a_port_vlans_tag_is_taken_out_and_hidden(nic, wire, machine):
    """EMODE STR: the guest of a port VLAN must not see its tag (ice_vsi_manage_pvid)."""
    vsi = nic.vsi(1, rule=False)
    nic.add_mac(vsi, vsi.mac, TAG & 0xFFF)
    flags = VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=1, INSERT_PVID=1, EMODE=2)
    vsi.set("VLAN_VALID", VsiProperties.PORT_BASED_INNER_VLAN(TAG & 0xFFF), flags)
    wire.send(machine, plain(A, FAR, tags=((0x8100, TAG & 0xFFF),), size=64))
    [got] = vsi.rx[0].take()
    assert got.data == plain(A, FAR)
    assert reported(vsi, got) == (None, None)


@pytest.mark.parametrize("rxdid", [RXDID.LEGACY_1, RXDID.FLEX_NIC])
def test_in_double_vlan_mode_the_outer_tag_goes_to_l2tag2_and_the_inner_stays(nic, wire, machine, rxdid):
    nic.aq.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))
    vsi = nic.vsi(1, rxdid=rxdid, L2TSEL=0)
    vsi.set("OUTER_TAG_VALID", VsiProperties.OUTER_VLAN_FLAGS.of(EMODE=0, TAG_TYPE=1, TX_MODE=3))
    wire.send(machine, plain(A, FAR, tags=DOUBLE, size=68))
    [got] = vsi.rx[0].take()
    assert got.data == plain(A, FAR, tags=DOUBLE[1:], size=64)
    assert reported(vsi, got) == (None, 0x64)


def test_in_double_vlan_mode_both_tags_stay_when_none_is_taken_out(nic, wire, machine):
    nic.aq.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))
    vsi = nic.vsi(1)
    vsi.set("OUTER_TAG_VALID", VsiProperties.OUTER_VLAN_FLAGS.of(EMODE=3, TAG_TYPE=1, TX_MODE=3))
    frame = plain(A, FAR, tags=DOUBLE, size=68)
    wire.send(machine, frame)
    assert vsi.frames() == [frame]


def test_a_priority_tag_is_a_tag(nic, wire, machine):
    vsi = nic.vsi(1)
    vsi.set("VLAN_VALID", inner(0))
    wire.send(machine, plain(A, FAR, tags=((0x8100, 0xA000),), size=64))
    [got] = vsi.rx[0].take()
    assert got.data == plain(A, FAR)
    assert reported(vsi, got) == (0xA000, None)


def test_a_tag_sent_by_a_vsi_is_taken_out_at_another(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    two.set("VLAN_VALID", inner(0))
    one.tx[0].send(plain(B, A), IL2TAG1=1, L2TAG1=TAG)
    [got] = two.rx[0].take()
    assert got.data == plain(B, A)
    assert reported(two, got) == (TAG, None)
