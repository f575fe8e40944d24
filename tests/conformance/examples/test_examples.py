"""Each example teaches what its header says: run as a user would, shorter, and judged by its JSON."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siov.cli.main import COMMANDS, build_parser, main
from siov.platform import build
from siov.scenario import load, parse
from siov.scenario_set import apply

FOLDER = Path(__file__).resolve().parents[3] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.toml"))

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path, capsys) -> Run:
    """Runs an example with keys set; what it counted. What it prints is under `printed`."""

    def once(name: str, *settings: str, **options: str) -> dict[str, Any]:
        words = [word for setting in settings for word in ("--set", setting)]
        words += [word for option, value in options.items() for word in (f"--{option}", value)]
        path = tmp_path / "out.json"
        assert main(["run", str(FOLDER / f"{name}.toml"), "--json", str(path), *words]) == 0
        return {**json.loads(path.read_text()), "printed": capsys.readouterr().out}

    return once


def ended(found: dict[str, Any], counter: str) -> int:
    """The sum of the counters whose path ends so."""
    return sum(value for path, value in found["changes"].items() if path.endswith(f"/{counter}"))


def checked(found: dict[str, Any], device: str) -> dict[str, int]:
    result: dict[str, int] = found["guests"][device]["checked"]
    return result


def in_order(found: dict[str, Any], *devices: str) -> list[int]:
    return [checked(found, device)["in_order"] for device in devices]


def header(path: Path) -> list[str]:
    """The lines of the comment that an example begins with."""
    lines = path.read_text().splitlines()
    return [line[1:].strip() for line in lines[: next(n for n, line in enumerate(lines) if line[:1] != "#")]]


def commands(path: Path) -> list[list[str]]:
    """The words of each command in the header."""
    return [shlex.split(line, comments=True) for line in header(path) if line.startswith("siov ")]


# What all of them have in common.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_header_says_how_to_run_it_what_to_look_at_and_what_to_expect(path):
    text = " ".join(header(path))
    assert re.search(r"Look at .* Expect ", text)
    assert any(words[:3] == ["siov", "run", f"examples/{path.name}"] for words in commands(path))
    assert load(path).name == path.stem


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_command_of_its_header_is_one_and_its_settings_lead_to_keys(path):
    for words in commands(path):
        args = build_parser(next(word for word in words if word in COMMANDS)).parse_args(words[1:])
        apply(tomllib.loads((FOLDER.parent / args.scenario).read_text()), args.set)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_server_can_be_built(path):
    build(load(path)).enumerate()


def test_the_docs_name_each_of_them():
    text = (FOLDER.parent / "docs/scenarios.md").read_text()
    assert set(re.findall(r"`examples/([\w-]+)\.toml` \|", text)) == {path.stem for path in EXAMPLES}


# What each of them teaches.


def test_first_packets_every_frame_arrives_and_the_adapter_counts_each_twice(run):
    found = run("first-packets", "traffic.0.count=300")
    assert in_order(found, "vm1.0", "vm2.0") == [300, 300]
    assert ended(found, "tx_frames") == ended(found, "rx_frames") == 600
    assert not any("dropped" in path for path in found["changes"])
    assert [device["link"] for device in found["devices"]] != []
    assert "every byte as sent, in order" in found["printed"]


@pytest.mark.parametrize(("mode", "at_the_port"), [("event=[]", 0), ("event.0.at=0", 200)])
def test_veb_vepa_frames_for_a_neighbour_are_at_the_port_in_vepa_only(run, mode, at_the_port):
    found = run("veb-vepa", mode, "traffic.0.count=200", "traffic.0.rate=1000")
    assert in_order(found, "vm2.0") == [200]
    sent, received = ended(found, "port0/counters/sent"), ended(found, "port0/counters/received")
    # The switch changes at the time of the first frames.
    assert 0 <= at_the_port - sent <= (50 if at_the_port else 0)
    assert sent == received


def test_veb_vepa_the_mode_changes_while_the_guests_talk_and_nothing_is_lost(run):
    found = run("veb-vepa", "event.0.at=0.1", "traffic.0.count=400", "traffic.0.rate=1000")
    assert in_order(found, "vm2.0") == [400]
    assert 0 < ended(found, "port0/counters/sent") < 400
    assert [event["outcome"] for event in found["events"]] == ["VEB before, VEPA now"]


def test_veb_vepa_a_bridge_that_does_not_reflect_keeps_guests_apart(run):
    found = run(
        "veb-vepa",
        "event.0.at=0",
        "nic0.nic.port.reflective_relay=false",
        "traffic.0.count=200",
        "traffic.0.rate=1000",
    )
    assert in_order(found, "vm2.0") < [50]
    assert ended(found, "counters/dropped_filtered") > 150
    assert "its station is on the port that it came from" in found["printed"]


@pytest.mark.parametrize(("vectors", "msix", "ims"), [("msix", 5, 0), ("ims", 0, 5)])
def test_msix_ims_guests_can_not_tell_where_their_interrupts_are_stored(run, vectors, msix, ims):
    found = run("msix-ims", f"ice.vectors={vectors}", "traffic.0.count=300")
    assert {(device["msix"], device["ims"]) for device in found["devices"]} == {(msix, ims)}
    assert in_order(found, "vm1.0", "vm2.0") == [300, 300]
    assert all(found["guests"][device]["rings"]["interrupts"] > 0 for device in ("vm1.0", "vm2.0"))


def test_msix_ims_without_room_a_device_is_refused_with_what_is_left(capsys):
    words = ["--set", "ice.vectors=ims", "--set", "nic0.nic.ims=8"]
    assert main(["run", str(FOLDER / "msix-ims.toml"), *words]) == 2
    assert "3 interrupt vectors are free" in capsys.readouterr().err


def test_ats_the_device_s_own_cache_takes_the_load_off_the_iotlb(run):
    count = "traffic.0.count=1000"
    on, off = run("ats", count), run("ats", count, "nic0.nic.atc=off")
    tiny = run("ats", count, "nic0.nic.atc.sets=1", "nic0.nic.atc.ways=2")
    assert in_order(on, "vm2.0") == in_order(off, "vm2.0") == in_order(tiny, "vm2.0") == [1000]
    assert ended(off, "iotlb_lookup") > 10 * ended(on, "iotlb_lookup")
    assert ended(off, "atc/lookups") == 0 < ended(on, "atc/hits")
    assert ended(tiny, "atc/requests") > ended(tiny, "atc/lookups") / 2


def hit_rate(found: dict[str, Any], *devices: str) -> float:
    counts = [found["translation"][device] for device in devices]
    return sum(one["iotlb_hit"] for one in counts) / sum(one["iotlb_lookup"] for one in counts)


def test_noisy_neighbour_the_quiet_pair_s_hits_drop_and_come_back_behind_a_wall(run):
    less = ("traffic.0.count=200", "traffic.1.count=20_000")
    quiet = ("quiet1.0", "quiet2.0")
    beside = hit_rate(run("noisy-neighbour", *less), *quiet)
    alone = hit_rate(run("noisy-neighbour", *less, "traffic.1.count=1"), *quiet)
    walled = hit_rate(run("noisy-neighbour", *less, "iommu.iotlb.partitions=4"), *quiet)
    assert beside < alone - 0.08
    assert abs(walled - alone) < 0.02
    assert alone > 0.9


def explained(capsys, *words: str) -> dict[str, Any]:
    path = str(FOLDER / "legacy-mode.toml")
    assert main(["explain", "dma", path, "--rid", "00:08.0", "--iova", "0x101234", "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_legacy_mode_finds_an_address_space_by_the_function_alone(run, capsys):
    legacy, scalable = explained(capsys), explained(capsys, "--set", "iommu.mode=scalable")
    entries = [[step["table"] for step in found["steps"] if "table" in step] for found in (legacy, scalable)]
    assert len(entries[1]) == len(entries[0]) + 2, entries
    assert legacy["result"]["hpa"] == scalable["result"]["hpa"]
    found = run("legacy-mode", duration="100ms")
    assert found["guests"] == {}


def test_legacy_mode_gives_no_virtual_devices(capsys):
    guests = 'guest=[{ name = "vm1", vdevs = [{ parent = "nic0" }] }]'
    assert main(["run", str(FOLDER / "legacy-mode.toml"), "--set", guests]) == 2
    assert "guests' virtual devices need PASIDs: add [iommu] with mode scalable" in capsys.readouterr().err


def test_superpages_small_pages_cost_walks_that_large_ones_do_not(run):
    count = "traffic.0.count=4000"
    large = run("superpages", count)
    small = run("superpages", count, "vm1.page=4K", "vm2.page=4K")
    assert in_order(large, "vm2.0") == in_order(small, "vm2.0") == [4000]
    assert hit_rate(large, "vm1.0", "vm2.0") > 0.99
    assert ended(small, "iommu_mrds") > 50 * ended(large, "iommu_mrds")


def test_reset_under_traffic_loses_a_few_frames_of_one_and_nothing_of_the_others(run):
    found = run("reset-under-traffic", "traffic.0.count=2500", "traffic.1.count=2500", "event.0.at=0.2")
    assert [event["state"] for event in found["events"]] == ["done"]
    reset = checked(found, "vm2.0")
    assert 0 < reset["lost"] < 2500
    assert reset["in_order"] == reset["frames"] == 2500 - reset["lost"]
    assert in_order(found, "vm4.0") == [2500]


def test_invalidation_storm_makes_devices_ask_again_and_loses_nothing(run):
    less = ("traffic.0.count=3000", "event.0.count=150")
    calm, storm = run("invalidation-storm", *less[:1], "event=[]"), run("invalidation-storm", *less)
    assert in_order(calm, "vm2.0") == in_order(storm, "vm2.0") == [3000]
    assert storm["events"][0]["outcome"] == "150 invalidations of 1 address spaces"
    assert ended(calm, "atc/invalidations") == 0
    assert ended(storm, "atc/invalidations") >= 150
    asked = [found["translation"]["vm1.0"]["iommu_requests"] for found in (calm, storm)]
    assert asked[1] > 3 * asked[0]


def test_settings_that_a_header_shows_keep_the_scenario_valid():
    for path in EXAMPLES:
        for words in commands(path):
            args = build_parser(next(word for word in words if word in COMMANDS)).parse_args(words[1:])
            data = apply(tomllib.loads((FOLDER.parent / args.scenario).read_text()), args.set)
            if "guest=" not in " ".join(args.set):  # legacy mode refuses them, and says so
                parse(data, path.name)
