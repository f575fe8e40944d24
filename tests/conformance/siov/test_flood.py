"""A guest that floods its mailbox costs itself only: others are answered, its own are bounded and counted."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from siov.drivers.iavf import messages
from siov.drivers.ice.virtchnl.fair import LINE, VfLine
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode
from siov.spec.e810.queues import QueueLength
from siov.spec.virtchnl import Op
from siov.tenants import Tenant

from .holdings import difference, holdings
from .server import GuestServer, guest

ENTRIES = 1023  # the longest ring that a mailbox can have
DESCRIPTOR = AqDesc.width // 8
CALM = ("one", "two", "three")
ASKED = 25  # messages of each of the others in a flood


class Flooder:
    """A guest whose transmit ring is as long as can be, full of messages, and rung for without end.

    It posts no receive buffer again, so its replies find no room soon.
    """

    def __init__(self, tenant: Tenant, op: Op, payload: bytes) -> None:
        vdev, self.at = tenant.vdev, tenant.driver.registers.mailbox
        self.vdev = vdev
        self.ring, self.buffer = vdev.alloc(ENTRIES * DESCRIPTOR), vdev.alloc(len(payload) or 1)
        vdev.write(self.buffer, payload)
        desc = AqDesc.of(
            FLAGS=AqFlags.of(SI=1, BUF=1, RD=1, LB=len(payload) > 512).raw,
            OPCODE=AqOpcode.SEND_MSG_TO_PF,
            DATALEN=len(payload),
            COOKIE_HIGH=op,
            ADDR_HIGH=self.buffer >> 32,
            ADDR_LOW=self.buffer & 0xFFFF_FFFF,
        )
        self.fill = desc.to_bytes() * ENTRIES
        for name, value in (
            ("LEN", 0), ("H", 0), ("T", 0), ("BAL", self.ring & 0xFFFF_FFFF), ("BAH", self.ring >> 32),
            ("LEN", QueueLength.of(LEN=ENTRIES, ENABLE=1).raw),
        ):  # fmt: skip
            vdev.write32(self.at["ATQ" + name], value)

    def flood(self) -> None:
        """A whole ring of messages, behind those that the device has not taken yet."""
        head = self.vdev.read32(self.at["ATQH"]) % 1024
        self.vdev.write(self.ring, self.fill)
        self.vdev.write32(self.at["ATQT"], (head + ENTRIES - 1) % ENTRIES)


@pytest.fixture
def server():
    server = GuestServer(guest("flooder", "vdcm-1"), *(guest(name, "vdcm-1") for name in CALM))
    yield server
    server.close()


def line(server: GuestServer, tenant: Tenant) -> VfLine:
    """The messages of a virtual device that wait, and their counters."""
    return server.pf.vdcm.messages.lines[server.device(tenant).adi.vf_id]


def stats_request(tenant: Tenant) -> bytes:
    return messages.queue_select(tenant.driver.vsi.vsi_id, 0)


def ask(tenant: Tenant) -> None:
    """Put a message into the mailbox, and go on."""
    tenant.driver.mailbox.send(Op.GET_STATS, stats_request(tenant))


def answers(tenant: Tenant) -> int:
    """Replies that have come, each one right."""
    found = 0
    while (got := tenant.driver.mailbox.receive()) is not None:
        if got.op == Op.GET_STATS:
            assert (got.status, len(got.data)) == (0, 96)
            found += 1
    return found


@pytest.mark.parametrize("what", ["valid", "unknown", "long"])
def test_others_are_answered_while_a_guest_floods(server, what):
    flooder = server.tenant("flooder")
    op, payload = {
        "valid": (Op.GET_STATS, stats_request(flooder)),
        "unknown": (999, b"?" * 12),
        "long": (Op.ADD_ETH_ADDR, b"\xff" * 4096),
    }[what]
    calm = [server.tenant(name) for name in CALM]
    flood, lines = Flooder(flooder, op, payload), server.pf.vdcm.messages.lines
    before = [line(server, tenant).received for tenant in calm]
    answered, longest = [0] * len(calm), [0]

    def look() -> bool:
        """Between the function's mailbox and the lines of VFs, each time that it is served."""
        longest[0] = max(longest[0], *(len(one.waiting) for one in lines.values()))
        return False

    server.pf.oicr.work.insert(0, look)
    for _ in range(ASKED):
        flood.flood()
        for tenant in calm:
            ask(tenant)
        server.platform.pump()
        for n, tenant in enumerate(calm):
            answered[n] += answers(tenant)
    assert answered == [ASKED] * len(calm)
    for tenant, at in zip(calm, before, strict=True):
        assert line(server, tenant).received == at + ASKED
        assert (line(server, tenant).dropped, line(server, tenant).malicious) == (0, False)

    heard = line(server, flooder)
    assert heard.received > ASKED * ENTRIES // 2
    assert heard.deferred > 0, "it went to the back of the queue"
    assert heard.dropped > 0, "more than its line has room for"
    assert heard.malicious
    assert longest[0] <= LINE
    counts = server.device(flooder).messages.counts
    assert counts["lost"] > 0, "replies for which it had no room"
    assert counts["messages"] + heard.dropped + len(heard.waiting) == heard.received
    assert counts["bugs"] == 0
    assert server.pf.mbx.refused >= counts["lost"]


def test_a_flood_of_any_length_makes_nothing_grow(server):
    """As much is held after eighty thousand messages as after the first forty thousand."""
    flooder = server.tenant("flooder")
    flood = Flooder(flooder, Op.GET_STATS, stats_request(flooder))

    def rounds(count: int) -> int:
        for _ in range(count):
            flood.flood()
            server.platform.pump()
        gc.collect()
        return len(gc.get_objects())

    rounds(20)
    before = holdings(server)
    objects = rounds(20)
    assert rounds(40) <= objects + 10
    assert difference(before, holdings(server)) == {}
    assert len(line(server, flooder).waiting) <= LINE


def test_on_a_server_that_runs_by_itself_others_are_answered_and_the_flood_is_noted(server):
    """The flooder rings from a thread of its own as fast as it can, until the others have all they asked."""
    flooder, stop = server.tenant("flooder"), threading.Event()
    flood = Flooder(flooder, Op.GET_STATS, stats_request(flooder))
    rounds = []

    def ring() -> None:
        while not stop.is_set():
            flood.flood()
            rounds.append(1)
            os.sched_yield()

    thread = threading.Thread(target=ring, name="flooder")
    with server.platform:
        thread.start()
        try:
            for _ in range(ASKED):
                for name in CALM:
                    with server.tenant(name).lock:
                        assert server.tenant(name).driver.stats() is not None
        finally:
            stop.set()
            thread.join()
    assert server.platform.threads.failures == server.tenants.failures == []
    heard = line(server, flooder)
    assert heard.received > ASKED
    assert heard.deferred > 0
    assert len(heard.waiting) <= LINE
    for name in CALM:
        assert line(server, server.tenant(name)).dropped == 0
