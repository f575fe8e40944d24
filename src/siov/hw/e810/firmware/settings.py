"""What firmware is told of the device that it runs on."""

from dataclasses import dataclass, field
from typing import Protocol

from siov.hw.e810.firmware.flash import Image

SPEEDS = (10, 100, 1000, 2500, 5000, 10000, 20000, 25000, 40000, 50000, 100000, 200000)


class Clock(Protocol):
    """Real or virtual time."""

    def now(self) -> int:
        """Nanoseconds."""


@dataclass(slots=True, frozen=True)
class PortSettings:
    """A port as it leaves the factory: its address, and its speed in Mb/s."""

    mac: bytes
    speed: int = 100_000

    def __post_init__(self) -> None:
        if len(self.mac) != 6 or self.mac[0] & 1:
            raise ValueError(f"{self.mac.hex(':')} is no address of a port: six bytes, the first one even")
        if self.speed not in SPEEDS:
            have = ", ".join(map(str, SPEEDS))
            raise ValueError(f"a port of {self.speed} Mb/s: speeds are {have}")


@dataclass(slots=True, frozen=True)
class Settings:
    """The device: its port, the function's number, and the flow director's sizes in filters."""

    port: PortSettings
    function: int = 0
    flows: tuple[int, int] = (1024, 15360)  # guaranteed, best effort
    image: Image = field(default_factory=Image)
