"""Interrupt moderation as ethtool -c and -C set it (ice_set_coalesce)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from errno import EINVAL, EOPNOTSUPP
from typing import Protocol

from siov.host.linux import LinuxError

ITR_MAX, ITR_GRAN = 8160, 2  # microseconds
INTRL_MAX, INTRL_GRAN = 236, 4
ITR_DEFAULT = 50
RX_ITR, TX_ITR = 0, 1

# What ethtool knows by these names and ice does not do: the names are those of its command line.
UNSUPPORTED = (
    "stats-block-usecs", "sample-interval", "pkt-rate-low", "pkt-rate-high", "rx-frames", "rx-usecs-irq",
    "rx-frames-irq", "tx-frames", "tx-usecs-irq", "tx-frames-irq", "rx-usecs-low", "rx-frames-low",
    "tx-usecs-low", "tx-frames-low", "rx-frames-high", "tx-usecs-high", "tx-frames-high", "cqe-mode-rx",
    "cqe-mode-tx",
)  # fmt: skip


class Moderated(Protocol):
    """A vector whose interrupts can be held back (irq.IceVector)."""

    def set_itr(self, timer: int, microseconds: int) -> None:
        """Least time between interrupts of a timer's causes."""

    def set_rate(self, microseconds: int) -> None:
        """Least time between any two interrupts; 0: no limit."""


@dataclass(slots=True, frozen=True)
class CoalesceParams:
    """Microseconds between interrupts: of receive causes, of transmit causes, of any (INTRL; 0: no limit)."""

    rx_usecs: int = ITR_DEFAULT
    tx_usecs: int = ITR_DEFAULT
    rx_usecs_high: int = 0


@dataclass(slots=True)
class Coalesce:
    """Moderation of an interface's vectors, all alike; `vectors` is None where a guest has them.

    What is set is kept, and `apply` writes it again after a reset.
    """

    vectors: Callable[[], Iterable[Moderated]] | None
    params: CoalesceParams = CoalesceParams()

    def set(self, asked: dict[str, str]) -> list[str]:
        """Change what `ethtool -C` names; gives what dmesg says about values that were rounded.

        EINVAL for a value out of its range or a name that is none, EOPNOTSUPP for one that ice can't do.
        """
        if self.vectors is None:
            raise LinuxError(EOPNOTSUPP, "the guest's driver sets its vectors' moderation, not the host")
        new = self.params
        notes: list[str] = []
        for name, value in asked.items():
            if name in UNSUPPORTED:
                raise LinuxError(EOPNOTSUPP, f"ice does not support {name}")
            if name in ("adaptive-rx", "adaptive-tx"):
                if value not in ("on", "off"):
                    raise LinuxError(EINVAL, f"{name} is on or off, not {value}")
                if value == "on":
                    raise LinuxError(EOPNOTSUPP, f"{name}: moderation does not adapt itself here; set usecs")
                continue
            number = _number(name, value)
            if name in ("rx-usecs", "tx-usecs"):
                new = replace(new, **{name.replace("-", "_"): _itr(name, number, notes)})
            elif name == "rx-usecs-high":
                new = replace(new, rx_usecs_high=_intrl(number, notes))
            else:
                raise LinuxError(EINVAL, f"coalesce parameter {name} is not known to ethtool")
        self._write(new)
        self.params = new
        return notes

    def apply(self) -> None:
        """Write what is set to all vectors."""
        self._write(self.params)

    def _write(self, params: CoalesceParams) -> None:
        for vector in self.vectors() if self.vectors is not None else ():
            vector.set_itr(RX_ITR, params.rx_usecs)
            vector.set_itr(TX_ITR, params.tx_usecs)
            vector.set_rate(params.rx_usecs_high)


def _number(name: str, value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise LinuxError(EINVAL, f"{name} takes a number, not {value}") from None


def _itr(name: str, usecs: int, notes: list[str]) -> int:
    if not 0 <= usecs <= ITR_MAX:
        raise LinuxError(EINVAL, f"Invalid value, {name} range is 0-{ITR_MAX}")
    even = usecs - usecs % ITR_GRAN
    if even != usecs:
        notes.append(
            f"User set {name} to {usecs}, device only supports even values. "
            f"Rounding down and attempting to set {name} to {even}"
        )
    return even


def _intrl(usecs: int, notes: list[str]) -> int:
    if not 0 <= usecs <= INTRL_MAX or 0 < usecs < INTRL_GRAN:
        raise LinuxError(
            EINVAL, f"Invalid value, rx-usecs-high valid values are 0 (disabled), {INTRL_GRAN}-{INTRL_MAX}"
        )
    whole = usecs - usecs % INTRL_GRAN
    if whole != usecs:
        notes.append(f"rx-usecs-high {usecs} is rounded down to {whole}, a multiple of {INTRL_GRAN}")
    return whole


def render(name: str, params: CoalesceParams) -> str:
    """What `ethtool -c` prints."""
    have = {
        "rx-usecs": params.rx_usecs,
        "tx-usecs": params.tx_usecs,
        "rx-usecs-high": params.rx_usecs_high,
    }
    blocks = (
        ("stats-block-usecs", "sample-interval", "pkt-rate-low", "pkt-rate-high"),
        ("rx-usecs", "rx-frames", "rx-usecs-irq", "rx-frames-irq"),
        ("tx-usecs", "tx-frames", "tx-usecs-irq", "tx-frames-irq"),
        ("rx-usecs-low", "rx-frame-low", "tx-usecs-low", "tx-frame-low"),
        ("rx-usecs-high", "rx-frame-high", "tx-usecs-high", "tx-frame-high"),
    )
    lines = [f"Coalesce parameters for {name}:", "Adaptive RX: off  TX: off"]
    for block in blocks:
        lines += [f"{what}: {have.get(what, 'n/a')}" for what in block] + [""]
    return "\n".join([*lines, "CQE mode RX: n/a  TX: n/a", "", ""])
