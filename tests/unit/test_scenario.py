"""What is wrong with a scenario is said in one sentence that names the key, the value and what is allowed."""

import re
from pathlib import Path

import pytest

from siov.cli import main as cli
from siov.errors import ScenarioError
from siov.host.linux import LinuxError
from siov.platform import BUILT_IN, build
from siov.scenario import Scenario, load, parse, parse_place, parse_size

PORT = {"name": "rp", "at": "01.0"}


def function(**more: object) -> dict:
    return {"name": "f", "behind": "rp", **more}


def scenario(*functions: dict, **more: object) -> dict:
    return {"root_port": [PORT], "function": list(functions), **more}


def refusal(data: dict) -> str:
    """The sentence with which a scenario is refused, when it is read or when it is built."""
    with pytest.raises(ScenarioError) as error:
        build(parse(data, "my.toml"))
    sentence = str(error.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


BAR = {"index": 0, "size": "64K"}
MSIX = {"vectors": 4, "bar": 0, "table": 0x1000, "pba": 0x2000}

BAD = {
    "unknown key": (
        scenario(function(colour="red")),
        [
            "my.toml: function[0].colour is no known key; allowed here are name",
            "behind",
            "vendor",
            "bars",
            "sriov",
        ],
    ),
    "unknown key at the top": (
        {"functions": []},
        ["functions is no known key; allowed here are name, machine, root_port, switch, function"],
    ),
    "unknown key in machine": (
        {"machine": {"ram": 1}},
        ["machine.ram is no known key", "memory, cpus, mmio32, mmio64"],
    ),
    "unknown key in a BAR": (
        scenario(function(bars=[{**BAR, "siez": 1}])),
        ["function[0].bars[0].siez is no known key; allowed here are index, size, wide, prefetchable"],
    ),
    "unknown key in msix": (
        scenario(function(bars=[BAR], msix={**MSIX, "vector": 1})),
        ["function[0].msix.vector is no known key; allowed here are vectors, bar, table, pba"],
    ),
    "unknown key in a VF BAR": (
        scenario(function(sriov={"vfs": 1, "bars": [{**BAR, "x": 1}]})),
        ["function[0].sriov.bars[0].x is no known key"],
    ),
    "two functions at one address": (
        scenario(function(), function(name="g")),
        ["g and f are both at 00.0"],
    ),
    "two root ports at one address": (
        {"root_port": [PORT, {"name": "other", "at": "01.0"}]},
        ["other and rp are both at 01.0"],
    ),
    "a function where a switch is": (
        {
            "root_port": [PORT],
            "switch": [{"name": "s", "behind": "rp", "ports": 1}],
            "function": [function()],
        },
        ["f and s are both at 00.0"],
    ),
    "two parts of one name": (
        scenario(function(name="rp")),
        ["two parts are called rp: each needs its own name"],
    ),
    "a part with the name of a switch's port": (
        {
            "root_port": [PORT, {"name": "s.0", "at": "02.0"}],
            "switch": [{"name": "s", "behind": "rp", "ports": 1}],
        },
        ["two parts are called s.0"],
    ),
    "a BAR of 3 bytes": (
        scenario(function(bars=[{"index": 0, "size": 3}])),
        ["function[0].bars[0]: a BAR of 3 bytes: the size is a power of two, 16 or more"],
    ),
    "a BAR of 8 bytes": (scenario(function(bars=[{"index": 0, "size": 8}])), ["a BAR of 8 bytes"]),
    "a BAR of 24K": (scenario(function(bars=[{"index": 0, "size": "24K"}])), ["a BAR of 24576 bytes"]),
    "a BAR of less than nothing": (
        scenario(function(bars=[{"index": 0, "size": -16}])),
        ["a BAR of -16 bytes"],
    ),
    "BARs that share a register": (
        scenario(function(bars=[BAR, {"index": 1, "size": "4K", "wide": False}])),
        ["f: BARs 0 and 1 both need register 1"],
    ),
    "a 64-bit BAR in the last register": (
        scenario(function(bars=[{"index": 5, "size": "4K"}])),
        ["f: 64-bit BAR 5 leaves the header: its registers are 0 to 5"],
    ),
    "a BAR number that is not there": (
        scenario(function(bars=[{"index": 6, "size": "4K"}])),
        ["function[0].bars[0].index", "5", "6"],
    ),
    "a 32-bit BAR of 4G": (
        scenario(function(bars=[{"index": 0, "size": "4G", "wide": False}])),
        ["f: BAR 0 of 4294967296 bytes: a 32-bit BAR is 2 GiB at most"],
    ),
    "a BAR larger than the address space": (
        scenario(function(bars=[{"index": 0, "size": "16777216T"}])),
        ["f: BAR 0 of 18446744073709551616 bytes"],
    ),
    "VF BARs that share a register": (
        scenario(function(sriov={"vfs": 2, "bars": [BAR, {"index": 1, "size": "4K", "wide": False}]})),
        ["f: BARs 0 and 1 both need register 1"],
    ),
    "a VF BAR in the last register": (
        scenario(function(sriov={"vfs": 2, "bars": [{"index": 5, "size": "4K"}]})),
        ["f: 64-bit BAR 5 leaves the header"],
    ),
    "an MSI-X table outside of its BAR": (
        scenario(function(bars=[BAR], msix={**MSIX, "table": 0xFFF0})),
        [
            "function[0]: msix.table at 0xfff0 takes 0x40 bytes",
            "8-byte aligned",
            "inside BAR 0 of 0x10000 bytes",
        ],
    ),
    "MSI-X pending bits outside of their BAR": (
        scenario(function(bars=[BAR], msix={**MSIX, "pba": 0x10000})),
        ["msix.pba at 0x10000 takes 0x8 bytes"],
    ),
    "an MSI-X table before its BAR": (
        scenario(function(bars=[BAR], msix={**MSIX, "table": -64})),
        ["msix.table at -0x40 takes 0x40 bytes"],
    ),
    "an MSI-X table that is not aligned": (
        scenario(function(bars=[BAR], msix={**MSIX, "table": 0x1004})),
        ["msix.table at 0x1004"],
    ),
    "an MSI-X table over its pending bits": (
        scenario(function(bars=[BAR], msix={**MSIX, "pba": 0x1038})),
        ["msix.table and msix.pba overlap in BAR 0"],
    ),
    "MSI-X in a BAR that is not there": (
        scenario(function(bars=[BAR], msix={**MSIX, "bar": 2})),
        ["function[0]: msix.bar is 2, but the function's BARs are: 0"],
    ),
    "MSI-X without a BAR": (scenario(function(msix=MSIX)), ["the function's BARs are: none"]),
    "too many vectors": (
        scenario(function(bars=[BAR], msix={**MSIX, "vectors": 2049})),
        ["function[0].msix.vectors", "2048", "2049"],
    ),
    "an unknown port": (
        scenario(function(behind="rp9")),
        ["f: behind = 'rp9': there is no such port; ports are rp"],
    ),
    "a switch behind an unknown port": (
        {"switch": [{"name": "s", "behind": "x", "ports": 1}]},
        ["s: behind = 'x': there is no such port; ports are none"],
    ),
    "switches behind each other": (
        {"switch": [{"name": "a", "behind": "b.0", "ports": 1}, {"name": "b", "behind": "a.0", "ports": 1}]},
        ["a: behind = 'b.0': there is no such port"],
    ),
    "a device number on a link": (
        scenario(function(at="01.0")),
        ["f at 01.0: a link has device 0 only"],
    ),
    "a device without a function 0": (
        scenario(function(at="00.1")),
        ["f is at 00.1 behind rp, but nothing is at 00.0", "function 0"],
    ),
    "root ports without a function 0": (
        {"root_port": [{"name": "rp", "at": "1c.2"}]},
        ["rp is at 1c.2 on bus 0, but nothing is at 1c.0"],
    ),
    "ARI in some functions of a device": (
        scenario(function(ari=True), function(name="g", at="00.1")),
        ["ari differs among f, g"],
    ),
    "a place that is none": (
        {"root_port": [{"name": "rp", "at": "20.0"}]},
        ["root_port[0].at: '20.0' is no place", '"00.0" to "1f.7"'],
    ),
    "a place that is a number": (
        {"root_port": [{"name": "rp", "at": 1.0}]},
        ["root_port[0].at: 1.0 is no place"],
    ),
    "a size that is none": (
        {"machine": {"memory": "much"}},
        ["machine.memory: 'much' is no size: write bytes, or a number with K, M, G or T"],
    ),
    "more memory than there is room": ({"machine": {"memory": "65G"}}, ["machine.memory", "68719476736"]),
    "a missing name": ({"root_port": [{"at": "01.0"}]}, ["root_port[0].name: Field required"]),
    "a name with a blank": ({"root_port": [{"name": "r p", "at": "01.0"}]}, ["root_port[0].name", "'r p'"]),
    "a vendor past 16 bits": (scenario(function(vendor=0x10000)), ["function[0].vendor", "65535", "65536"]),
    "an expansion ROM of 3K": (
        scenario(function(rom="3K")),
        ["function[0]: an expansion ROM of 3072 bytes: a power of two from 2K to 16M is allowed"],
    ),
    "an expansion ROM of 1K": (scenario(function(rom=1024)), ["an expansion ROM of 1024 bytes"]),
    "an expansion ROM of 32M": (scenario(function(rom="32M")), ["an expansion ROM of 33554432 bytes"]),
    "a model that is none": (
        scenario(function(model="x")),
        ["function[0].model", "'memory'", "'test'", "'x'"],
    ),
    "BARs for the test function": (
        scenario(function(model="test", bars=[BAR])),
        ["function[0]: the test function is as it is: leave out bars"],
    ),
    "a switch without ports": (
        {"root_port": [PORT], "switch": [{"name": "s", "behind": "rp", "ports": 0}]},
        ["switch[0].ports", "1", "0"],
    ),
    "a PASID of 21 bits": (scenario(function(pasid=21)), ["function[0].pasid", "20", "21"]),
    "a list that is none": ({"function": 5}, ["function", "5"]),
    "a table that is none": ({"machine": "big"}, ["machine", "'big'"]),
    "a switch that is true": ({"machine": {"memory": True}}, ["machine.memory: True is no size"]),
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_in_one_sentence(what):
    data, parts = BAD[what]
    sentence = refusal(data)
    for part in parts:
        assert part in sentence, sentence


def test_of_several_errors_the_first_is_told():
    sentence = refusal({"machine": {"ram": 1}, "function": [{"colour": 1}]})
    assert sentence.startswith("my.toml: machine.ram is no known key")


# Files.


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name = ", "not TOML: Invalid value"),
        (b"name = 1\nname = 2\n", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"[[function]]\nname = 'f'\nbars = [{ index = 0, size = 3 }]\n", "a BAR of 3 bytes"),
    ],
)
def test_a_file_s_name_stands_in_front_of_what_is_wrong_in_it(tmp_path, content, sentence):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=rf"^{re.escape(str(path))}: .*{sentence}") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_and_a_directory_are_refused_with_the_reason(tmp_path):
    with pytest.raises(ScenarioError, match=r"none\.toml: can't be read: No such file or directory"):
        load(tmp_path / "none.toml")
    with pytest.raises(ScenarioError, match="can't be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("command", ["run", "lspci"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "[[root_port]]\nname='rp'\nat='01.0'\ncolour=1\n",
            "root_port[0].colour is no known key; allowed here are",
        ),
        ("[[function]]\nname='a'\n[[function]]\nname='b'\n", "b and a are both at 00.0"),
        ("[[function]]\nname='a'\nbars=[{index=0,size=3}]\n", "a BAR of 3 bytes"),
        ("[[function]]\nname='a'\nbars=[{index=0,size='4G',wide=false}]\n", "a 32-bit BAR is 2 GiB at most"),
        ("[[function]]\nname='a'\nbehind='x'\n", "there is no such port"),
        ("name =", "not TOML"),
        (None, "No such file or directory"),
    ],
)
def test_the_command_line_says_it_in_one_line_and_exits_with_2(tmp_path, capsys, command, content, sentence):
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_text(content)
    words = [command, str(path)]
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith((f"siov: {path}", "siov: "))
    assert sentence in err
    assert sorted(tmp_path.iterdir()) == ([path] if content is not None else [])


