"""PCI Express: configuration space headers and capabilities (PCI Express Base Specification, chapter 7).

Section numbers in `ref` are those of revision 6.0.
"""

from siov.spec.pcie.capability import (
    Express,
    ExpressType,
    Msix,
    MsixEntry,
    PowerManagement,
)
from siov.spec.pcie.extended import (
    Acs,
    Aer,
    AerRoot,
    Ari,
    Ats,
    DeviceSerialNumber,
    ExtendedCapabilityHeader,
    Pasid,
    Pri,
    SrIov,
)
from siov.spec.pcie.header import (
    BarType,
    CommonHeader,
    HeaderLayout,
    MemoryBar,
    Type0,
    Type1,
)
from siov.spec.pcie.ids import CapabilityId, ExtendedCapabilityId

__all__ = [
    "Acs",
    "Aer",
    "AerRoot",
    "Ari",
    "Ats",
    "BarType",
    "CapabilityId",
    "CommonHeader",
    "DeviceSerialNumber",
    "Express",
    "ExpressType",
    "ExtendedCapabilityHeader",
    "ExtendedCapabilityId",
    "HeaderLayout",
    "MemoryBar",
    "Msix",
    "MsixEntry",
    "Pasid",
    "PowerManagement",
    "Pri",
    "SrIov",
    "Type0",
    "Type1",
]
