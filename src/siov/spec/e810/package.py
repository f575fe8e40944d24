"""Sections of a package that set the parser up: ours, for Intel's are not public (siov, no specification).

The commands that carry a package (0x0C40 to 0x0C43) and the frame of its buffers (ice_ddp.h) are the E810's.
"""

from enum import IntEnum
from typing import Annotated

from siov.spec.word import RW, RegisterBlock, Word, bits

REF = "siov package"

PACKAGE_BUFFER: Annotated[int, "Bytes of a buffer of a package"] = 4096
FLOW_PROFILES: Annotated[int, "Flow director profiles"] = 128
RSS_GROUPS: Annotated[int, "Groups of packets, each hashed by fields of its own"] = 13


class SectionType(IntEnum):
    """What a section sets."""

    METADATA = 1
    FLOW_PROFILE = 0x5100
    RSS_FIELDS = 0x5101
    FLOW_PROFILE_VSI = 0x5102


class PacketGroup(IntEnum):
    """Kinds of packets."""

    L2 = 0
    IPV4_FRAG = 1
    IPV4_OTHER = 2
    IPV4_UDP = 3
    IPV4_TCP = 4
    IPV4_SCTP = 5
    IPV4_ESP = 6
    IPV6_FRAG = 7
    IPV6_OTHER = 8
    IPV6_UDP = 9
    IPV6_TCP = 10
    IPV6_SCTP = 11
    IPV6_ESP = 12


class HeaderLevel(IntEnum):
    """Which headers of a packet in a tunnel."""

    OUTER = 0
    INNER = 1
    INNERMOST = 2


class HeaderField(IntEnum):
    """Fields of headers; a set has bit n for field n, and the order is that of a hash."""

    ETH_SRC = 0
    ETH_DST = 1
    ETH_ETHERTYPE = 2
    S_VLAN_ID = 3
    C_VLAN_ID = 4
    IPV4_SRC = 5
    IPV4_DST = 6
    IPV4_DSCP = 7
    IPV4_TTL = 8
    IPV4_PROT = 9
    IPV6_SRC = 10
    IPV6_DST = 11
    IPV6_TC = 12
    IPV6_HOP_LIMIT = 13
    IPV6_PROT = 14
    TCP_SRC_PORT = 15
    TCP_DST_PORT = 16
    UDP_SRC_PORT = 17
    UDP_DST_PORT = 18
    SCTP_SRC_PORT = 19
    SCTP_DST_PORT = 20
    GTPU_TEID = 21
    GTPU_EH_PDU = 22
    GTPU_EH_QFI = 23
    L2TPV3_SESS_ID = 24
    ESP_SPI = 25
    AH_SPI = 26
    PPPOE_SESS_ID = 27
    PFCP_S_FIELD = 28
    PFCP_SEID = 29


class FlowProfile(RegisterBlock, size=16, ref=REF):
    """A section of type FLOW_PROFILE: which fields the filters of a profile compare.

    A new profile is no VSI's; one that is changed stays with its VSIs.
    """

    class PROFILE(Word, width=16, at=0, ref=REF):
        """The profile that is set."""

        NUM = bits(15, 0, "profile", RW)

    class GROUP(Word, width=8, at=2, ref=REF):
        """The packets that it is for."""

        GROUP = bits(7, 0, "group", RW, enum=PacketGroup)

    class LEVEL(Word, width=8, at=3, ref=REF):
        """The headers that it is about."""

        LEVEL = bits(7, 0, "level", RW, enum=HeaderLevel)

    class FIELDS(Word, width=64, at=8, ref=REF):
        """What is compared; no field at all deletes the profile."""

        SET = bits(63, 0, "a bit for each field", RW)


class FlowProfileVsi(RegisterBlock, size=8, ref=REF):
    """A section of type FLOW_PROFILE_VSI: whether a VSI uses a profile.

    Only the profiles of the receiving VSI count for a packet; of several for its group, that with the lowest
    number. The profile must be there, or be set by a section before. Filters that a VSI has by a profile go
    when it uses the profile no more; a reset of the function takes all VSIs off all profiles.
    """

    class PROFILE(Word, width=16, at=0, ref=REF):
        """The profile."""

        NUM = bits(15, 0, "profile", RW)

    class VSI(Word, width=16, at=2, ref=REF):
        """The VSI."""

        NUM = bits(15, 0, "VSI", RW)

    class USE(Word, width=8, at=4, ref=REF):
        """Whether it uses the profile."""

        ENA = bits(0, 0, "from now on, else no more", RW)


class RssFields(RegisterBlock, size=112, ref=REF):
    """A section of type RSS_FIELDS: which fields the packets of a VSI are hashed by."""

    class VSI(Word, width=16, at=0, ref=REF):
        """The VSI."""

        NUM = bits(15, 0, "VSI", RW)

    class LEVEL(Word, width=8, at=2, ref=REF):
        """The headers that it is about."""

        LEVEL = bits(7, 0, "level", RW, enum=HeaderLevel)

    class FIELDS(Word, width=64, at=8, count=13, ref=REF):
        """The fields of each group; none: packets of the group have no hash."""

        SET = bits(63, 0, "a bit for each field", RW)