def test_with_debug_the_error_itself_is_raised(tmp_path):
    with pytest.raises(ScenarioError):
        cli.main(["--debug", "run", str(tmp_path / "none.toml")])


# Good scenarios.


def test_the_built_in_scenario_builds_and_enumerates_without_a_complaint():
    platform = build()
    assert platform.scenario == load(BUILT_IN)
    assert platform.enumerate().reports == []


def test_every_scenario_that_comes_along_builds_and_enumerates():
    found = sorted(Path(BUILT_IN).parent.glob("*.toml"))
    assert BUILT_IN in found
    for path in found:
        build(load(path)).enumerate()


def test_an_empty_scenario_is_a_machine_without_functions():
    platform = build(parse({}, "empty"))
    assert list(platform.enumerate().devices()) == []


def test_a_switch_may_stand_behind_one_that_comes_later_in_the_file():
    switches = [{"name": "low", "behind": "high.1", "ports": 1}, {"name": "high", "behind": "rp", "ports": 2}]
    platform = build(
        parse({"root_port": [PORT], "switch": switches, "function": [function(behind="low.0")]}, "x")
    )
    devices = list(platform.enumerate().devices())
    assert [dev.slot_name for dev in devices if not dev.is_bridge] == ["06:00.0"]


def test_what_a_function_says_of_itself_stands_in_its_registers():
    spec = function(
        vendor=0x1234, device=0x5678, subsystem_vendor=1, subsystem=2, class_code=0x010802, revision=9
    )
    platform = build(parse(scenario(spec), "x"))
    dump = platform.functions["f"].config.dump()
    assert dump[:4].hex() == "34127856"
    assert dump[8:12].hex() == "09020801"
    assert dump[0x2C:0x30].hex() == "01000200"


