"""Names of vendors, devices and classes for listings: the system's pci.ids, or the guest rig's."""

from pathlib import Path

from siov.guests.image import default_path
from siov.host.lspci import Names, find, load


def pci_names(file: Path | None = None, numeric: int = 0) -> Names:
    """The names of a pci.ids file, or of the first that is found; none at all is fine too."""
    return Names(load(file or find([default_path() / "root/usr/share/misc/pci.ids"])), numeric)
