"""Tags that hardware inserts: from the data descriptor, the context descriptor, and the VSI (iavf_txrx.c)."""

import pytest

from siov.spec.e810 import AqOpcode, AqSetPortParams, VsiProperties

from .frames import A, be, plain, udp_frame

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


def tagged(frame, *tags):
    return frame[:12] + b"".join(be(tpid) + be(tci) for tpid, tci in tags) + frame[12:]


@pytest.fixture
def vsi(nic):
    return nic.vsi(1)


def test_l2tag1_is_inserted_behind_the_addresses(vsi, wire):
    frame = udp_frame(dst=FAR)
    vsi.tx[0].send(frame, IL2TAG1=1, L2TAG1=0x6123)
    assert wire.take() == [tagged(frame, (0x8100, 0x6123))]


def test_l2tag1_is_not_inserted_unless_it_is_asked_for(vsi, wire):
    frame = udp_frame(dst=FAR)
    vsi.tx[0].send(frame, L2TAG1=0x6123)
    assert wire.take() == [frame]


def test_l2tag1_is_inserted_into_a_frame_of_several_buffers(vsi, wire):
    frame = udp_frame(dst=FAR)
    vsi.tx[0].packet(frame[:6], frame[6:13], frame[13:], IL2TAG1=1, L2TAG1=7)
    vsi.tx[0].kick()
    assert wire.take() == [tagged(frame, (0x8100, 7))]


def test_l2tag2_of_the_context_descriptor_is_inserted(vsi, wire):
    frame = udp_frame(dst=FAR)
    vsi.tx[0].ctx({"L2TAG2": 0x2055}, IL2TAG2=1)
    vsi.tx[0].send(frame)
    assert wire.take() == [tagged(frame, (0x8100, 0x2055))]


def test_l2tag2_is_that_of_one_packet_only(vsi, wire):
    frame = udp_frame(dst=FAR)
    vsi.tx[0].ctx({"L2TAG2": 5}, IL2TAG2=1)
    vsi.tx[0].send(frame, frame)
    assert wire.take() == [tagged(frame, (0x8100, 5)), frame]


def double(nic):
    nic.aq.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))


def outer(kind):
    return VsiProperties.OUTER_VLAN_FLAGS.of(EMODE=3, TAG_TYPE=kind, TX_MODE=3)


@pytest.mark.parametrize(("kind", "tpid"), [(1, 0x88A8), (2, 0x8100), (3, 0x9100)])
def test_in_double_vlan_mode_l2tag2_is_the_outer_tag_of_the_vsis_kind(nic, wire, kind, tpid):
    double(nic)
    vsi = nic.vsi(1)
    vsi.set("OUTER_TAG_VALID", outer(kind))
    frame = udp_frame(dst=FAR)
    vsi.tx[0].ctx({"L2TAG2": 0x0123}, IL2TAG2=1)
    vsi.tx[0].send(frame)
    assert wire.take() == [tagged(frame, (tpid, 0x0123))]


def test_in_double_vlan_mode_both_tags_stand_outer_before_inner(nic, wire):
    double(nic)
    vsi = nic.vsi(1)
    vsi.set("OUTER_TAG_VALID", outer(1))
    frame = udp_frame(dst=FAR)
    vsi.tx[0].ctx({"L2TAG2": 100}, IL2TAG2=1)
    vsi.tx[0].send(frame, IL2TAG1=1, L2TAG1=200)
    assert wire.take() == [tagged(frame, (0x88A8, 100), (0x8100, 200))]


def test_a_vsi_with_a_port_vlan_sends_with_its_tag(nic, wire):
    vsi = nic.vsi(1)
    flags = VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=1, INSERT_PVID=1, EMODE=2)
    vsi.set("VLAN_VALID", VsiProperties.PORT_BASED_INNER_VLAN(0x4007), flags)
    frame = udp_frame(dst=FAR)
    vsi.tx[0].send(frame)
    assert wire.take() == [tagged(frame, (0x8100, 0x4007))]


def test_a_vsi_that_accepts_untagged_frames_only_sends_no_tagged_one(nic, wire):
    vsi = nic.vsi(1)
    vsi.set("VLAN_VALID", VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=1, EMODE=3))
    tag, frame = plain(FAR, A, tags=((0x8100, 5),)), plain(FAR, A)
    vsi.tx[0].send(tag, frame)
    assert wire.take() == [frame]


def test_a_vsi_that_accepts_tagged_frames_only_sends_no_untagged_one(nic, wire):
    vsi = nic.vsi(1)
    vsi.set("VLAN_VALID", VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=2, EMODE=3))
    tag, frame = plain(FAR, A, tags=((0x8100, 5),)), plain(FAR, A)
    vsi.tx[0].send(tag, frame)
    assert wire.take() == [tag]


def test_a_vsi_whose_descriptors_are_blocked_inserts_no_tag(nic, wire):
    vsi = nic.vsi(1)
    vsi.set("VLAN_VALID", VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=3, BLOCK_TX_DESC=1))
    vsi.tx[0].send(udp_frame(dst=FAR), IL2TAG1=1, L2TAG1=9)
    assert all(frame[12:14] != be(0x8100) for frame in wire.take())


def test_a_frame_that_stays_inside_carries_its_tag_too(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(udp_frame(), IL2TAG1=1, L2TAG1=0x123)
    assert two.frames() == [tagged(udp_frame(), (0x8100, 0x123))]
