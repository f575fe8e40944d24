"""What the driver can be told, what it asks for, and the states that it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from siov.spec.virtchnl import FRAME_OVERHEAD, RSS_KEY_SIZE, VfCaps

_PAGE_BUFFER = 3712  # what Linux has of a page for a frame: 4096 less head room and tail

WANTED = VfCaps.of(
    L2=1,
    WB_ON_ITR=1,
    REQ_QUEUES=1,
    ADV_LINK_SPEED=1,
    LARGE_NUM_QPAIRS=1,
    CRC=1,
    VLAN_V2=1,
    VLAN=1,
    RSS_PF=1,
    USO=1,
    RX_FLEX_DESC=1,
    ADV_RSS_PF=1,
    FDIR_PF=1,
)


class State(Enum):
    """Linux's names, without the underscores (enum iavf_state_t)."""

    STARTUP = "startup"
    REMOVE = "remove"
    INIT_VERSION_CHECK = "init-version-check"
    INIT_GET_RESOURCES = "init-get-resources"
    INIT_EXTENDED_CAPS = "init-extended-caps"
    INIT_CONFIG_ADAPTER = "init-config-adapter"
    INIT_FAILED = "init-failed"
    RESETTING = "resetting"
    COMM_FAILED = "comm-failed"
    DOWN = "down"
    RUNNING = "running"


@dataclass(slots=True, frozen=True)
class IavfConfig:
    """What a user of the driver chooses. `queue_pairs` None takes all that are granted.

    Buffers are for frames of an MTU, as Linux sizes them, unless `buffer` says how many bytes. `rxdid` is 1,
    2 or 22, `itr` microseconds between interrupts of a queue; without `mac` it is the one that the PF gives.
    """

    queue_pairs: int | None = None
    tx_entries: int = 512
    rx_entries: int = 512
    mtu: int = 1500
    buffer: int | None = None
    rxdid: int = 1
    itr: int = 50
    mac: bytes | None = None
    wanted: VfCaps = WANTED
    rss_key: bytes = bytes((37 * n + 11) & 0xFF for n in range(RSS_KEY_SIZE))
    vlan_strip: bool = False
    vlan_insert: bool = False
    promiscuous: bool = False

    @property
    def buffer_size(self) -> int:
        """Bytes of a buffer: a frame of the MTU rounded up to 128, at most what a page has room for."""
        return self.buffer or min(-(-(self.mtu + FRAME_OVERHEAD) // 128) * 128, _PAGE_BUFFER)
