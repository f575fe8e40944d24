"""The PCI bus type, its devices and its drivers (drivers/pci/pci-driver.c, pci.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EINVAL, ENODEV
from typing import TypeVar

from siov.host.bus import Bus
from siov.host.device import Device, Driver
from siov.host.linux import LinuxError
from siov.host.pci.access import ConfigAccess
from siov.host.pci.iomem import IoMem
from siov.host.pci.resource import Resource
from siov.host.pci.sysfs import pci_dev_groups
from siov.spec.pcie import (
    CapabilityId,
    Express,
    ExpressType,
    ExtendedCapabilityHeader,
    ExtendedCapabilityId,
    HeaderLayout,
    Type0,
)
from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.word import Word

W = TypeVar("W", bound=Word)

ANY = 0xFFFF_FFFF  # PCI_ANY_ID


@dataclass(slots=True, frozen=True)
class PciId:
    """One line of a driver's id table; `ANY` matches all, `class_mask` says which class bits count."""

    vendor: int = ANY
    device: int = ANY
    subvendor: int = ANY
    subdevice: int = ANY
    class_code: int = 0
    class_mask: int = 0

    def matches(self, dev: PciDev) -> bool:
        """Whether the device is one of these (pci_match_one_device)."""
        wanted = (self.vendor, self.device, self.subvendor, self.subdevice)
        actual = (dev.vendor, dev.device, dev.subsystem_vendor, dev.subsystem_device)
        ids = all(want in (ANY, have) for want, have in zip(wanted, actual, strict=True))
        return ids and (dev.class_code ^ self.class_code) & self.class_mask == 0


