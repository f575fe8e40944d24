"""One capability of a function, as the decoders see it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from siov.host.lspci.ids import Names
from siov.host.lspci.view import PciFunctionView
from siov.spec.word import RegisterBlock, Word

W = TypeVar("W", bound=Word)


@dataclass(slots=True, frozen=True)
class Capability:
    """A capability at byte `at` of a function's configuration space.

    `detail` is the number of -v; `port` the Device/Port Type, where an Express capability came before.
    """

    view: PciFunctionView
    at: int
    detail: int
    names: Names
    port: int | None = None

    def covers(self, what: type[Word] | type[RegisterBlock]) -> bool:
        """Whether the configuration bytes reach to the end of a block, or of a word of one, placed here."""
        end = what.at + what.width // 8 if issubclass(what, Word) else what.size
        return self.view.covers(self.at + end)

    def read(self, what: type[W], at: int | None = None) -> W:
        """The word at its offset in its block, or at another one."""
        return self.view.read(what, self.at + (what.at if at is None else at))

    def shows(self, what: type[Word] | type[RegisterBlock]) -> bool:
        """Whether details are asked for, and there as far as the end of `what`."""
        return self.detail > 1 and self.covers(what)


# Yields the text behind "Capabilities: [40] " and the lines below it.
Decoder = Callable[[Capability], Iterator[str]]
