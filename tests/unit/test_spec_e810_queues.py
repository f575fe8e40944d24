"""Descriptors, queue contexts and packet types of the E810, by numbers typed from the drivers' headers."""

import pytest

from siov.spec import e810
from siov.spec.e810 import DTYPE, IIPT, L4T, Ptype, RxQueueContext, TxQueueContext


def places(word) -> dict[str, tuple[int, int]]:
    return {name: (field.width, field.lo) for name, field in word.fields.items()}


def test_a_data_descriptor_as_a_driver_fills_it():
    # cmd = EOP | RS | ICRC | IL2TAG1 | IIPT_IPV4_CSUM | L4T_EOFT_TCP, MACLEN 14, IPLEN 20, L4LEN 20 bytes
    cmd = 0x0001 | 0x0002 | 0x0004 | 0x0008 | 0x0060 | 0x0100
    offset = 14 // 2 | 20 // 4 << 7 | 20 // 4 << 14
    word = e810.TxDataQw1(0 | cmd << 4 | offset << 16 | 1500 << 34 | 0xA064 << 48)
    assert word == e810.TxDataQw1.of(
        DTYPE=DTYPE.DATA, EOP=1, RS=1, ICRC=1, IL2TAG1=1, IIPT=IIPT.IPV4_CSUM, L4T=L4T.TCP,
        MACLEN=7, IPLEN=5, L4LEN=5, TX_BUF_SZ=1500, L2TAG1=0xA064,
    )  # fmt: skip


def test_a_data_descriptor_s_dummy_and_event_bits_are_0x10_and_0x400_of_its_command():
    assert e810.TxDataQw1.DUMMY.mask == 0x10 << 4
    assert e810.TxDataQw1.RE.mask == 0x400 << 4
    assert (e810.TxDataQw1.L4T.mask, e810.TxDataQw1.IIPT.mask) == (0x300 << 4, 0x60 << 4)


def test_a_context_descriptor_as_a_driver_fills_it():
    tso_len, mss = 10_000, 1448
    word = e810.TxCtxQw1(1 | (0x01 | 0x04 | 0x30) << 4 | tso_len << 30 | mss << 50)
    assert word == e810.TxCtxQw1.of(DTYPE=DTYPE.CTX, TSO=1, IL2TAG2=1, SWTCH=3, TSO_LEN=tso_len, MSS=mss)
    tunnel = 3 | 20 // 4 << 2 | 1 << 9 | 1 << 11 | 8 << 12 | 2 << 19 | 1 << 23
    assert e810.TxCtxQw0(tunnel | 0x64 << 32) == e810.TxCtxQw0.of(
        EIPT=3, EIPLEN=5, L4TUNT=1, EIP_NOINC=1, NATLEN=8, DECTTL=2, L4T_CS=1, L2TAG2=0x64
    )


def test_the_types_of_transmit_descriptors():
    assert {t.name: int(t) for t in DTYPE} == {
        "DATA": 0, "CTX": 1, "FLTR_PROG": 8, "FLEX_DATA": 0xB, "FLEX_TSO_CTX": 0xC, "FLEX_CTX": 0xD,
        "DESC_DONE": 0xF,
    }  # fmt: skip
    assert e810.TxDoneQw1.of(DTYPE=DTYPE.DESC_DONE).raw == 0xF


def test_the_fields_of_a_filter_program_descriptor():
    assert places(e810.FltrProgQw0) == {
        "QINDEX": (11, 0), "COMP_Q": (1, 11), "COMP_REPORT": (2, 12), "FD_SPACE": (2, 14),
        "STAT_CNT": (13, 16), "STAT_ENA": (2, 29), "EVICT_ENA": (1, 31), "TO_Q": (3, 32),
        "TO_Q_PRI": (3, 35), "DPU_RECIPE": (2, 38), "DROP": (1, 40), "FLEX_PRI": (3, 41),
        "FLEX_MDID": (4, 44), "FLEX_VAL": (16, 48),
    }  # fmt: skip
    assert places(e810.FltrProgQw1) == {
        "DTYPE": (4, 0), "PCMD": (1, 4), "PROF_PRI": (3, 5), "PROF": (6, 8), "FD_VSI": (10, 14),
        "SWAP": (1, 24), "FDID_PRI": (3, 25), "FDID_MDID": (4, 28), "FDID": (32, 32),
    }  # fmt: skip
    assert places(e810.FltrWbQw1) == {
        "DD": (1, 0), "PROG_ID": (2, 1), "FAIL": (1, 4), "FAIL_PROF": (1, 5), "FLT_ADDR": (14, 8),
        "PKT_PROF": (7, 28), "BUKT_HASH": (26, 38),
    }  # fmt: skip


