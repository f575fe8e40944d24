"""`siov run`: how long, what it writes, what it says of events, and what it refuses before it begins."""

import json
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader, wrpcap

from siov.cli.main import main

PAIR = """
name = "pair"

[machine]
memory = "128M"

[iommu]

[[function]]
name = "nic0"
at = "01.0"
model = "e810"
nic = { mac = "02:00:00:00:00:01", port = { kind = "bridge", to = "b" } }

[[guest]]
name = "vm1"
memory = "8M"
vdevs = [{ parent = "nic0", type = "vdcm-1" }]

[[guest]]
name = "vm2"
memory = "8M"
vdevs = [{ parent = "nic0", type = "vdcm-1" }]

[[traffic]]
kind = "request"
src = "vm1"
dst = "vm2"
sizes = [64]
count = 50
"""


@pytest.fixture
def pair(tmp_path) -> Path:
    path = tmp_path / "pair.toml"
    path.write_text(PAIR)
    return path


def test_json_pcap_and_trace_tell_of_the_same_run(pair, tmp_path, capsys):
    files = {
        option: tmp_path / name
        for option, name in zip(("--json", "--pcap", "--trace"), ("a.json", "a.pcapng", "a.txt"), strict=True)
    }
    words = [word for option, path in files.items() for word in (option, str(path))]
    assert main(["run", str(pair), *words]) == 0
    found = json.loads(files["--json"].read_text())
    assert (found["scenario"], found["events"]) == ("pair", [])
    assert found["guests"]["vm2.0"]["checked"]["in_order"] == 50
    assert set(found["translation"]) == {"vm1.0", "vm2.0"}
    assert found["translation"]["vm1.0"]["iotlb_lookup"] > 0
    with PcapNgReader(str(files["--pcap"])) as reader:
        frames = [bytes(frame) for frame in reader]
    sent = sum(
        value for path, value in found["changes"].items() if path.endswith("_frames") and "vsis" in path
    )
    assert len(frames) >= sent >= 200, "each of 100 frames leaves a VSI and comes to one"
    steps = files["--trace"].read_text().splitlines()
    assert any("ice_vdcm_create" in step for step in steps)
    assert any("read nic0 VENDOR_ID" in step for step in steps)
    out = capsys.readouterr().out
    assert f"{files['--pcap']} has {len(frames)} frames of" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.pcapng", "a.txt", "pair.toml"]


def test_a_trace_whose_name_ends_in_json_has_an_object_a_line(pair, tmp_path):
    assert main(["run", str(pair), "--trace", str(tmp_path / "t.json")]) == 0
    steps = [json.loads(line) for line in (tmp_path / "t.json").read_text().splitlines()]
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))


