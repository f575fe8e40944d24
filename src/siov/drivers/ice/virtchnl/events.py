"""Events: what a VF is told unasked (ice_vc_notify_vf_link_state, ice_vc_notify_vf_reset)."""

from __future__ import annotations

from bisect import bisect_right

from siov.drivers.ice.link import LinkState
from siov.spec.virtchnl import EventCode, EventSeverity, LegacyLinkSpeed, PfEvent

# The old form has names for these speeds only; one between two is told as the lower one.
_LEGACY = (
    (0, LegacyLinkSpeed.UNKNOWN),
    (100, LegacyLinkSpeed.S100MB),
    (1000, LegacyLinkSpeed.S1GB),
    (2500, LegacyLinkSpeed.S2_5GB),
    (5000, LegacyLinkSpeed.S5GB),
    (10000, LegacyLinkSpeed.S10GB),
    (20000, LegacyLinkSpeed.S20GB),
    (25000, LegacyLinkSpeed.S25GB),
    (40000, LegacyLinkSpeed.S40GB),
)
_SPEEDS = [speed for speed, _ in _LEGACY]

RESET_IMPENDING = PfEvent.of(event=EventCode.RESET_IMPENDING, severity=EventSeverity.CERTAIN_DOOM).data


def legacy_speed(speed: int) -> LegacyLinkSpeed:
    """A speed in Mbit/s as the old form names it (ice_conv_link_speed_to_virtchnl)."""
    return _LEGACY[bisect_right(_SPEEDS, max(0, speed)) - 1][1]


def link_change(link: LinkState, advanced: bool) -> bytes:
    """LINK_CHANGE: with ADV_LINK_SPEED the speed is in Mbit/s."""
    speed = link.speed if advanced else legacy_speed(link.speed)
    return PfEvent.of(
        event=EventCode.LINK_CHANGE,
        link_speed=speed if link.up else 0,
        link_status=int(link.up),
        severity=EventSeverity.INFO,
    ).data
