"""The Rust side of siov: what is done per access or per packet."""

class RegFile:
    """Registers at byte offsets, with widths, partial accesses, masks and write-1-to-clear done.

    Bytes that belong to no register read as zero and can't be written. Each register is given as
    (name, offset, size in bytes 1 to 8, reset value, RW mask, RW1C mask, sticky mask). Raises `ValueError`
    when registers overlap or leave the `size` bytes.
    """

    def __init__(self, size: int, registers: list[tuple[str, int, int, int, int, int, int]]) -> None: ...
    @property
    def size(self) -> int:
        """Size in bytes."""
    @property
    def names(self) -> list[str]:
        """The registers, by offset."""
    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from offset `at`, as software reads them."""
    def write(self, at: int, data: bytes) -> list[tuple[str, int, int, int, int]]:
        """Write as software does; gives (name, element, value before, value now, what was written)."""
    def get(self, name: str, index: int = 0) -> int:
        """A register's value, as hardware sees it; `KeyError` if there is no such register."""
    def set(self, name: str, value: int, index: int = 0) -> None:
        """Set a register as hardware does: no mask holds it back. Bits past its width are dropped."""
    def reset(self, *, keep_sticky: bool = False) -> None:
        """Every register takes its reset value; a function-level reset keeps the sticky bits."""
