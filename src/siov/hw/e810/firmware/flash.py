"""The flash: two banks each of firmware, option ROM and netlist, and the shadow RAM of words and pointers.

Words stand where the `ice` driver looks for them (ice_type.h, ICE_SR_*); a blank sector takes no room.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

SECTOR = 4096
SIZE = 10 << 20
SHADOW_RAM = 64 << 10

IN_SECTORS = 1 << 15  # a pointer's top bit: it counts sectors, not words

# Words of the CSS header that stands before a signed module, and the length of what follows it.
CSS_HEADER_LENGTH, CSS_SREV = 0x02, 0x14
CSS_DWORDS, AUTH_WORDS = 0xA5, 0x08
CHECKSUM = 0xBABA  # what all words of the shadow RAM add up to


class Module(IntEnum):
    """A module with two banks, by the shadow RAM's word that points to the first of them."""

    NVM = 0x42
    OROM = 0x44
    NETLIST = 0x46


class SrWord(IntEnum):
    """Words of the shadow RAM."""

    CONTROL = 0x00
    PBA_BLOCK = 0x16
    DEV_STARTER_VER = 0x18
    EETRACK_LO = 0x2D
    EETRACK_HI = 0x2E
    SW_CHECKSUM = 0x3F
    PFA = 0x40
    MINSREV = 0x130


# The control word's bit that is set while the second bank of a module is the one in use.
BANK_BIT = {Module.OROM: 1 << 3, Module.NETLIST: 1 << 4, Module.NVM: 1 << 5}
CONTROL_VALID = 1 << 6

# First sector of the first bank, and sectors in a bank.
BANKS = {Module.NVM: (0x20, 0x200), Module.OROM: (0x420, 0x100), Module.NETLIST: (0x620, 0x10)}
PFA_AT = 0x1000  # words


@dataclass(slots=True, frozen=True)
class Image:
    """What a flash says about itself; the values of Linux's documentation of devlink for ice."""

    board: str = "K65390-000"
    psid_api: int = 0x0080  # 0.80, in hex digits
    bundle: int = 0x80002EC0
    srev: int = 3
    orom: tuple[int, int, int] = (1, 2581, 0)
    orom_srev: int = 2
    netlist: tuple[int, int, int, int] = (1, 1, 2000, 6)  # major, minor, type, revision
    netlist_customer: int = 0
    netlist_hash: int = 0xEE16CED7


