"""`siov top`: the live view of a server that runs elsewhere."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from siov.cli.main import main
from siov.control.calls import plain
from siov.observe.shown import Load, Shown

from .terminals import ALTERNATE, assert_restored, terminal

PATIENCE = 60


@pytest.fixture
def served(endless, tmp_path) -> Iterator[tuple[Path, subprocess.Popen]]:
    """The control socket of a server, and its process."""
    path = tmp_path / "c"
    argv = [sys.executable, "-m", "siov.cli.main", "serve", str(endless), "--control", str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert b"its control socket is" in process.stdout.readline()
            yield path, process
        finally:
            process.kill()


def test_it_shows_what_a_server_does_and_leaves_the_terminal_when_the_server_goes(served, capsys):
    path, process = served
    # Lines are for who has no terminal.
    assert main(["top", "--control", str(path), "--interval", "0.1", "--count", "3"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all("nic0 rx" in line and "vtd0 IOTLB" in line for line in printed)
    with terminal("top", "--control", str(path), "--interval", "0.2") as one:
        one.read(lambda written: written.count(b"vtd0 iotlb") >= 4)
        text = "\n".join(one.screen(one.written.partition(ALTERNATE)[2]))
        process.send_signal(signal.SIGTERM)
        assert one.end() == 2
        assert_restored(one)
    assert process.wait(PATIENCE) == 0
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["siov"].startswith("siov small")
    assert lines["nic0/vsi1"].split()[1] == "vm1.0"
    assert "request" in lines
    assert b"siov: " in one.written


@pytest.mark.parametrize("words", [["--interval", "0"], ["--interval", "nan"], ["--count", "0"]])
def test_what_can_not_be_is_refused(words, capsys, tmp_path):
    assert main(["top", "--control", str(tmp_path / "c"), *words]) == 2
    assert f"siov: {words[0]} {words[1]}: " in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_without_a_server_it_says_how_to_start_one(tmp_path, capsys):
    assert main(["top", "--control", str(tmp_path / "c")]) == 2
    assert "start one with 'siov serve'" in capsys.readouterr().err


def test_what_is_shown_survives_the_wire():
    shown = Shown(
        "a", ["nic0"], ["vtd0"], ["vm1.0"], {"nic0/vsi1": "vm1.0"}, [Load("x to y", "stream", None)]
    )
    assert Shown.from_json(plain(shown)) == shown


@pytest.mark.parametrize(
    ("parts", "until", "part"),
    [
        ([], None, None),
        ([], 10.0, 0.2),
        ([0.5, 1.0], 10.0, 0.75),
        ([0.5, None], 10.0, 0.2),
        ([0.5, None], None, None),
        ([0.0], 10.0, 0.2),
    ],
)
def test_progress_is_that_of_traffic_with_an_end_or_else_of_the_time(parts, until, part):
    shown = Shown("a", [], [], [], {}, [Load("x", "stream", one) for one in parts])
    assert shown.part(2.0, until) == part
