"""The E810's admin queue, and what its commands carry, by numbers typed from the drivers' headers."""

import pytest

from siov.spec import e810
from siov.spec.e810 import AqBuffer, AqDesc, AqOpcode, AqRc, VsiProperties
from siov.spec.word import Word


def test_a_descriptor_as_a_driver_sends_it():
    flags = 0x2000 | 0x1000 | 0x0400 | 0x0200  # SI, BUF, RD, LB
    raw = bytes.fromhex(
        "00360802 ff070000 11223344 55667788 01000000 02000000 0a0b0c0d 00100000".replace(" ", "")
    )
    desc = AqDesc.from_bytes(raw)
    assert (flags, AqOpcode.ALLOC_RES, 0x7FF, AqRc.OK) == (desc.FLAGS, desc.OPCODE, desc.DATALEN, desc.RETVAL)
    assert (desc.COOKIE_HIGH, desc.COOKIE_LOW) == (0x44332211, 0x88776655)
    assert (desc.PARAM0, desc.PARAM1, desc.ADDR_HIGH, desc.ADDR_LOW) == (1, 2, 0x0D0C0B0A, 0x1000)
    assert e810.AqFlags(flags) == e810.AqFlags.of(SI=1, BUF=1, RD=1, LB=1)
    assert desc.to_bytes() == raw
    assert len(raw) == e810.AQ_DESC_BYTES


def test_the_flags_of_a_descriptor():
    assert {name: field.mask for name, field in e810.AqFlags.fields.items()} == {
        "DD": 0x1, "CMP": 0x2, "ERR": 0x4, "VFE": 0x8, "LB": 0x200, "RD": 0x400, "VFC": 0x800, "BUF": 0x1000,
        "SI": 0x2000, "EI": 0x4000, "FE": 0x8000,
    }  # fmt: skip


OPCODES = {
    "GET_VER": 0x0001, "Q_SHUTDOWN": 0x0003, "REQ_RES": 0x0008, "RELEASE_RES": 0x0009,
    "LIST_FUNC_CAPS": 0x000A, "LIST_DEV_CAPS": 0x000B, "MANAGE_MAC_READ": 0x0107, "MANAGE_MAC_WRITE": 0x0108,
    "CLEAR_PXE_MODE": 0x0110, "GET_SW_CFG": 0x0200, "SET_PORT_PARAMS": 0x0203, "ALLOC_RES": 0x0208,
    "FREE_RES": 0x0209, "SET_VLAN_MODE_PARAMETERS": 0x020C, "GET_VLAN_MODE_PARAMETERS": 0x020D,
    "ADD_VSI": 0x0210, "UPDATE_VSI": 0x0211, "GET_VSI_PARAMS": 0x0212, "FREE_VSI": 0x0213,
    "GET_RECIPE": 0x0292, "ADD_SW_RULES": 0x02A0, "UPDATE_SW_RULES": 0x02A1, "REMOVE_SW_RULES": 0x02A2,
    "GET_DFLT_TOPO": 0x0400, "GET_SCHED_ELEMS": 0x0404, "DELETE_SCHED_ELEMS": 0x040F,
    "QUERY_SCHED_RES": 0x0412, "GET_PHY_CAPS": 0x0600, "SET_PHY_CFG": 0x0601, "SET_MAC_CFG": 0x0603,
    "RESTART_AN": 0x0605, "GET_LINK_STATUS": 0x0607, "SET_EVENT_MASK": 0x0613, "NVM_READ": 0x0701,
    "NVM_CHECKSUM": 0x0706, "NVM_WRITE_ACTIVATE": 0x0707, "SEND_MSG_TO_PF": 0x0801, "SEND_MSG_TO_VF": 0x0802,
    "LLDP_STOP": 0x0A05, "SET_RSS_KEY": 0x0B02, "SET_RSS_LUT": 0x0B03, "GET_RSS_KEY": 0x0B04,
    "GET_RSS_LUT": 0x0B05, "ADD_TXQS": 0x0C30, "DIS_TXQS": 0x0C31, "MOVE_RECFG_TXQS": 0x0C32,
    "DOWNLOAD_PKG": 0x0C40, "UPDATE_PKG": 0x0C42, "GET_PKG_INFO_LIST": 0x0C43, "FW_LOGS_QUERY": 0xFF32,
    "SET_HEALTH_STATUS_CONFIG": 0xFF20,
}  # fmt: skip


