"""The test function, driven over the wire by the names of its registers."""

import time
from typing import TypeVar

from client import TIMEOUT, Client
from messages import Region

from siov.spec.pcie.capability import Express, Msix
from siov.spec.pcie.header import CommonHeader
from siov.spec.testfn import Bar0
from siov.spec.word import Word

W = TypeVar("W", bound=Word)

CAPABILITY_IDS = {Msix: 0x11, Express: 0x10}


class Driver:
    """What a guest's driver does, through a client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, register: type[W]) -> W:
        """A register of BAR0."""
        return register.from_bytes(self.client.read(Region.BAR0, register.at, register.width // 8))

    def set(self, register: type[Word], value: int) -> None:
        """A register of BAR0, with a reply."""
        self.client.write(Region.BAR0, register.at, register(value).to_bytes())

    def config(self, at: int, word: type[W]) -> W:
        """A word of the configuration space."""
        return word.from_bytes(self.client.read(Region.CONFIG, at, word.width // 8))

    def set_config(self, at: int, value: Word) -> None:
        """A word of the configuration space."""
        self.client.write(Region.CONFIG, at, value.to_bytes())

    def capability(self, block: type[Msix] | type[Express]) -> int:
        """Where a capability lies, found as software does."""
        at = self.client.read(Region.CONFIG, CommonHeader.CAP_PTR.at, 1)[0]
        while at:
            msg_id, following = self.client.read(Region.CONFIG, at, 2)
            if msg_id == CAPABILITY_IDS[block]:
                return at
            at = following
        raise AssertionError(f"no {block.__name__}")

    def bus_master(self, on: bool = True) -> None:
        """Allow or forbid DMA."""
        at, word = CommonHeader.COMMAND.at, CommonHeader.COMMAND
        self.set_config(at, self.config(at, word).replace(BME=on))

    def msix(self, enable: bool = True, mask: bool = False) -> None:
        """MSI-X as a whole: on or off, masked or not."""
        at, word = self.capability(Msix) + Msix.CONTROL.at, Msix.CONTROL
        self.set_config(at, self.config(at, word).replace(EN=enable, MASK=mask))

    def function_level_reset(self) -> None:
        """The reset that a guest asks for in Device Control."""
        at, word = self.capability(Express) + Express.DEVCTL.at, Express.DEVCTL
        self.set_config(at, self.config(at, word).replace(IFLR=1))

    def ring(self, vector: int) -> None:
        """The doorbell."""
        self.set(Bar0.DOORBELL, vector)

    def start(self, src: int, dst: int, length: int, vector: int | None = None) -> None:
        """Begin to copy."""
        self.set(Bar0.COPY_SRC, src)
        self.set(Bar0.COPY_DST, dst)
        self.set(Bar0.COPY_LEN, length)
        raises = {} if vector is None else {"IE": 1, "VECTOR": vector}
        self.set(Bar0.COPY_CTL, Bar0.COPY_CTL.of(START=1, **raises).raw)

    def wait(self, timeout: float = TIMEOUT) -> Bar0.COPY_STATUS:
        """How the copy went, once it is over."""
        until = time.monotonic() + timeout
        while (status := self.get(Bar0.COPY_STATUS)).BUSY:
            assert time.monotonic() < until, "the copy does not end"
            time.sleep(0.0005)
        return status

    def copy(self, src: int, dst: int, length: int) -> Bar0.COPY_STATUS:
        """Copy to the end, from a clean status."""
        self.set(Bar0.COPY_STATUS, Bar0.COPY_STATUS.of(DONE=1, ERROR=1).raw)
        self.start(src, dst, length)
        return self.wait()

    def fault(self) -> int:
        """Where the copy failed."""
        return self.get(Bar0.COPY_FAULT).ADDR
