"""Metrics as Prometheus' own parser reads them, and what they say beside the inspect tree."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from siov.observe.counters import Snapshot
from siov.observe.metrics import Family, exposition
from siov.platform import Platform, build
from siov.scenario import parse

SCENARIO = {
    "name": 'a "name" with \\ and more',
    "machine": {"memory": "256M"},
    "iommu": {},
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {"name": "nic0", "behind": "rp0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01"}},
    ],
    "guest": [
        {"name": f"vm{n}", "memory": "16M", "vdevs": [{"parent": "nic0", "type": "vdcm-1"}]} for n in (1, 2)
    ],
    "traffic": [{"src": "vm1", "dst": "vm2", "sizes": [64], "count": 100}],
}


def parsed(text: str) -> dict[tuple[str, frozenset], float]:
    """Each sample by its name and labels; each is there once."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    found = {(s.name, frozenset(s.labels.items())): s.value for s in samples}
    assert len(found) == len(samples)
    return found


@pytest.fixture(scope="module")
def platform() -> Platform:
    platform = build(parse(SCENARIO, "test"))
    platform.boot()
    for _ in range(10_000):
        platform.tenants.step()
        platform.pump()
        if platform.tenants.done:
            break
    yield platform
    platform.unload()


@pytest.fixture
def samples(platform) -> dict[tuple[str, frozenset], float]:
    return parsed(exposition(platform))


def value(samples, name: str, **labels: str) -> float:
    [found] = [
        value for (told, of), value in samples.items() if told == name and labels.items() <= dict(of).items()
    ]
    return found


def test_every_family_has_help_and_type_and_a_name_of_ours(platform):
    text = exposition(platform)
    families = list(text_string_to_metric_families(text))
    assert len(families) > 50
    for family in families:
        assert re.fullmatch(r"siov_[a-z0-9_]+", family.name)
        assert family.documentation
        assert family.type in ("counter", "gauge")
        assert family.samples
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "all samples of a metric stand together"
    assert text.endswith("\n")


def test_counters_are_those_of_the_inspect_tree(platform, samples):
    tree = Snapshot.of(platform.inspect()).values
    for path, count in tree.items():
        above, _, name = path.rpartition("/")
        if path.startswith("hw/vtd0/counters/"):
            assert value(samples, f"siov_iommu_{name.removeprefix('iommu_')}_total", unit="vtd0") == count
        elif (found := re.search(r"nic0/engine/vsis/(\d+)$", above)) and name != "pasid":
            assert value(samples, f"siov_vsi_{name}_total", vsi=found[1]) == count
        elif above.endswith("host/iommu/queue/descriptors"):
            assert value(samples, "siov_iommu_invalidations_total", type=name) == count
    assert value(samples, "siov_vsi_rx_frames_total", guest="vm2.0") == 100
    assert value(samples, "siov_guest_rx_frames_total", guest="vm2.0") == 100
    assert value(samples, "siov_vsi_tx_frames_total", guest="vm1.0", nic="nic0", vsi="1", pasid="1") == 100
    assert value(samples, "siov_mdevs") == 2
    assert value(samples, "siov_nic_vsis", nic="nic0") == 3


def test_a_label_keeps_what_a_name_has_in_it(samples):
    assert value(samples, "siov_info", scenario=SCENARIO["name"]) == 1


@settings(max_examples=30)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=30))
def test_any_text_of_a_label_comes_back(text):
    family = Family("siov_test", "gauge", 'help \\ with "all"\nof it')
    family.add(1.5, name=text)
    assert parsed("\n".join(family.lines()) + "\n") == {("siov_test", frozenset({("name", text)})): 1.5}


def test_a_family_without_samples_is_not_there():
    assert list(Family("siov_test", "gauge", "help").lines()) == []


def test_a_server_without_adapter_unit_or_guest_has_metrics_too():
    bare = build(parse({"name": "bare"}, "test"))
    found = parsed(exposition(bare))
    assert value(found, "siov_info", scenario="bare") == 1
    assert not any(name.startswith(("siov_vsi", "siov_iommu", "siov_guest")) for name, _ in found)
