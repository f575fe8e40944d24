"""A device whose PF answers, and the driver on it."""

from __future__ import annotations

import pytest

from siov.drivers.iavf import Iavf

from .fake import FakeRings, FakeVdev


@pytest.fixture
def vdev() -> FakeVdev:
    return FakeVdev()


@pytest.fixture
def rings() -> FakeRings:
    return FakeRings()


@pytest.fixture
def iavf(vdev: FakeVdev, rings: FakeRings) -> Iavf:
    return Iavf(vdev, rings)
