"""`siov lspci -t` against lspci -t."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.host.lspci import Address, Names, Options, PciFunctionView, Selector, render
from siov.spec.pcie import HeaderLayout

from .oracle import Lspci, once, same, write_dump
from .test_lspci_sysfs import write_sysfs


def header(layout: int, class_id: int, *buses: int) -> bytes:
    config = bytearray(64)
    config[0:4], config[0x0A:0x0C], config[0x0E] = b"\x86\x80\x89\x18", struct.pack("<H", class_id), layout
    config[0x18 : 0x18 + len(buses)] = bytes(buses)
    return bytes(config)


@st.composite
def topologies(draw: st.DrawFn) -> list[PciFunctionView]:
    """Bridges and functions below bridges, with bus numbers given out depth first."""
    views: list[PciFunctionView] = []
    last_bus = 0

    def populate(domain: int, bus: int, parent: Address | None, depth: int) -> None:
        nonlocal last_bus
        device = st.tuples(st.integers(0, 31), st.integers(0, 7))
        for number, function in sorted(draw(st.sets(device, min_size=depth == 0, max_size=4))):
            address = Address(domain, bus, number, function)
            if depth < 5 and last_bus < 250 and draw(st.booleans()):
                last_bus = first = last_bus + 1
                populate(domain, first, address, depth + 1)
                config = header(HeaderLayout.TYPE1, 0x0604, bus, first, last_bus)
            else:
                config = header(HeaderLayout.TYPE0, 0x0200)
            views.append(PciFunctionView(address, config, parent=parent))

    for domain in draw(st.sets(st.integers(0, 2), min_size=1, max_size=2)):
        last_bus = 0
        populate(domain, 0, None, 0)
    return sorted(views, key=lambda view: view.address)


@once
@given(views=topologies(), choice=st.integers(0, 3))
def test_a_tree_is_drawn_as_lspci_draws_it(
    lspci: Lspci, tmp_path_factory: pytest.TempPathFactory, views: list[PciFunctionView], choice: int
) -> None:
    one = views[choice * 7 % len(views)].address
    flags, detail, selector = [
        (["-t"], 0, None),
        (["-tv"], 1, None),
        (["-t", "-s", str(one)], 0, Selector.of(str(one), None)),
        (["-tnnv", "-s", f".{one.function}"], 1, Selector.of(f".{one.function}", None)),
    ][choice]
    names = Names(lspci.names, 2 if "-tnnv" in flags else 0)
    ours = render(views, Options(names, detail=detail, tree=True, selector=selector))
    root = tmp_path_factory.mktemp("tree")
    same(ours, lspci.of_sysfs(write_sysfs(root, views), *flags))
    without_parents = [PciFunctionView(view.address, view.config) for view in views]
    from_dump = render(without_parents, Options(names, detail=detail, tree=True, selector=selector))
    same(from_dump, lspci.of_dump(write_dump(root / "dump", views), *flags))
