"""A function's address ranges: BARs and the expansion ROM."""

from collections.abc import Iterator

from siov.host.lspci.text import with_size
from siov.host.lspci.view import ROM, PciFunctionView, Resource, ResourceFlag
from siov.spec.pcie.header import (
    BarType,
    CommonHeader,
    HeaderLayout,
    IoBar,
    MemoryBar,
    RomBar,
    Type0,
    Type1,
)
from siov.spec.word import Field

_ALL_ONES = 0xFFFF_FFFF
_ALL_ENABLED = CommonHeader.COMMAND.of(IOSE=1, MSE=1)
_MEMORY_KIND: dict[int, str] = {
    BarType.BITS32: "32-bit",
    BarType.BITS64: "64-bit",
    BarType.BELOW_1M: "low-1M",
}
BARS: dict[int, int] = {HeaderLayout.TYPE0: 6, HeaderLayout.TYPE1: 2, HeaderLayout.CARDBUS: 1}


def base_registers(view: PciFunctionView) -> list[int]:
    """The six BARs as the kernel or the registers give them: the address with the register's low bits."""
    if view.resources is not None:
        return [resource.register for resource in view.resources[:ROM]]
    count = BARS[view.layout] if view.has_header else 0
    found = [0] * 6
    index = 0
    while index < count:
        bar = _bar(view, index)
        if bar.raw != _ALL_ONES and (bar.IO or bar.TYPE != BarType.BITS64):
            found[index] = bar.raw
        elif bar.raw != _ALL_ONES:
            if index + 1 < count:
                found[index] = bar.raw | _bar(view, index + 1).raw << MemoryBar.width
            index += 1
        index += 1
    return found


def has_memory(view: PciFunctionView) -> bool:
    """Whether one of the function's BARs maps memory."""
    sizes = [resource.size for resource in view.resources[:ROM]] if view.resources is not None else [0] * 6
    found = base_registers(view)
    return any((base or size) and not base & IoBar.IO.mask for base, size in zip(found, sizes, strict=True))


def bars(view: PciFunctionView, detail: int) -> Iterator[str]:
    """One line for each BAR in use; without a header that can be read, as the kernel has them."""
    count = BARS[view.layout] if view.has_header else 6
    command = view.read(CommonHeader.COMMAND) if view.has_header else _ALL_ENABLED
    found = base_registers(view)
    for index in range(count if view.has_header or view.resources else 0):
        resource = view.resources[index] if view.resources is not None else None
        register = _bar(view, index) if view.has_header else None
        flags = register.raw if resource is None and register else _low_bits(resource)
        bar = MemoryBar(0 if flags == _ALL_ONES else flags)
        size = resource.size if resource else 0
        if found[index] or bar.raw or size:
            prefix = f"\tRegion {index}: " if detail > 1 else "\t"
            told = resource, register, index + 1 == count
            yield prefix + _bar_text(found[index], bar, command, *told) + with_size(size)


def _bar_text(
    at: int,
    bar: MemoryBar,
    command: CommonHeader.COMMAND,
    resource: Resource | None,
    register: MemoryBar | None,
    last: bool,
) -> str:
    low = 0  # what the register says where the kernel may say something else
    virtual = broken = False
    if resource and register:
        low = register.raw
        if register.IO == bar.IO:
            broken = bool(resource.flags & ResourceFlag.MEM) and register.TYPE == BarType.BITS64 and last
            virtual = bool(at and not low and not resource.flags & ResourceFlag.FIXED_BY_EA)
    unassigned = "<ignored>" if low else "<unassigned>"
    if bar.IO:
        port = aligned(at, IoBar.BASE)
        text = f"I/O ports at {f'{port:04x}' if port or command.IOSE else unassigned}"
        enabled = command.IOSE
    else:
        base = aligned(at, MemoryBar.BASE)
        where = "<broken-64-bit-slot>" if broken else f"{base:08x}" if base else unassigned
        kind = _MEMORY_KIND.get(bar.TYPE, "type 3")
        text = f"Memory at {where} ({kind}, {'' if bar.PREFETCH else 'non-'}prefetchable)"
        enabled = command.MSE
    text += " [virtual]" if virtual else "" if enabled else " [disabled]"
    return text + (" [enhanced]" if resource and resource.flags & ResourceFlag.FIXED_BY_EA else "")


def rom(view: PciFunctionView) -> Iterator[str]:
    """The expansion ROM's line, if there is one."""
    resource = view.resources[ROM] if view.resources is not None else None
    if view.has_header:
        register = view.read(RomBar, (Type1 if view.layout == HeaderLayout.TYPE1 else Type0).ROM.at)
        command = view.read(CommonHeader.COMMAND)
    else:
        register, command = RomBar(_low_bits(resource)), _ALL_ENABLED
    written = 0 if register.raw == _ALL_ONES else register.raw
    at = written if resource is None else resource.register
    size, flags = (resource.size, resource.flags) if resource else (0, 0)
    if not (at or register.raw or size):
        return
    base, in_register, enabled = aligned(at, RomBar.BASE), register.BASE, register.EN
    virtual = bool(view.has_header and base and not in_register and not flags & ResourceFlag.FIXED_BY_EA)
    if virtual:
        enabled = at & RomBar.EN.mask
    where = f"{base:08x}" if base else "<ignored>" if in_register else "<unassigned>"
    text = f"\tExpansion ROM at {where}{' [virtual]' if virtual else ''}"
    if not enabled:
        text += " [disabled]"
    elif not virtual and not command.MSE:
        text += " [disabled by cmd]"
    if flags & ResourceFlag.FIXED_BY_EA:
        text += " [enhanced]"
    yield text + with_size(size)


def _bar(view: PciFunctionView, index: int) -> MemoryBar:
    return view.read(MemoryBar, Type0.BAR.at + MemoryBar.width // 8 * index)


def _low_bits(resource: Resource | None) -> int:
    """The low bits of a BAR that would map the resource."""
    if resource is None:
        return 0
    if resource.flags & ResourceFlag.IO:
        return MemoryBar.IO.mask
    if not resource.flags & ResourceFlag.MEM:
        return 0
    kind = BarType.BITS64 if resource.flags & ResourceFlag.MEM_64 else BarType.BITS32
    return MemoryBar.of(TYPE=kind, PREFETCH=bool(resource.flags & ResourceFlag.PREFETCH)).raw


def aligned(address: int, field: Field) -> int:
    """An address without the bits below a register's address field."""
    return address >> field.lo << field.lo