def test_the_fields_of_a_legacy_write_back():
    assert places(e810.RxLegacyQw0) == {"MIRROR": (16, 0), "L2TAG1": (16, 16), "RSS": (32, 32)}
    status = {
        "DD": (1, 0), "EOF": (1, 1), "L2TAG1P": (1, 2), "L3L4P": (1, 3), "CRCP": (1, 4), "TSYNINDX": (2, 5),
        "TSYNVALID": (1, 7), "EXT_UDP_0": (1, 8), "UMBCAST": (2, 9), "FLM": (1, 11), "FLTSTAT": (2, 12),
        "LPBK": (1, 14), "IPV6EXADD": (1, 15), "INT_UDP_0": (1, 18),
    }  # fmt: skip
    errors = ("RXE", "RECIPE", "HBO", "IPE", "L4E", "EIPE", "OVERSIZE", "PPRS")
    rest = {"PTYPE": (8, 30), "LEN_PBUF": (14, 38), "LEN_HBUF": (11, 52), "SPH": (1, 63)}
    assert places(e810.RxLegacyQw1) == status | {name: (1, 19 + n) for n, name in enumerate(errors)} | rest
    assert places(e810.RxLegacyQw2) == {
        "L2TAG2P": (1, 0), "L2TAG3P": (1, 1), "FLEXBL": (2, 2), "FLEXBH": (2, 4), "FDLONGB": (1, 9),
        "PELONGB": (1, 11), "L2TAG2_1": (16, 32), "L2TAG2_2": (16, 48),
    }  # fmt: skip
    assert places(e810.RxLegacyQw3) == {"FLEX_LO": (32, 0), "FD_ID": (32, 32)}


def test_the_fields_of_a_flexible_write_back():
    assert places(e810.RxFlexQw0) == {
        "RXDID": (8, 0), "MIR_ID": (6, 8), "UMBCAST": (2, 14), "PTYPE": (10, 16), "FLEXI_FLAGS0": (6, 26),
        "PKT_LEN": (14, 32), "HDR_LEN": (11, 48), "SPH": (1, 59), "EXT_UDP": (1, 60), "INT_UDP": (1, 61),
        "RECIPE": (1, 62), "OVERSIZE": (1, 63),
    }  # fmt: skip
    status0 = (
        "DD", "EOF", "HBO", "L3L4P", "IPE", "L4E", "EIPE", "EUDPE", "LPBK", "IPV6EXADD", "RXE", "CRCP",
        "RSS_VALID", "L2TAG1P", "XTRMD0_VALID", "XTRMD1_VALID",
    )  # fmt: skip
    common = {name: (1, n) for n, name in enumerate(status0)} | {"L2TAG1": (16, 16)}
    assert places(e810.RxFlexNicQw1) == common | {"RSS_HASH": (32, 32)}
    assert places(e810.RxFlexOvsQw1) == common | {"FLOW_ID": (32, 32)}
    qw2 = places(e810.RxFlexQw2)
    assert qw2["NAT"] == (1, 4)
    assert qw2["L2TAG2P"] == (1, 11)
    assert (qw2["TS_L_VALID"], qw2["TS_L"]) == ((1, 24), (7, 25))
    assert (qw2["L2TAG2_1ST"], qw2["L2TAG2_2ND"]) == ((16, 32), (16, 48))
    assert places(e810.RxFlexNicQw3) == {"FLOW_ID": (32, 0), "TS_HIGH": (32, 32)}
    assert places(e810.RxFlexOvsQw3) == {"RSS_HASH": (32, 0), "TS_HIGH": (32, 32)}


def test_the_numbers_of_write_back_profiles():
    assert e810.RXDID.LEGACY_1 == 1
    assert e810.RXDID.FLEX_NIC == 2
    assert e810.RXDID.FLEX_NIC_2 == 6
    assert e810.RXDID.COMMS_GENERIC == 16
    assert e810.RXDID.COMMS_OVS_1 == 22
    assert e810.RXDID.COMMS_AUX_IP_OFFSET == 25


RLAN = {  # ice_rlan_ctx_info: width, lowest bit
    "HEAD": (13, 0), "CPUID": (8, 13), "QLEN": (13, 89), "DBUF": (7, 102), "HBUF": (5, 109),
    "DTYPE": (2, 114), "DSIZE": (1, 116), "CRCSTRIP": (1, 117), "L2TSEL": (1, 119), "HSPLIT_0": (4, 120),
    "HSPLIT_1": (2, 124), "SHOWIV": (1, 127), "RXMAX": (14, 174), "TPHRDESC_ENA": (1, 193),
    "TPHWDESC_ENA": (1, 194), "TPHDATA_ENA": (1, 195), "TPHHEAD_ENA": (1, 196), "LRXQTHRESH": (3, 198),
    "PREFENA": (1, 201),
}  # fmt: skip

TLAN = {  # ice_tlan_ctx_info
    "BASE": (57, 0), "PORT_NUM": (3, 57), "PF_NUM": (3, 65), "VMVF_NUM": (10, 68), "VMVF_TYPE": (2, 78),
    "SRC_VSI": (10, 80), "TSYN_ENA": (1, 90), "INTERNAL_USAGE_FLAG": (1, 91), "ALT_VLAN": (1, 92),
    "CPUID": (8, 93), "WB_MODE": (1, 101), "TPHRD_DESC": (1, 102), "TPHRD": (1, 103), "TPHWR_DESC": (1, 104),
    "CMPQ_ID": (9, 105), "QNUM_IN_FUNC": (14, 114), "ITR_NOTIFICATION_MODE": (1, 128),
    "ADJUST_PROF_ID": (6, 129), "QLEN": (13, 135), "QUANTA_PROF_IDX": (4, 148), "TSO_ENA": (1, 152),
    "TSO_QNUM": (11, 153), "LEGACY_INT": (1, 164), "DROP_ENA": (1, 165), "CACHE_PROF_IDX": (2, 166),
    "PKT_SHAPER_PROF_IDX": (3, 168),
}  # fmt: skip


