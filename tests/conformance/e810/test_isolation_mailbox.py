"""A mailbox that points outside its PASID's memory stops, and no other one does."""

import pytest

from siov.host.iommu import RequestKind
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, QueueLength
from siov.spec.e810.queues import Queues

from .adminq import AdminQueue

READ, WRITE = RequestKind.READ, RequestKind.WRITE


def mailbox(scene):
    scene.machine.wr("GL_MBX_PASID", Queues.GL_MBX_PASID.of(PASID_MODE=1))
    pf = AdminQueue(scene.nic.space, "PF_MBX")
    bad = AdminQueue(scene.bad.space, "VSI_MBX", scene.bad.number)
    good = AdminQueue(scene.neighbour.space, "VSI_MBX", scene.neighbour.number)
    return pf, bad, good


def message(box, address=None, size=0):
    flags = AqFlags.of(SI=1, BUF=bool(size), RD=bool(size))
    desc = AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=size, COOKIE_HIGH=3)
    if address is None:
        return box.put(desc, bytes(size))
    raw = desc.replace(ADDR_HIGH=address >> 32, ADDR_LOW=address & 0xFFFF_FFFF)
    box.space.write(box.ring["ATQ"] + 32 * box.tail, raw.to_bytes())
    box.tail += 1
    box._set("ATQT", box.tail)
    return box.tail - 1


def crit(scene, which, vsi):
    return bool(QueueLength(scene.machine.rd(f"VSI_MBX_{which}LEN", vsi.number)).CRIT)


def goes_on(scene, pf, good):
    message(good)
    assert [g.descriptor.RETVAL for g in pf.received()] == [scene.neighbour.number]
    assert not crit(scene, "ATQ", scene.neighbour)
    scene.neighbours_lost_nothing()


@pytest.mark.parametrize("which", ["ring", "buffer"])
def test_a_mailboxs_transmit_ring_or_buffer_outside(scene, which):
    pf, bad, good = mailbox(scene)
    hole = scene.bad.space.hole()
    if which == "ring":
        bad._set("ATQBAL", hole & 0xFFFF_FFFF)
        bad._set("ATQBAH", hole >> 32)
        message(bad)
    else:
        message(bad, hole, 64)
    assert pf.received() == []
    scene.machine.pump()
    scene.fault(hole, READ)
    assert crit(scene, "ATQ", scene.bad)
    message(bad)
    assert pf.received() == [], "it has stopped"
    goes_on(scene, pf, good)


@pytest.mark.parametrize("which", ["ring", "buffer"])
def test_a_mailboxs_receive_ring_or_buffer_outside(scene, which):
    pf, bad, good = mailbox(scene)
    hole = scene.bad.space.hole()
    if which == "ring":
        bad._set("ARQBAL", hole & 0xFFFF_FFFF)
        bad._set("ARQBAH", hole >> 32)
    else:
        at = bad.ring["ARQ"]
        raw = AqDesc.from_bytes(bad.space.read(at, 32))
        bad.space.write(at, raw.replace(ADDR_HIGH=hole >> 32, ADDR_LOW=hole & 0xFFFF_FFFF).to_bytes())
    before = bad.space.read(bad.ring["ARQ"], 1024)
    flags = AqFlags.of(SI=1, BUF=1, RD=1)
    desc = AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_VF, DATALEN=64, PARAM0=scene.bad.number)
    pf.put(desc, bytes(64))
    scene.machine.pump()
    scene.fault(hole, READ if which == "ring" else WRITE)
    assert crit(scene, "ARQ", scene.bad)
    assert bad.space.read(bad.ring["ARQ"], 1024) == before
    goes_on(scene, pf, good)
