"""Thousands of virtual devices in one process: what each takes, and how fast frames go among them."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from siov.errors import SiovError
from siov.platform import Platform, build
from siov.scenario import parse
from siov.scenario_guest import GuestSpec, TrafficSpec
from siov.spec.e810.interrupts import DynamicControl
from siov.tenants import Tenant

SIZES = (1, 16, 256, 1024, 4096)
ON_A_NIC = 512  # virtual devices of an adapter
IN_A_GUEST = 64  # virtual devices of a machine
ENTRIES = 64  # descriptors of a ring, each with a buffer of 2 KiB
SECONDS = 2.0  # of traffic at a time
PATIENCE = 600  # half seconds that a server may take to bring frames to all
MANY_VECTORS = 128  # devices with 16 queue pairs, and so 17 vectors each, on one adapter
MIB = 1 << 20
OWN = 640 << 10  # bytes of a guest's memory for a device with one pair: mailbox, rings and buffers
MAILBOX = 320 << 10  # of that, without rings
FILES = 2, 200  # open files for each device, and for all together
FIRE = DynamicControl.of(INTENA=1, SWINT_TRIG=1, ITR_INDX=3, SW_ITR_INDX_ENA=1, SW_ITR_INDX=3).raw


@dataclass(slots=True)
class Round:
    """Traffic for a while: frames that arrived as they were sent, and what they took."""

    frames: int
    seconds: float
    engine: float  # seconds of the adapters' workers
    process: float  # seconds of the whole process

    def per_frame(self, seconds: float) -> float:
        """Nanoseconds."""
        return seconds * 1e9 / max(1, self.frames)


def measure(repeats: int) -> dict[str, list[float]]:
    """For each number of devices N, keys that begin with `at_N.`; and `vectors.` of one adapter.

    Each N has a process of its own, so that none has memory of another. Devices have one queue pair; at
    most 512 are on an adapter and 64 in a guest.

    - `create_s`: seconds to create and open all; `start_s`: then, for their drivers to come up, which
      takes twelve messages to the PF and back each. `create_cpu_s`, `start_cpu_s`: processor time of it.
    - `kib_per_vdev`: resident memory for a device that is open, its share of the host's tables and of its
      machine included, without the memory of guests; `kib_per_vdev_up` with its driver, idle.
    - `throughput_ratio`: verified frames a second, one half sending to the other, as part of what two
      devices pass on a server beside it, whose turns alternate with this one's; at 1 a second device is
      there for the frames. `engine_ratio` and `process_ratio` compare by processor time for a frame:
      that of the adapters' workers, and of all threads.
    - `frames_per_s`, `engine_ns` and `process_ns` (a frame), `files` (open), and of the adapter that uses
      most `vectors`, of these `ims`.

    `vectors.in_use` of one adapter, of these `vectors.msix` in its table and `vectors.ims` in slots;
    `vectors.fired` of them have been seen to interrupt their guest.
    """
    found: dict[str, list[float]] = {}
    for vdevs in SIZES:
        for key, values in _apart(at, vdevs, repeats).items():
            found[f"at_{vdevs}.{key}"] = values
    for key, values in _apart(vectors, MANY_VECTORS).items():
        found[f"vectors.{key}"] = values
    return found


def at(vdevs: int, rounds: int) -> dict[str, list[float]]:
    """The keys of one number of devices, in this process."""
    _check_files(vdevs)
    small, large = server(2), server(vdevs)
    try:
        pair = bring_up(small, 2)[0]
        found = _bring_up_timed(large, vdevs)
        if vdevs < 2:
            bring_up(large, 1)
        send(small, pair)
        send(large, list(_tenants(large)))
        for platform in (small, large):
            warm_up(platform)
        turns = [(traffic(small), traffic(large)) for _ in range(rounds)]
        if large.embedded().wrong:
            raise SiovError(f"of {vdevs} virtual devices, {large.embedded().wrong} frames came wrong")
    finally:
        large.unload()
        small.unload()
    found["frames_per_s"] = [b.frames / b.seconds for _, b in turns]
    found["throughput_ratio"] = [(b.frames / b.seconds) / (a.frames / a.seconds) for a, b in turns]
    for name in ("engine", "process"):
        costs = [(a.per_frame(getattr(a, name)), b.per_frame(getattr(b, name))) for a, b in turns]
        found[f"{name}_ns"] = [mine for _, mine in costs]
        found[f"{name}_ratio"] = [two / mine if mine else 0.0 for two, mine in costs]
    return found


def vectors(vdevs: int) -> dict[str, list[float]]:
    """Devices with 16 pairs on one adapter, each vector of which fires; the keys after `vectors.`."""
    _check_files(17 * vdevs)
    platform = server(vdevs, on_a_nic=vdevs)
    try:
        tenants = bring_up(platform, vdevs, kind="vdcm-16", start=False)[0]
        used = platform.ice.pfs["nic0"].irqs if platform.ice else None
        assert used is not None
        for tenant in tenants:
            tenant.probe()
        found = {"in_use": len(used.msix) + len(used.ims), "msix": len(used.msix), "ims": len(used.ims)}
        found["fired"] = bool(used.misc.fired) + sum(map(fire_all, tenants))
    finally:
        platform.unload()
    return {key: [float(value)] for key, value in found.items()}


def fire_all(tenant: Tenant) -> int:
    """Have a guest fire each vector of its device by software; how many of them interrupted it."""
    vdev, registers = tenant.vdev, tenant.driver.registers
    for eventfd in vdev.eventfds:
        eventfd.take()
    at_vector = [registers.dyn_ctl0, *(registers.dyn_ctl(n) for n in range(len(vdev.eventfds) - 1))]
    for register in at_vector:
        vdev.write32(register, FIRE)
    vdev.sleep(0)
    return sum(eventfd.take() for eventfd in vdev.eventfds)


def server(vdevs: int, on_a_nic: int = ON_A_NIC) -> Platform:
    """A server with adapters for so many devices, booted, without guests."""
    numbers = range(-(-vdevs // on_a_nic))
    nics = [
        {
            "name": f"nic{n}",
            "behind": f"rp{n}",
            "model": "e810",
            "nic": {"mac": f"02:00:00:00:{n:02x}:01", "ims": 4096},
        }
        for n in numbers
    ]
    scenario = {
        "name": "scale",
        "machine": {"memory": "16G", "cpus": 256},
        "iommu": {},
        "ice": {"queues": 0},
        "root_port": [{"name": f"rp{n}", "at": f"{n + 1:02x}.0"} for n in numbers],
        "function": nics,
    }
    platform = build(parse(scenario, "bench"))
    platform.boot()
    return platform


def bring_up(
    platform: Platform, vdevs: int, *, kind: str = "vdcm-1", start: bool = True
) -> tuple[list[Tenant], float]:
    """Make guests with so many devices more, created and open; their tenants, and seconds of that.

    Guests are spread over adapters in turn, and all devices of one are on one adapter.
    """
    tenants = platform.embedded()
    nics, first, began = list(tenants.parents), len(tenants.vms), time.perf_counter()
    for number, done in enumerate(range(0, vdevs, IN_A_GUEST), first):
        count = min(IN_A_GUEST, vdevs - done)
        vdev = {"parent": nics[number % len(nics)], "type": kind, "entries": ENTRIES}
        memory = 4 * MIB + -(-count * OWN // (2 * MIB)) * 2 * MIB
        spec = {"name": f"vm{number}", "memory": max(8 * MIB, memory), "vdevs": [vdev] * count}
        tenants.add(GuestSpec.model_validate(spec), start=False)
    made = list(islice(tenants.all.values(), len(tenants.all) - vdevs, None))
    seconds = time.perf_counter() - began
    for tenant in made if start else ():
        tenant.start()
    return made, seconds


def send(platform: Platform, these: list[Tenant]) -> None:
    """Have each even one send to the next without end, in frames of 64 to 1518 bytes."""
    for src, dst in zip(these[::2], these[1::2], strict=False):
        platform.embedded().send(TrafficSpec(src=src.name, dst=dst.name))


def warm_up(platform: Platform) -> None:
    """Let a server run until each receiver has got frames: pages of BARs are where they are used then."""
    silent = 0
    with platform:
        for _ in range(PATIENCE):
            time.sleep(0.5)
            receivers = list(platform.embedded().results().values())[1::2]
            silent = sum(not result["checked"]["in_order"] for result in receivers)
            if not silent:
                return
    raise SiovError(f"{silent} of {len(receivers)} virtual devices that are sent frames get none")


def traffic(platform: Platform, seconds: float | None = None) -> Round:
    """Let a server run for a while."""
    before = _verified(platform)
    with platform:
        cpu, began = time.process_time(), time.perf_counter()
        time.sleep(SECONDS if seconds is None else seconds)
        platform.embedded().stop()  # first, so that what is counted is what was timed
        took, cpu, engine = time.perf_counter() - began, time.process_time() - cpu, _worker_seconds()
    return Round(_verified(platform) - before, took, engine, cpu)


def _apart(work: Any, *args: int) -> dict[str, list[float]]:
    """Do it in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result: dict[str, list[float]] = pool.submit(work, *args).result()
    return result


