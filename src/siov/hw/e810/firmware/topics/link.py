"""PHY and link (0x0600 to 0x0620), and the event that the link changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.adminq import Event
from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.link import MAX_FRAME, Link
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_link import (
    LINK_STATUS_V1_BYTES,
    PHY_CAPS_BYTES,
    AqGetLinkStatus,
    AqGetPhyCaps,
    AqLinkStatus,
    AqPhyCapsData,
    AqPhyConfigData,
    AqRestartAn,
    AqSetEventMask,
    AqSetMacConfig,
    AqSetMacLoopback,
    AqSetPhyConfig,
    LinkStatusEvents,
    PhyCaps,
    PhyReportMode,
)
from siov.spec.word import Word, bits

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware


class PortIdLed(Word, width=128, ref="E810 ice_adminq_cmd.h ice_aqc_set_port_id_led"):
    """SET_PORT_ID_LED."""

    LPORT_NUM = bits(7, 0, "logical port")


# A configuration keeps these bits of PhyCaps; bit 4 is reserved.
CONFIGURABLE = 0xEF
MIN_FRAME = 64


@command(AqOpcode.GET_PHY_CAPS, Buffer.OUT)
def phy_capabilities(firmware: Firmware, given: Command) -> Reply:
    """What the PHY can do, does, or does by default."""
    asked, link = given.decode(AqGetPhyCaps), firmware.link
    _port(asked.LPORT_NUM)
    if given.room < PHY_CAPS_BYTES or asked.REPORT_MODE not in set(PhyReportMode):
        raise AqError(AqRc.EINVAL)
    active = asked.REPORT_MODE == PhyReportMode.ACTIVE_CFG
    low, high = link.phy if active else link.types
    pause = link.pause if active else PhyCaps.TX_PAUSE.mask | PhyCaps.RX_PAUSE.mask
    enabled = link.enabled if active else True
    caps = PhyCaps(pause).replace(LINK=enabled, AN_MODE=1, AUTO_FEC=1)
    data = AqPhyCapsData.of(PHY_TYPE_LOW=low, PHY_TYPE_HIGH=high, CAPS=caps.raw, LINK_FEC_OPTIONS=link.fec)
    return Reply(data=data.to_bytes().ljust(PHY_CAPS_BYTES, b"\0"))


@command(AqOpcode.SET_PHY_CFG, Buffer.IN)
def set_phy(firmware: Firmware, given: Command) -> None:
    """Which media types, pause frames and whether the link is on; EINVAL without a type that it can."""
    _port(given.decode(AqSetPhyConfig).LPORT_NUM)
    asked, link = given.part(AqPhyConfigData), firmware.link
    caps = PhyCaps(asked.CAPS & CONFIGURABLE)
    types = asked.PHY_TYPE_LOW & link.types[0], asked.PHY_TYPE_HIGH & link.types[1]
    if caps.LINK and not any(types):
        raise AqError(AqRc.EINVAL)
    link.phy, link.enabled = types, bool(caps.LINK)
    link.pause = caps.raw & (PhyCaps.TX_PAUSE.mask | PhyCaps.RX_PAUSE.mask)
    link.fec = asked.LINK_FEC_OPT
    changed(firmware)


@command(AqOpcode.SET_MAC_CFG)
def set_mac(firmware: Firmware, given: Command) -> None:
    """The greatest frame."""
    asked = given.decode(AqSetMacConfig)
    if not MIN_FRAME <= asked.MAX_FRAME_SIZE <= MAX_FRAME:
        raise AqError(AqRc.EINVAL)
    firmware.link.max_frame = asked.MAX_FRAME_SIZE
    firmware.link.apply()


@command(AqOpcode.RESTART_AN)
def restart(firmware: Firmware, given: Command) -> None:
    """The link comes up anew, or goes down."""
    asked = given.decode(AqRestartAn)
    _port(asked.LPORT_NUM)
    firmware.link.enabled = bool(asked.LINK_ENABLE)
    changed(firmware)


@command(AqOpcode.GET_LINK_STATUS, Buffer.OUT)
def link_status(firmware: Firmware, given: Command) -> Reply:
    """The link's state; and whether the next change is to be told."""
    asked, link = given.decode(AqGetLinkStatus), firmware.link
    _port(asked.LPORT_NUM)
    if given.room < LINK_STATUS_V1_BYTES:
        raise AqError(AqRc.EINVAL)
    if asked.LSE in (LinkStatusEvents.DIS, LinkStatusEvents.ENA):
        link.events = asked.LSE == LinkStatusEvents.ENA
    enabled = LinkStatusEvents.IS_ENABLED if link.events else LinkStatusEvents.NOP
    return Reply(asked.replace(LSE=enabled), status(link).to_bytes()[: given.room])


@command(AqOpcode.SET_EVENT_MASK)
def set_event_mask(firmware: Firmware, given: Command) -> None:
    """What is not to be told."""
    asked = given.decode(AqSetEventMask)
    _port(asked.LPORT_NUM)
    firmware.link.mask = asked.raw >> 64 & 0xFFFF


@command(AqOpcode.SET_MAC_LB)
def set_loopback(firmware: Firmware, given: Command) -> None:
    """Frames come back instead of going out; the link is up then without a cable."""
    firmware.link.loopback = bool(given.decode(AqSetMacLoopback).LB_EN)
    firmware.engine.set_loopback(0, firmware.link.loopback)
    changed(firmware)


@command(AqOpcode.SET_PORT_ID_LED)
def identify(firmware: Firmware, given: Command) -> None:
    """The LED blinks, if there were one."""
    _port(given.decode(PortIdLed).LPORT_NUM)


def status(link: Link) -> AqLinkStatus:
    """The state of the link as the command and the event have it."""
    up = link.up
    low, high = link.active
    return AqLinkStatus.of(
        LINK_UP=up,
        LINK_UP_PORT=up,
        MEDIA_AVAILABLE=link.media,
        SIGNAL_DETECT=link.media,
        AN_COMPLETED=up,
        LP_AN_ABILITY=up,
        LINK_PAUSE_TX=up and link.pause & 1,
        LINK_PAUSE_RX=up and link.pause >> 1,
        QUALIFIED_MODULE=link.media,
        LB_STATUS=4 if link.loopback else 0,
        MAX_FRAME_SIZE=link.max_frame,
        LINK_SPEED=link.speed_bit,
        PHY_TYPE_LOW=low,
        PHY_TYPE_HIGH=high,
        LP_PHY_TYPE_LOW=low,
        LP_PHY_TYPE_HIGH=high,
    )


def media_changed(firmware: Firmware, port: int, up: bool) -> None:
    """The other side of the cable came or went."""
    if port == 0:
        firmware.link.media = up
        changed(firmware)


def changed(firmware: Firmware) -> None:
    """Tell the engine the link's state, and the driver once if it wants to know of a change."""
    link = firmware.link
    link.apply()
    if link.up == link.told:
        return
    link.told = link.up
    link.changes += 1
    if not link.events or link.mask & 1 << AqSetEventMask.UPDOWN.lo - 64:
        return
    # Told once: reading the status with LSE arms it again.
    link.events = False
    params = AqGetLinkStatus.of(LSE=LinkStatusEvents.IS_ENABLED)
    firmware.queue.post(Event(AqOpcode.GET_LINK_STATUS, params, status(link).to_bytes()))


def _port(number: int) -> None:
    if number != 0:
        raise AqError(AqRc.EINVAL)
