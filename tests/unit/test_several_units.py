"""Several remapping units in one machine: each serves its scope, with tables and faults of its own."""

import pytest

from siov.host.iommu.cache import Stage
from siov.host.iommu.iommu import IntelIommu
from siov.host.physmem import PhysMem
from siov.hw.memory import HostDram
from siov.hw.vtd import RemappingUnit
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.pcie import Type0

IOVA, SIZE = 0x10_0000, 0x1000
BASES = (0xFED9_0000, 0xFED9_1000)
MEMORY = 64 << 20


@pytest.fixture
def platform() -> Platform:
    scenario = {
        "machine": {"memory": "128M"},
        "root_port": [{"name": "rp", "at": "01.0"}],
        "function": [{"name": n, "behind": "rp", "at": f"00.{i}"} for i, n in enumerate("abc")],
    }
    platform = build(parse(scenario, "test"))
    platform.enumerate()
    for function in platform.functions.values():
        function.config.update(Type0.COMMAND, BME=1)
    assert isinstance(platform.root_complex.memory, HostDram)
    for name, base in zip("ab", BASES, strict=True):
        unit = RemappingUnit.build(f"vtd-{name}", base, platform.root_complex.memory.core)
        unit.scope = frozenset({int(platform.functions[name].bdf)})
        platform.root_complex.add_unit(unit)
    return platform


def start(platform: Platform, number: int) -> tuple[IntelIommu, int]:
    """The host's driver for one unit, and the memory that it has mapped for the function in its scope."""
    memory = PhysMem(platform.root_complex, (16 << 20) + number * (32 << 20), 32 << 20)
    iommu = IntelIommu(memory, BASES[number], name=f"dmar{number}")
    iommu.enable()
    rid = int(platform.functions["ab"[number]].bdf)
    iommu.add_device(rid)
    domain = iommu.alloc_domain(Stage.SECOND)
    page = memory.alloc_page("test")
    domain.map(IOVA, page, SIZE)
    iommu.attach(domain, rid)
    return iommu, page


def test_each_unit_translates_its_own_scope_by_its_own_tables(platform: Platform) -> None:
    pages = [start(platform, number)[1] for number in (0, 1)]
    for name in "ab":
        platform.functions[name].dma_write(IOVA, name.encode() * 4)
    assert [platform.root_complex.read(page, 4) for page in pages] == [b"aaaa", b"bbbb"]


def test_a_unit_that_is_off_leaves_its_scope_untranslated_and_the_other_alone(platform: Platform) -> None:
    _, page = start(platform, 0)
    platform.functions["b"].dma_write(MEMORY, b"host")
    assert platform.root_complex.read(MEMORY, 4) == b"host"
    platform.functions["a"].dma_write(IOVA, b"mine")
    assert platform.root_complex.read(page, 4) == b"mine"


def test_a_function_in_no_scope_uses_the_addresses_of_the_host(platform: Platform) -> None:
    for number in (0, 1):
        start(platform, number)
    platform.functions["c"].dma_write(MEMORY, b"host")
    assert platform.root_complex.read(MEMORY, 4) == b"host"


def test_a_fault_is_recorded_by_the_unit_whose_scope_it_is_in(platform: Platform) -> None:
    first, second = start(platform, 0)[0], start(platform, 1)[0]
    assert platform.functions["b"].dma_read(IOVA + SIZE, 4) is None
    assert first.faults.drain() == []
    (fault,) = second.faults.drain()
    assert fault.rid == int(platform.functions["b"].bdf)
