"""The port's link: what the driver configured, what the cable says, and the events about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.settings import SPEEDS, PortSettings

MAX_FRAME = 9728

# A PHY type for each speed that has one: (low, high) bits, a copper or SR variant (ice_adminq_cmd.h).
PHY_TYPES: dict[int, tuple[int, int]] = {
    100: (1 << 0, 0),
    1_000: (1 << 2, 0),
    2_500: (1 << 7, 0),
    5_000: (1 << 10, 0),
    10_000: (1 << 14, 0),
    25_000: (1 << 23, 0),
    40_000: (1 << 31, 0),
    50_000: (1 << 37, 0),
    100_000: (1 << 52, 0),
}


@dataclass(slots=True)
class Link:
    """The one port of the function."""

    engine: Engine
    settings: PortSettings
    enabled: bool = True  # by Set PHY Configuration and Restart Auto-Negotiation
    media: bool = False  # the other side of the cable is there
    pause: int = 0
    fec: int = 0
    phy: tuple[int, int] = (0, 0)  # types that the driver left
    max_frame: int = MAX_FRAME
    events: bool = False  # the next change is to be told
    mask: int = 0  # what is not to be told
    changes: int = 0
    loopback: bool = False
    told: bool = field(default=False)  # state of the last event

    def __post_init__(self) -> None:
        self.media = self.engine.link_present(0)
        self.phy = self.types
        self.told = self.up

    @property
    def types(self) -> tuple[int, int]:
        """All PHY types that the port can: those of its speed and of the slower ones."""
        able = [bits for speed, bits in PHY_TYPES.items() if speed <= self.settings.speed]
        return sum(low for low, _ in able), sum(high for _, high in able)

    @property
    def speed(self) -> int:
        """The fastest speed, in Mb/s, whose type the driver left."""
        left = [s for s, (low, high) in PHY_TYPES.items() if self.phy[0] & low or self.phy[1] & high]
        return max((s for s in left if s <= self.settings.speed), default=0)

    @property
    def up(self) -> bool:
        """Whether the port carries frames."""
        return self.enabled and (self.media or self.loopback) and self.speed > 0

    @property
    def speed_bit(self) -> int:
        """The speed as the bit that link status has for it, 0 without a link."""
        return 1 << SPEEDS.index(self.speed) if self.up else 0

    @property
    def active(self) -> tuple[int, int]:
        """The PHY type in use, none without a link."""
        return PHY_TYPES.get(self.speed, (0, 0)) if self.up else (0, 0)

    def apply(self) -> None:
        """Tell the engine the port's state."""
        self.engine.set_mac(0, self.settings.mac)
        self.engine.set_max_frame(0, self.max_frame)
        self.engine.set_link(0, self.up, self.speed)

    def reset(self) -> None:
        """As after power-on."""
        self.enabled, self.pause, self.fec = True, 0, 0
        self.phy, self.max_frame = self.types, MAX_FRAME
        self.events, self.mask, self.loopback = False, 0, False
        self.media = self.engine.link_present(0)
        self.told = self.up

    def inspect(self) -> dict[str, object]:
        """Whether it is up, and why."""
        return {
            "up": self.up,
            "speed": self.speed if self.up else 0,
            "enabled": self.enabled,
            "media": self.media,
            "max_frame": self.max_frame,
            "changes": self.changes,
        }
