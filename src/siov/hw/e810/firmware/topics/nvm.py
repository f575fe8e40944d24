"""Flash (0x0701 to 0x070B): read by anybody, written by who owns it, activated by a reset of firmware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.adminq import Event
from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.flash import CHECKSUM, SECTOR, SHADOW_RAM, Module
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_device import AqNvm, AqNvmChecksum, ResourceAccess, ResourceId
from siov.spec.word import Word, bit, bits

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

EMPR_ENABLED = 1 << 16  # OFFSET 23:16 of an activation's answer: a reset of firmware will do
REQUEST_EMPR = 1 << 16
RESET_LEVEL_EMPR = 2
UPDATE_PREPARED = 0


class PackageData(Word, width=128, ref="E810 ice_adminq_cmd.h ice_aqc_nvm_pkg_data"):
    """NVM_PKG_DATA."""

    DELETE = bit(24, "forget it; in an answer: it was passed over")


class PassComponent(Word, width=128, ref="E810 ice_adminq_cmd.h ice_aqc_nvm_pass_comp_tbl"):
    """NVM_PASS_COMPONENT_TBL."""

    RESPONSE = bits(7, 0, "in an answer: 0 means that the component can be updated")
    RESPONSE_CODE = bits(15, 8, "in an answer: why not")
    TRANSFER_FLAG = bits(31, 24, "which part of the table this is")


@command(AqOpcode.NVM_READ, Buffer.OUT)
def read(firmware: Firmware, given: Command) -> Reply:
    """Bytes of flash as a whole, of the shadow RAM, or of a record of its preserved area."""
    asked = given.decode(AqNvm)
    if given.room < asked.LENGTH or not asked.LENGTH:
        raise AqError(AqRc.EINVAL)
    at, size = asked.OFFSET, asked.LENGTH
    if asked.MODULE_TYPEID:
        return Reply(data=_record(firmware, asked.MODULE_TYPEID, at, size))
    if at % SECTOR + size > SECTOR:
        raise AqError(AqRc.EINVAL)  # a read does not cross a sector
    if not asked.FLASH_ONLY and at + size <= SHADOW_RAM:
        return Reply(data=bytes(firmware.flash.shadow[at : at + size]))
    try:
        return Reply(data=firmware.flash.read(at, size))
    except IndexError:
        raise AqError(AqRc.EINVAL) from None


def _record(firmware: Firmware, module: int, at: int, size: int) -> bytes:
    if module in set(Module):
        span = firmware.flash.bank(Module(module), active=True)
        if at + size > len(span):
            raise AqError(AqRc.EINVAL)
        return firmware.flash.read(span.start + at, size)
    record = firmware.flash.tlv(module)
    if record is None:
        raise AqError(AqRc.ENOENT)
    # What is read begins with the record's length, a word before its data.
    start, end = record.start - 2, record.stop
    if start + at + size > end:
        raise AqError(AqRc.EINVAL)
    return bytes(firmware.flash.shadow[start + at : start + at + size])


@command(AqOpcode.NVM_ERASE)
def erase(firmware: Firmware, given: Command) -> None:
    """Blank a module's bank that is not in use; an event tells when it is done."""
    asked = given.decode(AqNvm)
    _owned(firmware)
    if asked.MODULE_TYPEID not in set(Module):
        raise AqError(AqRc.EINVAL)
    firmware.flash.erase(Module(asked.MODULE_TYPEID))
    _done(firmware, AqOpcode.NVM_ERASE, asked)


@command(AqOpcode.NVM_WRITE, Buffer.IN)
def write(firmware: Firmware, given: Command) -> None:
    """Bytes for the bank that is not in use, or for a record; an event tells when it is done."""
    asked = given.decode(AqNvm)
    _owned(firmware)
    if len(given.data) != asked.LENGTH:
        raise AqError(AqRc.EINVAL)
    if asked.MODULE_TYPEID in set(Module):
        span = firmware.flash.bank(Module(asked.MODULE_TYPEID), active=False)
        if len(span) < asked.OFFSET + asked.LENGTH:
            raise AqError(AqRc.EINVAL)
        firmware.flash.write(span.start + asked.OFFSET, given.data)
    else:
        _write_record(firmware, asked, given.data)
    _done(firmware, AqOpcode.NVM_WRITE, asked)