def _bring_up_timed(platform: Platform, vdevs: int) -> dict[str, list[float]]:
    bare, cpu = _resident(platform), time.process_time()
    tenants, seconds = bring_up(platform, vdevs, start=False)
    found = {"create_s": seconds, "create_cpu_s": time.process_time() - cpu}
    found["kib_per_vdev"] = (_resident(platform) - bare) / 1024 / vdevs
    began, cpu = time.perf_counter(), time.process_time()
    for tenant in tenants:
        tenant.start()
    found |= {"start_s": time.perf_counter() - began, "start_cpu_s": time.process_time() - cpu}
    found["kib_per_vdev_up"] = (_resident(platform) - bare) / 1024 / vdevs
    found["files"] = sum(1 for _ in Path("/proc/self/fd").iterdir())
    assert platform.ice is not None
    most = max((pf.irqs for pf in platform.ice.pfs.values()), key=lambda one: len(one.msix) + len(one.ims))
    found |= {"vectors": len(most.msix) + len(most.ims), "ims": len(most.ims)}
    return {key: [float(value)] for key, value in found.items()}


def _tenants(platform: Platform) -> list[Tenant]:
    return list(platform.embedded().all.values())


def _verified(platform: Platform) -> int:
    return sum(result["checked"]["in_order"] for result in platform.embedded().results().values())


def _resident(platform: Platform) -> int:
    """Bytes of the process that are not memory of guests, all of which is resident."""
    assert platform.memory is not None
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (pages - platform.memory.in_use["guest"]) * resource.getpagesize()


def _worker_seconds() -> float:
    """Processor time of the adapters' workers that run."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("lan-worker"):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _check_files(vectors_of_one: int) -> None:
    each, beside = FILES
    need, most = each * vectors_of_one + beside, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if need > most:
        raise SiovError(
            f"{vectors_of_one} virtual devices need {need} open files, one for each vector; "
            f"this process may have {most}: raise the limit with 'ulimit -n {need}'"
        )
