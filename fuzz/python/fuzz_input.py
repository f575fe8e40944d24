"""The bytes of a fuzzer, as the Python targets read them."""


class Input:
    """A fuzzer's bytes, taken from the front; past the end they are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, size: int) -> bytes:
        """The next bytes."""
        part = self.data[self.at : self.at + size]
        self.at += size
        return part.ljust(size, b"\0")

    def number(self, size: int) -> int:
        """The next bytes as a number."""
        return int.from_bytes(self.take(size), "little")
