"""A PCI Express function: it answers configuration and memory requests, and issues its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from siov._core import Nic
from siov.hw.memory import SparseMemory
from siov.hw.pcie import errors
from siov.hw.pcie.config import Bar, ConfigSpace
from siov.hw.pcie.msix import MsixTable
from siov.hw.pcie.tlp import Bdf, CfgRd, CfgWr, Cpl, MRd, Msg, MWr, Request, complete
from siov.spec.pcie import Express, Msix, Type0
from siov.spec.pcie.header import MemoryBar, RomBar
from siov.spec.pcie.tlp import CompletionStatus
from siov.spec.word import Field


class Upstream(Protocol):
    """Who takes what a function sends towards the root complex."""

    def from_below(self, tlp: MRd | MWr | Msg) -> Cpl | None:
        """Route a request or message of the side below; the completion of a read comes back."""


class Device(Protocol):
    """What lies behind a function's BARs."""

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes from an offset of a BAR."""

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Bytes to an offset of a BAR."""

    def reset(self) -> None:
        """Forget everything that a function-level reset clears."""


@runtime_checkable
class SelfContainedDevice(Device, Protocol):
    """A device with DMA and interrupts of its own: its MSI-X structures, too, lie behind its BARs."""

    def config_changed(self, rid: int) -> None:
        """The configuration space may have changed; `rid` is the function's requester id."""


@runtime_checkable
class CoreDevice(SelfContainedDevice, Protocol):
    """A device whose registers are the core's: the CPU reaches them without a packet for each access."""

    @property
    def registers(self) -> Nic | None:
        """What answers behind the BARs, if it is the core's."""

    def service(self) -> None:
        """Have firmware do what accesses have asked of it."""


class MemoryDevice:
    """A device whose BARs are plain memory."""

    def __init__(self, bars: Sequence[Bar] = ()) -> None:
        self.memory = {bar.index: SparseMemory(bar.size) for bar in bars}

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes from an offset of a BAR."""
        return self.memory[bar].read(offset, size)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Bytes to an offset of a BAR."""
        self.memory[bar].write(offset, data)

    def reset(self) -> None:
        """Forget everything that a function-level reset clears."""
        for memory in self.memory.values():
            memory.clear()


