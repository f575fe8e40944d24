"""An assignable device interface: the VSI behind a virtual device, from birth to death (ice_siov.c)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from siov.drivers.ice.irq import IceVector, Prefer
from siov.drivers.ice.vdev import MAILBOX
from siov.drivers.ice.vsi import VsiKind
from siov.spec.e810 import Control
from siov.spec.e810.interrupts import ImsSlot

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi

# Kept over a reset: heads, tails and bases, not the lengths.
SAVED = ("ATQH", "ATQT", "ATQBAL", "ATQBAH", "ARQH", "ARQT", "ARQBAL", "ARQBAH")


@dataclass(eq=False)
class Adi:
    """A VSI that a virtual device owns, with its address; `vf_id` is the VSI's number in the adapter."""

    pf: IcePf
    vsi: Vsi
    mac: bytes
    pasid: int | None = None
    saved: dict[str, int] = field(default_factory=dict)

    @property
    def vf_id(self) -> int:
        """The number by which its messages are known."""
        return self.vsi.num

    def trace(self, function: str, detail: str = "") -> None:
        """A step under Linux's name for it."""
        self.pf.dev.trace(function, f"VSI {self.vf_id} {detail}".rstrip())

    def cfg_pasid(self, pasid: int | None) -> None:
        """Which address space its DMA reaches, None for none; EBUSY while queues are on."""
        self.trace("cfg_pasid", "none" if pasid is None else f"PASID {pasid}")
        self.vsi.set_pasid(pasid)
        self.pasid = pasid

    def close(self) -> None:
        """Stop its queues: none of their DMA is under way afterwards (ice_adi_close)."""
        self.trace("ice_adi_close")
        self.vsi.stop_queues()

    def clear_mailbox(self) -> None:
        """Save the mailbox's registers and clear all ten (ice_siov_clear_mbx_register)."""
        self.trace("ice_siov_clear_mbx_register")
        hw = self.pf.hw
        self.saved = {name: hw.rd(f"VSI_MBX_{name}", self.vf_id) for name in SAVED}
        for name in MAILBOX.values():
            hw.wr(f"VSI_MBX_{name}", 0, self.vf_id)

    def restore_mailbox(self) -> None:
        """Put back what was saved: without the lengths both queues stay off, and the guest sees that."""
        self.trace("ice_siov_restore_mbx_register")
        for name, value in self.saved.items():
            self.pf.hw.wr(f"VSI_MBX_{name}", value, self.vf_id)
        self.saved = {}

    def trigger_reset(self) -> None:
        """Have the adapter reset the VSI and wait until that is done; ETIMEDOUT."""
        self.trace("ice_siov_trigger_reset_register")
        self.vsi.reset()

    def ena_mapping(self) -> None:
        """Messages fire vector 0, and the virtual device counts as made (ice_ena_siov_vf_mapping)."""
        self.trace("ice_ena_siov_vf_mapping")
        self.vsi.map_mailbox(0)
        self.pf.hw.wr("VSIGEN_RSTAT", Control.VSIGEN_RSTAT.of(MADE=1), self.vf_id)

    def mask_vector(self, n: int, masked: bool) -> None:
        """Hold a vector's message back or let it go; what fires meanwhile stays pending."""
        mask_vector(self.pf, self.vsi.vectors[n], masked)

    def inspect(self) -> dict[str, object]:
        """The VSI, its PASID and address."""
        return {"vsi": self.vf_id, "pasid": self.pasid, "mac": self.mac.hex(":")}


def ice_create_adi(pf: IcePf, pairs: int, vectors: int, prefer: Prefer = "msix-first", name: str = "") -> Adi:
    """A new ADI with so many queue pairs and vectors, reached by nobody (ice_create_adi).

    ENOSPC says what is not to be had and how much of it is left; nothing was taken then.
    """
    pf.dev.trace("ice_create_adi", f"{pairs} queue pairs, {vectors} vectors")
    # Until its messages can be told apart, the function takes none.
    pf.irqs.misc.disable()
    try:
        return _create(pf, pairs, vectors, prefer, name)
    finally:
        pf.irqs.misc.enable()


def ice_free_adi(adi: Adi) -> None:
    """Give an ADI back (ice_free_adi): its mailbox fires nothing, its VSI goes with all that it had."""
    adi.trace("ice_free_adi")
    if not adi.pf.resetting:
        adi.vsi.map_mailbox(None)
    adi.vsi.release()


def default_mac(function: bytes, vsi: int) -> bytes:
    """The address of a virtual device: the function's, locally administered, with the VSI's number in it."""
    middle = int.from_bytes(function[1:3], "big") ^ 0x8000 ^ vsi
    return bytes([function[0] & 0xFE | 0x02]) + middle.to_bytes(2, "big") + function[3:]


def mask_vector(pf: IcePf, vector: IceVector, masked: bool) -> None:
    """Mask or unmask an entry of the MSI-X table, or a slot of interrupt message storage."""
    if vector.ims:
        pf.hw.wr("IMS_CONTROL", ImsSlot.CONTROL.of(MASK=int(masked)), vector.index)
    else:
        pf.irqs.table.mask(vector.index, masked)


def _create(pf: IcePf, pairs: int, vectors: int, prefer: Prefer, name: str) -> Adi:
    adi = _ice_adi_vsi_setup(pf, pairs, vectors, prefer, name)
    try:
        for n in range(vectors):
            adi.mask_vector(n, masked=True)
        adi.ena_mapping()
    except BaseException:
        adi.vsi.release()
        raise
    return adi


def _ice_adi_vsi_setup(pf: IcePf, pairs: int, vectors: int, prefer: Prefer, name: str) -> Adi:
    pf.dev.trace("ice_adi_vsi_setup")
    vsi = pf.vsi_setup(VsiKind.ADI, pairs, vectors, prefer, name)
    return Adi(pf, vsi, default_mac(pf.mac, vsi.num))
