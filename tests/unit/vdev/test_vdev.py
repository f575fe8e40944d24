"""siov._core.Vdev: what Python gives it and gets from it; what accesses do is claimed in Rust."""

import errno

import pytest

from siov._core import Bus, HostMemory, RegFile, Vdev
from siov.drivers.ice.config import AVF, SIOV, compose_config

KEPT = ("shadow", 0x100, 2, 4, 7, 0xFF, False, True)
CAUSES = ("shadow", 0x200, 1, 4, 0, 0, True, False)


@pytest.fixture
def bus() -> Bus:
    return Bus(HostMemory(1 << 30))


def make(bus: Bus, *traps: tuple, **more) -> Vdev:
    config = RegFile(AVF.config_size, list(compose_config(AVF, 5)))
    return Vdev(config, bus, bar0_size=0x10000, traps=traps or (KEPT, CAUSES), **more)


def test_regions_have_the_sizes_of_their_parts(bus):
    plain, whole = make(bus), make(bus, msix=(0x4000, 5))
    assert [plain.region_size(n) for n in range(9)] == [0x10000, 0, 0, 0, 0, 0, 0, 0x1000, 0]
    assert whole.region_size(3) == 0x4000


@pytest.mark.parametrize(
    ("region", "offset", "size"),
    [(0, 0xFFFE, 4), (0, 1 << 63, 4), (0, 0, 0x10001), (0, 0, 1 << 62), (1, 0, 4), (3, 0, 4), (9, 0, 0)],
)
def test_an_access_outside_is_an_oserror_that_says_where(bus, region, offset, size):
    vdev = make(bus)
    with pytest.raises(OSError, match="region") as caught:
        vdev.region_read(region, offset, size)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="region"):
        vdev.region_write(region, offset, bytes(min(size, 0x10001)) or b"x")


def test_where_nothing_answers_on_the_bus_reads_give_all_ones_and_a_reset_is_in_progress(bus):
    vdev = make(bus, ("forward", 0, 1, 4, 0x1000, 0x1000, 0), ("rstat", 0x8800, 0x2000))
    assert vdev.region_read(0, 0, 4) == b"\xff" * 4
    vdev.region_write(0, 0, bytes(4))
    assert vdev.region_read(0, 0x8800, 4) == bytes(4)


@pytest.mark.parametrize(
    ("trap", "sentence"),
    [
        (("snare", 0), "forward, rstat and shadow"),
        (("rstat", 2, 0), "aligned"),
        (("rstat", 0x10000, 0), "leaves BAR 0"),
        (("shadow", 0x100, 1, 4, 0, 0, False, False), "overlaps"),
    ],
)
def test_a_trap_that_can_t_be_is_a_valueerror(bus, trap, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(bus, KEPT, trap)


def test_the_states_are_three_and_others_are_refused(bus):
    vdev = make(bus)
    for state in ("disabled", "resetting", "active"):
        vdev.set_state(state)
        assert vdev.state == state
    with pytest.raises(ValueError, match="active, resetting and disabled"):
        vdev.set_state("asleep")


def test_kept_registers_are_seen_and_set_by_offset(bus):
    vdev = make(bus)
    vdev.or_shadow(0x200, 1 << 30)
    assert vdev.shadow(0x200) == 1 << 30, "the host's look clears nothing"
    assert vdev.region_read(0, 0x200, 4) == (1 << 30).to_bytes(4, "little")
    assert vdev.shadow(0x200) == 0
    vdev.set_shadow(0x104, 0x1234)
    assert vdev.shadow(0x104) == 0x1234, "no mask holds the host back"
    for act in (lambda: vdev.shadow(0x108), lambda: vdev.set_shadow(0x108, 0), lambda: vdev.or_shadow(1, 1)):
        with pytest.raises(ValueError, match="no shadow register"):
            act()


def test_the_bell_raises_a_vector_of_a_cpu_once_until_notices_are_taken(bus):
    vdev = make(bus, bell=(3, 0x41))
    vdev.region_write(0, 0x100, b"\xff\xff\xff\xff")
    vdev.region_write(0, 0x104, b"\x01\0\0\0")
    assert bus.take() == [(3, 0x41, 1)]
    assert vdev.take_notices() == (False, [(0x100, 0xFF), (0x104, 1)])
    assert vdev.take_notices() == (False, [])


def test_a_function_level_reset_is_a_notice_where_it_is_offered(bus):
    vdev = make(bus, function_reset=True, bell=(0, 0x41))
    vdev.region_write(7, 0x59, b"\x80")
    assert vdev.state == "disabled"
    assert vdev.take_notices() == (True, [])
    without = make(bus)
    without.region_write(7, 0x59, b"\x80")
    assert without.state == "active"


def test_the_configuration_space_is_shared_with_who_composed_it(bus):
    config = RegFile(SIOV.config_size, list(compose_config(SIOV, 5)))
    vdev = Vdev(config, bus, bar0_size=0x1000, traps=())
    vdev.region_write(7, 4, b"\x06\x00")
    assert config.get("COMMAND") == 6
    assert vdev.inspect() == {
        "state": "active", "memory_space": True, "bus_master": True, "traps": 0,
        "dead_reads": 0, "dropped_writes": 0,
    }  # fmt: skip
    vdev.reset_config()
    assert config.get("COMMAND") == 0
