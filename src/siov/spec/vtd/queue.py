"""What goes through the invalidation queue and the page request queue.

Descriptors are declared 256 bits wide. A queue with IQA.DW = 0 holds their lower 128 bits; the upper ones
are reserved in all but the page group response.
"""

from enum import IntEnum

from siov.spec.word import Word, bit, bits


class DescriptorType(IntEnum):
    """Type of an invalidation descriptor: TYPE_HI and TYPE put together, 7 bits."""

    CONTEXT_CACHE = 0x1
    IOTLB = 0x2
    DEVICE_TLB = 0x3
    INTERRUPT_ENTRY_CACHE = 0x4
    WAIT = 0x5
    PASID_IOTLB = 0x6
    PASID_CACHE = 0x7
    PASID_DEVICE_TLB = 0x8
    PAGE_GROUP_RESPONSE = 0x9


class CcGranularity(IntEnum):
    """What of the context-cache is invalidated."""

    GLOBAL = 1
    DOMAIN = 2
    DEVICE = 3


class IotlbGranularity(IntEnum):
    """What of the IOTLB is invalidated."""

    GLOBAL = 1
    DOMAIN = 2
    PAGE = 3


class PasidCacheGranularity(IntEnum):
    """What of the PASID-cache is invalidated."""

    DOMAIN = 0
    PASID = 1
    GLOBAL = 3


class PasidIotlbGranularity(IntEnum):
    """What of the IOTLB is invalidated, by PASID."""

    PASID = 2
    PAGE = 3


class IqError(IntEnum):
    """Invalidation Queue Error Info: why the queue stands still."""

    NO_INFO = 0
    INVALID_TAIL = 1
    FETCH_ERROR = 2
    INVALID_TYPE = 3
    RESERVED_FIELD = 4
    INVALID_WIDTH = 5
    TAIL_NOT_ALIGNED = 6
    INVALID_TTM = 7


class ResponseCode(IntEnum):
    """How a page group was answered (PCIe 10.4.2.1)."""

    SUCCESS = 0x0
    INVALID_REQUEST = 0x1
    RESPONSE_FAILURE = 0xF


class Descriptor(Word, width=256, ref="VT-d 6.5.2"):
    """What all descriptors have in common: a type whose bits stand in two places."""

    TYPE = bits(3, 0, "Type bits 3:0")
    TYPE_HI = bits(11, 9, "Type bits 6:4")


class CcInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.1"):
    """cc_inv_dsc: Context-cache Invalidate."""

    G = bits(5, 4, "Granularity", enum=CcGranularity)
    DID = bits(31, 16, "Domain-ID")
    SID = bits(47, 32, "Source-ID, for DEVICE")
    FM = bits(49, 48, "Function Mask: how many low bits of the function number do not count")


class PcInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.2"):
    """pc_inv_dsc: PASID-cache Invalidate."""

    G = bits(5, 4, "Granularity", enum=PasidCacheGranularity)
    DID = bits(31, 16, "Domain-ID")
    PASID = bits(51, 32, "PASID")


class IotlbInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.3"):
    """iotlb_inv_dsc: IOTLB Invalidate."""

    G = bits(5, 4, "Granularity", enum=IotlbGranularity)
    DW = bit(6, "Drain Writes")
    DR = bit(7, "Drain Reads")
    DID = bits(31, 16, "Domain-ID")
    AM = bits(69, 64, "Address Mask: 2 to the power of n pages")
    IH = bit(70, "Invalidation Hint: only leaf entries have changed")
    ADDR = bits(127, 76, "address, bits 63:12")


class PIotlbInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.4"):
    """p_iotlb_inv_dsc: PASID-based IOTLB Invalidate."""

    G = bits(5, 4, "Granularity", enum=PasidIotlbGranularity)
    DID = bits(31, 16, "Domain-ID")
    PASID = bits(51, 32, "PASID")
    AM = bits(69, 64, "Address Mask: 2 to the power of n pages")
    IH = bit(70, "Invalidation Hint: only leaf entries have changed")
    ADDR = bits(127, 76, "address, bits 63:12")


class DevTlbInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.5"):
    """dev_tlb_inv_dsc: Device-TLB Invalidate."""

    PFSID_LO = bits(15, 12, "Physical Function Source-ID bits 3:0")
    MIP = bits(20, 16, "Max Invalidations Pending")
    SID = bits(47, 32, "Source-ID")
    PFSID_HI = bits(63, 52, "Physical Function Source-ID bits 15:4")
    S = bit(64, "Size: the lowest zero bit of ADDR tells it")
    ADDR = bits(127, 76, "address, bits 63:12")


class PDevTlbInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.6"):
    """p_dev_tlb_inv_dsc: PASID-based Device-TLB Invalidate."""

    MIP = bits(8, 4, "Max Invalidations Pending")
    PFSID_LO = bits(15, 12, "Physical Function Source-ID bits 3:0")
    SID = bits(31, 16, "Source-ID")
    PASID = bits(51, 32, "PASID")
    PFSID_HI = bits(63, 52, "Physical Function Source-ID bits 15:4")
    G = bit(64, "Global: of all PASIDs")
    S = bit(75, "Size: the lowest zero bit of ADDR tells it")
    ADDR = bits(127, 76, "address, bits 63:12")


class IecInvDsc(Descriptor, width=256, ref="VT-d 6.5.2.7"):
    """iec_inv_dsc: Interrupt Entry Cache Invalidate."""

    G = bit(4, "Granularity: 1 is by index, 0 is global")
    IM = bits(31, 27, "Index Mask: 2 to the power of n entries")
    IIDX = bits(47, 32, "Interrupt Index")


class InvWaitDsc(Descriptor, width=256, ref="VT-d 6.5.2.8"):
    """inv_wait_dsc: Invalidation Wait."""

    IF = bit(4, "Interrupt Flag: raise the invalidation event")
    SW = bit(5, "Status Write: write STDATA to STADDR")
    FN = bit(6, "Fence: what follows starts after what went before")
    PD = bit(7, "Page-request Drain")
    STDATA = bits(63, 32, "Status Data")
    STADDR = bits(127, 66, "Status Address bits 63:2")


class PageGroupResponse(Descriptor, width=256, ref="VT-d 7.6.1"):
    """page_grp_resp_dsc: Page Group Response, software's answer to a page request."""

    PP = bit(4, "PASID Present")
    PDP = bit(5, "Private Data Present")
    RC = bits(15, 12, "Response Code", enum=ResponseCode)
    RID = bits(31, 16, "Requester-ID")
    PASID = bits(51, 32, "PASID")
    LPIG = bit(66, "Last Page In Group")
    PRGI = bits(75, 67, "Page Request Group Index")
    PRIV_LO = bits(191, 128, "Private Data, low half")
    PRIV_HI = bits(255, 192, "Private Data, high half")


class PageRequest(Word, width=256, ref="VT-d 7.4.1"):
    """page_req_dsc: what a device's page request becomes in the page request queue."""

    TYPE = bits(7, 0, "Type: 1")
    PP = bit(8, "PASID Present")
    PDP = bit(9, "Private Data Present")
    RID = bits(31, 16, "Requester-ID")
    PASID = bits(51, 32, "PASID")
    EXR = bit(52, "Execute Requested")
    PMR = bit(53, "Privileged Mode Requested")
    RD = bit(64, "Read Requested")
    WR = bit(65, "Write Requested")
    LPIG = bit(66, "Last Page In Group")
    PRGI = bits(75, 67, "Page Request Group Index")
    ADDR = bits(127, 76, "address, bits 63:12")
    PRIV_LO = bits(191, 128, "Private Data, low half")
    PRIV_HI = bits(255, 192, "Private Data, high half")
