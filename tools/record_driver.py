"""Make the replayer's copy of a recorded vfio-user dialogue: `record_driver.py TRACE.xz OUT.xz`.

TRACE is a log of one line per message, as `TIME C>S|S>C REQ|REP id=N OPERATION … | key=value …`.
OUT has a line for each access of the driver's side, in order: `R` or `W`, region, offset, size, data (what
the recorded device answered, or what was written), and how often in a row; `I START COUNT` for eventfds of
MSI-X; `Z` for a reset. All but the counts are hexadecimal; data are in the order of memory.
"""

import lzma
import re
import sys
from itertools import groupby
from pathlib import Path

MESSAGE = re.compile(r"\s*[\d.]+ (C>S REQ|S>C REP) id=(\d+) (\w+) .*? \| ?(.*)$")


def accesses(trace: str) -> list[str]:
    """The driver's accesses; each read has the answer that the recorded device gave."""
    answers: dict[str, str] = {}
    requests: list[tuple[str, str, dict[str, str]]] = []
    for line in trace.splitlines():
        match = MESSAGE.match(line)
        if match is None:
            raise SystemExit(f"not a message: {line[:80]}")
        way, number, operation, rest = match.groups()
        values = dict(re.findall(r"(\w+)=(\S+)", rest))
        if way.endswith("REQ"):
            requests.append((number, operation, values))
        elif operation == "REGION_READ":
            answers[number] = values["data"].rstrip(".")
    found = []
    for number, operation, values in requests:
        if operation in ("REGION_READ", "REGION_WRITE"):
            read = operation == "REGION_READ"
            data = answers[number] if read else values["data"]
            where = f"{values['region']} {int(values['off'], 16):x} {int(values['count']):x}"
            found.append(f"{'R' if read else 'W'} {where} {data}")
        elif operation == "SET_IRQS":
            found.append(f"I {values['start']} {values['count']}")
        elif operation == "RESET":
            found.append("Z")
    return found


def main(trace: str, out: str) -> None:
    """Write the copy."""
    lines = accesses(lzma.decompress(Path(trace).read_bytes()).decode())
    runs = ((line, len(list(run))) for line, run in groupby(lines))
    text = "".join(f"{line} {n}\n" if line[0] in "RW" else f"{line}\n" * n for line, n in runs)
    Path(out).write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main(*sys.argv[1:])
