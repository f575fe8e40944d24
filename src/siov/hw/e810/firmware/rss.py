"""RSS: a key for each VSI; look-up tables of a VSI, of 16 global ones, and the function's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.vsi import Vsi
from siov.spec.e810.aq_queues import RSS_KEY_BYTES, RSS_LUT_GLOBAL, RSS_LUT_PF, RSS_LUT_VSI, LutType
from siov.spec.e810.vsi import RssLut, VsiProperties

SIZES = {LutType.VSI: RSS_LUT_VSI, LutType.GLOBAL: RSS_LUT_GLOBAL, LutType.PF: RSS_LUT_PF}


@dataclass(slots=True)
class Rss:
    """Keys and tables; a VSI's properties choose the table that the engine gets."""

    engine: Engine
    keys: dict[int, bytes] = field(default_factory=dict)
    tables: dict[tuple[LutType, int], bytes] = field(default_factory=dict)

    def key(self, vsi: int) -> bytes:
        """A VSI's key, zeros before it is set."""
        return self.keys.get(vsi, bytes(RSS_KEY_BYTES))

    def set_key(self, vsi: int, key: bytes) -> None:
        """A VSI's key of 52 bytes."""
        self.keys[vsi] = key
        self.engine.set_rss_key(vsi, key)

    def table(self, kind: LutType, index: int) -> bytes:
        """A look-up table, zeros before it is set; `index` is a VSI or the number of a global one."""
        return self.tables.get((kind, index), bytes(SIZES[kind]))

    def set_table(self, kind: LutType, index: int, table: bytes, vsis: dict[int, Vsi]) -> None:
        """Set a look-up table, and give it to each VSI that uses it."""
        self.tables[kind, index] = table
        # A VSI's own table is nobody else's: the others need not be looked at.
        for vsi in [vsis[index]] if kind is LutType.VSI and index in vsis else vsis.values():
            if used(vsi) == (kind, index):
                self.engine.set_rss_lut(vsi.number, table)

    def apply(self, vsi: Vsi) -> None:
        """Give a VSI the table that its properties choose."""
        self.engine.set_rss_lut(vsi.number, self.table(*used(vsi)))

    def forget(self, vsi: int) -> None:
        """A VSI is gone, with its key and table."""
        self.keys.pop(vsi, None)
        self.tables.pop((LutType.VSI, vsi), None)

    def reset(self) -> None:
        """No keys, no tables."""
        self.keys.clear()
        self.tables.clear()

    def inspect(self) -> dict[str, object]:
        """Who has a key, and which tables are set."""
        return {"keys": sorted(self.keys), "tables": [f"{k.name.lower()} {n}" for k, n in self.tables]}


def used(vsi: Vsi) -> tuple[LutType, int]:
    """The table that a VSI's properties choose."""
    options = vsi.properties[VsiProperties.Q_OPT_RSS]
    if options.LUT == RssLut.PF:
        return LutType.PF, 0
    if options.LUT == RssLut.GBL:
        return LutType.GLOBAL, options.GBL_LUT
    return LutType.VSI, vsi.number
