"""Which function carries out which operation, with the length that its requests must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from siov.drivers.ice.virtchnl import fdir, macs, queues, rss, session, vlans
from siov.spec.virtchnl import LENGTHS, Length, Op

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

Handler = Callable[["VirtchnlVf", bytes], "Reply"]

HANDLERS: Mapping[Op, Handler] = MappingProxyType(
    {
        Op.VERSION: session.version,
        Op.RESET_VF: session.reset_vf,
        Op.GET_VF_RESOURCES: session.get_vf_resources,
        Op.CONFIG_TX_QUEUE: queues.config_tx_queue,
        Op.CONFIG_RX_QUEUE: queues.config_rx_queue,
        Op.CONFIG_VSI_QUEUES: queues.config_vsi_queues,
        Op.CONFIG_IRQ_MAP: queues.config_irq_map,
        Op.ENABLE_QUEUES: queues.enable_queues,
        Op.DISABLE_QUEUES: queues.disable_queues,
        Op.ADD_ETH_ADDR: macs.add_eth_addr,
        Op.DEL_ETH_ADDR: macs.del_eth_addr,
        Op.ADD_VLAN: vlans.add_vlan,
        Op.DEL_VLAN: vlans.del_vlan,
        Op.CONFIG_PROMISCUOUS_MODE: macs.config_promiscuous_mode,
        Op.GET_STATS: queues.get_stats,
        Op.CONFIG_RSS_HFUNC: rss.config_rss_hfunc,
        Op.CONFIG_RSS_KEY: rss.config_rss_key,
        Op.CONFIG_RSS_LUT: rss.config_rss_lut,
        Op.GET_RSS_HENA_CAPS: rss.get_rss_hena_caps,
        Op.SET_RSS_HENA: rss.set_rss_hena,
        Op.ENABLE_VLAN_STRIPPING: vlans.enable_vlan_stripping,
        Op.DISABLE_VLAN_STRIPPING: vlans.disable_vlan_stripping,
        Op.REQUEST_QUEUES: session.request_queues,
        Op.GET_SUPPORTED_RXDIDS: queues.get_supported_rxdids,
        Op.ADD_RSS_CFG: rss.add_rss_cfg,
        Op.DEL_RSS_CFG: rss.del_rss_cfg,
        Op.ADD_FDIR_FILTER: fdir.add_fdir_filter,
        Op.DEL_FDIR_FILTER: fdir.del_fdir_filter,
        Op.GET_MAX_RSS_QREGION: queues.get_max_rss_qregion,
        Op.GET_OFFLOAD_VLAN_V2_CAPS: vlans.get_offload_vlan_v2_caps,
        Op.ADD_VLAN_V2: vlans.add_vlan_v2,
        Op.DEL_VLAN_V2: vlans.del_vlan_v2,
        Op.ENABLE_VLAN_STRIPPING_V2: vlans.enable_vlan_stripping_v2,
        Op.DISABLE_VLAN_STRIPPING_V2: vlans.disable_vlan_stripping_v2,
        Op.ENABLE_VLAN_INSERTION_V2: vlans.enable_vlan_insertion_v2,
        Op.DISABLE_VLAN_INSERTION_V2: vlans.disable_vlan_insertion_v2,
        Op.ENABLE_QUEUES_V2: queues.enable_queues_v2,
        Op.DISABLE_QUEUES_V2: queues.disable_queues_v2,
        Op.MAP_QUEUE_VECTOR: queues.map_queue_vector,
    }
)


@dataclass(slots=True, frozen=True)
class Entry:
    """An operation; `handler` None: its capability is never granted, so it never gets that far."""

    length: Length
    handler: Handler | None


TABLE: Mapping[int, Entry] = {int(op): Entry(length, HANDLERS.get(op)) for op, length in LENGTHS.items()}
"""Every operation that a VF may know, by number."""
