"""ethtool on the function's interface and on virtual devices, in ethtool's own words (ice_ethtool.c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL, EOPNOTSUPP
from typing import Protocol

from siov.drivers.ice.ethtool_coalesce import Coalesce
from siov.drivers.ice.ethtool_coalesce import render as render_coalesce
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.drivers.ice.stats import PORT_COUNTERS
from siov.host.linux import LinuxError
from siov.spec.virtchnl import EthStats

MIN_RING, RING_STEP = 64, 32
MAX_RING, MAX_VF_RING = 8160, 4096  # descriptors: of ice, of iavf

# ice's names of a VSI's counters, in its order, and which of GET_STATS each is.
VSI_NAMES = {
    "rx_unicast": "rx_unicast",
    "tx_unicast": "tx_unicast",
    "rx_multicast": "rx_multicast",
    "tx_multicast": "tx_multicast",
    "rx_broadcast": "rx_broadcast",
    "tx_broadcast": "tx_broadcast",
    "rx_bytes": "rx_bytes",
    "tx_bytes": "tx_bytes",
    "rx_dropped": "rx_discards",
    "rx_unknown_protocol": "rx_unknown_protocol",
    "rx_alloc_fail": None,
    "rx_pg_alloc_fail": None,
    "tx_errors": "tx_errors",
    "tx_linearize": None,
    "tx_busy": None,
    "tx_restart": None,
}


@dataclass(slots=True, frozen=True)
class DrvInfo:
    """What `ethtool -i` says, and which other commands the driver supports."""

    driver: str
    version: str
    firmware_version: str
    bus_info: str
    statistics: bool = True
    test: bool = False
    eeprom_access: bool = False
    register_dump: bool = False
    priv_flags: bool = False


@dataclass(slots=True, frozen=True)
class RingParam:
    """Descriptors of a receive and a transmit ring, and the most of either."""

    rx: int
    tx: int
    most: int = MAX_RING


@dataclass(slots=True, frozen=True)
class QueueStats:
    """What an interface has counted at one of its queues."""

    packets: int = 0
    bytes: int = 0


class EthtoolOps(Protocol):
    """What an interface can tell and be told (struct ethtool_ops)."""

    @property
    def name(self) -> str:
        """The interface."""

    @property
    def coalesce(self) -> Coalesce:
        """Its interrupt moderation."""

    @property
    def ntuple(self) -> Ntuple | None:
        """Its flow rules; None when it can have none."""

    @property
    def rx_rings(self) -> int:
        """How many receive queues it has."""

    def get_drvinfo(self) -> DrvInfo:
        """Driver, versions, device."""

    def get_ringparam(self) -> RingParam:
        """Sizes of its rings."""

    def set_ringparam(self, rx: int, tx: int) -> None:
        """Other sizes; EOPNOTSUPP where they are not the host's to set."""

    def get_stats(self) -> Mapping[str, int]:
        """Its counters by the driver's names, in its order."""


def run(ops: EthtoolOps, words: Sequence[str]) -> str:
    """What `ethtool OPTION INTERFACE …` prints; `words` are the option and what is behind the interface.

    EINVAL for an option or words that ethtool would not take; else as the interface.
    """
    option, *rest = words or [""]
    if option in ("-i", "--driver"):
        return _driver(ops.get_drvinfo())
    if option in ("-g", "--show-ring"):
        return _rings(ops.name, ops.get_ringparam())
    if option in ("-G", "--set-ring"):
        _set_rings(ops, _pairs(rest))
        return ""
    if option in ("-S", "--statistics"):
        return _statistics(ops.get_stats())
    if option in ("-c", "--show-coalesce"):
        return render_coalesce(ops.name, ops.coalesce.params)
    if option in ("-C", "--coalesce"):
        ops.coalesce.set(_pairs(rest))
        return ""
    if option in ("-n", "-u", "--show-nfc", "--show-ntuple"):
        return _ntuple(ops).show(ops.rx_rings, rest)
    if option in ("-N", "-U", "--config-nfc", "--config-ntuple"):
        return _ntuple(ops).run(rest)
    raise LinuxError(EINVAL, f"ethtool {option}: there are -i, -g, -G, -S, -c, -C, -n and -N")


