"""Malicious driver detection: who was caught is counted and told, and others go on (ice_handle_mdd_event)."""

from conformance.e810.frames import plain
from siov.spec.e810 import DTYPE

from .adi import Adi


def test_a_guests_bad_descriptor_is_counted_against_its_vsi_and_told(server, pf):
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    told = []
    pf.oicr.listeners.append(lambda vsi, event: told.append((vsi, event.where, event.queue)))
    one.tx[1].put(0, DTYPE.FLEX_CTX)
    one.tx[1].kick()
    assert told == [(one.vsi, "TX_TCLAN", one.vsi.txq[1])]
    assert pf.oicr.mdd == {one.vsi.num: 1}
    assert [e.detail for e in server.trace if e.function == "ice_handle_mdd_event"]
    frame = plain(one.mac, two.mac)
    two.send(frame)
    assert one.frames() == [frame]


def test_a_doorbell_outside_of_the_ring_is_told_as_that(server, pf):
    one = Adi.make(server, pf, 1)
    server.wr("QTX_COMM_DBELL", 5000, one.vsi.txq[0])
    server.pump()
    assert pf.oicr.last.where == "TX_PQM"
    assert pf.oicr.last.vsi == one.vsi.num


def test_the_second_one_is_noted_as_well(server, pf):
    """The registers hold the first until software has cleared them."""
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    for adi in (one, two, one):
        queue = 0 if adi.vsi.num not in pf.oicr.mdd else 1
        adi.tx[queue].put(0, DTYPE.FLEX_CTX)
        adi.tx[queue].kick()
    assert pf.oicr.mdd == {one.vsi.num: 2, two.vsi.num: 1}
    assert server.rd("GL_MDET_TX_TCLAN") == 0
    assert server.rd("PF_MDET_TX_TCLAN") == 0
