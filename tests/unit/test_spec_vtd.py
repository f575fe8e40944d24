"""The registers of VT-d and its fault reasons are those of Linux and QEMU, by numbers typed from theirs."""

import re
from pathlib import Path

import pytest

from siov.spec import vtd
from siov.spec.vtd import TTM, FaultReason, FaultRecordHi, FaultRecordLo, Unit, perfmon
from siov.spec.word import RW1C, RW1CS, Access, Word

REGISTERS = {  # DMAR_*_REG
    "VER": 0x00, "CAP": 0x08, "ECAP": 0x10, "GCMD": 0x18, "GSTS": 0x1C, "RTADDR": 0x20, "CCMD": 0x28,
    "FSTS": 0x34, "FECTL": 0x38, "FEDATA": 0x3C, "FEADDR": 0x40, "FEUADDR": 0x44, "AFLOG": 0x58,
    "PMEN": 0x64, "PLMBASE": 0x68, "PLMLIMIT": 0x6C, "PHMBASE": 0x70, "PHMLIMIT": 0x78,
    "IQH": 0x80, "IQT": 0x88, "IQA": 0x90, "ICS": 0x9C,
    "IECTL": 0xA0, "IEDATA": 0xA4, "IEADDR": 0xA8, "IEUADDR": 0xAC, "IQERCD": 0xB0, "IRTA": 0xB8,
    "PQH": 0xC0, "PQT": 0xC8, "PQA": 0xD0, "PRS": 0xDC,
    "PECTL": 0xE0, "PEDATA": 0xE4, "PEADDR": 0xE8, "PEUADDR": 0xEC,
    "PERFCAP": 0x300, "PERFCFGOFF": 0x310, "PERFFRZOFF": 0x314, "PERFOVFOFF": 0x318, "PERFCNTROFF": 0x31C,
    "PERFINTRSTS": 0x324, "PERFINTRCTL": 0x328, "PERFEVNTCAP": 0x380,
    "ECMD": 0x400, "ECEO": 0x408, "ECRSP": 0x410, "ECCAP": 0x430,
}  # fmt: skip

WIDE = {"CAP", "ECAP", "RTADDR", "CCMD", "AFLOG", "PHMBASE", "PHMLIMIT", "IQH", "IQT", "IQA", "IQERCD",
        "IRTA", "PQH", "PQT", "PQA", "PERFCAP", "PERFEVNTCAP", "ECMD", "ECEO", "ECRSP", "ECCAP"}  # fmt: skip


@pytest.mark.parametrize("name", REGISTERS)
def test_a_register_lies_where_linux_reads_it_with_its_width(name):
    span = Unit.spans[name]
    assert (span.at, span.size) == (REGISTERS[name], 8 if name in WIDE else 4)


def test_the_unit_has_no_other_registers_than_these_and_those_whose_place_it_reports():
    others = {"IVA", "IOTLB", "FRCD", "PERFEVNTCAP_GROUP", "ECCAP_GROUP"}
    message = {"PERFINTRDATA", "PERFINTRADDR", "PERFINTRUADDR"}
    assert set(Unit.spans) == set(REGISTERS) | others | message


def test_the_iotlb_and_fault_recording_registers_lie_where_the_capabilities_say():
    cap, ecap = Unit.CAP.initial(), Unit.ECAP.initial()
    assert Unit.spans["IVA"].at == ecap.IRO * 16
    assert Unit.spans["IOTLB"].at == ecap.IRO * 16 + 8
    frcd = Unit.spans["FRCD"]
    assert (frcd.at, frcd.count, frcd.stride) == (cap.FRO * 16, cap.NFR + 1, 16)


