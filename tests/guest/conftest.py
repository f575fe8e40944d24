"""Tests that boot Linux guests: all are marked `guest`, and all need the rig."""

import os
from pathlib import Path

import pytest

from siov.errors import RigError
from siov.guests.image import Rig

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.guest)


@pytest.fixture(scope="session")
def rig() -> Rig:
    """The rig that `siov vm fetch` has built; without one the tests fail in CI and are skipped elsewhere."""
    try:
        return Rig.find()
    except RigError as error:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"guest tests must run in CI: {error}", pytrace=False)
        pytest.skip(str(error))
