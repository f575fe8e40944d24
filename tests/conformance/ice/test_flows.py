"""The flow director of the function: a control VSI when it is wanted, filters of VSIs (ice_fdir.c)."""

import errno

import pytest

from conformance.e810.frames import udp_frame
from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.reset import ice_reset
from siov.drivers.ice.vsi import VsiKind
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, PacketGroup

from .adi import Adi
from .server import FAR, Server


def to_port(port: int, queue: int) -> FdirFilter:
    pattern = Pattern(PacketGroup.IPV4_UDP, {HeaderField.UDP_DST_PORT: port})
    return FdirFilter(pattern, queue)


def kinds(pf) -> list[VsiKind]:
    return [vsi.kind for vsi in pf.vsis.values()]


def test_a_filter_of_an_adi_steers_its_flow_and_no_other_adis(server, pf):
    one, two, three = (Adi.make(server, pf, n) for n in (1, 2, 3))
    for adi in (two, three):
        adi.vsi.set_rss_lut(bytes([1] * 64))
    number = two.vsi.add_fdir(to_port(80, 3))
    wanted = udp_frame(dst=two.mac, src=one.mac, dport=80)
    other = udp_frame(dst=two.mac, src=one.mac, dport=81)
    same_port = udp_frame(dst=three.mac, src=one.mac, dport=80)
    one.send(wanted, other, same_port)
    assert two.frames(3) == [wanted]
    assert two.frames(1) == [other]
    assert three.frames(1) == [same_port]
    two.vsi.del_fdir(number)
    one.send(wanted)
    assert two.frames(1) == [wanted]


def test_the_control_vsi_is_made_with_the_first_filter_so_that_512_adis_fit(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    assert VsiKind.CTRL not in kinds(pf)
    adi.vsi.add_fdir(to_port(80, 0))
    assert kinds(pf).count(VsiKind.CTRL) == 1
    adi.vsi.add_fdir(to_port(81, 0))
    assert kinds(pf).count(VsiKind.CTRL) == 1


def test_without_queues_for_a_control_vsi_a_filter_is_refused_with_what_is_lacking(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    rest = pf.avail_rxq.take(len(pf.avail_rxq.free), "the test", row=False)
    before = server.holdings()
    with pytest.raises(LinuxError, match="receive queues for flow director") as error:
        adi.vsi.add_fdir(to_port(80, 0))
    assert error.value.errno == errno.ENOSPC
    assert server.holdings() == before
    pf.avail_rxq.give(rest)
    adi.vsi.add_fdir(to_port(80, 0))


def test_a_vsis_filters_go_with_it(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    adi.vsi.add_fdir(to_port(80, 0))
    assert pf.flows.fdir.space().best_effort == 1
    adi.close()
    assert pf.flows.fdir.space().best_effort == 0


@pytest.mark.parametrize("kind", ["PFR", "CORER"])
def test_filters_come_back_after_a_reset(server, pf, kind):
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    two.vsi.add_fdir(to_port(80, 3))
    ice_reset(pf, kind)
    for adi in (one, two):
        adi.rx.clear()
        adi.tx.clear()
        adi.up()
    frame = udp_frame(dst=two.mac, src=one.mac, dport=80)
    one.send(frame)
    assert two.frames(3) == [frame]


@pytest.mark.parametrize("kind", ["PFR", "CORER"])
def test_tenants_that_compare_other_fields_steer_each_their_own_before_and_after_a_reset(server, pf, kind):
    one, two, three = (Adi.make(server, pf, n) for n in (1, 2, 3))
    two.vsi.add_fdir(to_port(80, 3))
    by_source = Pattern(PacketGroup.IPV4_UDP, {HeaderField.UDP_SRC_PORT: 7000})
    three.vsi.add_fdir(FdirFilter(by_source, 2))
    with pytest.raises(LinuxError, match=r"filters of VSI .* compare UDP_DST_PORT and must all"):
        two.vsi.add_fdir(FdirFilter(by_source, 2))
    for reset in (False, True):
        if reset:
            ice_reset(pf, kind)
            for adi in (one, two, three):
                adi.rx.clear()
                adi.tx.clear()
                adi.up()
        frames = [udp_frame(dst=to.mac, src=one.mac, sport=7000, dport=80) for to in (two, three)]
        one.send(*frames)
        assert (two.frames(3), three.frames(2)) == ([frames[0]], [frames[1]])
    for adi in (two, three):
        adi.close()
    assert pf.flows.fdir.profiles.by_number == {}


def test_a_filter_of_the_functions_own_interface_steers_what_the_port_receives(wire):
    server = Server(port=wire.near)
    pf = server.load(queues=4)
    pf.netdev.open()
    pf.main.add_fdir(to_port(80, 2))
    polled = []
    for q, vector in enumerate(pf.main.vectors):
        handler = vector.handler
        vector.handler = lambda q=q, handler=handler: (polled.append(q), handler())
    wire.send(server, udp_frame(dst=pf.mac, src=FAR, dport=80))
    assert polled == [2]
    assert len(pf.netdev.frames) == 1


def test_remove_leaves_nothing_of_it():
    server = Server()
    server.load()
    server.unload()
    before = server.holdings()
    pf = server.load(queues=1)
    vsi = pf.vsi_setup()
    vsi.add_fdir(to_port(80, 0))
    pf.main.add_fdir(to_port(81, 0))
    server.unload()
    assert server.holdings() == before
    assert server.rd("PFQF_FD_CNT") == 0
