"""Versions, the queue's end, resources that a driver owns for a while, what drivers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_device import (
    AqDriverVersion,
    AqGetVersion,
    AqRequestResource,
    AqSharedParam,
    GlobalLockStatus,
    ResourceAccess,
    ResourceId,
)
from siov.spec.word import Word, bits

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

# Firmware 7.3.4 on branch 1 (E810), interface 1.7.11.
VERSION = AqGetVersion.of(
    FW_BUILD=0x305D955F,
    FW_BRANCH=1,
    FW_MAJOR=7,
    FW_MINOR=3,
    FW_PATCH=4,
    API_MAJOR=1,
    API_MINOR=7,
    API_PATCH=11,
)
NOT_PROVIDED = 0xFFFF_FFFF
SHARED_PARAMS = 16


class ExpandedError(Word, width=128, ref="E810 ice_adminq_cmd.h ice_aqc_get_exp_err"):
    """GET_EXP_ERR: more about the last error."""

    REASON = bits(31, 0, "all ones: nothing more is known")
    IDENTIFIER = bits(63, 32, "which")


@command(AqOpcode.GET_VER)
def get_version(firmware: Firmware, given: Command) -> Reply:
    """Versions of firmware and its interface."""
    return Reply(VERSION)


@command(AqOpcode.DRIVER_VER, Buffer.IN)
def driver_version(firmware: Firmware, given: Command) -> None:
    """The driver's name and version."""
    given.decode(AqDriverVersion)
    if len(given.data) > 32:
        raise AqError(AqRc.EINVAL)
    firmware.driver = given.data.split(b"\0")[0].decode("ascii", "replace")


@command(AqOpcode.Q_SHUTDOWN)
def queue_shutdown(firmware: Firmware, given: Command) -> None:
    """The driver stops; events that wait are of no use any more."""
    firmware.queue.backlog.clear()


@command(AqOpcode.GET_EXP_ERR)
def expanded_error(firmware: Firmware, given: Command) -> Reply:
    """Nothing is known beyond the code of the command."""
    return Reply(ExpandedError.of(REASON=NOT_PROVIDED))


@command(AqOpcode.REQ_RES)
def request_resource(firmware: Firmware, given: Command) -> Reply:
    """Take a resource. The answer to a refusal says how long to wait; the global lock is given once."""
    asked = given.decode(AqRequestResource)
    resource, access = _resource(asked)
    if resource is ResourceId.GLBL_LOCK and firmware.package.active:
        raise AqError(AqRc.EPERM, Reply(asked.replace(TIMEOUT=0, STATUS=GlobalLockStatus.DONE)))
    try:
        timeout = firmware.ownership.request(resource, access)
    except AqError as error:
        left = firmware.ownership.left(resource)
        status = GlobalLockStatus.IN_PROG if resource is ResourceId.GLBL_LOCK else 0
        raise AqError(error.code, Reply(asked.replace(TIMEOUT=left, STATUS=status))) from None
    return Reply(asked.replace(TIMEOUT=timeout, STATUS=GlobalLockStatus.SUCCESS))


@command(AqOpcode.RELEASE_RES)
def release_resource(firmware: Firmware, given: Command) -> None:
    """Give a resource back."""
    number = given.decode(AqRequestResource).RES_ID
    if number not in set(ResourceId):
        raise AqError(AqRc.EINVAL)
    firmware.ownership.release(ResourceId(number))


@command(AqOpcode.CLEAR_PXE_MODE)
def clear_pxe_mode(firmware: Firmware, given: Command) -> None:
    """The boot ROM's receive mode ends: there was none. EEXIST is hardware's answer to a second one."""


@command(AqOpcode.CONFIG_NO_DROP_POLICY)
def no_drop_policy(firmware: Firmware, given: Command) -> None:
    """Packets without a descriptor are dropped, whatever is asked."""


@command(AqOpcode.DRIVER_SHARED_PARAMS)
def shared_params(firmware: Firmware, given: Command) -> Reply:
    """Numbers that the drivers of the functions share."""
    asked = given.decode(AqSharedParam)
    if asked.INDEX >= SHARED_PARAMS:
        raise AqError(AqRc.EINVAL)
    if not asked.GET:
        firmware.shared_params[asked.INDEX] = asked.VALUE
    return Reply(asked.replace(VALUE=firmware.shared_params[asked.INDEX]))


def _resource(asked: AqRequestResource) -> tuple[ResourceId, ResourceAccess]:
    if asked.RES_ID not in set(ResourceId) or asked.ACCESS_TYPE not in set(ResourceAccess):
        raise AqError(AqRc.EINVAL)
    return ResourceId(asked.RES_ID), ResourceAccess(asked.ACCESS_TYPE)
