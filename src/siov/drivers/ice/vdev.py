"""How a virtual device is laid out: what of its BAR 0 is trapped, and which pages are the adapter's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from siov.drivers.ice.config import Personality, Row, compose_config
from siov.spec.e810.counts import PAGE
from siov.spec.e810.interrupts import Vector
from siov.spec.vdev import MSIX_BAR_SIZE, TIMED_VECTORS, AvfBar0, Trapped, VdevBar0
from siov.spec.word import RW, Word

if TYPE_CHECKING:
    from siov.drivers.ice.vsi import Vsi

# A register of the mailbox in the trapped BAR 0, and in the adapter's page of the VSI.
MAILBOX: Mapping[type[Word], str] = {
    VdevBar0.VF_ATQBAL1: "ATQBAL",
    VdevBar0.VF_ATQBAH1: "ATQBAH",
    VdevBar0.VF_ATQLEN1: "ATQLEN",
    VdevBar0.VF_ATQH1: "ATQH",
    VdevBar0.VF_ATQT1: "ATQT",
    VdevBar0.VF_ARQBAL1: "ARQBAL",
    VdevBar0.VF_ARQBAH1: "ARQBAH",
    VdevBar0.VF_ARQLEN1: "ARQLEN",
    VdevBar0.VF_ARQH1: "ARQH",
    VdevBar0.VF_ARQT1: "ARQT",
}
# Beside the tails there are the timers of vectors in them.
TAIL_PAGES = (Trapped.QTX_TAIL1.at, Trapped.QRX_TAIL1.at)
TIMERS = (Vector.ITR0, Vector.ITR1, Vector.ITR2)
ICR01 = AvfBar0.VFINT_ICR01.at
MESSAGE = AvfBar0.VFINT_ICR01.of(INTEVENT=1, ADMINQ=1).raw  # the causes of vector 0 when a message comes

# As siov._core.Vdev takes them; see there.
Trap: TypeAlias = (
    tuple[str, int, int, int, int | None, int | None, int]
    | tuple[str, int, int]
    | tuple[str, int, int, int, int, int, bool, bool]
)


@dataclass(slots=True, frozen=True)
class VdevLayout:
    """What a virtual device is made of.

    `config` are the registers of its configuration space. `pages` are those of BAR 0 that can be mapped, by
    offset, with the physical address of each; their order is that of VFIO's sparse areas. `msix` is the size
    of BAR 3 and the vectors of its table, where the device itself keeps that; else the VMM does.
    `doorbells` are the pages of BAR 0 with the queues' tails, by offset: nothing in them acts on each write,
    so memory can stand in for them.
    """

    config: tuple[Row, ...]
    config_size: int
    bar0_size: int
    traps: tuple[Trap, ...]
    pages: Mapping[int, int]
    doorbells: tuple[int, ...]
    msix: tuple[int, int] | None
    function_reset: bool


class ComposedVdev(Protocol):
    """The mechanism of a virtual device (siov._core.Vdev)."""

    @property
    def state(self) -> str:
        """`active`, `resetting` or `disabled`."""

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """As the guest reads."""

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """As the guest writes."""

    def set_state(self, state: str) -> None:
        """Change the state; no access by the old one is under way then."""

    def shadow(self, at: int) -> int:
        """A register that is kept."""

    def or_shadow(self, at: int, bits: int) -> None:
        """Set bits of one."""

    def take_notices(self) -> tuple[bool, list[tuple[int, int]]]:
        """Whether a function-level reset was asked for, and which kept registers were written."""

    def reset(self) -> None:
        """Kept registers as they were made."""

    def reset_config(self) -> None:
        """The configuration space as it was made."""

    def inspect(self) -> dict[str, object]:
        """Its state and counts."""


# Makes the mechanism; the second is the (cpu, vector) that is to be raised when it has notices.
Compose = Callable[[VdevLayout, tuple[int, int]], ComposedVdev]


def compose_layout(personality: Personality, vsi: Vsi) -> VdevLayout:
    """The layout of a virtual device behind which is this VSI."""
    vectors = len(vsi.vectors)
    traps = list(_trapped(vsi))
    if not personality.pages:
        traps += _adaptive(vsi)
    return VdevLayout(
        config=compose_config(personality, vectors),
        config_size=personality.config_size,
        bar0_size=personality.bar0_size,
        traps=tuple(traps),
        pages=dict(_pages(vsi)) if personality.pages else {},
        doorbells=tuple(_tail_pages(vsi) if personality.pages else TAIL_PAGES),
        msix=None if personality.pages else (MSIX_BAR_SIZE, vectors),
        function_reset=personality.function_reset,
    )


def _trapped(vsi: Vsi) -> Iterator[Trap]:
    """Registers that both personalities have."""
    hw = vsi.pf.hw
    bar0 = VdevBar0
    yield "rstat", bar0.VFGEN_RSTAT.at, hw.address("VSIGEN_RSTAT", vsi.num)
    for word, name in MAILBOX.items():
        address = hw.address(f"VSI_MBX_{name}", vsi.num)
        yield _forward(word.at, address)
    for q, queue in enumerate(vsi.txq):
        yield _forward(_at(bar0.QTX_TAIL1, q), None, hw.address("QTX_COMM_DBELL_PAGE", queue))
    for q, queue in enumerate(vsi.rxq):
        yield _forward(_at(bar0.QRX_TAIL1, q), None, hw.address("QRX_TAIL_PAGE", queue))
    page = _vector_page(vsi, 0)
    yield _forward(bar0.VFINT_DYN_CTL01.at, page + Vector.DYN_CTL.at)
    for i, timer in enumerate(TIMERS):
        yield _forward(_at(bar0.VFINT_ITR01, i), page + timer.at)
    for n in range(min(len(vsi.vectors) - 1, bar0.VFINT_DYN_CTLN1.count)):
        yield _forward(_at(bar0.VFINT_DYN_CTLN1, n), _vector_page(vsi, n + 1) + Vector.DYN_CTL.at)


def _adaptive(vsi: Vsi) -> Iterator[Trap]:
    """Registers of the adaptive virtual function that ice's VDCM left out, and unmodified drivers use."""
    bar0 = AvfBar0
    for n in range(min(len(vsi.vectors) - 1, TIMED_VECTORS)):
        for i, timer in enumerate(TIMERS):
            yield _forward(_at(bar0.VFINT_ITRN1, TIMED_VECTORS * i + n), _vector_page(vsi, n + 1) + timer.at)
    yield _kept(bar0.VFINT_ICR01, read_clears=True)
    yield _kept(bar0.VFINT_ICR0_ENA1)
    yield _kept(bar0.VFINT_STAT_CTL01)
    for word in (bar0.VFQF_HENA, bar0.VFQF_HKEY, bar0.VFQF_HLUT):
        yield _kept(word, notify=True)


