"""The live view, on a terminal of our own: what it shows, and that it leaves the terminal as it was."""

import os
import signal

import pytest

from .terminals import ALTERNATE, MAIN, assert_restored, terminal


def drawn(times: int):
    return lambda written: written.count(b"vtd0 iotlb") >= times


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


def test_quiet_draws_nothing_on_a_terminal(short):
    with terminal("run", str(short), "--quiet") as one:
        assert one.end() == 0
    assert b"\x1b" not in one.written


def test_a_terminal_that_can_only_print_gets_lines(endless):
    with terminal("run", str(endless), "--duration", "1.5", term="dumb") as one:
        assert one.end() == 0
    assert b"\x1b" not in one.written
    assert b"nic0 rx" in one.written
