"""RSS (ice_vc_config_rss_key, ice_vc_config_rss_lut, ice_vc_set_rss_hena, ice_vc_handle_rss_cfg)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.drivers.ice.virtchnl.pattern import rss_flow
from siov.spec.e810 import RssHash
from siov.spec.virtchnl import (
    RSS_KEY_SIZE,
    RSS_LUT_SIZE,
    Hena,
    RssAlgorithm,
    RssCfg,
    RssHena,
    RssHfunc,
    RssKey,
    RssLut,
    Status,
)

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

# All of them but L2_PAYLOAD, which has no fields to hash (ICE_DEFAULT_RSS_HENA).
HENA_CAPS = Hena.of(**{name: 1 for name in Hena.fields if name != "L2_PAYLOAD"})
HASHES = {
    RssAlgorithm.TOEPLITZ_ASYMMETRIC: RssHash.TPLZ,
    RssAlgorithm.TOEPLITZ_SYMMETRIC: RssHash.SYM_TPLZ,
    RssAlgorithm.XOR_SYMMETRIC: RssHash.XOR,
}


def config_rss_key(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_RSS_KEY: of the length that GET_VF_RESOURCES gave."""
    head = RssKey.read(data)
    if head.vsi_id != vf.vsi.num or head.key_len != RSS_KEY_SIZE:
        return Status.ERR_PARAM
    vf.vsi.set_rss_key(data[RssKey.size : RssKey.size + RSS_KEY_SIZE])
    return Status.SUCCESS


def config_rss_lut(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_RSS_LUT: of the size that GET_VF_RESOURCES gave, and no queue that the VF has not."""
    head = RssLut.read(data)
    lut = data[RssLut.size : RssLut.size + RSS_LUT_SIZE]
    if head.vsi_id != vf.vsi.num or head.lut_entries != RSS_LUT_SIZE or max(lut) >= vf.queue_pairs:
        return Status.ERR_PARAM
    vf.vsi.set_rss_lut(lut)
    return Status.SUCCESS


def config_rss_hfunc(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_RSS_HFUNC: the hash function, of those that the device has."""
    head = RssHfunc(data)
    if head.vsi_id != vf.vsi.num or head.rss_algorithm not in HASHES:
        return Status.ERR_PARAM
    vf.vsi.set_rss_hash(HASHES[RssAlgorithm(head.rss_algorithm)])
    return Status.SUCCESS


def get_rss_hena_caps(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_RSS_HENA_CAPS: what SET_RSS_HENA may have set."""
    return HENA_CAPS.to_bytes()


def set_rss_hena(vf: VirtchnlVf, data: bytes) -> Reply:
    """SET_RSS_HENA: replaces every earlier choice of fields, ADD_RSS_CFG's included."""
    hena = RssHena(data).hena
    if hena & ~HENA_CAPS.raw:
        return Status.ERR_PARAM
    vf.vsi.set_rss_hena(hena)
    vf.rss_flows.clear()
    return Status.SUCCESS


def add_rss_cfg(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_RSS_CFG: the same again does nothing; R_ASYMMETRIC asks for the XOR hash of the whole VSI."""
    return _rss_cfg(vf, data, True)


def del_rss_cfg(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_RSS_CFG: what is not there is removed already."""
    return _rss_cfg(vf, data, False)


def _rss_cfg(vf: VirtchnlVf, data: bytes, add: bool) -> Reply:
    cfg = RssCfg(data)
    if cfg.rss_algorithm not in set(RssAlgorithm):
        return Status.ERR_PARAM
    if cfg.rss_algorithm == RssAlgorithm.R_ASYMMETRIC:
        vf.vsi.set_rss_hash(RssHash.XOR if add else RssHash.TPLZ)
        return Status.SUCCESS
    flow = rss_flow(cfg.proto_hdrs)
    if flow is None:
        return Status.ERR_PARAM
    if add and flow not in vf.rss_flows and len(vf.rss_flows) >= vf.limits.rss_flows:
        return Status.ERR_NO_MEMORY
    vf.vsi.set_rss_cfg(flow, add)
    if add:
        vf.vsi.set_rss_hash(HASHES[RssAlgorithm(cfg.rss_algorithm)])
        vf.rss_flows[flow] = None
    else:
        vf.rss_flows.pop(flow, None)
    return Status.SUCCESS
