"""Where every member of every virtchnl structure lies, against what a C compiler says of Linux 6.12's header.

The table is the output of a C program that prints `sizeof` and `offsetof` (size of the structure, then the
offset and size of members by their C names). Structures with a flexible array have the size without it.
"""

import pytest

from siov.spec import virtchnl
from siov.spec.message import Message, Nested, Number, rows, u16, u32
from siov.spec.virtchnl import LENGTHS, Op, QueuePairInfo, VlanCaps, VlanFilter
from siov.spec.word import SpecError

COMPILED: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "VersionInfo": (8, {"major": (0, 4), "minor": (4, 4)}),
    "VfResource": (
        20,
        {
            "num_vsis": (0, 2),
            "num_queue_pairs": (2, 2),
            "max_vectors": (4, 2),
            "max_mtu": (6, 2),
            "vf_cap_flags": (8, 4),
            "rss_key_size": (12, 4),
            "rss_lut_size": (16, 4),
        },
    ),
    "VsiResource": (
        16,
        {
            "vsi_id": (0, 2),
            "num_queue_pairs": (2, 2),
            "vsi_type": (4, 4),
            "qset_handle": (8, 2),
            "default_mac_addr": (10, 6),
        },
    ),
    "TxqInfo": (
        24,
        {
            "vsi_id": (0, 2),
            "queue_id": (2, 2),
            "ring_len": (4, 2),
            "headwb_enabled": (6, 2),
            "dma_ring_addr": (8, 8),
            "dma_headwb_addr": (16, 8),
        },
    ),
    "RxqInfo": (
        40,
        {
            "vsi_id": (0, 2),
            "queue_id": (2, 2),
            "ring_len": (4, 4),
            "hdr_size": (8, 2),
            "splithdr_enabled": (10, 2),
            "databuffer_size": (12, 4),
            "max_pkt_size": (16, 4),
            "crc_disable": (20, 1),
            "rxdid": (21, 1),
            "flags": (22, 1),
            "pad1": (23, 1),
            "dma_ring_addr": (24, 8),
            "rx_split_pos": (32, 4),
            "pad2": (36, 4),
        },
    ),
    "QueuePairInfo": (64, {"txq": (0, 24), "rxq": (24, 40)}),
    "VsiQueueConfigInfo": (8, {}),
    "VectorMap": (
        12,
        {
            "vsi_id": (0, 2),
            "vector_id": (2, 2),
            "rxq_map": (4, 2),
            "txq_map": (6, 2),
            "rxitr_idx": (8, 2),
            "txitr_idx": (10, 2),
        },
    ),
    "IrqMapInfo": (2, {}),
    "QueueSelect": (12, {"rx_queues": (4, 4), "tx_queues": (8, 4)}),
    "EtherAddrList": (4, {}),
    "EtherAddr": (8, {"type": (6, 1)}),
    "VlanFilterList": (4, {}),
    "VlanCaps": (
        40,
        {
            "filtering_support": (0, 8),
            "filtering_ethertype_init": (8, 4),
            "filtering_max_filters": (12, 2),
            "stripping_support": (16, 8),
            "insertion_support": (24, 8),
            "offloads_ethertype_init": (32, 4),
            "ethertype_match": (36, 1),
        },
    ),
    "VlanSupportedCaps": (8, {"outer": (0, 4), "inner": (4, 4)}),
    "VlanFilter": (32, {}),
    "Vlan": (8, {"tci": (0, 2), "tci_mask": (2, 2), "tpid": (4, 2)}),
    "VlanFilterListV2": (8, {"vport_id": (0, 2), "num_elements": (2, 2)}),
    "VlanSetting": (
        16,
        {"outer_ethertype_setting": (0, 4), "inner_ethertype_setting": (4, 4), "vport_id": (8, 2)},
    ),
    "PromiscInfo": (4, {"flags": (2, 2)}),
    "RssKey": (4, {}),
    "RssLut": (4, {}),
    "RssHena": (8, {}),
    "RssHfunc": (8, {"rss_algorithm": (2, 2)}),
    "TcInfo": (8, {}),
    "ChannelInfo": (16, {"count": (0, 2), "offset": (2, 2), "max_tx_rate": (8, 8)}),
    "CloudFilter": (
        272,
        {
            "spec": (0, 128),  # `data` in C
            "mask": (128, 128),
            "flow_type": (256, 4),
            "action": (260, 4),
            "action_meta": (264, 4),
            "field_flags": (268, 1),
        },
    ),
    "L4Spec": (
        52,
        {
            "src_mac": (0, 6),
            "dst_mac": (6, 6),
            "vlan_id": (12, 2),
            "src_ip": (16, 16),
            "dst_ip": (32, 16),
            "src_port": (48, 2),
            "dst_port": (50, 2),
        },
    ),
    "PfEvent": (16, {"event": (0, 4), "link_speed": (4, 4), "link_status": (8, 1), "severity": (12, 4)}),
    "ProtoHdr": (72, {"type": (0, 4), "field_selector": (4, 4), "buffer": (8, 64)}),
    "ProtoHdrs": (
        2312,
        {
            "tunnel_level": (0, 1),
            "count": (4, 4),
            "proto_hdr": (8, 2304),
            "pkt_len": (8, 2),
            "spec": (10, 1024),
            "mask": (1034, 1024),
        },
    ),
    "RssCfg": (2444, {"proto_hdrs": (0, 2312), "rss_algorithm": (2312, 4)}),
    "FilterAction": (
        36,
        {"type": (0, 4), "queue_index": (4, 2), "queue_region": (6, 1), "mark_id": (4, 4)},
    ),
    "FilterActionSet": (292, {"count": (0, 4), "actions": (4, 288)}),
    "FdirRule": (2604, {"proto_hdrs": (0, 2312), "action_set": (2312, 292)}),
    "FdirAdd": (
        2616,
        {
            "vsi_id": (0, 2),
            "validate_only": (2, 2),
            "flow_id": (4, 4),
            "rule_cfg": (8, 2604),
            "status": (2612, 4),
        },
    ),
    "FdirDel": (12, {"flow_id": (4, 4), "status": (8, 4)}),
    "PtpCaps": (48, {}),
    "PhcTime": (16, {}),
    "QosCapList": (4, {}),
    "QosCapElem": (40, {}),
    "QuantaCfg": (12, {}),
    "QueuesBwCfg": (4, {}),
    "QueueBw": (12, {}),
    "VfResRequest": (2, {}),
    # Not in the Linux header: from the size checks in DPDK's.
    "QueueChunk": (8, {}),
    "DelEnaDisQueues": (8, {}),
    "QueueVector": (16, {}),
    "QueueVectorMaps": (8, {}),
    "MaxRssQregion": (8, {}),
    "EthStats": (96, {}),
}

