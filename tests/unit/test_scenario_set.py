"""Keys of a scenario set from outside: what a path leads to, what a value is, what is refused."""

import tomllib
from typing import Any

import pytest

from siov.errors import ScenarioError
from siov.platform import BUILT_IN
from siov.scenario import Scenario, parse
from siov.scenario_set import apply


def first(*settings: str) -> Scenario:
    return parse(apply(tomllib.loads(BUILT_IN.read_text()), settings), "first.toml")


def read(scenario: Scenario, path: str) -> Any:
    """What a path of attributes and positions leads to."""
    found: Any = scenario
    for step in path.split("."):
        found = found[int(step)] if step.isdecimal() else getattr(found, step)
    return found


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("machine.memory=2G", "machine.memory", 2 << 30),
        ("name=other", "name", "other"),
        ('name = "other"', "name", "other"),
        ("iommu.caching_mode=true", "iommu.caching_mode", True),
        ("iommu.iotlb.sets=8", "iommu.iotlb.sets", 8),
        ("iommu.iotlb=off", "iommu.iotlb", "off"),
        ("traffic.0.rate=1000", "traffic.0.rate", 1000),
        ("traffic.1.sizes=[100, 200]", "traffic.1.sizes", (100, 200)),
        ("traffic=[]", "traffic", ()),
        ("function.1.nic.workers=2", "function.1.nic.workers", 2),
        ("function.nic1.nic.workers=2", "function.1.nic.workers", 2),
        ("nic1.nic.workers=2", "function.1.nic.workers", 2),
        ("nic0.nic.atc=off", "function.0.nic.atc", "off"),
        ("nic0.nic.mac=02:00:00:00:00:01", "function.0.nic.mac", b"\2\0\0\0\0\1"),
        ("vm1.vdevs.1.queues=2", "guest.0.vdevs.1.queues", 2),
        ("rp0.slot=0x10", "root_port.0.slot", 16),
        ("rp0.at=01.0", "root_port.0.at", (1, 0)),
        ("rp0.at=1.0", "root_port.0.at", (1, 0)),
        ("event=[{ at = '1s', kind = 'link-down', adapter = 'nic0' }]", "event.0.at", 1.0),
        ("machine={ cpus = 4 }", "machine.cpus", 4),
    ],
)
def test_a_path_leads_to_a_key_and_its_value_is_one_of_toml_or_bare_text(setting, path, value):
    assert read(first(setting), path) == value


def test_the_last_of_several_settings_of_a_key_holds_and_each_sees_those_before():
    scenario = first(
        "iommu.iotlb.ways=2", "iommu.iotlb.sets=4", "iommu.iotlb.ways=1", "vm0.name=x", "x.page=2M"
    )
    assert (scenario.iommu.iotlb.sets, scenario.iommu.iotlb.ways) == (4, 1)
    assert (scenario.vm[0].name, scenario.vm[0].page) == ("x", "2M")


def test_a_word_in_a_table_s_place_gives_way_to_the_table():
    assert first("nic0.nic.atc=off", "nic0.nic.atc.ways=2").function[0].nic.atc.ways == 2


def test_what_was_read_is_left_as_it_was():
    data = tomllib.loads(BUILT_IN.read_text())
    apply(data, ["traffic.0.rate=1", "machine.memory=64M", "nic0.nic.atc=off"])
    assert data == tomllib.loads(BUILT_IN.read_text())


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("nothing=1", "there is no nothing: keys are name, machine, root_port"),
        ("nothing=1", "parts are rp0, rp1, sw0, nic0, nic1"),
        ("iommu.colour=1", "--set iommu.colour=1: colour is no known key; there are mode, haw"),
        ("iommu.haw.x=1", "haw is no table, so nothing is below it"),
        ("traffic.9.rate=1", "there is no traffic.9; there are 0, 1, 2"),
        ("traffic.rate=1", "there is no traffic.rate; there are 0, 1, 2"),
        ("function.nic7.at=1", "there is no function.nic7; there are nic0, nic1"),
        ("vm1.vdevs.7.queues=1", "there is no vdevs.7; there are 0, 1"),
        ("event.0.at=1", "there is no event.0; there are none"),
        ("iommu", "--set iommu: write KEY=VALUE, such as iommu.iotlb.sets=8"),
        ("=1", "write KEY=VALUE"),
        ("iommu.iotlb.sets=0", "first.toml: iommu.iotlb.sets: Input should be greater than or equal to 1"),
        ("traffic.0.rate=fast", "traffic[0].rate: Input should be a valid integer"),
        ("traffic.0.rate=1\nflows = 2", "traffic[0].rate: Input should be a valid integer"),
    ],
)
def test_what_leads_nowhere_or_is_out_of_range_is_refused_with_the_choices(setting, sentence):
    with pytest.raises(ScenarioError) as refused:
        first(setting)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
