"""What the listing promises by itself; that it is lspci's is told by the tests beside this one."""

import gzip
from pathlib import Path

import pytest

from siov.cli.main import main
from siov.host.lspci import (
    Address,
    DumpError,
    Names,
    NamesError,
    Options,
    PciFunctionView,
    Resource,
    ResourceFlag,
    Selector,
    SelectorError,
    find,
    load,
    parse,
    render,
)
from siov.spec.pcie import MemoryBar, Type0

from .oracle import PCI_IDS

VF = Address(0, 0x18, 1, 0)


def function(address: Address = VF, **registers: int) -> PciFunctionView:
    """A network function 8086:1889 with some registers of its header set."""
    config = bytearray(256)
    values = {"VENDOR_ID": 0x8086, "DEVICE_ID": 0x1889, "CLASS_CODE": 0x02_00_00} | registers
    for name, value in values.items():
        span = Type0.spans[name]
        config[span.at : span.at + span.size] = value.to_bytes(span.size, "little")
    return PciFunctionView(address, bytes(config))


def test_without_a_database_numbers_stand_for_names() -> None:
    assert render([function()], Options(Names())) == "18:01.0 Class 0200: Device 8086:1889\n"
    assert render([function()], Options(Names(numeric=2))) == "18:01.0 Class [0200]: Device [8086:1889]\n"


def test_names_come_from_the_database_and_numbers_beside_them_on_demand(tmp_path: Path) -> None:
    (tmp_path / "pci.ids").write_text(PCI_IDS)
    names = load(tmp_path / "pci.ids")
    what = "Ethernet controller: Intel Corporation Ethernet Adaptive Virtual Function"
    assert render([function()], Options(Names(names))) == f"18:01.0 {what}\n"
    both = "Ethernet controller [0200]: Intel Corporation Ethernet Adaptive Virtual Function [8086:1889]"
    assert render([function()], Options(Names(names, 2))) == f"18:01.0 {both}\n"
    assert render([function()], Options(Names(names, 1))) == "18:01.0 0200: 8086:1889\n"


def test_an_unknown_device_of_a_known_vendor_keeps_its_number(tmp_path: Path) -> None:
    (tmp_path / "pci.ids.gz").write_bytes(gzip.compress(PCI_IDS.encode()))
    listing = render([function(DEVICE_ID=0xDD5)], Options(Names(load(tmp_path / "pci.ids.gz"))))
    assert listing == "18:01.0 Ethernet controller: Intel Corporation Device 0dd5\n"


def test_a_database_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIOV_PCI_IDS", str(tmp_path / "missing"))
    with pytest.raises(NamesError, match=r"missing: No such file"):
        load(find())
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    with pytest.raises(NamesError, match=r"broken\.gz"):
        load(tmp_path / "broken.gz")


def test_lines_that_are_no_entries_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pci.ids").write_text(
        "# note\n\nzzzz  Nobody\n8086  Intel\n\t\t\tdeep\nX 01\n\t0001  Other\n"
    )
    assert load(tmp_path / "pci.ids") == {("vendor", (0x8086,)): "Intel"}


def test_domains_are_written_as_soon_as_one_is_not_0() -> None:
    far = function(Address(0x10000, 0, 0, 0))
    assert render([far, function()], Options(Names(numeric=1))) == (
        "0000:18:01.0 0200: 8086:1889\n10000:00:00.0 0200: 8086:1889\n"
    )


def test_the_kernel_s_view_gives_bars_their_sizes() -> None:
    view = function(BAR=MemoryBar.of(TYPE=2, PREFETCH=1).raw, COMMAND=2)
    flags = ResourceFlag.MEM | ResourceFlag.MEM_64 | ResourceFlag.PREFETCH | 0xC
    known = [Resource(0x38_0000_0000, 0x1_0000, flags), *[Resource()] * 6]
    listing = render([PciFunctionView(VF, view.config, resources=known)], Options(Names(), detail=2))
    assert "\tRegion 0: Memory at 3800000000 (64-bit, prefetchable) [size=64K]\n" in listing
    assert "Region 1" not in listing
    assert "[size=" not in render([view], Options(Names(), detail=2))


