"""Host memory of more than 2 GiB: the rest lies from 4 GiB on, and registers between."""

import pytest

from siov.hw.memory import HIGH, LOW, HostDram
from siov.platform import build
from siov.scenario import parse

GIB = 1 << 30


def test_what_is_more_than_2_gib_begins_at_4_gib():
    assert HostDram(GIB).ranges == ((0, GIB),)
    assert HostDram(LOW).ranges == ((0, LOW),)
    memory = HostDram(5 * GIB)
    assert memory.ranges == ((0, LOW), (HIGH, 3 * GIB))
    for at in (0, LOW - 8, HIGH, HIGH + 3 * GIB - 8):
        assert memory.holds(at, 8)
        memory.write(at, at.to_bytes(8, "little"))
    for at in (LOW - 4, LOW, HIGH - 8, HIGH - 4, HIGH + 3 * GIB - 4):
        assert not memory.holds(at, 8)
        with pytest.raises(IndexError):
            memory.write(at, bytes(8))
    assert memory.read(HIGH, 8) == HIGH.to_bytes(8, "little")


def test_the_host_gives_out_all_of_it_and_the_cpu_reaches_it():
    platform = build(parse({"machine": {"memory": "5G"}}, "test"))
    platform.enumerate()
    memory = platform.memory
    assert memory is not None
    large = memory.alloc_pages(2 * GIB >> 12, "large", zero=False)
    assert large >= HIGH
    platform.root_complex.write(large + 4096, b"above")
    assert platform.root_complex.read(large + 4096, 5) == b"above"
    assert platform.root_complex.read(LOW, 4) == b"\xff" * 4  # nobody is there
    assert memory.free_pages == (3 * GIB - (16 << 20)) >> 12
