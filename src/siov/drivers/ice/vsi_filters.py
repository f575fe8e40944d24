"""What a VSI receives and how it is spread: the part of `Vsi` that goes to the switch, RSS and so on."""

from __future__ import annotations


class VsiFilters:
    """Methods of `Vsi` about frames; each goes to the part of the function that keeps that."""

    def remove_filters(self) -> None:
        """Take away every rule and filter that is the VSI's."""
