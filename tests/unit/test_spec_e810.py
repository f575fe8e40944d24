"""The registers of the E810 lie where Intel's drivers reach for them, by numbers typed from their headers."""

import pytest

from siov.spec import e810
from siov.spec.e810 import Bar0, Bar3, Pages
from siov.spec.word import RW1C, RegisterBlock, Word

SINGLE = {  # ice_hw_autogen.h
    "PF_FW_ATQBAL": 0x00080000, "PF_FW_ARQBAL": 0x00080080, "PF_FW_ATQBAH": 0x00080100,
    "PF_FW_ARQBAH": 0x00080180, "PF_FW_ATQLEN": 0x00080200, "PF_FW_ARQLEN": 0x00080280,
    "PF_FW_ATQH": 0x00080300, "PF_FW_ARQH": 0x00080380, "PF_FW_ATQT": 0x00080400, "PF_FW_ARQT": 0x00080480,
    "PF_MBX_ATQBAL": 0x0022E100, "PF_MBX_ATQBAH": 0x0022E180, "PF_MBX_ATQLEN": 0x0022E200,
    "PF_MBX_ATQH": 0x0022E280, "PF_MBX_ATQT": 0x0022E300, "PF_MBX_ARQBAL": 0x0022E380,
    "PF_MBX_ARQBAH": 0x0022E400, "PF_MBX_ARQLEN": 0x0022E480, "PF_MBX_ARQH": 0x0022E500,
    "PF_MBX_ARQT": 0x0022E580, "GL_MBX_PASID": 0x00231EC0,
    "GLGEN_RSTAT": 0x000B8188, "GLGEN_RTRIG": 0x000B8190, "GLGEN_RSTCTL": 0x000B8180,
    "GLGEN_STAT": 0x000B612C, "PFGEN_CTRL": 0x00091000, "PFGEN_STATE": 0x00088000,
    "PRTGEN_STATUS": 0x000B8100, "PF_FUNC_RID": 0x0009E880, "PFPCI_VMINDEX": 0x0009E600,
    "PFPCI_VMPEND": 0x0009E800, "PF_PCI_CIAA": 0x0009E580, "PF_PCI_CIAD": 0x0009E500,
    "GLPCI_LBARCTRL": 0x0009DE74, "GLPCI_CNF2": 0x000BE004, "GLNVM_ULD": 0x000B6008,
    "GLNVM_GENS": 0x000B6100, "GLNVM_FLA": 0x000B6108, "GL_MNG_FWSM": 0x000B6134, "GL_FWSTS": 0x00083048,
    "GL_PWR_MODE_CTL": 0x000B820C, "GLGEN_SWITCH_MODE_CONFIG": 0x000B81E0, "GLINT_CTL": 0x0016CC54,
    "PFINT_OICR": 0x0016CA00, "PFINT_OICR_CTL": 0x0016CA80, "PFINT_OICR_ENA": 0x0016C900,
    "PFINT_FW_CTL": 0x0016C800, "PFINT_MBX_CTL": 0x0016B280, "PFINT_SB_CTL": 0x0016B600,
    "PFINT_ALLOC": 0x001D2600, "PFLAN_RX_QALLOC": 0x001D2500, "PFLAN_TX_QALLOC": 0x001D2580,
    "GLCOMM_QTX_CNTX_CTL": 0x002D2DC8, "PRTRPB_RDPC": 0x000AC260, "GLQF_FD_SIZE": 0x00460010,
    "GLQF_FD_CNT": 0x00460018, "PFQF_FD_CNT": 0x00460180, "PFQF_FD_SIZE": 0x00460100,
    "PFQF_FD_ENA": 0x0043A000, "GL_MDET_RX": 0x00294C00, "GL_MDET_TX_PQM": 0x002D2E00,
    "GL_MDET_TX_TCLAN": 0x000FC068, "PF_MDET_RX": 0x00294280, "PF_MDET_TX_PQM": 0x002D2C80,
    "PF_MDET_TX_TCLAN": 0x000FC000,
    "GL_MDET_TX_TDPU": 0x00049350, "PF_MDET_TX_TDPU": 0x00040800, "GLLAN_RCTL_0": 0x002941F8,  # DPDK
}  # fmt: skip

