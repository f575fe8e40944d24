"""Admin commands in words: parameters, answers and buffers by opcode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from siov.observe.trace.names import told
from siov.spec import e810
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, VsiProperties
from siov.spec.word import Word

Op = AqOpcode
BRIEF = 6  # elements of a buffer that are told

# The parameters of each command; of an answer, when they are others.
PARAMS: Mapping[AqOpcode, type[Word]] = MappingProxyType(
    {
        Op.GET_VER: e810.AqGetVersion,
        Op.DRIVER_VER: e810.AqDriverVersion,
        Op.Q_SHUTDOWN: e810.AqQueueShutdown,
        Op.REQ_RES: e810.AqRequestResource,
        Op.RELEASE_RES: e810.AqRequestResource,
        Op.LIST_FUNC_CAPS: e810.AqListCaps,
        Op.LIST_DEV_CAPS: e810.AqListCaps,
        Op.MANAGE_MAC_READ: e810.AqMacRead,
        Op.MANAGE_MAC_WRITE: e810.AqMacWrite,
        Op.GET_SW_CFG: e810.AqGetSwitchConfig,
        Op.SET_PORT_PARAMS: e810.AqSetPortParams,
        Op.GET_RES_ALLOC: e810.AqAllocRes,
        Op.ALLOC_RES: e810.AqAllocRes,
        Op.FREE_RES: e810.AqAllocRes,
        Op.ADD_VSI: e810.AqVsi,
        Op.UPDATE_VSI: e810.AqVsi,
        Op.GET_VSI_PARAMS: e810.AqVsi,
        Op.FREE_VSI: e810.AqVsi,
        Op.ADD_SW_RULES: e810.AqSwitchRules,
        Op.UPDATE_SW_RULES: e810.AqSwitchRules,
        Op.REMOVE_SW_RULES: e810.AqSwitchRules,
        Op.GET_SW_RULES: e810.AqSwitchRules,
        Op.GET_DFLT_TOPO: e810.AqGetTopology,
        Op.ADD_SCHED_ELEMS: e810.AqSchedElements,
        Op.CFG_SCHED_ELEMS: e810.AqSchedElements,
        Op.GET_SCHED_ELEMS: e810.AqSchedElements,
        Op.MOVE_SCHED_ELEMS: e810.AqSchedElements,
        Op.SUSPEND_SCHED_ELEMS: e810.AqSchedElements,
        Op.RESUME_SCHED_ELEMS: e810.AqSchedElements,
        Op.DELETE_SCHED_ELEMS: e810.AqSchedElements,
        Op.QUERY_PORT_ETS: e810.AqQueryPortEts,
        Op.ADD_RL_PROFILES: e810.AqRateProfiles,
        Op.QUERY_RL_PROFILES: e810.AqRateProfiles,
        Op.REMOVE_RL_PROFILES: e810.AqRateProfiles,
        Op.GET_PHY_CAPS: e810.AqGetPhyCaps,
        Op.SET_PHY_CFG: e810.AqSetPhyConfig,
        Op.SET_MAC_CFG: e810.AqSetMacConfig,
        Op.RESTART_AN: e810.AqRestartAn,
        Op.GET_LINK_STATUS: e810.AqGetLinkStatus,
        Op.SET_EVENT_MASK: e810.AqSetEventMask,
        Op.SET_MAC_LB: e810.AqSetMacLoopback,
        Op.NVM_READ: e810.AqNvm,
        Op.NVM_ERASE: e810.AqNvm,
        Op.NVM_WRITE: e810.AqNvm,
        Op.NVM_CHECKSUM: e810.AqNvmChecksum,
        Op.SET_RSS_KEY: e810.AqRssKey,
        Op.GET_RSS_KEY: e810.AqRssKey,
        Op.SET_RSS_LUT: e810.AqRssLut,
        Op.GET_RSS_LUT: e810.AqRssLut,
        Op.CLEAR_FD_TABLE: e810.AqClearFdTable,
        Op.ADD_TXQS: e810.AqAddTxQueues,
        Op.DIS_TXQS: e810.AqDisableTxQueues,
        Op.MOVE_RECFG_TXQS: e810.AqMoveTxQueues,
        Op.DOWNLOAD_PKG: e810.AqDownloadPackage,
        Op.DRIVER_SHARED_PARAMS: e810.AqSharedParam,
        Op.SET_HEALTH_STATUS_CONFIG: e810.AqHealth,
        Op.GET_HEALTH_STATUS: e810.AqHealth,
        Op.FW_LOGS_CONFIG: e810.AqFwLog,
        Op.FW_LOGS_QUERY: e810.AqFwLog,
    }
)
ANSWERS: Mapping[AqOpcode, type[Word]] = MappingProxyType(
    {
        Op.ADD_VSI: e810.AqVsiResponse,
        Op.UPDATE_VSI: e810.AqVsiResponse,
        Op.GET_VSI_PARAMS: e810.AqVsiResponse,
        Op.FREE_VSI: e810.AqVsiResponse,
    }
)
_ADDRESS = ("ADDR_HIGH", "ADDR_LOW")  # of the buffer; it says nothing


def opcode_of(desc: AqDesc) -> str:
    """The name of a descriptor's opcode, or its number."""
    return AqDesc.OPCODE.meaning(desc.OPCODE)


