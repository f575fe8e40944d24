"""The function's own interface: up, down, frames both ways, sizes (ice_main.c, ice_txrx.c)."""

import errno

import pytest

from conformance.e810.frames import plain, udp_frame
from siov.drivers.ice.netdev import NAPI_BUDGET
from siov.host.linux import LinuxError

from .adi import Adi
from .server import FAR, Server

MODERATION = 51_000  # nanoseconds: interrupts of one timer are 50 us apart by default


@pytest.fixture
def netdev(server):
    found = server.load(queues=2).netdev
    found.open()
    return found


def test_a_frame_goes_out_and_another_comes_in(server, wire, netdev):
    out, back = plain(FAR, netdev.pf.mac, 100), plain(netdev.pf.mac, FAR, 200)
    netdev.xmit(out)
    server.pump()
    assert wire.take() == [out]
    wire.send(server, back)
    server.advance(MODERATION)
    assert list(netdev.frames) == [back]
    assert netdev.stats.rx_bytes == 200
    assert netdev.stats.tx_bytes == 100


def test_broadcasts_come_and_frames_for_others_do_not(server, wire, netdev):
    broadcast = plain(b"\xff" * 6, FAR)
    wire.send(server, plain(b"\x02\0\0\0\0\x77", FAR), broadcast)
    assert list(netdev.frames) == [broadcast]


def test_the_function_and_an_adi_reach_each_other_inside(server, netdev, wire):
    adi = Adi.make(server, netdev.pf, 1)
    there, back = plain(adi.mac, netdev.pf.mac), plain(netdev.pf.mac, adi.mac)
    netdev.xmit(there)
    server.pump()
    assert adi.frames() == [there]
    adi.send(back)
    server.advance(MODERATION)
    assert list(netdev.frames) == [back]
    assert wire.take() == []


def test_many_more_frames_than_descriptors_come_in_order(server, wire, netdev):
    netdev.set_ringparam(64, 64)
    sent = [plain(netdev.pf.mac, FAR, 60 + n % 90, fill=n) for n in range(400)]
    for at in range(0, 400, 40):
        wire.send(server, *sent[at : at + 40])
        server.advance(MODERATION)
    assert list(netdev.frames) == sent
    assert netdev.pf.main.stats().rx_discards == 0


def test_many_more_frames_than_descriptors_go_out_in_order(server, wire, netdev):
    netdev.set_ringparam(64, 64)
    sent = [plain(FAR, netdev.pf.mac, 60 + n % 90, fill=n) for n in range(300)]
    got = []
    for n, frame in enumerate(sent):
        netdev.xmit(frame, n % 1)
        if n % 20 == 19:
            server.pump()
            got += wire.take()
    assert got == sent


def test_a_full_transmit_ring_says_so_and_goes_on_when_it_is_sent(server, wire, netdev):
    netdev.set_ringparam(64, 64)
    frame = plain(FAR, netdev.pf.mac)
    for _ in range(63):
        netdev.xmit(frame)
    with pytest.raises(LinuxError, match="is full") as error:
        netdev.xmit(frame)
    assert error.value.errno == errno.EBUSY
    assert netdev.stats.tx_busy == 1
    server.pump()
    assert len(wire.take()) == 63
    netdev.xmit(frame)


def test_one_poll_takes_a_bounded_number_of_frames(server, wire, netdev):
    netdev.pf.oicr.open = False
    wire.send(server, *[plain(netdev.pf.mac, FAR, fill=n) for n in range(100)])
    server.pump()
    netdev.pf.oicr.open = True
    assert netdev.poll(0, NAPI_BUDGET) == 64
    assert netdev.poll(0, NAPI_BUDGET) == 36


def test_a_large_frame_takes_several_buffers_each_way(server, wire, netdev):
    netdev.set_mtu(9000)
    out, back = plain(FAR, netdev.pf.mac, 9014), plain(netdev.pf.mac, FAR, 9014)
    netdev.xmit(out)
    server.pump()
    assert wire.take() == [out]
    wire.send(server, back)
    server.advance(MODERATION)
    assert list(netdev.frames) == [back]


def test_what_is_longer_than_the_mtu_neither_goes_out_nor_comes_in(server, wire, netdev):
    with pytest.raises(LinuxError, match="MTU of 1500") as error:
        netdev.xmit(plain(FAR, netdev.pf.mac, 1600))
    assert error.value.errno == errno.EMSGSIZE
    wire.send(server, plain(netdev.pf.mac, FAR, 1600))
    assert list(netdev.frames) == []


@pytest.mark.parametrize("mtu", [67, 9703, -1])
def test_an_mtu_that_hardware_can_not_is_refused(netdev, mtu):
    with pytest.raises(LinuxError, match="68 to 9702"):
        netdev.set_mtu(mtu)
    assert netdev.mtu == 1500
    assert netdev.up


@pytest.mark.parametrize(("tx", "rx"), [(63, 64), (64, 8192), (100, 64)])
def test_rings_that_hardware_can_not_are_refused(netdev, tx, rx):
    with pytest.raises(LinuxError, match="64 to 8160, in steps of 32"):
        netdev.set_ringparam(tx, rx)
    assert (netdev.tx_length, netdev.rx_length) == (256, 2048)


def test_while_it_is_down_nothing_is_sent_and_no_memory_is_held(server, netdev):
    netdev.close()
    assert not any(kind.startswith(("ice-rx", "ice-tx")) for kind in server.mem.in_use)
    with pytest.raises(LinuxError, match="is down") as error:
        netdev.xmit(plain())
    assert error.value.errno == errno.ENETDOWN
    netdev.open()
    netdev.open()
    assert server.mem.in_use["ice-rx-buffers"] == 2 * 2048 * 2048 // 4096


def test_when_memory_runs_out_it_stays_down_and_holds_nothing(server):
    pf = server.load(queues=2)
    hog = [server.mem.alloc_pages(1024, "hog") for _ in range(server.mem.free_pages // 1024 - 1)]
    before = server.holdings()
    with pytest.raises(LinuxError) as error:
        pf.netdev.open()
    assert error.value.errno == errno.ENOMEM
    assert not pf.netdev.up
    assert server.holdings() == before
    for run in hog:
        server.mem.free(run)
    pf.netdev.open()


def test_a_reader_gets_frames_at_once_and_without_one_they_wait_but_not_for_ever(server, wire, netdev):
    got = []
    netdev.receive = got.append
    wire.send(server, plain(netdev.pf.mac, FAR))
    assert len(got) == 1
    assert not netdev.frames


def test_without_queues_there_is_no_interface_and_no_rule(server):
    pf = server.load(queues=0)
    assert pf.netdev is None
    assert pf.main.rxq == []
    assert pf.switch.inspect() == []


def test_the_carrier_follows_the_link():
    server = Server()
    pf = server.load(queues=1)
    assert not pf.netdev.carrier
    assert not pf.link.state.up


def test_flows_are_spread_over_all_queues(wire):
    server = Server(port=wire.near)
    netdev = server.load(queues=4).netdev
    netdev.open()
    wire.send(server, *[udp_frame(dst=netdev.pf.mac, src=FAR, sport=n) for n in range(3000, 3040)])
    server.advance(MODERATION)
    assert sum(count.packets for count in netdev.rx_counts) == 40
    assert all(count.packets for count in netdev.rx_counts)