def _write_record(firmware: Firmware, asked: AqNvm, data: bytes) -> None:
    record = firmware.flash.tlv(asked.MODULE_TYPEID)
    if record is None:
        raise AqError(AqRc.EPERM)
    start = record.start - 2 + asked.OFFSET
    # The length of the record stays: only what stands behind it is written.
    if start + len(data) > record.stop:
        raise AqError(AqRc.EINVAL)
    for n, byte in enumerate(data):
        if start + n >= record.start:
            firmware.flash.shadow[start + n] = byte
    firmware.flash.recalculate()


@command(AqOpcode.NVM_CHECKSUM)
def checksum(firmware: Firmware, given: Command) -> Reply:
    """Check the shadow RAM's checksum, or make it anew."""
    asked = given.decode(AqNvmChecksum)
    if bool(asked.VERIFY) == bool(asked.RECALC):
        raise AqError(AqRc.EINVAL)
    if asked.RECALC:
        _owned(firmware)
        return Reply(asked.replace(CHECKSUM=firmware.flash.recalculate()))
    whole = firmware.flash.sum() == CHECKSUM
    return Reply(asked.replace(CHECKSUM=CHECKSUM if whole else 0))


@command(AqOpcode.NVM_WRITE_ACTIVATE)
def activate(firmware: Firmware, given: Command) -> Reply:
    """The banks that were written are to be used after the next reset; without any: keep the shadow RAM."""
    asked = given.decode(AqNvm)
    _owned(firmware)
    chosen = {
        Module.NVM: asked.ACTIV_SEL_NVM,
        Module.OROM: asked.ACTIV_SEL_OROM,
        Module.NETLIST: asked.ACTIV_SEL_NETLIST,
    }
    modules = {module for module, wanted in chosen.items() if wanted}
    if asked.SPECIAL_UPDATE and modules:
        firmware.flash.pending -= modules  # back to what is in use
    else:
        firmware.flash.pending |= modules
    if not modules:
        firmware.flash.dump()
    enabled = EMPR_ENABLED if asked.OFFSET & REQUEST_EMPR else 0
    reply = AqNvm(asked.raw & ~(0xFF << 24)).replace(OFFSET=enabled)
    reply = AqNvm(reply.raw | RESET_LEVEL_EMPR << 24)
    _done(firmware, AqOpcode.NVM_WRITE_ACTIVATE, reply)
    return Reply(reply)


@command(AqOpcode.NVM_UPDATE_EMPR)
def reset(firmware: Firmware, given: Command) -> None:
    """Reset firmware, once this is answered; EPERM when there is nothing that waits for it."""
    if not firmware.flash.pending:
        raise AqError(AqRc.EPERM)
    firmware.reset_wanted = "EMPR"


@command(AqOpcode.NVM_PKG_DATA, Buffer.MAYBE)
def package_data(firmware: Firmware, given: Command) -> Reply:
    """Metadata of an update (PLDM): not looked at."""
    return Reply(given.decode(PackageData).replace(DELETE=0))


@command(AqOpcode.NVM_PASS_COMPONENT_TBL, Buffer.IN)
def component_table(firmware: Firmware, given: Command) -> Reply:
    """Any component can be updated."""
    return Reply(given.decode(PassComponent).replace(RESPONSE=UPDATE_PREPARED, RESPONSE_CODE=0))


def _owned(firmware: Firmware) -> None:
    if not firmware.ownership.holds(ResourceId.NVM, ResourceAccess.WRITE):
        raise AqError(AqRc.EACCES)


def _done(firmware: Firmware, opcode: AqOpcode, params: AqNvm) -> None:
    firmware.queue.post(Event(opcode, params))
