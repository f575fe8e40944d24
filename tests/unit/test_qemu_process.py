"""A child process that is reaped whatever happens, with the latest of what it said."""

import os
import socket
import sys
from pathlib import Path

import pytest

from siov.guests.process import Process


def start(code: str) -> Process:
    """Start Python with the code, in which `console` is a socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        prelude = f"import os, socket, sys, time; console = socket.socket(fileno={theirs.fileno()})\n"
        return Process([sys.executable, "-c", prelude + code], dict(os.environ), [theirs.fileno()], ours)


def test_console_messages_and_status_are_kept_after_the_end() -> None:
    process = start("console.sendall(b'on the console'); print('aside', file=sys.stderr); sys.exit(3)")
    assert process.wait(30)
    assert not process.alive
    assert (process.console, process.messages.strip(), process.returncode) == (b"on the console", b"aside", 3)


def test_a_killed_child_is_reaped_at_once_and_killing_twice_does_no_harm() -> None:
    process = start("time.sleep(1000)")
    assert process.alive
    assert not process.wait(0.05)
    process.kill()
    process.kill()
    assert process.returncode == -9
    assert not Path(f"/proc/{process.pid}").exists()


def test_only_the_latest_of_an_endless_console_is_kept() -> None:
    process = start("console.sendall(b'x' * 1_000_000 + b'the end')")
    assert process.wait(30)
    assert len(process.console) == 256 * 1024
    assert process.console.endswith(b"xthe end")


def test_a_program_that_is_not_there_is_an_oserror_and_leaves_no_fd() -> None:
    before = set(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(FileNotFoundError):
        Process(["/nosuch/program"], {}, [], ours)
    assert set(os.listdir("/proc/self/fd")) == before
