"""A container on the real unit: what a device with its PASID reaches, and until when, its caches warm."""

from typing import Any

import pytest

from siov.host.pgtable import Prot
from siov.host.vfio import VfioContainer
from siov.platform import Platform, build
from siov.scenario import parse

KIB4 = 4096


@pytest.fixture
def platform() -> Platform:
    """A server with an adapter, and a PASID that the scenario has given away."""
    built = build(
        parse(
            {
                "iommu": {"mode": "scalable"},
                "root_port": [{"name": "rp0", "at": "01.0"}],
                "function": [
                    {"name": "nic0", "behind": "rp0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01"}}
                ],
                "space": [{"function": "nic0", "pasid": 1, "stage": "second", "size": "4K"}],
            },
            "test",
        )
    )
    built.enumerate()
    return built


@pytest.fixture
def container(platform: Platform) -> VfioContainer:
    assert platform.iommu is not None
    return VfioContainer(platform.iommu, platform.pasids)


def reach(platform: Platform, pasid: int, address: int, access: str = "r") -> int | None:
    (unit,) = platform.root_complex.units
    rid = int(platform.functions["nic0"].bdf)
    result: dict[str, Any] = unit.engine.translate(rid, pasid, address, access)
    return result.get("hpa")


def test_a_pasid_that_the_scenario_gave_away_is_not_given_out_again(platform, container):
    assert container.attach(int(platform.functions["nic0"].bdf)) != 1


def test_a_device_reaches_what_is_mapped_as_it_may_and_nothing_once_it_is_unmapped(platform, container):
    memory = platform.memory.alloc_pages(2, "guest")
    pasid = container.attach(int(platform.functions["nic0"].bdf))
    container.dma_map(0x10_0000, memory, KIB4)
    container.dma_map(0x10_1000, memory + KIB4, KIB4, Prot.READ)
    for _ in range(2):  # the second time out of the unit's caches
        assert reach(platform, pasid, 0x10_0010, "w") == memory + 0x10
        assert reach(platform, pasid, 0x10_1010) == memory + KIB4 + 0x10
        assert reach(platform, pasid, 0x10_1010, "w") is None
    container.dma_unmap(0x10_0000, KIB4)
    assert reach(platform, pasid, 0x10_0010, "w") is None
    assert reach(platform, pasid, 0x10_1010) == memory + KIB4 + 0x10


def test_two_containers_reach_different_memory_at_the_same_address(platform, container):
    rid = int(platform.functions["nic0"].bdf)
    other = VfioContainer(platform.iommu, platform.pasids)
    pages = [platform.memory.alloc_page("guest") for _ in range(2)]
    for each, page in zip((container, other), pages, strict=True):
        each.dma_map(0, page, KIB4)
    pasids = [each.attach(rid) for each in (container, other)]
    assert [reach(platform, pasid, 0) for pasid in pasids] == pages
    container.detach(pasids[0])
    assert [reach(platform, pasid, 0) for pasid in pasids] == [None, pages[1]]