def test_a_function_that_fell_off_the_bus_is_listed_with_what_the_kernel_knows() -> None:
    known = [Resource(0xC000_0000, 0x4000, ResourceFlag.MEM), *[Resource()] * 6]
    gone = PciFunctionView(VF, b"\xff" * 4096, resources=known, irq=0, driver="ice")
    assert render([gone], Options(Names(), detail=2)) == (
        "18:01.0 Class ffff: Device ffff:ffff (rev ff) (prog-if ff)\n"
        "\t!!! Unknown header type 7f\n"
        "\tRegion 0: Memory at c0000000 (32-bit, non-prefetchable) [size=16K]\n"
        "\tKernel driver in use: ice\n"
        "\n"
    )


def test_a_bridge_that_leads_to_itself_ends_the_tree() -> None:
    config = bytearray(64)
    config[0x0B], config[0x0E] = 6, 1  # a bridge, of bus 0 to bus 0
    looped = PciFunctionView(Address(0, 0, 1, 0), bytes(config))
    assert render([looped], Options(Names(), tree=True)) == "-\n"


def test_modules_are_listed_with_the_driver() -> None:
    view = PciFunctionView(VF, function().config, driver="iavf", modules=["iavf", "vfio_pci"])
    listing = render([view], Options(Names(numeric=1), kernel=True))
    assert listing.splitlines()[1:] == ["\tKernel driver in use: iavf", "\tKernel modules: iavf, vfio_pci"]


@pytest.mark.parametrize(
    ("ids", "selected"),
    [("::02xx", True), ("::xx80", False), ("8086:*", True), (":1890", False), ("::0200:1", False)],
)
def test_a_selector_by_ids_takes_any_digit_for_an_x(ids: str, selected: bool) -> None:
    assert Selector.of(None, ids).matches(function()) is selected


@pytest.mark.parametrize(
    ("slot", "ids", "told"),
    [
        ("0:0:0:0", None, "too many fields"),
        ("0.0.0", None, "too many fields"),
        ("100:", None, "bus 100 is over ff"),
        ("20.0", None, "device 20 is over 1f"),
        (".8", None, "function 8 is over 7"),
        ("zz:", None, "bus 'zz' is not hexadecimal"),
        ("-1:", None, "bus '-1' is not hexadecimal"),
        ("1_0:", None, "bus '1_0' is not hexadecimal"),
        (None, "8086", "1 fields"),
        (None, ":::::", "6 fields"),
        (None, "18086:", "vendor 18086 is over ffff"),
        (None, "::2xxxx", "class 2xxxx is over ffff"),
    ],
)
def test_a_selector_that_cannot_be_read_is_told(slot: str | None, ids: str | None, told: str) -> None:
    with pytest.raises(SelectorError, match=told):
        Selector.of(slot, ids)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("00:00.0 x\n00: 0 1\n", "'0 1' is not two hexadecimal digits"),
        ("00:00.0 x\n00: 00 0g\n", "'0g' is not two hexadecimal digits"),
        ("00:00.0 x\nff8: " + "00 " * 16 + "\n", "4096 bytes of configuration space at most"),
    ],
)
def test_a_broken_dump_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(DumpError, match=f"dump, line 2: .*{told}"):
        parse(text, "dump")


def test_a_dump_without_functions_is_an_empty_listing() -> None:
    assert parse("no dump\n10: 00 11\n", "dump") == []


def test_the_command_reads_a_dump_and_writes_the_same_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = render([function()], Options(Names(), hexadecimal=3))
    (tmp_path / "dump").write_text(dump)
    (tmp_path / "pci.ids").write_text("")
    assert main(["lspci", "-F", str(tmp_path / "dump"), "-i", str(tmp_path / "pci.ids"), "-xxx"]) == 0
    assert capsys.readouterr().out == dump


def test_the_command_tells_bad_input_in_one_line_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dump").write_text("")
    for words in (["-s", "x"], ["-F", str(tmp_path / "missing")], ["-i", str(tmp_path / "missing")]):
        assert main(["lspci", "-F", str(tmp_path / "dump"), *words]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("siov: ")
        assert told.err.count("\n") == 1
