"""A scenario's address spaces: the host maps them, the unit translates, and siov explain tells how."""

import json
from pathlib import Path

import pytest

from siov.cli.main import main
from siov.errors import ScenarioError
from siov.observe.explain import as_json, memory_reads
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.pcie import Type0
from siov.spec.vtd import FaultReason

IOVA = 0x4000_0000
SCENARIO = {
    "name": "spaces",
    "machine": {"memory": "256M"},
    "root_port": [{"name": "rp", "at": "01.0"}],
    "function": [
        {"name": name, "behind": "rp", "at": f"00.{n}", "pasid": 20} for n, name in enumerate(("a", "b", "c"))
    ],
    "iommu": {"iotlb": {"sets": 1, "ways": 4}},
    "space": [
        {"function": "a", "stage": "second", "iova": IOVA, "size": "64K"},
        {"function": "b", "stage": "first", "iova": IOVA, "size": "2M"},
        {"function": "b", "pasid": 17, "stage": "nested", "iova": IOVA, "size": "4K"},
    ],
}


def server(**changes: object) -> Platform:
    platform = build(parse({**SCENARIO, **changes}, "test"))
    platform.enumerate()
    for function in platform.functions.values():
        function.config.update(Type0.COMMAND, BME=1)
    return platform


@pytest.fixture
def platform() -> Platform:
    return server()


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_functions_dma_lands_in_the_memory_that_was_mapped_for_it(platform: Platform, name: str) -> None:
    function = platform.functions[name]
    space = next(space for space in platform.spaces if space.spec.function == name)
    function.dma_write(IOVA + 0xFFE, b"across pages")
    assert platform.root_complex.read(space.memory + 0xFFE, 12) == b"across pages"
    assert function.dma_read(IOVA + 0xFFE, 12) == b"across pages"


def test_a_function_reaches_nothing_but_its_own_space(platform: Platform) -> None:
    function, other = platform.functions["a"], platform.spaces[1]
    before = platform.root_complex.read(other.memory, 16)
    for address in (0, other.memory, IOVA - 4, IOVA + (64 << 10)):
        function.dma_write(address, b"xxxx")
        assert function.dma_read(address, 4) is None
    assert platform.root_complex.read(other.memory, 16) == before
    assert platform.functions["b"].dma_read(IOVA, 4) == bytes(4)


def test_a_function_without_a_space_is_refused_and_the_host_reads_why(platform: Platform) -> None:
    stranger = platform.functions["c"]
    assert stranger.dma_read(IOVA, 4) is None
    assert platform.iommu is not None
    (fault,) = platform.iommu.faults.last
    assert (fault.reason, fault.rid) == (FaultReason.SCT_2, int(stranger.bdf))


def test_what_is_unmapped_can_not_be_reached_once_unmap_has_returned(platform: Platform) -> None:
    function, space = platform.functions["a"], platform.spaces[0]
    assert function.dma_read(IOVA, 4) == bytes(4)  # the IOTLB knows the page now
    assert space.domain.unmap(IOVA, 0x1000) == 0x1000  # type: ignore[attr-defined]
    assert function.dma_read(IOVA, 4) is None
    assert function.dma_read(IOVA + 0x1000, 4) == bytes(4)


def test_a_cold_nested_walk_over_small_pages_is_told_entry_by_entry(platform: Platform) -> None:
    space = platform.spaces[2]
    engine = platform.root_complex.units[0].engine
    result, steps = engine.explain(space.rid, 17, IOVA + 0x123, "w")
    assert result["hpa"] == space.memory + 0x123
    told = as_json(result, steps)
    assert told["memory_reads"] == memory_reads(steps) == sum("fields" in step for step in told["steps"])
    pasid = next(step for step in told["steps"] if step.get("table") == "PasidTableEntry")
    assert (pasid["index"], pasid["fields"]["PGTT"]) == (17, "NESTED")
    assert [s["level"] for s in told["steps"] if s.get("table") == "first-stage"] == [4, 3, 2, 1]
    result, steps = engine.explain(space.rid, 17, IOVA + 0x456, "w")
    assert (result["hpa"], memory_reads(steps)) == (space.memory + 0x456, 0)


def test_legacy_mode_translates_the_same(tmp_path: Path) -> None:
    platform = server(iommu={"mode": "legacy"}, space=SCENARIO["space"][:1])
    platform.functions["a"].dma_write(IOVA, b"legacy")
    assert platform.root_complex.read(platform.spaces[0].memory, 6) == b"legacy"
    assert platform.functions["b"].dma_read(IOVA, 4) is None


def test_explain_prints_the_walk_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "dma", "--rid", "01:00.0", "--pasid", "17", "--iova", "0x40000010"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "PasidTableEntry [17]" in text
    assert "IOTLB: miss" in text
    assert "host physical address 0x" in text
    assert main([*words, "--warm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory_reads"] == 0
    assert main([*words[:-1], "0x10"]) == 0
    assert "fault 0x71 SFS.2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"iommu": None}, "needs a remapping unit"),
        ({"space": [{"function": "z"}]}, "there is no such function; have a, b, c"),
        ({"iommu": {"mode": "legacy"}}, "needs scalable mode, not legacy"),
        ({"space": [{"function": "a", "iova": 12}]}, "whole pages"),
        ({"iommu": {"iotlb": "huge"}}, "iotlb"),
        ({"iommu": {"iotlb": {"ways": 0}}}, "ways"),
    ],
)
def test_a_space_that_can_not_be_is_refused_in_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence):
        parse({**SCENARIO, **change}, "test")


def test_explain_of_a_server_without_a_unit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bare.toml"
    path.write_text('name = "bare"\n')
    assert main(["explain", "dma", str(path), "--rid", "00:01.0", "--iova", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
