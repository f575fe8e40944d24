"""Admin commands about the switch: configuration, resources, VSIs, rules and recipes, MAC addresses."""

from enum import IntEnum
from typing import Annotated

from siov.spec.e810.adminq import AqBuffer
from siov.spec.word import Word, bit, bits

REF = "E810 ice_adminq_cmd.h"

SW_RULE_HEADER_BYTES: Annotated[int, "Bytes of a packet's header that a look-up rule carries"] = 16


class AqMacRead(AqBuffer, width=128, ref=REF):
    """MANAGE_MAC_READ: the buffer is filled with AqMacAddress."""

    LAN_ADDR_VALID = bit(4, "there is a LAN address")
    SAN_ADDR_VALID = bit(5, "there is a SAN address")
    PORT_ADDR_VALID = bit(6, "there is an address of the port")
    WOL_ADDR_VALID = bit(7, "there is a wake-on-LAN address")
    MC_MAG_EN = bit(8, "magic packets by multicast")
    WOL_PRESERVE_ON_PFR = bit(9, "the wake-on-LAN address outlives a reset of the function")
    NUM_ADDR = bits(39, 32, "how many addresses there are")


class MacAddressType(IntEnum):
    """What an address is for."""

    LAN = 0
    WOL = 1


class AqMacAddress(Word, width=64, ref=REF):
    """An address of MANAGE_MAC_READ."""

    LPORT_NUM = bits(7, 0, "logical port")
    ADDR_TYPE = bits(15, 8, "what it is for", enum=MacAddressType)
    MAC_ADDR = bits(63, 16, "MAC address, its first byte lowest")


class AqMacWrite(AqBuffer, width=128, ref=REF):
    """MANAGE_MAC_WRITE: sets the function's address."""

    MC_MAG_EN = bit(8, "magic packets by multicast")
    WOL_LAA_PFR_KEEP = bit(9, "the wake-on-LAN address outlives a reset of the function")
    UPDATE_LAA_WOL = bit(14, "for wake-on-LAN too")
    MAC_ADDR = bits(63, 16, "MAC address, its first byte lowest")


class AqGetSwitchConfig(AqBuffer, width=128, ref=REF):
    """GET_SW_CFG: the buffer is filled with AqSwitchElement."""

    FLAGS = bits(15, 0, "flags")
    ELEMENT = bits(31, 16, "first wanted; in the answer the next, 0 when there is none")
    NUM_ELEMS = bits(47, 32, "how many there are")


class SwitchElementType(IntEnum):
    """What an element of the switch is."""

    PHYS_PORT = 0
    VIRT_PORT = 1
    VSI = 2


class AqSwitchElement(Word, width=48, ref=REF):
    """A port or VSI of the switch."""

    VSI_PORT_NUM = bits(9, 0, "number")
    TYPE = bits(15, 14, "what it is", enum=SwitchElementType)
    SWID = bits(31, 16, "switch")
    FUNC_NUM = bits(46, 32, "function it belongs to")
    IS_VF = bit(47, "that is a virtual function")


class AqSetPortParams(Word, width=128, ref=REF):
    """SET_PORT_PARAMS."""

    SAVE_BAD_PACKETS = bit(0, "bad packets go to BAD_FRAME_VSI")
    PAD_SHORT_PACKETS = bit(1, "short packets are padded")
    DOUBLE_VLAN_ENA = bit(2, "two VLAN tags are looked at")
    BAD_FRAME_VSI = bits(25, 16, "VSI for bad packets")
    BAD_FRAME_VSI_VALID = bit(31, "BAD_FRAME_VSI counts")
    SWID = bits(39, 32, "switch")
    LOGI_PORT_ID = bits(45, 40, "logical port")
    IS_LOGI_PORT = bit(46, "LOGI_PORT_ID counts")
    SWID_VALID = bit(47, "SWID counts")
    LOOPBACK_MODE = bits(49, 48, "local forwarding: 0 as usual, 1 not at all, 2 first")
    LOOPBACK_MODE_VALID = bit(50, "LOOPBACK_MODE counts")