ROWS = {  # name: offset, elements, bytes from one to the next
    "GLINT_DYN_CTL": (0x00160000, 2048, 4), "GLINT_ITR": (0x00154000, 3 * 2048, 4),
    "GLINT_RATE": (0x0015A000, 2048, 4), "GLINT_CEQCTL": (0x0015C000, 2048, 4),
    "GLINT_VECT2FUNC": (0x00162000, 2048, 4), "VPINT_MBX_CTL": (0x0016A000, 768, 4),
    "QINT_RQCTL": (0x00150000, 2048, 4), "QINT_TQCTL": (0x00140000, 16384, 4),
    "QRX_CTRL": (0x00120000, 2048, 4), "QRX_CONTEXT": (0x00280000, 8 * 2048, 4),
    "QRXFLXP_CNTXT": (0x00480000, 2048, 4), "QRX_TAIL": (0x00290000, 2048, 4),
    "QRX_ITR": (0x00292000, 2048, 4), "QTX_COMM_DBELL": (0x002C0000, 16384, 4),
    "QTX_COMM_HEAD": (0x000E0000, 16384, 4), "GLCOMM_QTX_CNTX_DATA": (0x002D2D40, 10, 4),
    "VSIGEN_RSTAT": (0x00092800, 768, 4), "VSIGEN_RTRIG": (0x00091800, 768, 4),
    "VPGEN_VFRSTAT": (0x00090800, 256, 4), "VPGEN_VFRTRIG": (0x00090000, 256, 4),
    "GLGEN_VFLRSTAT": (0x00093A04, 8, 4), "VSIQF_FD_CNT": (0x00464000, 768, 4),
    "VSIQF_FD_SIZE": (0x00462000, 768, 4), "GLSTAT_FD_CNT0": (0x003A0000, 4096, 8),
    "VP_MDET_RX": (0x00294400, 256, 4), "VP_MDET_TX_PQM": (0x002D2000, 256, 4),
    "VP_MDET_TX_TCLAN": (0x000FB800, 256, 4), "VP_MDET_TX_TDPU": (0x00040000, 256, 4),
    "GLV_GORC": (0x003B0000, 768, 8), "GLV_UPRC": (0x003B2000, 768, 8), "GLV_MPRC": (0x003B4000, 768, 8),
    "GLV_BPRC": (0x003B6000, 768, 8), "GLV_GOTC": (0x00300000, 768, 8), "GLV_UPTC": (0x0030A000, 768, 8),
    "GLV_MPTC": (0x0030C000, 768, 8), "GLV_BPTC": (0x0030E000, 768, 8), "GLV_RDPC": (0x00294C04, 768, 4),
    "GLV_REPC": (0x00295804, 768, 4), "GLV_TEPC": (0x00312000, 768, 4), "GLPRT_PXONRXC": (0x00380300, 64, 8),
    "GLPRT_PXOFFRXC": (0x00380500, 64, 8), "GLPRT_RXON2OFFCNT": (0x00380700, 64, 8),
    "GLPRT_PXONTXC": (0x00380D40, 64, 8), "GLPRT_PXOFFTXC": (0x00380F40, 64, 8),
}  # fmt: skip

