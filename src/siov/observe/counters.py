"""Every number of an inspect tree by its path, what changed between two looks, what that means in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from siov.spec.vtd import FaultReason


def flatten(tree: object, path: str = "") -> Iterator[tuple[str, int]]:
    """The numbers of a tree with their paths; an element of a list goes by its name, if it has one."""
    if isinstance(tree, bool):
        return
    if isinstance(tree, int):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flatten(value, _below(path, str(key)))
    elif isinstance(tree, Sequence) and not isinstance(tree, str | bytes | bytearray):
        for n, value in enumerate(tree):
            name = value.get("name") if isinstance(value, Mapping) else None
            yield from flatten(value, _below(path, name if isinstance(name, str) else str(n)))


def _below(path: str, step: str) -> str:
    return f"{path}/{step}" if path else step


@dataclass(slots=True, frozen=True)
class Snapshot:
    """The numbers at one moment; `time` in nanoseconds of the clock."""

    values: Mapping[str, int]
    time: int = 0

    @classmethod
    def of(cls, tree: object, time: int = 0) -> Snapshot:
        """The numbers of an inspect tree."""
        return cls(MappingProxyType(dict(flatten(tree))), time)

    def since(self, before: Snapshot) -> dict[str, int]:
        """What each number has gained (or lost) since another look, where it has.

        One that was not there counts from 0; one that is gone is left out.
        """
        gained = ((path, now - before.values.get(path, 0)) for path, now in self.values.items())
        return {path: change for path, change in gained if change}


@dataclass(slots=True, frozen=True)
class Meaning:
    """What a number counts: those whose path ends in `counter`, below something that matches `within`."""

    topic: str
    counter: str
    what: str
    why: str = ""
    within: str = "*"


@dataclass(slots=True, frozen=True)
class Row:
    """One line of what happened: how often what, where, and why."""

    topic: str
    where: str
    what: str
    count: int
    why: str = ""


SENT, DROPPED, REFUSED, INTERRUPTS, MESSAGES, TRANSLATION = (
    "frames",
    "drops",
    "faults",
    "interrupts",
    "messages",
    "translation",
)
TOPICS = (SENT, DROPPED, REFUSED, INTERRUPTS, MESSAGES, TRANSLATION)


def _drop(counter: str, why: str, within: str, what: str = "frames dropped") -> Meaning:
    return Meaning(DROPPED, counter, what, why, within)


_VSI, _SWITCH, _PORT, _IOMMU = "*vsis/*", "*dropped", "*counters", "*iommu*"
_GLPRT = "*engine/ports/*counters"  # the adapter's side of a port; what it is plugged into counts the same

MEANINGS: tuple[Meaning, ...] = (
    Meaning(SENT, "tx_frames", "frames sent", within=_VSI),
    Meaning(SENT, "tx_bytes", "bytes sent", within=_VSI),
    Meaning(SENT, "rx_frames", "frames received", within=_VSI),
    Meaning(SENT, "rx_bytes", "bytes received", within=_VSI),
    Meaning(SENT, "sent", "frames sent", within=_GLPRT),
    Meaning(SENT, "received", "frames received", within=_GLPRT),
    _drop("rx_no_desc", "no receive buffer was posted, or the queue is not enabled (GLV_RDPC)", _VSI),
    _drop("rx_errors", "longer than the receiving queue takes (GLV_REPC)", _VSI),
    _drop("rx_filtered", "a flow director filter drops them", _VSI),
    _drop("tx_errors", "the sender may not send like this, or has broken a rule (GLV_TEPC)", _VSI),
    _drop("no_source", "the sender is no VSI of the switch, or is switched off", _SWITCH),
    _drop("anti_spoof", "the source address is none of the sender's (MAC anti-spoof)", _SWITCH),
    _drop("tx_vlan_prune", "the sender is no member of the frame's VLAN", _SWITCH),
    _drop("override", "the sender may not name a destination of its own (ALLOW_DEST_OVRD)", _SWITCH),
    _drop("rule", "a switch rule says so", _SWITCH),
    _drop("source_prune", "it came back to the VSI that had sent it", _SWITCH),
    _drop("rx_vlan_prune", "the receiver is no member of the frame's VLAN", _SWITCH),
    _drop("lan_disabled", "the only way was the port, and the sender may not use it (LAN_ENA)", _SWITCH),
    _drop("no_destination", "no rule and no default VSI takes the address", _SWITCH),
    _drop("dropped_link_down", "the link was down, or nobody was on the other side", _PORT),
    _drop("dropped_overflow", "the other side reads too slowly", _PORT),
    _drop("dropped_length", "no length that a frame has", _PORT),
    _drop("dropped_malformed", "the other side sent what can't be a frame", _PORT),
    _drop("dropped_os", "the system refused it", _PORT),
    _drop("dropped_limit", "the capture has reached its limit", _PORT),
    _drop("dropped_filtered", "its station is on the port that it came from", _PORT),
    Meaning(REFUSED, "overflows", "faults not recorded", "no fault record was free", _IOMMU),
    Meaning(
        INTERRUPTS, "spurious", "interrupts without a handler", "nobody has asked for the vector", "*irq"
    ),
    Meaning(INTERRUPTS, "interrupts", "interrupts of the adapter", within="*engine/interrupts"),
    Meaning(
        INTERRUPTS,
        "delayed",
        "interrupts held back",
        "ITR or INTRL did not allow them yet",
        "*engine/interrupts",
    ),
    Meaning(INTERRUPTS, "lost", "interrupts lost", "too many vectors were pending", "*cpus"),
    Meaning(MESSAGES, "commands", "commands to firmware"),
    Meaning(MESSAGES, "failed", "commands refused", "firmware has said why, in the trace"),
    Meaning(MESSAGES, "received", "messages from VFs", within="*mailbox*"),
    Meaning(MESSAGES, "sent", "messages to VFs", within="*mailbox*"),
    Meaning(MESSAGES, "refused", "messages to VFs not delivered", "their mailbox is full or shut"),
    Meaning(MESSAGES, "unclaimed", "messages of nobody", "no driver has asked for them"),
    Meaning(TRANSLATION, "lookups", "device TLB look-ups", within="*atc"),
    Meaning(TRANSLATION, "hits", "device TLB hits", within="*atc"),
    Meaning(TRANSLATION, "requests", "translation requests", within="*atc"),
    Meaning(TRANSLATION, "invalidations", "device TLB invalidations", within="*atc"),
    Meaning(TRANSLATION, "iotlb_lookup", "IOTLB look-ups"),
    Meaning(TRANSLATION, "iotlb_hit", "IOTLB hits"),
    Meaning(TRANSLATION, "iommu_mrds", "memory reads of page walks"),
)

_FAULTS: Mapping[str, FaultReason] = MappingProxyType({reason.name: reason for reason in FaultReason})
# What leads to every number of its kind, and says nothing.
_SILENT = frozenset(
    (
        *("hw", "host", "pcie", "bus", "engine", "firmware", "adminq", "atc", "counts", "counters"),
        *("dropped", "ports", "interrupts"),
    )
)


def explain(changes: Mapping[str, int], meanings: Iterable[Meaning] = MEANINGS) -> list[Row]:
    """What the changes mean, by topic; what only a programmer would want to know is left out."""
    by_counter: dict[str, list[Meaning]] = {}
    for meaning in meanings:
        by_counter.setdefault(meaning.counter, []).append(meaning)
    rows = []
    for path, count in changes.items():
        above, _, counter = path.rpartition("/")
        fault = _FAULTS.get(counter) if above.endswith("faults/counts") else None
        if fault is not None:
            why = (fault.__doc__ or "").strip().rstrip(".")
            rows.append(Row(REFUSED, where(above), f"requests refused ({counter})", count, why))
        elif above.endswith("irq/counts"):
            rows.append(Row(INTERRUPTS, counter, "interrupts handled", count))
        else:
            rows += [
                Row(meaning.topic, where(above), meaning.what, count, meaning.why)
                for meaning in by_counter.get(counter, ())
                if fnmatchcase(above, meaning.within)
            ]
    return sorted(rows, key=lambda row: TOPICS.index(row.topic))


def where(path: str) -> str:
    """A path without what leads to every number of its kind, such as the ports above: `nic0/vsi5`."""
    _, _, path = f"/{path}".rpartition("/below/")
    steps = [step for step in path.split("/") if step and step not in _SILENT]
    return "/".join(steps).replace("vsis/", "vsi") or "server"


def table(rows: Sequence[Row], keep: Callable[[Row], bool] = lambda row: True) -> str:
    """Rows under a head with their columns below each other; one sentence when there is none."""
    shown = [row for row in rows if keep(row)]
    if not shown:
        return "nothing has happened"
    cells = [("", "where", "what", "count", "why")]
    topic = ""
    for row in shown:
        cells.append(
            ("" if row.topic == topic else row.topic, row.where, row.what, f"{row.count:,}", row.why)
        )
        topic = row.topic
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [
            text.rjust(width) if n == 3 else text.ljust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
