"""Resets of the function and the device, and everything built up again (ice_reset, ice_rebuild)."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EIO, ETIMEDOUT
from typing import TYPE_CHECKING

from siov.drivers.ice.vsi import VsiKind
from siov.errors import SiovError
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, Control, DeviceState, QueueLength, Queues

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf

KINDS = ("PFR", "CORER", "GLOBR")
COUNTS = ("CORERCNT", "GLOBRCNT", "EMPRCNT")
FUNCTION_WAIT = 1.0  # seconds for PFGEN_CTRL.PFSWR (ICE_PF_RESET_WAIT_COUNT, with reserve)
DEVICE_WAIT = 10.0  # seconds for GLGEN_RSTAT.DEVSTATE (GRSTDEL and a second, with reserve)


def ice_reset(pf: IcePf, kind: str) -> None:
    """Reset the function (PFR) or the device (CORER, GLOBR), and build everything up again.

    EINVAL for another kind, EBUSY within a reset, ETIMEDOUT when the device does not come back. When the
    rebuild fails, its error is raised and the function stays down until the driver is bound again.
    """
    if kind not in KINDS:
        raise LinuxError(EINVAL, f"{pf.dev.name}: no reset {kind!r}; there are {', '.join(KINDS)}")
    with pf.lock:
        if pf.resetting:
            raise LinuxError(EBUSY, f"{pf.dev.name} is within a {pf.resetting}")
        ice_prepare_for_reset(pf, kind)
        try:
            if kind == "PFR":
                function_reset(pf)
            else:
                _device_reset(pf, kind)
        except LinuxError as why:
            _give_up(pf, kind, why)
            raise
        ice_rebuild(pf, kind)


def function_reset(pf: IcePf) -> None:
    """PFSWR, waited for (ice_pf_reset); ETIMEDOUT."""
    pf.dev.trace("ice_reset", "PFR")
    pf.hw.wr("PFGEN_CTRL", Control.PFGEN_CTRL.of(PFSWR=1))
    if not pf.services.poll(lambda: pf.hw.rd("PFGEN_CTRL") == 0, FUNCTION_WAIT):
        raise LinuxError(ETIMEDOUT, f"{pf.dev.name} does not come back from its PFR")


def _device_reset(pf: IcePf, kind: str) -> None:
    pf.dev.trace("ice_reset", kind)
    before = _counts(pf)
    pf.hw.wr("GLGEN_RTRIG", Control.GLGEN_RTRIG.of(**{kind: 1}))
    if not pf.services.poll(lambda: _ready(pf) and _counts(pf) != before, DEVICE_WAIT):
        raise LinuxError(ETIMEDOUT, f"{pf.dev.name} does not come back from its {kind}")


def reset_seen(pf: IcePf) -> str | None:
    """The reset that somebody else has made, by what it left in the registers; None without one.

    A reset of the device has counted, one of the function has taken the admin queue away
    (ice_reset_subtask, ice_check_sq_alive).
    """
    if pf.resetting or not pf.aq.queue.enabled:
        return None
    now = _counts(pf)
    for name, before, after in zip(COUNTS, pf.reset_counts, now, strict=True):
        if before != after:
            return name.removesuffix("CNT")
    return None if QueueLength(pf.hw.rd("PF_FW_ATQLEN")).ENABLE else "PFR"


def ice_rebuild_after(pf: IcePf, kind: str) -> None:
    """Somebody else has reset the device: forget what is gone, and build it up again."""
    ice_prepare_for_reset(pf, kind)
    if not pf.services.poll(lambda: _ready(pf), DEVICE_WAIT):
        why = LinuxError(ETIMEDOUT, f"{pf.dev.name} does not come back from a {kind}")
        _give_up(pf, kind, why)
        raise why
    ice_rebuild(pf, kind)


def ice_prepare_for_reset(pf: IcePf, kind: str) -> None:
    """Tell those who have VSIs, and shut everything that a reset takes away."""
    pf.dev.trace("ice_prepare_for_reset", kind)
    # The mailbox is open still: guests hear of it.
    for hook in list(pf.on_reset):
        hook(pf)
    pf.resetting = kind
    if pf.netdev is not None:
        pf.netdev.detach()
    pf.oicr.stop()
    for vsi in pf.vsis.values():
        vsi.forget_queues()
    pf.switch.reset()
    pf.flows.reset()
    pf.mbx.queue.close()
    pf.aq.queue.close()


def ice_rebuild(pf: IcePf, kind: str) -> None:
    """Admin queue, scheduler, VSIs with their numbers and PASIDs, hooks, mailbox, vectors, link, netdev."""
    pf.dev.trace("ice_rebuild", kind)
    try:
        pf.resets[kind] = pf.resets.get(kind, 0) + 1
        pf.aq.queue.open()
        note_counts(pf)
        ice_init_ctrl(pf)
        ice_restore_pasid_config(pf, kind)
        for vsi in sorted(pf.vsis.values(), key=lambda v: (v.kind is not VsiKind.PF, v.num)):
            pf.dev.trace("ice_vsi_rebuild", f"VSI {vsi.num}")
            vsi.rebuild()
        # Every VSI must be there before a rule that it shares with others.
        for vsi in pf.vsis.values():
            vsi.replay_filters()
            vsi.eth_stats.rebase()
        pf.port_stats.rebase()
        pf.flows.rebuild()
        pf.mbx.queue.open()
        pf.resetting = None
        for hook in list(pf.on_rebuild):
            hook(pf)
        pf.oicr.start()
        # A guest may have written since the mailbox is open; that has fired no vector.
        pf.oicr.again()
        pf.link.start()
        if pf.netdev is not None:
            pf.netdev.attach()
    except SiovError as why:
        _give_up(pf, kind, why)
        raise


def _give_up(pf: IcePf, kind: str, why: SiovError) -> None:
    """The function stays down (ICE_RESET_FAILED)."""
    pf.resetting = f"{kind} that could not be undone"
    pf.dev.trace("ice_rebuild", f"failed: {why}; bind the driver anew")
    pf.oicr.stop()


def ice_init_ctrl(pf: IcePf) -> None:
    """What firmware must be told first, whether after probe or a reset."""
    pf.aq.send(AqOpcode.CLEAR_PXE_MODE)
    pf.sched.start()


def note_counts(pf: IcePf) -> None:
    """Remember how often the device was reset, to see when somebody else does it."""
    pf.reset_counts = _counts(pf)


def ice_restore_pasid_config(pf: IcePf, kind: str) -> None:
    """Mailboxes are reached through PASIDs again; a reset of the device has forgotten it."""
    if pf.siov_enabled:
        pf.dev.trace("ice_restore_pasid_config", kind)
        set_pasid_mode(pf, on=True)


def set_pasid_mode(pf: IcePf, *, on: bool) -> None:
    """GL_MBX_PASID.PASID_MODE; EIO when the device does not take it."""
    pf.hw.wr("GL_MBX_PASID", Queues.GL_MBX_PASID.of(PASID_MODE=int(on)))
    if bool(Queues.GL_MBX_PASID(pf.hw.rd("GL_MBX_PASID")).PASID_MODE) != on:
        raise LinuxError(EIO, f"{pf.dev.name}: GL_MBX_PASID can't be set")


def _ready(pf: IcePf) -> bool:
    return Control.GLGEN_RSTAT(pf.hw.rd("GLGEN_RSTAT")).DEVSTATE == DeviceState.READY


def _counts(pf: IcePf) -> tuple[int, ...]:
    word = Control.GLGEN_RSTAT(pf.hw.rd("GLGEN_RSTAT"))
    return tuple(getattr(word, name) for name in COUNTS)