PORT = {  # of each of 8 ports, 8 bytes apart
    "GORC": 0x00380000, "MLFC": 0x00380040, "MRFC": 0x00380080, "CRCERRS": 0x00380100, "RLEC": 0x00380140,
    "ILLERRC": 0x003801C0, "RUC": 0x00380200, "ROC": 0x00380240, "LXONRXC": 0x00380280,
    "LXOFFRXC": 0x003802C0, "PRC64": 0x00380900, "PRC127": 0x00380940, "PRC255": 0x00380980,
    "PRC511": 0x003809C0, "PRC1023": 0x00380A00, "PRC1522": 0x00380A40, "PRC9522": 0x00380A80,
    "RFC": 0x00380AC0, "RJC": 0x00380B00, "GOTC": 0x00380B40, "PTC64": 0x00380B80, "PTC127": 0x00380BC0,
    "PTC255": 0x00380C00, "PTC511": 0x00380C40, "PTC1023": 0x00380C80, "PTC1522": 0x00380CC0,
    "PTC9522": 0x00380D00, "LXONTXC": 0x00381140, "LXOFFTXC": 0x00381180, "UPTC": 0x003811C0,
    "MPTC": 0x00381200, "BPTC": 0x00381240, "TDOLD": 0x00381280, "UPRC": 0x00381300, "MPRC": 0x00381340,
    "BPRC": 0x00381380,
}  # fmt: skip

WIDE = {"GORC", "GOTC", "UPRC", "MPRC", "BPRC", "UPTC", "MPTC", "BPTC"}
BLOCKS = {"VSI_MBX", "IMS_INT", "IMS", "IMS_RATE"}
PROBED = {"PFPCI_STATUS1": 0x0009DA00, "PFPCI_DEVID": 0x0009DE00, "GLPCI_CAPSUP": 0x0009DE8C}  # DPDK's header


@pytest.mark.parametrize("name", SINGLE | PROBED)
def test_a_register_lies_where_the_drivers_reach_for_it(name):
    span = Bar0.spans[name]
    assert (span.at, span.count, span.size) == ((SINGLE | PROBED)[name], 1, 4)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_registers_lies_where_the_drivers_reach_for_it(name):
    span = Bar0.spans[name]
    assert (span.at, span.count, span.stride) == ROWS[name]
    assert span.size == (8 if (name[:4] == "GLV_" and name[4:] in WIDE) or name == "GLSTAT_FD_CNT0" else 4)


@pytest.mark.parametrize("name", PORT)
def test_a_port_s_counter_lies_where_the_drivers_reach_for_it(name):
    span = Bar0.spans[f"GLPRT_{name}"]
    assert (span.at, span.count, span.stride) == (PORT[name], 8, 8)
    assert span.size == (8 if name in WIDE or name[:3] in ("PRC", "PTC") else 4)


def test_bar_0_has_no_other_registers():
    ports = {f"GLPRT_{name}" for name in PORT}
    assert set(Bar0.spans) == set(SINGLE) | set(PROBED) | set(ROWS) | ports | BLOCKS


def test_a_40_bit_counter_has_its_low_half_first_and_8_bits_of_its_high_half():
    for name, span in Bar0.spans.items():
        if span.size == 8 and issubclass(span.what, Word):
            assert (span.what.CNT.hi, span.what.CNT.lo) == (39, 0), name


MAILBOX = ["ATQBAL", "ATQBAH", "ATQLEN", "ATQH", "ATQT", "ARQBAL", "ARQBAH", "ARQLEN", "ARQH", "ARQT"]


def test_a_vsi_s_mailbox_is_ten_registers_at_the_start_of_its_page():
    span = Bar0.spans["VSI_MBX"]
    assert (span.at, span.count, span.stride) == (0x02000000, 768, 4096)
    assert {name: inner.at for name, inner in e810.VsiMailbox.spans.items()} == {
        name: 4 * n for n, name in enumerate(MAILBOX)
    }


def test_pages_show_vectors_receive_tails_and_doorbells_4_kib_apart():
    found = {name: (span.at, span.count, span.stride) for name, span in Pages.spans.items()}
    assert found == {
        "INT": (0x03000000, 2048, 4096),
        "QRX_TAIL_PAGE": (0x03800000, 2048, 4096),
        "QTX_COMM_DBELL_PAGE": (0x04000000, 16384, 4096),
    }
    inner = {name: span.at for name, span in e810.Vector.spans.items()}
    assert inner == {"DYN_CTL": 0x0, "ITR0": 0x4, "ITR1": 0x8, "ITR2": 0xC}


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (Pages.QRX_TAIL_PAGE, Bar0.QRX_TAIL),
        (Pages.QTX_COMM_DBELL_PAGE, Bar0.QTX_COMM_DBELL),
        (e810.Vector.DYN_CTL, Bar0.GLINT_DYN_CTL),
        (e810.Vector.ITR2, Bar0.GLINT_ITR),
    ],
)
def test_a_page_shows_a_register_with_the_same_fields(page, shown):
    assert list(page.fields.values()) == list(shown.fields.values())
    assert page.initial().raw == shown.initial().raw


