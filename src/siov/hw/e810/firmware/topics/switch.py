"""The switch as a whole: what hangs on it, port parameters, VLAN mode, resources (0x0200 to 0x020D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.resources import CAPACITY
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_switch import (
    AqAllocRes,
    AqGetSwitchConfig,
    AqResource,
    AqResourceAllocation,
    AqSetPortParams,
    AqSwitchElement,
    ResourceType,
    SwitchElementType,
    VsiType,
)

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

# The one switch of the one port.
SWITCH_ID = 1

VLAN_MODE_BYTES = 100
SET_VLAN_MODE_BYTES = 101
DVM_ENA = 1


@command(AqOpcode.GET_SW_CFG, Buffer.OUT)
def get_config(firmware: Firmware, given: Command) -> Reply:
    """The port and the VSIs, as many as fit into the buffer from the one that is asked for."""
    asked = given.decode(AqGetSwitchConfig)
    function = firmware.settings.function
    port = AqSwitchElement.of(TYPE=SwitchElementType.PHYS_PORT, SWID=SWITCH_ID, FUNC_NUM=function)
    elements = [port]
    for number, vsi in sorted(firmware.vsis.table.items()):
        whose = {"IS_VF": 1, "FUNC_NUM": vsi.vf} if vsi.kind is VsiType.VF else {"FUNC_NUM": function}
        kind = SwitchElementType.VSI
        elements.append(AqSwitchElement.of(VSI_PORT_NUM=number, TYPE=kind, SWID=SWITCH_ID, **whose))
    size = AqSwitchElement.width // 8
    first, fit = asked.ELEMENT, given.room // size
    if first >= len(elements) or not fit:
        raise AqError(AqRc.EINVAL)
    part = elements[first : first + fit]
    after = first + len(part)
    following = after if after < len(elements) else 0
    reply = asked.replace(ELEMENT=following, NUM_ELEMS=len(part))
    return Reply(reply, b"".join(element.to_bytes() for element in part))


@command(AqOpcode.SET_PORT_PARAMS)
def set_port_params(firmware: Firmware, given: Command) -> None:
    """Whether two VLAN tags count; bad packets are never kept."""
    asked = given.decode(AqSetPortParams)
    if asked.SWID_VALID and asked.SWID != SWITCH_ID:
        raise AqError(AqRc.EINVAL)
    if asked.BAD_FRAME_VSI_VALID and asked.BAD_FRAME_VSI not in firmware.vsis:
        raise AqError(AqRc.EINVAL)
    firmware.double_vlan = bool(asked.DOUBLE_VLAN_ENA)
    firmware.engine.set_vlan_mode(firmware.double_vlan)


@command(AqOpcode.SET_VLAN_MODE_PARAMETERS, Buffer.IN)
def set_vlan_mode(firmware: Firmware, given: Command) -> None:
    """How tags are told to RDMA and management, of which there is neither."""
    given.take(0, SET_VLAN_MODE_BYTES)


@command(AqOpcode.GET_VLAN_MODE_PARAMETERS, Buffer.OUT)
def get_vlan_mode(firmware: Firmware, given: Command) -> Reply:
    """Whether two VLAN tags count."""
    if given.room < VLAN_MODE_BYTES:
        raise AqError(AqRc.EINVAL)
    mode = DVM_ENA if firmware.double_vlan else 0
    return Reply(data=bytes([mode]).ljust(VLAN_MODE_BYTES, b"\0"))


@command(AqOpcode.GET_RES_ALLOC, Buffer.OUT)
def get_allocation(firmware: Firmware, given: Command) -> Reply:
    """How many there are of each resource, and how many are free."""
    data = b""
    for kind in CAPACITY:
        total, free = firmware.resources.capacity(kind)
        head = AqResourceAllocation.of(RES_TYPE=kind, TOTAL_CAPACITY=total, TOTAL_FUNCTION=total)
        data += head.to_bytes() + free.to_bytes(2, "little")
    if given.room < len(data):
        raise AqError(AqRc.ENOMEM)
    return Reply(given.decode(AqAllocRes).replace(NUM_ENTRIES=len(CAPACITY)), data)


@command(AqOpcode.ALLOC_RES, Buffer.BOTH)
def allocate(firmware: Firmware, given: Command) -> Reply:
    """Numbers of a resource, filled into the buffer."""
    kind, count = _asked(given)
    size = AqResource.width // 8
    given.take(size, 2 * count)
    numbers = firmware.resources.allocate(kind, count)
    filled = b"".join(number.to_bytes(2, "little") for number in numbers)
    return Reply(data=given.data[:size] + filled + given.data[size + len(filled) :])


@command(AqOpcode.FREE_RES, Buffer.BOTH)
def free(firmware: Firmware, given: Command) -> None:
    """Numbers of a resource go back."""
    kind, count = _asked(given)
    raw = given.take(AqResource.width // 8, 2 * count)
    numbers = [int.from_bytes(raw[n : n + 2], "little") for n in range(0, len(raw), 2)]
    if not numbers:
        raise AqError(AqRc.EINVAL)
    firmware.resources.free(kind, numbers)


def _asked(given: Command) -> tuple[ResourceType, int]:
    element = given.part(AqResource)
    if given.decode(AqAllocRes).NUM_ENTRIES != 1 or element.RES_TYPE not in {int(kind) for kind in CAPACITY}:
        raise AqError(AqRc.EINVAL)
    return ResourceType(element.RES_TYPE), element.NUM_ELEMS
