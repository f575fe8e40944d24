"""An adapter's engine with nothing around it."""

from collections.abc import Callable

import pytest

from siov._core import Bus, Clock, HostMemory, Nic
from siov.hw.e810.config import compose_config


@pytest.fixture
def adapter_engine() -> Callable[[], Nic]:
    def make() -> Nic:
        memory = HostMemory(1 << 24)
        return Nic(compose_config(bytes([2, 0, 0, 0, 0, 1]), 0, 0).regs, Bus(memory), Clock(virtual=True))

    return make
