"""The bus tree: `lspci -t`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from siov.host.lspci.ids import Names
from siov.host.lspci.select import Selector
from siov.host.lspci.view import Address, PciFunctionView
from siov.spec.pcie.header import HeaderLayout, Type1

_BRIDGE_CLASS = 0x06
_LONGEST = 1023  # where lspci stops writing a line
_WITH_BUSES = {HeaderLayout.TYPE1, HeaderLayout.CARDBUS}


@dataclass(slots=True, eq=False)
class Bus:
    """A bus number and the functions on it."""

    domain: int
    number: int
    functions: list[PciFunctionView] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Bridge:
    """A bridge with the buses right below it; without a function it stands for a whole domain."""

    domain: int
    secondary: int
    subordinate: int
    function: PciFunctionView | None = None
    buses: list[Bus] = field(default_factory=list)

    def bus(self, number: int) -> Bus | None:
        """The bus of this number right below, if there is one."""
        return next((bus for bus in self.buses if bus.number == number), None)

    def add(self, number: int) -> Bus:
        """A new bus right below."""
        self.buses.append(Bus(self.domain, number))
        return self.buses[-1]


class Tree:
    """Functions, in the order of their addresses, hung up below their bridges."""

    def __init__(self, functions: Sequence[PciFunctionView]) -> None:
        domains = dict.fromkeys(view.address.domain for view in functions)
        self.roots = [Bridge(domain, 0, 0xFF) for domain in domains]
        self.bridges: dict[Address, Bridge] = {}
        for view in functions:
            if view.readable and view.base_class == _BRIDGE_CLASS and view.layout in _WITH_BUSES:
                first, last = view.read(Type1.SECONDARY_BUS).NUM, view.read(Type1.SUBORDINATE_BUS).NUM
                bridge = Bridge(view.address.domain, first, last, view)
                bridge.add(first)
                self.bridges.setdefault(view.address, bridge)
        for view in functions:
            self._home(view).functions.append(view)

    def _home(self, view: PciFunctionView) -> Bus:
        """The bus that the function is on: below its parent, else below the last bridge that leads there."""
        address = view.address
        if view.parent in self.bridges:
            return self.bridges[view.parent].buses[0]
        root = next(root for root in self.roots if root.domain == address.domain)
        if found := root.bus(address.bus):
            return found
        for bridge in reversed(self.bridges.values()):
            if bridge.domain == address.domain and bridge.secondary <= address.bus <= bridge.subordinate:
                return bridge.bus(address.bus) or bridge.add(address.bus)
        return root.add(address.bus)


class Drawing:
    """Draws a tree; with `detail`, names beside the functions; `selector` None draws all.

    A line is written piece by piece; once it is out, what its start said becomes blanks and bars, and the
    next line goes on from the place where it branches off.
    """

    def __init__(self, tree: Tree, names: Names, detail: int, selector: Selector | None) -> None:
        self._tree, self._names, self._detail, self._selector = tree, names, detail, selector
        self._line = ""

    def lines(self) -> Iterator[str]:
        """The drawing, line by line."""
        for root in self._tree.roots:
            self._line = ""
            yield from self._bridge(root, 0, self._selector)

    def _write(self, at: int, text: str) -> int:
        """Put the text at a place of the line; gives the place behind it."""
        space = _LONGEST - at
        if space <= 0:
            return at
        self._line = self._line[:at] + (text if len(text) < space else text[: space - 1])
        return at + min(len(text), space)

    def _out(self, at: int) -> str:
        """The line up to a place; its start is blanked for the next one."""
        line = self._line[:at]
        self._line = "".join("|" if character in "+|" else " " for character in line)
        return line + ("..." if at >= _LONGEST else "")

    def _bridge(self, bridge: Bridge, at: int, selector: Selector | None) -> Iterator[str]:
        at = self._write(at, "-")
        shown = [bus for bus in bridge.buses if self._bus_shown(bus, selector)]
        if not shown:
            yield self._out(at)
        for n, bus in enumerate(shown):
            text = ""
            if bridge.function is None or len(bridge.buses) > 1:
                text = f"[{bus.domain:04x}:{bus.number:02x}]-"
            yield from self._bus(bus, self._write(at, _branch(n, len(shown), "") + text), selector)

    def _bus(self, bus: Bus, at: int, selector: Selector | None) -> Iterator[str]:
        shown = [view for view in bus.functions if self._function_shown(view, selector)]
        if not shown:
            yield self._out(at)
        for n, view in enumerate(shown):
            below = None if selector and selector.matches(view) else selector
            yield from self._function(view, self._write(at, _branch(n, len(shown), "--")), below)

    def _function(self, view: PciFunctionView, at: int, selector: Selector | None) -> Iterator[str]:
        at = self._write(at, f"{view.address.device:02x}.{view.address.function:x}")
        bridge = self._tree.bridges.get(view.address)
        if bridge is None:
            if self._detail:
                at = self._write(at, f"  {self._names.vendor_and_device(view.vendor, view.device)}")
            yield self._out(at)
            return
        if bridge.secondary == 0:
            at = self._write(at, "-")
        elif bridge.secondary == bridge.subordinate:
            at = self._write(at, f"-[{bridge.secondary:02x}]-")
        else:
            at = self._write(at, f"-[{bridge.secondary:02x}-{bridge.subordinate:02x}]-")
        yield from self._bridge(bridge, at, selector)

    def _function_shown(self, view: PciFunctionView, selector: Selector | None) -> bool:
        """Whether the function, or one below it, is selected."""
        if selector is None or selector.matches(view):
            return True
        bridge = self._tree.bridges.get(view.address)
        return bridge is not None and any(self._bus_shown(bus, selector) for bus in bridge.buses)

    def _bus_shown(self, bus: Bus, selector: Selector | None) -> bool:
        return selector is None or any(self._function_shown(view, selector) for view in bus.functions)


def _branch(n: int, count: int, alone: str) -> str:
    """What leads to the nth of several siblings, or to the only one."""
    return alone if count == 1 else "\\-" if n + 1 == count else "+-"
