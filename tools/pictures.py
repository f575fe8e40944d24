"""Makes the pictures of the live view and of the report: docs/img/live.svg and docs/img/report.svg.

Run it with nothing else at work: `.venv/bin/python tools/pictures.py`. It takes the built-in scenario without
the ends of its traffic, looks at it as `siov run` does on a terminal, and draws with the code of `siov run`.
"""

import io
import re
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

from rich.console import Console

from siov.cli.live import LiveView
from siov.observe.counters import Snapshot
from siov.observe.plot import HEIGHT, LEGEND, WIDTH
from siov.observe.report import STYLE, plots
from siov.observe.sample import Sampler
from siov.observe.shown import Shown
from siov.observe.summary import Summary
from siov.platform import BUILT_IN, build
from siov.scenario import load

PICTURES = Path(__file__).resolve().parents[1] / "docs/img"
COLUMNS, ROWS = 108, 46
SECONDS, DRAWN = 8.0, 6.0  # how long it runs, and when the live view is drawn
FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
SHOWN = ("Throughput", "What VSIs received", "Interrupts", "Processor time")  # of the plots


def main() -> None:
    """Run once, and draw."""
    scenario = load(BUILT_IN)
    endless = tuple(spec.model_copy(update={"count": None}) for spec in scenario.traffic)
    platform = build(scenario.model_copy(update={"traffic": endless}))
    platform.boot()
    console = Console(
        record=True,
        width=COLUMNS,
        height=ROWS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    view, sampler = LiveView(lambda: Shown.of(platform), SECONDS, console), Sampler.of(platform)
    before = Snapshot.of(platform.inspect())
    with sampler, platform:
        time.sleep(DRAWN)
        console.print(view.render(sampler))
        time.sleep(SECONDS - DRAWN)
    assert platform.tenants is not None
    changes = Snapshot.of(platform.inspect()).since(before)
    summary = Summary.of(platform, sampler.series, platform.tenants.results(), changes, SECONDS)
    picture = FONT.sub("", console.export_svg(title="siov run", unique_id="live"))
    (PICTURES / "live.svg").write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")
    (PICTURES / "report.svg").write_text(page(summary))
    platform.unload()


def page(summary: Summary) -> str:
    """The first plots of a report below each other in pairs, and what limited the run."""
    shown = [plot for plot in plots(summary) if plot.title.startswith(SHOWN)]
    high = HEIGHT + 3 * LEGEND
    rows = -(-len(shown) // 2)
    width, height = 2 * WIDTH, rows * high + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f"aria-label={quoteattr('plots of a report')}>",
        f"<style>{STYLE} text {{ font: 13px system-ui, sans-serif; fill: currentColor; }}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for n, one in enumerate(summary.limits[:2]):
        text = f"{one.what}: {one.why}"
        parts.append(
            f'<text x="20" y="{28 + 20 * n}">{text.replace("&", "&amp;").replace("<", "&lt;")}</text>'
        )
    for n, plot in enumerate(shown):
        x, y = n % 2 * WIDTH, 70 + n // 2 * high
        size = f'x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT + -(-len(plot.lines) // 3) * LEGEND}"'
        parts.append(plot.svg().replace("<svg ", f"<svg {size} ", 1))
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()
