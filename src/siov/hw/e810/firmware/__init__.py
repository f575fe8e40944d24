"""The firmware behind the admin queue: commands, resets, flash, events."""

from siov.hw.e810.firmware.firmware import Firmware
from siov.hw.e810.firmware.flash import Image
from siov.hw.e810.firmware.settings import Clock, PortSettings, Settings

__all__ = ["Clock", "Firmware", "Image", "PortSettings", "Settings"]