@pytest.mark.parametrize("name", OPCODES)
def test_an_opcode_has_the_driver_s_number(name):
    assert AqOpcode[name] == OPCODES[name]


def test_return_codes_are_the_driver_s():
    names = (
        "OK EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EINVAL ENOTTY "
        "ENOSPC ENOSYS ERANGE EFLUSHED BAD_ADDR EMODE EFBIG ESBCOMP ENOSEC EBADSIG ESVN EBADMAN EBADBUF "
        "EACCES_BMCU"
    )
    assert [rc.name for rc in sorted(AqRc)] == names.split()
    assert sorted(AqRc) == list(range(30))


BYTES = {  # sizes of the drivers' structures, or of the part of them that is declared
    "AqCapability": 32, "AqMacAddress": 8, "AqSwitchElement": 6, "AqResource": 4, "AqSwitchRule": 16,
    "SingleAction": 4, "AqVsiList": 8, "AqPhyCapsData": 40, "AqPhyConfigData": 24, "AqLinkStatus": 56,
    "AqSchedGroup": 8, "AqSchedNode": 8, "AqSchedProperties": 16, "AqSchedGeneric": 32, "AqSchedLayer": 32,
    "AqTxQueueGroup": 8, "AqTxQueue": 48, "AqTxQueueList": 6, "AqMoveTxQueue": 8, "AqPackageVersion": 4,
    "AqPackageState": 8,
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_an_element_of_a_buffer_has_the_driver_s_size(name):
    assert getattr(e810, name).width == BYTES[name] * 8


def test_what_is_sent_with_a_descriptor_is_its_last_16_bytes_with_the_address_at_their_end():
    parameters = [w for w in vars(e810).values() if isinstance(w, type) and issubclass(w, AqBuffer)]
    assert len(parameters) > 20
    for word in parameters:
        assert word.width == 128
        desc = AqDesc.of(ADDR_HIGH=0x12345678, ADDR_LOW=0x9ABCDEF0).to_bytes()
        inside = word.from_bytes(desc[16:])
        assert (inside.ADDR_HIGH, inside.ADDR_LOW) == (0x12345678, 0x9ABCDEF0)


FIELDS = [  # word, field, byte of the structure, bit in it, width
    (e810.AqGetVersion, "FW_MAJOR", 9, 0, 8),
    (e810.AqGetVersion, "API_MAJOR", 13, 0, 8),
    (e810.AqRequestResource, "ACCESS_TYPE", 2, 0, 16),
    (e810.AqRequestResource, "TIMEOUT", 4, 0, 32),
    (e810.AqRequestResource, "STATUS", 12, 0, 16),
    (e810.AqListCaps, "COUNT", 4, 0, 32),
    (e810.AqCapability, "NUMBER", 4, 0, 32),
    (e810.AqCapability, "LOGICAL_ID", 8, 0, 32),
    (e810.AqCapability, "PHYS_ID", 12, 0, 32),
    (e810.AqMacRead, "LAN_ADDR_VALID", 0, 4, 1),
    (e810.AqMacRead, "NUM_ADDR", 4, 0, 8),
    (e810.AqMacAddress, "MAC_ADDR", 2, 0, 48),
    (e810.AqMacWrite, "UPDATE_LAA_WOL", 1, 6, 1),
    (e810.AqMacWrite, "MAC_ADDR", 2, 0, 48),
    (e810.AqGetSwitchConfig, "NUM_ELEMS", 4, 0, 16),
    (e810.AqSwitchElement, "TYPE", 1, 6, 2),
    (e810.AqSwitchElement, "FUNC_NUM", 4, 0, 15),
    (e810.AqSetPortParams, "DOUBLE_VLAN_ENA", 0, 2, 1),
    (e810.AqSetPortParams, "SWID_VALID", 5, 7, 1),
    (e810.AqSetPortParams, "LOOPBACK_MODE_VALID", 6, 2, 1),
    (e810.AqResource, "SHARED", 0, 7, 1),
    (e810.AqResource, "NUM_ELEMS", 2, 0, 16),
    (e810.AqVsi, "IS_VALID", 1, 7, 1),
    (e810.AqVsi, "KEEP_ALLOC", 2, 0, 1),
    (e810.AqVsi, "VF_ID", 4, 0, 8),
    (e810.AqVsi, "TYPE", 6, 0, 2),
    (e810.AqVsiResponse, "VSI_FREE", 6, 0, 16),
    (e810.AqSwitchRule, "RECIPE_ID", 4, 0, 16),
    (e810.AqSwitchRule, "SRC", 6, 0, 16),
    (e810.AqSwitchRule, "ACT", 8, 0, 32),
    (e810.AqSwitchRule, "INDEX", 12, 0, 16),
    (e810.AqSwitchRule, "HDR_LEN", 14, 0, 16),
    (e810.SingleAction, "LB_ENABLE", 0, 2, 1),
    (e810.SingleAction, "LAN_ENABLE", 0, 3, 1),
    (e810.SingleAction, "VSI_ID", 0, 4, 10),
    (e810.SingleAction, "VSI_LIST", 1, 6, 1),
    (e810.SingleAction, "VALID", 2, 1, 1),
    (e810.SingleAction, "DROP", 2, 2, 1),
    (e810.SingleActionQueue, "Q_INDEX", 0, 4, 11),
    (e810.SingleActionQueue, "Q_REGION", 1, 7, 3),
    (e810.SingleActionPrune, "EGRESS", 1, 7, 1),
    (e810.AqVsiList, "NUMBER_VSI", 6, 0, 16),
    (e810.AqGetPhyCaps, "REPORT_MODE", 2, 1, 3),
    (e810.AqPhyCapsData, "CAPS", 16, 0, 8),
    (e810.AqPhyCapsData, "LINK_FEC_OPTIONS", 34, 0, 8),
    (e810.AqPhyCapsData, "MODULE_TYPE", 37, 0, 24),
    (e810.AqSetMacConfig, "MAX_FRAME_SIZE", 0, 0, 16),
    (e810.AqRestartAn, "LINK_ENABLE", 2, 2, 1),
    (e810.AqGetLinkStatus, "LSE", 2, 0, 2),
    (e810.AqLinkStatus, "LINK_UP", 2, 0, 1),
    (e810.AqLinkStatus, "MEDIA_AVAILABLE", 2, 6, 1),
    (e810.AqLinkStatus, "AN_COMPLETED", 3, 0, 1),
    (e810.AqLinkStatus, "MAX_FRAME_SIZE", 6, 0, 16),
    (e810.AqLinkStatus, "LINK_SPEED", 10, 0, 16),
    (e810.AqLinkStatus, "PHY_TYPE_LOW", 16, 0, 64),
    (e810.AqLinkStatus, "LP_FLOWCONTROL", 50, 0, 8),
    (e810.AqSetEventMask, "UPDOWN", 8, 1, 1),
    (e810.AqSetEventMask, "PHY_FW_LOAD_FAIL", 9, 4, 1),
    (e810.AqSchedProperties, "GENERIC_PRIO", 2, 1, 3),
    (e810.AqSchedProperties, "SRL_ID", 12, 0, 16),
    (e810.AqSchedLayer, "MAX_SIBL_GRP_SZ", 10, 0, 16),
    (e810.AqSchedGeneric, "RDMA_QSETS", 8, 0, 16),
    (e810.AqTxQueue, "Q_TEID", 4, 0, 32),
    (e810.AqTxQueue, "INFO_LO", 32, 0, 64),
    (e810.AqDisableTxQueues, "VMVF_NUM", 2, 0, 10),
    (e810.AqDisableTxQueues, "TIMEOUT", 3, 2, 6),
    (e810.AqRssKey, "VSI_VALID", 1, 7, 1),
    (e810.AqRssLut, "LUT_SIZE", 2, 2, 2),
    (e810.AqRssLut, "GLOBAL_IDX", 2, 4, 4),
    (e810.AqNvm, "LAST_CMD", 3, 0, 1),
    (e810.AqNvm, "FLASH_ONLY", 3, 7, 1),
    (e810.AqNvm, "MODULE_TYPEID", 4, 0, 16),
    (e810.AqNvmChecksum, "CHECKSUM", 2, 0, 16),
    (e810.AqPackageState, "IS_ACTIVE", 5, 0, 1),
]


@pytest.mark.parametrize(("word", "name", "byte", "bit", "width"), FIELDS)
def test_a_field_is_where_the_driver_s_structure_has_it(word: type[Word], name, byte, bit, width):
    field = word.fields[name]
    assert (field.lo, field.width) == (byte * 8 + bit, width)


PROPERTIES = {  # byte of ice_aqc_vsi_props, elements
    "VALID_SECTIONS": (0, 1), "SW_ID": (2, 1), "SW_FLAGS": (3, 1), "SW_FLAGS2": (4, 1), "VEB_STAT_ID": (5, 1),
    "SEC_FLAGS": (6, 1), "PORT_BASED_INNER_VLAN": (8, 1), "INNER_VLAN_FLAGS": (12, 1),
    "INGRESS_TABLE": (16, 1), "EGRESS_TABLE": (20, 1), "PORT_BASED_OUTER_VLAN": (24, 1),
    "OUTER_VLAN_FLAGS": (26, 1), "MAPPING_FLAGS": (28, 1), "Q_MAPPING": (30, 16), "TC_MAPPING": (62, 8),
    "Q_OPT_RSS": (78, 1), "Q_OPT_TC": (79, 1), "Q_OPT_FLAGS": (80, 1), "OUTER_UP_TABLE": (84, 1),
    "ACL_DEF_ACT": (88, 1), "FD_OPTIONS": (90, 1), "MAX_FD_FLTR_DEDICATED": (92, 1),
    "MAX_FD_FLTR_SHARED": (94, 1), "FD_DEF_Q": (96, 1), "FD_REPORT_OPT": (98, 1), "PASID_ID": (100, 1),
}  # fmt: skip


def test_a_vsi_s_properties_are_where_the_driver_s_structure_has_them():
    assert {name: (span.at, span.count) for name, span in VsiProperties.spans.items()} == PROPERTIES
    assert VsiProperties.size == 128


@pytest.mark.parametrize(
    ("word", "name", "mask"),
    [
        ("VALID_SECTIONS", "RXQ_MAP_VALID", 1 << 6),
        ("VALID_SECTIONS", "PASID_VALID", 1 << 12),
        ("SW_FLAGS", "ALLOW_LB", 1 << 5),
        ("SW_FLAGS", "LOCAL_LB", 1 << 6),
        ("SW_FLAGS", "SRC_PRUNE", 1 << 7),
        ("SW_FLAGS2", "RX_VLAN_PRUNE_ENA", 1 << 0),
        ("SW_FLAGS2", "LAN_ENA", 1 << 4),
        ("SEC_FLAGS", "ALLOW_DEST_OVRD", 1 << 0),
        ("SEC_FLAGS", "ENA_MAC_ANTI_SPOOF", 1 << 2),
        ("SEC_FLAGS", "TX_VLAN_PRUNE_ENA", 1 << 4),
        ("INNER_VLAN_FLAGS", "EMODE", 3 << 3),
        ("OUTER_VLAN_FLAGS", "TX_MODE", 3 << 5),
        ("TC_MAPPING", "Q_OFFSET", 0x7FF),
        ("TC_MAPPING", "Q_NUM", 0xF << 11),
        ("Q_OPT_RSS", "HASH", 3 << 6),
        ("FD_OPTIONS", "FD_PROG_ENABLE", 1 << 3),
        ("FD_DEF_Q", "GRP", 7 << 12),
        ("FD_REPORT_OPT", "DEF_DROP", 1 << 15),
        ("PASID_ID", "PASID", 0xFFFFF),
        ("PASID_ID", "VALID", 1 << 31),
    ],
)
def test_a_flag_of_a_vsi_is_the_driver_s_bit(word, name, mask):
    assert VsiProperties.spans[word].what.fields[name].mask == mask
