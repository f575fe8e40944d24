"""`siov serve`: a server of its own process, its control socket, and its end."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "siov.cli.main", *map(str, words)]


def siov(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, check=False, env=env, timeout=120)


@contextmanager
def serving(*words: str | Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A server that has said that it runs."""
    with subprocess.Popen(command("serve", *words), stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            assert "runs; its control socket is" in process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_on_the_default_socket_until_a_signal_ends_it_and_leaves_nothing(tmp_path, number):
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    with serving(env=env) as process:
        # The built-in server: its eight virtual devices are in use.
        found = siov("mdev", "list", "--json", env=env)
        devices = json.loads(found.stdout)
        assert [one["open"] for one in devices] == [True] * 8
        # Its guests run: they send until all is sent.
        counters = siov("ethtool", "-S", devices[0]["uuid"], env=env).stdout
        assert counters.startswith("NIC statistics:")
        looked = siov("inspect", "host/guests", "--json", env=env)
        assert set(json.loads(looked.stdout)) == {"vm1", "vm2", "vm3", "vm4"}
        refused = siov("mdev", "create", "--type", "ice-tpyo", env=env)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("siov: there is no mdev type 'ice-tpyo'; there is ice-avf")
        process.send_signal(number)
        assert process.wait(60) == 0
    assert list((tmp_path / "siov").iterdir()) == []


def test_prometheus_scrapes_a_server_over_tcp_where_it_says(tmp_path):
    with serving("--control", tmp_path / "c", "--metrics", "0") as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith("its metrics are at http://127.0.0.1:")
        with urllib.request.urlopen(told.split()[-1], timeout=60) as answer:
            families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
        vdevs = [s for s in families["siov_vsi_tx_frames"].samples if s.labels["guest"]]
        assert len(vdevs) == 8
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_killed_server_s_socket_does_not_stop_the_next_and_a_living_one_s_does(tmp_path):
    path = tmp_path / "c"
    with serving("--control", path) as process:
        process.kill()
        process.wait()
    assert path.exists()
    with serving("--control", path):
        second = siov("serve", "--control", path)
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert f"a server listens on {path} already" in second.stderr
        assert siov("inspect", "host/mdev", "--control", path).returncode == 0


def test_a_scenario_that_can_not_be_built_is_said_before_there_is_a_socket(tmp_path):
    (tmp_path / "bad.toml").write_text("nonsense = 1\n")
    refused = siov("serve", tmp_path / "bad.toml", "--control", tmp_path / "c")
    assert refused.returncode == 2
    assert not (tmp_path / "c").exists()


def test_a_control_socket_needs_a_server(tmp_path):
    refused = siov("serve", "--socket", tmp_path / "s", "--control", tmp_path / "c")
    assert refused.returncode == 2
    assert "--control is of a server" in refused.stderr


NIC = """
[iommu]
[[root_port]]
name = "rp0"
at = "01.0"
[[function]]
name = "nic0"
behind = "rp0"
model = "e810"
nic = { mac = "02:00:00:00:00:01" }
"""


def test_a_virtual_device_of_a_served_adapter_is_made_shown_and_removed(tmp_path):
    (tmp_path / "nic.toml").write_text(NIC)
    path = tmp_path / "c"
    with serving(tmp_path / "nic.toml", "--control", path, "--doorbells", "direct") as process:
        made = siov("mdev", "create", "--type", "ice-vdcm", "--control", path)
        assert made.returncode == 0, made.stderr
        uuid = made.stdout.strip()
        (listed,) = json.loads(siov("mdev", "list", "--json", "--control", path).stdout)
        assert listed == {"uuid": uuid, "parent": "0000:01:00.0", "type": "ice-vdcm", "open": False}
        shown = json.loads(siov("mdev", "show", uuid, "--json", "--control", path).stdout)
        assert shown["attributes"]["doorbells"] == "direct"
        again = siov("mdev", "create", "--type", "ice-vdcm", "--uuid", uuid, "--control", path)
        assert (again.returncode, "is taken" in again.stderr) == (2, True)
        assert siov("mdev", "remove", uuid, "--control", path).returncode == 0
        assert siov("mdev", "list", "--json", "--control", path).stdout == "[]\n"
        assert siov("mdev", "create", "--type", "ice-avf", "--control", path).returncode == 0
        process.send_signal(signal.SIGTERM)  # with a virtual device still there
        assert process.wait(120) == 0
    assert not path.exists()
