"""A bridge's windows: the address ranges that it forwards."""

from collections.abc import Iterator

from siov.host.lspci.regions import aligned
from siov.host.lspci.text import with_size
from siov.host.lspci.view import WINDOWS, PciFunctionView, ResourceFlag
from siov.spec.pcie.header import Type1, WindowType

_ALL_ONES = 0xFFFF_FFFF
_ALL_ONES_64 = 0xFFFF_FFFF_FFFF_FFFF


def known_windows(view: PciFunctionView, detail: int) -> Iterator[str]:
    """The windows as the kernel has them, of a function without a header that can be read."""
    for window in (view.resources or ())[WINDOWS:]:
        if not window.start:
            continue
        bits, what = 0, "Unknown resource"
        if window.flags & ResourceFlag.IO:
            bits, what = (16 if window.flags & ResourceFlag.IO_16BIT else 32), "I/O"
        elif window.flags & ResourceFlag.MEM:
            bits = 64 if window.flags & ResourceFlag.MEM_64 else 32
            what = "Prefetchable memory" if window.flags & ResourceFlag.PREFETCH else "Memory"
        yield _range(f"{what} behind bridge", window.start, window.start + window.size - 1, bits, detail)


def windows(view: PciFunctionView, detail: int) -> Iterator[str]:
    """The lines of a bridge's I/O, memory and prefetchable windows."""
    known = view.resources[WINDOWS : WINDOWS + 3] if view.resources is not None else ()
    io, memory, prefetchable = known or (None, None, None)
    if io and io.size:
        start, kind = aligned(io.start, Type1.IO_BASE.BASE) & _ALL_ONES, io.start & Type1.IO_BASE.TYPE.mask
        bits = 32 if kind == WindowType.WIDE else 16
        yield _range("I/O behind bridge", start, start + io.size - 1 & _ALL_ONES, bits, detail)
    else:
        yield from _io_window(view, io is not None, detail)
    if memory and memory.size:
        start = aligned(memory.start, Type1.MEMORY_BASE.BASE) & _ALL_ONES
        yield _range("Memory behind bridge", start, start + memory.size - 1 & _ALL_ONES, 32, detail)
    else:
        yield from _memory_window(view, memory is not None, detail)
    if prefetchable and prefetchable.size:
        start = aligned(prefetchable.start, Type1.PREF_BASE.BASE)
        wide = prefetchable.start & Type1.PREF_BASE.TYPE.mask == WindowType.WIDE
        end = start + prefetchable.size - 1
        yield _range("Prefetchable memory behind bridge", start, end, 64 if wide else 32, detail)
    else:
        yield from _prefetchable_window(view, prefetchable is not None, detail)


def _io_window(view: PciFunctionView, closed: bool, detail: int) -> Iterator[str]:
    base, limit = view.read(Type1.IO_BASE), view.read(Type1.IO_LIMIT)
    if base.TYPE != limit.TYPE or base.TYPE not in set(WindowType):
        yield f"\t!!! Unknown I/O range types {base.raw:x}/{limit.raw:x}"
        return
    start, end = base.BASE << 12, limit.LIMIT << 12
    if base.TYPE == WindowType.WIDE:
        start |= view.read(Type1.IO_BASE_HIGH).BASE << 16
        end |= view.read(Type1.IO_LIMIT_HIGH).LIMIT << 16
    if start or end or not closed:
        bits = 32 if base.TYPE == WindowType.WIDE else 16
        yield _range("I/O behind bridge", start, end + 0xFFF & _ALL_ONES, bits, detail, closed)


def _memory_window(view: PciFunctionView, closed: bool, detail: int) -> Iterator[str]:
    base, limit = view.read(Type1.MEMORY_BASE), view.read(Type1.MEMORY_LIMIT)
    if base.TYPE or limit.TYPE:
        yield f"\t!!! Unknown memory range types {base.raw:x}/{limit.raw:x}"
        return
    end = (limit.LIMIT << 20) + 0xF_FFFF
    yield _range("Memory behind bridge", base.BASE << 20, end & _ALL_ONES, 32, detail, closed)


def _prefetchable_window(view: PciFunctionView, closed: bool, detail: int) -> Iterator[str]:
    base, limit = view.read(Type1.PREF_BASE), view.read(Type1.PREF_LIMIT)
    if base.TYPE != limit.TYPE or base.TYPE not in set(WindowType):
        yield f"\t!!! Unknown prefetchable memory range types {base.raw:x}/{limit.raw:x}"
        return
    start, end = base.BASE << 20, limit.LIMIT << 20
    if base.TYPE == WindowType.WIDE:
        start |= view.read(Type1.PREF_BASE_HIGH).BASE << 32
        end |= view.read(Type1.PREF_LIMIT_HIGH).LIMIT << 32
    if start or end or not closed:
        bits = 64 if base.TYPE == WindowType.WIDE else 32
        yield _range("Prefetchable memory behind bridge", start, end + 0xF_FFFF, bits, detail, closed)


def _range(what: str, base: int, limit: int, bits: int, detail: int, closed: bool = False) -> str:
    digits = bits // 4
    text = f"\t{what}:"
    if base <= limit or detail > 2:
        text += f" {base:0{digits}x}-{limit:0{digits}x}"
    text += " [disabled]" if closed or base > limit else with_size(limit - base + 1 & _ALL_ONES_64)
    return f"{text} [{bits}-bit]" if bits else text