@dataclass(slots=True)
class Flash:
    """The bytes, and which banks are in use after the next reset of the firmware."""

    image: Image = field(default_factory=Image)
    sectors: dict[int, bytearray] = field(default_factory=dict)
    shadow: bytearray = field(default_factory=lambda: bytearray(SHADOW_RAM))
    pending: set[Module] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._fill_shadow()
        for second in (False, True):
            self._fill_nvm(second)
            self._fill_orom(second)
            self._fill_netlist(second)
        self.write(0, bytes(self.shadow))

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the flash; blank ones are 0xFF. `IndexError` past its end."""
        return b"".join(
            bytes(self.sectors[sector][start : start + n]) if sector in self.sectors else b"\xff" * n
            for sector, start, n in _pieces(at, size)
        )

    def write(self, at: int, data: bytes) -> None:
        """Put bytes; `IndexError` past the end of the flash."""
        done = 0
        for sector, start, n in _pieces(at, len(data)):
            blank = bytearray(b"\xff" * SECTOR)
            self.sectors.setdefault(sector, blank)[start : start + n] = data[done : done + n]
            done += n

    def word(self, at: int) -> int:
        """A word of the shadow RAM."""
        return int.from_bytes(self.shadow[2 * at : 2 * at + 2], "little")

    def set_word(self, at: int, value: int) -> None:
        """Change a word of the shadow RAM."""
        self.shadow[2 * at : 2 * at + 2] = value.to_bytes(2, "little")

    def bank(self, module: Module, *, active: bool) -> range:
        """The bytes of a module's bank: the one in use, or the one that an update writes."""
        first, sectors = BANKS[module]
        second = bool(self.word(SrWord.CONTROL) & BANK_BIT[module])
        start = (first + (sectors if second == active else 0)) * SECTOR
        return range(start, start + sectors * SECTOR)

    def erase(self, module: Module) -> None:
        """Blank the bank that is not in use; a switch to it that was pending is off."""
        span = self.bank(module, active=False)
        for sector in range(span.start // SECTOR, span.stop // SECTOR):
            self.sectors.pop(sector, None)
        self.pending.discard(module)

    def activate(self) -> bool:
        """Go over to the banks that are pending, as a reset of the firmware does; whether there were any."""
        changed = bool(self.pending)
        for module in self.pending:
            self.set_word(SrWord.CONTROL, self.word(SrWord.CONTROL) ^ BANK_BIT[module])
        self.pending.clear()
        if changed:
            self.recalculate()
            self.dump()
        return changed

    def dump(self) -> None:
        """Keep the shadow RAM in flash."""
        self.write(0, bytes(self.shadow))

    def sum(self) -> int:
        """The sum of the shadow RAM's words, modulo 2 to the 16: CHECKSUM when it is whole."""
        words: tuple[int, ...] = struct.unpack(f"<{SHADOW_RAM // 2}H", self.shadow)
        return sum(words) & 0xFFFF

    def recalculate(self) -> int:
        """Make the checksum right; gives its word."""
        self.set_word(SrWord.SW_CHECKSUM, 0)
        value = CHECKSUM - self.sum() & 0xFFFF
        self.set_word(SrWord.SW_CHECKSUM, value)
        return value

    def tlv(self, kind: int) -> range | None:
        """Where the data of a record in the preserved area lies in the shadow RAM, in bytes."""
        start = self.word(SrWord.PFA)
        at, end = start + 1, min(start + self.word(start), SHADOW_RAM // 2 - 1)
        while at + 1 < end:
            length = self.word(at + 1)
            if self.word(at) == kind:
                return range(2 * (at + 2), min(2 * (at + 2 + length), SHADOW_RAM))
            at += 2 + length
        return None

    def versions(self) -> dict[str, int]:
        """The module versions of the banks in use and, with `pending_` in front, of those to come."""
        return {
            **{str(m.name).lower(): version(self, m, active=True) for m in Module},
            **{f"pending_{m.name.lower()}": version(self, m, active=False) for m in self.pending},
        }

    def _fill_shadow(self) -> None:
        self.set_word(SrWord.CONTROL, CONTROL_VALID)
        self._identify(self.shadow)
        for module, (first, sectors) in BANKS.items():
            self.set_word(module, IN_SECTORS | first)
            self.set_word(module + 1, sectors)
        records = [
            (SrWord.PBA_BLOCK, _pba(self.image.board)),
            # Validity, then the least security revisions of firmware and option ROM, two words each.
            (SrWord.MINSREV, [0, 0, 0, 0, 0]),
        ]
        words = [word for kind, data in records for word in (kind, len(data), *data)]
        self.set_word(SrWord.PFA, PFA_AT)
        for n, word in enumerate([len(words) + 1, *words]):
            self.set_word(PFA_AT + n, word)
        self.recalculate()

    def _identify(self, words: bytearray) -> None:
        for at, value in (
            (SrWord.DEV_STARTER_VER, self.image.psid_api),
            (SrWord.EETRACK_LO, self.image.bundle & 0xFFFF),
            (SrWord.EETRACK_HI, self.image.bundle >> 16),
        ):
            words[2 * at : 2 * at + 2] = value.to_bytes(2, "little")

    def _fill_nvm(self, second: bool) -> None:
        start = self.bank(Module.NVM, active=not second).start
        self.write(start, css_header(self.image.srev))
        copy = bytearray(0x100)
        self._identify(copy)
        self.write(start + 2 * SR_COPY, bytes(copy))

    def _fill_orom(self, second: bool) -> None:
        span = self.bank(Module.OROM, active=not second)
        major, build, patch = self.image.orom
        name = f"{major}.{build}.{patch}"
        text = name.encode("utf-16-le").ljust(64, b"\0")
        combo = (major << 24 | build << 8 | patch).to_bytes(4, "little")
        civd = bytearray(b"$CIV\0" + combo + bytes([len(name)]) + text)
        civd[4] = -sum(civd) & 0xFF
        self.write(span.start + 0x200, bytes(civd))
        self.write(span.stop - 2 * HEADER_WORDS, css_header(self.image.orom_srev))

    def _fill_netlist(self, second: bool) -> None:
        major, minor, kind, revision = self.image.netlist
        block = [0] * 0x30
        for at, value in ((2, major), (4, minor), (6, kind), (8, revision), (0x18, self.image.netlist_hash)):
            block[at], block[at + 1] = value & 0xFFFF, value >> 16
        block[0x2F] = self.image.netlist_customer
        # Type and length of the link topology; its length, no nodes, two words; the identity block.
        words = [0x011B, len(block) + 4, len(block) + 4, 0, 0, 0, *block]
        data = b"".join(word.to_bytes(2, "little") for word in words)
        self.write(self.bank(Module.NETLIST, active=not second).start, data)


# Words from a signed module's start to what is signed, and to the copy of the shadow RAM in it.
HEADER_WORDS = 2 * CSS_DWORDS + AUTH_WORDS
SR_COPY = (HEADER_WORDS + 31) // 32 * 32


def css_header(srev: int) -> bytes:
    """The start of a signed module: how long its header is, and its security revision."""
    words = [0] * HEADER_WORDS
    words[CSS_HEADER_LENGTH] = CSS_DWORDS
    words[CSS_SREV], words[CSS_SREV + 1] = srev & 0xFFFF, srev >> 16
    return b"".join(word.to_bytes(2, "little") for word in words)


def version(flash: Flash, module: Module, *, active: bool) -> int:
    """A bank's version as the capability list has it: the bundle, the combined number, or the hash."""
    start = flash.bank(module, active=active).start
    at = {
        Module.NVM: 2 * (SR_COPY + SrWord.EETRACK_LO),
        Module.OROM: 0x205,
        Module.NETLIST: 2 * (6 + 0x18),
    }[module]
    return int.from_bytes(flash.read(start + at, 4), "little")


def _pba(board: str) -> list[int]:
    """A board's number as words, two letters in each, the first one high; the length comes first."""
    text = board.encode().ljust(len(board) + 1 & ~1, b"\0")
    words = [text[n] << 8 | text[n + 1] for n in range(0, len(text), 2)]
    return [len(words) + 1, *words]


def _pieces(at: int, size: int) -> list[tuple[int, int, int]]:
    """Sector, offset in it and bytes there, of each sector that a stretch touches."""
    if at < 0 or size < 0 or at + size > SIZE:
        raise IndexError(f"{size} bytes at {at:#x} leave the flash of {SIZE:#x} bytes")
    pieces, end = [], at + size
    while at < end:
        n = min(end, (at // SECTOR + 1) * SECTOR) - at
        pieces.append((at // SECTOR, at % SECTOR, n))
        at += n
    return pieces
