"""The live view, on a terminal of our own: what it shows, and that it leaves the terminal as it was."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest

ROWS, COLUMNS = 50, 120
PATIENCE = 60
ALTERNATE, MAIN, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A pseudo-terminal with a program, and all that it has written."""

    def __init__(self, argv: list[str], script: str | None = None) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(slave)
        program = ["-c", script] if script else ["-m", "siov.cli.main"]
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
        self.process = subprocess.Popen(
            [sys.executable, *program, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=env,
        )
        self.slave, self.written = slave, b""

    def read(self, until) -> None:
        """Read until what was written is right."""
        deadline = time.monotonic() + PATIENCE
        while not until(self.written):
            left = deadline - time.monotonic()
            assert left > 0, self.written[-2000:]
            if select.select([self.master], [], [], min(left, 0.2))[0]:
                try:
                    self.written += os.read(self.master, 65536)
                except OSError:  # EIO: nobody has the other end open any more
                    return
            elif self.process.poll() is not None:
                return

    def end(self) -> int:
        """Read to the end; the exit status."""
        self.read(lambda _: False)
        return self.process.wait(PATIENCE)

    def screen(self, written: bytes) -> list[str]:
        """What a terminal shows that has no other screen."""
        screen = pyte.Screen(COLUMNS, ROWS)
        pyte.ByteStream(screen).feed(written)
        return [line.rstrip() for line in screen.display]


@contextmanager
def terminal(*argv: str, script: str | None = None) -> Iterator[Terminal]:
    one = Terminal(list(argv), script)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.master)
        os.close(one.slave)


def drawn(times: int):
    return lambda written: written.count(b"vtd0 iotlb") >= times


def assert_restored(one: Terminal) -> None:
    written = one.written
    assert written.count(ALTERNATE) == written.count(MAIN) == 1
    assert written.rindex(MAIN) > written.rindex(ALTERNATE)
    assert written.rindex(SHOW) > written.rindex(HIDE)
    assert termios.tcgetattr(one.slave) == one.before


def test_adapters_vsis_guests_caches_interrupts_and_progress_are_shown(endless):
    with terminal("run", str(endless), "--duration", "3") as one:
        one.read(drawn(6))
        start = one.written.index(ALTERNATE) + len(ALTERNATE)
        text = "\n".join(one.screen(one.written[start:]))
        assert one.end() == 0
        assert_restored(one)
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["siov"].startswith("siov small")
    assert lines["siov"].endswith("%")
    assert "request" in lines
    assert lines["nic0/vsi1"].split()[1] == "vm1.0"
    assert lines["nic0/vsi1"].count("bit/s") == 2
    assert lines["vm2.0"].count("bit/s") == 2
    assert lines["threads"]
    for word in ("interrupts/s", "held", "device TLB", "iotlb", "pasid_cache", "table reads/s", "drops/s"):
        assert word in text
    after = one.written[one.written.rindex(MAIN) :]
    assert b"every byte as sent, in order" in after, "the result is on the screen that stays"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_ends_the_run_and_the_terminal_is_as_before(endless, tmp_path, number, status):
    report = tmp_path / "report.html"
    with terminal("run", str(endless), "--duration", "600", "--report", str(report)) as one:
        one.read(drawn(2))
        one.process.send_signal(number)
        assert one.end() == status
        assert_restored(one)
    assert b"Traceback" not in one.written
    assert sorted(os.listdir(tmp_path)) == [endless.name], "no file is left half written"


BROKEN = """
import sys
from siov.cli import run
from siov.cli.main import main
wait = run._wait
def broken(*args):
    wait(args[0], 1.0, args[2])
    raise RuntimeError("a bug of ours")
run._wait = broken
main(sys.argv[1:])
"""


def test_an_exception_leaves_the_terminal_as_before_and_is_told_there(endless):
    with terminal("run", str(endless), script=BROKEN) as one:
        assert one.end() == 1
        assert_restored(one)
    assert b"RuntimeError: a bug of ours" in one.written[one.written.rindex(MAIN) :]


@pytest.mark.parametrize("option", ["--plain", "--quiet"])
def test_plain_and_quiet_draw_nothing_on_a_terminal(short, option):
    with terminal("run", str(short), option) as one:
        assert one.end() == 0
    assert ALTERNATE not in one.written
    assert HIDE not in one.written


def test_what_is_no_terminal_gets_no_control_sequence(short):
    argv = [sys.executable, "-m", "siov.cli.main", "run", str(short)]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
