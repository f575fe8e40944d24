"""Rules and filters that change while workers move frames, on a server that runs by itself."""

import threading

from conformance.e810.frames import plain, udp_frame
from siov.drivers.ice.bridge import BridgeMode
from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.services import poll_by_sleep
from siov.spec.e810.package import HeaderField, PacketGroup

from .adi import Adi
from .test_threads import PATIENCE, running  # noqa: F401

ROUNDS = 30


def to_port(port: int, queue: int) -> FdirFilter:
    return FdirFilter(Pattern(PacketGroup.IPV4_UDP, {HeaderField.UDP_DST_PORT: port}), queue)


def arrives(adi: Adi, queue: int, frame: bytes) -> bool:
    """Whether a frame is what comes next into a queue."""
    found: list[bytes] = []

    def look() -> bool:
        found.extend(adi.frames(queue))
        return bool(found)

    return poll_by_sleep(look, PATIENCE) and found == [frame]


def test_filters_of_two_vsis_are_programmed_while_frames_flow(running):  # noqa: F811
    server, pf = running
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    for n in range(ROUNDS):
        numbers = [adi.vsi.add_fdir(to_port(1000 + n, 1 + n % 3)) for adi in (one, two)]
        frame = udp_frame(dst=two.mac, src=one.mac, dport=1000 + n)
        one.send(frame)
        assert arrives(two, 1 + n % 3, frame)
        for adi, number in zip((one, two), numbers, strict=True):
            adi.vsi.del_fdir(number)
    space = pf.flows.fdir.space()
    assert (space.guaranteed, space.best_effort) == (0, 0)


def test_the_bridge_mode_changes_while_a_neighbour_sends(running, wire):  # noqa: F811
    """None is lost; between the VSIs' change and the rules' one may go both ways, as with ice."""
    server, pf = running
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    stop, lost = threading.Event(), threading.Event()
    inside: list[bytes] = []
    outside: list[bytes] = []

    def came(frame: bytes) -> bool:
        inside.extend(two.frames())
        outside.extend(wire.take())
        return frame in inside[-2:] + outside[-2:]

    def neighbour() -> None:
        n = 0
        while not stop.is_set():
            frame = plain(two.mac, one.mac, 96) + n.to_bytes(4, "big")
            one.send(frame)
            if not poll_by_sleep(lambda frame=frame: came(frame), PATIENCE):
                lost.set()
            n += 1

    other = threading.Thread(target=neighbour)
    other.start()
    for n in range(ROUNDS):
        with pf.lock:
            pf.bridge.setlink(BridgeMode.VEB if n % 2 else BridgeMode.VEPA)
    stop.set()
    other.join(PATIENCE)
    assert not other.is_alive()
    assert not lost.is_set()
    poll_by_sleep(lambda: came(b""), 0)
    assert inside == sorted(set(inside))
    assert outside == sorted(set(outside))
    last = plain(two.mac, one.mac, 200)
    one.send(last)
    assert arrives(two, 0, last)
    assert wire.take() == []
