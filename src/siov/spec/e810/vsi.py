"""Properties of a virtual station interface (VSI): the 128-byte buffer of the VSI admin commands."""

from enum import IntEnum

from siov.spec.word import RW, RegisterBlock, Word, bit, bits

REF = "E810 ice_adminq_cmd.h ice_aqc_vsi_props"


class InnerVlanMode(IntEnum):
    """What of an inner VLAN tag is taken out on receipt."""

    STR_BOTH = 0
    STR_UP = 1
    STR = 2
    NOTHING = 3


class OuterVlanMode(IntEnum):
    """What of an outer VLAN tag is shown in the descriptor on receipt."""

    SHOW_BOTH = 0
    SHOW_UP = 1
    SHOW = 2
    NOTHING = 3


class TxVlanMode(IntEnum):
    """Which packets a VSI may send: untagged ones, tagged ones, or both."""

    ACCEPTUNTAGGED = 1
    ACCEPTTAGGED = 2
    ALL = 3


class OuterTag(IntEnum):
    """Kind of an outer tag."""

    NONE = 0
    STAG = 1
    VLAN_8100 = 2
    VLAN_9100 = 3


class RssLut(IntEnum):
    """Which RSS look-up table a VSI uses."""

    VSI = 0
    PF = 2
    GBL = 3


class RssHash(IntEnum):
    """How a VSI's RSS hash is made."""

    TPLZ = 0
    SYM_TPLZ = 1
    XOR = 2
    JHASH = 3


class UpTable(Word, width=32, ref=REF):
    """A user priority for each of eight."""

    UP0 = bits(2, 0, "for priority 0", RW)
    UP1 = bits(5, 3, "for priority 1", RW)
    UP2 = bits(8, 6, "for priority 2", RW)
    UP3 = bits(11, 9, "for priority 3", RW)
    UP4 = bits(14, 12, "for priority 4", RW)
    UP5 = bits(17, 15, "for priority 5", RW)
    UP6 = bits(20, 18, "for priority 6", RW)
    UP7 = bits(23, 21, "for priority 7", RW)


