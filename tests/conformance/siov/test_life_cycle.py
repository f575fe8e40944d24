"""A virtual device's life, again and again: what it takes it gives back, to the last page and file."""

from __future__ import annotations

import gc

import pytest

from siov.drivers.iavf import State

from .holdings import difference, holdings, rss
from .server import GuestServer

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
    server = GuestServer()
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
