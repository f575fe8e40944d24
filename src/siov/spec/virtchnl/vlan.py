"""VLAN filters, stripping and insertion, in the first and second form."""

from siov.spec.message import Message, nested, octets, u8, u16, u32
from siov.spec.word import Word, bit


class VlanFilterList(Message, size=4, ref="virtchnl.h, virtchnl_vlan_filter_list"):
    """ADD_VLAN, DEL_VLAN: followed by `num_elements` VLAN ids of 16 bits, and one spare."""

    vsi_id = u16(0, "the VSI")
    num_elements = u16(2, "ids that follow")


class VlanSupport(Word, width=32, ref="virtchnl.h, virtchnl_vlan_support"):
    """What can be done with a tag, or is asked to be: ethertypes, where the tag lies, how they combine."""

    ETHERTYPE_8100 = bit(0, "802.1Q")
    ETHERTYPE_88A8 = bit(1, "802.1ad")
    ETHERTYPE_9100 = bit(2, "QinQ as it was before the standard")
    TAG_LOCATION_L2TAG1 = bit(8, "the descriptor's first tag")
    TAG_LOCATION_L2TAG2 = bit(9, "the transmit descriptor's second tag")
    TAG_LOCATION_L2TAG2_2 = bit(10, "the receive descriptor's second tag")
    PRIO = bit(24, "filters may name priorities")
    FILTER_MASK = bit(28, "filters may have masks")
    ETHERTYPE_AND = bit(29, "several ethertypes at a time")
    ETHERTYPE_XOR = bit(30, "one ethertype at a time")
    TOGGLE = bit(31, "may be switched on and off")


class VlanSupportedCaps(Message, size=8, ref="virtchnl.h, virtchnl_vlan_supported_caps"):
    """VlanSupport of the outer tag and of the inner one; a VF without double tags has only inner ones."""

    outer = u32(0, "for the outer tag")
    inner = u32(4, "for the inner or only tag")


class VlanCaps(Message, size=40, ref="virtchnl.h, virtchnl_vlan_caps"):
    """GET_OFFLOAD_VLAN_V2_CAPS, reply."""

    filtering_support = nested(VlanSupportedCaps, 0, "filters")
    filtering_ethertype_init = u32(8, "ethertypes that are filtered at first")
    filtering_max_filters = u16(12, "the most filters")
    pad1 = u16(14, "padding")
    stripping_support = nested(VlanSupportedCaps, 16, "stripping")
    insertion_support = nested(VlanSupportedCaps, 24, "insertion")
    offloads_ethertype_init = u32(32, "ethertypes that are offloaded at first")
    ethertype_match = u8(36, "1: stripping must have the ethertype of insertion")
    pad2 = octets(37, 3, "padding")


class Vlan(Message, size=8, ref="virtchnl.h, virtchnl_vlan"):
    """One tag to filter for."""

    tci = u16(0, "priority and id")
    tci_mask = u16(2, "which bits of it count; 0: the id")
    tpid = u16(4, "ethertype")
    pad = u16(6, "padding")


class VlanFilter(Message, size=32, ref="virtchnl.h, virtchnl_vlan_filter"):
    """A filter: an inner tag, an outer one, or both."""

    inner = nested(Vlan, 0, "the inner or only tag")
    outer = nested(Vlan, 8, "the outer tag")
    pad = octets(16, 16, "padding")


class VlanFilterListV2(Message, size=8, ref="virtchnl.h, virtchnl_vlan_filter_list_v2"):
    """ADD_VLAN_V2, DEL_VLAN_V2: followed by `num_elements` of VlanFilter."""

    vport_id = u16(0, "the VSI")
    num_elements = u16(2, "filters that follow")
    pad = octets(4, 4, "padding")


class VlanSetting(Message, size=16, ref="virtchnl.h, virtchnl_vlan_setting"):
    """Stripping or insertion, on or off by the operation, for the ethertypes named (VlanSupport)."""

    outer_ethertype_setting = u32(0, "of the outer tag")
    inner_ethertype_setting = u32(4, "of the inner or only tag")
    vport_id = u16(8, "the VSI")
    pad = octets(10, 6, "padding")
