"""Ctrl-C at any moment of a run: the right status, no half of a file, no process, a terminal as it was."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader

# Endless traffic, and events that keep drivers busy.
TALK = """
name = "talk"

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
rate = 1_000

[[event]]
at = "100ms"
kind = "invalidation-storm"
count = 1_000_000
"""
TIMEOUT = 120
FILES = ("a.json", "a.pcapng", "a.txt")


def start(folder: Path, terminal: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """A run with its output on a terminal, in a process group of its own, in which Ctrl-C is heard."""
    (folder / "talk.toml").write_text(TALK)
    words = ["run", "talk.toml", "--duration", "60s"]
    words += [word for pair in zip(("--json", "--pcap", "--trace"), FILES, strict=True) for word in pair]
    return subprocess.Popen(
        [sys.executable, "-m", "siov.cli.main", *words],
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def read_until(master: int, sign: str) -> str:
    """What the terminal shows, up to a sign; `OSError` at its end."""
    seen = b""
    while sign.encode() not in seen:
        seen += os.read(master, 4096)
    return seen.decode()


@pytest.mark.parametrize(
    ("sign", "number", "status"),
    [
        ("scenario talk", signal.SIGINT, 130),  # while it boots
        ("100 Gb/s", signal.SIGINT, 130),  # while guests begin to talk
        ("100 Gb/s", signal.SIGTERM, 143),
    ],
)
def test_a_run_that_is_interrupted_leaves_nothing_behind(tmp_path, sign, number, status):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    run = start(tmp_path, slave)
    read_until(master, sign)
    run.send_signal(number)
    _, err = run.communicate(timeout=TIMEOUT)
    assert (run.returncode, err) == (status, "")
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"talk.toml", "a.pcapng", "a.txt"}
    assert (tmp_path / "a.txt").read_text().endswith("\n")
    if "a.pcapng" in left:
        with PcapNgReader(str(tmp_path / "a.pcapng")) as reader:
            list(reader)


@pytest.mark.long
@pytest.mark.parametrize("delay", [n / 10 for n in range(30)])
def test_at_any_moment_from_when_its_files_are_begun_it_leaves_nothing_behind(tmp_path, delay):
    run = start(tmp_path)
    while not list(tmp_path.glob(".a.txt*")):
        time.sleep(0.01)
    time.sleep(delay)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=TIMEOUT)
    assert (run.returncode, err) == (130, "")
    assert {path.name for path in tmp_path.iterdir()} <= {"talk.toml", "a.pcapng", "a.txt"}


def test_an_interrupt_that_the_caller_has_ignored_stays_so(tmp_path):
    (tmp_path / "talk.toml").write_text(TALK)
    words = ["run", "talk.toml", "--duration", "300ms", "--json", "a.json"]
    run = subprocess.Popen(
        [sys.executable, "-m", "siov.cli.main", *words],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    for _ in range(3):
        run.send_signal(signal.SIGINT)
    assert run.wait(TIMEOUT) == 0
    assert json.loads((tmp_path / "a.json").read_text())["scenario"] == "talk"
