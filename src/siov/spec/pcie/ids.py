"""What capabilities are there: their numbers, whether or not a function here has them."""

from enum import IntEnum


class CapabilityId(IntEnum):
    """What a capability is (PCI Code and ID Assignment Specification)."""

    NULL = 0x00
    PM = 0x01
    AGP = 0x02
    VPD = 0x03
    SLOT_ID = 0x04
    MSI = 0x05
    CHSWP = 0x06  # CompactPCI hot-swap
    PCIX = 0x07
    HT = 0x08  # HyperTransport
    VENDOR = 0x09
    DEBUG_PORT = 0x0A
    CCRC = 0x0B  # CompactPCI central resource control
    HOTPLUG = 0x0C
    SSVID = 0x0D
    AGP3 = 0x0E
    SECURE = 0x0F
    EXPRESS = 0x10
    MSIX = 0x11
    SATA = 0x12
    AF = 0x13
    EA = 0x14


class ExtendedCapabilityId(IntEnum):
    """What an extended capability is (PCI Code and ID Assignment Specification)."""

    NULL = 0x0000
    AER = 0x0001
    VC = 0x0002
    DSN = 0x0003
    POWER_BUDGETING = 0x0004
    RC_LINK = 0x0005
    RC_INTERNAL_LINK = 0x0006
    RCEC = 0x0007
    MFVC = 0x0008
    VC_MFVC = 0x0009
    RCRB = 0x000A
    VENDOR = 0x000B
    ACS = 0x000D
    ARI = 0x000E
    ATS = 0x000F
    SRIOV = 0x0010
    MRIOV = 0x0011
    MULTICAST = 0x0012
    PRI = 0x0013
    REBAR = 0x0015
    DPA = 0x0016
    TPH = 0x0017
    LTR = 0x0018
    SECONDARY = 0x0019
    PMUX = 0x001A
    PASID = 0x001B
    LN_REQUESTER = 0x001C
    DPC = 0x001D
    L1PM = 0x001E
    PTM = 0x001F
    M_PCIE = 0x0020
    FRS = 0x0021
    RTR = 0x0022
    DVSEC = 0x0023
    VF_REBAR = 0x0024
    DATA_LINK = 0x0025
    PHY16 = 0x0026
    LANE_MARGINING = 0x0027
    HIERARCHY_ID = 0x0028
    NPEM = 0x0029
    PHY32 = 0x002A
    DOE = 0x002E
    IDE = 0x0030