def test_no_page_overlaps_a_register_of_bar_0_and_ours_are_in_its_last_half():
    mailbox_end = Bar0.spans["VSI_MBX"].end
    for span in Pages.spans.values():
        assert mailbox_end <= span.at < span.end <= 0x08000000
    ours = {name for name, span in Bar0.spans.items() if span.at >= 0x08000000}
    assert ours == {"IMS_INT", "IMS", "IMS_RATE"}


def test_interrupt_message_storage_has_16384_slots():
    found = {name: Bar0.spans[name] for name in ("IMS_INT", "IMS", "IMS_RATE")}
    assert {name: (span.at, span.count, span.stride) for name, span in found.items()} == {
        "IMS_INT": (0x08000000, 16384, 4096),
        "IMS": (0x0C000000, 16384, 16),
        "IMS_RATE": (0x0C100000, 16384, 4),
    }
    slot = {name: span.at for name, span in e810.ImsSlot.spans.items()}
    assert slot == {"ADDRESS_LO": 0, "ADDRESS_HI": 4, "DATA": 8, "CONTROL": 12}
    assert e810.ImsSlot.CONTROL.initial() == e810.ImsSlot.CONTROL.of(MASK=1)


def test_what_is_ours_says_that_nobody_specified_it():
    for thing in (e810.ImsSlot, e810.ImsSlot.CONTROL, Bar0.IMS_RATE, e810.WideCauseControl):
        assert thing.ref == "siov, no public specification"


def test_bar_3_is_2048_vectors_and_their_pending_bits():
    assert Bar3.size == 0x10000
    table, pba = Bar3.spans["MSIX"], Bar3.spans["PBA"]
    assert (table.at, table.count, table.stride) == (0, 2048, 16)
    assert (pba.at, pba.count * pba.size * 8) == (0x8000, 2048)