def test_a_scenario_can_not_be_changed_once_it_is_read():
    with pytest.raises(ValueError, match="frozen"):
        Scenario().name = "other"


def test_a_path_that_leads_nowhere_is_refused_with_what_there_is():
    with pytest.raises(ScenarioError, match="there is no 'sw' on the way to 'sw/pcie'; there is: hw, host"):
        build(parse({}, "x")).inspect("sw/pcie")


@pytest.mark.parametrize(
    ("text", "size"),
    [(5, 5), ("5", 5), ("1K", 1024), ("64K", 65536), ("2M", 2 << 20), ("3G", 3 << 30), ("1T", 1 << 40),
     ("4 KiB", 4096), ("4KB", 4096), (" 8K ", 8192), ("0", 0)],
)  # fmt: skip
def test_a_size_is_bytes_or_a_number_with_a_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "1.5K", "1k", "1P", "-1", "1 K K", None, True, 1.0, "0x10", []])
def test_a_size_that_is_none_is_refused_with_how_to_write_one(text):
    with pytest.raises(ValueError, match="is no size: write bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "place"), [("00.0", (0, 0)), ("1f.7", (31, 7)), ("1F.0", (31, 0)), ("8.1", (8, 1))]
)
def test_a_place_is_device_and_function_as_lspci_writes_them(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["20.0", "00.8", "00", "0.0.0", "x.0", "", 0, 1.0, None, "00.0 ", "000.0"])
def test_a_place_that_is_none_is_refused_with_how_to_write_one(text):
    with pytest.raises(ValueError, match="is no place: write device and function"):
        parse_place(text)


def test_the_errors_of_linux_are_the_caller_s_too():
    assert issubclass(LinuxError, Exception)
    assert LinuxError(28, "full").errno_name == "ENOSPC"
