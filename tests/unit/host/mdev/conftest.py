"""A host with an mdev parent of 8 queue pairs, and the trace of what happens on it."""

import pytest

from siov.host.core import DriverCore
from siov.host.linux import TraceEvent
from siov.host.mdev import MdevCore
from siov.host.sysfs import Sysfs

from .parent import Ops, PciDevice, plug


@pytest.fixture
def events() -> list[TraceEvent]:
    return []


@pytest.fixture
def mdev(events: list[TraceEvent]) -> MdevCore:
    return MdevCore(DriverCore(events.append)).register()


@pytest.fixture
def ops() -> Ops:
    return Ops()


@pytest.fixture
def pf(mdev: MdevCore, ops: Ops) -> PciDevice:
    return plug(mdev, ops)


@pytest.fixture
def sysfs(mdev: MdevCore, pf: PciDevice) -> Sysfs:
    return mdev.core.sysfs
