"""Which message is well formed, and which capability allows it: what a PF checks before all else."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from siov.spec.virtchnl.ops import Op, VfCaps


@dataclass(slots=True, frozen=True)
class Length:
    """The only length a request may have: `base`, or `base + element * n` where it counts n elements.

    The number n is the `count_size` bytes at `count_at`, and at least 1. Where the C header once declared a
    list of one element, drivers still send one spare, and `base` includes it.
    """

    base: int
    element: int = 0
    count_at: int = 0
    count_size: int = 2

    def of(self, count: int) -> int:
        """The bytes of a request with `count` elements."""
        return self.base + self.element * count

    def fits(self, data: bytes) -> bool:
        """Whether a request of this kind is exactly as long as it says itself."""
        length = len(data)
        if not self.element:
            return length == self.base
        end = self.count_at + self.count_size
        if length < end:
            return False
        count = int.from_bytes(data[self.count_at : end], "little")
        return count > 0 and length == self.base + self.element * count


_NOTHING = Length(0)
_QUEUE_SELECT = Length(12)
_ETH_ADDR = Length(4 + 8, 8, 2)
_VLAN = Length(4 + 2, 2, 2)
_VLAN_V2 = Length(8, 32, 2)
_VLAN_SETTING = Length(16)
_CLOUD = Length(272)
_RSS_CFG = Length(2444)
_CHUNKS = Length(8, 8, 4)

LENGTHS: Mapping[Op, Length] = MappingProxyType(
    {
        Op.VERSION: Length(8),
        Op.RESET_VF: _NOTHING,
        Op.GET_VF_RESOURCES: Length(4),  # of version 1.0: 0 bytes
        Op.CONFIG_TX_QUEUE: Length(24),
        Op.CONFIG_RX_QUEUE: Length(40),
        Op.CONFIG_VSI_QUEUES: Length(8 + 64, 64, 2),
        Op.CONFIG_IRQ_MAP: Length(2 + 12, 12, 0),
        Op.ENABLE_QUEUES: _QUEUE_SELECT,
        Op.DISABLE_QUEUES: _QUEUE_SELECT,
        Op.ADD_ETH_ADDR: _ETH_ADDR,
        Op.DEL_ETH_ADDR: _ETH_ADDR,
        Op.ADD_VLAN: _VLAN,
        Op.DEL_VLAN: _VLAN,
        Op.CONFIG_PROMISCUOUS_MODE: Length(4),
        Op.GET_STATS: _QUEUE_SELECT,
        Op.CONFIG_RSS_HFUNC: Length(8),
        Op.CONFIG_RSS_KEY: Length(4 + 1, 1, 2),
        Op.CONFIG_RSS_LUT: Length(4 + 1, 1, 2),
        Op.GET_RSS_HENA_CAPS: _NOTHING,
        Op.SET_RSS_HENA: Length(8),
        Op.ENABLE_VLAN_STRIPPING: _NOTHING,
        Op.DISABLE_VLAN_STRIPPING: _NOTHING,
        Op.REQUEST_QUEUES: Length(2),
        Op.ENABLE_CHANNELS: Length(8, 16, 0, 4),
        Op.DISABLE_CHANNELS: _NOTHING,
        Op.ADD_CLOUD_FILTER: _CLOUD,
        Op.DEL_CLOUD_FILTER: _CLOUD,
        Op.GET_SUPPORTED_RXDIDS: _NOTHING,
        Op.ADD_RSS_CFG: _RSS_CFG,
        Op.DEL_RSS_CFG: _RSS_CFG,
        Op.ADD_FDIR_FILTER: Length(2616),
        Op.DEL_FDIR_FILTER: Length(12),
        Op.GET_MAX_RSS_QREGION: _NOTHING,
        Op.GET_OFFLOAD_VLAN_V2_CAPS: _NOTHING,
        Op.ADD_VLAN_V2: _VLAN_V2,
        Op.DEL_VLAN_V2: _VLAN_V2,
        Op.ENABLE_VLAN_STRIPPING_V2: _VLAN_SETTING,
        Op.DISABLE_VLAN_STRIPPING_V2: _VLAN_SETTING,
        Op.ENABLE_VLAN_INSERTION_V2: _VLAN_SETTING,
        Op.DISABLE_VLAN_INSERTION_V2: _VLAN_SETTING,
        Op.ENABLE_VLAN_FILTERING_V2: _VLAN_SETTING,
        Op.DISABLE_VLAN_FILTERING_V2: _VLAN_SETTING,
        Op.PTP_GET_CAPS: Length(48),
        Op.PTP_GET_TIME: Length(16),
        Op.GET_QOS_CAPS: _NOTHING,
        Op.CONFIG_QUEUE_TC_MAP: Length(8, 4, 2),
        Op.ENABLE_QUEUES_V2: _CHUNKS,
        Op.DISABLE_QUEUES_V2: _CHUNKS,
        Op.MAP_QUEUE_VECTOR: Length(8, 16, 2),
        Op.CONFIG_QUEUE_BW: Length(4, 12, 2),
        Op.CONFIG_QUANTA: Length(12),
    }
)
"""The length rule of each request; EVENT is none, and an operation that is not here is unknown."""

BEFORE_RESOURCES: frozenset[Op] = frozenset({Op.VERSION, Op.RESET_VF, Op.GET_VF_RESOURCES})
"""What a VF may say before it has its resources."""

WITH_RESOURCES: frozenset[Op] = BEFORE_RESOURCES | {
    Op.CONFIG_TX_QUEUE,
    Op.CONFIG_RX_QUEUE,
    Op.CONFIG_VSI_QUEUES,
    Op.CONFIG_IRQ_MAP,
    Op.ENABLE_QUEUES,
    Op.DISABLE_QUEUES,
    Op.GET_STATS,
}
"""What any VF may say once it has its resources."""

ALLOWED_BY: Mapping[str, frozenset[Op]] = MappingProxyType(
    {
        "L2": frozenset({Op.ADD_ETH_ADDR, Op.DEL_ETH_ADDR, Op.CONFIG_PROMISCUOUS_MODE}),
        "REQ_QUEUES": frozenset({Op.REQUEST_QUEUES}),
        "LARGE_NUM_QPAIRS": frozenset(
            {Op.GET_MAX_RSS_QREGION, Op.ENABLE_QUEUES_V2, Op.DISABLE_QUEUES_V2, Op.MAP_QUEUE_VECTOR}
        ),
        "VLAN": frozenset({Op.ADD_VLAN, Op.DEL_VLAN, Op.ENABLE_VLAN_STRIPPING, Op.DISABLE_VLAN_STRIPPING}),
        "VLAN_V2": frozenset(
            {
                Op.GET_OFFLOAD_VLAN_V2_CAPS,
                Op.ADD_VLAN_V2,
                Op.DEL_VLAN_V2,
                Op.ENABLE_VLAN_STRIPPING_V2,
                Op.DISABLE_VLAN_STRIPPING_V2,
                Op.ENABLE_VLAN_INSERTION_V2,
                Op.DISABLE_VLAN_INSERTION_V2,
            }
        ),
        "RSS_PF": frozenset(
            {
                Op.CONFIG_RSS_KEY,
                Op.CONFIG_RSS_LUT,
                Op.CONFIG_RSS_HFUNC,
                Op.GET_RSS_HENA_CAPS,
                Op.SET_RSS_HENA,
            }
        ),
        "RX_FLEX_DESC": frozenset({Op.GET_SUPPORTED_RXDIDS}),
        "ADV_RSS_PF": frozenset({Op.ADD_RSS_CFG, Op.DEL_RSS_CFG}),
        "FDIR_PF": frozenset({Op.ADD_FDIR_FILTER, Op.DEL_FDIR_FILTER}),
        "ADQ": frozenset({Op.ENABLE_CHANNELS, Op.DISABLE_CHANNELS, Op.ADD_CLOUD_FILTER, Op.DEL_CLOUD_FILTER}),
        "QOS": frozenset({Op.GET_QOS_CAPS, Op.CONFIG_QUEUE_TC_MAP, Op.CONFIG_QUEUE_BW, Op.CONFIG_QUANTA}),
        "PTP": frozenset({Op.PTP_GET_CAPS, Op.PTP_GET_TIME}),
    }
)
"""What each granted capability, by its name in VfCaps, adds to WITH_RESOURCES."""


def allow_list(granted: VfCaps) -> frozenset[Op]:
    """Everything that a VF with these capabilities may ask."""
    return WITH_RESOURCES.union(*(ops for name, ops in ALLOWED_BY.items() if getattr(granted, name)))