# The bytes that drivers send for a number of elements, by the same program.
ON_THE_WIRE = [
    (Op.CONFIG_VSI_QUEUES, 1, 136),
    (Op.CONFIG_VSI_QUEUES, 4, 328),
    (Op.CONFIG_VSI_QUEUES, 16, 1096),
    (Op.CONFIG_IRQ_MAP, 2, 38),
    (Op.CONFIG_IRQ_MAP, 5, 74),
    (Op.ADD_ETH_ADDR, 1, 20),
    (Op.DEL_ETH_ADDR, 3, 36),
    (Op.ADD_VLAN, 1, 8),
    (Op.DEL_VLAN, 2, 10),
    (Op.ADD_VLAN_V2, 1, 40),
    (Op.DEL_VLAN_V2, 2, 72),
    (Op.ENABLE_CHANNELS, 1, 24),
    (Op.ENABLE_CHANNELS, 4, 72),
    (Op.CONFIG_RSS_KEY, 52, 57),
    (Op.CONFIG_RSS_LUT, 64, 69),
    (Op.CONFIG_RSS_LUT, 512, 517),
    (Op.ENABLE_QUEUES_V2, 1, 16),
    (Op.MAP_QUEUE_VECTOR, 1, 24),
    (Op.CONFIG_QUEUE_BW, 1, 16),
    (Op.CONFIG_QUEUE_TC_MAP, 1, 12),
]


