"""Names of vendors, devices and classes out of the `pci.ids` database."""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from siov.errors import SiovError

USUAL_PLACES = tuple(
    Path(place + suffix)
    for place in ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids")
    for suffix in ("", ".gz")
)

Key = tuple[str, tuple[int, ...]]  # what is named, and its numbers
_LONGEST = 255  # characters of a name that lspci prints
_IDE_CLASS = 0x0101


class NamesError(SiovError):
    """A pci.ids file that can't be read."""


def find(also: Iterable[Path] = ()) -> Path | None:
    """The database: $SIOV_PCI_IDS, else the first of the usual places and the given ones; None if nowhere."""
    if chosen := os.environ.get("SIOV_PCI_IDS"):
        return Path(chosen)
    return next((path for path in (*USUAL_PLACES, *also) if path.is_file()), None)


def load(path: Path | None) -> dict[Key, str]:
    """The database's names, none of no database; a file that can't be read raises NamesError.

    Lines that are no entries are passed over.
    """
    if path is None:
        return {}
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "surrogateescape")
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a whole gzip file"
        raise NamesError(f"no names from {path}: {reason}; name another pci.ids") from None
    return dict(_entries(text.split("\n")))


# Kind of block -> the kinds its lines name by depth, each with the digits of the numbers that it adds.
_BLOCKS = {
    "": (("vendor", (4,)), ("device", (4,)), ("subsystem", (4, 4))),
    "C": (("class", (2,)), ("subclass", (2,)), ("progif", (2,))),
    "S": (("", (4,)), ("generic subsystem", (4,))),
}


def _entries(lines: Iterable[str]) -> Iterator[tuple[Key, str]]:
    block = ""
    above: list[tuple[int, ...]] = [()] * 3  # the numbers of the line above, at each depth
    for line in lines:
        text = line.lstrip("\t")
        depth = len(line) - len(text)
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if depth == 0:
            block = text[0] if text[0].isupper() and text[1:2] == " " else ""
            text = text[2:] if block else text
        kinds = _BLOCKS.get(block, ())
        if depth >= len(kinds):
            continue
        kind, digits = kinds[depth]
        words = text.split(None, len(digits))
        try:
            numbers = tuple(int(word, 16) for word in words[: len(digits)])
        except ValueError:
            continue
        above[depth] = (*(above[depth - 1] if depth else ()), *numbers)
        if kind and len(words) > len(digits):
            yield (kind, above[depth]), words[-1].rstrip()


@dataclass(slots=True, frozen=True)
class Names:
    """Writes ids in words: `numeric` 0 names only, 1 (-n) numbers only, 2 or more (-nn) both."""

    known: dict[Key, str] = field(default_factory=dict)
    numeric: int = 0

    def class_name(self, class_id: int) -> str:
        """A class and sub-class."""
        upper, lower = class_id >> 8, class_id & 0xFF
        number, name = f"{class_id:04x}", self.known.get(("subclass", (upper, lower)))
        if name is None and (name := self.known.get(("class", (upper,)))) and self.numeric != 1:
            return _cut(f"{name} [{number}]")
        return self._one(name, number, "Class")

    def prog_if(self, class_id: int, interface: int) -> str | None:
        """A programming interface's name; None if it has none. It is written with -n, too."""
        name = self.known.get(("progif", (class_id >> 8, class_id & 0xFF, interface)))
        if name is None and class_id == _IDE_CLASS and not interface & 0x70:
            modes = ((0x80, "Master"), (8, "SecP"), (4, "SecO"), (2, "PriP"), (1, "PriO"))
            return " ".join(mode for mask, mode in modes if interface & mask)
        return name and _cut(name)

    def vendor(self, vendor: int) -> str:
        """A vendor."""
        return self._one(self.known.get(("vendor", (vendor,))), f"{vendor:04x}", "Vendor")

    def device(self, vendor: int, device: int) -> str:
        """A device without its vendor."""
        return self._one(self.known.get(("device", (vendor, device))), f"{device:04x}", "Device")

    def vendor_and_device(self, vendor: int, device: int) -> str:
        """A vendor and its device."""
        names = self.known.get(("vendor", (vendor,))), self.known.get(("device", (vendor, device)))
        return self._pair(*names, vendor, device)

    def subsystem_vendor(self, vendor: int) -> str:
        """A board's vendor."""
        return self._one(self.known.get(("vendor", (vendor,))), f"{vendor:04x}", "Unknown vendor")

    def subsystem_device(self, function: tuple[int, int], board: tuple[int, int]) -> str:
        """A board without its vendor; both arguments are (vendor, device)."""
        return self._one(self._board(function, board), f"{board[1]:04x}", "Device")

    def subsystem(self, function: tuple[int, int], board: tuple[int, int]) -> str:
        """A board; both arguments are (vendor, device)."""
        return self._pair(self.known.get(("vendor", board[:1])), self._board(function, board), *board)

    def _board(self, function: tuple[int, int], board: tuple[int, int]) -> str | None:
        name = self.known.get(("subsystem", (*function, *board))) if all(function) else None
        name = name or self.known.get(("generic subsystem", board))
        return name or (self.known.get(("device", board)) if function == board else None)

    def _one(self, name: str | None, number: str, unknown: str) -> str:
        if self.numeric == 1:
            return number
        if self.numeric:
            return _cut(f"{name or unknown} [{number}]")
        return _cut(name or f"{unknown} {number}")

    def _pair(self, vendor_name: str | None, device_name: str | None, vendor: int, device: int) -> str:
        number = f"{vendor:04x}:{device:04x}"
        if self.numeric == 1:
            return number
        if vendor_name is None:
            return f"Device [{number}]" if self.numeric else f"Device {number}"
        if self.numeric:
            return _cut(f"{vendor_name} {device_name or 'Device'} [{number}]")
        return _cut(f"{vendor_name} {device_name or f'Device {device:04x}'}")


def _cut(name: str) -> str:
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= _LONGEST:
        return name
    return (encoded[: _LONGEST - 3] + b"...").decode("utf-8", "surrogateescape")