def test_a_receive_context_s_fields_are_where_the_driver_packs_them():
    # The base's 57 bits from bit 32 on lie astride a 64-bit boundary, so they are two fields.
    assert places(RxQueueContext) == RLAN | {"BASE_LO": (32, 32), "BASE_HI": (25, 64)}


def test_a_transmit_context_s_fields_are_where_the_driver_packs_them():
    assert places(TxQueueContext) == TLAN | {
        "CGD_NUM_LO": (4, 60),
        "CGD_NUM_HI": (1, 64),
        "INT_Q_STATE": (5, 171),
    }


def test_a_receive_context_fills_the_registers_that_hold_it():
    per_queue = e810.Bar0.spans["QRX_CONTEXT"].count // e810.RX_QUEUES
    assert RxQueueContext.width == per_queue * 32 == e810.RX_CONTEXT_BYTES * 8 == 256


def test_a_transmit_context_s_fields_fit_the_command_that_adds_the_queue():
    assert max(field.hi for field in TxQueueContext.fields.values()) < e810.TX_CONTEXT_BYTES * 8 == 176
    assert e810.AqTxQueue.TXQ_CTX_0.lo == 8 * 8
    assert e810.AqTxQueue.TXQ_CTX_2.hi == 8 * 8 + 176 - 1


def test_a_receive_context_survives_its_bytes():
    base = 0x12_3456_789A_BC80 >> 7
    context = RxQueueContext.of(BASE_LO=base & 0xFFFF_FFFF, BASE_HI=base >> 32, QLEN=512, DSIZE=1, RXMAX=9728)
    data = context.to_bytes()
    assert int.from_bytes(data[4:12], "little") & (1 << 57) - 1 == base
    assert RxQueueContext.from_bytes(data) == context


def test_packet_types_of_ip_come_in_the_driver_s_order():
    assert [int(Ptype[f"IPV4{p}"]) for p in ("_FRAG", "", "_UDP", "_TCP", "_SCTP", "_ICMP")] == [
        22, 23, 24, 26, 27, 28,
    ]  # fmt: skip
    assert [int(Ptype[f"IPV6{p}"]) for p in ("_FRAG", "", "_UDP", "_TCP", "_SCTP", "_ICMP")] == [
        88, 89, 90, 92, 93, 94,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("IPV4_IP_IPV4_FRAG", 29),
        ("IPV4_IP_IPV6_FRAG", 36),
        ("IPV4_GRENAT", 43),
        ("IPV4_GRENAT_IPV4_TCP", 48),
        ("IPV4_GRENAT_MAC", 58),
        ("IPV4_GRENAT_MAC_IPV4_UDP", 61),
        ("IPV4_GRENAT_MAC_IPV6_ICMP", 72),
        ("IPV4_GRENAT_MAC_VLAN", 73),
        ("IPV4_GRENAT_MAC_VLAN_IPV6_ICMP", 87),
        ("IPV6_IP_IPV4_FRAG", 95),
        ("IPV6_GRENAT", 109),
        ("IPV6_GRENAT_MAC", 124),
        ("IPV6_GRENAT_MAC_VLAN", 139),
        ("IPV6_GRENAT_MAC_VLAN_IPV6_ICMP", 153),
        ("L2", 1),
        ("L2_TIMESYNC", 2),
        ("L2_ARP", 11),
    ],
)
def test_a_packet_type_has_the_driver_s_number(name, number):
    assert Ptype[name] == number


def test_the_packet_types_that_are_missing_are_those_that_the_driver_calls_unused():
    unused = set(range(154)) - {int(ptype) for ptype in Ptype}
    ip = {25, 32, 39, 47, 54, 62, 69, 77, 84, 91, 98, 105, 113, 120, 128, 135, 143, 150}
    assert unused == {0, 4, 5, 8, 9} | ip
    assert max(Ptype) == e810.PTYPES - 1


def test_a_packet_type_tells_how_the_packet_is_built():
    inner = Ptype.IPV6_GRENAT_MAC_VLAN_IPV4_UDP
    assert (inner.is_ipv6, inner.is_ipv4, inner.is_tunnel, inner.is_udp, inner.is_tcp) == (1, 0, 1, 1, 0)
    assert (Ptype.IPV4_FRAG.is_fragment, Ptype.IPV4_FRAG.is_tunnel) == (True, False)
    assert [t for t in Ptype if t.is_sctp and not t.is_tunnel] == [Ptype.IPV4_SCTP, Ptype.IPV6_SCTP]
    assert not any(t.is_ipv4 or t.is_ipv6 or t.is_tunnel for t in Ptype if t < 22)
