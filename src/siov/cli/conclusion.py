"""The end of a run: what was counted and what limited it, on the terminal and in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from siov.cli.records import told
from siov.cli.results import events
from siov.cli.run_files import RunFiles
from siov.cli.watching import Watching
from siov.control.calls import plain
from siov.observe.counters import table
from siov.observe.summary import Summary
from siov.platform import Platform


def conclude(
    platform: Platform,
    found: Mapping[str, Any],
    watch: Watching,
    files: RunFiles,
    traffic: str,
    more: dict[str, Any] | None = None,
) -> bool:
    """Print and write what came of a run whose guests still are there; whether the server itself was well.

    `found` is what `Results.gather` gave, `traffic` the table of what guests sent and received; `more` are
    further keys for machines.
    """
    changes, guests, seconds = found["changes"], found["guests"], found["seconds"]
    series = watch.sampler.series
    further = {"devices": found["devices"], "translation": found["translation"], **(more or {})}
    summary = Summary.of(platform, series, guests, changes, seconds, found["events"], further)
    parts = [f"after {seconds:.1f} s", traffic] if traffic else []
    if found["events"]:
        parts.append(events(found["events"]))
    if not watch.quiet and (traffic or found["events"]):
        parts.append(table(summary.rows))
    if traffic:
        limits = "\n".join(f"{one.what}: {one.why}" for one in summary.limits)
        parts.append(f"what limited it\n{limits}")
    if files.pcap is not None:
        parts.append(told(files.pcap.path, files.pcap.stop()))
    print("\n\n".join(parts))
    if files.json is not None:
        files.json.write(json.dumps(plain(summary.to_json()), indent=1) + "\n")
    if files.report is not None:
        from siov.observe.report import html

        files.report.write(html(summary))
    failures = [*platform.threads.failures, *platform.events.failures]
    if platform.tenants is not None:
        failures += platform.tenants.failures
    for why in failures:
        print(f"siov: {why}", file=sys.stderr)
    return not failures
