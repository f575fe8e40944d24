"""The invalidation queue (drivers/iommu/intel/dmar.c, qi_*)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EINVAL, EIO, ETIMEDOUT
from threading import RLock

from siov.host.iommu.registers import Registers
from siov.host.linux import LinuxError
from siov.host.physmem import PAGE_SIZE, PhysMem
from siov.spec.vtd import Descriptor, DescriptorType, InvWaitDsc, IqError, Unit

# What is wrong with one descriptor, not with the ring.
_SKIPPABLE = (IqError.NO_INFO, IqError.INVALID_TYPE, IqError.RESERVED_FIELD)


class InvalidationError(LinuxError):
    """The unit refused a descriptor or stopped its queue; `info` is IQERCD.IQEI."""

    def __init__(self, errno: int, message: str, info: int = IqError.NO_INFO) -> None:
        super().__init__(errno, message)
        self.info = info


class DeviceTlbTimeoutError(LinuxError):
    """Devices did not answer a device-TLB invalidation; `rid` is the one that IQERCD.ITESID names."""

    def __init__(self, rid: int, unit: str) -> None:
        super().__init__(ETIMEDOUT, f"{unit}: device {rid:#06x} did not complete a device-TLB invalidation")
        self.rid = rid


@dataclass(slots=True)
class InvalidationQueue:
    """A ring of descriptors in memory; `wide` ones have 256 bits, as scalable mode needs.

    `submit` gives back once the unit has done all of it. `counts` says how many of which type went in,
    `errors` how often IQE, ITE and ICE were met. Threads that submit wait for each other.
    """

    registers: Registers
    mem: PhysMem
    wide: bool
    order: int = 1
    ring: int = 0
    tail: int = 0  # descriptor number
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    _status: int = 0
    _ticket: int = 0
    _lock: RLock = field(default_factory=RLock)

    @property
    def width(self) -> int:
        """Bytes of a descriptor."""
        return 32 if self.wide else 16

    @property
    def length(self) -> int:
        """Descriptors in the ring."""
        return (PAGE_SIZE << self.order) // self.width

    def enable(self) -> None:
        """Set the ring up and switch queued invalidation on."""
        regs = self.registers
        if regs.read(Unit.GSTS).QIES:
            regs.command("QIE", "QIES", on=False)
        self.ring = self.mem.alloc_pages(1 << self.order, "invalidation-queue")
        self._status = self.mem.alloc_page("invalidation-status")
        self.tail = 0
        regs.write(Unit.IQT(0))
        regs.write(Unit.IQA.of(QS=self.order, DW=int(self.wide), IQA=self.ring >> 12))
        try:
            regs.command("QIE", "QIES")
        except LinuxError:
            self._free()
            raise

    def disable(self) -> None:
        """Switch queued invalidation off and free the ring."""
        self.registers.command("QIE", "QIES", on=False)
        self._free()

    def _free(self) -> None:
        self.mem.free(self.ring)
        self.mem.free(self._status)
        self.ring = self._status = 0

    def submit(self, descriptors: Sequence[Descriptor], *, drain_pages: bool = False) -> None:
        """Hand descriptors to the unit and wait until all are done, at most a ring at a time.

        `drain_pages` waits for page requests under way too. `InvalidationError` for a descriptor that the
        unit refuses (the ones around it are done), `DeviceTlbTimeoutError`, ETIMEDOUT for a stuck unit.
        """
        room = self.length - 2  # one for the wait descriptor, one that is never used
        for start in range(0, max(1, len(descriptors)), room):
            with self._lock:
                self._batch(descriptors[start : start + room], drain_pages)

    def _batch(self, descriptors: Sequence[Descriptor], drain_pages: bool) -> None:
        for one in descriptors:
            self.counts[DescriptorType(one.TYPE | one.TYPE_HI << 4).name.lower()] += 1
        self.counts["wait"] += 1
        self._push([*descriptors, self._wait(drain_pages)])
        failed: list[LinuxError] = []
        self.registers.until(lambda: self._finished(failed), "the end of an invalidation")
        if failed:
            raise failed[0]

    def _wait(self, drain_pages: bool = False) -> InvWaitDsc:
        """A wait descriptor whose status write nobody has seen yet."""
        self._ticket = self._ticket % 0xFFFF_FFFF + 1
        self.mem.write(self._status, bytes(4))
        wait = InvWaitDsc.of(TYPE=DescriptorType.WAIT, SW=1, FN=1, PD=int(drain_pages))
        return wait.replace(STDATA=self._ticket, STADDR=self._status >> 2)

    def _push(self, descriptors: Sequence[Descriptor]) -> None:
        data = b"".join(one.to_bytes()[: self.width] for one in descriptors)
        first = min(len(data), (self.length - self.tail) * self.width)
        self.mem.write(self.ring + self.tail * self.width, data[:first])
        if first < len(data):
            self.mem.write(self.ring, data[first:])
        self.tail = (self.tail + len(descriptors)) % self.length
        self.registers.write(Unit.IQT.of(QT=self.tail * self.width // 16))

    def _finished(self, failed: list[LinuxError]) -> bool:
        """Whether the wait descriptor's status is there; mends what keeps it from coming (qi_check_fault)."""
        if int.from_bytes(self.mem.read(self._status, 4), "little") == self._ticket:
            return True
        status = self.registers.read(Unit.FSTS)
        if status.IQE:
            self.errors["IQE"] += 1
            failed.append(self._skip_refused())
        if status.ITE:
            self.errors["ITE"] += 1
            failed.append(DeviceTlbTimeoutError(self.registers.read(Unit.IQERCD).ITESID, self.registers.name))
            self.registers.write(Unit.FSTS.of(ITE=1))
            # The unit dropped the wait descriptors that were in the queue: ask again.
            self._push([self._wait()])
        if status.ICE:
            self.errors["ICE"] += 1
            self.registers.write(Unit.FSTS.of(ICE=1))
        return False

    def _skip_refused(self) -> InvalidationError:
        """Put a harmless descriptor in place of the one at the head, and let the queue go on."""
        info = self.registers.read(Unit.IQERCD).IQEI
        head = self.registers.read(Unit.IQH).QH * 16
        what = Unit.IQERCD.IQEI.meaning(info)
        name = self.registers.name
        if info not in _SKIPPABLE:
            raise InvalidationError(EIO, f"{name}: the invalidation queue stands still: {what}", info)
        refused = self.mem.read(self.ring + head, self.width)
        harmless = InvWaitDsc.of(TYPE=DescriptorType.WAIT, FN=1).to_bytes()[: self.width]
        self.mem.write(self.ring + head, harmless)
        self.registers.write(Unit.FSTS.of(IQE=1))
        return InvalidationError(
            EINVAL, f"{name} refused the invalidation descriptor {refused[::-1].hex()}: {what}", info
        )

    def inspect(self) -> dict[str, object]:
        """Where the ring is and how long, the tail, descriptors by type, and errors met."""
        return {
            "ring": self.ring,
            "length": self.length,
            "tail": self.tail,
            "descriptors": dict(self.counts),
            "errors": dict(self.errors),
        }
