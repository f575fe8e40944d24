"""The port's link: status, and who is told when it changes (ice_link_event)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from siov.drivers.ice.adminq import AdminQueue, Answer
from siov.spec.e810 import (
    AqGetLinkStatus,
    AqLinkStatus,
    AqOpcode,
    AqRestartAn,
    AqSetEventMask,
    AqSetMacConfig,
    LinkStatusEvents,
)

SPEEDS = (10, 100, 1000, 2500, 5000, 10000, 20000, 25000, 40000, 50000, 100000, 200000)  # Mb/s, by LinkSpeed
STATUS_BYTES = AqLinkStatus.width // 8


@dataclass(slots=True, frozen=True)
class LinkState:
    """Whether the port has a link, its speed in Mb/s (0 without), and the greatest frame in bytes."""

    up: bool = False
    speed: int = 0
    max_frame: int = 0

    @classmethod
    def of(cls, status: AqLinkStatus) -> LinkState:
        """Out of firmware's answer or event."""
        known = status.LINK_SPEED.bit_length() - 1
        speed = SPEEDS[known] if 0 <= known < len(SPEEDS) else 0
        up = bool(status.LINK_UP)
        return cls(up, speed if up else 0, status.MAX_FRAME_SIZE)


Listener = Callable[[LinkState], None]


@dataclass(slots=True)
class Link:
    """The one port of the function; listeners hear of each change, in order of their coming."""

    aq: AdminQueue
    state: LinkState = LinkState()
    listeners: list[Listener] = field(default_factory=list)
    changes: int = 0

    def start(self) -> None:
        """Ask to be told when the link goes up or down, and look at it (ice_init_link_events)."""
        self.aq.on(AqOpcode.GET_LINK_STATUS, self._event)
        # A set bit keeps an event away: all but up/down, no medium, unqualified module.
        quiet = AqSetEventMask.of(
            LINK_FAULT=1,
            PHY_TEMP_ALARM=1,
            EXCESSIVE_ERRORS=1,
            SIGNAL_DETECT=1,
            AN_COMPLETED=1,
            PORT_TX_SUSPENDED=1,
            TOPO_CONFLICT=1,
            MEDIA_CONFLICT=1,
        )
        self.aq.send(AqOpcode.SET_EVENT_MASK, quiet)
        self.update()

    def stop(self) -> None:
        """Want no events any more."""
        self._ask(LinkStatusEvents.DIS)

    def update(self) -> LinkState:
        """Look at the link, tell of a change, and have firmware tell of the next one."""
        self._changed(LinkState.of(self._ask(LinkStatusEvents.ENA)))
        return self.state

    def set_enabled(self, enabled: bool) -> None:
        """Let the link come up, or take it down (ice_aq_set_link_restart_an)."""
        self.aq.send(AqOpcode.RESTART_AN, AqRestartAn.of(LINK_RESTART=1, LINK_ENABLE=int(enabled)))

    def set_max_frame(self, size: int) -> None:
        """The greatest frame that the port takes, in bytes with its CRC."""
        self.aq.send(AqOpcode.SET_MAC_CFG, AqSetMacConfig.of(MAX_FRAME_SIZE=size))

    def inspect(self) -> dict[str, object]:
        """Its state and how often it changed."""
        return {"up": self.state.up, "speed": self.state.speed, "changes": self.changes}

    def _ask(self, events: LinkStatusEvents) -> AqLinkStatus:
        answer = self.aq.send(AqOpcode.GET_LINK_STATUS, AqGetLinkStatus.of(LSE=events), room=STATUS_BYTES)
        return AqLinkStatus.from_bytes(answer.data.ljust(STATUS_BYTES, b"\0"))

    def _event(self, event: Answer) -> None:
        # The event is told once: looking at the status arms the next one, and is newer than the event.
        self.update()

    def _changed(self, state: LinkState) -> None:
        if state == self.state:
            return
        self.state = state
        self.changes += 1
        for listener in list(self.listeners):
            listener(state)