MASKS = {  # ice_hw_autogen.h, facts E2 and E4
    "GLINT_DYN_CTL": {
        "INTENA": 1 << 0, "CLEARPBA": 1 << 1, "SWINT_TRIG": 1 << 2, "ITR_INDX": 3 << 3,
        "INTERVAL": 0xFFF << 5, "SW_ITR_INDX_ENA": 1 << 24, "SW_ITR_INDX": 3 << 25, "WB_ON_ITR": 1 << 30,
        "INTENA_MSK": 1 << 31,
    },
    "QINT_RQCTL": {
        "MSIX_INDX": 0x7FF, "ITR_INDX": 3 << 11, "IMS_SLOT": 0x3FFF << 13, "IMS": 1 << 29,
        "CAUSE_ENA": 1 << 30, "INTEVENT": 1 << 31,
    },
    "PFINT_FW_CTL": {"MSIX_INDX": 0x7FF, "ITR_INDX": 3 << 11, "CAUSE_ENA": 1 << 30, "INTEVENT": 1 << 31},
    "GLINT_ITR": {"INTERVAL": 0xFFF},
    "GLINT_RATE": {"INTERVAL": 0x3F, "INTRL_ENA": 1 << 6},
    "QRX_TAIL": {"TAIL": 0x1FFF},
    "QRXFLXP_CNTXT": {"RXDID_IDX": 0x3F, "RXDID_PRIO": 7 << 8, "TS": 1 << 11},
    "PF_FW_ATQLEN": {"LEN": 0x3FF, "VFE": 1 << 28, "OVFL": 1 << 29, "CRIT": 1 << 30, "ENABLE": 1 << 31},
    "PF_MBX_ARQBAL": {"ADDR": 0x3FFFFFF << 6},
    "VSIGEN_RSTAT": {"VMRD": 1, "MADE": 2},
    "PFPCI_VMINDEX": {"VMINDEX": 0x3FF},
    "GLGEN_RTRIG": {"CORER": 1, "GLOBR": 2, "EMPFWR": 4},
    "GLQF_FD_SIZE": {"GUARANTEED": 0x7FFF, "BEST_EFFORT": 0x7FFF << 16},
    "VSIQF_FD_CNT": {"GUARANTEED": 0x3FFF, "BEST_EFFORT": 0x3FFF << 16},
    "GL_MDET_TX_TCLAN": {
        "QNUM": 0x7FFF, "VF_NUM": 0xFF << 15, "PF_NUM": 7 << 23, "MAL_TYPE": 0x1F << 26, "VALID": 1 << 31,
    },
    "GL_MDET_TX_PQM": {
        "PF_NUM": 7, "VF_NUM": 0xFF << 4, "QNUM": 0x3FFF << 12, "MAL_TYPE": 0x1F << 26, "VALID": 1 << 31,
    },
    "GLINT_VECT2FUNC": {"VF_NUM": 0xFF, "PF_NUM": 7 << 12, "IS_PF": 1 << 16},
    "GL_MBX_PASID": {"PASID_MODE": 1, "PASID_MODE_VALID": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_a_register_s_fields_have_the_masks_of_the_drivers(name):
    word = Bar0.spans[name].what
    assert {field.name: field.mask for field in word.fields.values()} == MASKS[name]


def test_the_causes_of_the_other_interrupt_are_at_the_drivers_bits():
    oicr = {name: field.lo for name, field in Bar0.PFINT_OICR.fields.items()}
    assert oicr == {
        "INTEVENT": 0, "QUEUE": 1, "TSYN_TX": 11, "TSYN_EVNT": 12, "TSYN_TGT": 13, "HLP_RDY": 14,
        "CPM_RDY": 15, "ECC_ERR": 16, "MAL_DETECT": 19, "GRST": 20, "PCI_EXCEPTION": 21, "GPIO": 22,
        "STORM_DETECT": 24, "LINK_STAT_CHANGE": 25, "HMC_ERR": 26, "PE_PUSH": 27, "PE_CRITERR": 28,
        "VFLR": 29, "XLR_HW_DONE": 30, "SWINT": 31,
    }  # fmt: skip


def test_after_power_on_a_driver_finds_a_device_that_is_ready():
    assert Bar0.GLGEN_RSTAT.initial().DEVSTATE == 0
    done = Bar0.GLNVM_ULD.initial().raw
    assert done & 0x33B == 0x33B  # what a driver waits for after a reset
    assert Bar0.GLNVM_FLA.initial().LOCKED == 1
    assert Bar0.GL_MNG_FWSM.initial().raw == 0
    assert Bar0.GLINT_CTL.initial().ITR_GRAN_200 == 2
    assert Bar0.GL_PWR_MODE_CTL.initial().CAR_MAX_BW == 1  # 100 Gbit/s: timers count 2 µs


def test_all_ones_clear_what_tells_of_a_malicious_driver():
    for name, span in Bar0.spans.items():
        if "_MDET_" in name:
            word = span.what
            assert all(field.access.write_one_clears for field in word.fields.values()), name


def test_statistics_outlive_a_reset_of_the_function():
    for name, span in e810.Statistics.spans.items():
        assert all(field.access.sticky for field in span.what.fields.values()), name
    assert not any(f.access is RW1C for s in e810.Statistics.spans.values() for f in s.what.fields.values())


def elements(block: type[RegisterBlock]) -> int:
    inner = (s.count * (1 if issubclass(s.what, Word) else elements(s.what)) for s in block.spans.values())
    return sum(inner)


def test_bar_0_holds_so_many_registers_that_a_file_of_them_stays_small():
    assert elements(Bar0) < 300_000