@pytest.mark.parametrize("name", COMPILED)
def test_a_structure_has_the_size_and_offsets_that_a_compiler_gives_it(name: str):
    size, members = COMPILED[name]
    what: type[Message] = getattr(virtchnl, name)
    assert what.size == size
    assert {m: (what.members[m].at, what.members[m].size) for m in members} == members


def test_no_structure_is_without_a_line_in_the_table():
    declared = {
        name
        for name, thing in vars(virtchnl).items()
        if isinstance(thing, type) and issubclass(thing, Message)
    }
    assert declared - set(COMPILED) == {"ShaperBw", "QueueTcMapping", "QueueTcRange"}


@pytest.mark.parametrize(("op", "count", "length"), ON_THE_WIRE)
def test_a_list_has_the_length_that_drivers_send_and_no_other(op: Op, count: int, length: int):
    rule = LENGTHS[op]
    assert rule.of(count) == length
    data = bytearray(length)
    data[rule.count_at : rule.count_at + rule.count_size] = count.to_bytes(rule.count_size, "little")
    assert rule.fits(bytes(data))
    assert not rule.fits(bytes(data[:-1]))
    assert not rule.fits(bytes(data) + b"\0")


@pytest.mark.parametrize("op", [op for op, rule in LENGTHS.items() if rule.element])
def test_a_list_of_no_elements_is_never_well_formed(op: Op):
    for length in range(100):
        assert not LENGTHS[op].fits(bytes(length))


def test_a_member_reads_what_of_and_replace_wrote():
    pair = QueuePairInfo.of(
        txq=virtchnl.TxqInfo.of(ring_len=512, dma_ring_addr=0x1_2345_6780),
        rxq=virtchnl.RxqInfo.of(ring_len=256, rxdid=22),
    )
    assert pair.txq.dma_ring_addr == 0x1_2345_6780
    assert QueuePairInfo.from_bytes(pair.to_bytes()).rxq.rxdid == 22
    assert pair.replace(rxq=pair.rxq.replace(rxdid=1)).rxq.ring_len == 256
    assert pair.to_bytes()[4:6] == b"\x00\x02"


def test_a_number_that_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="num_vsis has 2 bytes"):
        virtchnl.VfResource.of(num_vsis=0x10000)
    with pytest.raises(AttributeError, match="has no member num_vsi; has num_vsis"):
        virtchnl.VfResource.of(num_vsi=1)


def test_decode_says_an_enum_by_name():
    assert virtchnl.FdirDel.of(flow_id=3, status=4).decode()["status"] == "RULE_NONEXIST"


def test_rows_are_the_structures_behind_a_header():
    data = b"head" + VlanFilter.of(inner=virtchnl.Vlan.of(tci=5)).to_bytes() * 3
    assert [row.inner.tci for row in rows(VlanFilter, data, 4, 3)] == [5, 5, 5]
    with pytest.raises(ValueError, match="is 32 bytes; got 0"):
        rows(VlanFilter, data, 4, 4)


def test_members_that_overlap_or_leave_the_structure_are_refused():
    with pytest.raises(SpecError, match="overlaps"):

        class Overlaps(Message, size=8, ref="none"):
            a = u32(0, "a")
            b = u16(2, "b")

    with pytest.raises(SpecError, match="leaves"):

        class Leaves(Message, size=4, ref="none"):
            a = u32(2, "a")


def test_a_class_gives_its_members_and_an_instance_their_values():
    assert isinstance(VlanCaps.filtering_support, Nested)
    assert isinstance(VlanCaps.filtering_max_filters, Number)
    assert VlanCaps.of(filtering_max_filters=8).filtering_max_filters == 8