class Function:
    """A function at a device and function number; it learns its bus from configuration writes (PCIe 2.2.6.2).

    `bars` and `rom` (bytes of the expansion ROM) decode addresses once software has placed and enabled them.
    Set `answers` to False to have requests time out, as with a device that hangs.
    """

    def __init__(
        self,
        name: str,
        devfn: tuple[int, int],
        config: ConfigSpace,
        bars: Sequence[Bar] = (),
        device: Device | None = None,
        rom: bytes = b"",
    ) -> None:
        self.name = name
        self.bdf = Bdf(0, *devfn)
        self.config = config
        self.bars = tuple(bars)
        self.device: Device = device or MemoryDevice(bars)
        self.rom = rom
        self.answers = True
        self.upstream: Upstream | None = None
        self.self_contained = device if isinstance(device, SelfContainedDevice) else None
        has_table = Msix.CONTROL in config and self.self_contained is None
        self.msix = MsixTable(config, self.dma_write) if has_table else None

    def receive(self, request: Request) -> Cpl | None:
        """Answer a request that was routed here; `None` for a posted one, or when it does not answer."""
        if not self.answers:
            return None
        match request:
            case CfgRd():
                data = self.config.regs.read(request.register, request.size)
                return complete(request, self.bdf, data)
            case CfgWr():
                self.bdf = Bdf(request.target.bus, self.bdf.device, self.bdf.function)
                self.config_write(request.register, request.data)
                return complete(request, self.bdf)
            case MRd():
                return self._read(request)
            case MWr():
                self._write(request)
                return None

    def claims(self, address: int) -> bool:
        """Whether an enabled BAR or the enabled ROM covers the address."""
        return self._decode(address) is not None

    def config_write(self, at: int, data: bytes) -> None:
        """Software's write to the configuration space; Initiate Function Level Reset has its effect."""
        changes = self.config.regs.write(at, data)
        if Express.DEVCTL in self.config and self.config[Express.DEVCAP].FLRC:
            name = self.config.name_of(Express.DEVCTL)
            if any(c[0] == name and Express.DEVCTL(c[4]).IFLR for c in changes):
                self.reset()
        if self.msix is not None:
            self.msix.deliver()
        self._config_changed()

    def reset(self) -> None:
        """A hot or function-level reset: everything but the sticky bits takes its reset value."""
        self.device.reset()
        self.config.regs.reset(keep_sticky=True)
        if self.msix is not None:
            self.msix.reset()
        self._config_changed()

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """What a read in a BAR gives: of the MSI-X structures, or of the device."""
        part = self.msix.part(bar, offset) if self.msix is not None else None
        if self.msix is not None and part is not None:
            return self.msix.read(*part, size)
        return self.device.bar_read(bar, offset, size)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """A write in a BAR: to the MSI-X structures, or to the device."""
        part = self.msix.part(bar, offset) if self.msix is not None else None
        if self.msix is not None and part is not None:
            self.msix.write(*part, data)
        else:
            self.device.bar_write(bar, offset, data)

    def bar_address(self, bar: Bar) -> int:
        """Where software has put a BAR, a bus address."""
        low = MemoryBar(self.config.regs.get(f"BAR{bar.index}")).raw & MemoryBar.BASE.mask
        high = self.config.regs.get(f"BAR{bar.index + 1}") if bar.wide else 0
        return high << 32 | low

    def error(self, kind: Field, request: Request) -> Cpl | None:
        """Record an error of a request and tell the root complex; gives the request's completion."""
        self.tell(errors.report(self.config, self.bdf, kind, request))
        status = CompletionStatus.CA if kind is errors.CA else CompletionStatus.UR
        if status is CompletionStatus.CA:
            self.config.update(Type0.STATUS, STA=1)
        return complete(request, self.bdf, status=status)

    def tell(self, message: Msg | None) -> None:
        """Send an error message up, if there is one."""
        if message is not None and self.upstream is not None:
            self.upstream.from_below(message)

    def dma_read(self, address: int, size: int) -> bytes | None:
        """Read `size` bytes at a bus address; `None` when it was refused or the function may not master."""
        data = b""
        for at, n in _requests(address, size):
            part = self._read_request(MRd(self.bdf, at, n))
            if part is None:
                return None
            data += part
        return data

    def dma_write(self, address: int, data: bytes) -> bool:
        """Write at a bus address, posted; False when the function may not master."""
        if self.upstream is None or not self.config[Type0.COMMAND].BME:
            return False
        for at, n in _requests(address, len(data)):
            self.upstream.from_below(MWr(self.bdf, at, data[at - address : at - address + n]))
        return True

    def inspect(self) -> dict[str, object]:
        """Name, place, identity and BARs."""
        return {
            "name": self.name,
            "bdf": str(self.bdf),
            "id": f"{self.config[Type0.VENDOR_ID].ID:04x}:{self.config[Type0.DEVICE_ID].ID:04x}",
            "command": self.config[Type0.COMMAND].decode(),
            "bars": {bar.index: {"at": self.bar_address(bar), "size": bar.size} for bar in self.bars},
        }

    def _config_changed(self) -> None:
        if self.self_contained is not None:
            self.self_contained.config_changed(int(self.bdf))

    def _read_request(self, request: MRd) -> bytes | None:
        if self.upstream is None or not self.config[Type0.COMMAND].BME:
            return None
        completion = self.upstream.from_below(request)
        if completion is None:
            self.error(errors.CTO, request)
            return None
        if completion.status is CompletionStatus.SC:
            return completion.data
        aborted = "RTA" if completion.status is CompletionStatus.CA else "RMA"
        self.config.update(Type0.STATUS, **{aborted: 1})
        return None

    def _decode(self, address: int) -> "_Hit | None":
        if not self.config[Type0.COMMAND].MSE:
            return None
        for bar in self.bars:
            base = self.bar_address(bar)
            if base <= address < base + bar.size:
                return _Hit(bar.index, address - base, base + bar.size - address)
        rom = self.config[RomBar] if RomBar in self.config else RomBar(0)
        base = rom.raw & RomBar.BASE.mask
        if self.rom and rom.EN and base <= address < base + len(self.rom):
            return _Hit(None, address - base, base + len(self.rom) - address)
        return None

    def _read(self, request: MRd) -> Cpl | None:
        hit = self._decode(request.address)
        if hit is None or request.size > hit.left:
            return self.error(errors.UR, request)
        if hit.bar is None:
            data = self.rom[hit.offset : hit.offset + request.size]
        else:
            data = self.bar_read(hit.bar, hit.offset, request.size)
        return complete(request, self.bdf, data)

    def _write(self, request: MWr) -> None:
        hit = self._decode(request.address)
        if hit is None or hit.bar is None or len(request.data) > hit.left:
            self.error(errors.UR, request)
            return
        self.bar_write(hit.bar, hit.offset, request.data)


@dataclass(slots=True, frozen=True)
class _Hit:
    bar: int | None  # None: the expansion ROM
    offset: int
    left: int  # bytes from the offset to the end


def _requests(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Address and bytes of each request of a transfer: none crosses a 4 KiB boundary (PCIe 2.2.7)."""
    at, end = address, address + size
    while at < end:
        n = min(end, (at | 0xFFF) + 1) - at
        yield at, n
        at += n
