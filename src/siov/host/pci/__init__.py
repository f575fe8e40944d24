"""Linux's PCI core on this machine: enumeration, resources, MSI-X, and the bus that drivers register with."""

from siov.host.pci.access import ConfigAccess, Firmware, HostWindow, Mmio
from siov.host.pci.dev import PciDev, PciDriver, PciId, PciSubsystem
from siov.host.pci.iomem import IoMem
from siov.host.pci.probe import pci_host_probe
from siov.host.pci.resource import Resource

__all__ = [
    "ConfigAccess",
    "Firmware",
    "HostWindow",
    "IoMem",
    "Mmio",
    "PciDev",
    "PciDriver",
    "PciId",
    "PciSubsystem",
    "Resource",
    "pci_host_probe",
]
