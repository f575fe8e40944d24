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
        f"mdev create --type ice-vdcm --uuid {UUID} --parent p",
        f'platform.mdev.create("ice-vdcm", uuid="{UUID}", parent="p")',
    ),
    ("mdev list", "platform.mdev.list()"),
    (f"mdev show {UUID}", f'platform.mdev.show("{UUID}")'),
    (f"mdev remove {UUID}", f'platform.mdev.remove("{UUID}")'),
    (f"mdev remove --force {UUID}", f'platform.mdev.remove("{UUID}", force=True)'),
    ("ethtool -i ens1f0", 'platform.netdev("ens1f0").get_drvinfo()'),
    ("ethtool -g ens1f0", 'platform.netdev("ens1f0").get_ringparam()'),
    (
        "ethtool -G ens1f0 rx 512 tx 64",
        'platform.netdev("ens1f0").set_ringparam(rx_pending=512, tx_pending=64)',
    ),
    ("ethtool -S ens1f0", 'platform.netdev("ens1f0").get_ethtool_stats()'),
    ("ethtool --show-coalesce ens1f0", 'platform.netdev("ens1f0").get_coalesce()'),
    (
        "ethtool -C ens1f0 adaptive-rx off rx-usecs 50",
        'platform.netdev("ens1f0").set_coalesce(adaptive_rx=False, rx_usecs=50)',
    ),
    ("ethtool -n ens1f0", 'platform.netdev("ens1f0").get_rxnfc()'),
    (
        "ethtool -N ens1f0 flow-type tcp4 src-ip 192.0.2.1 m 0.0.0.255 dst-port 0x50 m 0xff action -1 loc 5",
        'platform.netdev("ens1f0").insert_rule("tcp4", src_ip="192.0.2.1", src_ip_mask="0.0.0.255",'
        " dst_port=80, dst_port_mask=255, action=-1, loc=5)",
    ),
    (
        "ethtool -N ens1f0 flow-type ether dst 02:00:00:00:00:01 action 3",
        'platform.netdev("ens1f0").insert_rule("ether", dst="02:00:00:00:00:01", action=3)',
    ),
    ("ethtool -N ens1f0 delete 5", 'platform.netdev("ens1f0").delete_rule(5)'),
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


def test_ethtool_prints_as_ethtool_does(siov):
    assert siov("ethtool", "-i", "ens1f0")[1].splitlines() == [
        "driver: ice",
        "version: 6.12",
        "firmware-version: 4.40",
        "bus-info: 0000:3b:00.0",
    ]
    assert siov("ethtool", "-S", "ens1f0")[1] == "NIC statistics:\n     rx_bytes: 1500\n     tx_unicast: 1\n"
    ring = siov("ethtool", "-g", "ens1f0")[1]
    assert ring.startswith("Ring parameters for ens1f0:\nPre-set maximums:\nRX:\t\t\t8160\n")
    assert "Current hardware settings:\nRX:\t\t\t2048\n" in ring
    assert ring.endswith("TX:\t\t\t256\n")
    coalesce = siov("ethtool", "-c", "ens1f0")[1].splitlines()
    assert coalesce[1:] == ["Adaptive RX: on  TX: off", "rx-usecs: 50", "rx-usecs-high: 8"]
    assert siov("ethtool", "-n", "ens1f0")[1].splitlines()[2:] == [
        "Filter: 5",
        "\tflow-type: tcp4",
        "\tdst-port: 80",
        "\taction: 3",
    ]
    added = siov("ethtool", "-N", "ens1f0", "flow-type", "tcp4", "action", "3")[1]
    assert added == "Added rule with ID 5\n"


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
        ("ethtool -G ens1f0 rx", "rx has no value behind it"),
        ("ethtool -G ens1f0 rx many", "rx is a number, not 'many'"),
        ("ethtool -G ens1f0 rx 1 rx 2", "rx is there twice"),
        ("ethtool -G ens1f0 rx-mini 1", "'rx-mini' can't be set; there is rx, tx"),
        ("ethtool -C ens1f0 r/x 1", "'r/x' is no parameter's name"),
        ("ethtool -N ens1f0 proto tcp", "a rule begins with flow-type, or with delete"),
        ("ethtool -N ens1f0 delete", "delete takes one rule's location"),
        ("ethtool -N ens1f0 delete x", "delete is a number"),
        ("ethtool -N ens1f0 flow-type tcp4 m 5", "the mask 5 follows no field"),
        ("ethtool -N ens1f0 flow-type tcp4 dst-port 5 m 1 m 2", "the mask 2 follows no field"),
        ("ethtool -N ens1f0 flow-type tcp4 dst-port 5 dst-port 6", "dst-port is there twice"),
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
