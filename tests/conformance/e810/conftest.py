"""Machines for the tests: with and without a remapping unit."""

import pytest

from conformance.wire import Wire

from .driver import E810Driver
from .machine import Machine
from .scene import Scene


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def machine(wire: Wire) -> Machine:
    return Machine(port=wire.near)


@pytest.fixture
def nic(machine: Machine) -> E810Driver:
    return E810Driver(machine)


@pytest.fixture
def guarded(wire: Wire) -> E810Driver:
    """An adapter behind a remapping unit in scalable mode."""
    return E810Driver(Machine(iommu=True, port=wire.near))


@pytest.fixture(params=[False, True], ids=["untranslated", "ats"])
def scene(request, wire):
    return Scene(wire, request.param)
