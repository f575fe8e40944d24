"""Captures by name: which targets, which file, who is behind a VSI; with adapters that only pretend."""

import pytest
import tshark

from siov._core import Clock
from siov.observe.capture import CaptureError, CaptureManager, VsiInfo

UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"


class Adapter:
    """Keeps what is captured; describes the interface in the file, as a real one does."""

    def __init__(self, real, *vsis):
        self.real, self.vsis = real, vsis
        self.running = []

    def capture(self, target, writer, *, name=None, description=None, comment=None, drops=False):
        self.real.capture(target, writer, name=name, description=description, drops=drops)
        self.running.append((target, name, description, drops))

    def capture_stop(self, target, writer=None):
        assert writer is not None
        self.running = [one for one in self.running if one[0] != target]
        return self.real.capture_stop(target, writer)

    def inspect(self):
        return {"vsis": {vsi: {} for vsi in self.vsis}}


@pytest.fixture
def adapters(adapter_engine):
    return {"nic0": Adapter(adapter_engine(), 0, 5), "nic1": Adapter(adapter_engine(), 5)}


@pytest.fixture
def captures(adapters):
    def about(nic, vsi):
        return VsiInfo(17, UUID) if (nic, vsi) == ("nic0", 5) else VsiInfo()

    return CaptureManager(lambda: adapters, Clock(virtual=True), "scenario first", about)


def names(adapters):
    return {nic: [one[1] for one in adapter.running] for nic, adapter in adapters.items() if adapter.running}


def test_a_name_a_pattern_or_a_uuid_says_what_is_captured(captures, adapters, tmp_path):
    path = str(tmp_path / "a.pcapng")
    captures.start("nic0/vsi0", path)
    assert names(adapters) == {"nic0": ["nic0/vsi0"]}
    captures.start(UUID.upper(), path)
    assert names(adapters)["nic0"] == ["nic0/vsi0", "nic0/vsi5"]
    captures.start("nic1/*", path)
    assert names(adapters)["nic1"] == ["nic1/port0", "nic1/vsi5"]
    assert [one.target for one in captures.list()] == ["nic0/vsi0", "nic0/vsi5", "nic1/port0", "nic1/vsi5"]


def test_interfaces_of_one_file_are_told_with_pasid_and_vdev(captures, adapters, tmp_path):
    path = str(tmp_path / "a.pcapng")
    captures.start("*", path, drops=True)
    assert adapters["nic0"].running[-1] == (("vsi", 5), "nic0/vsi5", f"PASID 17, vdev {UUID}", True)
    assert len(captures.inspect()[path]["interfaces"]) == 5


@tshark.needed
def test_wireshark_shows_the_scenario_and_every_interface(captures, tmp_path):
    path = tmp_path / "a.pcapng"
    captures.start("*", str(path))
    captures.stop()
    about = tshark.about(path)
    assert "scenario first" in about
    assert "Name = nic0/vsi5" in about
    assert f"Description = PASID 17, vdev {UUID}" in about


def test_a_target_that_there_is_not_is_refused_with_those_there_are(captures, adapters, tmp_path):
    with pytest.raises(CaptureError, match=r"'nic0/vsi9'; there is nic0/port0, nic0/vsi0, nic0/vsi5"):
        captures.start("nic0/vsi9", str(tmp_path / "a.pcapng"))
    assert list(tmp_path.iterdir()) == []


def test_a_target_is_in_a_file_once_but_may_be_in_two(captures, tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    captures.start("nic0/vsi5", one)
    with pytest.raises(CaptureError, match="has nic0/vsi5 already"):
        captures.start("nic0/*", one)
    captures.start("nic0/vsi5", two)
    captures.stop("nic0/vsi5", one)
    assert [(one.target, one.path) for one in captures.list()] == [("nic0/vsi5", two)]


def test_a_file_that_cannot_be_written_is_refused_with_its_name(captures, adapters, tmp_path):
    with pytest.raises(CaptureError, match=r"can't capture into .*nowhere/a"):
        captures.start("*", str(tmp_path / "nowhere" / "a"))
    assert names(adapters) == {}
    assert captures.list() == []


def test_the_last_interface_closes_the_file(captures, tmp_path):
    path = str(tmp_path / "a.pcapng")
    captures.start("nic0/*", path)
    captures.stop("nic0/port0")
    assert path in captures.inspect()
    ended = captures.stop()
    assert [one.target for one in ended] == ["nic0/vsi0", "nic0/vsi5"]
    assert captures.inspect() == {}
    captures.start("nic0/port0", path)
    assert len(captures.inspect()[path]["interfaces"]) == 1, "a new file, begun anew"


def test_stopping_what_does_not_run_is_refused_with_what_does(captures, tmp_path):
    captures.start("nic1/vsi5", str(tmp_path / "a"))
    with pytest.raises(CaptureError, match=r"no capture of nic0/\* runs; there is nic1/vsi5 in "):
        captures.stop("nic0/*")


def test_an_adapter_that_is_gone_ends_its_captures_without_a_word(captures, adapters, tmp_path):
    captures.start("nic1/vsi5", str(tmp_path / "a"))
    del adapters["nic1"]
    assert [one.target for one in captures.stop()] == ["nic1/vsi5"]


def test_the_file_takes_no_more_than_its_limit(captures, tmp_path):
    captures.start("nic0/vsi5", str(tmp_path / "a"), limit=4096)
    [info] = captures.inspect().values()
    assert info["limit"] == 4096
