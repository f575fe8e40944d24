"""The live view of a run in the terminal: adapters, VSIs, guests, caches, interrupts, threads, progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from siov.observe.sample import Sampler
from siov.observe.shown import Shown
from siov.observe.summary import UNIT_CACHES
from siov.observe.units import bits, hit_rate, number

LOADS = 4  # lines of loads; of more, the rest is one line
THREADS = 6


class LiveView:
    """Draws the samples that it is shown on the terminal's other screen, and leaves that at its end.

    `about` tells of the server; its run ends after `until` seconds at the latest, if at all.
    """

    def __init__(
        self, about: Callable[[], Shown], until: float | None, console: Console | None = None
    ) -> None:
        self.about, self.until = about, until
        self.shown = Shown("", [], [], [], {}, [])
        self.console = console or Console()
        # No thread of its own draws: only what was sampled is shown, when it was.
        self._live = Live(console=self.console, screen=True, auto_refresh=False, redirect_stderr=False)
        self._lock = threading.Lock()
        self._open = False

    def __enter__(self) -> LiveView:
        self._live.start()
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._lock:
            self._open = False
            self._live.stop()

    def show(self, sampler: Sampler) -> None:
        """Draw what is now."""
        view = self.render(sampler)
        with self._lock:
            if self._open:
                self._live.update(view, refresh=True)

    def render(self, sampler: Sampler) -> RenderableType:
        """All of it, with as many VSIs and guests as there are lines for: the busiest."""
        self.shown = self.about()
        loads = self._loads()
        head: list[RenderableType] = [self._head(sampler), *loads, Text()]
        tail: list[RenderableType] = [self._caches(sampler), Text(), self._threads(sampler)]
        used = 3 + len(loads) + len(self.shown.nics) + 3 + len(self.shown.units) * len(UNIT_CACHES) + 5
        room = max(2, (self.console.height - used - 6) // 2)
        return Group(
            *head,
            self._nics(sampler),
            Text(),
            self._vsis(sampler, room),
            Text(),
            self._guests(sampler, room),
            Text(),
            *tail,
        )

    def _head(self, sampler: Sampler) -> RenderableType:
        seconds = sampler.series.seconds
        part = self.shown.part(seconds, self.until)
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        title = Text.assemble(("siov ", "bold"), self.shown.scenario, f"  {seconds:.1f} s")
        if part is None:
            line.add_row(title, "", "")
        else:
            line.add_row(title, ProgressBar(total=1.0, completed=part), f"{part:4.0%}")
        return line

    def _loads(self) -> list[RenderableType]:
        loads = self.shown.loads
        shown: list[RenderableType] = []
        for load in loads[:LOADS]:
            done = "no end" if load.part is None else f"{load.part:.0%}"
            shown.append(Text.assemble("  ", (f"{load.kind:<9}", "dim"), f"{load.name:<18} {done:>6}"))
        if len(loads) > LOADS:
            shown.append(Text(f"  and {len(loads) - LOADS} more", "dim"))
        return shown

    def _nics(self, sampler: Sampler) -> Table:
        table = _table(
            "adapter", "rx", "tx", "frames/s", "wire rx", "wire tx", "interrupts/s", "held", "drops/s"
        )
        for nic in self.shown.nics:
            rate = _Rates(sampler, nic)
            fired = rate("interrupts")
            table.add_row(
                nic,
                bits(8 * rate("rx_bytes")),
                bits(8 * rate("tx_bytes")),
                number(rate("rx_frames") + rate("tx_frames")),
                bits(8 * rate("port0/received_bytes")),
                bits(8 * rate("port0/sent_bytes")),
                number(fired),
                f"{min(1.0, rate('delayed') / fired):.0%}" if fired else "-",
                _bad(rate("dropped")),
            )
        return table

    def _vsis(self, sampler: Sampler, room: int) -> Table:
        _, counts = sampler.recent[-1]
        vsis = [
            name.removesuffix("/rx_bytes") for name in counts if "/vsi" in name and name.endswith("/rx_bytes")
        ]
        shown, rest = _busiest(sampler, vsis, room)
        table = _table("VSI", "guest", "rx", "tx", "frames/s", "drops/s", left=2)
        for vsi in shown:
            rate = _Rates(sampler, vsi)
            table.add_row(
                vsi,
                self.shown.who.get(vsi, ""),
                bits(8 * rate("rx_bytes")),
                bits(8 * rate("tx_bytes")),
                number(rate("rx_frames") + rate("tx_frames")),
                _bad(rate("dropped")),
            )
        return _more(table, rest)

    def _guests(self, sampler: Sampler, room: int) -> Table:
        shown, rest = _busiest(sampler, self.shown.guests, room)
        table = _table("guest", "received", "sent", "frames/s", "interrupts/s", "frames/poll", "wrong")
        _, counts = sampler.recent[-1]
        for guest in shown:
            rate = _Rates(sampler, guest)
            polls = rate("polls")
            table.add_row(
                guest,
                bits(8 * rate("rx_bytes")),
                bits(8 * rate("tx_bytes")),
                number(rate("rx_frames") + rate("tx_frames")),
                number(rate("interrupts")),
                f"{rate('rx_frames') / polls:.1f}" if polls and rate("rx_frames") else "-",
                _bad(counts.get(f"{guest}/wrong", 0)),
            )
        return _more(table, rest)

    def _caches(self, sampler: Sampler) -> Table:
        table = _table("cache", "look-ups/s", "hits", "", "")
        for nic in self.shown.nics:
            rate = _Rates(sampler, nic)
            table.add_row(
                f"{nic} device TLB",
                number(rate("atc/lookups")),
                hit_rate(sampler, nic, "atc/hits", "atc/lookups"),
                f"{number(rate('atc/requests'))} translation requests/s",
                f"{number(rate('atc/invalidations'))} invalidations/s",
            )
        for unit in self.shown.units:
            rate = _Rates(sampler, unit)
            more = {
                "iotlb": (
                    f"{number(rate('iommu_mrds'))} table reads/s",
                    f"{number(rate('invalidations'))} invalidations/s",
                ),
                "pasid_cache": (f"{number(rate('iommu_requests'))} requests/s", ""),
                "ctxt_cache": (f"{number(rate('faults'))} faults/s", ""),
            }
            for name, hits, lookups in UNIT_CACHES:
                table.add_row(
                    f"{unit} {name}",
                    number(rate(lookups)),
                    hit_rate(sampler, unit, hits, lookups),
                    *more.get(name, ("", "")),
                )
        return table

    def _threads(self, sampler: Sampler) -> Text:
        _, counts = sampler.recent[-1]
        names = [name for name in counts if name.startswith("cpu/")]
        shares = sorted(
            ((sampler.rate(name) / 1e9, name.removeprefix("cpu/")) for name in names), reverse=True
        )
        text = Text("threads  ", "dim", no_wrap=True, overflow="ellipsis")
        for share, name in [one for one in shares if one[0] >= 0.005][:THREADS]:
            text.append(f"{name} ").append(f"{share:.0%}   ", "yellow" if share > 0.85 else "")
        return text


class _Rates:
    """The rates below a name."""

    def __init__(self, sampler: Sampler, where: str) -> None:
        self._sampler, self._where = sampler, where

    def __call__(self, what: str) -> float:
        return self._sampler.rate(f"{self._where}/{what}")


def _table(*head: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for n, name in enumerate(head):
        style = "cyan" if n == 0 else "green" if n < left else ""
        table.add_column(name, justify="left" if n < left else "right", style=style, no_wrap=True)
    return table


def _busiest(sampler: Sampler, names: Iterable[str], room: int) -> tuple[Sequence[str], int]:
    """The busiest in their own order, and how many others there are."""
    known = list(names)
    if len(known) <= room:
        return known, 0

    def weight(name: str) -> float:
        return sampler.rate(f"{name}/rx_bytes") + sampler.rate(f"{name}/tx_bytes")

    chosen = set(sorted(known, key=weight, reverse=True)[: room - 1])
    return [name for name in known if name in chosen], len(known) - len(chosen)


def _more(table: Table, rest: int) -> Table:
    if rest:
        table.add_row(Text(f"and {rest} more", "dim"))
    return table


def _bad(value: float) -> Text:
    return Text(number(value), "bold red" if value else "")