def _pages(vsi: Vsi) -> Iterator[tuple[int, int]]:
    """Pages by offset in BAR 0, in the order in which VDCM lists them, with their physical addresses."""
    hw, spans = vsi.pf.hw, VdevBar0.spans
    yield spans["VDEV_MBX"].at, hw.address("VSI_MBX_ATQBAL", vsi.num)
    rx = [hw.address("QRX_TAIL_PAGE", queue) for queue in vsi.rxq]
    tx = [hw.address("QTX_COMM_DBELL_PAGE", queue) for queue in vsi.txq]
    yield from zip(_tail_pages(vsi), rx + tx, strict=True)
    yield spans["VDEV_INT_CTL01"].at, _vector_page(vsi, 0)
    for n in range(len(vsi.vectors) - 1):
        yield spans["VDEV_INT_CTL"].at + PAGE * n, _vector_page(vsi, n + 1)


def _tail_pages(vsi: Vsi) -> list[int]:
    """The pages of the tails by offset in BAR 0, those of receive queues first."""
    rx, tx = VdevBar0.VDEV_QRX_TAIL, VdevBar0.VDEV_QTX_TAIL
    return [_at(rx, q) for q in range(len(vsi.rxq))] + [_at(tx, q) for q in range(len(vsi.txq))]


def _vector_page(vsi: Vsi, n: int) -> int:
    return vsi.pf.hw.io.base + vsi.vectors[n].page


def _at(word: type[Word], index: int) -> int:
    return word.at + word.stride * index


def _forward(at: int, read: int | None, write: int | None = None) -> Trap:
    """A double word that goes to a register: readable and writable, or only written."""
    return "forward", at, 1, 4, read, read if write is None else write, 0


def _kept(word: type[Word], *, read_clears: bool = False, notify: bool = False) -> Trap:
    reset, mask = word.initial().raw, word.mask(RW)
    return "shadow", word.at, word.count, word.stride, reset, mask, read_clears, notify