def return_code(desc: AqDesc) -> str:
    """The name of a descriptor's return code, or its number."""
    code = desc.RETVAL & 0xFF
    return AqRc(code).name if code in set(AqRc) else f"{code:#x}"


def failed(desc: AqDesc) -> bool:
    """Whether firmware has refused the command."""
    return bool(desc.RETVAL & 0xFF or AqFlags(desc.FLAGS).ERR)


def params(desc: AqDesc, *, answer: bool) -> dict[str, str]:
    """The fields of a command's parameters, or of its answer's, in words."""
    code = desc.OPCODE
    if code not in set(AqOpcode):
        return {}
    word = (ANSWERS.get(Op(code)) if answer else None) or PARAMS.get(Op(code))
    if word is None:
        return {}
    return {name: text for name, text in word(desc.raw >> 128).decode().items() if name not in _ADDRESS}


def buffer(code: int, data: bytes) -> list[str]:
    """What a command's buffer holds, an element each, for commands whose buffers are known."""
    decode = _BUFFERS.get(code)
    return list(decode(data)) if decode is not None else []


# Where the words of each section of a VSI's properties begin.
_SECTIONS = (
    (VsiProperties.SW_ID.at, "SW_VALID"),
    (VsiProperties.SEC_FLAGS.at, "SECURITY_VALID"),
    (VsiProperties.PORT_BASED_INNER_VLAN.at, "VLAN_VALID"),
    (VsiProperties.INGRESS_TABLE.at, "INGRESS_UP_VALID"),
    (VsiProperties.EGRESS_TABLE.at, "EGRESS_UP_VALID"),
    (VsiProperties.PORT_BASED_OUTER_VLAN.at, "OUTER_TAG_VALID"),
    (VsiProperties.MAPPING_FLAGS.at, "RXQ_MAP_VALID"),
    (VsiProperties.Q_OPT_RSS.at, "Q_OPT_VALID"),
    (VsiProperties.OUTER_UP_TABLE.at, "OUTER_UP_VALID"),
    (VsiProperties.ACL_DEF_ACT.at, "ACL_VALID"),
    (VsiProperties.FD_OPTIONS.at, "FLOW_DIR_VALID"),
    (VsiProperties.PASID_ID.at, "PASID_VALID"),
)


def _properties(data: bytes) -> list[str]:
    """A VSI's properties: of the sections that count, the words that are not zero."""
    valid = VsiProperties.VALID_SECTIONS(int.from_bytes(data[:2], "little"))
    found = []
    for name, span in VsiProperties.spans.items():
        section = next((bit for at, bit in reversed(_SECTIONS) if at <= span.at), None)
        if not issubclass(span.what, Word) or section is None or not getattr(valid, section):
            continue
        for n, at in enumerate(span.offsets()):
            raw = int.from_bytes(data[at : at + span.size], "little")
            if raw and at + span.size <= len(data):
                place = f"{name}[{n}]" if span.count > 1 else name
                found.append(f"{place}={raw:#x}{told(span.what(raw))}")
    return found


def _rules(data: bytes) -> list[str]:
    """Switch rules, and lists of VSIs."""
    found, at = [], 0
    while at + 8 <= len(data):
        kind = int.from_bytes(data[at : at + 2], "little")
        if kind in (e810.SwitchRuleType.LKUP_RX, e810.SwitchRuleType.LKUP_TX):
            if at + 16 > len(data):
                break
            rule = e810.AqSwitchRule.from_bytes(data[at : at + 16])
            header = data[at + 16 : at + 16 + rule.HDR_LEN]
            found.append(f"rule{told(rule.replace(ACT=0))}{_action(rule.ACT)}" + _header(header))
            at += 16 + rule.HDR_LEN
        else:
            group = e810.AqVsiList.from_bytes(data[at : at + 8])
            end = at + 8 + 2 * group.NUMBER_VSI
            vsis = [int.from_bytes(data[n : n + 2], "little") for n in range(at + 8, end, 2)]
            found.append(f"list{told(group)} VSIs {vsis}")
            at = end
    return found


def _action(raw: int) -> str:
    kind = raw & 3
    if kind == e810.SingleActionType.TO_Q:
        return told(e810.SingleActionQueue(raw))
    return told(e810.SingleAction(raw)) if raw else ""


def _header(data: bytes) -> str:
    return f" header {data.hex()}" if data else ""


def _resources(data: bytes) -> list[str]:
    """Elements that are given or taken."""
    found, at = [], 0
    while at + 4 <= len(data):
        head = e810.AqResource.from_bytes(data[at : at + 4])
        end = at + 4 + 2 * max(1, head.NUM_ELEMS)
        numbers = [int.from_bytes(data[n : n + 2], "little") for n in range(at + 4, min(end, len(data)), 2)]
        found.append(f"resource{told(head)} numbers {numbers}")
        at = end
    return found


_BUFFERS: Mapping[int, Callable[[bytes], list[str]]] = MappingProxyType(
    {
        Op.ADD_VSI: _properties,
        Op.UPDATE_VSI: _properties,
        Op.ADD_SW_RULES: _rules,
        Op.UPDATE_SW_RULES: _rules,
        Op.REMOVE_SW_RULES: _rules,
        Op.ALLOC_RES: _resources,
        Op.FREE_RES: _resources,
    }
)
