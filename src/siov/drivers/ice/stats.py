"""Statistics that go on where hardware's counters go round (ice_update_eth_stats, ice_update_pf_stats)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from siov.drivers.ice.access import Registers
from siov.spec.e810 import Statistics
from siov.spec.virtchnl import EthStats

# Which register counts what of a VSI, by the names of GET_STATS; E810 counts no rx_unknown_protocol and
# no tx_discards.
VSI_COUNTERS = {
    "rx_bytes": "GLV_GORC",
    "rx_unicast": "GLV_UPRC",
    "rx_multicast": "GLV_MPRC",
    "rx_broadcast": "GLV_BPRC",
    "rx_discards": "GLV_RDPC",
    "tx_bytes": "GLV_GOTC",
    "tx_unicast": "GLV_UPTC",
    "tx_multicast": "GLV_MPTC",
    "tx_broadcast": "GLV_BPTC",
    "tx_errors": "GLV_TEPC",
}
SIZES = (64, 127, 255, 511, 1023, 1522)

# Which register counts what of a port, by the names of ice's `ethtool -S` without their ".nic".
PORT_COUNTERS = {
    "rx_bytes": "GLPRT_GORC",
    "tx_bytes": "GLPRT_GOTC",
    "rx_unicast": "GLPRT_UPRC",
    "tx_unicast": "GLPRT_UPTC",
    "rx_multicast": "GLPRT_MPRC",
    "tx_multicast": "GLPRT_MPTC",
    "rx_broadcast": "GLPRT_BPRC",
    "tx_broadcast": "GLPRT_BPTC",
    **{f"{way}_size_{n}": f"GLPRT_P{way[0].upper()}C{n}" for n in SIZES for way in ("rx", "tx")},
    "rx_size_big": "GLPRT_PRC9522",
    "tx_size_big": "GLPRT_PTC9522",
    "link_xon_rx": "GLPRT_LXONRXC",
    "link_xon_tx": "GLPRT_LXONTXC",
    "link_xoff_rx": "GLPRT_LXOFFRXC",
    "link_xoff_tx": "GLPRT_LXOFFTXC",
    "tx_dropped_link_down": "GLPRT_TDOLD",
    "rx_undersize": "GLPRT_RUC",
    "rx_fragments": "GLPRT_RFC",
    "rx_oversize": "GLPRT_ROC",
    "rx_jabber": "GLPRT_RJC",
    "rx_dropped": "PRTRPB_RDPC",
    "rx_crc_errors": "GLPRT_CRCERRS",
    "illegal_bytes": "GLPRT_ILLERRC",
    "mac_local_faults": "GLPRT_MLFC",
    "mac_remote_faults": "GLPRT_MRFC",
}


def width_of(register: str) -> int:
    """The bits of a counter: 40 or 32."""
    return Statistics.spans[register].what.CNT.width  # type: ignore[union-attr,no-any-return]


@dataclass(slots=True)
class Counter:
    """A counter of hardware, added up since `reset` (ice_stat_update40, ice_stat_update32)."""

    register: str
    index: int
    total: int = 0
    last: int | None = None

    def update(self, hw: Registers) -> None:
        """Look at it: what it has grown by, which is less than once round, is added.

        It must be looked at before it has gone round twice.
        """
        bits = width_of(self.register)
        now = (hw.rd64 if bits > 32 else hw.rd)(self.register, self.index)
        if self.last is not None:
            self.total += (now - self.last) % (1 << bits)
        self.last = now


@dataclass(slots=True)
class Counters:
    """Counters by name. What they were at when first looked at is no part of the totals."""

    hw: Registers
    registers: Mapping[str, str]
    index: int
    counters: dict[str, Counter] = field(init=False)

    def __post_init__(self) -> None:
        self.counters = {name: Counter(register, self.index) for name, register in self.registers.items()}
        self.update()

    def update(self) -> None:
        """Look at all of them."""
        for counter in self.counters.values():
            counter.update(self.hw)

    def rebase(self) -> None:
        """Hardware's counters started anew, by a reset: totals stay, and go on from there."""
        for counter in self.counters.values():
            counter.last = None
        self.update()

    def totals(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """The totals as of now, all or those that are named."""
        self.update()
        return {name: self.counters[name].total for name in (names or self.counters)}


@dataclass(slots=True)
class VsiStats:
    """A VSI's counters, zero when this is made."""

    hw: Registers
    vsi: int
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        self.counters = Counters(self.hw, VSI_COUNTERS, self.vsi)

    def read(self) -> EthStats:
        """The counters as of now; those that there is no register for are 0."""
        return EthStats.of(**self.counters.totals())

    def rebase(self) -> None:
        """After a reset that cleared hardware's counters."""
        self.counters.rebase()


@dataclass(slots=True)
class PortStats:
    """A port's counters, zero when this is made."""

    hw: Registers
    port: int = 0
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        self.counters = Counters(self.hw, PORT_COUNTERS, self.port)

    def read(self) -> dict[str, int]:
        """The counters as of now, by ice's names without ".nic"."""
        return self.counters.totals()

    def rebase(self) -> None:
        """After a reset that cleared hardware's counters."""
        self.counters.rebase()
