"""Numbers as people read them."""

from __future__ import annotations

from typing import Protocol

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


class Rates(Protocol):
    """What knows how fast counters go up."""

    def rate(self, name: str) -> float:
        """What a counter gains a second."""


def si(value: float) -> tuple[float, str]:
    """What to divide a number by, and the letter that says so."""
    return next(((size, letter) for size, letter in PREFIXES if abs(value) >= size), (1.0, ""))


def number(value: float) -> str:
    """Three digits and a letter: 17.3k."""
    divisor, letter = si(value)
    return f"{value / divisor:.3g}{letter}" if value / divisor < 999.5 else f"{value / divisor:.0f}{letter}"


def bits(value: float) -> str:
    """Bits a second with their prefix."""
    divisor, letter = si(value)
    return f"{number(value / divisor)} {letter}bit/s"


def hit_rate(rates: Rates, where: str, hits: str, lookups: str) -> str:
    """Percent of look-ups that hit now; a dash when there was none."""
    asked = rates.rate(f"{where}/{lookups}")
    return f"{min(rates.rate(f'{where}/{hits}') / asked, 1.0):.1%}" if asked else "-"
