"""The configuration space that VDCM composes for a virtual device (ice_vdcm_cfg_init)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from siov.spec import vdev as spec
from siov.spec.pcie import BarType, CapabilityId, Express, ExpressType, MemoryBar, Msix, Type0
from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.word import Access, RegisterBlock, Word

# A register as the register file takes it: name, offset, size, reset value, RW, RW1C and sticky masks.
Row = tuple[str, int, int, int, int, int, int]

SIOV_SPACE, AVF_SPACE = 0x100, 0x1000  # bytes of the configuration spaces
LINK_SPEED, LINK_WIDTH, LINK_SPEEDS = 4, 16, 0b1111  # 16 GT/s on 16 lanes: the adapter's own link


@dataclass(slots=True, frozen=True)
class Personality:
    """Which device a guest sees: `name` begins its mdev types, `pages` says whether BAR 0 has any to map."""

    name: str
    device: int
    bar0_size: int
    config_size: int
    pages: bool

    @property
    def function_reset(self) -> bool:
        """Whether its configuration space offers function-level resets."""
        return not self.pages


SIOV = Personality("vdcm", spec.SIOV_DEVICE, spec.SIOV_BAR0, SIOV_SPACE, pages=True)
AVF = Personality("avf", spec.AVF_DEVICE, spec.AVF_BAR0, AVF_SPACE, pages=False)


@cache
def compose_config(personality: Personality, vectors: int) -> tuple[Row, ...]:
    """All registers of the configuration space of a virtual device with so many MSI-X vectors."""
    rows = [*_header(personality)]
    rows += _verbatim(vectors) if personality.pages else _linked(vectors)
    return tuple(rows)


def _header(personality: Personality) -> Iterator[Row]:
    """The header, with the write masks of VDCM's table of bytes."""
    bar0 = ~(personality.bar0_size - 1) & 0xFFFF_FFFF
    msix = ~(spec.MSIX_BAR_SIZE - 1) & 0xFFFF_FFFF
    memory = MemoryBar.of(TYPE=BarType.BITS64, PREFETCH=1).raw
    values = {
        "VENDOR_ID": spec.VENDOR,
        "DEVICE_ID": personality.device,
        "STATUS": Type0.STATUS.of(CAP=1).raw,
        "CLASS_CODE": spec.CLASS,
        "BAR0": memory,
        "BAR3": memory,
        "SUBSYSTEM_VENDOR_ID": spec.VENDOR,
        "CAP_PTR": spec.MSIX_CAPABILITY,
    }
    masks = {
        "COMMAND": 0x07FF,
        "CACHE_LINE_SIZE": 0xFF,
        "BAR0": bar0,
        "BAR1": 0xFFFF_FFFF,
        "BAR3": msix,
        # VDCM's table masks the upper half of BAR 3 as if it were a lower half.
        "BAR4": 0xFFFF_FFF0 if personality.pages else 0xFFFF_FFFF,
        "INT_LINE": 0xFF,
    }
    for name, word, at in _words(Type0):
        clears = 0xF900 if name == "STATUS" else 0
        yield name, at, word.width // 8, values.get(name, 0), masks.get(name, 0), clears, 0


def _verbatim(vectors: int) -> Iterator[Row]:
    """What lies behind the header of 8086:0DD5: writes are stored as they come, wherever they go.

    The PCI Express capability is there, but MSI-X does not lead to it.
    """
    values = _msix(vectors, following=0) | {
        "Express.HEADER": CapabilityHeader.of(ID=CapabilityId.EXPRESS).raw,
        "Express.PCIECAP": Express.PCIECAP.of(VERSION=2, TYPE=ExpressType.RCIEP).raw,
        "Express.DEVCAP2": 0x0070_0010,
    }
    free = Type0.size
    for name, size, at in _capabilities():
        yield from _fill(free, at)
        yield name, at, size, values.get(name, 0), (1 << size * 8) - 1, 0, 0
        free = at + size
    yield from _fill(free, SIOV_SPACE)


def _linked(vectors: int) -> Iterator[Row]:
    """What lies behind the header of 8086:1889: an endpoint with MSI-X and function-level resets."""
    values = _msix(vectors, following=spec.EXPRESS_CAPABILITY) | {
        "Express.HEADER": CapabilityHeader.of(ID=CapabilityId.EXPRESS).raw,
        "Express.PCIECAP": Express.PCIECAP.of(VERSION=2, TYPE=ExpressType.ENDPOINT).raw,
        "Express.DEVCAP": Express.DEVCAP.initial().replace(FLRC=1).raw,
        "Express.DEVCTL": Express.DEVCTL.initial().raw,
        "Express.LNKCAP": Express.LNKCAP.of(MLS=LINK_SPEED, MLW=LINK_WIDTH, ASPMOC=1).raw,
        "Express.LNKSTA": Express.LNKSTA.of(CLS=LINK_SPEED, NLW=LINK_WIDTH, SCC=1).raw,
        "Express.DEVCAP2": Express.DEVCAP2.of(CTRS=0xF, CTDS=1).raw,
        "Express.LNKCAP2": Express.LNKCAP2.of(SLSV=LINK_SPEEDS).raw,
    }
    # The link is the adapter's: a virtual device can't change it.
    masks = {
        "Msix.CONTROL": Msix.CONTROL.mask(Access.RW),
        "Express.DEVCTL": Express.DEVCTL.mask(Access.RW),
        "Express.DEVCTL2": Express.DEVCTL2.mask(Access.RW),
    }
    clears = {"Express.DEVSTA": Express.DEVSTA.mask(Access.RW1C)}
    for name, size, at in _capabilities():
        yield name, at, size, values.get(name, 0), masks.get(name, 0), clears.get(name, 0), 0


def _msix(vectors: int, following: int) -> dict[str, int]:
    return {
        "Msix.HEADER": CapabilityHeader.of(ID=CapabilityId.MSIX, NEXT=following).raw,
        "Msix.CONTROL": Msix.CONTROL.of(SIZE=vectors - 1).raw,
        "Msix.TABLE": Msix.TABLE.of(BIR=spec.MSIX_BAR, OFFSET=spec.MSIX_TABLE >> 3).raw,
        "Msix.PBA": Msix.PBA.of(BIR=spec.MSIX_BAR, OFFSET=spec.MSIX_PBA >> 3).raw,
    }


def _capabilities() -> Iterator[tuple[str, int, int]]:
    """Name, bytes and offset of each register of the two capabilities."""
    for block, base in ((Msix, spec.MSIX_CAPABILITY), (Express, spec.EXPRESS_CAPABILITY)):
        for name, word, at in _words(block):
            yield f"{block.__name__}.{name}", word.width // 8, base + at


def _fill(start: int, end: int) -> Iterator[Row]:
    """Double words, or what is left of one, that no register has: they keep what is written."""
    at = start
    while at < end:
        size = min(4 - at % 4, end - at)
        yield f"KEPT_{at:02X}", at, size, 0, (1 << size * 8) - 1, 0, 0
        at += size


def _words(block: type[RegisterBlock]) -> Iterator[tuple[str, type[Word], int]]:
    for name, span in block.spans.items():
        assert issubclass(span.what, Word), f"{block.__name__}.{name} is a register"
        for n, at in enumerate(span.offsets()):
            yield f"{name}{n}" if span.count > 1 else name, span.what, at
