"""`siov run`: what it prints, the files that it leaves, and those that it refuses before it begins."""

import json
import os
import re

import pytest
from lxml import html

from siov.cli import run
from siov.cli.main import main


@pytest.fixture
def unbuilt(monkeypatch) -> None:
    """Nothing may be built: who is refused is refused before."""
    monkeypatch.setattr(run, "build", lambda *_, **__: pytest.fail("a server was built"))


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("none/file", "there is no folder {tmp}/none"),
        (".", "this is a folder; name a file in it"),
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
    agreed = json.loads(data)
    assert agreed == {key: told[key] for key in agreed}
    for one in told["limits"]:
        assert f"{one['what']}: {one['why']}" in printed
    assert sorted(os.listdir(tmp_path)) == ["run.html", "run.json", "short.toml"]


def test_a_server_without_guests_leaves_its_files_too(tmp_path, capsys):
    scenario, report, data = (tmp_path / name for name in ("bare.toml", "run.html", "run.json"))
    scenario.write_text('name = "bare"\n')
    assert main(["run", str(scenario), "--report", str(report), "--json", str(data)]) == 0
    assert [one["what"] for one in json.loads(data.read_text())["limits"]] == ["no traffic"]
    assert html.fromstring(report.read_text()).findtext(".//h1") == "siov run: bare"


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