class ResourceType(IntEnum):
    """What ALLOC_RES gives."""

    VEB_COUNTER = 0x00
    VLAN_COUNTER = 0x01
    MIRROR_RULE = 0x02
    VSI_LIST_REP = 0x03
    VSI_LIST_PRUNE = 0x04
    RECIPE = 0x05
    PROFILE = 0x06
    SWID = 0x07
    VSI = 0x08
    GLOBAL_RSS_HASH = 0x20
    FDIR_COUNTER_BLOCK = 0x21
    FDIR_GUARANTEED_ENTRIES = 0x22
    FDIR_SHARED_ENTRIES = 0x23
    FLEX_DESC_PROG = 0x30
    SWITCH_PROF_BLDR_PROFID = 0x48
    SWITCH_PROF_BLDR_TCAM = 0x49
    ACL_PROF_BLDR_PROFID = 0x50
    ACL_PROF_BLDR_TCAM = 0x51
    FD_PROF_BLDR_PROFID = 0x58
    FD_PROF_BLDR_TCAM = 0x59
    HASH_PROF_BLDR_PROFID = 0x60
    HASH_PROF_BLDR_TCAM = 0x61


class AqAllocRes(AqBuffer, width=128, ref=REF):
    """ALLOC_RES, FREE_RES and GET_RES_ALLOC."""

    NUM_ENTRIES = bits(15, 0, "elements in the buffer")


class AqResource(Word, width=32, ref=REF):
    """Head of an element of ALLOC_RES and FREE_RES; NUM_ELEMS 16-bit numbers follow."""

    RES_TYPE = bits(6, 0, "what", enum=ResourceType)
    SHARED = bit(7, "functions share it")
    VSI_PRUNE_LIST = bits(11, 8, "prune list")
    SCAN_BOTTOM = bit(12, "the lowest numbers first")
    IGNORE_INDEX = bit(13, "any number will do")
    SUBSCRIBE_SHARED = bit(14, "take part in what another one shares")
    SUBSCRIBE_CTL = bit(15, "control over subscription")
    NUM_ELEMS = bits(31, 16, "how many")


class AqResourceAllocation(Word, width=64, ref=REF):
    """First 8 bytes of an element of GET_RES_ALLOC; 2 more bytes give how many are free."""

    RES_TYPE = bits(15, 0, "what", enum=ResourceType)
    TOTAL_CAPACITY = bits(31, 16, "of the device")
    TOTAL_FUNCTION = bits(47, 32, "of the function")
    TOTAL_SHARED = bits(63, 48, "shared")


class VsiType(IntEnum):
    """Whom a VSI belongs to."""

    VF = 0
    VMDQ2 = 1
    PF = 2
    EMP_MNG = 3


class AqVsi(AqBuffer, width=128, ref=REF):
    """ADD_VSI, UPDATE_VSI, GET_VSI_PARAMS and FREE_VSI; the buffer is VsiProperties."""

    VSI_NUM = bits(9, 0, "VSI")
    IS_VALID = bit(15, "VSI_NUM counts")
    KEEP_ALLOC = bit(16, "the number isn't given back when the VSI is freed")
    VF_ID = bits(39, 32, "virtual function")
    TYPE = bits(49, 48, "whom it belongs to", enum=VsiType)


class AqVsiResponse(AqBuffer, width=128, ref=REF):
    """Answer to ADD_VSI, UPDATE_VSI and FREE_VSI; to GET_VSI_PARAMS with VF_ID in EXT_STATUS."""

    VSI_NUM = bits(9, 0, "VSI")
    EXT_STATUS = bits(31, 16, "more about an error")
    VSI_USED = bits(47, 32, "VSIs in use")
    VSI_FREE = bits(63, 48, "VSIs that are free")