def pf_stats(
    vsi: EthStats,
    port: Mapping[str, int],
    *,
    tx: Sequence[QueueStats] = (),
    rx: Sequence[QueueStats] = (),
    tx_busy: int = 0,
    fdir: Ntuple | None = None,
) -> dict[str, int]:
    """A function's counters by the names of ice, in its order (ice_gstrings_vsi_stats and what follows)."""
    found = {name: getattr(vsi, source) if source else 0 for name, source in VSI_NAMES.items()}
    found["tx_busy"] = tx_busy
    for way, queues in (("tx", tx), ("rx", rx)):
        for n, queue in enumerate(queues):
            found |= {f"{way}_queue_{n}_packets": queue.packets, f"{way}_queue_{n}_bytes": queue.bytes}
    for name in PORT_COUNTERS:
        found[f"{name}.nic"] = port[name]
        if name == "tx_broadcast":
            found |= {"tx_errors.nic": vsi.tx_errors, "tx_timeout.nic": 0}
        if name == "rx_jabber":
            found["rx_csum_bad.nic"] = 0
    found |= {"fdir_sb_match.nic": fdir.matches() if fdir else 0, "fdir_sb_status.nic": int(fdir is not None)}
    return found


def vf_stats(
    vsi: EthStats, *, tx: Sequence[QueueStats] = (), rx: Sequence[QueueStats] = ()
) -> dict[str, int]:
    """A VF's counters by the names of iavf, in its order (iavf_gstrings_stats and what follows)."""
    found = {name: getattr(vsi, name) for name in EthStats.members}
    for way, queues in (("tx", tx), ("rx", rx)):
        for n, queue in enumerate(queues):
            found |= {f"{way}-{n}.packets": queue.packets, f"{way}-{n}.bytes": queue.bytes}
    return found


def _ntuple(ops: EthtoolOps) -> Ntuple:
    if ops.ntuple is None:
        raise LinuxError(EOPNOTSUPP, f"{ops.name} has no flow rules")
    return ops.ntuple


def _pairs(words: Sequence[str]) -> dict[str, str]:
    if not words or len(words) % 2:
        raise LinuxError(EINVAL, f"names and values are wanted, not {' '.join(words) or 'nothing'}")
    return dict(zip(words[::2], words[1::2], strict=True))


def _driver(info: DrvInfo) -> str:
    supports = ("statistics", "test", "eeprom_access", "register_dump", "priv_flags")
    lines = [
        f"driver: {info.driver}",
        f"version: {info.version}",
        f"firmware-version: {info.firmware_version}",
        "expansion-rom-version: ",
        f"bus-info: {info.bus_info}",
    ]
    lines += [f"supports-{n.replace('_', '-')}: {'yes' if getattr(info, n) else 'no'}" for n in supports]
    return "\n".join([*lines, ""])


def _rings(name: str, ring: RingParam) -> str:
    def block(rx: int, tx: int) -> str:
        return f"RX:\t\t{rx}\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t{tx}\n"

    return (
        f"Ring parameters for {name}:\nPre-set maximums:\n{block(ring.most, ring.most)}"
        f"Current hardware settings:\n{block(ring.rx, ring.tx)}"
        "RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n"
    )


def _set_rings(ops: EthtoolOps, asked: dict[str, str]) -> None:
    """Round up to what hardware takes, as ice does, and refuse what is out of range."""
    have = ops.get_ringparam()
    wanted = {"rx": have.rx, "tx": have.tx}
    for name, value in asked.items():
        if name not in wanted:
            known = name in ("rx-mini", "rx-jumbo", "rx-buf-len", "cqe-size", "tx-push")
            raise LinuxError(EOPNOTSUPP if known else EINVAL, f"ring parameter {name}: ice has rx and tx")
        if not value.isdecimal():
            raise LinuxError(EINVAL, f"{name} takes a number of descriptors, not {value}")
        count = int(value)
        if not MIN_RING <= count <= have.most:
            raise LinuxError(
                EINVAL,
                f"Descriptors requested ({name}: {count}) out of range [{MIN_RING}-{have.most}] "
                f"(increment {RING_STEP})",
            )
        wanted[name] = -(-count // RING_STEP) * RING_STEP
    if wanted != {"rx": have.rx, "tx": have.tx}:
        ops.set_ringparam(wanted["rx"], wanted["tx"])


def _statistics(counters: Mapping[str, int]) -> str:
    return "".join(["NIC statistics:\n", *(f"     {name}: {value}\n" for name, value in counters.items())])
