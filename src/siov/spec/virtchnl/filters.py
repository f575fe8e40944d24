"""MAC addresses and promiscuous mode."""

from enum import IntEnum

from siov.spec.message import Message, octets, u8, u16
from siov.spec.word import Word, bit


class EtherAddrType(IntEnum):
    """What a MAC address is to the VF."""

    LEGACY = 0
    PRIMARY = 1
    EXTRA = 2


class EtherAddr(Message, size=8, ref="virtchnl.h, virtchnl_ether_addr"):
    """One MAC address."""

    addr = octets(0, 6, "the address")
    type = u8(6, "bits 1:0: what it is", EtherAddrType)
    pad = u8(7, "padding")


class EtherAddrList(Message, size=4, ref="virtchnl.h, virtchnl_ether_addr_list"):
    """ADD_ETH_ADDR, DEL_ETH_ADDR: followed by `num_elements` of EtherAddr, and one spare."""

    vsi_id = u16(0, "the VSI")
    num_elements = u16(2, "addresses that follow")


class PromiscFlags(Word, width=16, ref="virtchnl.h, FLAG_VF_*_PROMISC"):
    """What a VF wants to get that is not for it."""

    UNICAST = bit(0, "all unicast")
    MULTICAST = bit(1, "all multicast")


class PromiscInfo(Message, size=4, ref="virtchnl.h, virtchnl_promisc_info"):
    """CONFIG_PROMISCUOUS_MODE."""

    vsi_id = u16(0, "the VSI")
    flags = u16(2, "PromiscFlags")
