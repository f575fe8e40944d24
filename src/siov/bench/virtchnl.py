"""How long a guest waits for the PF driver's answer, among busy guests and beside one that floods."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from siov.drivers.iavf import IavfError
from siov.drivers.iavf.messages import queue_select
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.virtchnl import Op
from siov.tenants import Tenant

BUSY, GUESTS = 100, 4  # virtual devices that talk, and the machines that they are in
RATE = 500  # frames a second of each of the devices that send, half of them
ASKED = 600  # round trips in each repeat
PAUSE = 2e-3  # seconds between them beside a flood: who asks without end is a flood too
NANO = 1e-3  # microseconds


def measure(repeats: int) -> dict[str, list[float]]:
    """Round trips of GET_STATS, in microseconds, from the guest's request until it has the answer.

    `idle_us_` alone on the server. `rtt_us_` beside 100 busy devices: 50 of them send 500 frames of 64 to
    1518 bytes a second each to the 50 others, every byte checked, each with a queue pair and interrupts of
    its own. `flooded_us_` beside one guest more that fills its mailbox again as soon as there is room, and
    gets rid of `flooded_messages_per_s`; `alone_flooded_us_` without the busy devices.
    """
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for prefix, busy in (("idle", False), ("rtt", True)):
            with _server(busy=busy) as platform:
                _keep(found, prefix, _ask(_tenant(platform, "asking"), ASKED))
                flood = {"idle": "alone_flooded", "rtt": "flooded"}[prefix]
                with _flood(_tenant(platform, "flooding")) as sent:
                    began, before = time.perf_counter(), sent[0]
                    _keep(found, flood, _ask(_tenant(platform, "asking"), ASKED, PAUSE))
                    rate = (sent[0] - before) / (time.perf_counter() - began)
                found.setdefault(f"{flood}_messages_per_s", []).append(rate)
    return found


def _keep(found: dict[str, list[float]], name: str, times: list[int]) -> None:
    times.sort()
    for quantile in (50, 99):
        value = times[len(times) * quantile // 100] * NANO
        found.setdefault(f"{name}_us_p{quantile}", []).append(value)


def _ask(tenant: Tenant, times: int, pause: float = 0.0) -> list[int]:
    """Nanoseconds of each round trip; the guest pauses so many seconds after each."""
    driver, found = tenant.driver, []
    payload = queue_select(driver.vsi.vsi_id, 0)
    with tenant.lock:
        for _ in range(times):
            began = time.perf_counter_ns()
            driver.request(Op.GET_STATS, payload)
            found.append(time.perf_counter_ns() - began)
            if pause:
                time.sleep(pause)
    return found


@contextmanager
def _flood(tenant: Tenant) -> Iterator[list[int]]:
    """A guest sends as many messages as its mailbox takes; how many that were."""
    driver, sent, stop = tenant.driver, [0], threading.Event()
    payload = queue_select(driver.vsi.vsi_id, 0)

    def flood() -> None:
        with tenant.lock:
            while not stop.is_set():
                try:
                    driver.mailbox.send(Op.GET_STATS, payload)
                    sent[0] += 1
                except IavfError:  # the ring is full
                    while driver.mailbox.receive() is not None:
                        pass
                    time.sleep(0)

    thread = threading.Thread(target=flood, name="flood", daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


@contextmanager
def _server(*, busy: bool) -> Iterator[Platform]:
    platform = build(parse(_scenario(busy=busy), "bench"))
    try:
        platform.boot()
        with platform:
            yield platform
    finally:
        platform.unload()


def _tenant(platform: Platform, name: str) -> Tenant:
    assert platform.tenants is not None
    return platform.tenants.all[name, 0]


def _scenario(*, busy: bool) -> dict[str, Any]:
    vdev = {"parent": "nic0", "type": "vdcm-1", "entries": 64}
    guests = [{"name": name, "vdevs": [vdev]} for name in ("asking", "flooding")]
    traffic = []
    if busy:
        each = BUSY // GUESTS
        guests += [{"name": f"vm{n}", "vdevs": [vdev] * each} for n in range(GUESTS)]
        traffic = [
            {"src": f"vm{n}.{d}", "dst": f"vm{n + 1}.{d}", "rate": RATE, "sizes": [64, 1518]}
            for n in range(0, GUESTS, 2)
            for d in range(each)
        ]
    nic = {"name": "nic0", "at": "01.0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01", "ims": 512}}
    return {"name": "virtchnl", "iommu": {}, "function": [nic], "guest": guests, "traffic": traffic}
