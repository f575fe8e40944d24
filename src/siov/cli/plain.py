"""A line a second of what a server does, for logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.observe.progress import Progress
from siov.observe.sample import Sampler, adapters
from siov.observe.units import bits, hit_rate, number

if TYPE_CHECKING:
    from siov.platform import Platform

EVERY = 1.0  # seconds


class PlainView:
    """Prints a line for each second of the samples that it is shown."""

    def __init__(self, platform: Platform, until: float) -> None:
        self.progress = Progress(platform, until)
        self._nics = list(adapters(platform))
        self._units = [unit.name for unit in platform.root_complex.units]
        self._next = EVERY

    def show(self, sampler: Sampler) -> None:
        """Print a line if a second is over since the last one."""
        seconds = sampler.series.seconds
        if seconds < self._next:
            return
        self._next = EVERY * (1 + seconds // EVERY)
        print(self.line(sampler), flush=True)

    def line(self, sampler: Sampler) -> str:
        """Time and progress, then per adapter and unit what happens now."""
        parts = [f"{sampler.series.seconds:6.1f} s {self.progress.part(sampler.series.seconds):4.0%}"]
        for nic in self._nics:
            rate = {what: sampler.rate(f"{nic}/{what}") for what in _SHOWN}
            parts.append(
                f"{nic} rx {bits(rate['rx_bytes'] * 8)} tx {bits(rate['tx_bytes'] * 8)} "
                f"{number(rate['rx_frames'] + rate['tx_frames'])} frames/s "
                f"{number(rate['interrupts'])} interrupts/s {number(rate['dropped'])} drops/s "
                f"ATC {hit_rate(sampler, nic, 'atc/hits', 'atc/lookups')}"
            )
        for unit in self._units:
            parts.append(
                f"{unit} IOTLB {hit_rate(sampler, unit, 'iotlb_hit', 'iotlb_lookup')} "
                f"{number(sampler.rate(f'{unit}/iommu_mrds'))} table reads/s "
                f"{number(sampler.rate(f'{unit}/faults'))} faults/s"
            )
        return " | ".join(parts)


_SHOWN = ("rx_bytes", "tx_bytes", "rx_frames", "tx_frames", "interrupts", "dropped")
