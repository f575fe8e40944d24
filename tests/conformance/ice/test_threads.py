"""The driver on a server that runs by itself: workers, firmware and interrupts on threads of their own."""

import threading

import pytest

from conformance.e810.frames import plain
from siov.drivers.ice.services import poll_by_sleep
from siov.threads import Threads

from .adi import Adi
from .server import Server
from .test_mailbox import Peer

PATIENCE = 30  # seconds that a test waits for what must come


@pytest.fixture
def running(wire):
    """A server with its threads on, and the function."""
    server = Server(port=wire.near, workers=2, ims=256)
    server.pump = lambda: None
    server.services.poll = poll_by_sleep
    threads = Threads(server.rc, [server.function])
    threads.start()
    try:
        yield server, server.load(queues=1)
        server.unload()
        assert threads.failures == []
    finally:
        threads.stop()


def test_messages_of_many_guests_are_answered_while_others_are_made_and_released(running):
    """Management on this thread, mailboxes on that of interrupts, guests on a third."""
    server, pf = running
    peers = [Peer(server, pf, n) for n in range(8)]
    got = {peer.num: [] for peer in peers}
    done = threading.Event()

    def answer(vsi, desc, data):
        pf.mbx.send(vsi, desc.COOKIE_HIGH, 0, data)
        got[vsi].append(data)
        if sum(map(len, got.values())) == 8 * 25:
            done.set()

    pf.mbx.receive(answer)

    def guests() -> None:
        for n in range(25):
            for peer in peers:
                peer.put(bytes([n, peer.num & 0xFF]), n + 1)
            for peer in peers:
                assert poll_by_sleep(lambda peer=peer: len(got[peer.num]) > n, PATIENCE)  # noqa: B023
                peer.box.received()

    other = threading.Thread(target=guests)
    other.start()
    for _ in range(10):
        pf.vsi_setup().release()
        pf.vsi_setup(prefer="ims").release()
    other.join(PATIENCE)
    assert done.wait(PATIENCE)
    assert not other.is_alive()
    assert all(got[p.num] == [bytes([n, p.num & 0xFF]) for n in range(25)] for p in peers)


def test_frames_come_through_napi_in_order(running, wire):
    _, pf = running
    came = threading.Event()
    frames = []

    def receive(frame: bytes) -> None:
        frames.append(frame)
        if len(frames) == 500:
            came.set()

    pf.netdev.receive = receive
    pf.netdev.open()
    sent = [plain(pf.mac, b"\x02\xfa\0\0\0\1", 60 + n % 40, fill=n) for n in range(500)]
    for frame in sent:
        assert wire.far.send(frame)
    running[0].clock.advance(10_000_000)
    for _ in range(100):
        if came.wait(0.05):
            break
        running[0].clock.advance(10_000_000)
    assert frames == sent


def test_a_reset_in_the_middle_of_traffic_and_messages_ends_with_all_of_it_working(running):
    server, pf = running
    one, two = Adi.make(server, pf, 20), Adi.make(server, pf, 21)
    peer = Peer(server, pf, 22)
    heard = []
    pf.mbx.receive(lambda vsi, desc, data: heard.append(data))
    for kind in ("PFR", "CORER", "PFR"):
        for n in range(50):
            one.tx[0].data(plain(two.mac, one.mac, fill=n))
        one.tx[0].doorbell()
        peer.put(b"before")
        pf.reset(kind)
        assert pf.resetting is None
        for adi in (one, two):
            adi.rx.clear()
            adi.tx.clear()
            adi.up()
        peer.box.open()
    heard.clear()
    peer.put(b"after")
    assert poll_by_sleep(lambda: heard == [b"after"], PATIENCE)
    frame = plain(two.mac, one.mac)
    one.send(frame)
    assert poll_by_sleep(lambda: two.frames() == [frame], PATIENCE)
