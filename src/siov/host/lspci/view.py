"""What a listing is made from: one function's configuration bytes and what the kernel knows about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import TypeVar

from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.pcie.foreign import SubsystemIds
from siov.spec.pcie.header import CommonHeader, HeaderLayout, Type0
from siov.spec.pcie.ids import CapabilityId
from siov.spec.word import Word

W = TypeVar("W", bound=Word)


@dataclass(slots=True, frozen=True, order=True)
class Address:
    """Where a function is; as text `DDDD:BB:dd.f`, as Linux names it."""

    domain: int
    bus: int
    device: int
    function: int

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.short}"

    @property
    def short(self) -> str:
        """The address without the domain."""
        return f"{self.bus:02x}:{self.device:02x}.{self.function}"


class ResourceFlag(IntFlag):
    """The flags of a kernel resource that a listing reads (Linux ioport.h, as sysfs `resource` shows them).

    A BAR's own low four bits stand in the flags' low four bits.
    """

    IO_16BIT = 1 << 0
    FIXED_BY_EA = 1 << 5
    IO = 0x100
    MEM = 0x200
    PREFETCH = 0x2000
    MEM_64 = 0x10_0000


BAR_BITS = 0xF  # of a resource's flags: the low bits of its BAR


@dataclass(slots=True, frozen=True)
class Resource:
    """An address range as the kernel assigned it: start and size in bytes (0: nothing there), its flags."""

    start: int = 0
    size: int = 0
    flags: int = 0

    @property
    def register(self) -> int:
        """The address with the register's low bits, as the BAR would read."""
        return self.start | self.flags & BAR_BITS


ROM, WINDOWS = 6, 7  # where the ROM and the bridge windows stand in a function's resources


@dataclass(slots=True, frozen=True)
class PciFunctionView:
    """One function: address, configuration bytes (64, 256 or 4096; other lengths as found in a dump).

    `resources` are the kernel's: six BARs, the ROM, and for a bridge four more: the I/O, memory and
    prefetchable windows and one unused. None means that only the configuration bytes are known, as in a
    dump: addresses come from the registers, sizes are unknown. `irq` None means the Interrupt Line
    register. `parent` is the bridge it hangs below, where the kernel says so.
    """

    address: Address
    config: bytes
    resources: Sequence[Resource] | None = None
    irq: int | None = None
    driver: str | None = None
    modules: Sequence[str] = ()
    numa_node: int | None = None
    iommu_group: int | None = None
    slot: str | None = None
    parent: Address | None = None

    @property
    def readable(self) -> bool:
        """Whether there is a whole header; without it only single registers can be shown."""
        return len(self.config) >= CommonHeader.size

    @property
    def has_header(self) -> bool:
        """Whether there is a whole header of a known layout."""
        return self.readable and self.layout in set(HeaderLayout)

    def covers(self, end: int) -> bool:
        """Whether the configuration bytes reach to the offset."""
        return end <= len(self.config)

    def read(self, what: type[W], at: int | None = None) -> W:
        """The word at its own offset or at another one; all ones behind the end, as a bus gives."""
        start, size = what.at if at is None else at, what.width // 8
        data = self.config[start : start + size]
        return what.from_bytes(data if len(data) == size else b"\xff" * size)

    @property
    def vendor(self) -> int:
        """Vendor id."""
        return self.read(CommonHeader.VENDOR_ID).ID

    @property
    def device(self) -> int:
        """Device id."""
        return self.read(CommonHeader.DEVICE_ID).ID

    @property
    def base_class(self) -> int:
        """The class code's upper byte."""
        return self.read(CommonHeader.CLASS_CODE).BASE

    @property
    def class_id(self) -> int:
        """Base class and sub-class, 16 bits."""
        code = self.read(CommonHeader.CLASS_CODE)
        return code.BASE << 8 | code.SUB

    @property
    def prog_if(self) -> int:
        """Programming interface."""
        return self.read(CommonHeader.CLASS_CODE).PI

    @property
    def revision(self) -> int:
        """Revision id."""
        return self.read(CommonHeader.REVISION_ID).ID

    @property
    def layout(self) -> int:
        """The header layout: 0, 1 or 2, or another value where the header is none."""
        return self.read(CommonHeader.HEADER_TYPE).HL

    def capabilities(self) -> Iterator[tuple[int, int]]:
        """Offset and id of each capability of the first 256 bytes, up to a loop or a broken link."""
        seen: set[int] = set()
        at = self.read(CommonHeader.CAP_PTR).PTR & ~3 if self.read(CommonHeader.STATUS).CAP else 0
        while at and at not in seen:
            header = self.read(CapabilityHeader, at)
            if header.ID == 0xFF:
                return
            seen.add(at)
            yield at, header.ID
            at = header.NEXT & ~3

    @property
    def subsystem(self) -> tuple[int, int] | None:
        """Subsystem vendor and device id; None where the header's layout has no place for them."""
        if not self.readable:
            return None
        if self.layout == HeaderLayout.TYPE0:
            return self.read(Type0.SUBSYSTEM_VENDOR_ID).ID, self.read(Type0.SUBSYSTEM_ID).ID
        if self.layout == HeaderLayout.TYPE1:
            at = next((at for at, what in self.capabilities() if what == CapabilityId.SSVID), None)
            if at is not None:
                ssvid = self.read(SubsystemIds.SSVID, at + SubsystemIds.SSVID.at)
                return ssvid.ID, self.read(SubsystemIds.SSID, at + SubsystemIds.SSID.at).ID
        return None