def test_events_are_done_while_guests_talk_and_told_at_the_end(pair, tmp_path, capsys):
    events = (
        "event=[{at='20ms', kind='reset', device='vm2'}, {at=0.1, kind='link-down', adapter='nic0'},"
        "{at=0.12, kind='link-up', adapter='nic0'},"
        "{at=0.14, kind='bridge-mode', adapter='nic0', mode='vepa'},"
        "{at=0.16, kind='invalidation-storm', count=20, device='vm1'},"
        "{at=0.2, kind='adapter-reset', adapter='nic0', reset='GLOBR'},"
        "{at='1h', kind='reset', device='vm1'}]"
    )
    words = ["--set", events, "--set", "traffic=[]", "--duration", "2s", "--json", str(tmp_path / "a.json")]
    assert main(["run", str(pair), *words]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["events"]
    assert [row["state"] for row in rows] == ["done"] * 6 + ["due"], rows
    assert all(row["ended"] >= row["began"] >= row["at"] for row in rows[:-1])
    assert rows[3]["outcome"] == "VEB before, VEPA now"
    assert rows[4]["outcome"] == "20 invalidations of 1 address spaces"
    out = capsys.readouterr().out
    assert "reset               3600 s" in out
    assert "its time did not come" in out


def test_a_run_without_duration_ends_when_traffic_and_events_are_over(pair, capsys):
    event = "event=[{at=0.3, kind='reset', device='vm2'}]"
    assert main(["run", str(pair), "--set", event]) == 0
    assert "reset  0.3 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--duration", "0"], "--duration 0: more than 0 seconds, and at most a day"),
        (["--duration", "25h"], "--duration 25h: more than 0 seconds, and at most a day"),
        (["--duration", "nan"], "--duration nan: nan is no time"),
        (
            ["--duration", "5 weeks"],
            "--duration 5 weeks: '5 weeks' is no time: write seconds, or a number with",
        ),
        (["--set", "colour=red"], "--set colour=red: there is no colour: keys are name, machine"),
        (["--set", "machine.cpus=0"], "pair.toml with --set: machine.cpus: Input should be greater than or"),
        (["--json", "no/x"], "--json no/x: there is no folder no"),
        (["--pcap", "no/x"], "--pcap no/x: there is no folder no"),
        (["--trace", "no/x"], "--trace no/x: there is no folder no"),
        (["--json", "."], "--json .: this is a folder; name a file in it"),
        (["--pcap", "/proc/x"], "--pcap /proc/x: can't be written: "),
        (["--pcap", "/dev/null"], "--pcap /dev/null: can't be written: it must be a regular file of ours"),
        (
            ["--set", "event=[{at=1,kind='migration'}]"],
            "event[0].kind: Input should be 'reset', 'adapter-reset'",
        ),
        (
            ["--set", "event=[{at=1,kind='reset',device='vm9'}]"],
            "the reset of vm9: guests' devices are vm1.0",
        ),
        (["--set", "event=[{at=1,kind='link-up',adapter='x'}]"], "the link-up of x: adapters are nic0"),
        (["--set", "event=[{at=1,kind='bridge-mode',adapter='nic0'}]"], "kind bridge-mode needs mode"),
        (
            ["--set", "event=[{at=1,kind='reset',device='vm1',rate=1}]"],
            "an event of kind reset takes no rate",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_begun(pair, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "pair.toml", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("siov: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert [path.name for path in tmp_path.iterdir()] == ["pair.toml"]


def test_a_link_can_only_be_cut_where_there_is_one(pair, capsys):
    words = [
        "--set",
        "nic0.nic.port={kind='none'}",
        "--set",
        "event=[{at=1,kind='link-down',adapter='nic0'}]",
    ]
    assert main(["run", str(pair), *words]) == 2
    assert (
        "the link-down of nic0: its port is plugged into nothing; give it a kind" in capsys.readouterr().err
    )


def test_the_frames_of_a_capture_are_replayed_between_guests_and_compared_where_they_arrive(
    pair, tmp_path, capsys
):
    frames = [Ether() / IP() / UDP(dport=53) / (bytes([n % 256]) * (n * 7 % 1400)) for n in range(100)]
    wrpcap(str(tmp_path / "some.pcap"), frames)
    replay = f'traffic=[{{kind="replay", src="vm1", dst="vm2", rate=2_000, file="{tmp_path / "some.pcap"}"}}]'
    words = ["--set", replay, "--json", str(tmp_path / "a.json"), "--pcap", str(tmp_path / "a.pcapng")]
    assert main(["run", str(pair), *words, "--set", "traffic.0.count=250"]) == 0, "over and over"
    checked = json.loads((tmp_path / "a.json").read_text())["guests"]["vm2.0"]["checked"]
    assert (checked["in_order"], checked["corrupt"], checked["foreign"]) == (250, 0, 0)
    assert "every byte as sent, in order" in capsys.readouterr().out
    with PcapNgReader(str(tmp_path / "a.pcapng")) as reader:
        seen = {bytes(frame)[14:60] for frame in reader}
    assert {bytes(frame).ljust(60, b"\0")[14:60] for frame in frames} <= seen


def test_a_replay_without_count_ends_with_its_file(pair, tmp_path):
    wrpcap(str(tmp_path / "some.pcap"), [Ether() / IP() / UDP() / (b"x" * n) for n in range(30)])
    replay = f'traffic=[{{kind="replay", src="vm1", dst="vm2", file="{tmp_path / "some.pcap"}"}}]'
    assert main(["run", str(pair), "--set", replay, "--json", str(tmp_path / "a.json")]) == 0
    found = json.loads((tmp_path / "a.json").read_text())["guests"]
    assert (found["vm1.0"]["senders"][0]["frames"], found["vm2.0"]["checked"]["in_order"]) == (30, 30)


def test_other_commands_about_a_scenario_can_set_keys_too(pair, capsys):
    assert main(["lspci", str(pair), "--set", "nic0.at=03.0"]) == 0
    assert capsys.readouterr().out.startswith("00:03.0 ")
    assert main(["explain", "cpu", str(pair), "--set", "vm=[{name='vm0'}]", "--gva", "0x40000000"]) == 0
    assert "memory reads" in capsys.readouterr().out
    assert main(["lspci", str(pair), "--set", "nic0.colour=red"]) == 2
    assert "colour is no known key" in capsys.readouterr().err
