"""A whole server under watch, and the commands that ask a running one."""

import json
import tomllib

import pytest
import tshark

from siov.cli.main import main
from siov.control.server import ControlServer
from siov.host.pci import PciDriver, PciId
from siov.hw.e810.config import DEVICE_ID, VENDOR_ID
from siov.observe.counters import Snapshot, explain
from siov.observe.server import owner
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.e810 import Bar0
from siov.spec.pcie import Type0

SCENARIO = """
[iommu]
mode = "scalable"

[[root_port]]
name = "rp0"
at = "01.0"

[[function]]
name = "nic0"
behind = "rp0"
model = "e810"
nic = { mac = "02:00:00:00:00:01", port = { kind = "bridge", to = "b" } }

[[root_port]]
name = "rp1"
at = "02.0"

[[function]]
name = "nic1"
behind = "rp1"
model = "e810"
nic = { mac = "02:00:00:00:00:02", port = { kind = "bridge", to = "b" } }
"""


@pytest.fixture
def platform() -> Platform:
    return build(parse(tomllib.loads(SCENARIO) | {"name": "watched"}, "watched"))


@pytest.fixture
def running(platform) -> Platform:
    platform.enumerate()
    return platform


class Driver(PciDriver):
    name = "example"
    id_table = (PciId(VENDOR_ID, DEVICE_ID),)

    def probe(self, device):
        device.pcim_enable_device()
        device.iomap(0).readl(Bar0.GLGEN_RSTAT.at)


def test_the_start_of_a_server_reads_as_what_the_host_does(platform):
    platform.tracer.start()
    platform.enumerate()
    steps = platform.tracer.steps()
    assert platform.tracer.dropped == 0
    assert platform.watch.mmio.errors == 0
    kinds = {step.kind.value for step in steps}
    assert kinds >= {"config", "core", "register"}
    reads = [step for step in steps if step.subject == "nic0" and step.detail.startswith("VENDOR_ID")]
    assert reads[0].detail.startswith("VENDOR_ID = 0x")
    commands = [step.detail for step in steps if step.subject == "vtd0" and "GCMD" in step.detail]
    assert any("TE=1" in line for line in commands)
    assert any("SIRTP=1" in line for line in commands)


def test_a_drivers_probe_is_a_part_of_its_registration_and_has_its_register_accesses_in_it(running):
    running.tracer.start(["core", "pci", "register"])
    running.pci.pci_register_driver(Driver())
    steps = running.tracer.steps()
    depth = {step.what: step.depth for step in steps if step.kind.value != "register"}
    names = [step.what for step in steps]
    chain = ["driver_register", "bus_add_driver", "driver_probe_device", "really_probe", "call_driver_probe"]
    assert [names.index(name) for name in chain] == sorted(names.index(name) for name in chain)
    assert depth["really_probe"] > depth["driver_probe_device"] > depth["driver_register"]
    [read, *_] = [step for step in steps if step.kind.value == "register"]
    assert (read.subject, read.what) == ("nic0", "read")
    assert read.detail.startswith("GLGEN_RSTAT = ")
    assert read.depth > depth["call_driver_probe"]


def test_a_server_that_nobody_watches_has_the_hardwares_own_accesses_and_no_hook(running):
    assert running.watch.mmio.read == running.root_complex.read
    assert running.core.root.hook is None
    assert running.irqs.around is None
    assert running.tracer.recorded == 0


def test_what_happened_in_a_server_is_told_by_its_numbers(running):
    before = Snapshot.of(running.inspect(), running.clock.now())
    running.irqs.interrupt(0, 0xEE)
    after = Snapshot.of(running.inspect(), running.clock.now())
    changes = after.since(before)
    assert changes["host/irq/spurious"] == 1
    [row] = explain(changes)
    assert (row.where, row.what, row.count) == ("irq", "interrupts without a handler", 1)


def test_the_owner_of_a_vsi_is_the_device_whose_adi_has_its_number_and_pasid():
    class Adi:
        def __init__(self, vf_id, pasid):
            self.vf_id, self.pasid = vf_id, pasid

    class Ops:
        def __init__(self, *adi):
            self.adi = Adi(*adi)

    class Mdev:
        def __init__(self, name, ops):
            self.name, self.ops = name, ops

    mdevs = [Mdev("none", None), Mdev("one", Ops(5, 17)), Mdev("other", Ops(5, 18))]
    assert owner(mdevs, 5, 18) == "other"
    assert owner(mdevs, 6, 18) is None


# Commands.


@pytest.fixture
def siov(running, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "siov").mkdir()

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capsys.readouterr()
        return status, out, err

    with ControlServer(running, tmp_path / "siov/control.sock"):
        yield run


def test_a_trace_is_started_shown_and_stopped_from_outside(siov, running):
    assert siov("trace", "start", "--kind", "core", "--kind", "pci", "--capacity", "5000")[0] == 0
    running.pci.pci_register_driver(Driver())
    assert siov("trace", "stop")[0] == 0
    running.pci.find_device("0000:01:00.0").read_config(Type0.COMMAND, Type0.COMMAND.at)
    _, out, _ = siov("trace", "show")
    assert "driver_probe_device" in out
    _, out, _ = siov("trace", "show", "--kind", "pci", "--json", "--after", "1")
    steps = [json.loads(line) for line in out.splitlines()]
    assert steps
    assert all(step["kind"] == "pci" and step["number"] > 1 for step in steps)
    assert steps == [step for step in steps if step["number"] <= running.tracer.recorded]


def test_a_kind_that_there_is_not_is_refused_in_one_line(siov):
    status, _, err = siov("trace", "start", "--kind", "mailbx")
    assert status == 2
    assert err.startswith("siov: a trace has no steps of kind 'mailbx'; there are core, pci")
    assert len(err.splitlines()) == 1


@tshark.needed
def test_captures_are_begun_listed_and_ended_from_outside(siov, tmp_path):
    assert siov("capture", "list")[1] == "no capture runs\n"
    status, out, _ = siov("capture", "start", "nic*/port0", "a.pcapng")
    assert status == 0
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["nic0/port0", "0", "0", "0"],
        ["nic1/port0", "0", "0", "0"],
    ]
    assert siov("capture", "list")[1] == out
    assert siov("capture", "stop", "nic0/port0")[0] == 0
    assert len(siov("capture", "stop")[1].splitlines()) == 2
    about = tshark.about(tmp_path / "a.pcapng")
    assert "scenario: watched" in about
    assert "Name = nic1/port0" in about


def test_a_capture_of_nothing_is_refused_with_what_there_is(siov):
    status, _, err = siov("capture", "start", "nic9/port0", "a.pcapng")
    assert (status, err) == (
        2, "siov: there is nothing to capture at 'nic9/port0'; there is nic0/port0, nic1/port0\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("capture start nic0/vsi5 /a", 'platform.capture.start("nic0/vsi5", path="/a")'),
        ("capture list", "platform.capture.list()"),
        ("capture stop --file /a", 'platform.capture.stop(path="/a")'),
        ("trace start --kind core", 'platform.tracer.start(["core"])'),
        ("trace stop", "platform.tracer.stop()"),
        ("trace show --after 5", "platform.tracer.steps(5)"),
    ],
)
def test_each_command_prints_its_python(line, python, capsys, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    assert main([*line.split(), "--python"]) == 0
    assert capsys.readouterr().out == python + "\n"
