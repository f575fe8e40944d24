"""VLAN filters and offloads in both forms (ice_vc_process_vlan_msg, ice_vc_add_vlan_v2_msg and their kin).

A VF receives frames of all VLANs until it has a filter for one; VLAN 0, untagged frames, is always let in.
The device takes single tags, so the second form offers the inner tag of 802.1Q alone (ice's "SVM").
"""

from __future__ import annotations

from errno import EEXIST, ENOENT
from struct import unpack_from
from typing import TYPE_CHECKING

from siov.host.linux import LinuxError
from siov.spec.message import rows
from siov.spec.virtchnl import (
    Status,
    VlanCaps,
    VlanFilter,
    VlanFilterList,
    VlanFilterListV2,
    VlanSetting,
    VlanSupport,
    VlanSupportedCaps,
)

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

VLAN_IDS = 4096
TPID = 0x8100
FILTERING = VlanSupport.of(ETHERTYPE_8100=1)
OFFLOADS = VlanSupport.of(ETHERTYPE_8100=1, TOGGLE=1, TAG_LOCATION_L2TAG1=1)
CAPS = VlanCaps.of(
    filtering_support=VlanSupportedCaps.of(inner=FILTERING.raw),
    filtering_ethertype_init=FILTERING.raw,
    stripping_support=VlanSupportedCaps.of(inner=OFFLOADS.raw),
    insertion_support=VlanSupportedCaps.of(inner=OFFLOADS.raw),
    offloads_ethertype_init=FILTERING.raw,
    ethertype_match=1,
)


def _add(vf: VirtchnlVf, vid: int) -> None:
    if vid and vid not in vf.vlans:
        try:
            vf.vsi.add_vlan(vid, TPID)
        except LinuxError as error:
            if error.errno != EEXIST:
                raise
        if not vf.vlans:
            vf.vsi.set_vlan_filtering(True)
        vf.vlans.add(vid)


def _delete(vf: VirtchnlVf, vid: int) -> Reply:
    if not vid:
        return Status.SUCCESS
    if vid not in vf.vlans:
        return Status.ERR_PARAM
    try:
        vf.vsi.del_vlan(vid, TPID)
    except LinuxError as error:
        if error.errno != ENOENT:
            raise
    vf.vlans.discard(vid)
    if not vf.vlans:
        vf.vsi.set_vlan_filtering(False)
    return Status.SUCCESS


def _ids(vf: VirtchnlVf, data: bytes) -> tuple[int, ...] | None:
    head = VlanFilterList.read(data)
    ids = unpack_from(f"<{head.num_elements}H", data, VlanFilterList.size)
    return ids if head.vsi_id == vf.vsi.num and max(ids) < VLAN_IDS else None


def add_vlan(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_VLAN: a VF that is not trusted is not told that it has its 8 already, as in ice."""
    ids = _ids(vf, data)
    if ids is None:
        return Status.ERR_PARAM
    for vid in ids:
        if vid and vid not in vf.vlans and len(vf.vlans) >= vf.limits.most_vlans:
            vf.counts["not_trusted"] += 1
            break
        _add(vf, vid)
    return Status.SUCCESS


def del_vlan(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_VLAN: VLAN 0 is always there."""
    ids = _ids(vf, data)
    return Status.ERR_PARAM if ids is None else _delete_all(vf, ids)


def _delete_all(vf: VirtchnlVf, ids: tuple[int, ...] | list[int]) -> Reply:
    for vid in ids:
        if _delete(vf, vid) is not Status.SUCCESS:
            return Status.ERR_PARAM
    return Status.SUCCESS


def get_offload_vlan_v2_caps(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_OFFLOAD_VLAN_V2_CAPS: 802.1Q filters, stripping and insertion, of the one tag there is."""
    return CAPS.replace(filtering_max_filters=vf.limits.most_vlans).data


def _filters(vf: VirtchnlVf, data: bytes) -> list[int] | None:
    """The VLAN ids of a request, if it names no more than what CAPS offers."""
    head = VlanFilterListV2.read(data)
    if head.vport_id != vf.vsi.num:
        return None
    found = rows(VlanFilter, data, VlanFilterListV2.size, head.num_elements)
    ok = all(
        one.outer.tpid == 0
        and one.inner.tpid == TPID
        and one.inner.tci < VLAN_IDS
        and one.inner.tci_mask in (0, VLAN_IDS - 1)
        for one in found
    )
    return [one.inner.tci for one in found] if ok else None


def add_vlan_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_VLAN_V2: none is added when there is no room for all."""
    ids = _filters(vf, data)
    if ids is None or len(vf.vlans | set(ids) - {0}) > vf.limits.most_vlans:
        return Status.ERR_PARAM
    for vid in ids:
        _add(vf, vid)
    return Status.SUCCESS


def del_vlan_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_VLAN_V2."""
    ids = _filters(vf, data)
    return Status.ERR_PARAM if ids is None else _delete_all(vf, ids)


def strip(vf: VirtchnlVf, on: bool) -> Reply:
    """Take tags out of received frames or not; no queue may keep the CRC (ice_vc_ena_vlan_stripping)."""
    if on and vf.crc_kept:
        return Status.ERR_NOT_SUPPORTED
    vf.vsi.set_vlan_strip(on)
    vf.vlan_strip = on
    return Status.SUCCESS


def enable_vlan_stripping(vf: VirtchnlVf, data: bytes) -> Reply:
    """ENABLE_VLAN_STRIPPING."""
    return strip(vf, True)


def disable_vlan_stripping(vf: VirtchnlVf, data: bytes) -> Reply:
    """DISABLE_VLAN_STRIPPING."""
    return strip(vf, False)


def _setting_fits(vf: VirtchnlVf, data: bytes) -> bool:
    """Whether it names the inner tag of 802.1Q and nothing else (ice_vc_valid_vlan_setting_msg)."""
    setting = VlanSetting(data)
    return (
        setting.vport_id == vf.vsi.num
        and setting.outer_ethertype_setting == 0
        and setting.inner_ethertype_setting == FILTERING.raw
    )


def enable_vlan_stripping_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """ENABLE_VLAN_STRIPPING_V2."""
    return strip(vf, True) if _setting_fits(vf, data) else Status.ERR_PARAM


def disable_vlan_stripping_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """DISABLE_VLAN_STRIPPING_V2."""
    return strip(vf, False) if _setting_fits(vf, data) else Status.ERR_PARAM


def _insert(vf: VirtchnlVf, data: bytes, on: bool) -> Reply:
    if not _setting_fits(vf, data):
        return Status.ERR_PARAM
    vf.vsi.set_vlan_insert(on)
    vf.vlan_insert = on
    return Status.SUCCESS


def enable_vlan_insertion_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """ENABLE_VLAN_INSERTION_V2."""
    return _insert(vf, data, True)


def disable_vlan_insertion_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """DISABLE_VLAN_INSERTION_V2."""
    return _insert(vf, data, False)
