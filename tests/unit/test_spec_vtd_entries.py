"""The entries and descriptors of VT-d and EPT are those of Linux and QEMU, by numbers typed from theirs."""

import pytest

from siov.spec import ept, msi, vtd
from siov.spec.vtd import (
    PGTT,
    TT,
    CcGranularity,
    CcInvDsc,
    ContextEntry,
    DescriptorType,
    DevTlbInvDsc,
    FsPage1G,
    FsPage2M,
    FsPage4K,
    FsTableEntry,
    IecInvDsc,
    InvWaitDsc,
    IotlbGranularity,
    IotlbInvDsc,
    Irte,
    PageGroupResponse,
    PageRequest,
    PasidCacheGranularity,
    PasidDirectoryEntry,
    PasidIotlbGranularity,
    PasidTableEntry,
    PcInvDsc,
    PDevTlbInvDsc,
    PIotlbInvDsc,
    PostedInterruptDescriptor,
    PostedIrte,
    ResponseCode,
    RootEntry,
    ScalableContextEntry,
    ScalableRootEntry,
    SsPage1G,
    SsPage2M,
    SsPage4K,
    SsTableEntry,
)

MASKS = {
    "VTD_ROOT_ENTRY_P": (RootEntry, "P", 1),
    "VTD_ROOT_ENTRY_CTP": (RootEntry, "CTP", 0xFFFF_FFFF_FFFF_F000),
    "VTD_BF_1_SM_ROOT_ENTRY_UP_MASK": (ScalableRootEntry, "UP", 1 << 64),
    "VTD_BF_1_SM_ROOT_ENTRY_UCTP_MASK": (ScalableRootEntry, "UCTP", 0xFFFF_FFFF_FFFF_F000 << 64),
    "VTD_CONTEXT_ENTRY_FPD": (ContextEntry, "FPD", 1 << 1),
    "VTD_CONTEXT_ENTRY_TT": (ContextEntry, "TT", 3 << 2),
    "VTD_CONTEXT_ENTRY_AW": (ContextEntry, "AW", 7 << 64),
    "VTD_CONTEXT_ENTRY_DID(-1)": (ContextEntry, "DID", 0xFFFF << 72),
    "CONTEXT_PASIDE": (ScalableContextEntry, "PASIDE", 1 << 3),
    "get_pasid_dir_size": (ScalableContextEntry, "PDTS", 7 << 9),
    "VTD_SM_CONTEXT_ENTRY_RID2PASID_MASK": (ScalableContextEntry, "RID_PASID", 0xFFFFF << 64),
    "VTD_PASID_DIR_FPD": (PasidDirectoryEntry, "FPD", 1 << 1),
    "VTD_PASID_TABLE_BASE_ADDR_MASK": (PasidDirectoryEntry, "SMPTBLPTR", 0xFFFF_FFFF_FFFF_F000),
    "VTD_SM_PASID_ENTRY_PGTT": (PasidTableEntry, "PGTT", 7 << 6),
    "pasid_set_address_width": (PasidTableEntry, "AW", 7 << 2),
    "pasid_set_ssade": (PasidTableEntry, "SSADE", 1 << 9),
    "pasid_set_domain_id": (PasidTableEntry, "DID", 0xFFFF << 64),
    "pasid_set_page_snoop": (PasidTableEntry, "PWSNP", 1 << 87),
    "pasid_set_pgsnp": (PasidTableEntry, "PGSNP", 1 << 88),
    "pasid_set_sre": (PasidTableEntry, "SRE", 1 << 128),
    "VTD_BF_2_SM_PASID_TBL_ENTRY_ERE_MASK": (PasidTableEntry, "ERE", 1 << 129),
    "pasid_set_flpm": (PasidTableEntry, "FSPM", 3 << 130),
    "pasid_set_wpe": (PasidTableEntry, "WPE", 1 << 132),
    "VTD_BF_2_SM_PASID_TBL_ENTRY_NXE_MASK": (PasidTableEntry, "NXE", 0x20 << 128),
    "VTD_BF_2_SM_PASID_TBL_ENTRY_SMPE_MASK": (PasidTableEntry, "SMEP", 0x40 << 128),
    "pasid_set_eafe": (PasidTableEntry, "EAFE", 1 << 135),
    "pasid_set_flptr": (PasidTableEntry, "FSPTPTR", 0xFFFF_FFFF_FFFF_F000 << 128),
    "DMA_FL_PTE_PRESENT": (FsTableEntry, "P", 1 << 0),
    "VTD_FL_RW": (FsTableEntry, "RW", 1 << 1),
    "DMA_FL_PTE_US": (FsTableEntry, "US", 1 << 2),
    "DMA_FL_PTE_ACCESS": (FsTableEntry, "A", 1 << 5),
    "DMA_FL_PTE_DIRTY": (FsPage4K, "D", 1 << 6),
    "VTD_BF_FLP_ENTRY_EA_MASK": (FsTableEntry, "EA", 0x400),
    "DMA_FL_PTE_XD": (FsPage2M, "XD", 1 << 63),
    "_PAGE_PSE": (FsPage2M, "PS", 1 << 7),
    "_PAGE_PAT_LARGE": (FsPage1G, "PAT", 1 << 12),
    "_PAGE_GLOBAL": (FsPage4K, "G", 1 << 8),
    "DMA_PTE_READ": (SsTableEntry, "R", 1 << 0),
    "DMA_PTE_WRITE": (SsTableEntry, "W", 1 << 1),
    "DMA_PTE_LARGE_PAGE": (SsPage2M, "PS", 1 << 7),
    "DMA_SL_PTE_DIRTY": (SsPage4K, "D", 1 << 9),
    "DMA_PTE_SNP": (SsPage4K, "SNP", 1 << 11),
    "VTD_SL_TM": (SsPage1G, "TM", 1 << 62),
    "VTD_BF_0_IRTE_IM_MASK": (Irte, "IM", 0x8000),
    "VTD_BF_0_IRTE_DLM_MASK": (Irte, "DLM", 0xE0),
    "VTD_BF_0_IRTE_V_MASK": (Irte, "V", 0xFF0000),
    "VTD_BF_0_IRTE_DST_MASK": (Irte, "DST", 0xFFFF_FFFF << 32),
    "VTD_BF_1_IRTE_SID_MASK": (Irte, "SID", 0xFFFF << 64),
    "VTD_BF_1_IRTE_SQ_MASK": (Irte, "SQ", 0x30000 << 64),
    "VTD_BF_1_IRTE_SVT_MASK": (Irte, "SVT", 0xC0000 << 64),
    "p_urgent": (PostedIrte, "URG", 1 << 14),
    "pda_l": (PostedIrte, "PDAL", 0x3FFFFFF << 38),
    "pda_h": (PostedIrte, "PDAH", 0xFFFF_FFFF << 96),
    "POSTED_INTR_ON": (PostedInterruptDescriptor, "ON", 1 << 256),
    "POSTED_INTR_SN": (PostedInterruptDescriptor, "SN", 1 << 257),
    "pi_desc.nv": (PostedInterruptDescriptor, "NV", 0xFF << 272),
    "pi_desc.ndst": (PostedInterruptDescriptor, "NDST", 0xFFFF_FFFF << 288),
    "QI_CC_FM(3)": (CcInvDsc, "FM", 3 << 48),
    "QI_CC_SID(0xffff)": (CcInvDsc, "SID", 0xFFFF << 32),
    "QI_PC_PASID(0xfffff)": (PcInvDsc, "PASID", 0xFFFFF << 32),
    "QI_IOTLB_DR": (IotlbInvDsc, "DR", 1 << 7),
    "QI_IOTLB_DW": (IotlbInvDsc, "DW", 1 << 6),
    "QI_IOTLB_IH": (IotlbInvDsc, "IH", 1 << 70),
    "QI_IOTLB_AM": (IotlbInvDsc, "AM", 0x3F << 64),
    "QI_EIOTLB_DID(0xffff)": (PIotlbInvDsc, "DID", 0xFFFF << 16),
    "QI_EIOTLB_ADDR(-1)": (PIotlbInvDsc, "ADDR", 0xFFFF_FFFF_FFFF_F000 << 64),
    "QI_DEV_IOTLB_QDEP(31)": (DevTlbInvDsc, "MIP", 0x1F << 16),
    "QI_DEV_IOTLB_SID(0xffff)": (DevTlbInvDsc, "SID", 0xFFFF << 32),
    "QI_DEV_IOTLB_SIZE": (DevTlbInvDsc, "S", 1 << 64),
    "QI_DEV_IOTLB_PFSID(15)": (DevTlbInvDsc, "PFSID_LO", 0xF << 12),
    "QI_DEV_IOTLB_PFSID(0xfff0)": (DevTlbInvDsc, "PFSID_HI", 0xFFF << 52),
    "QI_DEV_EIOTLB_QDEP(31)": (PDevTlbInvDsc, "MIP", 0x1F << 4),
    "QI_DEV_EIOTLB_SID(0xffff)": (PDevTlbInvDsc, "SID", 0xFFFF << 16),
    "QI_DEV_EIOTLB_SIZE": (PDevTlbInvDsc, "S", 1 << 75),
    "QI_IEC_SELECTIVE": (IecInvDsc, "G", 1 << 4),
    "QI_IEC_IM(31)": (IecInvDsc, "IM", 0x1F << 27),
    "QI_IEC_IIDEX(0xffff)": (IecInvDsc, "IIDX", 0xFFFF << 32),
    "VTD_INV_DESC_WAIT_IF": (InvWaitDsc, "IF", 1 << 4),
    "QI_IWD_STATUS_WRITE": (InvWaitDsc, "SW", 1 << 5),
    "QI_IWD_FENCE": (InvWaitDsc, "FN", 1 << 6),
    "QI_IWD_PRQ_DRAIN": (InvWaitDsc, "PD", 1 << 7),
    "QI_IWD_STATUS_DATA(-1)": (InvWaitDsc, "STDATA", 0xFFFF_FFFF << 32),
    "QI_PGRP_RESP_CODE(15)": (PageGroupResponse, "RC", 0xF << 12),
    "QI_PGRP_LPIG": (PageGroupResponse, "LPIG", 1 << 66),
    "QI_PGRP_IDX(511)": (PageGroupResponse, "PRGI", 0x1FF << 67),
    "page_req_dsc.exe_req": (PageRequest, "EXR", 1 << 52),
    "page_req_dsc.pm_req": (PageRequest, "PMR", 1 << 53),
    "page_req_dsc.priv_data_present": (PageRequest, "PDP", 1 << 9),
    "page_req_dsc.lpig": (PageRequest, "LPIG", 1 << 66),
    "page_req_dsc.addr": (PageRequest, "ADDR", 0xFFFF_FFFF_FFFF_F000 << 64),
    "VMX_EPT_READABLE_MASK": (ept.EptTableEntry, "R", 0x1),
    "VMX_EPT_WRITABLE_MASK": (ept.EptTableEntry, "W", 0x2),
    "VMX_EPT_EXECUTABLE_MASK": (ept.EptTableEntry, "X", 0x4),
    "VMX_EPT_MT_MASK": (ept.EptPage4K, "MT", 0x7 << 3),
    "VMX_EPT_IPAT_BIT": (ept.EptPage4K, "IPAT", 1 << 6),
    "VMX_EPT_ACCESS_BIT": (ept.EptPage4K, "A", 1 << 8),
    "VMX_EPT_DIRTY_BIT": (ept.EptPage4K, "D", 1 << 9),
    "VMX_EPT_SUPPRESS_VE_BIT": (ept.EptPage4K, "SVE", 1 << 63),
    "VMX_EPTP_AD_ENABLE_BIT": (ept.Eptp, "AD", 1 << 6),
    "VMX_EPTP_PWL_MASK": (ept.Eptp, "PWL", 0x38),
    "VMX_EPTP_MT_MASK": (ept.Eptp, "MT", 0x7),
    "EPT_VIOLATION_ACC_WRITE": (ept.EptViolation, "WRITE", 1 << 1),
    "EPT_VIOLATION_GVA_IS_VALID": (ept.EptViolation, "GLA_VALID", 1 << 7),
    "EPT_VIOLATION_GVA_TRANSLATED": (ept.EptViolation, "TRANSLATED", 1 << 8),
    "X86_CR3_PCID_MASK": (ept.Cr3, "PCID", 0xFFF),
    "X86_CR3_PCID_NOFLUSH": (ept.Cr3, "NOFLUSH", 1 << 63),
    "X86_PF_RSVD": (ept.PageFaultError, "RSVD_BIT", 1 << 3),
    "VTD_BF_REMAPPABLE_MSI_ADDR_SHV_MASK": (msi.RemappableAddress, "SHV", 0x8),
    "VTD_BF_REMAPPABLE_MSI_ADDR_HANDLE_HI_MASK": (msi.RemappableAddress, "HANDLE_15", 0x4),
    "VTD_BF_REMAPPABLE_MSI_ADDR_INTR_FMT_MASK": (msi.RemappableAddress, "INTR_FMT", 0x10),
    "VTD_BF_REMAPPABLE_MSI_ADDR_HANDLE_LO_MASK": (msi.RemappableAddress, "HANDLE", 0xFFFE0),
    "VTD_BF_REMAPPABLE_MSI_DATA_SUBHANDLE_MASK": (msi.RemappableData, "SUBHANDLE", 0xFFFF),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_field_covers_the_bits_that_its_known_mask_has(name):
    word, mnemonic, mask = MASKS[name]
    assert word.fields[mnemonic].mask == mask


RESERVED = {  # *_RSVD* of QEMU, without the bits above the host address width
    "VTD_ROOT_ENTRY_RSVD": (RootEntry, 0xFFE | 0xFFFF_FFFF_FFFF_FFFF << 64),
    "VTD_CONTEXT_ENTRY_RSVD": (ContextEntry, 0xFF0 | 0xFFFF_FFFF_FF00_0080 << 64),
    "VTD_SM_CONTEXT_ENTRY_RSVD": (
        ScalableContextEntry,
        0x1E0 | 0xFFFF_FFFF_FFE0_0000 << 64 | ((1 << 128) - 1) << 128,
    ),
    "VTD_INV_DESC_CC_RSVD": (CcInvDsc, 0xFFFC_0000_0000_F1C0 | ((1 << 192) - 1) << 64),
    "VTD_INV_DESC_IOTLB_RSVD": (
        IotlbInvDsc,
        0xFFFF_FFFF_0000_F100 | 0xF80 << 64 | ((1 << 128) - 1) << 128,
    ),
    "VTD_INV_DESC_WAIT_RSVD": (InvWaitDsc, 0xFFFF_F100 | 3 << 64 | ((1 << 128) - 1) << 128),
    "VTD_SPTE_PAGE_L1_RSVD_MASK": (SsPage4K, 0),
    "VTD_SPTE_LPAGE_L2_RSVD_MASK": (SsPage2M, 0x1FF800 & ~0x800),
    "VTD_SPTE_LPAGE_L3_RSVD_MASK": (SsPage1G, 0x3FFFF800 & ~0x800),
    "VTD_SPTE_PAGE_L2_RSVD_MASK": (SsTableEntry, 0x800 | 1 << 62),
    "VTD_FPTE_PAGE_L1_RSVD_MASK": (FsPage4K, 0),
    "VTD_FPTE_PAGE_L2_FS2MP_RSVD_MASK": (FsPage2M, 0x1FE000),
    "VTD_FPTE_PAGE_L3_FS1GP_RSVD_MASK": (FsPage1G, 0x3FFFE000),
    "rsvd_check 4-level EPT, level 3": (ept.EptTableEntry, 0x78),
    "rsvd_check 4-level EPT, 2 MiB page": (ept.EptPage2M, 0x1FF000),
    "rsvd_check 4-level EPT, 1 GiB page": (ept.EptPage1G, 0x3FFFF000),
}


@pytest.mark.parametrize("name", RESERVED)
def test_the_reserved_bits_of_an_entry_are_those_that_others_check(name):
    word, reserved = RESERVED[name]
    assert word.reserved() == reserved


def test_the_numbers_of_granularities_types_and_codes():
    assert [int(g) for g in CcGranularity] == [1, 2, 3]  # DMA_CCMD_*_INVL >> 61
    assert [int(g) for g in IotlbGranularity] == [1, 2, 3]  # DMA_TLB_*_FLUSH >> 60
    assert (PasidCacheGranularity.DOMAIN, PasidCacheGranularity.PASID) == (
        0,
        1,
    )  # QI_PC_ALL_PASIDS, _PASID_SEL
    assert PasidCacheGranularity.GLOBAL == 3  # QI_PC_GLOBAL
    assert (PasidIotlbGranularity.PASID, PasidIotlbGranularity.PAGE) == (2, 3)  # QI_GRAN_NONG_PASID, PSI
    assert (TT.DEVICE_TLB, TT.PASS_THROUGH) == (1, 2)  # CONTEXT_TT_DEV_IOTLB, _PASS_THROUGH
    assert [int(p) for p in PGTT] == [1, 2, 3, 4]  # PASID_ENTRY_PGTT_FL_ONLY, SL_ONLY, NESTED, PT
    assert [int(r) for r in ResponseCode] == [0x0, 0x1, 0xF]  # QI_RESP_*
    assert (ept.ExitReason.EPT_VIOLATION, ept.ExitReason.EPT_MISCONFIGURATION) == (48, 49)
    assert ept.ExitReason.PML_FULL == 62


def test_the_types_of_descriptors_are_those_of_linux():
    assert {t.name: int(t) for t in DescriptorType} == {
        "CONTEXT_CACHE": 0x1,  # QI_CC_TYPE
        "IOTLB": 0x2,  # QI_IOTLB_TYPE
        "DEVICE_TLB": 0x3,  # QI_DIOTLB_TYPE
        "INTERRUPT_ENTRY_CACHE": 0x4,  # QI_IEC_TYPE
        "WAIT": 0x5,  # QI_IWD_TYPE
        "PASID_IOTLB": 0x6,  # QI_EIOTLB_TYPE
        "PASID_CACHE": 0x7,  # QI_PC_TYPE
        "PASID_DEVICE_TLB": 0x8,  # QI_DEIOTLB_TYPE
        "PAGE_GROUP_RESPONSE": 0x9,  # QI_PGRP_RESP_TYPE
    }


@pytest.mark.parametrize("word", vtd.Descriptor.__subclasses__())
def test_the_type_of_every_descriptor_stands_in_two_places(word):
    assert word.width == 256
    assert word.of(TYPE=0xF).raw == 0xF
    assert word.of(TYPE_HI=0x7).raw == 0xE00


def test_the_sizes_of_entries_and_descriptors_in_bytes():
    sizes = {
        RootEntry: 16, ScalableRootEntry: 16, ContextEntry: 16, ScalableContextEntry: 32,
        PasidDirectoryEntry: 8, PasidTableEntry: 64, Irte: 16, PostedIrte: 16,
        PostedInterruptDescriptor: 64, PageRequest: 32, PageGroupResponse: 32,
        ept.InveptDescriptor: 16, ept.InvvpidDescriptor: 16,
    }  # fmt: skip
    assert {word: word.width // 8 for word in sizes} == sizes


def test_the_pml_log_has_512_entries_and_starts_at_the_last():
    assert (ept.PML_ENTRIES, ept.PML_FIRST_INDEX, ept.PmlLog.size) == (512, 511, 4096)


def test_an_eptp_of_linux_reads_as_write_back_4_levels_with_accessed_and_dirty():
    eptp = ept.Eptp(0x1234_505E)  # VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 | VMX_EPTP_AD_ENABLE_BIT
    assert (eptp.MT, eptp.PWL, eptp.AD, eptp.ADDR) == (6, 3, 1, 0x12345)


def test_a_pasid_entry_that_linux_writes_for_the_first_stage_reads_back():
    quads = [0x41, 0x80_0007, 0x1234_5000 | 1 | 1 << 4 | 1 << 2, 0, 0, 0, 0, 0]
    entry = PasidTableEntry(sum(q << 64 * i for i, q in enumerate(quads)))
    expected = {"P": 1, "PGTT": PGTT.FIRST_STAGE, "DID": 7, "PWSNP": 1, "SRE": 1, "WPE": 1, "FSPM": 1}
    assert {f.name: value for f, value in entry if value} == expected | {"FSPTPTR": 0x12345}


def test_a_remappable_message_of_linux_names_its_entry():
    handle = 0x8123
    address = msi.RemappableAddress(
        0xFEE0_0000 | (handle & 0x7FFF) << 5 | 1 << 4 | 1 << 3 | handle >> 15 << 2
    )
    assert handle == address.HANDLE_15 << 15 | address.HANDLE
    assert (address.INTR_FMT, address.SHV, address.PREFIX) == (1, 1, 0xFEE)


def test_a_compatibility_message_has_the_format_bit_clear():
    assert msi.MsiAddress.fields["INTR_FMT"].mask == msi.RemappableAddress.fields["INTR_FMT"].mask == 0x10