class AqSwitchRules(AqBuffer, width=128, ref=REF):
    """ADD_SW_RULES, UPDATE_SW_RULES, REMOVE_SW_RULES and GET_SW_RULES."""

    NUM_RULES = bits(15, 0, "rules in the buffer")


class SwitchRuleType(IntEnum):
    """What a rule in the buffer is."""

    LKUP_RX = 0
    LKUP_TX = 1
    LG_ACT = 2
    VSI_LIST_SET = 3
    VSI_LIST_CLEAR = 4
    PRUNE_LIST_SET = 5
    PRUNE_LIST_CLEAR = 6


class RecipeId(IntEnum):
    """What a rule looks up: the recipes that firmware has from the start."""

    ETHERTYPE = 0
    MAC = 1
    MAC_VLAN = 2
    PROMISC = 3
    VLAN = 4
    DFLT = 5
    ETHERTYPE_MAC = 8
    PROMISC_VLAN = 9
    LOGICAL_PORT_FWD = 10


class AqSwitchRule(Word, width=128, ref=REF):
    """A look-up rule; HDR_LEN bytes of header follow."""

    TYPE = bits(15, 0, "LKUP_RX or LKUP_TX", enum=SwitchRuleType)
    STATUS = bits(31, 16, "return code of this rule")
    RECIPE_ID = bits(47, 32, "what is looked up", enum=RecipeId)
    SRC = bits(63, 48, "port that received it, or VSI that sent it")
    ACT = bits(95, 64, "action (see SingleAction)")
    INDEX = bits(111, 96, "index of the rule: given by ADD_SW_RULES, named for removal")
    HDR_LEN = bits(127, 112, "bytes of header")


class SingleActionType(IntEnum):
    """What a rule does with a packet."""

    VSI_FORWARDING = 0
    TO_Q = 1
    PRUNE_OR_PTR = 2
    OTHER = 3


class SingleAction(Word, width=32, ref=REF):
    """Action of a rule: to a VSI, to a VSI list, or drop (with TYPE VSI_FORWARDING)."""

    TYPE = bits(1, 0, "what it does", enum=SingleActionType)
    LB_ENABLE = bit(2, "looped back to VSIs of the switch")
    LAN_ENABLE = bit(3, "out to the port")
    VSI_ID = bits(13, 4, "VSI, or VSI list")
    VSI_LIST = bit(14, "VSI_ID is a list")
    VALID = bit(17, "the forwarding counts")
    DROP = bit(18, "the packet is dropped")


class SingleActionQueue(Word, width=32, ref=REF):
    """Action of a rule with TYPE TO_Q."""

    TYPE = bits(1, 0, "what it does", enum=SingleActionType)
    LB_ENABLE = bit(2, "looped back to VSIs of the switch")
    LAN_ENABLE = bit(3, "out to the port")
    Q_INDEX = bits(14, 4, "first queue")
    Q_REGION = bits(17, 15, "2 to the power of n queues")
    Q_PRIORITY = bit(18, "over other rules")


class SingleActionPrune(Word, width=32, ref=REF):
    """Action of a rule with TYPE PRUNE_OR_PTR."""

    TYPE = bits(1, 0, "what it does", enum=SingleActionType)
    VSI_LIST_ID = bits(13, 4, "prune list")
    VSI_LIST = bit(14, "VSI_LIST_ID is a list")
    EGRESS = bit(15, "for sent packets")
    INGRESS = bit(16, "for received packets")
    PRUNET = bit(17, "prune those in the list")
    PTR = bit(18, "bits 16:4 are a large action instead")


class AqVsiList(Word, width=64, ref=REF):
    """A VSI list or prune list; NUMBER_VSI 16-bit VSI numbers follow."""

    TYPE = bits(15, 0, "what is done to it", enum=SwitchRuleType)
    STATUS = bits(31, 16, "return code of this rule")
    INDEX = bits(47, 32, "the list")
    NUMBER_VSI = bits(63, 48, "VSIs in the rule")
