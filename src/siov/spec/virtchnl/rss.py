"""Receive-side scaling: key, table, function, packet types."""

from enum import IntEnum
from typing import Annotated

from siov.spec.message import Message, octets, u16, u64
from siov.spec.word import Word, bit

RSS_KEY_SIZE: Annotated[int, "Bytes of an ice VF's hash key."] = 52
RSS_LUT_SIZE: Annotated[int, "Entries of an ice VF's table."] = 64


class RssAlgorithm(IntEnum):
    """The hash function (CONFIG_RSS_HFUNC, ADD_RSS_CFG)."""

    TOEPLITZ_ASYMMETRIC = 0
    R_ASYMMETRIC = 1
    TOEPLITZ_SYMMETRIC = 2
    XOR_SYMMETRIC = 3


class RssKey(Message, size=4, ref="virtchnl.h, virtchnl_rss_key"):
    """CONFIG_RSS_KEY: followed by `key_len` bytes, and one spare."""

    vsi_id = u16(0, "the VSI")
    key_len = u16(2, "bytes of the key that follows")


class RssLut(Message, size=4, ref="virtchnl.h, virtchnl_rss_lut"):
    """CONFIG_RSS_LUT: followed by `lut_entries` bytes, each a queue, and one spare."""

    vsi_id = u16(0, "the VSI")
    lut_entries = u16(2, "entries that follow")


class RssHfunc(Message, size=8, ref="virtchnl.h, virtchnl_rss_hfunc"):
    """CONFIG_RSS_HFUNC: the hash function."""

    vsi_id = u16(0, "the VSI")
    rss_algorithm = u16(2, "the function", RssAlgorithm)
    reserved = octets(4, 4, "reserved")


class RssHena(Message, size=8, ref="virtchnl.h, virtchnl_rss_hena"):
    """SET_RSS_HENA, and the reply to GET_RSS_HENA_CAPS."""

    hena = u64(0, "Hena: packet types that are hashed")


class Hena(Word, width=64, ref="virtchnl.h of the i40e family, packet classifier types"):
    """Packet types that are hashed."""

    UNICAST_IPV4_UDP = bit(29, "UDP in unicast IPv4")
    MULTICAST_IPV4_UDP = bit(30, "UDP in multicast IPv4")
    IPV4_UDP = bit(31, "UDP in IPv4")
    IPV4_TCP_SYN = bit(32, "TCP SYN in IPv4")
    IPV4_TCP = bit(33, "TCP in IPv4")
    IPV4_SCTP = bit(34, "SCTP in IPv4")
    IPV4_OTHER = bit(35, "anything else in IPv4")
    FRAG_IPV4 = bit(36, "fragments of IPv4")
    UNICAST_IPV6_UDP = bit(39, "UDP in unicast IPv6")
    MULTICAST_IPV6_UDP = bit(40, "UDP in multicast IPv6")
    IPV6_UDP = bit(41, "UDP in IPv6")
    IPV6_TCP_SYN = bit(42, "TCP SYN in IPv6")
    IPV6_TCP = bit(43, "TCP in IPv6")
    IPV6_SCTP = bit(44, "SCTP in IPv6")
    IPV6_OTHER = bit(45, "anything else in IPv6")
    FRAG_IPV6 = bit(46, "fragments of IPv6")
    L2_PAYLOAD = bit(63, "anything else")


class MaxRssQregion(Message, size=8, ref="virtchnl.h, virtchnl_max_rss_qregion"):
    """GET_MAX_RSS_QREGION, reply: over how many queues the VF's table may spread."""

    vport_id = u16(0, "the VSI")
    qregion_width = u16(2, "their number's logarithm to the base of 2")
    pad = octets(4, 4, "padding")
