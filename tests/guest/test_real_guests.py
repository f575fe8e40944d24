"""`siov run --guests qemu`: a scenario's guests with stock kernels, told as other runs are."""

import json
from pathlib import Path

import pytest

from siov.cli.main import main
from siov.guests.image import Rig

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "real-guests.toml"


def test_the_example_boots_two_kernels_that_talk_and_leaves_nothing(rig: Rig, tmp_path, capsys):
    path = tmp_path / "run.json"
    words = ["run", str(EXAMPLE), "--guests", "qemu", "--duration", "4s", "--json", str(path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    found = json.loads(path.read_text())
    stream, generate, request = found["traffic"]
    assert stream["details"]["bytes"] > 1 << 20
    assert generate["details"]["out_of_order"] == 0
    assert request["details"]["answered"] == request["details"]["sent"] == 100
    assert "iperf3" not in printed, "no program of a guest complained"
    received = sum(row["rx_bytes"] for row in found["vsis"].values())
    assert received > stream["details"]["bytes"]
    assert found["hit_rates"]["nic0"]["atc"] > 0.9


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--virtual-time"], "--virtual-time is for embedded guests"),
        (
            ["--set", "traffic.0.kind=replay", "--set", "traffic.0.file=x.pcap"],
            "which guests of QEMU can't do",
        ),
        (["--set", "traffic=[]", "--set", "guest=[]"], "there is no guest for QEMU to boot"),
    ],
)
def test_what_they_can_not_do_is_told_before_anything_is_built(more, why, capsys):
    assert main(["run", str(EXAMPLE), "--guests", "qemu", *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
