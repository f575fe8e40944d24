"""An eventfd of ours is one file of the process, whoever holds it; of a foreign one a file more is made."""

import os
import select
from pathlib import Path

from siov._core import Bus, EventFd, HostMemory


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def signal(bus: Bus) -> None:
    bus.message(0, 0xFEE0_0000, 0x40)


def test_a_vector_that_signals_it_needs_no_file_more():
    bus, before = Bus(HostMemory(0)), open_files()
    eventfd = EventFd()
    bus.connect(0, 0x40, eventfd.fileno())
    assert open_files() == before + 1
    signal(bus)
    assert eventfd.take()
    assert not eventfd.take()


def test_it_is_open_until_the_last_one_lets_go():
    bus, before = Bus(HostMemory(0)), open_files()
    eventfd = EventFd()
    number = eventfd.fileno()
    poll = select.poll()
    poll.register(number, select.POLLIN)
    bus.connect(0, 0x40, number)
    del eventfd
    signal(bus)
    assert poll.poll(0) == [(number, select.POLLIN)]
    assert bus.disconnect(0, 0x40)
    assert open_files() == before


def test_a_number_that_has_become_a_foreign_file_s_is_that_file():
    bus = Bus(HostMemory(0))
    ours = EventFd()
    number = ours.fileno()
    del ours
    foreign = os.eventfd(0, os.EFD_NONBLOCK)
    assert foreign == number
    bus.connect(0, 0x40, foreign)
    signal(bus)
    assert os.eventfd_read(foreign) == 1
    os.close(foreign)
    assert bus.disconnect(0, 0x40)
