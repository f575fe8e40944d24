"""The function's address (0x0107, 0x0108)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_switch import AqMacAddress, AqMacRead, AqMacWrite, MacAddressType

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware


@command(AqOpcode.MANAGE_MAC_READ, Buffer.OUT)
def read(firmware: Firmware, given: Command) -> Reply:
    """The function's address, and which kinds there are."""
    address = int.from_bytes(firmware.mac, "little")
    element = AqMacAddress.of(ADDR_TYPE=MacAddressType.LAN, MAC_ADDR=address)
    if given.room < len(element.to_bytes()):
        raise AqError(AqRc.EINVAL)
    reply = AqMacRead.of(LAN_ADDR_VALID=1, PORT_ADDR_VALID=1, NUM_ADDR=1)
    return Reply(reply, element.to_bytes())


@command(AqOpcode.MANAGE_MAC_WRITE)
def write(firmware: Firmware, given: Command) -> None:
    """Another address for the function, until the next reset. No multicast address, not all zeros."""
    mac = given.decode(AqMacWrite).MAC_ADDR.to_bytes(6, "little")
    if mac[0] & 1 or not any(mac):
        raise AqError(AqRc.EINVAL)
    firmware.mac = mac
    firmware.engine.set_mac(0, mac)
