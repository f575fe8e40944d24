"""NICs in a scenario."""

from typing import Any

import pytest

from siov._core import Clock
from siov.errors import ScenarioError
from siov.hw.e810.function import E810Function
from siov.nics import Nics, plug
from siov.scenario import Scenario, parse
from siov.spec.pcie import ExpressType

from .fake import FakeEngine


def scenario(*nics: dict[str, Any], **function: Any) -> Scenario:
    described = [
        {"name": f"nic{n}", "at": f"{n + 1:02x}.0", "model": "e810", "nic": nic, **function}
        for n, nic in enumerate(nics)
    ]
    return parse({"function": described}, "test")


def nic(n: int = 1, **keys: Any) -> dict[str, Any]:
    return {"mac": f"02:00:00:00:00:{n:02x}", **keys}


def test_a_nic_needs_an_address_and_nothing_else():
    found = scenario(nic()).function[0].nic
    assert found is not None
    assert (found.mac.hex(), found.ims, found.workers, found.port.kind) == ("020000000001", 0, 1, "none")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mac": "01:00:00:00:00:01"}, "no address of a NIC"),
        ({"mac": "02:00:00:00:00"}, "no address of a NIC"),
        ({"mac": 5}, "no address of a NIC"),
        ({"ims": 16385}, "16384"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"port": {"kind": "cable"}}, "kind cable needs to"),
        ({"port": {"kind": "none", "to": "x"}}, "kind none takes no to"),
        ({"port": {"kind": "pcap"}}, "needs read, write or both"),
        ({"port": {"kind": "dgram", "path": "x"}}, "kind dgram needs peer"),
        ({"port": {"speed": 7}}, "port.speed"),
        ({"atc": "on"}, "atc"),
    ],
)
def test_what_can_not_be_is_refused_by_name(keys: dict[str, Any], message: str):
    with pytest.raises(ScenarioError, match=message):
        scenario(nic(**keys))


def test_a_nic_brings_its_own_identity():
    with pytest.raises(ScenarioError, match="the NIC is as it is: leave out device"):
        scenario(nic(), device=0x1593)


def test_only_a_function_of_the_model_is_a_nic():
    with pytest.raises(ScenarioError, match="nic needs model"):
        scenario(nic(), model="memory")
    with pytest.raises(ScenarioError, match="needs an address"):
        parse({"function": [{"name": "nic0", "at": "01.0", "model": "e810"}]}, "test")


def test_a_cable_joins_two_ports():
    ends = plug(scenario(*(nic(n, port={"kind": "cable", "to": "c0"}) for n in (1, 2))), Clock(virtual=True))
    ends["nic0"].send(bytes(60))
    assert ends["nic1"].receive() == [bytes(60)]


def test_a_cable_with_one_end_is_refused():
    with pytest.raises(ScenarioError, match="the cable c0 has two ends, but is plugged into nic0"):
        plug(scenario(nic(port={"kind": "cable", "to": "c0"})), Clock(virtual=True))


def test_a_bridge_joins_as_many_ports_as_name_it():
    ports = plug(
        scenario(*(nic(n, port={"kind": "bridge", "to": "br0"}) for n in (1, 2, 3))), Clock(virtual=True)
    )
    assert sorted(ports) == ["nic0", "nic1", "nic2"]
    assert ports["nic0"].kind == "bridge"


def test_a_nic_is_built_as_the_scenario_says():
    made = scenario(nic(ims=16, flows_guaranteed=10, flows_best_effort=20, port={"speed": 25000}))
    nics = Nics(lambda spec, config, port: FakeEngine(config), Clock(virtual=True))
    function = nics.build(made.function[0], ExpressType.RCIEP)
    assert isinstance(function, E810Function)
    assert function.bars[0].size == 256 << 20
    assert function.firmware.settings.flows == (10, 20)
    assert function.firmware.link.speed == 25000
