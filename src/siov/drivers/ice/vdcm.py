"""The virtual device composition module: mdev types of a function, and their instances (ice_vdcm.c)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from siov.drivers.ice.adi import ice_create_adi
from siov.drivers.ice.config import AVF, SIOV, Personality
from siov.drivers.ice.vdcm_device import Attach, VdcmDevice
from siov.drivers.ice.vdcm_sysfs import vdev_group
from siov.drivers.ice.vdev import Compose
from siov.drivers.ice.virtchnl import VfMessages
from siov.host.linux import LinuxError
from siov.host.mdev import Available, MdevCore, MdevDevice, MdevType
from siov.host.sysfs import AttributeGroup

if TYPE_CHECKING:
    from siov.drivers.ice.link import LinkState
    from siov.drivers.ice.pf import IcePf

DEFAULT_PAIRS = 4  # ICE_DFLT_QS_PER_SIOV_VF
OTHER_PAIRS = (1, 16)
LEFT_OVERS = 16  # how often the function's mailbox is emptied at most: its ring, and what came meanwhile


@dataclass(slots=True, frozen=True)
class VdevType:
    """An mdev type: which device a guest sees, with how many queue pairs."""

    group: str
    personality: Personality
    pairs: int

    @property
    def vectors(self) -> int:
        """One for each pair, and the mailbox's."""
        return self.pairs + 1


TYPES = tuple(
    VdevType(who.name if pairs == DEFAULT_PAIRS else f"{who.name}-{pairs}", who, pairs)
    for who in (SIOV, AVF)
    for pairs in (DEFAULT_PAIRS, *OTHER_PAIRS)
)


@dataclass(slots=True, frozen=True)
class VdcmHost:
    """What VDCM is given: the mdev core, the maker of mechanisms, and of who answers a guest's messages."""

    mdev: MdevCore
    compose: Compose
    attach: Attach


@dataclass(eq=False)
class IceVdcm:
    """The mdev parent that a function is: it makes virtual devices and hands them their messages."""

    pf: IcePf
    host: VdcmHost
    devices: dict[MdevDevice, VdcmDevice] = field(default_factory=dict)
    messages: VfMessages = field(init=False)  # of all of them, by VSI
    mdev_attr_groups: tuple[AttributeGroup, ...] = (vdev_group,)

    def __post_init__(self) -> None:
        self.messages = VfMessages(self.pf.services.clock)
        name = f"ice-{self.pf.dev.name}-vdcm"
        self.bell = self.pf.services.irqs.request_irq(self.service, name)
        self.types = [self._mdev_type(kind) for kind in TYPES]
        self._kinds = {kind.group: kind for kind in TYPES}

    def available(self, mtype: MdevType) -> Available:
        """How many more of a type there can be, and what of the function limits them."""
        kind, pf = self._kinds[mtype.group], self.pf
        with pf.lock:
            limits = [
                (len(pf.avail_txq.free) // kind.pairs, f"{len(pf.avail_txq.free)} transmit queues are free"),
                (len(pf.avail_rxq.free) // kind.pairs, f"{len(pf.avail_rxq.free)} receive queues are free"),
                (self._vectors_free // kind.vectors, f"{self._vectors_free} interrupt vectors are free"),
                (pf.caps.vsis - len(pf.vsis), f"{pf.caps.vsis - len(pf.vsis)} VSIs are free"),
            ]
        count, reason = min(limits)
        return Available(max(0, count), reason)

    def create(self, mdev: MdevDevice) -> VdcmDevice:
        """A new ADI with its configuration space and trapped registers (ice_vdcm_create); ENOSPC."""
        kind = self._kinds[mdev.mtype.mtype.group]
        with self.pf.lock:
            self.pf.dev.trace("ice_vdcm_create", f"{mdev.name} {kind.group}")
            self.pf.dev.trace("ice_vdcm_alloc_adi")
            adi = ice_create_adi(
                self.pf, kind.pairs, kind.vectors, self.pf.services.vectors, f"ice-vdcm-{mdev.name}"
            )
            try:
                device = VdcmDevice(self, kind.personality, adi, mdev.name)
            except BaseException:
                adi.vsi.release()
                raise
            self.devices[mdev] = device
            self.messages.attach(adi.vf_id, device)
        return device

    def remove(self, mdev: MdevDevice) -> None:
        """Free the ADI (ice_vdcm_remove)."""
        with self.pf.lock:
            self.pf.dev.trace("ice_vdcm_remove", mdev.name)
            device = self.devices.pop(mdev)
            self.messages.detach(device.adi.vf_id)
            device.release()

    def deinit(self) -> None:
        """Take all virtual devices down and be no parent any more (ice_vdcm_deinit)."""
        self.pf.dev.trace("ice_vdcm_deinit")
        self.host.mdev.unregister_parent(self.pf.dev)
        self._forget()

    def register(self) -> None:
        """Be a parent, and take messages and news of resets."""
        self.pf.mbx.receive(self.messages.receive)
        self.pf.oicr.work.append(self.messages.serve)
        self.pf.on_reset.append(self._prepare_for_reset)
        self.pf.on_rebuild.append(self._rebuild)
        self.pf.link.listeners.append(self._link_changed)
        try:
            self.host.mdev.register_parent(self.pf.dev, self)
        except LinuxError:
            self._forget()
            raise

    def service(self) -> None:
        """A guest did something that the host has to act on; its errors are the guest's and end here."""
        with self.pf.lock:
            for device in list(self.devices.values()):
                device.act_on_notices()

    def drop_messages(self, vsi: int) -> int:
        """Empty the function's mailbox and forget what a VSI sent, so that nothing is of before; how many."""
        for _ in range(LEFT_OVERS):
            if not self.pf.mbx.clean():
                break
        return self.messages.forget(vsi)

    def inspect(self) -> dict[str, object]:
        """The virtual devices by UUID."""
        return {
            "devices": {mdev.name: device.inspect() for mdev, device in self.devices.items()},
            "messages": self.messages.inspect(),
        }

    @property
    def _vectors_free(self) -> int:
        irqs, which = self.pf.irqs, self.pf.services.vectors
        return (irqs.msix_free if which != "ims" else 0) + (irqs.ims_free if which != "msix" else 0)

    def _forget(self) -> None:
        self.pf.mbx.receive(None)
        self.pf.oicr.work.remove(self.messages.serve)
        self.pf.link.listeners.remove(self._link_changed)
        self.pf.on_reset.remove(self._prepare_for_reset)
        self.pf.on_rebuild.remove(self._rebuild)
        self.pf.services.irqs.free_irq(self.bell)

    def _mdev_type(self, kind: VdevType) -> MdevType:
        who = f"8086:{kind.personality.device:04x}"
        text = f"{who} with {kind.pairs} queue pairs and {kind.vectors} vectors"
        return MdevType(kind.group, self.pf.dev.name, text)

    def _link_changed(self, link: LinkState) -> None:
        for device in self.devices.values():
            device.link_changed()

    def _prepare_for_reset(self, pf: IcePf) -> None:
        for device in self.devices.values():
            device.prepare_for_reset()

    def _rebuild(self, pf: IcePf) -> None:
        for device in self.devices.values():
            device.rebuild()


def ice_vdcm_init(pf: IcePf, host: VdcmHost) -> IceVdcm:
    """Make a function an mdev parent; EEXIST when it is one."""
    vdcm = IceVdcm(pf, host)
    vdcm.register()
    return vdcm
