"""The Rust side of siov: what is done per access or per packet."""

from os import PathLike
from typing import Any

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

class TestFunction:
    """The test function of `siov.spec.testfn`, with a configuration space that the caller composed.

    `ValueError` when the configuration space lacks COMMAND, Express.DEVCTL or Msix.CONTROL.
    """

    def __init__(self, config: RegFile) -> None: ...
    def bar_read(self, offset: int, size: int) -> bytes:
        """`size` bytes from an offset of BAR 0; zeros past its end."""
    def bar_write(self, offset: int, data: bytes) -> None:
        """Bytes to an offset of BAR 0, with their side effects."""
    def take_raised(self) -> int:
        """The vectors raised since the last call while no client was attached, one bit each."""
    def reset(self) -> None:
        """BAR 0 as after power-on; no DMA of before is under way afterwards."""

class Endpoint:
    """A device on a UNIX socket that speaks vfio-user, for one client at a time.

    The socket is made at once. `ValueError` when its path is too long or taken, `OSError` when the
    system refuses it.
    """

    def __init__(self, path: str | PathLike[str], device: TestFunction) -> None: ...
    def run(self) -> None:
        """Serve clients on this thread until `stop`, with the interpreter let go; the socket is gone then."""
    def stop(self) -> None:
        """Disconnect the client and have `run` end, for good; from any thread."""
    def inspect(self) -> dict[str, Any]:
        """Path, client, DMA maps, vectors and counters."""

def bench_endpoint(
    path: str | PathLike[str], rounds: int, exchanges: int, one_cpu: bool
) -> tuple[list[int], list[int], list[int]]:
    """Nanoseconds of 4-byte register reads, of posted writes, and of raw exchanges of the read's sizes.

    Each kind `exchanges` times in each of `rounds` rounds, on an endpoint at `path` and a client of its own;
    with `one_cpu` all threads share a processor.
    """
