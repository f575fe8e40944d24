"""Enumeration: which functions there are, on which buses, and what they need (drivers/pci/probe.c)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from siov.host.device import Device
from siov.host.pci.access import ConfigAccess, Firmware, Mmio
from siov.host.pci.dev import PciDev, PciSubsystem
from siov.host.pci.resource import Resource
from siov.host.pci.setup_bus import assign_unassigned_resources
from siov.spec.pcie import Ari, CapabilityId, Express, ExtendedCapabilityId, SrIov, Type0, Type1
from siov.spec.pcie.header import BarType, MemoryBar, RomBar


@dataclass(slots=True)
class HostBridge:
    """One PCI segment after enumeration: its functions on bus 0, and what could not be done, in sentences."""

    firmware: Firmware
    device: Device
    root: list[PciDev] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def devices(self) -> Iterator[PciDev]:
        """All functions, depth first."""
        yield from depth_first(self.root)

    def inspect(self) -> dict[str, object]:
        """The windows, the functions, and the reports."""
        return {
            "windows": [(window.base, window.size) for window in self.firmware.windows],
            "devices": [dev.inspect() for dev in self.devices()],
            "reports": self.reports,
        }


def pci_host_probe(mmio: Mmio, firmware: Firmware, bus: PciSubsystem) -> HostBridge:
    """Find every function, number the buses, give out addresses, and add the devices to the bus type."""
    device = Device(f"pci{firmware.domain:04x}:00")
    bus.core.device_add(device)
    bridge = HostBridge(firmware, device)
    scan = _Scan(ConfigAccess(mmio, firmware.ecam), bridge)
    bridge.root, _ = scan.child_bus(0, device, one_device=False)
    bridge.reports += assign_unassigned_resources(bridge.root, firmware.windows)
    for dev in bridge.devices():
        bus.add_device(dev)
    return bridge


def depth_first(devices: Iterable[PciDev]) -> Iterator[PciDev]:
    """Functions, each followed by those behind it."""
    for dev in devices:
        yield dev
        yield from depth_first(dev.below)


class _Scan:
    def __init__(self, access: ConfigAccess, bridge: HostBridge) -> None:
        self.access = access
        self.bridge = bridge

    def child_bus(self, bus: int, parent: Device, one_device: bool) -> tuple[list[PciDev], int]:
        """The functions on a bus and, behind its bridges, below (pci_scan_child_bus); the last bus number."""
        devices = [
            dev for slot in range(1 if one_device else 32) for dev in self._slot(bus << 8 | slot << 3, parent)
        ]
        last = bus
        for dev in devices:
            if dev.is_bridge:
                last = self._behind(dev, last)
        return devices, last

    def _behind(self, dev: PciDev, last: int) -> int:
        """Number the bus behind a bridge and scan it (pci_scan_bridge); the last bus number."""
        secondary = last + 1
        top = self.bridge.firmware.buses[-1]
        if secondary > top:
            self.bridge.reports.append(
                f"no bus number is left for what is behind {dev.name}: {top} is the last"
            )
            self._number(dev, 0, 0)
            return last
        self._number(dev, secondary, top)
        dev.below, last = self.child_bus(secondary, dev, dev.leads_to_one_device)
        self._number(dev, secondary, last)
        dev.write_config(Type1.SECONDARY_STATUS(0xFFFF))  # forget the aborts of asking empty places
        return last

    def _number(self, dev: PciDev, secondary: int, subordinate: int) -> None:
        dev.write_config(Type1.PRIMARY_BUS.of(NUM=dev.rid >> 8 if secondary else 0))
        dev.write_config(Type1.SECONDARY_BUS.of(NUM=secondary))
        dev.write_config(Type1.SUBORDINATE_BUS.of(NUM=subordinate))

    def _slot(self, rid: int, parent: Device) -> list[PciDev]:
        """The functions of a device (pci_scan_slot); with ARI they are a list of up to 256."""
        first = self._function(rid, parent)
        if first is None:
            return []
        if self._use_ari(first, parent):
            return [first, *self._ari_functions(first, parent)]
        others = range(rid + 1, rid + 8) if first.multifunction else ()
        return [first, *(dev for other in others if (dev := self._function(other, parent)))]

    def _use_ari(self, first: PciDev, parent: Device) -> bool:
        """Switch ARI forwarding on above a device that has it (pci_configure_ari)."""
        if first.find_capability(ExtendedCapabilityId.ARI) is None or not isinstance(parent, PciDev):
            return False
        at = parent.find_capability(CapabilityId.EXPRESS)
        if at is None or not parent.read_config(Express.DEVCAP2, at + Express.DEVCAP2.at).ARIFS:
            return False
        control = at + Express.DEVCTL2.at
        parent.write_config(parent.read_config(Express.DEVCTL2, control).replace(ARIFE=1), control)
        return True

    def _ari_functions(self, first: PciDev, parent: Device) -> Iterator[PciDev]:
        dev, seen = first, {0}
        while (following := _next_function(dev)) not in seen:
            seen.add(following)
            found = self._function(first.rid & 0xFF00 | following, parent)
            if found is None:
                return
            yield found
            dev = found

    def _function(self, rid: int, parent: Device) -> PciDev | None:
        if self.access.read(rid, Type0.VENDOR_ID.at, 4) & 0xFFFF in (0xFFFF, 0x0000):
            return None
        dev = PciDev(self.access, self.bridge.firmware.domain, rid, parent)
        dev.resources = read_bases(dev)
        return dev


def _next_function(dev: PciDev) -> int:
    at = dev.find_capability(ExtendedCapabilityId.ARI)
    return 0 if at is None else dev.read_config(Ari.CAP, at + Ari.CAP.at).NFN


def read_bases(dev: PciDev) -> list[Resource]:
    """Size every BAR by writing ones (pci_read_bases), with the function deaf meanwhile (PCIe 7.5.1.2.1)."""
    command = dev.read_config(Type0.COMMAND)
    dev.write_config(command.replace(IOSE=0, MSE=0))
    header = Type1 if dev.is_bridge else Type0
    bars = header.spans["BAR"]
    found = list(_bars(dev, "BAR", bars.at, bars.count))
    rom_at = header.spans["ROM"].at
    writable = _ones(dev, rom_at, RomBar.BASE.mask) & RomBar.BASE.mask
    if writable:
        size = (writable ^ 0xFFFF_FFFF) + 1
        found.append(Resource("ROM", rom_at, size, size, optional=True))
    sriov = dev.find_capability(ExtendedCapabilityId.SRIOV)
    if sriov is not None:
        total = dev.read_config(SrIov.TOTAL_VFS, sriov + SrIov.TOTAL_VFS.at).NUM
        for vf in _bars(dev, "VF BAR", sriov + SrIov.spans["VF_BAR"].at, 6):
            vf.size, vf.optional = vf.size * total, True
            found.append(vf)
    dev.write_config(command)
    return [resource for resource in found if resource.size]


def _bars(dev: PciDev, name: str, base: int, count: int) -> Iterator[Resource]:
    n = 0
    while n < count:
        at = base + 4 * n
        low = dev.read_config(MemoryBar, at)
        mask = _ones(dev, at, 0xFFFF_FFFF) & MemoryBar.BASE.mask
        wide = low.TYPE == BarType.BITS64 and n + 1 < count
        if wide:
            mask |= _ones(dev, at + 4, 0xFFFF_FFFF) << 32
        if mask and not low.IO:
            size = mask & -mask
            yield Resource(f"{name} {n}", at, size, size, wide, bool(low.PREFETCH))
        n += 2 if wide else 1


def _ones(dev: PciDev, at: int, ones: int) -> int:
    """What a register reads after ones were written to it; its value is restored."""
    value = dev.access.read(dev.rid, at, 4)
    dev.access.write(dev.rid, at, 4, ones)
    sized = dev.access.read(dev.rid, at, 4)
    dev.access.write(dev.rid, at, 4, value)
    return sized
