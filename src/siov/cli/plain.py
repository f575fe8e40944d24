"""A line a second of what a server does, for logs."""

from __future__ import annotations

from collections.abc import Callable

from siov.observe.sample import Sampler
from siov.observe.shown import Shown
from siov.observe.units import bits, hit_rate, number

EVERY = 1.0  # seconds


class PlainView:
    """Prints a line for `every` so many seconds of the samples that it is shown.

    `about` tells of the server; its run ends after `until` seconds at the latest, if at all.
    """

    def __init__(self, about: Callable[[], Shown], until: float | None, every: float = EVERY) -> None:
        self.about, self.until, self.every = about, until, every
        self._next = every

    def show(self, sampler: Sampler) -> None:
        """Print a line if a second is over since the last one."""
        seconds = sampler.series.seconds
        if seconds < self._next:
            return
        if self.every:
            self._next = self.every * (1 + seconds // self.every)
        print(self.line(sampler), flush=True)

    def line(self, sampler: Sampler) -> str:
        """Time and progress, then per adapter and unit what happens now."""
        shown, seconds = self.about(), sampler.series.seconds
        part = shown.part(seconds, self.until)
        parts = [f"{seconds:6.1f} s" + (f" {part:4.0%}" if part is not None else "")]
        for nic in shown.nics:
            rate = {what: sampler.rate(f"{nic}/{what}") for what in _SHOWN}
            parts.append(
                f"{nic} rx {bits(rate['rx_bytes'] * 8)} tx {bits(rate['tx_bytes'] * 8)} "
                f"{number(rate['rx_frames'] + rate['tx_frames'])} frames/s "
                f"{number(rate['interrupts'])} interrupts/s {number(rate['dropped'])} drops/s "
                f"ATC {hit_rate(sampler, nic, 'atc/hits', 'atc/lookups')}"
            )
        for unit in shown.units:
            parts.append(
                f"{unit} IOTLB {hit_rate(sampler, unit, 'iotlb_hit', 'iotlb_lookup')} "
                f"{number(sampler.rate(f'{unit}/iommu_mrds'))} table reads/s "
                f"{number(sampler.rate(f'{unit}/faults'))} faults/s"
            )
        return " | ".join(parts)


_SHOWN = ("rx_bytes", "tx_bytes", "rx_frames", "tx_frames", "interrupts", "dropped")
