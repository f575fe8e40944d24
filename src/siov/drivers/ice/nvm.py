"""What the flash says about itself: the versions that `ethtool -i` shows (ice_nvm_version_str)."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EIO

from siov.drivers.ice.access import Commands
from siov.host.linux import LinuxError
from siov.spec.e810 import AqNvm, AqOpcode

# Words of the shadow RAM (ICE_SR_NVM_DEV_STARTER_VER, ICE_SR_NVM_EETRACK_LO, ICE_SR_NVM_EETRACK_HI).
DEV_STARTER_VER, EETRACK_LO, EETRACK_HI = 0x18, 0x2D, 0x2E
OROM_BANK = 0x44  # ICE_SR_1ST_OROM_BANK_PTR
CIVD_STEP, CIVD_STEPS, CIVD_BYTES, CIVD = 512, 16, 74, b"$CIV"


@dataclass(slots=True, frozen=True)
class NvmVersion:
    """Version of the NVM, EETRACK id of its image, and version of the boot ROM, None without one."""

    major: int
    minor: int
    eetrack: int
    orom: tuple[int, int, int] | None

    def __str__(self) -> str:
        rom = "0.0.0" if self.orom is None else ".".join(map(str, self.orom))
        return f"{self.major:x}.{self.minor:02x} {self.eetrack:#x} {rom}"


def ice_get_nvm_version(aq: Commands) -> NvmVersion:
    """The versions in flash; EIO when a read gives too few bytes."""
    version = _word(aq, DEV_STARTER_VER)
    eetrack = _word(aq, EETRACK_HI) << 16 | _word(aq, EETRACK_LO)
    return NvmVersion(version >> 12, version & 0xFF, eetrack, _orom(aq))


def _orom(aq: Commands) -> tuple[int, int, int] | None:
    """The boot ROM's version: of the first block that begins as it should and adds up to zero."""
    for step in range(CIVD_STEPS):
        block = _read(aq, step * CIVD_STEP, CIVD_BYTES, module=OROM_BANK)
        if block.startswith(CIVD) and not sum(block) & 0xFF:
            combined = int.from_bytes(block[5:9], "little")
            return combined >> 24, combined >> 8 & 0xFFFF, combined & 0xFF
    return None


def _word(aq: Commands, word: int) -> int:
    return int.from_bytes(_read(aq, 2 * word, 2), "little")


def _read(aq: Commands, at: int, size: int, *, module: int = 0) -> bytes:
    params = AqNvm.of(OFFSET=at, LENGTH=size, MODULE_TYPEID=module, LAST_CMD=1)
    data = aq.send(AqOpcode.NVM_READ, params, room=size).data
    if len(data) < size:
        raise LinuxError(EIO, f"{size} bytes of flash module {module:#x} are wanted; {len(data)} came")
    return data
