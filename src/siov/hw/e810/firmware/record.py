"""Bytes laid out as a block of the specification: each word is read and set by its class."""

from typing import TypeVar

from siov.hw.e810.firmware.command import AqError
from siov.spec.e810.adminq import AqRc
from siov.spec.word import RegisterBlock, Word

W = TypeVar("W", bound=Word)


class Record:
    """`block.size` bytes: `record[Block.WORD].FIELD` reads, `record[Block.WORD] = word` sets."""

    __slots__ = ("block", "data")

    def __init__(self, block: type[RegisterBlock], data: bytes | None = None) -> None:
        self.block = block
        self.data = bytearray(block.size) if data is None else bytearray(data)

    @classmethod
    def at(cls, block: type[RegisterBlock], buffer: bytes, offset: int = 0) -> "Record":
        """A block out of a buffer; EINVAL when the buffer ends before it."""
        if offset < 0 or offset + block.size > len(buffer):
            raise AqError(AqRc.EINVAL)
        return cls(block, buffer[offset : offset + block.size])

    def __getitem__(self, word: type[W]) -> W:
        return self.get(word)

    def __setitem__(self, word: type[W], value: W) -> None:
        self.put(word, value)

    def get(self, word: type[W], index: int = 0) -> W:
        """An element of a row of words."""
        size = word.width // 8
        start = word.at + index * size
        return word.from_bytes(bytes(self.data[start : start + size]))

    def put(self, word: type[W], value: W, index: int = 0) -> None:
        """Set an element of a row of words."""
        size = word.width // 8
        start = word.at + index * size
        self.data[start : start + size] = value.to_bytes()

    def update(self, word: type[Word], **fields: int) -> None:
        """Change some fields of a word."""
        self.put(word, self.get(word).replace(**fields))

    def __bytes__(self) -> bytes:
        return bytes(self.data)
