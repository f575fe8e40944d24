"""The commands that ask a running server: what they call, print, and refuse."""

import json

import pytest

from siov.cli.main import main
from siov.control.calls import plain
from siov.control.server import ControlServer

from .fake import UUID, Mode


@pytest.fixture
def siov(platform, tmp_path, monkeypatch, capsys):
    """Runs a command line against a server on the default socket; status, output, errors."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "siov").mkdir()

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capsys.readouterr()
        return status, out, err

    with ControlServer(platform, tmp_path / "siov/control.sock"):
        yield run


EVERY = [
    ("mdev types", "platform.mdev.types()"),
    ("mdev types --parent p", 'platform.mdev.types(parent="p")'),
    ("mdev create --type ice-vdcm", 'platform.mdev.create("ice-vdcm")'),
    (
        "mdev create --type ice-avf --attr doorbells=direct",
        'platform.mdev.create("ice-avf", attrs=["doorbells=direct"])',
    ),
    (
        f"mdev create --type ice-vdcm --uuid {UUID} --parent p",
        f'platform.mdev.create("ice-vdcm", uuid="{UUID}", parent="p")',
    ),
    ("mdev list", "platform.mdev.list()"),
    (f"mdev show {UUID}", f'platform.mdev.show("{UUID}")'),
    (f"mdev remove {UUID}", f'platform.mdev.remove("{UUID}")'),
    (f"mdev remove --force {UUID}", f'platform.mdev.remove("{UUID}", force=True)'),
    (f"mdev reset {UUID}", f'platform.mdev.reset("{UUID}")'),
    ("ethtool -i ens1f0", 'platform.netdev("ens1f0").ethtool(["-i"])'),
    ("ethtool --show-coalesce ens1f0", 'platform.netdev("ens1f0").ethtool(["-c"])'),
    ("ethtool -G ens1f0 rx 512 tx 64", 'platform.netdev("ens1f0").ethtool(["-G", "rx", "512", "tx", "64"])'),
    ("ethtool -n ens1f0 rule 5", 'platform.netdev("ens1f0").ethtool(["-n", "rule", "5"])'),
    (
        "ethtool -N ens1f0 flow-type tcp4 dst-port 80 action -1",
        'platform.netdev("ens1f0").ethtool(["-N", "flow-type", "tcp4", "dst-port", "80", "action", "-1"])',
    ),
    ("bridge show ens1f0", 'platform.bridge("ens1f0").getlink()'),
    ("bridge set ens1f0 vepa", 'platform.bridge("ens1f0").setlink(1)'),
    ("inspect", "platform.inspect()"),
    ("inspect host/mdev", 'platform.inspect("host/mdev")'),
]


@pytest.mark.parametrize(("line", "python"), EVERY)
def test_with_python_a_command_prints_the_call_and_makes_it_not(line, python, capsys, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    assert main([*line.split(), "--python"]) == 0
    assert capsys.readouterr().out == python + "\n"


@pytest.mark.parametrize(("line", "python"), EVERY)
def test_with_json_a_command_prints_the_result_of_its_call(siov, platform, line, python):
    status, out, _ = siov(*line.split(), "--json")
    assert status == 0
    assert json.loads(out) == plain(eval(python, {"platform": platform}))


@pytest.mark.parametrize(("line", "python"), EVERY)
def test_every_command_can_be_read_by_people(siov, line, python):
    assert siov(*line.split())[0] == 0


def test_types_tell_how_many_are_left_and_of_what(siov):
    _, out, _ = siov("mdev", "types")
    assert out.splitlines()[1].split() == ["0000:3b:00.0", "ice-vdcm", "7", "vfio-pci", "4", "queue", "pairs"]


def test_create_prints_nothing_but_the_uuid(siov):
    assert siov("mdev", "create", "--type", "ice-vdcm")[1] == f"{UUID}\n"


def test_list_says_which_are_open(siov):
    assert siov("mdev", "list")[1].split() == [UUID, "0000:3b:00.0", "ice-vdcm", "open"]


def test_show_has_the_attributes(siov):
    assert ["vdev/queues", "4"] in [line.split() for line in siov("mdev", "show", UUID)[1].splitlines()]


def test_remove_says_nothing(siov, platform):
    assert siov("mdev", "remove", "--force", UUID)[:2] == (0, "")
    assert platform.calls == [("remove", UUID, True)]


def test_reset_says_nothing(siov, platform):
    assert siov("mdev", "reset", UUID)[:2] == (0, "")
    assert platform.calls == [("reset", UUID)]


def test_ethtool_prints_what_the_server_answers_and_nothing_for_a_change(siov, platform):
    assert siov("ethtool", "-S", "ens1f0")[1] == "NIC statistics:\n     rx_bytes: 1500\n"
    assert siov("ethtool", "--set-ring", "ens1f0", "rx", "512")[:2] == (0, "")
    assert platform.calls[-1] == ("ethtool", "-G", "rx", "512")


def test_bridge_shows_and_changes_the_mode(siov, platform):
    assert siov("bridge", "show", "ens1f0")[1] == "veb\n"
    assert siov("bridge", "set", "ens1f0", "vepa")[:2] == (0, "")
    assert platform.switch.mode is Mode.VEPA
    assert siov("bridge", "show", "ens1f0")[1] == "vepa\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mdev create --type full", "0 queue pairs are free"),
        ("ethtool -i eth9", "there is no network interface 'eth9'; there is ens1f0"),
        ("ethtool -G ens1f0", "needs what is to change"),
        ("ethtool -g ens1f0 rx 5", "takes nothing more"),
        ("ethtool -G ens1f0 rx many", "rx takes a number of descriptors, not many"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_status_2(siov, line, says):
    status, out, err = siov(*line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("siov: ")
    assert says in err


def test_another_socket_can_be_chosen_and_without_a_server_it_is_said(siov, tmp_path):
    status, _, err = siov("mdev", "list", "--control", str(tmp_path / "other"))
    assert status == 2
    assert err == f"siov: no server listens on {tmp_path}/other; start one with 'siov serve'\n"
