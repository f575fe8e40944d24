"""The report of a run as one HTML file that needs no network: what limited it, plots, tables, the data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from siov import __version__
from siov.control.calls import plain
from siov.observe.plot import Plot
from siov.observe.summary import UNIT_CACHES, Summary
from siov.observe.units import bits

LINES = 8  # in a plot of VSIs or guests: the busiest

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 74rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
.plot { width: 100%; font: 12px system-ui, sans-serif; }
.plot text { fill: currentColor; } .plot .head { font-weight: 600; font-size: 13px; }
.plot .tick { fill: var(--soft); } .plot .end { text-anchor: end; } .plot .middle { text-anchor: middle; }
.plot .grid { stroke: var(--line); } .plot .mark { stroke: #d62728; stroke-dasharray: 3 3; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; } .scroll { overflow-x: auto; } .soft { color: var(--soft); }
"""


def html(summary: Summary) -> str:
    """The whole page; what a name of a scenario or guest has in it can't become markup."""
    data = json.dumps(plain(summary.to_json())).replace("<", "\\u003c")
    title = f"siov run: {summary.scenario}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="soft">{summary.seconds:.1f} s, siov {escape(__version__)}</p>',
            *_limits(summary),
            *_traffic(summary),
            '<h2>Over time</h2>\n<div class="plots">',
            *(plot.svg() for plot in plots(summary)),
            "</div>",
            *_events(summary),
            *_flows(summary),
            *_caches(summary),
            *_interrupts(summary),
            *_happened(summary),
            f'<script type="application/json" id="data">{data}</script>',
            "</body>\n</html>\n",
        ]
    )


def plots(summary: Summary) -> Iterator[Plot]:
    """The series worth a picture."""
    series, times = summary.series, summary.series.middles()
    marks = [
        (float(event["began"]), f"{event['kind']} {event['target']}")
        for event in summary.events
        if event["began"] is not None
    ]

    def rates(names: dict[str, str], scale: float = 1.0) -> dict[str, list[float]]:
        return {label: [value * scale for value in series.rate(name)] for label, name in names.items()}

    def plot(
        title: str, unit: str, lines: dict[str, list[float]], top: float | None = None
    ) -> Iterator[Plot]:
        if any(map(any, lines.values())):
            yield Plot(title, unit, times, lines, marks, top)

    nics, busiest = summary.nics, summary.vsis()[:LINES]
    ways = [(nic, way) for nic in nics for way in ("rx", "tx")]
    yield from plot(
        "Throughput of each adapter's VSIs",
        "bit/s",
        rates({f"{nic} {way}": f"{nic}/{way}_bytes" for nic, way in ways}, 8),
    )
    yield from plot("Frames", "frames/s", rates({f"{nic} {way}": f"{nic}/{way}_frames" for nic, way in ways}))
    labels = {vsi: f"{vsi} ({summary.who[vsi]})" if vsi in summary.who else vsi for vsi in busiest}
    for way, what in (("rx", "received"), ("tx", "sent")):
        yield from plot(
            f"What VSIs {what}", "bit/s", rates({labels[v]: f"{v}/{way}_bytes" for v in busiest}, 8)
        )
    guests = {guest: f"{guest}/rx_bytes" for guest in summary.guests()[:LINES]}
    yield from plot("What guests received, every byte as sent", "bit/s", rates(guests, 8))
    hits = {
        f"{where} {cache}": _part(series.rate(f"{where}/{hit}"), series.rate(f"{where}/{asked}"))
        for where, cache, hit, asked in _all_caches(summary)
    }
    yield from plot("Hits in caches", "%", hits, 100.0)
    walks = {f"{unit} {what}": f"{unit}/{name}" for unit in summary.units for what, name in _WALKS.items()}
    yield from plot("The remapping unit", "/s", rates(walks))
    yield from plot(
        "Interrupts",
        "/s",
        rates({f"{nic} {kind}": f"{nic}/{kind}" for nic in nics for kind in ("interrupts", "delayed")}),
    )
    lost = {f"{nic} dropped": f"{nic}/dropped" for nic in nics}
    lost |= {f"{unit} faults": f"{unit}/faults" for unit in summary.units}
    yield from plot("Drops and faults", "/s", rates(lost))
    threads = sorted(
        (name for name in series.columns if name.startswith("cpu/")), key=series.total, reverse=True
    )
    cpu = rates({name.removeprefix("cpu/"): name for name in threads[:LINES]}, 1e-7)
    yield from plot("Processor time of each thread", "%", cpu, None)


_WALKS = {"requests": "iommu_requests", "table reads": "iommu_mrds", "invalidations": "invalidations"}


