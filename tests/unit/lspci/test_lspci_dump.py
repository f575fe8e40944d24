"""`siov lspci -F` against lspci -F, on configuration spaces nobody would build."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.host.lspci import Names, Options, Selector, parse, render
from siov.spec.pcie import HeaderLayout

from .oracle import Lspci, once, same, write_dump
from .spaces import Recipe, detailed, recipes


@once
@given(made=recipes)
@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ("-vvv", {"detail": 3}),
        ("-vv", {"detail": 2}),
        ("-vnnxxxx", {"detail": 1, "hexadecimal": 4}),
        ("-Dnxxx", {"domains": True, "hexadecimal": 3}),
        ("-kx", {"kernel": True, "hexadecimal": 1}),
        ("-mm", {"machine": 2}),
        ("-vmnn", {"machine": 1, "detail": 1}),
    ],
)
def test_a_dump_is_listed_as_lspci_lists_it(
    lspci: Lspci, tmp_path: Path, flags: str, options: dict[str, int], made: list[Recipe]
) -> None:
    views = [recipe.view(detailed) for recipe in made]
    dump = write_dump(tmp_path / "dump", views)
    read_back = parse(dump.read_text(), "dump")
    assert [view.config for view in read_back] == [view.config for view in views]
    ours = render(read_back, Options(Names(lspci.names, flags.count("n")), **options))  # type: ignore[arg-type]
    same(ours, lspci.of_dump(dump, flags))


@once
@given(made=recipes)
def test_every_capability_is_named_as_lspci_names_it(
    lspci: Lspci, tmp_path: Path, made: list[Recipe]
) -> None:
    views = [recipe.view(lambda config: config[0x0E] & 0x7F != HeaderLayout.CARDBUS) for recipe in made]
    dump = write_dump(tmp_path / "dump", views)
    same(render(views, Options(Names(lspci.names), detail=1)), lspci.of_dump(dump, "-v"))


SELECTORS = [
    ("-s", "0:"),
    ("-s", "1f.7"),
    ("-s", ".1"),
    ("-s", "1::"),
    ("-s", "0:*:0x1f.*"),
    ("-s", ""),
    ("-d", "8086:"),
    ("-d", ":1889"),
    ("-d", "::0200"),
    ("-d", "::01xx"),
    ("-d", "0x8086:*:xx00:0"),
]


@once
@given(made=recipes, chosen=st.sampled_from(SELECTORS))
def test_a_selector_selects_what_lspci_selects(
    lspci: Lspci, tmp_path: Path, made: list[Recipe], chosen: tuple[str, str]
) -> None:
    views = [recipe.view(detailed) for recipe in made]
    dump = write_dump(tmp_path / "dump", views)
    option, text = chosen
    selector = Selector.of(text, None) if option == "-s" else Selector.of(None, text)
    ours = render(views, Options(Names(lspci.names), selector=selector))
    same(ours, lspci.of_dump(dump, option, text))
