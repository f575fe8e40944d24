"""Configuration spaces that nobody would build."""

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from siov.host.lspci import Address, PciFunctionView
from siov.spec.pcie import CapabilityId, ExpressType, ExtendedCapabilityId, HeaderLayout

# What the listing names without taking it apart: equal under -v only.
UNDETAILED = {CapabilityId.AGP, CapabilityId.PCIX, CapabilityId.HT, CapabilityId.EA}
UNDETAILED_EXTENDED = {
    ExtendedCapabilityId.RC_LINK,
    ExtendedCapabilityId.RCEC,
    ExtendedCapabilityId.MULTICAST,
    ExtendedCapabilityId.IDE,
}


def noise(rng: random.Random, style: str, size: int) -> bytearray:
    match style:
        case "zero":
            return bytearray(size)
        case "ones":
            return bytearray(0xFF if rng.random() < 0.9 else rng.randrange(256) for _ in range(size))
        case "sparse":
            return bytearray(rng.choice((0, 0, 0, 1 << rng.randrange(8), 0xFF)) for _ in range(size))
    return bytearray(rng.randbytes(size))


def put_header(rng: random.Random, data: bytearray, layout: int) -> None:
    data[0x0E] = layout
    data[0:4] = rng.choice((b"\x86\x80\x89\x18", b"\x86\x80\x92\x15", b"\xf4\x1a\x41\x10", bytes(data[0:4])))
    data[0x09:0x0C] = rng.choice((b"\0\0\2", b"\2\x08\1", b"\x80\1\1", b"\0\4\6", bytes(data[0x09:0x0C])))
    for at in range(0x10, 0x28, 4):
        if rng.random() < 0.6:
            low = rng.choice((0x0, 0x4, 0x8, 0xC, 0x1, 0x2, 0x6))
            bar = rng.choice((0, rng.getrandbits(32) & ~0xF | low, low, 0xFFFF_FFFF))
            data[at : at + 4] = struct.pack("<I", bar)
    if layout & 0x7F == HeaderLayout.TYPE0:
        data[0x2C:0x30] = rng.choice((bytes(4), b"\x86\x80\1\0", b"\xff" * 4, bytes(data[0:4])))
    elif rng.random() < 0.8:  # a bridge whose windows make sense
        data[0x09:0x0C] = b"\0\4\6"
        data[0x20] &= 0xF0
        data[0x22] &= 0xF0
        for base, limit in ((0x1C, 0x1D), (0x24, 0x26)):
            wide = rng.randrange(2)
            data[base], data[limit] = data[base] & 0xF0 | wide, data[limit] & 0xF0 | wide


def put_chain(rng: random.Random, data: bytearray, ids: Sequence[int]) -> None:
    data[0x06] = data[0x06] & ~0x10 | (0x10 if ids else 0)
    places = rng.sample(range(0x40, 0x100, 4), len(ids))
    for at, next_at, what in zip([0x34, *places], [*places, 0], [0, *ids], strict=True):
        if at == 0x34:
            data[at] = next_at
            continue
        ends = (0, 0, 0, 0, 0, 0, places[0], rng.randrange(0x40, 0x100))
        data[at], data[at + 1] = what, next_at | rng.choice((0, 0, 0, 3)) or rng.choice(ends)
        if what == CapabilityId.EXPRESS:
            data[at + 2] = rng.choice((*ExpressType, 3)) << 4 | rng.choice((1, 2, 2, 2))
        elif what == CapabilityId.VENDOR:
            data[at + 2] = rng.choice((16, 20, data[at + 2]))


def put_extended_chain(rng: random.Random, data: bytearray, ids: Sequence[int]) -> None:
    places = [0x100, *rng.sample(range(0x110, 0x1000, 4), len(ids))]
    for at, next_at, what in zip(places, [*places[1:], 0], ids, strict=False):
        target = next_at or rng.choice((0, 0, 0x100, rng.randrange(0x100, 0x1000)))
        header = what | rng.randrange(16) << 16 | target << 20
        data[at : at + 4] = struct.pack("<I", header)


def chained(config: bytes) -> Iterator[int]:
    """The ids that the two lists lead to; those of the extended list with 10000h added."""
    view = PciFunctionView(Address(0, 0, 0, 0), config)
    ids = [what for _, what in view.capabilities()]
    yield from ids
    at, seen = 0x100, set[int]()
    while (
        {CapabilityId.EXPRESS, CapabilityId.PCIX} & set(ids)
        and at
        and at not in seen
        and at + 4 <= len(config)
    ):
        header = struct.unpack_from("<I", config, at)[0]
        yield 0x1_0000 + (header & 0xFFFF)
        seen.add(at)
        at = header >> 20 & ~3


def detailed(config: bytes) -> bool:
    """Whether the listing takes apart all that is there."""
    without = {int(what) for what in UNDETAILED} | {0x1_0000 + what for what in UNDETAILED_EXTENDED}
    return not without & set(chained(config)) and config[0x0E] & 0x7F != HeaderLayout.CARDBUS


@dataclass(slots=True, frozen=True)
class Recipe:
    """How to make a function: a header, two chains of capabilities anywhere, and noise in the rest."""

    address: Address
    seed: int
    style: str
    layout: int
    ids: list[int]
    extended: list[int]
    size: int

    def view(self, among: Callable[[bytes], bool]) -> PciFunctionView:
        """The function; noise may make capabilities, so it is drawn again until `among` says yes."""
        rng = random.Random(self.seed)
        data = bytearray(self.size)
        for attempt in range(100):
            data = noise(rng, self.style, 4096)
            if self.style != "ones" or rng.random() < 0.8:
                put_header(rng, data, self.layout)
                put_chain(rng, data, [what for what in self.ids if not attempt or what not in UNDETAILED])
                extended = [what for what in self.extended if not attempt or what not in UNDETAILED_EXTENDED]
                put_extended_chain(rng, data, extended)
            if among(bytes(data[: self.size])):
                break
        return PciFunctionView(self.address, bytes(data[: self.size]))


recipes = st.lists(
    st.builds(
        Recipe,
        st.builds(
            Address,
            st.sampled_from([0, 0, 0, 1, 0x1_0000]),
            st.integers(0, 255),
            st.sampled_from([0, 0, 1, 31]),
            st.sampled_from([0, 0, 1, 7]),
        ),
        st.integers(0, 2**32),
        st.sampled_from(["random", "random", "sparse", "zero", "ones"]),
        st.sampled_from([0x00, 0x00, 0x80, 0x01, 0x81, 0x03]),
        st.lists(st.sampled_from([*CapabilityId, *[CapabilityId.EXPRESS] * 8, 0x15, 0x7F]), max_size=8),
        st.lists(st.sampled_from([*ExtendedCapabilityId, 0x2B, 0x1234]), max_size=10),
        st.sampled_from([4096, 4096, 4096, 256, 64, 0x90, 0x138]),
    ),
    min_size=10,
    max_size=10,
    unique_by=lambda recipe: recipe.address,
)
