"""Machines for the tests: with and without a remapping unit."""

import pytest

from siov._core import Port

from .driver import E810Driver
from .machine import Machine
from .scene import Scene


class Wire:
    """The far end of the cable that the adapter's port is plugged into."""

    def __init__(self) -> None:
        self.near, self.far = Port.cable()

    def send(self, machine: Machine, *frames: bytes) -> None:
        for frame in frames:
            assert self.far.send(frame)
        machine.pump()

    def take(self) -> list[bytes]:
        return self.far.receive(1024)


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
