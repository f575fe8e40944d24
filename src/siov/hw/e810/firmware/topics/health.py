"""Health status (0xFF20 to 0xFF23): the device is well, so there is nothing to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import Buffer, Command, Reply, command
from siov.spec.e810.adminq import AqOpcode
from siov.spec.e810.aq_device import AqHealth

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware


@command(AqOpcode.SET_HEALTH_STATUS_CONFIG)
def configure(firmware: Firmware, given: Command) -> None:
    """Which sources are wanted: all of them are silent."""


@command(AqOpcode.GET_SUPPORTED_HEALTH_STATUS_CODES, Buffer.OUT)
def supported(firmware: Firmware, given: Command) -> Reply:
    """No codes."""
    return Reply(given.decode(AqHealth).replace(COUNT=0), b"")


@command(AqOpcode.GET_HEALTH_STATUS, Buffer.OUT)
def status(firmware: Firmware, given: Command) -> Reply:
    """No status."""
    return Reply(given.decode(AqHealth).replace(COUNT=0), b"")


@command(AqOpcode.CLEAR_HEALTH_STATUS)
def clear(firmware: Firmware, given: Command) -> None:
    """There is nothing to clear."""
