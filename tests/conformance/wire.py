"""What the tests plug into an adapter's port."""

from typing import Protocol

from siov._core import Port


class Pumped(Protocol):
    """A machine or server that nothing but the test lets work."""

    def pump(self) -> object: ...


class Wire:
    """The far end of the cable that the adapter's port is plugged into."""

    def __init__(self) -> None:
        self.near, self.far = Port.cable()

    def send(self, pumped: Pumped, *frames: bytes) -> None:
        for frame in frames:
            assert self.far.send(frame)
        pumped.pump()

    def take(self) -> list[bytes]:
        return self.far.receive(1024)
