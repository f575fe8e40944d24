"""Performance monitoring of a remapping unit: its registers and the events it counts."""

from enum import IntEnum

from siov.spec.word import RO, RW, RW1CS, WO, RegisterBlock, Word, bit, bits, place


class EventGroup(IntEnum):
    """The groups that events are selected in."""

    GENERAL = 0
    MEMORY = 1
    CACHE = 2
    IOTLB = 3
    INTERRUPT = 4


class GeneralEvents(Word, width=32, ref="VT-d 11.4.13.11"):
    """Events of group 0, by the names of Linux."""

    iommu_clocks = bit(0, "clock cycles")
    iommu_requests = bit(1, "requests that came in")
    pw_occupancy = bit(2, "page walks under way, summed up each cycle")
    ats_blocked = bit(3, "translated requests and ATS requests that were blocked")


class MemoryEvents(Word, width=32, ref="VT-d 11.4.13.11"):
    """Events of group 1, by the names of Linux."""

    iommu_mrds = bit(0, "reads of memory by the unit itself")
    iommu_mem_blocked = bit(5, "cycles in which reads of memory were held up")
    pg_req_posted = bit(6, "page requests put into the queue")


class CacheEvents(Word, width=32, ref="VT-d 11.4.13.11"):
    """Events of group 2, by the names of Linux."""

    ctxt_cache_lookup = bit(0, "look-ups in the context-cache")
    ctxt_cache_hit = bit(1, "hits in the context-cache")
    pasid_cache_lookup = bit(2, "look-ups in the PASID-cache")
    pasid_cache_hit = bit(3, "hits in the PASID-cache")
    ss_nonleaf_lookup = bit(4, "look-ups in the second-stage paging-structure caches")
    ss_nonleaf_hit = bit(5, "hits in the second-stage paging-structure caches")
    fs_nonleaf_lookup = bit(6, "look-ups in the first-stage paging-structure caches")
    fs_nonleaf_hit = bit(7, "hits in the first-stage paging-structure caches")
    hpt_nonleaf_lookup = bit(8, "look-ups in the HPT non-leaf cache")
    hpt_nonleaf_hit = bit(9, "hits in the HPT non-leaf cache")


class IotlbEvents(Word, width=32, ref="VT-d 11.4.13.11"):
    """Events of group 3, by the names of Linux."""

    iotlb_lookup = bit(0, "look-ups in the IOTLB")
    iotlb_hit = bit(1, "hits in the IOTLB")
    hpt_leaf_lookup = bit(2, "look-ups in the HPT leaf cache")
    hpt_leaf_hit = bit(3, "hits in the HPT leaf cache")


class InterruptEvents(Word, width=32, ref="VT-d 11.4.13.11"):
    """Events of group 4, by the names of Linux."""

    int_cache_lookup = bit(0, "look-ups in the interrupt entry cache")
    int_cache_hit_nonposted = bit(1, "hits on an entry for a remapped interrupt")
    int_cache_hit_posted = bit(2, "hits on an entry for a posted interrupt")


class Filter(Word, width=32, ref="VT-d 11.4.13.12"):
    """One filter of a counter: only requests with this value count."""

    VALUE = bits(21, 0, "requester id, domain, PASID (bit 21: with PASID), or kinds", RW)
    EN = bit(31, "the filter is used", RW)


class CounterConfiguration(RegisterBlock, size=0x100, ref="VT-d 11.4.13.12"):
    """What one counter counts; counter n has its own at PERFCFGOFF + 0x100 n."""

    class PERFCNTRCFG(Word, width=64, at=0x00, ref="VT-d 11.4.13.12"):
        """Counter Configuration."""

        INT = bit(1, "raise an interrupt when the counter overflows", RW)
        EGI = bits(11, 8, "Event Group Index", RW, enum=EventGroup)
        ES = bits(59, 32, "Events Select: any of these", RW)

    FILTER_REQUESTER_ID = place(Filter, at=0x08)
    FILTER_DOMAIN = place(Filter, at=0x0C)
    FILTER_PASID = place(Filter, at=0x10)
    FILTER_ATS = place(Filter, at=0x14)
    FILTER_PAGE_TABLE = place(Filter, at=0x18)

    class PERFCNTRCAP(Word, width=32, at=0x80, ref="VT-d 11.4.13.13"):
        """Counter Capability: where it differs from PERFCAP and PERFEVNTCAP."""

        PCC = bit(0, "this counter has capabilities of its own")
        CW = bits(15, 8, "Counter Width in bits")
        IOS = bit(16, "Interrupt on Overflow Support")
        EGCNT = bits(31, 28, "Event Group Count")


