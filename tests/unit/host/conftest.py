"""A machine with a unit that is on, and nothing behind it."""

import pytest

from siov.host.iommu import IntelIommu
from siov.host.physmem import PhysMem

from .machine import RAM_BASE, UNIT_BASE, Machine


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def mem(machine: Machine) -> PhysMem:
    return PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)


@pytest.fixture
def iommu(machine: Machine, mem: PhysMem) -> IntelIommu:
    unit = IntelIommu(mem, UNIT_BASE, polls=50)
    unit.enable()
    machine.taken()
    return unit


@pytest.fixture
def legacy(machine: Machine, mem: PhysMem) -> IntelIommu:
    unit = IntelIommu(mem, UNIT_BASE, scalable=False, polls=50)
    unit.enable()
    machine.taken()
    return unit
