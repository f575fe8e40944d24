"""Page tables in memory that hardware walks."""

from siov.host.pgtable.format import ENTRIES, Format, Gather, Leaf, Prot, level_shift
from siov.host.pgtable.table import PageTable

__all__ = ["ENTRIES", "Format", "Gather", "Leaf", "PageTable", "Prot", "level_shift"]
