"""Events: what the PF tells a VF unasked."""

from enum import IntEnum

from siov.spec.message import Message, octets, s32, u8, u32


class EventCode(IntEnum):
    """What happened."""

    UNKNOWN = 0
    LINK_CHANGE = 1
    RESET_IMPENDING = 2
    PF_DRIVER_CLOSE = 3


class EventSeverity(IntEnum):
    """How much it matters."""

    INFO = 0
    CERTAIN_DOOM = 255


class LegacyLinkSpeed(IntEnum):
    """The speed in LINK_CHANGE for a VF without ADV_LINK_SPEED."""

    UNKNOWN = 0
    S2_5GB = 0x01
    S100MB = 0x02
    S1GB = 0x04
    S10GB = 0x08
    S40GB = 0x10
    S20GB = 0x20
    S25GB = 0x40
    S5GB = 0x80


class PfEvent(Message, size=16, ref="virtchnl.h, virtchnl_pf_event"):
    """EVENT, from the PF."""

    event = s32(0, "what happened", EventCode)
    link_speed = u32(4, "LINK_CHANGE: Mbit/s with ADV_LINK_SPEED, else LegacyLinkSpeed")
    link_status = u8(8, "LINK_CHANGE: 1 when the link is up")
    pad = octets(9, 3, "padding")
    severity = s32(12, "how much it matters", EventSeverity)
