"""Files that a command writes: all of them or nothing, and what can't be written is told before it begins."""

import os
import stat
from pathlib import Path

import pytest

from siov.cli.outputs import Output
from siov.errors import SiovError


def test_a_file_is_in_place_once_it_is_written_and_nothing_is_beside_it(tmp_path):
    path = tmp_path / "out.json"
    with Output("--json", path) as output:
        output.append("a")
        assert not path.exists()
        output.write("b\n")
        assert path.read_text() == "ab\n"
    assert os.listdir(tmp_path) == ["out.json"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def write_half(path: Path, why: type[BaseException]) -> None:
    with Output("--json", path) as output:
        output.append("half of ")
        raise why


@pytest.mark.parametrize("why", [KeyboardInterrupt, SiovError, SystemExit])
def test_a_command_that_ends_before_leaves_an_old_file_as_it_was_and_no_part_of_a_new_one(tmp_path, why):
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(why):
        write_half(path, why)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_an_old_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    path.chmod(0o640)
    with Output("--json", path) as output:
        output.write("new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def refusal(path: Path) -> str:
    with pytest.raises(SiovError) as refused, Output("--json", path):
        pass
    return str(refused.value)


def test_what_can_not_be_written_is_told_when_it_begins(tmp_path):
    assert (
        refusal(tmp_path / "no" / "x")
        == f"--json {tmp_path / 'no' / 'x'}: there is no folder {tmp_path / 'no'}"
    )
    assert refusal(tmp_path) == f"--json {tmp_path}: this is a folder; name a file in it"
    assert refusal(Path("/proc/x.json")).startswith("--json /proc/x.json: can't be written: ")


def test_what_is_no_regular_file_is_written_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Output("--json", pipe) as output:
        output.write("hello")
    assert os.read(reader, 100) == b"hello"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_is_told_in_a_sentence():
    with (
        pytest.raises(SiovError, match=r"--json /dev/full: can't be written: No space left"),
        Output("--json", Path("/dev/full")) as output,
    ):
        output.write("x")
