"""VSI commands (0x0210 to 0x0213)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_switch import AqVsi, AqVsiResponse, VsiType
from siov.spec.e810.counts import VSIS
from siov.spec.e810.vsi import VsiProperties

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware
    from siov.hw.e810.firmware.vsi import Vsi


@command(AqOpcode.ADD_VSI, Buffer.IN)
def add(firmware: Firmware, given: Command) -> Reply:
    """A new VSI with the sections of the buffer."""
    asked = given.decode(AqVsi)
    number = asked.VSI_NUM if asked.IS_VALID else None
    vsi = firmware.vsis.add(number, VsiType(asked.TYPE), asked.VF_ID, given.data)
    firmware.rss.apply(vsi)
    return _reply(firmware, vsi.number)


@command(AqOpcode.UPDATE_VSI, Buffer.IN)
def update(firmware: Firmware, given: Command) -> Reply:
    """Other sections for a VSI."""
    number = _number(given.decode(AqVsi))
    vsi = firmware.vsis.update(number, given.data)
    sections = given.part(VsiProperties.VALID_SECTIONS)
    if sections.Q_OPT_VALID:
        firmware.rss.apply(vsi)
    return _reply(firmware, number)


@command(AqOpcode.GET_VSI_PARAMS, Buffer.OUT)
def get(firmware: Firmware, given: Command) -> Reply:
    """A VSI's properties."""
    vsi: Vsi = firmware.vsis[_number(given.decode(AqVsi))]
    if given.room < VsiProperties.size:
        raise AqError(AqRc.EINVAL)
    reply = _response(firmware, vsi.number).replace(EXT_STATUS=vsi.vf | vsi.kind << 8)
    return Reply(reply, bytes(vsi.properties))


@command(AqOpcode.FREE_VSI)
def free(firmware: Firmware, given: Command) -> Reply:
    """A VSI goes, with its rules, and out of all lists; EBUSY while a Tx queue of it is on."""
    asked = given.decode(AqVsi)
    number = _number(asked)
    if number not in firmware.vsis:
        raise AqError(AqRc.ENOENT)
    if firmware.txqueues.of_vsi(number):
        raise AqError(AqRc.EBUSY)
    for part in (firmware.rules, firmware.resources):
        part.forget_vsi(number)
    firmware.rss.forget(number)
    firmware.package.forget_vsi(number)
    firmware.vsis.remove(number, keep=bool(asked.KEEP_ALLOC))
    return _reply(firmware, number)


def _number(asked: AqVsi) -> int:
    if not asked.IS_VALID or asked.VSI_NUM >= VSIS:
        raise AqError(AqRc.EINVAL)
    return asked.VSI_NUM


def _response(firmware: Firmware, number: int) -> AqVsiResponse:
    return AqVsiResponse.of(VSI_NUM=number, VSI_USED=len(firmware.vsis), VSI_FREE=firmware.vsis.free)


def _reply(firmware: Firmware, number: int) -> Reply:
    return Reply(_response(firmware, number))
