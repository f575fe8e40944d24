"""The bus in the machine: messages reach handlers and eventfds, by an access or by the service."""

import os
from threading import Event

import pytest

from siov._core import Bus, HostMemory, RemappingUnit
from siov.hw.pcie.interrupts import InterruptService
from siov.platform import Platform, build

RID = 0x100


@pytest.fixture
def platform() -> Platform:
    return build()


def message(destination: int = 0) -> int:
    return 0xFEE0_0000 | destination << 12


def test_a_message_of_the_core_s_functions_runs_its_handler_with_the_next_access(platform):
    ran = []
    irq = platform.irqs.request_irq(lambda: ran.append(1), "nic")
    platform.root_complex.core.message(RID, irq.address, irq.data)
    assert ran == []
    platform.enumerate()
    assert ran == [1]


def test_the_service_runs_handlers_while_nobody_accesses_the_machine(platform):
    ran = Event()
    irq = platform.irqs.request_irq(ran.set, "nic")
    with InterruptService(platform.root_complex):
        platform.root_complex.core.message(RID, irq.address, irq.data)
        assert ran.wait(10)
    assert platform.irqs.counts[irq] == 1


def test_a_connected_vector_signals_its_eventfd_and_no_handler(platform):
    core = platform.root_complex.core
    fd = os.eventfd(0)
    core.connect(3, 0x41, fd)
    for _ in range(2):
        core.message(RID, message(3), 0x41)
    platform.root_complex.settle()
    assert os.eventfd_read(fd) == 2
    assert platform.irqs.spurious == 0
    assert core.inspect() == {"connected": 1, "pending": 0, "lost": 0}
    assert core.disconnect(3, 0x41)
    core.message(RID, message(3), 0x41)
    assert core.take() == [(3, 0x41, 1)]
    os.close(fd)


def test_only_an_eventfd_can_be_connected():
    bus = Bus(HostMemory(0))
    with open(os.devnull) as file, pytest.raises(ValueError, match="not an eventfd"):
        bus.connect(0, 0x41, file.fileno())
    with pytest.raises(OSError, match="file 12345"):
        bus.connect(0, 0x41, 12345)


def test_waiting_ends_with_the_time_or_with_a_vector():
    bus = Bus(HostMemory(0))
    assert not bus.wait(0)
    bus.message(RID, message(), 0x41)
    assert bus.wait(60)
    with pytest.raises(ValueError, match="no time to wait"):
        bus.wait(-1)


def test_a_scope_of_a_unit_that_there_is_not_is_refused():
    memory = HostMemory(0)
    bus = Bus(memory)
    assert bus.add_unit(RemappingUnit(memory), {RID}) == 0
    with pytest.raises(IndexError, match="no remapping unit 1"):
        bus.set_scope(1, None)
