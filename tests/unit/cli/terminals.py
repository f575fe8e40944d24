"""A terminal of our own with a program on it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte

ROWS, COLUMNS = 50, 120
PATIENCE = 60
ALTERNATE, MAIN, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A pseudo-terminal with a program, and all that it has written."""

    def __init__(self, argv: list[str], script: str | None, term: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(slave)
        program = ["-c", script] if script else ["-m", "siov.cli.main"]
        env = {**os.environ, "TERM": term, "COLUMNS": "", "LINES": ""}
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
def terminal(*argv: str, script: str | None = None, term: str = "xterm-256color") -> Iterator[Terminal]:
    one = Terminal(list(argv), script, term)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.master)
        os.close(one.slave)


def assert_restored(one: Terminal) -> None:
    written = one.written
    assert written.count(ALTERNATE) == written.count(MAIN) == 1
    assert written.rindex(MAIN) > written.rindex(ALTERNATE)
    assert written.rindex(SHOW) > written.rindex(HIDE)
    assert termios.tcgetattr(one.slave) == one.before
