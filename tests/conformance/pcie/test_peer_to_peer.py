"""Requests between functions: by the nearest bridge, or through the root complex (PCIe 6.12)."""

from siov.hw.pcie.tlp import MRd, MWr
from siov.spec.pcie import ExtendedCapabilityId

P2P_REDIRECT = 1 << 2
RMA = 1 << 13


def redirect(rig, port, control=P2P_REDIRECT):
    rig.of(port).write(rig.cap(port, ExtendedCapabilityId.ACS) + 6, 2, control)


def at_the_root(rig):
    return [type(tlp) for direction, tlp in rig.trace if direction == "up" and isinstance(tlp, MRd | MWr)]


def test_peers_below_one_switch_reach_each_other_without_the_root_complex(rig):
    rig.left.dma_write(rig.RIGHT + 0x100, b"mark")
    assert rig.right.bar_read(0, 0x100, 4) == b"mark"
    assert rig.left.dma_read(rig.RIGHT + 0x100, 4) == b"mark"
    assert at_the_root(rig) == []


def test_with_redirect_the_requests_of_a_switch_s_port_go_up_to_the_root_complex_first(rig):
    redirect(rig, rig.down0)
    redirect(rig, rig.rp1)
    rig.trace.clear()
    rig.left.dma_write(rig.RIGHT + 0x100, b"mark")
    assert at_the_root(rig) == [MWr]
    assert rig.right.bar_read(0, 0x100, 4) == b"mark", "and the root complex sends them back down"
    assert rig.left.dma_read(rig.RIGHT + 0x100, 4) == b"mark"
    assert at_the_root(rig) == [MWr, MRd]


def test_a_root_port_without_redirect_turns_a_redirected_request_round_itself(rig):
    seen = []
    inner = rig.rp1.from_below
    rig.rp1.from_below = lambda tlp: (seen.append(type(tlp)), inner(tlp))[1]
    redirect(rig, rig.down0)
    rig.trace.clear()
    assert rig.left.dma_read(rig.RIGHT, 4) == bytes(4)
    assert seen == [MRd]
    assert at_the_root(rig) == []


def test_redirect_is_said_of_the_port_where_the_request_comes_in(rig):
    redirect(rig, rig.down1)
    redirect(rig, rig.rp1)
    rig.trace.clear()
    rig.left.dma_write(rig.RIGHT + 0x100, b"mark")
    assert at_the_root(rig) == []
    rig.right.dma_write(rig.LEFT + 0x100, b"mark")
    assert at_the_root(rig) == [MWr]
    assert rig.left.bar_read(0, 0x100, 4) == b"mark"


def test_other_access_controls_redirect_nothing(rig):
    redirect(rig, rig.down0, 0x5F & ~P2P_REDIRECT)
    rig.trace.clear()
    rig.left.dma_write(rig.RIGHT + 0x100, b"mark")
    assert at_the_root(rig) == []


def test_what_is_redirected_needs_the_switch_s_upstream_port_to_master_the_bus(rig):
    redirect(rig, rig.down0)
    rig.command(rig.up, 2)
    assert rig.left.dma_read(rig.RIGHT, 4) is None
    assert rig.devsta(rig.up) & 8


def test_redirect_does_not_change_the_way_to_host_memory(rig):
    redirect(rig, rig.down0)
    rig.left.dma_write(0x4000, b"mark")
    assert rig.rc.memory.read(0x4000, 4) == b"mark"


def test_peers_below_different_root_ports_reach_each_other_through_the_root_complex(rig):
    rig.nic.dma_write(rig.LEFT + 0x100, b"mark")
    assert rig.left.bar_read(0, 0x100, 4) == b"mark"
    assert rig.left.dma_read(rig.NIC_HIGH, 4) == bytes(4)
    assert at_the_root(rig) == [MWr, MRd]


def test_a_peer_s_refusal_reaches_the_requester_as_an_unsupported_request(rig):
    assert rig.left.dma_read(rig.HOLE, 4) is None
    assert rig.of(rig.left).read(6, 2) & RMA
    assert rig.devsta(rig.nic) & 8


def test_a_peer_without_memory_space_enable_takes_nothing(rig):
    rig.command(rig.right, 4)
    rig.left.dma_write(rig.RIGHT + 0x100, b"mark")
    assert rig.right.bar_read(0, 0x100, 4) == bytes(4)
    assert rig.devsta(rig.right) & 8


def test_a_function_reaches_an_integrated_endpoint(rig):
    rig.left.dma_write(rig.RCIEP + 0x100, b"mark")
    assert rig.rciep.bar_read(0, 0x100, 4) == b"mark"
    assert rig.rciep.dma_read(rig.NIC, 4) == bytes(4)