def _all_caches(summary: Summary) -> Iterator[tuple[str, str, str, str]]:
    for where, caches in summary.hit_rates().items():
        known = {name: (hit, asked) for name, hit, asked in UNIT_CACHES} | {
            "atc": ("atc/hits", "atc/lookups")
        }
        for cache in caches:
            yield where, cache, *known[cache]


def _part(hits: Sequence[float], asked: Sequence[float]) -> list[float]:
    """Percent; a stretch without a look-up is as the one before."""
    found: list[float] = []
    for hit, all_ in zip(hits, asked, strict=True):
        found.append(min(100 * hit / all_, 100.0) if all_ else found[-1] if found else 100.0)
    return found


def _limits(summary: Summary) -> Iterator[str]:
    yield "<h2>What limited the run</h2>\n<ol>"
    for one in summary.limits:
        yield f"<li><b>{escape(one.what)}</b>: {escape(one.why)}</li>"
    yield "</ol>"


def _traffic(summary: Summary) -> Iterator[str]:
    rows = [
        [
            load.name,
            load.kind,
            f"{load.rate:,}" if load.rate else "as fast as it goes",
            load.frames,
            load.done,
        ]
        for load in summary.loads
    ]
    if rows:
        head = ["traffic", "kind", "frames/s set", "frames sent", "all of it"]
        yield from _table("What was to be sent", head, [[*r[:4], "yes" if r[4] else "no"] for r in rows])
    head = ["device", "frames right", "bytes", "wrong", "interrupts", "VM exits"]
    wrong = ("duplicated", "reordered", "corrupt", "wrong_tag", "wrong_status")
    yield from _table(
        "What guests received",
        head,
        [
            [
                name,
                result["checked"]["frames"],
                result["checked"]["bytes"],
                sum(result["checked"][kind] for kind in wrong),
                result["rings"]["interrupts"],
                result["exits"],
            ]
            for name, result in summary.results.items()
            if result["checked"]["frames"]
        ],
    )


def _events(summary: Summary) -> Iterator[str]:
    rows = [
        [
            "" if event["began"] is None else f"{event['began']:.2f} s",
            *(str(event[key]) for key in ("kind", "target", "state", "outcome")),
        ]
        for event in summary.events
    ]
    yield from _table("Events", ["began", "event", "target", "state", "outcome"], rows)


def _flows(summary: Summary) -> Iterator[str]:
    head = ["frames received", "bytes", "frames sent", "bytes", "dropped", "mean rx", "mean tx"]
    for title, places in (("Adapters", summary.nics), ("VSIs", summary.vsis()[: 4 * LINES])):
        rows: list[list[Any]] = []
        for place, flow in summary.flows(places).items():
            counts = [flow[k] for k in ("rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "dropped")]
            means = [bits(flow[f"{way}_bits_per_second"]) for way in ("rx", "tx")]
            rows.append([place, *([flow.get("guest", "")] if title == "VSIs" else []), *counts, *means])
        yield from _table(title, ["", *(["guest"] if title == "VSIs" else []), *head], rows)


def _caches(summary: Summary) -> Iterator[str]:
    rows = [
        [
            where,
            cache,
            summary.series.total(f"{where}/{asked}"),
            summary.series.total(f"{where}/{hit}"),
            f"{summary.hit_rates()[where][cache]:.2%}",
        ]
        for where, cache, hit, asked in _all_caches(summary)
    ]
    yield from _table("Caches", ["", "cache", "look-ups", "hits", "hit rate"], rows)


def _interrupts(summary: Summary) -> Iterator[str]:
    head = ["", "events", "interrupts", "held back by ITR or INTRL", "events while disabled"]
    rows = [[nic, *counts.values()] for nic, counts in summary.interrupts().items()]
    yield from _table("Interrupts", head, rows)


def _happened(summary: Summary) -> Iterator[str]:
    rows = [[row.topic, row.where, row.what, row.count, row.why] for row in summary.rows]
    yield from _table("All that was counted", ["", "where", "what", "count", "why"], rows)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Nothing without rows; whole numbers stand to the right, with commas."""
    if not rows:
        return
    numbers = [isinstance(cell, int) for cell in rows[0]]
    yield f'<h2>{escape(title)}</h2>\n<div class="scroll"><table>\n<tr>'
    yield "".join(
        f"<th{' class=n' if number else ''}>{escape(cell)}</th>"
        for cell, number in zip(head, numbers, strict=True)
    )
    yield "</tr>"
    for row in rows:
        cells = (
            f'<td class="n">{cell:,}</td>' if isinstance(cell, int) else f"<td>{escape(str(cell))}</td>"
            for cell in row
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table></div>"
