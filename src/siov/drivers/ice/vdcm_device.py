"""A virtual device as VDCM keeps it: what VFIO asks of it, and its resets (ice_vdcm.c, ice_vf_lib.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from errno import EBUSY, EINVAL
from typing import TYPE_CHECKING, Protocol

from siov.drivers.ice.adi import Adi, ice_free_adi
from siov.drivers.ice.config import Personality
from siov.drivers.ice.services import Doorbells
from siov.drivers.ice.vdev import ICR01, MESSAGE, compose_layout
from siov.drivers.ice.vsi_ethtool import VsiEthtool
from siov.host.linux import LinuxError
from siov.host.vfio import Area, IrqFlag, IrqIndex, IrqInfo, Region, RegionFlag, RegionIndex
from siov.spec.e810 import AqRc
from siov.spec.e810.counts import PAGE
from siov.spec.vdev import MSIX_BAR_SIZE, AvfBar0
from siov.spec.word import Word

if TYPE_CHECKING:
    from siov.drivers.ice.link import LinkState
    from siov.drivers.ice.vdcm import IceVdcm

RW = RegionFlag.READ | RegionFlag.WRITE
REGIONS = (RegionIndex.BAR0, RegionIndex.BAR3, RegionIndex.CONFIG)


class Messages(Protocol):
    """Who answers a guest's messages (virtchnl's VirtchnlVf); a guest's errors never leave it."""

    trusted: bool  # whether the guest may be promiscuous, and has no narrow limits

    def handle(self, op: int, data: bytes) -> None:
        """A message has come."""

    def notify_link(self) -> None:
        """Tell the guest the state of the link."""

    def notify_reset(self) -> None:
        """Tell the guest that a reset is coming."""

    def start(self) -> None:
        """Begin: receive frames to the default address and broadcast, and listen."""

    def begin_reset(self) -> None:
        """Refuse messages until `reset`."""

    def reset(self) -> None:
        """Begin anew: queues, filters and what was agreed upon are forgotten, the default address stays."""


Attach = Callable[["VdcmDevice"], Messages]


