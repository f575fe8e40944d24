"""Clock, traffic classes, bandwidth and quanta: messages of newer drivers."""

from siov.spec.message import Message, nested, octets, s32, u8, u16, u32, u64
from siov.spec.virtchnl.queues import QueueChunk
from siov.spec.word import Word, bit


class PtpCapBits(Word, width=32, ref="virtchnl.h, VIRTCHNL_1588_PTP_CAP_*"):
    """What a VF may do with the clock."""

    RX_TSTAMP = bit(1, "receive time stamps")
    READ_PHC = bit(2, "read the clock")


class PtpCaps(Message, size=48, ref="virtchnl.h, virtchnl_ptp_caps"):
    """PTP_GET_CAPS (1588_PTP_GET_CAPS), request and reply."""

    caps = u32(0, "PtpCapBits")
    rsvd = octets(4, 44, "reserved")


class PhcTime(Message, size=16, ref="virtchnl.h, virtchnl_phc_time"):
    """PTP_GET_TIME (1588_PTP_GET_TIME), request and reply."""

    time = u64(0, "the clock, in nanoseconds")
    rsvd = octets(8, 8, "reserved")


class ShaperBw(Message, size=8, ref="virtchnl.h, virtchnl_shaper_bw"):
    """Bandwidth limits."""

    committed = u32(0, "guaranteed, kbit/s")
    peak = u32(4, "the most, kbit/s")


class QosCapElem(Message, size=40, ref="virtchnl.h, virtchnl_qos_cap_elem"):
    """One traffic class."""

    tc_num = u8(0, "the class")
    tc_prio = u8(1, "bit n: user priority n")
    arbiter = u8(2, "0 strict, 2 ETS")
    weight = u8(3, "share in ETS")
    type = s32(4, "kind of limit; 0: shaper")
    shaper = nested(ShaperBw, 8, "limits")
    pad = octets(16, 24, "room for other limits")


class QosCapList(Message, size=4, ref="virtchnl.h, virtchnl_qos_cap_list"):
    """GET_QOS_CAPS, reply: followed by `num_elem` of QosCapElem."""

    vsi_id = u16(0, "the VSI")
    num_elem = u16(2, "classes that follow")


class QueueTcMapping(Message, size=8, ref="virtchnl.h, virtchnl_queue_tc_mapping"):
    """CONFIG_QUEUE_TC_MAP: followed by `num_tc` of QueueTcRange."""

    vsi_id = u16(0, "the VSI")
    num_tc = u16(2, "classes that follow")
    num_queue_pairs = u16(4, "queue pairs in all")
    pad = u16(6, "padding")


class QueueTcRange(Message, size=4, ref="virtchnl.h, virtchnl_queue_tc_mapping"):
    """The queues of one traffic class."""

    start_queue_id = u16(0, "the first queue; in the reply, the kind of priority")
    queue_count = u16(2, "how many; in the reply, a bitmap of priorities")


class QueueBw(Message, size=12, ref="virtchnl.h, virtchnl_queue_bw"):
    """The limits of one queue."""

    queue_id = u16(0, "the queue")
    tc = u8(2, "its traffic class")
    pad = u8(3, "padding")
    shaper = nested(ShaperBw, 4, "limits")


class QueuesBwCfg(Message, size=4, ref="virtchnl.h, virtchnl_queues_bw_cfg"):
    """CONFIG_QUEUE_BW: followed by `num_queues` of QueueBw."""

    vsi_id = u16(0, "the VSI")
    num_queues = u16(2, "queues that follow")


class QuantaCfg(Message, size=12, ref="virtchnl.h, virtchnl_quanta_cfg"):
    """CONFIG_QUANTA: how much a queue sends at a turn."""

    quanta_size = u16(0, "bytes")
    queue_select = nested(QueueChunk, 4, "the queues")


class ChannelInfo(Message, size=16, ref="virtchnl.h, virtchnl_channel_info"):
    """The queues of one channel."""

    count = u16(0, "queues")
    offset = u16(2, "the first queue")
    pad = u32(4, "padding")
    max_tx_rate = u64(8, "Mbit/s")


class TcInfo(Message, size=8, ref="virtchnl.h, virtchnl_tc_info"):
    """ENABLE_CHANNELS: followed by `num_tc` of ChannelInfo."""

    num_tc = u32(0, "channels that follow")
    pad = u32(4, "padding")
