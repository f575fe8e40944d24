import pytest

from .rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()