class VsiProperties(RegisterBlock, size=128, ref=REF):
    """Properties of a VSI; a section counts when its bit in VALID_SECTIONS is set."""

    class VALID_SECTIONS(Word, width=16, at=0, ref=REF):
        """Which sections count."""

        SW_VALID = bit(0, "switch", RW)
        SECURITY_VALID = bit(1, "security", RW)
        VLAN_VALID = bit(2, "inner VLAN", RW)
        OUTER_TAG_VALID = bit(3, "outer tag", RW)
        INGRESS_UP_VALID = bit(4, "user priorities of received packets", RW)
        EGRESS_UP_VALID = bit(5, "user priorities of sent packets", RW)
        RXQ_MAP_VALID = bit(6, "receive queues", RW)
        Q_OPT_VALID = bit(7, "queueing options", RW)
        OUTER_UP_VALID = bit(8, "user priorities of outer tags", RW)
        ACL_VALID = bit(10, "access control lists", RW)
        FLOW_DIR_VALID = bit(11, "flow director", RW)
        PASID_VALID = bit(12, "PASID", RW)

    class SW_ID(Word, width=8, at=2, ref=REF):
        """Switch."""

        SW_ID = bits(7, 0, "the switch that the VSI is on", RW)

    class SW_FLAGS(Word, width=8, at=3, ref=REF):
        """Loopback."""

        ALLOW_LB = bit(5, "packets may be looped back to VSIs of this switch", RW)
        LOCAL_LB = bit(6, "packets looped back may reach the VSI itself", RW)
        SRC_PRUNE = bit(7, "the VSI doesn't receive what it sent", RW)

    class SW_FLAGS2(Word, width=8, at=4, ref=REF):
        """Pruning of received packets, and the way out."""

        RX_VLAN_PRUNE_ENA = bit(0, "packets of other VLANs are pruned", RW)
        RX_PASS_PRUNE_ENA = bit(3, "packets that passed pruning", RW)
        LAN_ENA = bit(4, "packets may go out to the port", RW)

    class VEB_STAT_ID(Word, width=8, at=5, ref=REF):
        """Statistics of the switch."""

        VEB_STAT_ID = bits(4, 0, "counters", RW)
        VALID = bit(5, "VEB_STAT_ID counts", RW)

    class SEC_FLAGS(Word, width=8, at=6, ref=REF):
        """Security."""

        ALLOW_DEST_OVRD = bit(0, "descriptors may override the switch", RW)
        ENA_MAC_ANTI_SPOOF = bit(2, "packets with a foreign source address are dropped", RW)
        TX_VLAN_PRUNE_ENA = bit(4, "sent packets of other VLANs are pruned", RW)

    class PORT_BASED_INNER_VLAN(Word, width=16, at=8, ref=REF):
        """Inner port VLAN, with priority."""

        TCI = bits(15, 0, "tag", RW)

    class INNER_VLAN_FLAGS(Word, width=8, at=12, ref=REF):
        """Inner VLAN."""

        TX_MODE = bits(1, 0, "what may be sent", RW, enum=TxVlanMode)
        INSERT_PVID = bit(2, "the port VLAN is inserted", RW)
        EMODE = bits(4, 3, "what is taken out on receipt", RW, enum=InnerVlanMode)
        BLOCK_TX_DESC = bit(5, "a descriptor can't insert a tag", RW)

    class INGRESS_TABLE(UpTable, width=32, at=16, ref=REF):
        """User priorities of received packets."""

    class EGRESS_TABLE(UpTable, width=32, at=20, ref=REF):
        """User priorities of sent packets."""

    class PORT_BASED_OUTER_VLAN(Word, width=16, at=24, ref=REF):
        """Outer port VLAN, with priority."""

        TCI = bits(15, 0, "tag", RW)

    class OUTER_VLAN_FLAGS(Word, width=8, at=26, ref=REF):
        """Outer tag."""

        EMODE = bits(1, 0, "what is shown on receipt", RW, enum=OuterVlanMode)
        TAG_TYPE = bits(3, 2, "kind of the tag", RW, enum=OuterTag)
        PORT_BASED_INSERT = bit(4, "the port VLAN is inserted", RW)
        TX_MODE = bits(6, 5, "what may be sent", RW, enum=TxVlanMode)
        BLOCK_TX_DESC = bit(7, "a descriptor can't insert a tag", RW)

    class MAPPING_FLAGS(Word, width=16, at=28, ref=REF):
        """How receive queues are given."""

        Q_MAP_NONCONTIG = bit(0, "Q_MAPPING lists each queue; 0: it gives the first", RW)

    class Q_MAPPING(Word, width=16, at=30, count=16, ref=REF):
        """Receive queues; when contiguous, element 0 is the first and element 1 how many there are."""

        Q = bits(10, 0, "queue", RW)

    class TC_MAPPING(Word, width=16, at=62, count=8, ref=REF):
        """Receive queues of a traffic class."""

        Q_OFFSET = bits(10, 0, "first queue, in the VSI", RW)
        Q_NUM = bits(14, 11, "2 to the power of n queues", RW)

    class Q_OPT_RSS(Word, width=8, at=78, ref=REF):
        """RSS."""

        LUT = bits(1, 0, "look-up table", RW, enum=RssLut)
        GBL_LUT = bits(5, 2, "which global one", RW)
        HASH = bits(7, 6, "hash", RW, enum=RssHash)

    class Q_OPT_TC(Word, width=8, at=79, ref=REF):
        """Traffic class."""

        OVR = bits(4, 0, "override", RW)
        PROF_TC_OVR = bit(7, "a profile may override it", RW)

    class Q_OPT_FLAGS(Word, width=8, at=80, ref=REF):
        """Other queueing options."""

        PE_FLTR_EN = bit(0, "filters of the protocol engine", RW)

    class OUTER_UP_TABLE(UpTable, width=32, at=84, ref=REF):
        """User priorities of outer tags."""

    class ACL_DEF_ACT(Word, width=16, at=88, ref=REF):
        """Access control lists."""

        RX_PROF = bits(3, 0, "profile, on receipt", RW)
        RX_TABLE = bits(7, 4, "table, on receipt", RW)
        TX_PROF = bits(11, 8, "profile, on sending", RW)
        TX_TABLE = bits(15, 12, "table, on sending", RW)

    class FD_OPTIONS(Word, width=16, at=90, ref=REF):
        """Flow director."""

        FD_ENABLE = bit(0, "filters apply", RW)
        FD_TX_AUTO_ENABLE = bit(1, "sent packets make filters", RW)
        FD_PROG_ENABLE = bit(3, "descriptors may program filters", RW)

    class MAX_FD_FLTR_DEDICATED(Word, width=16, at=92, ref=REF):
        """Guaranteed filters."""

        NUM = bits(15, 0, "how many", RW)

    class MAX_FD_FLTR_SHARED(Word, width=16, at=94, ref=REF):
        """Shared filters."""

        NUM = bits(15, 0, "how many at most", RW)

    class FD_DEF_Q(Word, width=16, at=96, ref=REF):
        """Flow director's queue when a filter names none."""

        Q = bits(10, 0, "queue", RW)
        GRP = bits(14, 12, "2 to the power of n queues", RW)

    class FD_REPORT_OPT(Word, width=16, at=98, ref=REF):
        """Where results of programming go."""

        Q = bits(10, 0, "queue", RW)
        DEF_PRIORITY = bits(14, 12, "priority of FD_DEF_Q", RW)
        DEF_DROP = bit(15, "packets without a filter are dropped", RW)

    class PASID_ID(Word, width=32, at=100, ref=REF):
        """PASID of the VSI's DMA."""

        PASID = bits(19, 0, "PASID", RW)
        VALID = bit(31, "PASID counts", RW)
