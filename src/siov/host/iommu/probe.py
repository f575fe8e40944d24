"""A PCI function comes under a remapping unit's control (intel_iommu_probe_device)."""

from siov.host.iommu.cache import IommuDevice
from siov.host.iommu.iommu import IntelIommu
from siov.host.pci.dev import PciDev
from siov.spec.pcie import Ats, ExtendedCapabilityId, Pasid


def pasid_bits(dev: PciDev) -> int:
    """The width of a function's PASIDs, 0 without the capability (pci_max_pasids)."""
    at = dev.find_capability(ExtendedCapabilityId.PASID)
    return 0 if at is None else dev.read_config(Pasid.CAP, at + Pasid.CAP.at).WIDTH


def pci_enable_pasid(dev: PciDev) -> None:
    """Let a function name address spaces; nothing happens without the capability."""
    at = dev.find_capability(ExtendedCapabilityId.PASID)
    if at is not None:
        dev.write_config(Pasid.CTL.of(E=1), at + Pasid.CTL.at)


def pci_enable_ats(dev: PciDev) -> None:
    """Let a function keep translations, of pages of 4 KiB and more; nothing without the capability."""
    at = dev.find_capability(ExtendedCapabilityId.ATS)
    if at is not None:
        dev.write_config(Ats.CTL.of(E=1), at + Ats.CTL.at)


def probe_device(iommu: IntelIommu, dev: PciDev, *, ats: bool = True) -> IommuDevice:
    """Add a function with what it and the unit can do, and switch that on in the function.

    Its requests without PASID pass through, as Linux has it with `iommu=pt`. Errors as
    `IntelIommu.add_device`; nothing is enabled then.
    """
    bits = pasid_bits(dev) if iommu.scalable and iommu.ecap.PASID else 0
    ats = ats and bool(iommu.ecap.DT) and dev.find_capability(ExtendedCapabilityId.ATS) is not None
    device = iommu.add_device(dev.rid, ats=ats, pasid_bits=bits)
    iommu.attach(iommu.identity_domain(), dev.rid)
    # PASID first: its enable may not change while ATS is on (PCIe 10.5.1.3).
    if bits:
        pci_enable_pasid(dev)
    if ats:
        pci_enable_ats(dev)
    return device
