"""Flows: header patterns, flow director filters, RSS of chosen fields, cloud filters."""

from enum import IntEnum
from typing import Annotated

from siov.spec.message import Message, nested, octets, s32, u8, u16, u32
from siov.spec.virtchnl.rss import RssAlgorithm

MAX_PROTO_HDRS: Annotated[int, "The most headers of a pattern."] = 32
MAX_RAW_PACKET: Annotated[int, "The most bytes of a pattern in raw form."] = 1024
MAX_ACTIONS: Annotated[int, "The most actions of a filter."] = 8
PROTO_HDRS_AT: Annotated[int, "Byte offset of the first ProtoHdr in ProtoHdrs."] = 8
ACTIONS_AT: Annotated[int, "Byte offset of the first FilterAction in FilterActionSet."] = 4


class ProtoHdrType(IntEnum):
    """A protocol header of a pattern."""

    NONE = 0
    ETH = 1
    S_VLAN = 2
    C_VLAN = 3
    IPV4 = 4
    IPV6 = 5
    TCP = 6
    UDP = 7
    SCTP = 8
    GTPU_IP = 9
    GTPU_EH = 10
    GTPU_EH_PDU_DWN = 11
    GTPU_EH_PDU_UP = 12
    PPPOE = 13
    L2TPV3 = 14
    ESP = 15
    AH = 16
    PFCP = 17


class ProtoHdrField(IntEnum):
    """A field of a protocol header: the header's type times 32, plus the bit in `field_selector`."""

    ETH_SRC = 0x20
    ETH_DST = 0x21
    ETH_ETHERTYPE = 0x22
    S_VLAN_ID = 0x40
    C_VLAN_ID = 0x60
    IPV4_SRC = 0x80
    IPV4_DST = 0x81
    IPV4_DSCP = 0x82
    IPV4_TTL = 0x83
    IPV4_PROT = 0x84
    IPV6_SRC = 0xA0
    IPV6_DST = 0xA1
    IPV6_TC = 0xA2
    IPV6_HOP_LIMIT = 0xA3
    IPV6_PROT = 0xA4
    TCP_SRC_PORT = 0xC0
    TCP_DST_PORT = 0xC1
    UDP_SRC_PORT = 0xE0
    UDP_DST_PORT = 0xE1
    SCTP_SRC_PORT = 0x100
    SCTP_DST_PORT = 0x101
    GTPU_IP_TEID = 0x120
    GTPU_EH_PDU = 0x140
    GTPU_EH_QFI = 0x141
    PPPOE_SESS_ID = 0x1A0
    L2TPV3_SESS_ID = 0x1C0
    ESP_SPI = 0x1E0
    AH_SPI = 0x200
    PFCP_S_FIELD = 0x220
    PFCP_SEID = 0x221


class ProtoHdr(Message, size=72, ref="virtchnl.h, virtchnl_proto_hdr"):
    """One header of a pattern, and which of its fields count."""

    type = s32(0, "the header", ProtoHdrType)
    field_selector = u32(4, "bit n: ProtoHdrField type * 32 + n")
    buffer = octets(8, 64, "the header in network byte order; fields that are not selected mean nothing")


class ProtoHdrs(Message, size=2312, ref="virtchnl.h, virtchnl_proto_hdrs"):
    """A pattern: headers from the outside in, or a packet and a mask (raw form)."""

    tunnel_level = u8(0, "which encapsulation the headers start at; 0: the outermost")
    count = s32(4, "headers; 0: raw form")
    proto_hdr = octets(8, 2304, "the headers, 72 bytes each")
    pkt_len = u16(8, "raw form: bytes of the packet", union=True)
    spec = octets(10, 1024, "raw form: the packet", union=True)
    mask = octets(1034, 1024, "raw form: which of its bits count", union=True)


class RssCfg(Message, size=2444, ref="virtchnl.h, virtchnl_rss_cfg"):
    """ADD_RSS_CFG, DEL_RSS_CFG: hash the selected fields of packets with these headers."""

    proto_hdrs = nested(ProtoHdrs, 0, "the headers; the buffers mean nothing")
    rss_algorithm = s32(2312, "the hash function", RssAlgorithm)
    reserved = octets(2316, 128, "reserved")


