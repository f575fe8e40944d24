"""Operations, status and capabilities: the words of the mailbox between a VF's driver and the PF's."""

from enum import IntEnum
from typing import Annotated

from siov.spec.word import Word, bit

VERSION_MAJOR: Annotated[int, "Major number of the protocol; a VF of another one can't work."] = 1
VERSION_MINOR: Annotated[int, "Minor number; from 1 on, GET_VF_RESOURCES carries capabilities."] = 1
MESSAGE_BYTES: Annotated[int, "The largest message: the mailbox buffers of all drivers have this size."] = (
    4096
)
AQ_SEND_TO_PF: Annotated[int, "Admin queue opcode of a descriptor that carries a message to the PF."] = 0x0801
AQ_SEND_TO_VF: Annotated[int, "Admin queue opcode of a descriptor that carries a message to a VF."] = 0x0802


class Op(IntEnum):
    """What a message asks (the descriptor's cookie_high); a reply bears the opcode of its request."""

    UNKNOWN = 0
    VERSION = 1
    RESET_VF = 2
    GET_VF_RESOURCES = 3
    CONFIG_TX_QUEUE = 4
    CONFIG_RX_QUEUE = 5
    CONFIG_VSI_QUEUES = 6
    CONFIG_IRQ_MAP = 7
    ENABLE_QUEUES = 8
    DISABLE_QUEUES = 9
    ADD_ETH_ADDR = 10
    DEL_ETH_ADDR = 11
    ADD_VLAN = 12
    DEL_VLAN = 13
    CONFIG_PROMISCUOUS_MODE = 14
    GET_STATS = 15
    RSVD = 16
    EVENT = 17
    CONFIG_RSS_HFUNC = 18
    CONFIG_RSS_KEY = 23
    CONFIG_RSS_LUT = 24
    GET_RSS_HENA_CAPS = 25
    SET_RSS_HENA = 26
    ENABLE_VLAN_STRIPPING = 27
    DISABLE_VLAN_STRIPPING = 28
    REQUEST_QUEUES = 29
    ENABLE_CHANNELS = 30
    DISABLE_CHANNELS = 31
    ADD_CLOUD_FILTER = 32
    DEL_CLOUD_FILTER = 33
    INLINE_IPSEC_CRYPTO = 34
    GET_SUPPORTED_RXDIDS = 44
    ADD_RSS_CFG = 45
    DEL_RSS_CFG = 46
    ADD_FDIR_FILTER = 47
    DEL_FDIR_FILTER = 48
    GET_MAX_RSS_QREGION = 50
    GET_OFFLOAD_VLAN_V2_CAPS = 51
    ADD_VLAN_V2 = 52
    DEL_VLAN_V2 = 53
    ENABLE_VLAN_STRIPPING_V2 = 54
    DISABLE_VLAN_STRIPPING_V2 = 55
    ENABLE_VLAN_INSERTION_V2 = 56
    DISABLE_VLAN_INSERTION_V2 = 57
    ENABLE_VLAN_FILTERING_V2 = 58
    DISABLE_VLAN_FILTERING_V2 = 59
    PTP_GET_CAPS = 60
    PTP_GET_TIME = 61
    GET_QOS_CAPS = 66
    CONFIG_QUEUE_TC_MAP = 67
    ENABLE_QUEUES_V2 = 107
    DISABLE_QUEUES_V2 = 108
    MAP_QUEUE_VECTOR = 111
    CONFIG_QUEUE_BW = 112
    CONFIG_QUANTA = 113
    FLOW_SUBSCRIBE = 114
    FLOW_UNSUBSCRIBE = 115


class Status(IntEnum):
    """How a request ended (the descriptor's cookie_low, signed)."""

    SUCCESS = 0
    ERR_PARAM = -5
    ERR_NO_MEMORY = -18
    ERR_OPCODE_MISMATCH = -38
    ERR_CQP_COMPL_ERROR = -39
    ERR_INVALID_VF_ID = -40
    ERR_ADMIN_QUEUE_ERROR = -53
    ERR_NOT_SUPPORTED = -64


class VfCaps(Word, width=32, ref="virtchnl.h, VIRTCHNL_VF_CAP_* and VIRTCHNL_VF_OFFLOAD_*"):
    """Capabilities: what a VF's driver asks for in GET_VF_RESOURCES, and what the PF grants in the reply."""

    L2 = bit(0, "Ethernet: what every VF has")
    RDMA = bit(1, "RDMA")
    RSS_AQ = bit(3, "RSS by admin queue commands of the VF's own")
    RSS_REG = bit(4, "RSS by registers of the VF's own")
    WB_ON_ITR = bit(5, "descriptors are written back when a throttling interval ends, without interrupt")
    REQ_QUEUES = bit(6, "another number of queues may be asked for")
    ADV_LINK_SPEED = bit(7, "link events give the speed in Mbit/s")
    INLINE_IPSEC = bit(8, "inline IPsec")
    LARGE_NUM_QPAIRS = bit(9, "more than 16 queue pairs")
    CRC = bit(10, "a queue may keep the frame's CRC")
    TC_U32 = bit(11, "tc u32 offload")
    FSUB_PF = bit(14, "flow subscription")
    VLAN_V2 = bit(15, "VLAN offloads and filters, second form")
    VLAN = bit(16, "VLAN offloads and filters, first form")
    RX_POLLING = bit(17, "receive queues that are polled")
    RSS_PCTYPE_V2 = bit(18, "more packet types for RSS")
    RSS_PF = bit(19, "RSS by messages to the PF")
    ENCAP = bit(20, "tunnel offloads")
    ENCAP_CSUM = bit(21, "outer checksums of tunnels")
    RX_ENCAP_CSUM = bit(22, "receive checksums of tunnels")
    ADQ = bit(23, "application device queues")
    ADQ_V2 = bit(24, "application device queues, second form")
    USO = bit(25, "UDP segmentation")
    RX_FLEX_DESC = bit(26, "flexible receive descriptors")
    ADV_RSS_PF = bit(27, "RSS of chosen header fields")
    FDIR_PF = bit(28, "flow director filters")
    QOS = bit(29, "traffic classes, bandwidth and quanta")
    DCF = bit(30, "the VF configures the device")
    PTP = bit(31, "time stamps and the clock")
