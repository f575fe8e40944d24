"""`siov run`: what it prints, the files that it leaves, and those that it refuses before it begins."""

import json
import os
import re

import pytest
from lxml import html

from siov.cli import run
from siov.cli.files import check_writable, write_whole
from siov.cli.main import main
from siov.errors import SiovError


@pytest.fixture
def unbuilt(monkeypatch) -> None:
    """Nothing may be built: who is refused is refused before."""
    monkeypatch.setattr(run, "build", lambda *_: pytest.fail("a server was built"))


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("none/file", "there is no folder {tmp}/none"),
        (".", "is a folder; name a file"),
        ("/proc/file", "can't be written: "),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_anything_is_built(
    unbuilt, tmp_path, capsys, option, where, why
):
    path = tmp_path / where
    assert main(["run", option, str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"siov: {option} {path}: {why.format(tmp=tmp_path)}")
    assert os.listdir(tmp_path) == []


def test_two_files_at_one_path_are_refused(unbuilt, tmp_path, capsys):
    path = str(tmp_path / "both")
    assert main(["run", "--json", path, "--report", path]) == 2
    assert "--json writes there, too; name two files" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_what_is_asked_about_stays_as_it_was_until_it_is_written(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")
    check_writable("--json", path)
    assert path.read_text() == "before"
    write_whole("--json", path, "after")
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_fails_half_way_is_not_left_and_the_old_one_is(tmp_path, monkeypatch, error):
    path = tmp_path / "kept"
    path.write_text("before")

    def fail(part, text):
        with part.open("w") as file:
            file.write(text[:3])
        raise error

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises((SiovError, KeyboardInterrupt)) as failed:
        write_whole("--json", path, "after")
    if isinstance(error, OSError):
        assert str(failed.value) == f"--json {path}: can't be written: No space left on device"
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["kept"]


def test_a_pipe_is_written_into_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable("--json", path)
        write_whole("--json", path, "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_run_leaves_json_and_report_that_agree_and_says_what_limited_it(short, tmp_path, capsys):
    files = {"--json": tmp_path / "run.json", "--report": tmp_path / "run.html"}
    argv = ["run", str(short), *(str(word) for pair in files.items() for word in pair)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    told = json.loads(files["--json"].read_text())
    assert told["scenario"] == "small"
    assert told["guests"]["vm2.0"]["checked"]["frames"] == 200
    assert told["vsis"]["nic0/vsi1"]["guest"] == "vm1.0"
    assert told["vsis"]["nic0/vsi1"]["tx_frames"] == 200
    assert told["series"]["counters"]["vm2.0/rx_frames"][-1] == 200
    [path] = [path for path in told["changes"] if path.endswith("vsis/1/tx_frames")]
    assert told["changes"][path] == 200
    page = html.fromstring(files["--report"].read_text())
    [data] = page.xpath('//script[@id="data"]/text()')
    assert json.loads(data) == told
    for one in told["limits"]:
        assert f"{one['what']}: {one['why']}" in printed
    assert sorted(os.listdir(tmp_path)) == ["run.html", "run.json", "short.toml"]


def test_quiet_prints_the_result_only(short, capsys):
    assert main(["run", "--quiet", str(short)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"after \d+\.\d s$", lines[0])
    assert [line.split()[0] for line in lines if "every byte as sent" in line] == ["vm1.0", "vm2.0"]
    assert "what limited it" in lines
    assert not any("BAR" in line or "GLV" in line for line in lines)


def test_plain_prints_a_line_a_second(endless, capsys):
    assert main(["run", "--plain", "--duration", "2.6", str(endless)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " | " in line]
    seconds = [int(line.split()[0].partition(".")[0]) for line in lines]
    assert seconds == sorted(set(seconds)), "at most one line a second"
    assert len(seconds) >= 2
    for line in lines:
        assert re.search(r"nic0 rx \S+ \w?bit/s tx .* frames/s .* interrupts/s 0 drops/s ATC", line)
        assert "vtd0 IOTLB" in line


def test_plain_and_quiet_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--plain", "--quiet"])
    assert ended.value.code == 2