MASKS = {
    "DMA_GCMD_TE": (Unit.GCMD, "TE", 1 << 31),
    "DMA_GCMD_SRTP": (Unit.GCMD, "SRTP", 1 << 30),
    "DMA_GCMD_SFL": (Unit.GCMD, "SFL", 1 << 29),
    "DMA_GCMD_EAFL": (Unit.GCMD, "EAFL", 1 << 28),
    "DMA_GCMD_WBF": (Unit.GCMD, "WBF", 1 << 27),
    "DMA_GCMD_QIE": (Unit.GCMD, "QIE", 1 << 26),
    "DMA_GCMD_IRE": (Unit.GCMD, "IRE", 1 << 25),
    "DMA_GCMD_SIRTP": (Unit.GCMD, "SIRTP", 1 << 24),
    "DMA_GCMD_CFI": (Unit.GCMD, "CFI", 1 << 23),
    "DMA_GSTS_TES": (Unit.GSTS, "TES", 1 << 31),
    "DMA_GSTS_RTPS": (Unit.GSTS, "RTPS", 1 << 30),
    "DMA_GSTS_FLS": (Unit.GSTS, "FLS", 1 << 29),
    "DMA_GSTS_AFLS": (Unit.GSTS, "AFLS", 1 << 28),
    "DMA_GSTS_WBFS": (Unit.GSTS, "WBFS", 1 << 27),
    "DMA_GSTS_QIES": (Unit.GSTS, "QIES", 1 << 26),
    "DMA_GSTS_IRES": (Unit.GSTS, "IRES", 1 << 25),
    "DMA_GSTS_IRTPS": (Unit.GSTS, "IRTPS", 1 << 24),
    "DMA_GSTS_CFIS": (Unit.GSTS, "CFIS", 1 << 23),
    "DMA_CCMD_ICC": (Unit.CCMD, "ICC", 1 << 63),
    "VTD_CCMD_CIRG_MASK": (Unit.CCMD, "CIRG", 3 << 61),
    "VTD_CCMD_CAIG_MASK": (Unit.CCMD, "CAIG", 3 << 59),
    "DMA_CCMD_FM(3)": (Unit.CCMD, "FM", 3 << 32),
    "DMA_CCMD_SID(0xffff)": (Unit.CCMD, "SID", 0xFFFF << 16),
    "DMA_CCMD_DID(0xffff)": (Unit.CCMD, "DID", 0xFFFF),
    "DMA_TLB_IVT": (Unit.IOTLB, "IVT", 1 << 63),
    "VTD_TLB_FLUSH_GRANU_MASK": (Unit.IOTLB, "IIRG", 3 << 60),
    "VTD_TLB_FLUSH_GRANU_MASK_A": (Unit.IOTLB, "IAIG", 3 << 57),
    "DMA_TLB_READ_DRAIN": (Unit.IOTLB, "DR", 1 << 49),
    "DMA_TLB_WRITE_DRAIN": (Unit.IOTLB, "DW", 1 << 48),
    "DMA_TLB_DID(0xffff)": (Unit.IOTLB, "DID", 0xFFFF << 32),
    "DMA_TLB_IH_NONLEAF": (Unit.IVA, "IH", 1 << 6),
    "DMA_TLB_MAX_SIZE": (Unit.IVA, "AM", 0x3F),
    "DMA_FSTS_PFO": (Unit.FSTS, "PFO", 1 << 0),
    "DMA_FSTS_PPF": (Unit.FSTS, "PPF", 1 << 1),
    "DMA_FSTS_IQE": (Unit.FSTS, "IQE", 1 << 4),
    "DMA_FSTS_ICE": (Unit.FSTS, "ICE", 1 << 5),
    "DMA_FSTS_ITE": (Unit.FSTS, "ITE", 1 << 6),
    "VTD_FSTS_FRI_MASK": (Unit.FSTS, "FRI", 0xFF00),
    "DMA_FECTL_IM": (Unit.FECTL, "IM", 1 << 31),
    "VTD_FECTL_IP": (Unit.FECTL, "IP", 1 << 30),
    "VTD_IECTL_IM": (Unit.IECTL, "IM", 1 << 31),
    "VTD_ICS_IWC": (Unit.ICS, "IWC", 1),
    "VTD_IQA_QS": (Unit.IQA, "QS", 0x7),
    "VTD_IQA_DW_MASK": (Unit.IQA, "DW", 0x800),
    "VTD_IQH_QH_MASK": (Unit.IQH, "QH", 0x7FFF0),
    "VTD_IRTA_EIME": (Unit.IRTA, "EIME", 1 << 11),
    "VTD_IRTA_SIZE_MASK": (Unit.IRTA, "S", 0xF),
    "DMA_PRS_PPR": (Unit.PRS, "PPR", 1),
    "DMA_PRS_PRO": (Unit.PRS, "PRO", 2),
    "DMA_PMEN_EPM": (Unit.PMEN, "EPM", 1 << 31),
    "DMA_PMEN_PRS": (Unit.PMEN, "PRS", 1 << 0),
    "DMAR_IQER_REG_IQEI": (Unit.IQERCD, "IQEI", 0xF),
    "DMAR_IQER_REG_ITESID": (Unit.IQERCD, "ITESID", 0xFFFF << 32),
    "DMAR_IQER_REG_ICESID": (Unit.IQERCD, "ICESID", 0xFFFF << 48),
    "PRQ_RING_MASK": (Unit.PQH, "PQH", ((0x1000 << 7) - 1) & ~0x1F),
    "VTD_FRCD_F": (FaultRecordHi, "F", 1 << 63),
    "VTD_FRCD_T": (FaultRecordHi, "T1", 1 << 62),
    "VTD_FRCD_FR(0xff)": (FaultRecordHi, "FR", 0xFF << 32),
    "VTD_FRCD_SID_MASK": (FaultRecordHi, "SID", 0xFFFF),
    "dma_frcd_pasid_value": (FaultRecordHi, "PV", 0xFFFFF << 40),
    "dma_frcd_pasid_present": (FaultRecordHi, "PP", 1 << 31),
    "VTD_BF_1_FAULT_RECORD_PRIV_MASK": (FaultRecordHi, "PRIV", 0x2000_0000),
    "VTD_BF_1_FAULT_RECORD_EXE_MASK": (FaultRecordHi, "EXE", 0x4000_0000),
    "VTD_FRCD_FI(-1)": (FaultRecordLo, "FI", 0xFFFF_FFFF_FFFF_F000),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_field_covers_the_bits_that_its_known_mask_has(name):
    word, mnemonic, mask = MASKS[name]
    assert word.fields[mnemonic].mask == mask


CAPABILITIES = {  # cap_*() and ecap_*() of Linux: register, shift, mask after the shift
    "ND": (Unit.CAP, 0, 0x7), "AFL": (Unit.CAP, 3, 1), "RWBF": (Unit.CAP, 4, 1), "PLMR": (Unit.CAP, 5, 1),
    "PHMR": (Unit.CAP, 6, 1), "CM": (Unit.CAP, 7, 1), "SAGAW": (Unit.CAP, 8, 0x1F),
    "MGAW": (Unit.CAP, 16, 0x3F),
    "ZLR": (Unit.CAP, 22, 1), "FRO": (Unit.CAP, 24, 0x3FF), "SSLPS": (Unit.CAP, 34, 0xF),
    "PSI": (Unit.CAP, 39, 1), "NFR": (Unit.CAP, 40, 0xFF), "MAMV": (Unit.CAP, 48, 0x3F),
    "DWD": (Unit.CAP, 54, 1), "DRD": (Unit.CAP, 55, 1), "FS1GP": (Unit.CAP, 56, 1), "PI": (Unit.CAP, 59, 1),
    "FS5LP": (Unit.CAP, 60, 1), "ECMDS": (Unit.CAP, 61, 1), "ESIRTPS": (Unit.CAP, 62, 1),
    "ESRTPS": (Unit.CAP, 63, 1),
    "C": (Unit.ECAP, 0, 1), "QI": (Unit.ECAP, 1, 1), "DT": (Unit.ECAP, 2, 1), "IR": (Unit.ECAP, 3, 1),
    "EIM": (Unit.ECAP, 4, 1), "PT": (Unit.ECAP, 6, 1), "SC": (Unit.ECAP, 7, 1), "IRO": (Unit.ECAP, 8, 0x3FF),
    "MHMV": (Unit.ECAP, 20, 0xF), "MTS": (Unit.ECAP, 25, 1), "NEST": (Unit.ECAP, 26, 1),
    "PRS": (Unit.ECAP, 29, 1), "ERS": (Unit.ECAP, 30, 1), "SRS": (Unit.ECAP, 31, 1),
    "NWFS": (Unit.ECAP, 33, 1),
    "EAFS": (Unit.ECAP, 34, 1), "PSS": (Unit.ECAP, 35, 0x1F), "PASID": (Unit.ECAP, 40, 1),
    "DIT": (Unit.ECAP, 41, 1), "PDS": (Unit.ECAP, 42, 1), "SMTS": (Unit.ECAP, 43, 1),
    "VCS": (Unit.ECAP, 44, 1),
    "SSADS": (Unit.ECAP, 45, 1), "SSTS": (Unit.ECAP, 46, 1), "FSTS": (Unit.ECAP, 47, 1),
    "SMPWCS": (Unit.ECAP, 48, 1), "RPS": (Unit.ECAP, 49, 1), "PMS": (Unit.ECAP, 51, 1),
    "ADMS": (Unit.ECAP, 52, 1), "RPRIVS": (Unit.ECAP, 53, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_capability_stands_where_linux_looks_for_it(name):
    word, shift, mask = CAPABILITIES[name]
    assert word.fields[name].mask == mask << shift


def test_every_capability_is_known_here():
    assert {*Unit.CAP.fields, *Unit.ECAP.fields} == set(CAPABILITIES)


def test_a_capability_is_zero_until_the_unit_sets_it_but_for_the_places_of_registers():
    assert {f.name for f, value in (*Unit.CAP.initial(), *Unit.ECAP.initial()) if value} == {
        "FRO",
        "NFR",
        "IRO",
    }


def test_scalable_mode_is_bit_10_of_the_root_table_address():
    assert Unit.RTADDR.of(TTM=TTM.SCALABLE).raw == 1 << 10  # DMA_RTADDR_SMT


FAULTS = {  # dma_remap_fault_reasons, irq_remap_fault_reasons and dma_remap_sm_fault_reasons, by index
    0x01: "LRT_2", 0x02: "LCT_2", 0x03: "LCT_4", 0x04: "LGN_1", 0x05: "LGN_2", 0x06: "LGN_3", 0x07: "LSS_1",
    0x08: "LRT_1", 0x09: "LCT_1", 0x0A: "LRT_3", 0x0B: "LCT_3", 0x0C: "LSS_2", 0x0D: "LCT_5", 0x0E: "LGN_4",
    0x20: "INTR_RSVD", 0x21: "INTR_INDEX", 0x22: "INTR_IRTE_P", 0x23: "INTR_IRTE_READ",
    0x24: "INTR_IRTE_RSVD", 0x25: "INTR_COMPATIBILITY", 0x26: "INTR_SID",
    0x27: "INTR_PID_READ", 0x28: "INTR_PID_RSVD", 0x29: "INTR_REQUEST",
    0x30: "RTA_1", 0x31: "RTA_2", 0x32: "RTA_3", 0x33: "RTA_4",
    0x38: "SRT_1", 0x39: "SRT_2", 0x3A: "SRT_3",
    0x40: "SCT_1", 0x41: "SCT_2", 0x42: "SCT_3", 0x43: "SCT_4", 0x44: "SCT_5", 0x45: "SCT_6", 0x46: "SCT_7",
    0x47: "SCT_8", 0x48: "SCT_9",
    0x50: "SPD_1", 0x51: "SPD_2", 0x52: "SPD_3",
    0x58: "SPT_1", 0x59: "SPT_2", 0x5A: "SPT_3", 0x5B: "SPT_4", 0x5C: "SPT_5", 0x5D: "SPT_6",
    0x70: "SFS_1", 0x71: "SFS_2", 0x72: "SFS_3", 0x73: "SFS_4", 0x74: "SFS_5", 0x75: "SFS_6", 0x76: "SFS_7",
    0x77: "SFS_8", 0x78: "SSS_1", 0x79: "SSS_2", 0x7A: "SSS_3", 0x7B: "SSS_4", 0x7C: "SSS_5", 0x7D: "SSS_6",
    0x80: "SGN_1", 0x81: "SGN_2", 0x82: "SGN_3", 0x83: "SGN_4", 0x84: "SGN_5", 0x85: "SGN_6", 0x86: "SGN_7",
    0x87: "SGN_8", 0x88: "SGN_9", 0x89: "SGN_10", 0x90: "SFS_9", 0x91: "SFS_10",
}  # fmt: skip


def test_every_fault_reason_has_the_code_that_others_know_and_there_is_no_other():
    assert {int(reason): reason.name for reason in FaultReason} == FAULTS


def test_a_fault_reason_is_found_by_its_code_and_says_what_happened():
    assert FaultReason(0x71) is FaultReason.SFS_2
    assert "not present" in FaultReason.SFS_2.__doc__
    assert len({reason.__doc__ for reason in FaultReason}) == len(FaultReason)


def test_faults_before_an_entry_with_fpd_is_read_are_always_recorded():
    recorded = {r.name for r in FaultReason if not r.is_qualified and not r.is_interrupt}
    tables = {"LRT_1", "LRT_2", "LRT_3", "SRT_1", "SRT_2", "SRT_3", "LCT_1", "SCT_1", "SPD_1", "SPT_1"}
    assert recorded == tables | {"RTA_1", "RTA_2", "RTA_3", "RTA_4"}


def test_a_fault_record_keeps_everything_through_a_function_reset_and_only_f_can_be_cleared():
    for word in (FaultRecordLo, FaultRecordHi):
        assert all(f.access.sticky for f in word.fields.values())
    assert FaultRecordHi.mask(RW1C, RW1CS) == 1 << 63
    assert FaultRecordLo.mask(*(kind for kind in Access if kind.writable or kind.write_one_clears)) == 0


def test_the_status_bits_of_the_unit_are_cleared_by_writing_1():
    assert Unit.FSTS.mask(RW1CS) == 0x71  # PFO, IQE, ICE, ITE
    assert Unit.ICS.mask(RW1CS) == 0x1
    assert Unit.PRS.mask(RW1CS) == 0x3


def test_every_event_is_masked_after_a_reset():
    for control in (Unit.FECTL, Unit.IECTL, Unit.PECTL, Unit.PERFINTRCTL):
        assert control.initial().raw == 0x8000_0000


def test_the_global_command_reads_as_zero():
    assert Unit.GCMD.mask(Access.WO) == 0xFF80_0000
    assert Unit.GCMD.initial().raw == 0


EVENTS = """ats_blocked 0 3|ctxt_cache_hit 2 1|ctxt_cache_lookup 2 0|fs_nonleaf_hit 2 7|fs_nonleaf_lookup 2 6
hpt_leaf_hit 3 3|hpt_leaf_lookup 3 2|hpt_nonleaf_hit 2 9|hpt_nonleaf_lookup 2 8|int_cache_hit_nonposted 4 1
int_cache_hit_posted 4 2|int_cache_lookup 4 0|iommu_clocks 0 0|iommu_mem_blocked 1 5|iommu_mrds 1 0
iommu_requests 0 1|iotlb_hit 3 1|iotlb_lookup 3 0|pasid_cache_hit 2 3|pasid_cache_lookup 2 2|pg_req_posted 1 6
pw_occupancy 0 2|ss_nonleaf_hit 2 5|ss_nonleaf_lookup 2 4"""


def test_the_events_have_the_groups_and_bits_of_the_perfmon_driver():
    groups = [
        perfmon.GeneralEvents, perfmon.MemoryEvents, perfmon.CacheEvents, perfmon.IotlbEvents,
        perfmon.InterruptEvents,
    ]  # fmt: skip
    found = {(f.name, group, f.lo) for group, word in enumerate(groups) for f in word.fields.values()}
    expected = {tuple(line.split()) for line in re.split(r"[|\n]", EVENTS)}
    assert found == {(name, int(group), int(at)) for name, group, at in expected}


def test_every_public_word_and_enum_has_its_place_in_the_generated_rust():
    text = (Path(__file__).resolve().parents[2] / "crates/spec/src/generated.rs").read_text()
    for name in vtd.__all__:
        thing = getattr(vtd, name)
        kind = "struct" if issubclass(thing, Word) else "enum"
        if hasattr(thing, "spans"):
            kind, name = "mod", re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert re.search(rf"    pub {kind} {name}\b", text), name
