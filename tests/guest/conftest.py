"""Tests that boot Linux guests: all are marked `guest`, and all need the rig."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import served_vdevs

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[served_vdevs.Server]:
    """A server of virtual devices that runs by itself."""
    with served_vdevs.serve(tmp_path_factory.mktemp("vdevs")) as server:
        yield server


@pytest.fixture(scope="module")
def pair(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[served_vdevs.Pair]:
    """A server with two guests that have a link."""
    with served_vdevs.pair(rig, tmp_path_factory.mktemp("pair")) as pair:
        yield pair
