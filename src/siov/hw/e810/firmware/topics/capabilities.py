"""What the device and its function can do: lists of elements (0x000A, 0x000B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.flash import Module, version
from siov.hw.e810.firmware.link import MAX_FRAME
from siov.hw.e810.firmware.txqueues import TX_QUEUES
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_device import AqCapability, AqListCaps, Capability
from siov.spec.e810.aq_queues import RSS_LUT_PF
from siov.spec.e810.counts import RX_QUEUES, VECTORS, VFS, VSIS

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

# Bits of NVM_MGMT: updates are of all modules at once, the netlist is signed.
NVM_MGMT = 1 << 3 | 1 << 5
LUT_ENTRY_BITS = 8
TC_MAX = 8


def _element(cap: Capability, number: int, logical: int = 0, physical: int = 0) -> AqCapability:
    return AqCapability.of(CAP=cap, MAJOR_VER=1, NUMBER=number, LOGICAL_ID=logical, PHYS_ID=physical)


def common(firmware: Firmware) -> list[AqCapability]:
    """What both lists have."""
    found = [
        _element(Capability.SRIOV, 1),
        _element(Capability.VMDQ, 1),
        _element(Capability.DCB, 0, 1, TC_MAX),
        _element(Capability.RSS, RSS_LUT_PF, LUT_ENTRY_BITS),
        _element(Capability.RXQS, RX_QUEUES),
        _element(Capability.TXQS, TX_QUEUES),
        _element(Capability.MSIX, VECTORS),
        _element(Capability.MAX_MTU, MAX_FRAME),
        _element(Capability.NVM_MGMT, NVM_MGMT),
        _element(Capability.OROM_VER, version(firmware.flash, Module.OROM, active=True)),
        _element(Capability.NET_VER, version(firmware.flash, Module.NETLIST, active=True)),
        _element(Capability.NVM_VER, version(firmware.flash, Module.NVM, active=True)),
    ]
    coming = {
        Module.NVM: Capability.PENDING_NVM_VER,
        Module.OROM: Capability.PENDING_OROM_VER,
        Module.NETLIST: Capability.PENDING_NET_VER,
    }
    for module in sorted(firmware.flash.pending):
        found.append(_element(coming[module], version(firmware.flash, module, active=False)))
    return found


def of_device(firmware: Firmware) -> list[AqCapability]:
    """What the device has altogether."""
    guaranteed, shared = firmware.settings.flows
    own = [
        _element(Capability.VALID_FUNCTIONS, 1 << firmware.settings.function),
        _element(Capability.VF, VFS),
        _element(Capability.VSI, VSIS),
        _element(Capability.FD, guaranteed, shared),
    ]
    return _sorted(common(firmware) + own)


def of_function(firmware: Firmware) -> list[AqCapability]:
    """What the function may use."""
    guaranteed, shared = firmware.settings.flows
    own = [
        _element(Capability.VALID_FUNCTIONS, 1 << firmware.settings.function),
        _element(Capability.VF, VFS, 0),
        _element(Capability.VSI, VSIS),
        _element(Capability.FD, guaranteed, shared),
    ]
    return _sorted(common(firmware) + own)


def _sorted(found: list[AqCapability]) -> list[AqCapability]:
    return sorted(found, key=lambda element: element.CAP)


def _list(given: Command, found: list[AqCapability]) -> Reply:
    reply = given.decode(AqListCaps).replace(COUNT=len(found))
    data = b"".join(element.to_bytes() for element in found)
    if len(data) > given.room:
        # The driver learns how many there are, and comes back with a buffer for them.
        raise AqError(AqRc.ENOMEM, Reply(reply))
    return Reply(reply, data)


@command(AqOpcode.LIST_FUNC_CAPS, Buffer.OUT)
def list_function(firmware: Firmware, given: Command) -> Reply:
    """The function's capabilities."""
    return _list(given, of_function(firmware))


@command(AqOpcode.LIST_DEV_CAPS, Buffer.OUT)
def list_device(firmware: Firmware, given: Command) -> Reply:
    """The device's capabilities."""
    return _list(given, of_device(firmware))
