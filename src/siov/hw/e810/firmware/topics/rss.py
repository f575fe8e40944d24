"""RSS keys and look-up tables (0x0B02 to 0x0B06)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.rss import SIZES
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_queues import RSS_KEY_BYTES, AqClearFdTable, AqRssKey, AqRssLut, LutSize, LutType

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

# What the size field of a command says for each kind of table.
LUT_SIZES = {LutType.VSI: LutSize.SMALL, LutType.GLOBAL: LutSize.SIZE_512, LutType.PF: LutSize.SIZE_2K}
CLEAR_VSI, CLEAR_FUNCTION = 1, 2


@command(AqOpcode.SET_RSS_KEY, Buffer.IN)
def set_key(firmware: Firmware, given: Command) -> None:
    """A VSI's key: 40 bytes of the standard's, then 12 more."""
    vsi = _vsi(firmware, given.decode(AqRssKey))
    if len(given.data) != RSS_KEY_BYTES:
        raise AqError(AqRc.EINVAL)
    firmware.rss.set_key(vsi, given.data)


@command(AqOpcode.GET_RSS_KEY, Buffer.OUT)
def get_key(firmware: Firmware, given: Command) -> Reply:
    """A VSI's key."""
    vsi = _vsi(firmware, given.decode(AqRssKey))
    if given.room < RSS_KEY_BYTES:
        raise AqError(AqRc.EINVAL)
    return Reply(data=firmware.rss.key(vsi))


@command(AqOpcode.SET_RSS_LUT, Buffer.IN)
def set_table(firmware: Firmware, given: Command) -> None:
    """A look-up table: a queue for each hash value."""
    kind, index = _table(firmware, given)
    if len(given.data) != SIZES[kind]:
        raise AqError(AqRc.EINVAL)
    firmware.rss.set_table(kind, index, given.data, firmware.vsis.table)


@command(AqOpcode.GET_RSS_LUT, Buffer.OUT)
def get_table(firmware: Firmware, given: Command) -> Reply:
    """A look-up table."""
    kind, index = _table(firmware, given)
    if given.room < SIZES[kind]:
        raise AqError(AqRc.EINVAL)
    return Reply(data=firmware.rss.table(kind, index))


@command(AqOpcode.CLEAR_FD_TABLE)
def clear_filters(firmware: Firmware, given: Command) -> None:
    """All flow director filters of a VSI, or of the function."""
    asked = given.decode(AqClearFdTable)
    if asked.CLEAR_TYPE == CLEAR_FUNCTION:
        firmware.engine.clear_filters(None)
    elif asked.CLEAR_TYPE == CLEAR_VSI and asked.VSI_INDEX in firmware.vsis:
        firmware.engine.clear_filters(asked.VSI_INDEX)
    else:
        raise AqError(AqRc.EINVAL)


def _vsi(firmware: Firmware, asked: AqRssKey | AqRssLut) -> int:
    if not asked.VSI_VALID or asked.VSI_ID not in firmware.vsis:
        raise AqError(AqRc.EINVAL)
    return asked.VSI_ID


def _table(firmware: Firmware, given: Command) -> tuple[LutType, int]:
    asked = given.decode(AqRssLut)
    if asked.LUT_TYPE not in set(LutType):
        raise AqError(AqRc.EINVAL)
    kind = LutType(asked.LUT_TYPE)
    if LUT_SIZES[kind] != asked.LUT_SIZE:
        raise AqError(AqRc.EINVAL)
    vsi = _vsi(firmware, asked)
    return kind, {LutType.VSI: vsi, LutType.GLOBAL: asked.GLOBAL_IDX, LutType.PF: 0}[kind]
