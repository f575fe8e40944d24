"""All counters of a running server in the text format that Prometheus reads (exposition format 0.0.4)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from siov import __version__
from siov.observe.cputime import ThreadTimes
from siov.observe.sample import adapters, owners

if TYPE_CHECKING:
    from siov.platform import Platform

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What VSIs, ports and guests count: name after the prefix, key in the inspect tree, help.
_VSI = (
    ("rx_frames", "rx_frames", "Frames that a VSI received (GLV_UPRC, GLV_MPRC, GLV_BPRC)"),
    ("rx_bytes", "rx_bytes", "Bytes of them, with CRC (GLV_GORC)"),
    ("tx_frames", "tx_frames", "Frames that a VSI sent (GLV_UPTC, GLV_MPTC, GLV_BPTC)"),
    ("tx_bytes", "tx_bytes", "Bytes of them (GLV_GOTC)"),
    ("rx_no_desc", "rx_no_desc", "Frames dropped for want of a receive descriptor (GLV_RDPC)"),
    ("rx_errors", "rx_errors", "Frames longer than the receiving queue takes (GLV_REPC)"),
    ("rx_filtered", "rx_filtered", "Frames that a flow director filter dropped"),
    ("tx_errors", "tx_errors", "Packets that a VSI was not allowed to send (GLV_TEPC)"),
)
_PORT = (
    ("rx_frames", "received", "Frames that came in at a port (GLPRT_UPRC, GLPRT_MPRC, GLPRT_BPRC)"),
    ("rx_bytes", "received_bytes", "Bytes of them (GLPRT_GORC)"),
    ("tx_frames", "sent", "Frames that went out at a port (GLPRT_UPTC, GLPRT_MPTC, GLPRT_BPTC)"),
    ("tx_bytes", "sent_bytes", "Bytes of them (GLPRT_GOTC)"),
    ("dropped_link_down", "dropped_link_down", "Frames dropped while the link was down (GLPRT_TDOLD)"),
    ("dropped_length", "dropped_length", "Frames dropped for their length (GLPRT_RUC, GLPRT_ROC)"),
)
_NIC = (
    ("atc_lookups", "atc", "lookups", "Look-ups in an adapter's device TLB"),
    ("atc_hits", "atc", "hits", "Hits in an adapter's device TLB"),
    ("ats_requests", "atc", "requests", "Translation Requests of an adapter"),
    ("atc_invalidations", "atc", "invalidations", "Invalidate Requests that reached a device TLB"),
    ("interrupt_events", "interrupts", "events", "Events for an adapter's vectors"),
    ("interrupts", "interrupts", "interrupts", "Interrupts of an adapter"),
    ("interrupts_delayed", "interrupts", "delayed", "Interrupts that had to wait for ITR or INTRL"),
    ("interrupt_events_disabled", "interrupts", "disabled", "Events whose vector was disabled (INTENA)"),
)
_GUEST = (
    ("rx_frames", "rx_frames", "Frames that a guest's device received, right in every byte"),
    ("rx_bytes", "rx_bytes", "Bytes of them"),
    ("wrong", "wrong", "Frames that were not as they should be"),
    ("tx_frames", "tx_frames", "Frames of a guest's loads"),
    ("tx_bytes", "tx_bytes", "Bytes of them"),
    ("tx_full", "tx_full", "Times that a transmit queue had no room"),
    ("interrupts", "interrupts", "Interrupts that a guest's queues took"),
    ("polls", "polls", "Polls of a guest's queues"),
)


@dataclass(slots=True)
class Family:
    """A metric with its samples: labels and a value of each."""

    name: str
    kind: str
    told: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One sample."""
        self.samples.append((labels, value))

    def lines(self) -> Iterator[str]:
        """As Prometheus reads it; nothing without samples."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {_escaped(self.told)}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            inner = ",".join(f'{name}="{_label(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{inner}}} {value}" if inner else f"{self.name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _label(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def exposition(platform: Platform, threads: ThreadTimes | None = None) -> str:
    """What `/metrics` answers; how long that took is the last metric. `threads` remembers their names."""
    began = time.perf_counter()
    families = list(collect(platform, threads or ThreadTimes(list(adapters(platform)))))
    took = _gauge("siov_scrape_duration_seconds", "Seconds that it took to gather these")
    took.add(round(time.perf_counter() - began, 6))
    return "".join(f"{line}\n" for family in (*families, took) for line in family.lines())


def collect(platform: Platform, threads: ThreadTimes) -> Iterator[Family]:
    """All metrics of a server, each once."""
    info = _gauge("siov_info", "The model's version and the scenario of its server")
    info.add(1, version=__version__, scenario=platform.scenario.name)
    yield info
    yield from _of_adapters(platform)
    yield from _of_units(platform)
    yield from _of_host(platform)
    yield from _of_guests(platform)
    yield from _of_threads(threads)


def _of_adapters(platform: Platform) -> Iterator[Family]:
    states = {name: nic.inspect() for name, nic in adapters(platform).items()}
    who = owners(platform)

    def vsi_labels(nic: str, vsi: object, row: Mapping[str, Any]) -> dict[str, str]:
        pasid = "" if row["pasid"] is None else str(row["pasid"])
        return {"nic": nic, "vsi": str(vsi), "pasid": pasid, "guest": who.get(f"{nic}/vsi{vsi}", "")}

    rows = [
        (vsi_labels(nic, vsi, row), row)
        for nic, state in states.items()
        for vsi, row in state["vsis"].items()
    ]
    yield from _counters("siov_vsi", _VSI, rows)
    ports = [
        ({"nic": nic, "port": port}, found["counters"])
        for nic, state in states.items()
        for port, found in state["ports"].items()
    ]
    yield from _counters("siov_port", _PORT, ports)
    for name, part, key, told in _NIC:
        family = _counter(f"siov_nic_{name}", told)
        for nic, state in states.items():
            family.add(state[part][key], nic=nic)
        yield family
    dropped = _counter("siov_nic_switch_dropped", "Frames that an adapter's switch dropped, by the reason")
    held = _gauge("siov_nic_atc_entries", "Translations that an adapter's device TLB holds")
    vsis = _gauge("siov_nic_vsis", "VSIs of an adapter")
    for nic, state in states.items():
        held.add(state["atc"]["held"], nic=nic)
        vsis.add(len(state["vsis"]), nic=nic)
        for reason, count in state["dropped"].items():
            dropped.add(count, nic=nic, reason=reason)
    yield from (dropped, held, vsis)


def _of_units(platform: Platform) -> Iterator[Family]:
    events: dict[str, Family] = {}
    cached = _gauge("siov_iommu_cached_entries", "Entries that a cache of a remapping unit holds")
    for unit in platform.root_complex.units:
        for event, count in unit.engine.counters:
            name = event.removeprefix("iommu_")
            family = events.get(name)
            if family is None:
                told = f"The remapping unit's event {event}, as Linux's perfmon driver calls it"
                family = events[name] = _counter(f"siov_iommu_{name}", told)
            family.add(count, unit=unit.name)
        for cache, entries in unit.engine.cached:
            cached.add(entries, unit=unit.name, cache=cache)
    yield from (*events.values(), cached)
    iommu = platform.iommu
    if iommu is None:
        return
    faults = _counter("siov_iommu_faults", "Requests that were refused, by the fault reason")
    lost = _counter("siov_iommu_faults_overflow", "Faults for which no record was free")
    invalidated = _counter("siov_iommu_invalidations", "Descriptors of the invalidation queue, by type")
    for reason, count in list(iommu.faults.counts.items()):
        faults.add(count, unit=iommu.name, reason=str(reason))
    lost.add(iommu.faults.overflows, unit=iommu.name)
    for kind, count in list(iommu.queue.counts.items()):
        invalidated.add(count, unit=iommu.name, type=str(kind))
    yield from (faults, lost, invalidated)


def _of_host(platform: Platform) -> Iterator[Family]:
    taken = _counter("siov_host_interrupts", "Interrupts that the host's handlers took")
    taken.add(sum(list(platform.irqs.counts.values())))
    spurious = _counter("siov_host_interrupts_spurious", "Interrupts that no handler had asked for")
    spurious.add(platform.irqs.spurious)
    vdevs = _gauge("siov_mdevs", "Mediated devices that exist")
    vdevs.add(len(platform.mdev.core.devices))
    yield from (taken, spurious, vdevs)


def _of_guests(platform: Platform) -> Iterator[Family]:
    tenants = platform.tenants
    if tenants is None:
        return
    seats = {tenant.seat: tenant.name for tenant in list(tenants.all.values())}
    totals = tenants.loop.totals().items()
    rows = [({"guest": seats[seat]}, found) for seat, found in totals if seat in seats]
    yield from _counters("siov_guest", _GUEST, rows)


def _of_threads(threads: ThreadTimes) -> Iterator[Family]:
    ran = _counter("siov_thread_cpu_seconds", "Seconds that a thread ran")
    waited = _counter("siov_thread_wait_seconds", "Seconds that a thread was ready and had no processor")
    for thread, (run, wait) in threads.read().items():
        ran.add(run / 1e9, thread=thread)
        waited.add(wait / 1e9, thread=thread)
    yield from (ran, waited)


def _counters(
    prefix: str,
    names: Iterable[tuple[str, str, str]],
    rows: Iterable[tuple[Mapping[str, str], Mapping[str, Any]]],
) -> Iterator[Family]:
    for name, key, told in names:
        family = _counter(f"{prefix}_{name}", told)
        family.samples += [(labels, row[key]) for labels, row in rows]
        yield family


def _counter(name: str, told: str) -> Family:
    return Family(f"{name}_total", "counter", told)


def _gauge(name: str, told: str) -> Family:
    return Family(name, "gauge", told)