class PerformanceMonitoring(RegisterBlock, size=0x1000, ref="VT-d 11.4.13"):
    """Performance monitoring and enhanced commands; all zero without ECAP.PMS and CAP.ECMDS."""

    class PERFCAP(Word, width=64, at=0x300, ref="VT-d 11.4.13.1"):
        """Performance Monitoring Capability."""

        NUM_CNTR = bits(15, 0, "number of counters")
        CNTR_WIDTH = bits(22, 16, "width of the counters in bits")
        NUM_EVENT_GROUP = bits(28, 24, "number of event groups")
        FILTERS = bits(36, 32, "filters: requester id, domain, PASID, ATS, page table")
        INTERRUPT = bit(50, "interrupt on overflow")
        CNTR_STRIDE = bits(54, 52, "counters lie 1 KiB << n apart")

    class PERFCFGOFF(Word, width=32, at=0x310, ref="VT-d 11.4.13.2"):
        """Where the counters' configuration lies."""

        OFFSET = bits(31, 0, "offset from the unit's registers")

    class PERFFRZOFF(Word, width=32, at=0x314, ref="VT-d 11.4.13.3"):
        """Where the freeze status lies."""

        OFFSET = bits(31, 0, "offset from the unit's registers")

    class PERFOVFOFF(Word, width=32, at=0x318, ref="VT-d 11.4.13.4"):
        """Where the overflow status lies."""

        OFFSET = bits(31, 0, "offset from the unit's registers")

    class PERFCNTROFF(Word, width=32, at=0x31C, ref="VT-d 11.4.13.5"):
        """Where the counters lie."""

        OFFSET = bits(31, 0, "offset from the unit's registers")

    class PERFINTRSTS(Word, width=32, at=0x324, ref="VT-d 11.4.13.6"):
        """Performance Monitoring Interrupt Status."""

        PIS = bit(0, "a counter overflowed", RW1CS)

    class PERFEVNTCAP(Word, width=64, at=0x380, ref="VT-d 11.4.13.11"):
        """Events of one group that can be counted."""

        ES = bits(27, 0, "Events Select: bit n is event n of the group")

    PERFEVNTCAP_GROUP = place(PERFEVNTCAP, at=0x388, count=15)

    class ECMD(Word, width=64, at=0x400, ref="VT-d 11.4.14.1"):
        """Enhanced Command; a write starts it."""

        CMD = bits(7, 0, "the command", WO)
        OA = bits(63, 16, "operand A", WO)

    class ECEO(Word, width=64, at=0x408, ref="VT-d 11.4.14.2"):
        """Enhanced Command Extended Operand."""

        OB = bits(63, 0, "operand B", RW)

    class ECRSP(Word, width=64, at=0x410, ref="VT-d 11.4.14.3"):
        """Enhanced Command Response."""

        IP = bit(0, "a command is In Progress", RO)
        SC = bits(7, 1, "Status Code: 0 is success", RO)

    class ECCAP(Word, width=64, at=0x430, ref="VT-d 11.4.14.5"):
        """Enhanced Command Capability, commands 0 to 63."""

        COMMANDS = bits(63, 0, "bit n: command n")

    ECCAP_GROUP = place(ECCAP, at=0x438, count=3)


class EnhancedCommand(IntEnum):
    """Commands of ECMD."""

    ENABLE_COUNTER = 0xF0
    DISABLE_COUNTER = 0xF1
    FREEZE_COUNTERS = 0xF4
    UNFREEZE_COUNTERS = 0xF5