class VdcmDevice:
    """An ADI with the face that a guest sees (struct ice_vdcm), and the owner of its messages.

    It works between `open_device` and `close_device`; otherwise it answers nothing and its mailbox is shut.
    """

    def __init__(self, vdcm: IceVdcm, personality: Personality, adi: Adi, name: str) -> None:
        self.vdcm, self.personality, self.adi = vdcm, personality, adi
        self.pf = adi.pf
        self.ethtool = VsiEthtool(adi.vsi, name)  # the host's: its flow rules live as long as the device
        self.doorbells: Doorbells = self.pf.services.doorbells  # for who opens it next
        self.zap: Callable[[], None] | None = None
        self.opened = False
        self.listening = False
        self.resetting = False
        self.connected: set[int] = set()  # vectors with an eventfd
        self.dropped = 0  # messages that came while it was not listening
        self.refused = 0  # register writes that asked for what can't be
        adi.trace("ice_vdcm_cfg_init")
        self.layout = compose_layout(personality, adi.vsi)
        self.vdev = vdcm.host.compose(self.layout, (vdcm.bell.cpu, vdcm.bell.vector))
        self.vdev.set_state("disabled")
        self.messages = vdcm.host.attach(self)
        adi.trace("ice_vf_init_host_cfg")
        self.messages.start()

    # What VFIO asks for.

    def open_device(self, pasid: int) -> None:
        """Bind the PASID and come into use (ice_vdcm_open_device); the errors of the admin queue."""
        with self.pf.lock:
            self.adi.trace("ice_vdcm_open_device")
            self._check_present()
            self.adi.cfg_pasid(pasid)
            self.vdev.reset()
            self.vdev.reset_config()
            self.opened = self.listening = True
            self.vdev.set_state("active")

    def close_device(self) -> None:
        """Go out of use (ice_vdcm_close_device): no interrupt, no DMA; the PASID is unbound.

        ice unbinds the PASID first. Here queues and mailbox are shut before, for what they do afterwards
        would be done with the function's own addresses.
        """
        with self.pf.lock:
            self.adi.trace("ice_vdcm_close_device")
            self.disable_irqs(IrqIndex.MSIX)
            self.opened = False
            self._deaf()
            self.vdev.set_state("disabled")
            if self.pf.resetting:
                return  # hardware has forgotten everything, and the rebuild finds the device closed
            self.adi.clear_mailbox()
            self.adi.trigger_reset()
            self.adi.close()
            self.dropped += self.vdcm.drop_messages(self.adi.vf_id)
            self._forget()
            self.adi.ena_mapping()
            self.adi.cfg_pasid(None)

    def region(self, index: int) -> Region:
        """BAR 0 with the areas that can be mapped, BAR 3, or the configuration space; else none."""
        if index == RegionIndex.BAR0:
            areas = tuple(Area(offset, PAGE) for offset in self.layout.pages)
            return Region(self.layout.bar0_size, RW | RegionFlag.MMAP if areas else RW, areas)
        if index == RegionIndex.BAR3:
            return Region(MSIX_BAR_SIZE, RW)
        if index == RegionIndex.CONFIG:
            return Region(self.layout.config_size, RW)
        return Region()

    def irq(self, index: int) -> IrqInfo:
        """The vectors of MSI-X; no other kind of interrupt."""
        if index == IrqIndex.MSIX:
            return IrqInfo(len(self.adi.vsi.vectors), IrqFlag.EVENTFD | IrqFlag.NORESIZE)
        return IrqInfo()

    def read(self, index: int, offset: int, size: int) -> bytes:
        """As the guest reads; EINVAL where there is nothing, and in a BAR 3 that the VMM emulates."""
        try:
            return self.vdev.region_read(index, offset, size)
        except OSError as why:
            raise LinuxError(EINVAL, f"VSI {self.adi.vf_id}: {why.strerror}") from None

    def write(self, index: int, offset: int, data: bytes) -> None:
        """As the guest writes; EINVAL where there is nothing, and in a BAR 3 that the VMM emulates."""
        try:
            self.vdev.region_write(index, offset, data)
        except OSError as why:
            raise LinuxError(EINVAL, f"VSI {self.adi.vf_id}: {why.strerror}") from None

    def mmap(self, index: int, offset: int) -> int:
        """The physical address of a page of BAR 0 that is the adapter's own (get_sparse_mmap_hpa); EINVAL."""
        address = self.layout.pages.get(offset) if index == RegionIndex.BAR0 else None
        if address is None:
            raise LinuxError(
                EINVAL, f"VSI {self.adi.vf_id}: offset {offset:#x} of region {index} can't be mapped"
            )
        return address

    def choose_doorbells(self, how: Doorbells) -> bool:
        """How the VMM that opens the device next is to reach the tails; False while it is open."""
        with self.pf.lock:
            if not self.opened:
                self.doorbells = how
            return not self.opened

    @property
    def shared_pages(self) -> tuple[int, ...]:
        """The pages of BAR 0 that a VMM in another process is to have as memory, by offset."""
        return self.layout.doorbells if self.doorbells == "direct" else ()

    def set_irqs(self, index: int, start: int, fds: Sequence[int | None]) -> None:
        """Signal eventfds for vectors from `start` on; EINVAL for what is no eventfd, or no vector."""
        vectors = range(start, start + len(fds))
        have = len(self.adi.vsi.vectors)
        if index != IrqIndex.MSIX or start < 0 or vectors.stop > have:
            raise LinuxError(EINVAL, f"VSI {self.adi.vf_id} has MSI-X vectors 0 to {have - 1} and no others")
        with self.pf.lock:
            self.adi.trace("ice_vdcm_set_irqs", f"{len(fds)} from {start}")
            done: list[int] = []
            try:
                for n, fd in zip(vectors, fds, strict=True):
                    self._connect(n, fd)
                    done.append(n)
            except LinuxError:
                for n in done:
                    self._connect(n, None)
                raise

    def disable_irqs(self, index: int) -> None:
        """Signal nothing any more."""
        with self.pf.lock:
            for n in sorted(self.connected):
                self._connect(n, None)

    def reset(self) -> None:
        """VFIO_DEVICE_RESET (ice_vdcm_reset): nothing lands in the guest's memory afterwards."""
        self._zap()
        self._ice_reset_vf(notify=True, empty=True)

    # What its operator asks for.

    @property
    def trusted(self) -> bool:
        """Whether the guest may receive all frames, and have as many addresses and VLANs as it wants."""
        return self.messages.trusted

    def set_trusted(self, on: bool) -> None:
        """Trust the guest or not (ice_set_vf_trust); a change resets the device, whose driver then asks anew.

        EBUSY while the adapter is being reset.
        """
        with self.pf.lock:
            if self.messages.trusted == on:
                return
            self._check_present()
            self.messages.trusted = on
            if self.opened:
                self._ice_reset_vf(notify=True)

    # What virtchnl asks its owner for.

    @property
    def mac(self) -> bytes:
        """The default address."""
        return self.adi.mac

    def send(self, op: int, status: int, data: bytes) -> bool:
        """Put a message into the guest's mailbox; False when it is full or shut."""
        if not self.opened:
            return False
        if self.personality.function_reset:
            # Before the message: its interrupt may be handled at once.
            self.vdev.or_shadow(ICR01, MESSAGE)
        try:
            return self.pf.mbx.send(self.adi.vf_id, op, status, data) is AqRc.OK
        except LinuxError:
            return False  # the function's own mailbox is shut: it is being reset

    def link(self) -> LinkState:
        """The port's link."""
        return self.pf.link.state

    def available_queue_pairs(self) -> int:
        """How many queue pairs it can have: those of its type."""
        return len(self.adi.vsi.txq)

    def reset_vf(self, queue_pairs: int | None = None) -> None:
        """The guest wants a reset; one that fails leaves it disabled."""
        self._reset_for_guest(empty=False)

    # What VDCM does with it.

    def handle(self, op: int, data: bytes) -> None:
        """A message of the guest's has come."""
        if self.listening:
            self.messages.handle(op, data)
        else:
            self.dropped += 1

    def link_changed(self) -> None:
        """The port's link went up or down."""
        if self.listening:
            self.messages.notify_link()

    def act_on_notices(self) -> None:
        """Do what the guest asked for by registers and configuration space."""
        function_reset, written = self.vdev.take_notices()
        if function_reset and self.opened:
            self.adi.trace("ice_vdcm_flr")
            self._reset_for_guest(empty=True)
        elif written:
            self._set_rss({offset for offset, _ in written})

    def prepare_for_reset(self) -> None:
        """The function or the adapter is about to be reset."""
        if self.opened:
            self.messages.notify_reset()
        self._deaf()
        self.vdev.set_state("disabled")

    def rebuild(self) -> None:
        """It has been reset, and the VSI is there again with its PASID."""
        self.adi.trace("ice_vf_rebuild")
        self._forget()
        for n in range(len(self.adi.vsi.vectors)):
            self.adi.mask_vector(n, masked=n not in self.connected)
        self.adi.ena_mapping()
        if self.opened:
            self._zap()
            self.adi.cfg_pasid(self.adi.pasid)
            self.listening = True
            self.vdev.set_state("active")
        elif self.adi.pasid is not None:
            self.adi.cfg_pasid(None)  # it was closed while the reset lasted

    def release(self) -> None:
        """Give back what is behind it; it is closed."""
        self.vdev.set_state("disabled")
        ice_free_adi(self.adi)

    def inspect(self) -> dict[str, object]:
        """The ADI, whether it is open, and what the guest did to it."""
        return {
            "personality": self.personality.name,
            "adi": self.adi.inspect(),
            "open": self.opened,
            "doorbells": self.doorbells,
            "eventfds": sorted(self.connected),
            "dropped_messages": self.dropped,
            "refused_writes": self.refused,
            "vdev": self.vdev.inspect(),
        }

    def _ice_reset_vf(self, *, notify: bool = False, empty: bool = False) -> None:
        """Reset the virtual device (ice_reset_vf); when it returns, no DMA of before is under way.

        `empty` drops what the guest has sent, so that no message of before is heard after.
        """
        with self.pf.lock:
            if self.resetting:
                return  # this one will do for both
            self._check_present()
            self.resetting = True
            try:
                self.adi.trace("ice_reset_vf")
                if notify:
                    self.messages.notify_reset()
                self._deaf()
                self.vdev.set_state("disabled")
                self.adi.clear_mailbox()
                self.adi.trigger_reset()
                self.adi.close()
                if empty:
                    self.dropped += self.vdcm.drop_messages(self.adi.vf_id)
                self._forget()
                self._zap()
                self.adi.cfg_pasid(self.adi.pasid)
                self.adi.ena_mapping()
                self.adi.restore_mailbox()
                self.listening = self.opened
                if self.opened:
                    self.vdev.set_state("active")
            finally:
                self.resetting = False

    def _reset_for_guest(self, *, empty: bool) -> None:
        try:
            self._ice_reset_vf(empty=empty)
        except LinuxError as why:
            self.pf.dev.error("ice_reset_vf", why, f"reset of VSI {self.adi.vf_id}")

    def _deaf(self) -> None:
        self.listening = False
        self.messages.begin_reset()

    def _forget(self) -> None:
        """Filters, agreements and kept registers are as in the beginning."""
        self.adi.trace("ice_vf_rebuild_host_cfg")
        self.messages.reset()
        self.vdev.reset()

    def _connect(self, n: int, fd: int | None) -> None:
        """A vector's message is held back while nobody would hear it."""
        irqs, irq = self.pf.services.irqs, self.adi.vsi.vectors[n].irq
        if fd is None:
            self.adi.mask_vector(n, masked=True)
            irqs.connect(irq, None)
            self.connected.discard(n)
        else:
            irqs.connect(irq, fd)
            self.connected.add(n)
            self.adi.mask_vector(n, masked=False)

    def _set_rss(self, offsets: set[int]) -> None:
        """The guest wrote registers of the hash: hand over each group of them whole."""
        vsi, words = self.adi.vsi, AvfBar0
        groups: tuple[tuple[type[Word], Callable[[bytes], None]], ...] = (
            (words.VFQF_HENA, lambda data: vsi.set_rss_hena(int.from_bytes(data, "little"))),
            (words.VFQF_HKEY, vsi.set_rss_key),
            (words.VFQF_HLUT, vsi.set_rss_lut),
        )
        for word, act in groups:
            row = list(_offsets(word))
            if offsets.isdisjoint(row):
                continue
            try:
                act(b"".join(self.vdev.shadow(at).to_bytes(4, "little") for at in row))
            except LinuxError:
                self.refused += 1

    def _zap(self) -> None:
        if self.zap is not None:
            self.zap()

    def _check_present(self) -> None:
        if self.pf.resetting:
            raise LinuxError(EBUSY, f"{self.pf.dev.name} is within a {self.pf.resetting}; try again")


def _offsets(word: type[Word]) -> Iterator[int]:
    return iter(range(word.at, word.at + word.count * word.stride, word.stride))
