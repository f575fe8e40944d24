"""A virtual device's life, again and again: what it takes it gives back, to the last page and file."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable

import pytest

from siov.drivers.iavf import State
from siov.drivers.ice.services import poll_by_sleep

from .holdings import difference, holdings, rss
from .server import GuestServer, guest

FRAMES = 12
WARM_UP = 20
GROWTH = 4 << 20  # bytes that a process may grow by while the allocator settles, in any number of lives


def life(server: GuestServer, kind: str) -> None:
    """Create, open, traffic both ways, reset, traffic both ways, close, remove."""
    tenant = server.add("mayfly", kind)
    server.send("peer", "mayfly", count=FRAMES)
    server.until(lambda: server.checked("mayfly.0")["frames"] == FRAMES)
    tenant.driver.reset()
    assert tenant.driver.state is State.RUNNING
    server.rest()
    server.send("mayfly", "peer", kind="request", count=FRAMES, depth=4)
    server.until(lambda: server.sender("mayfly.0")["done"])
    sent, checked = server.sender("mayfly.0"), server.checked("mayfly.0")
    assert sent["answered"] == FRAMES, sent
    assert checked["in_order"] == checked["frames"] == 2 * FRAMES, checked
    seat = server.tenant("peer").seat
    assert seat is not None
    server.tenants.loop.clear_loads(seat)
    server.tenants.remove("mayfly")


def lives(count: int) -> dict[str, int]:
    """So many lives by turns of both personalities; how much the process has grown after a warm-up."""
    gc.collect()  # what tests before this one have left
    server = GuestServer(guest("peer", "vdcm-1"))
    kinds = ("vdcm-1", "avf-1")
    life(server, kinds[0])  # the peer's doorbells have their pages from now on
    before, size, objects = holdings(server), 0, 0
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            gc.collect()
            size, objects = rss(), len(gc.get_objects())
        life(server, kinds[number % 2])
        assert difference(before, holdings(server)) == {}, f"after life {number}"
    gc.collect()
    growth = {"bytes": rss() - size, "objects": len(gc.get_objects()) - objects}
    server.close()
    left = [kind for kind in server.mem.in_use if kind.startswith(("guest", "ept", "ice", "second"))]
    assert left == []
    return growth


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_nothing_is_left_of_a_virtual_device_after_each_of_its_lives(count, record_property):
    growth = lives(count)
    for name, value in growth.items():
        record_property(name, value)
    assert growth["bytes"] <= GROWTH, growth
    assert growth["objects"] <= 100, growth


def wait_for(condition: Callable[[], bool]) -> None:
    assert poll_by_sleep(condition, 60), "what was waited for has not come"


def busy_life(server: GuestServer, name: str, kind: str) -> None:
    """The same on a server that runs by itself; its requests are answered by the peer."""
    tenant = server.add(name, kind)
    for again in (True, False):
        assert tenant.seat is not None
        server.tenants.loop.clear_loads(tenant.seat)
        server.send(name, "peer", kind="request", count=FRAMES, depth=4)
        wait_for(lambda: server.sender(f"{name}.0")["done"])
        assert server.sender(f"{name}.0")["answered"] == FRAMES
        if again:
            with tenant.lock:
                tenant.driver.reset()
            assert tenant.driver.state is State.RUNNING
    server.tenants.remove(name)


def test_nothing_is_left_either_on_a_server_that_runs_by_itself_where_others_talk_all_the_time():
    gc.collect()
    server = GuestServer(*(guest(name, "vdcm-1", entries=256) for name in ("peer", "talker", "listener")))
    with server.platform:
        server.send("talker", "listener", kind="request", depth=8)
        busy_life(server, "mayfly", "vdcm-1")
        before = holdings(server)
        for number in range(20):
            busy_life(server, "mayfly", ("vdcm-1", "avf-1")[number % 2])
            assert difference(before, holdings(server)) == {}, f"after life {number}"
            answered = server.sender("talker.0")["answered"]
            wait_for(lambda at=answered: server.sender("talker.0")["answered"] > at)
        assert server.platform.threads.failures == server.tenants.failures == []
    checked = server.checked("listener.0")
    assert checked["lost"] == checked["corrupt"] == checked["duplicated"] == 0, checked
    assert server.sender("talker.0")["timeouts"] == 0
    server.close()


def test_a_driver_that_is_at_work_keeps_its_interrupts_and_holds_up_no_other_guest():
    """Somebody is within the driver: a turn of the guests' loop ends, and takes nothing of the mailbox's."""
    server = GuestServer()
    peer = server.tenant("peer")
    [mailbox, *_] = peer.vdev.eventfds
    with peer.lock:
        os.eventfd_write(mailbox, 1)
        turn = threading.Thread(target=server.tenants.step, daemon=True)
        turn.start()
        turn.join(30)
        assert not turn.is_alive()
        assert os.eventfd_read(mailbox) == 1
    server.close()
