"""Version, resources, reset and other numbers of queues: how a VF's driver begins, and begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.spec.virtchnl import (
    QUEUES_IN_BITMAP,
    RSS_KEY_SIZE,
    RSS_LUT_SIZE,
    VERSION_MAJOR,
    VERSION_MINOR,
    VersionInfo,
    VfCaps,
    VfResource,
    VfResRequest,
    VsiKind,
    VsiResource,
    allow_list,
)

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

SUPPORTED = VfCaps.of(
    L2=1,
    RSS_PF=1,
    VLAN=1,
    VLAN_V2=1,
    ADV_LINK_SPEED=1,
    WB_ON_ITR=1,
    REQ_QUEUES=1,
    RX_FLEX_DESC=1,
    FDIR_PF=1,
    ADV_RSS_PF=1,
    CRC=1,
    USO=1,
    LARGE_NUM_QPAIRS=1,
)
OF_VERSION_1_0 = VfCaps.of(L2=1, RSS_REG=1, VLAN=1)  # what a driver that can't ask is taken to want


def granted(asked: VfCaps, queue_pairs: int) -> VfCaps:
    """What a VF gets of what it asks for: L2 always, one form of VLAN, many queues only if it has them."""
    both = VfCaps(asked.raw & SUPPORTED.raw)
    return both.replace(
        L2=1,
        VLAN=both.VLAN and not both.VLAN_V2,
        LARGE_NUM_QPAIRS=both.LARGE_NUM_QPAIRS and queue_pairs > QUEUES_IN_BITMAP,
    )


def version(vf: VirtchnlVf, data: bytes) -> Reply:
    """VERSION: ours, whatever the VF's is, in the old form for a VF of version 1.0 (ice_vc_get_ver_msg)."""
    vf.version = VersionInfo(data)
    old = vf.version.major == 1 and vf.version.minor == 0
    return VersionInfo.of(major=VERSION_MAJOR, minor=0 if old else VERSION_MINOR).data


def reset_vf(vf: VirtchnlVf, data: bytes) -> Reply:
    """RESET_VF: the one message without reply; the VF sees the reset in RSTAT."""
    vf.owner.reset_vf()
    return None


def get_vf_resources(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_VF_RESOURCES: what the VF has; a second one is answered as the first (ice_vc_get_vf_res_msg)."""
    asked = VfCaps(int.from_bytes(data, "little")) if data else OF_VERSION_1_0
    vf.caps = caps = granted(asked, vf.queue_pairs)
    vf.allowed = allow_list(caps)
    vf.active = True
    vsi = VsiResource.of(
        vsi_id=vf.vsi.num,
        num_queue_pairs=vf.usable_pairs,
        vsi_type=VsiKind.SRIOV,
        default_mac_addr=vf.mac,
    )
    return (
        VfResource.of(
            num_vsis=1,
            num_queue_pairs=vf.usable_pairs,
            max_vectors=len(vf.vsi.vectors),
            max_mtu=vf.limits.max_frame,
            vf_cap_flags=caps.raw,
            rss_key_size=RSS_KEY_SIZE,
            rss_lut_size=RSS_LUT_SIZE,
        ).data
        + vsi.data
    )


def request_queues(vf: VirtchnlVf, data: bytes) -> Reply:
    """REQUEST_QUEUES: a reset if it can have them, with no reply; else how many it can have."""
    wanted = VfResRequest(data).num_queue_pairs
    most = vf.limits.max_queue_pairs if vf.caps.LARGE_NUM_QPAIRS else QUEUES_IN_BITMAP
    have = min(most, vf.owner.available_queue_pairs())
    if wanted == 0:
        return VfResRequest.of(num_queue_pairs=vf.usable_pairs).data
    if wanted > have:
        return VfResRequest.of(num_queue_pairs=max(0, have)).data
    vf.notify_reset()
    vf.owner.reset_vf(wanted)
    return None