class PciDev(Device):
    """A PCI function as the host knows it: its place, its identity as read, and its resources.

    `below` are the functions behind it, if it is a bridge. `enabled` counts pci_enable_device.
    """

    def __init__(self, access: ConfigAccess, domain: int, rid: int, parent: Device | None) -> None:
        self.access = access
        self.domain, self.rid = domain, rid
        super().__init__(f"{domain:04x}:{self.slot_name}", parent=parent)
        self.vendor = self.read_config(Type0.VENDOR_ID).ID
        self.device = self.read_config(Type0.DEVICE_ID).ID
        self.class_code = self.read_config(Type0.CLASS_CODE).raw
        self.revision = self.read_config(Type0.REVISION_ID).ID
        header = self.read_config(Type0.HEADER_TYPE)
        self.is_bridge = header.HL == HeaderLayout.TYPE1
        self.multifunction = bool(header.MFD)
        self.subsystem_vendor = 0 if self.is_bridge else self.read_config(Type0.SUBSYSTEM_VENDOR_ID).ID
        self.subsystem_device = 0 if self.is_bridge else self.read_config(Type0.SUBSYSTEM_ID).ID
        self.resources: list[Resource] = []
        self.windows: list[Resource] = []
        self.below: list[PciDev] = []
        self.enabled = 0
        self._caps = dict(self._capabilities())

    @property
    def slot_name(self) -> str:
        """Bus, device and function, as in `3b:00.0`."""
        return f"{self.rid >> 8:02x}:{self.rid >> 3 & 0x1F:02x}.{self.rid & 7:x}"

    @property
    def pcie_type(self) -> int | None:
        """The Device/Port Type of its PCI Express capability, None without one."""
        at = self.find_capability(CapabilityId.EXPRESS)
        return None if at is None else self.read_config(Express.PCIECAP, at + Express.PCIECAP.at).TYPE

    @property
    def leads_to_one_device(self) -> bool:
        """Whether below it is a link, on which there is device 0 only (only_one_child)."""
        return self.pcie_type in (ExpressType.ROOT_PORT, ExpressType.DOWNSTREAM_PORT)

    def read_config(self, what: type[W], at: int | None = None) -> W:
        """A configuration register of the word's width, at its own offset or at another one."""
        start = what.at if at is None else at
        size = what.width // 8
        if size == 3:  # no access has three bytes: the class code shares its double word with the revision
            return what(self.access.read(self.rid, start - 1, 4) >> 8)
        return what(self.access.read(self.rid, start, size))

    def write_config(self, word: Word, at: int | None = None) -> None:
        """Write a configuration register."""
        start = word.at if at is None else at
        self.access.write(self.rid, start, word.width // 8, word.raw)

    def find_capability(self, which: CapabilityId | ExtendedCapabilityId) -> int | None:
        """The offset of a capability (pci_find_capability, pci_find_ext_capability), None without it."""
        return self._caps.get((isinstance(which, ExtendedCapabilityId), int(which)))

    def pci_enable_device(self) -> None:
        """Let it answer memory requests; EINVAL when a BAR has no address."""
        missing = [r for r in self.resources if r.start is None and not r.optional]
        if missing:
            names = ", ".join(f"{r.name} ({r.size:#x} bytes)" for r in missing)
            raise LinuxError(EINVAL, f"can't enable {self.name}: {names} could not be assigned")
        self.enabled += 1
        if self.enabled == 1:
            self._command(MSE=1)

    def pci_disable_device(self) -> None:
        """Undo one pci_enable_device; with the last the device masters the bus no more."""
        self.enabled -= 1
        if self.enabled == 0:
            self._command(BME=0)

    def pcim_enable_device(self) -> None:
        """pci_enable_device, undone when the driver lets go."""
        self.pci_enable_device()
        self.devm_add_action(self.pci_disable_device)

    def pci_set_master(self) -> None:
        """Let it issue requests."""
        self._command(BME=1)

    def bar(self, index: int) -> Resource:
        """The resource of a BAR; ENODEV if the function has none there."""
        found = next((r for r in self.resources if r.name == f"BAR {index}"), None)
        if found is None:
            have = ", ".join(r.name for r in self.resources) or "none"
            raise LinuxError(ENODEV, f"{self.name} has no BAR {index}; it has {have}")
        return found

    def iomap(self, index: int) -> IoMem:
        """A BAR as registers of the host (pci_iomap); ENODEV without one, EINVAL when it has no address."""
        return IoMem(self.access.mmio, self._bar_address(index, 0), self.bar(index).size)

    def read_bar(self, index: int, offset: int, size: int) -> int:
        """Read a register of 1 to 8 bytes in a BAR."""
        return int.from_bytes(self.access.mmio.read(self._bar_address(index, offset), size), "little")

    def write_bar(self, index: int, offset: int, size: int, value: int) -> None:
        """Write a register in a BAR."""
        self.access.mmio.write(self._bar_address(index, offset), value.to_bytes(size, "little"))

    def inspect(self) -> dict[str, object]:
        """Identity, resources and what is below."""
        resources = {r.name: [r.start, r.size] for r in (*self.resources, *self.windows)}
        return {
            **super().inspect(),
            "id": f"{self.vendor:04x}:{self.device:04x}",
            "class": f"{self.class_code:06x}",
            "resources": resources,
            "below": [dev.name for dev in self.below],
        }

    def _bar_address(self, index: int, offset: int) -> int:
        resource = self.bar(index)
        if resource.start is None:
            raise LinuxError(EINVAL, f"BAR {index} of {self.name} has no address")
        return resource.start + offset

    def _command(self, **fields: int) -> None:
        self.write_config(self.read_config(Type0.COMMAND).replace(**fields))

    def _capabilities(self) -> Iterator[tuple[tuple[bool, int], int]]:
        """Each capability's (extended, id) and offset, the first of its kind; broken chains end there."""
        seen: set[int] = set()
        found: dict[tuple[bool, int], int] = {}
        at = self.read_config(Type0.CAP_PTR).PTR & ~3 if self.read_config(Type0.STATUS).CAP else 0
        while at >= Type0.size and at not in seen:
            seen.add(at)
            header = self.read_config(CapabilityHeader, at)
            found.setdefault((False, header.ID), at)
            at = header.NEXT & ~3
        at = 0x100
        while at >= 0x100 and at not in seen:
            seen.add(at)
            extended = self.read_config(ExtendedCapabilityHeader, at)
            if extended.raw in (0, 0xFFFF_FFFF):
                break
            found.setdefault((True, extended.ID), at)
            at = extended.NEXT & ~3
        yield from found.items()


class PciDriver(Driver):
    """A driver of PCI functions, matched by `id_table` (struct pci_driver)."""

    id_table: Sequence[PciId] = ()


class PciSubsystem(Bus):
    """The bus type `pci`: a driver matches a device by its id table (pci_bus_match)."""

    dev_groups = (pci_dev_groups,)

    def match(self, device: PciDev, driver: PciDriver) -> bool:
        """Whether a line of the driver's id table is the device's (pci_match_device)."""
        driver.trace("pci_match_device", device.name)
        return any(line.matches(device) for line in driver.id_table)

    def pci_register_driver(self, driver: PciDriver) -> None:
        """Register a driver; it is offered every device that none drives."""
        self.trace("pci_register_driver", driver.name)  # the driver itself stands nowhere yet
        self.add_driver(driver)

    def dev_uevent(self, device: PciDev) -> dict[str, str]:
        """PCI_CLASS, PCI_ID, PCI_SUBSYS_ID and PCI_SLOT_NAME (pci_uevent)."""
        return {
            "PCI_CLASS": f"{device.class_code:X}",
            "PCI_ID": f"{device.vendor:04X}:{device.device:04X}",
            "PCI_SUBSYS_ID": f"{device.subsystem_vendor:04X}:{device.subsystem_device:04X}",
            "PCI_SLOT_NAME": device.name,
        }
