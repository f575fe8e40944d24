"""RSS (ice_vc_config_rss_key, ice_vc_config_rss_lut, ice_vc_set_rss_hena, ice_vc_handle_rss_cfg)."""

from __future__ import annotations

from errno import ENOENT
from typing import TYPE_CHECKING

from siov.drivers.ice.flow import Header
from siov.drivers.ice.rss import DEFAULT_HENA, HASHES
from siov.drivers.ice.virtchnl.headers import headers_of
from siov.host.linux import LinuxError
from siov.spec.virtchnl import (
    RSS_KEY_SIZE,
    RSS_LUT_SIZE,
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

ALGORITHMS = frozenset(int(one) for one in RssAlgorithm)


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
    """CONFIG_RSS_HFUNC: the hash function."""
    head = RssHfunc(data)
    if head.vsi_id != vf.vsi.num or head.rss_algorithm not in ALGORITHMS:
        return Status.ERR_PARAM
    vf.vsi.set_rss_hash(HASHES[RssAlgorithm(head.rss_algorithm)])
    return Status.SUCCESS


def get_rss_hena_caps(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_RSS_HENA_CAPS: what SET_RSS_HENA may have set."""
    return DEFAULT_HENA.to_bytes(8, "little")


def set_rss_hena(vf: VirtchnlVf, data: bytes) -> Reply:
    """SET_RSS_HENA: replaces every earlier choice of fields, ADD_RSS_CFG's included."""
    hena = RssHena(data).hena
    if hena & ~DEFAULT_HENA:
        return Status.ERR_PARAM
    vf.vsi.set_rss_hena(hena)
    vf.rss_flows.clear()
    return Status.SUCCESS


def _cfg(data: bytes) -> tuple[tuple[Header, ...], int]:
    """The headers of a request, without their bytes, that mean nothing, and the hash function."""
    cfg = RssCfg(data)
    headers = headers_of(cfg.proto_hdrs)
    return tuple(Header(header.type, header.selector) for header in headers), cfg.rss_algorithm


def add_rss_cfg(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_RSS_CFG: the same again does nothing."""
    headers, algorithm = _cfg(data)
    if algorithm not in ALGORITHMS:
        return Status.ERR_PARAM
    if headers not in vf.rss_flows and len(vf.rss_flows) >= vf.limits.rss_flows:
        return Status.ERR_NO_MEMORY
    vf.vsi.set_rss_cfg(headers, algorithm)
    vf.rss_flows[headers] = None
    return Status.SUCCESS


def del_rss_cfg(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_RSS_CFG: what is not there is removed already (ice_rem_rss_cfg)."""
    headers, algorithm = _cfg(data)
    if algorithm not in ALGORITHMS:
        return Status.ERR_PARAM
    try:
        vf.vsi.set_rss_cfg(headers, add=False)
    except LinuxError as error:
        if error.errno != ENOENT:
            raise
    vf.rss_flows.pop(headers, None)
    return Status.SUCCESS
