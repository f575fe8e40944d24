"""Every key of a scenario out of its range, and captures that are none: one sentence, status 2, no start."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, wrpcap

from siov.cli.main import main
from siov.errors import ScenarioError
from siov.scenario import Scenario, parse
from siov.scenario_model import parse_duration, parse_place, parse_size
from siov.scenario_nic import parse_mac
from siov.scenario_set import apply

# A scenario in which every table is, so that every key has a place to be wrong at.
WHOLE = """
name = "whole"

[machine]
memory = "256M"

[ice]

[iommu]
context = {}
pasid = {}
iotlb = {}
first = {}
second = {}

[[root_port]]
name = "rp0"
at = "01.0"
slot = 1

[[switch]]
name = "sw0"
behind = "rp0"
ports = 2

[[function]]
name = "memory"
behind = "sw0.0"
bars = [{ index = 0, size = "64K" }]
msix = { vectors = 4 }
sriov = { vfs = 1, bars = [{ index = 0, size = "4K" }] }

[[function]]
name = "nic0"
behind = "sw0.1"
model = "e810"
nic = { mac = "02:00:00:00:00:01", port = { kind = "bridge", to = "b" }, atc = {} }

[[space]]
function = "memory"

[[vm]]
name = "vm0"

[[guest]]
name = "vm1"
vdevs = [{ parent = "nic0" }]

[[guest]]
name = "vm2"
vdevs = [{ parent = "nic0" }]

[[traffic]]
src = "vm1"
dst = "vm2"

[[event]]
at = 1
kind = "reset"
device = "vm1"
"""


def plain(info: Any) -> tuple[Any, list[Any]]:
    """A key's type without what may stand in its place, and all that limits it."""
    annotation, limits = info.annotation, list(info.metadata)
    while inner := [arg for arg in get_args(annotation) if arg is not NoneType]:
        if get_origin(annotation) is Literal:
            break
        annotation, *more = inner
        for one in more:
            limits += getattr(one, "metadata", [one])
    return annotation, limits


def inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := inside(arg)) is not None), None)


def is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and get_args(annotation)[1:] == (Ellipsis,)


def wrong(annotation: Any, limits: list[Any]) -> Iterator[str]:
    """Values in TOML that are out of a key's range."""
    readers = [getattr(limit, "func", None) for limit in limits]
    for limit in limits:
        for bound, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0), ("multiple_of", 1)):
            if (value := getattr(limit, bound, None)) is not None:
                yield str(value + step)
        if getattr(limit, "pattern", None) is not None:
            yield '"not this!"'
            yield '""'
    if annotation is int or annotation is float or parse_duration in readers:
        yield from ('"many"', "nan", "[]", "{}")
    if annotation is bool:
        yield from ('"perhaps"', "2")
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        yield '"nothing"'
    if parse_size in readers:
        yield from ('"64 apples"', '"-1K"')
    if parse_place in readers:
        yield from ('"20.0"', '"00.8"', '"first"')
    if parse_mac in readers:
        yield from ('"01:00:00:00:00:01"', '"00:00:00:00:00:00"', '"02:00"')


def cases(
    model: type[BaseModel] = Scenario, data: Any = None, path: str = "", shown: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Each key that the whole scenario leads to, how a sentence names it, and a value that it can't have."""
    data = tomllib.loads(WHOLE) if data is None else data
    for key, info in model.model_fields.items():
        at, name = f"{path}{key}", f"{shown}{key}"
        within = inside(info.annotation)
        if within is None:
            annotation, limits = plain(info)
            for value in wrong(annotation, limits):
                yield at, name, f"[{value}]" if is_list(info.annotation) else value
            continue
        yield at, name, "7"
        if is_list(info.annotation):
            for n, row in enumerate(data.get(key, ())[: 2 if key == "function" else 1]):
                yield from cases(within, row, f"{at}.{n}.", f"{name}[{n}].")
        elif isinstance(data.get(key), dict):
            yield from cases(within, data[key], f"{at}.", f"{name}.")


ALL = list(cases())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("scenario") / "whole.toml"
    path.write_text(WHOLE)
    return path


def test_the_whole_scenario_is_one_and_has_every_table():
    parse(tomllib.loads(WHOLE), "whole")
    reached = {path.split(".")[0] for path, _, _ in ALL}
    assert reached == set(Scenario.model_fields) - {"name"}, "of which any text will do"
    assert len(ALL) > 200


@pytest.mark.parametrize(("path", "name", "value"), ALL, ids=[f"{path}={value}" for path, _, value in ALL])
def test_a_key_out_of_its_range_is_refused_by_name_in_one_sentence(path, name, value):
    with pytest.raises(ScenarioError) as refused:
        parse(apply(tomllib.loads(WHOLE), [f"{path}={value}"]), "whole.toml")
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    assert f" {name}" in sentence or f" {name.rpartition('.')[0]}:" in sentence


@pytest.mark.parametrize(("path", "name", "value"), ALL[::40], ids=lambda part: str(part))
def test_the_command_line_tells_it_with_status_2_before_anything_is_begun(whole, capsys, path, name, value):
    assert main(["run", str(whole), "--set", f"{path}={value}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"siov: {whole} with --set: ")
    assert err.count("\n") == 1


# Captures that are to be sent or received.


def packets(count: int = 5) -> list[Any]:
    return [Ether() / IP() / UDP() / bytes([n]) * (80 + n) for n in range(count)]


def truncated(path: Path) -> str:
    wrpcap(str(path), packets())
    path.write_bytes(path.read_bytes()[:-7])
    return "the file ends within a block or record"


def truncated_pcapng(path: Path) -> str:
    with PcapNgWriter(str(path)) as writer:
        for one in packets():
            writer.write(one)
    path.write_bytes(path.read_bytes()[:-7])
    return "the file ends within a block or record"


def of_wifi(path: Path) -> str:
    wrpcap(str(path), packets(), linktype=105)
    return "link type 105 is not Ethernet, which is 1"


def a_text(path: Path) -> str:
    path.write_text("No. Time Source Destination\n" * 10)
    return "this is neither a pcapng nor a pcap file"


def a_folder(path: Path) -> str:
    path.mkdir()
    return "only a regular file can be a capture"


def not_there(path: Path) -> str:
    return "No such file or directory"


DAMAGED = [truncated, truncated_pcapng, of_wifi, a_text, a_folder, not_there]


@pytest.mark.parametrize("make", DAMAGED)
@pytest.mark.parametrize("use", ["replayed", "received at a port"])
def test_a_capture_that_is_none_is_told_before_anything_is_started(whole, tmp_path, capsys, make, use):
    path = tmp_path / "frames.pcap"
    sentence = make(path)
    if use == "replayed":
        setting, who = f'traffic=[{{kind="replay",src="vm1",dst="vm2",file="{path}"}}]', "the replay from vm1"
    else:
        setting, who = f'nic0.nic.port={{kind="pcap",read="{path}"}}', "the port of nic0, pcap: "
    assert main(["run", str(whole), "--set", setting]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"siov: {who}")
    assert str(path) in err
    assert sentence in err


def test_a_capture_without_a_frame_that_can_be_sent_is_no_replay(whole, tmp_path, capsys):
    path = tmp_path / "none.pcap"
    wrpcap(str(path), [b"short"], linktype=1)
    setting = f'traffic=[{{kind="replay",src="vm1",dst="vm2",file="{path}"}}]'
    assert main(["run", str(whole), "--set", setting]) == 2
    assert "has no frames that can be sent (60 to 9,728 bytes, captured whole)" in capsys.readouterr().err
