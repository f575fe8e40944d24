"""Giving out addresses: bridge windows sized bottom-up, then placed top-down (drivers/pci/setup-bus.c)."""

from collections.abc import Iterable, Sequence

from siov.host.pci.access import HostWindow
from siov.host.pci.dev import PciDev
from siov.host.pci.resource import Resource, Window, align_up, pack
from siov.spec.pcie import Type0, Type1
from siov.spec.pcie.header import RomBar

MIB = 1 << 20
MIN_ALIGN = 0x1000  # no two functions share a page, so that each can be given away whole


def assign_unassigned_resources(root: Sequence[PciDev], windows: Sequence[HostWindow]) -> list[str]:
    """Give every resource below a host bridge its address; a sentence for each that does not fit.

    When a window of the host is too small, the largest resource in it gives way, optional ones first, and
    the rest is tried again. A function that lacks a BAR can't be enabled.
    """
    given_up: list[tuple[PciDev, Resource]] = []
    wide = any(window.wide for window in windows)
    while True:
        skip = {resource for _, resource in given_up}
        needs = _needs(root, wide, skip)
        misfit = _place(needs, windows)
        if misfit is None:
            break
        given_up.append(_largest(root, misfit))
    _write(root, windows)
    return [_sentence(dev, resource, windows) for dev, resource in given_up]


def _needs(devices: Iterable[PciDev], wide: bool, skip: set[Resource]) -> list[Resource]:
    """What the functions on a bus need, with their bridges' windows sized for what is behind them."""
    needs: list[Resource] = []
    for dev in devices:
        for resource in dev.resources:
            resource.start = None
            resource.align = max(resource.align, MIN_ALIGN)
            if resource not in skip:
                needs.append(resource)
        if dev.is_bridge:
            dev.windows = list(_windows(_needs(dev.below, wide, skip), wide))
            needs += dev.windows
    return needs


def _windows(inside: list[Resource], wide: bool) -> Iterable[Window]:
    high = [resource for resource in inside if wide and resource.wide and resource.prefetchable]
    low = [resource for resource in inside if resource not in high]
    for name, register, content in (
        ("memory", Type1.MEMORY_BASE.at, low),
        ("prefetchable", Type1.PREF_BASE.at, high),
    ):
        if content:
            _, room = pack(content)
            align = max(MIB, *(resource.align for resource in content))
            above = name == "prefetchable"
            yield Window(name, register, align_up(room, MIB), align, above, above, inside=content)


def _place(needs: list[Resource], windows: Sequence[HostWindow]) -> Resource | None:
    """Place what bus 0 needs in the host's windows; the first that does not fit, or None."""
    free = {window: window.base for window in windows}
    for resource in sorted(needs, key=lambda r: -r.align):
        for window in _candidates(resource, windows):
            start = align_up(free[window] - window.offset, resource.align) + window.offset
            if start + resource.size - 1 <= window.end:
                free[window] = start + resource.size
                _settle(resource, start)
                break
        else:
            return resource
    return None


def _candidates(resource: Resource, windows: Sequence[HostWindow]) -> list[HostWindow]:
    """The windows that a resource of bus 0 can lie in, the best first: high addresses for wide registers."""
    return sorted((w for w in windows if resource.wide or not w.wide), key=lambda w: not w.wide)


def _settle(resource: Resource, start: int) -> None:
    resource.start = start
    if isinstance(resource, Window):
        for inner, offset in pack(resource.inside)[0]:
            _settle(inner, start + offset)


def _largest(root: Sequence[PciDev], misfit: Resource) -> tuple[PciDev, Resource]:
    leaves = misfit.leaves() if isinstance(misfit, Window) else [misfit]
    victim = max(leaves, key=lambda resource: (resource.optional, resource.size))
    return next((dev, victim) for dev in _all(root) if victim in dev.resources)


def _all(devices: Iterable[PciDev]) -> Iterable[PciDev]:
    for dev in devices:
        yield dev
        yield from _all(dev.below)


def _write(root: Sequence[PciDev], windows: Sequence[HostWindow]) -> None:
    """Put the addresses into the registers, and open the bridges (pci_enable_bridges)."""
    for dev in _all(root):
        for resource in dev.resources:
            if resource.start is not None:
                _write_base(dev, resource, resource.start - _offset(resource.start, windows))
        if dev.is_bridge:
            _write_windows(dev, windows)
            command = dev.read_config(Type0.COMMAND)
            dev.write_config(command.replace(MSE=1, BME=1))


def _write_base(dev: PciDev, resource: Resource, address: int) -> None:
    low = address & 0xFFFF_FFFF
    if resource.name == "ROM":
        low &= RomBar.BASE.mask  # placed, not enabled: a ROM may share its decoder with BARs (PCIe 7.5.1.2.4)
    dev.access.write(dev.rid, resource.register, 4, low)
    if resource.wide:
        dev.access.write(dev.rid, resource.register + 4, 4, address >> 32)


def _write_windows(dev: PciDev, windows: Sequence[HostWindow]) -> None:
    """Program a bridge's windows; one that holds nothing is closed by a limit below its base."""
    spans = {}
    for window in dev.windows:
        if window.start is not None and window.end is not None:
            offset = _offset(window.start, windows)
            spans[window.name] = window.start - offset, window.end - offset
    base, limit = spans.get("memory", (0xFFF0_0000, 0))
    dev.write_config(Type1.MEMORY_BASE.of(BASE=base >> 20))
    dev.write_config(Type1.MEMORY_LIMIT.of(LIMIT=limit >> 20))
    base, limit = spans.get("prefetchable", (0xFFF0_0000, 0))
    dev.write_config(Type1.PREF_BASE.of(BASE=base >> 20 & 0xFFF))
    dev.write_config(Type1.PREF_LIMIT.of(LIMIT=limit >> 20 & 0xFFF))
    dev.write_config(Type1.PREF_BASE_HIGH.of(BASE=base >> 32))
    dev.write_config(Type1.PREF_LIMIT_HIGH.of(LIMIT=limit >> 32))


def _offset(address: int, windows: Sequence[HostWindow]) -> int:
    return next((w.offset for w in windows if w.base <= address <= w.end), 0)


def _sentence(dev: PciDev, resource: Resource, windows: Sequence[HostWindow]) -> str:
    rooms = ", ".join(f"{w.base:#x} to {w.end:#x}" for w in windows if resource.wide or not w.wide)
    effect = "" if resource.optional else "; the device stays disabled"
    return f"{resource.name} of {dev.name}: {resource.size:#x} bytes do not fit into {rooms}{effect}"