class ActionType(IntEnum):
    """What becomes of a packet that a filter matches."""

    DROP = 0
    TC_REDIRECT = 1
    PASSTHRU = 2
    QUEUE = 3
    Q_REGION = 4
    MARK = 5
    COUNT = 6


class FilterAction(Message, size=36, ref="virtchnl.h, virtchnl_filter_action"):
    """One action of a filter."""

    type = s32(0, "what to do", ActionType)
    queue_index = u16(4, "QUEUE, Q_REGION: the (first) queue, relative to the VSI")
    queue_region = u8(6, "Q_REGION: number of queues, as a logarithm to the base of 2")
    mark_id = u32(4, "MARK: the number that packets bear in their descriptors", union=True)
    reserve = octets(4, 32, "room for any action", union=True)


class FilterActionSet(Message, size=292, ref="virtchnl.h, virtchnl_filter_action_set"):
    """The actions of a filter."""

    count = s32(0, "how many")
    actions = octets(4, 288, "the actions, 36 bytes each")


class FdirRule(Message, size=2604, ref="virtchnl.h, virtchnl_fdir_rule"):
    """A flow director filter: pattern and actions."""

    proto_hdrs = nested(ProtoHdrs, 0, "the pattern")
    action_set = nested(FilterActionSet, 2312, "the actions")


class FdirStatus(IntEnum):
    """How a request about a flow director filter ended."""

    SUCCESS = 0
    RULE_NORESOURCE = 1
    RULE_EXIST = 2
    RULE_CONFLICT = 3
    RULE_NONEXIST = 4
    RULE_INVALID = 5
    RULE_TIMEOUT = 6
    QUERY_INVALID = 7


class FdirAdd(Message, size=2616, ref="virtchnl.h, virtchnl_fdir_add"):
    """ADD_FDIR_FILTER, and the reply, which is the request with `flow_id` and `status`."""

    vsi_id = u16(0, "the VSI")
    validate_only = u16(2, "1: only say whether it could be done")
    flow_id = u32(4, "reply: the filter's number")
    rule_cfg = nested(FdirRule, 8, "the filter")
    status = s32(2612, "reply: how it ended", FdirStatus)


class FdirDel(Message, size=12, ref="virtchnl.h, virtchnl_fdir_del"):
    """DEL_FDIR_FILTER, and the reply, which is the request with `status`."""

    vsi_id = u16(0, "the VSI")
    pad = u16(2, "padding")
    flow_id = u32(4, "the filter's number")
    status = s32(8, "reply: how it ended", FdirStatus)


class L4Spec(Message, size=52, ref="virtchnl.h, virtchnl_l4_spec"):
    """The fields that a cloud filter matches, all in network byte order."""

    src_mac = octets(0, 6, "source MAC address")
    dst_mac = octets(6, 6, "destination MAC address")
    vlan_id = octets(12, 2, "VLAN id")
    pad = octets(14, 2, "padding")
    src_ip = octets(16, 16, "source IP address; IPv4 takes the first 4 bytes")
    dst_ip = octets(32, 16, "destination IP address")
    src_port = octets(48, 2, "source port")
    dst_port = octets(50, 2, "destination port")


class FlowType(IntEnum):
    """The packets that a cloud filter is for."""

    TCP_V4_FLOW = 0
    TCP_V6_FLOW = 1
    UDP_V4_FLOW = 2
    UDP_V6_FLOW = 3


class CloudFilter(Message, size=272, ref="virtchnl.h, virtchnl_filter"):
    """ADD_CLOUD_FILTER, DEL_CLOUD_FILTER."""

    spec = octets(0, 128, "L4Spec (`data` in the header)")
    mask = octets(128, 128, "which of its bits count")
    flow_type = s32(256, "the packets it is for", FlowType)
    action = s32(260, "what to do", ActionType)
    action_meta = u32(264, "the traffic class")
    field_flags = u8(268, "further fields")
