"""The files of a PCI device in sysfs (drivers/pci/pci-sysfs.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.host.sysfs import ATTR_RO, AttributeGroup, BinAttribute

if TYPE_CHECKING:
    from siov.host.pci.dev import PciDev
    from siov.host.pci.resource import Resource

IORESOURCE_MEM, IORESOURCE_PREFETCH, IORESOURCE_MEM_64 = 0x200, 0x2000, 0x10_0000
SIZEALIGN, STARTALIGN = 0x4_0000, 0x8_0000
BAR_MEM_64, BAR_PREFETCH = 0x4, 0x8
BARS = 6


def vendor_show(dev: PciDev) -> str:
    """The vendor id."""
    return f"{dev.vendor:#06x}\n"


def device_show(dev: PciDev) -> str:
    """The device id."""
    return f"{dev.device:#06x}\n"


def subsystem_vendor_show(dev: PciDev) -> str:
    """The subsystem's vendor id."""
    return f"{dev.subsystem_vendor:#06x}\n"


def subsystem_device_show(dev: PciDev) -> str:
    """The subsystem's device id."""
    return f"{dev.subsystem_device:#06x}\n"


def class_show(dev: PciDev) -> str:
    """Base class, sub-class and programming interface."""
    return f"{dev.class_code:#08x}\n"


def revision_show(dev: PciDev) -> str:
    """The revision."""
    return f"{dev.revision:#04x}\n"


def enable_show(dev: PciDev) -> str:
    """How often the device was enabled."""
    return f"{dev.enabled}\n"


def resource_show(dev: PciDev) -> str:
    """A line each of start, end and flags: six BARs, the ROM, then VF BARs and bridge windows."""
    return "".join(
        "{:#018x} {:#018x} {:#018x}\n".format(*(line or (0, 0, 0))) for line in resource_lines(dev)
    )


def resource_lines(dev: PciDev) -> list[tuple[int, int, int] | None]:
    """Start, end and flags of each resource in Linux's order; None where there is none."""
    by_name = {resource.name: resource for resource in dev.resources}
    names = [f"BAR {n}" for n in range(BARS)] + ["ROM"]
    lines = [_line(by_name.get(name)) for name in names]
    vfs = [_line(by_name.get(f"VF BAR {n}")) for n in range(BARS)]
    lines += vfs if any(vfs) else []
    if dev.is_bridge:
        windows = {window.name: window for window in dev.windows}
        lines += [None, _line(windows.get("memory")), _line(windows.get("prefetchable")), None]
    return lines


def resource_flags(resource: Resource) -> int:
    """The flags of a kernel resource: kind, and the low bits of the register."""
    flags = IORESOURCE_MEM | (STARTALIGN if resource.name in ("memory", "prefetchable") else SIZEALIGN)
    if resource.prefetchable:
        flags |= IORESOURCE_PREFETCH | BAR_PREFETCH
    if resource.wide:
        flags |= IORESOURCE_MEM_64 | BAR_MEM_64
    return flags


def _line(resource: Resource | None) -> tuple[int, int, int] | None:
    if resource is None or resource.size == 0:
        return None
    if resource.start is None or resource.end is None:
        return 0, resource.size - 1, resource_flags(resource) | 0x2000_0000  # IORESOURCE_UNSET
    return resource.start, resource.end, resource_flags(resource)


def config_read(dev: PciDev, offset: int, size: int) -> bytes:
    """Bytes of the configuration space."""
    return b"".join(
        dev.access.read(dev.rid, at, 1).to_bytes(1, "little") for at in range(offset, offset + size)
    )


def config_write(dev: PciDev, offset: int, data: bytes) -> None:
    """Write to the configuration space, by naturally aligned accesses as large as fit."""
    at = offset
    while at < offset + len(data):
        size = next(n for n in (4, 2, 1) if at % n == 0 and at + n <= offset + len(data))
        value = int.from_bytes(data[at - offset : at - offset + size], "little")
        dev.access.write(dev.rid, at, size, value)
        at += size


pci_dev_groups = AttributeGroup(
    (
        ATTR_RO(vendor_show),
        ATTR_RO(device_show),
        ATTR_RO(subsystem_vendor_show),
        ATTR_RO(subsystem_device_show),
        ATTR_RO(class_show),
        ATTR_RO(revision_show),
        ATTR_RO(enable_show),
        ATTR_RO(resource_show),
        BinAttribute("config", 0o644, 0x1000, config_read, config_write),
    )
)
