"""The function's mailbox: who sent what, answers, floods, and what a broken box costs (ice_sriov.c)."""

import pytest

from conformance.e810.adminq import AdminQueue as Box
from siov.drivers.ice.mailbox import BUDGET, RECEIVE_ENTRIES
from siov.host.linux import LinuxError
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, QueueLength

from .adi import Adi


class Peer:
    """An ADI with its mailbox open."""

    def __init__(self, server, pf, last, **options) -> None:
        self.adi = Adi.make(server, pf, last, up=False, **options)
        self.num = self.adi.vsi.num
        self.box = Box(self.adi.guest, "VSI_MBX", self.num)

    def put(self, data: bytes = b"hello", opcode: int = 3) -> int:
        flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512)
        return self.box.put(
            AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=len(data), COOKIE_HIGH=opcode),
            data,
        )


@pytest.fixture
def heard(pf):
    """(VSI, virtchnl opcode, data) of each message."""
    found = []
    pf.mbx.receive(lambda vsi, desc, data: found.append((vsi, desc.COOKIE_HIGH, data)))
    return found


def test_a_message_comes_by_interrupt_with_the_number_of_its_sender(server, pf, heard):
    one, two = Peer(server, pf, 1), Peer(server, pf, 2)
    two.put(b"second", 7)
    one.put(b"first", 8)
    assert heard == [(two.num, 7, b"second"), (one.num, 8, b"first")]
    assert server.iommu.faults.drain() == []


def test_an_answer_reaches_the_vsi_it_is_for_with_opcode_and_status(server, pf):
    one, two = Peer(server, pf, 1), Peer(server, pf, 2)
    assert pf.mbx.send(two.num, 3, -5, b"y" * 36) is AqRc.OK
    [got] = two.box.received()
    assert got.data == b"y" * 36
    assert got.descriptor.OPCODE == AqOpcode.SEND_MSG_TO_VF
    assert (got.descriptor.COOKIE_HIGH, got.descriptor.COOKIE_LOW) == (3, 0xFFFF_FFFB)
    assert one.box.received() == []


def test_an_answer_fires_the_vector_that_the_mailbox_is_mapped_to(server, pf):
    peer = Peer(server, pf, 1)
    vector = peer.adi.vsi.vectors[0]
    peer.adi.vsi.map_mailbox(0)
    vector.enable()
    pf.mbx.send(peer.num, 1, 0)
    assert vector.fired == 1
    peer.adi.vsi.map_mailbox(None)
    vector.enable()
    pf.mbx.send(peer.num, 1, 0)
    assert vector.fired == 1


def test_an_answer_may_be_sent_from_within_the_handler_of_its_message(server, pf):
    peer = Peer(server, pf, 1)
    pf.mbx.receive(lambda vsi, desc, data: pf.mbx.send(vsi, desc.COOKIE_HIGH, 0, data[::-1]))
    for n in range(5):
        peer.put(bytes([n, 9]), n + 1)
    got = peer.box.received()
    assert [(g.descriptor.COOKIE_HIGH, g.data) for g in got] == [(n + 1, bytes([9, n])) for n in range(5)]


def test_4096_bytes_go_both_ways(server, pf, heard):
    peer = Peer(server, pf, 1)
    data = bytes(n * 7 & 0xFF for n in range(4096))
    peer.put(data)
    assert heard[0][2] == data
    pf.mbx.send(peer.num, 1, 0, data)
    assert peer.box.received()[0].data == data


def test_more_than_4096_bytes_are_refused(pf):
    with pytest.raises(LinuxError, match="at most 4096"):
        pf.mbx.send(1, 1, 0, bytes(4097))


def test_messages_keep_their_order_while_the_rings_go_round(server, pf, heard):
    peer = Peer(server, pf, 1)
    for n in range(RECEIVE_ENTRIES + 100):
        peer.put(n.to_bytes(2, "little"))
    assert [int.from_bytes(data, "little") for _, _, data in heard] == list(range(RECEIVE_ENTRIES + 100))


def test_a_box_that_is_full_or_shut_or_not_there_is_an_error_code_and_hurts_nobody(server, pf):
    one, two = Peer(server, pf, 1), Peer(server, pf, 2)
    codes = [pf.mbx.send(one.num, 1, 0, b"x") for _ in range(40)]
    assert codes[:31] == [AqRc.OK] * 31
    assert codes[31] is AqRc.EBUSY
    server.wr("VSI_MBX_ARQLEN", 0, one.num)
    assert pf.mbx.send(one.num, 1, 0) is not AqRc.OK
    assert pf.mbx.send(700, 1, 0) is not AqRc.OK
    assert pf.mbx.send(two.num, 1, 0) is AqRc.OK
    assert pf.mbx.refused == 11


def test_one_run_handles_a_bounded_number_of_messages_and_comes_back_for_the_rest(server, pf, heard):
    """While the function's interrupt is off, messages gather; each run takes its share, by the next one."""
    peers = [Peer(server, pf, n) for n in range(1, 9)]
    pf.oicr.open = False
    pf.irqs.misc.disable()
    for peer in peers:
        for n in range(20):
            peer.put(bytes([n]))
    pf.oicr.open = True
    runs = pf.oicr.runs
    sizes = []
    clean = pf.mbx.clean

    def counted() -> bool:
        before = len(heard)
        more = clean()
        sizes.append(len(heard) - before)
        return more

    type(pf.mbx).clean, real = (lambda self: counted()), type(pf.mbx).clean
    try:
        pf.irqs.misc.enable()
        server.pump()
    finally:
        type(pf.mbx).clean = real
    assert len(heard) == 160
    assert max(sizes) == BUDGET
    assert pf.oicr.runs - runs >= 3


def test_a_guests_broken_ring_is_its_own_trouble(server, pf, heard):
    one, two = Peer(server, pf, 1), Peer(server, pf, 2)
    server.wr("VSI_MBX_ATQT", 900, one.num)
    assert QueueLength(server.rd("VSI_MBX_ATQLEN", one.num)).CRIT
    two.put()
    assert [vsi for vsi, _, _ in heard] == [two.num]


def test_with_pasid_mode_a_vsi_without_a_pasid_can_not_say_anything(server, pf, heard):
    peer = Peer(server, pf, 1)
    peer.adi.vsi.set_pasid(None)
    peer.put()
    assert heard == []


def test_a_message_that_nobody_wants_is_counted(server, pf):
    Peer(server, pf, 1).put()
    assert pf.mbx.unclaimed == 1


def test_a_handler_that_fails_stops_no_later_message(server, pf, heard):
    """An error of Linux's is told in the trace, where no caller is."""
    peer = Peer(server, pf, 1)
    listen = pf.mbx.handler

    def handler(vsi, desc, data):
        if data == b"bad":
            raise LinuxError(5, "this one fails")
        listen(vsi, desc, data)

    pf.mbx.receive(handler)
    pf.irqs.misc.disable()
    for data in (b"good", b"bad", b"better"):
        peer.put(data)
    assert heard == [], "they come in one run"
    pf.irqs.misc.enable()
    server.pump()
    assert [data for _, _, data in heard] == [b"good", b"better"]
    assert any("this one fails" in event.detail for event in server.trace)
