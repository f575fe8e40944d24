"""The test function over the wire: registers, interrupts, the copy engine, resets."""

import os
import random
from collections.abc import Callable

import pytest
from function import Driver
from messages import DEVICE_SET_IRQS, DISABLE, REGION_WRITE, Irq, Region
from served_function import Server

from siov.hw.testfn import compose_config
from siov.spec.pcie.capability import Express
from siov.spec.pcie.header import CommonHeader
from siov.spec.testfn import VECTORS, Bar0

PAGE = 4096
MIB = 1 << 20
TOP = 1 << 64


def fired(eventfd: int) -> int:
    try:
        return os.eventfd_read(eventfd)
    except BlockingIOError:
        return 0


@pytest.fixture
def eventfds(server: Server, driver: Driver) -> tuple[int, ...]:
    eventfds = server.eventfds(VECTORS)
    driver.client.assign(0, *eventfds)
    return eventfds


def test_it_tells_who_it_is_and_keeps_what_is_written_to_scratch(driver: Driver) -> None:
    assert driver.client.read(Region.BAR0, 0, 4) == b"SIOV"
    driver.set(Bar0.SCRATCH, 0xDEADBEEF)
    assert driver.get(Bar0.SCRATCH).VALUE == 0xDEADBEEF


def test_the_configuration_space_is_what_was_composed(server: Server) -> None:
    assert server.client().read(Region.CONFIG, 0, 4096) == compose_config().dump()


def test_the_wire_and_the_server_see_one_configuration_space(server: Server, driver: Driver) -> None:
    assert driver.client.read(Region.CONFIG, 0, 4096) == server.config.dump()
    assert server.config.dump() != compose_config().dump()


def test_each_doorbell_raises_its_vector_once(driver: Driver, eventfds: tuple[int, ...]) -> None:
    for vector in range(VECTORS):
        driver.ring(vector)
        assert [fired(fd) for fd in eventfds] == [int(n == vector) for n in range(VECTORS)]
    assert driver.get(Bar0.DOORBELL_COUNT).COUNT == VECTORS


@pytest.mark.parametrize("vector", [VECTORS, 64, 1 << 16, 0xFFFFFFFF])
def test_a_doorbell_beyond_the_vectors_is_counted_and_raises_none(
    server: Server, driver: Driver, eventfds: tuple[int, ...], vector: int
) -> None:
    driver.ring(vector)
    assert driver.get(Bar0.DOORBELL_COUNT).COUNT == 1
    assert not any(fired(fd) for fd in eventfds)
    assert server.inspect()["irq_signals"] == 0


@pytest.mark.parametrize("data", [b"\5", b"\5\0"])
def test_a_doorbell_may_be_written_in_part(driver: Driver, eventfds: tuple[int, ...], data: bytes) -> None:
    driver.client.write(Region.BAR0, Bar0.DOORBELL.at, data)
    assert fired(eventfds[5]) == 1


def test_a_doorbell_reads_as_zero(driver: Driver) -> None:
    driver.ring(3)
    assert driver.get(Bar0.DOORBELL).raw == 0


def test_a_doorbell_with_msix_off_raises_none_even_when_it_is_on_again(
    server: Server, driver: Driver, eventfds: tuple[int, ...]
) -> None:
    driver.msix(enable=False)
    driver.ring(0)
    assert driver.get(Bar0.DOORBELL_COUNT).COUNT == 1
    driver.msix()
    assert fired(eventfds[0]) == 0
    driver.ring(0)
    assert fired(eventfds[0]) == 1


def test_the_function_mask_keeps_vectors_pending_and_they_fire_once_at_its_end(
    driver: Driver, eventfds: tuple[int, ...]
) -> None:
    driver.msix(mask=True)
    for vector in (2, 9, 2):
        driver.ring(vector)
    assert not any(fired(fd) for fd in eventfds)
    assert driver.get(Bar0.MSIX_PBA).PENDING == 1 << 2 | 1 << 9
    driver.msix(mask=False)
    assert [n for n, fd in enumerate(eventfds) if fired(fd) == 1] == [2, 9]
    assert driver.get(Bar0.MSIX_PBA).PENDING == 0


def test_what_is_pending_waits_for_both_the_mask_and_the_enable(
    driver: Driver, eventfds: tuple[int, ...]
) -> None:
    driver.msix(mask=True)
    driver.ring(1)
    driver.msix(enable=False, mask=False)
    assert fired(eventfds[1]) == 0
    driver.msix()
    assert fired(eventfds[1]) == 1


def test_pending_bits_can_not_be_written(driver: Driver) -> None:
    driver.client.write(Region.BAR0, Bar0.MSIX_PBA.at, b"\xff" * 8)
    assert driver.get(Bar0.MSIX_PBA).PENDING == 0


def function_level(driver: Driver) -> None:
    driver.function_level_reset()


def function_level_by_one_byte(driver: Driver) -> None:
    driver.client.write(Region.CONFIG, driver.capability(Express) + Express.DEVCTL.at + 1, b"\x80")


def function_level_with_the_word_behind(driver: Driver) -> None:
    at = driver.capability(Express) + Express.DEVCTL.at
    driver.client.write(Region.CONFIG, at, b"\x10\x80\0\0")


RESETS = pytest.mark.parametrize(
    "reset", [function_level, function_level_by_one_byte, function_level_with_the_word_behind]
)


@RESETS
def test_a_function_level_reset_brings_registers_and_configuration_back(
    driver: Driver, reset: Callable[[Driver], None]
) -> None:
    driver.set(Bar0.SCRATCH, 1)
    driver.ring(0)
    driver.client.write(Region.CONFIG, 0x10, b"\xff" * 8)
    reset(driver)
    assert driver.get(Bar0.SCRATCH).raw == driver.get(Bar0.DOORBELL_COUNT).raw == 0
    assert driver.client.read(Region.CONFIG, 0, 4096) == compose_config().dump()


def test_other_bits_of_device_control_reset_nothing(driver: Driver) -> None:
    driver.set(Bar0.SCRATCH, 1)
    driver.client.write(Region.CONFIG, driver.capability(Express) + Express.DEVCTL.at, b"\xff\x7f")
    assert driver.get(Bar0.SCRATCH).VALUE == 1


@pytest.mark.parametrize("why", ["no eventfd", "function mask"])
def test_a_function_level_reset_forgets_what_is_pending(server: Server, driver: Driver, why: str) -> None:
    eventfd = server.eventfd()
    if why == "function mask":
        driver.client.assign(0, eventfd)
        driver.msix(mask=True)
    driver.ring(0)
    driver.function_level_reset()
    driver.msix()
    driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 0, DISABLE))
    driver.client.assign(0, eventfd)
    assert fired(eventfd) == 0


def test_a_function_level_reset_leaves_eventfds_and_maps(
    server: Server, driver: Driver, eventfds: tuple[int, ...]
) -> None:
    memory = server.memory(2 * PAGE)
    driver.client.map(memory, 0)
    driver.function_level_reset()
    driver.bus_master()
    driver.msix()
    assert driver.copy(0, PAGE, 8).DONE
    driver.ring(15)
    assert fired(eventfds[15]) == 1


@pytest.mark.parametrize(
    ("src", "dst", "length"),
    [
        (0, PAGE * 8, 1),
        (0, PAGE * 8, 8),
        (1, PAGE * 8 + 2, 7),
        (3, PAGE * 8 + 3, PAGE),
        (5, PAGE * 8 + 4, PAGE * 5 + 1),
        (7, PAGE * 8, PAGE * 7),
        (0, PAGE * 8, 0),
    ],
)
def test_a_copy_moves_exactly_its_bytes_at_any_alignment(
    server: Server, driver: Driver, src: int, dst: int, length: int
) -> None:
    memory = server.memory(16 * PAGE)
    content = random.Random(length).randbytes(memory.size)
    memory[0] = content
    driver.client.map(memory, MIB)
    assert driver.copy(MIB + src, MIB + dst, length).DONE
    expected = content[:dst] + content[src : src + length] + content[dst + length :]
    assert memory[slice(0, memory.size)] == expected


def test_random_copies_across_two_maps_do_what_slices_do(server: Server, driver: Driver) -> None:
    low, high = server.memory(8 * PAGE), server.memory(8 * PAGE)
    rng = random.Random(7)
    model = bytearray(rng.randbytes(16 * PAGE))
    low[0], high[0] = bytes(model[: 8 * PAGE]), bytes(model[8 * PAGE :])
    driver.client.map(low, MIB)
    driver.client.map(high, MIB + 8 * PAGE)
    for _ in range(60):
        length = rng.choice([1, 13, PAGE, rng.randrange(9 * PAGE)])
        src, dst = rng.randrange(16 * PAGE - length), rng.randrange(16 * PAGE - length)
        assert driver.copy(MIB + src, MIB + dst, length).DONE
        model[dst : dst + length] = model[src : src + length]
    assert low[slice(0, 8 * PAGE)] + high[slice(0, 8 * PAGE)] == model


def test_an_overlapping_copy_to_lower_addresses_moves_any_length(server: Server, driver: Driver) -> None:
    memory = server.memory(MIB)
    content = random.Random(3).randbytes(MIB)
    memory[0] = content
    driver.client.map(memory, 0)
    assert driver.copy(12_345, 0, MIB - 12_345).DONE
    assert memory[slice(0, MIB - 12_345)] == content[12_345:]


def test_a_megabyte_arrives_as_it_was(server: Server, driver: Driver) -> None:
    source, target = server.memory(MIB), server.memory(MIB)
    content = random.Random(4).randbytes(MIB)
    source[0] = content
    driver.client.map(source, 0x8000_0000, flags=1)
    driver.client.map(target, 0x1_0000_0000, flags=2)
    assert driver.copy(0x8000_0000, 0x1_0000_0000, MIB).DONE
    assert target[slice(0, MIB)] == content


def test_the_last_byte_of_the_address_space_can_be_copied(server: Server, driver: Driver) -> None:
    memory = server.memory(PAGE)
    memory[PAGE - 4] = b"last"
    driver.client.map(memory, TOP - PAGE)
    assert driver.copy(TOP - 4, TOP - PAGE, 4).DONE
    assert memory[slice(0, 4)] == b"last"


def test_a_copy_that_wraps_ends_in_an_error(server: Server, driver: Driver) -> None:
    memory = server.memory(PAGE)
    driver.client.map(memory, TOP - PAGE)
    driver.client.map(memory, 0)
    assert driver.copy(TOP - 4, 0, 8).ERROR
    assert driver.copy(0, TOP - 4, 8).ERROR
    assert driver.copy(TOP - 4, 0, 1 << 31).ERROR


@pytest.mark.parametrize("length", [1, PAGE, 0xFFFFFFFF])
def test_a_source_that_is_not_mapped_is_a_fault_there(server: Server, driver: Driver, length: int) -> None:
    driver.client.map(server.memory(PAGE), 0)
    assert driver.copy(0x5000_0123, 0, length).ERROR
    assert driver.fault() == 0x5000_0123


def test_a_hole_in_the_source_is_a_fault_at_its_first_byte_and_nothing_behind_it_is_written(
    server: Server, driver: Driver
) -> None:
    source, target = server.memory(2 * PAGE), server.memory(4 * PAGE)
    source[0] = b"s" * 2 * PAGE
    driver.client.map(source, 0)
    driver.client.map(target, MIB)
    assert driver.copy(100, MIB, 3 * PAGE).ERROR
    assert driver.fault() == 2 * PAGE
    assert target[slice(2 * PAGE - 100, 4 * PAGE)] == bytes(2 * PAGE + 100)


def test_a_hole_in_the_target_is_a_fault_at_its_first_byte_and_what_lies_before_it_is_copied(
    server: Server, driver: Driver
) -> None:
    source, target = server.memory(4 * PAGE), server.memory(4 * PAGE)
    source[0] = b"s" * 4 * PAGE
    driver.client.map(source, 0)
    driver.client.map(target, MIB, PAGE)
    driver.client.map(target, MIB + 2 * PAGE, PAGE, offset=2 * PAGE)
    assert driver.copy(0, MIB + 100, 3 * PAGE).ERROR
    assert driver.fault() == MIB + PAGE
    assert target[slice(0, 4 * PAGE)] == bytes(100) + b"s" * (PAGE - 100) + bytes(3 * PAGE)


def test_a_target_that_may_only_be_read_is_a_fault_and_stays(server: Server, driver: Driver) -> None:
    memory = server.memory(2 * PAGE)
    memory[0] = b"s" * PAGE
    driver.client.map(memory, 0, PAGE)
    driver.client.map(memory, PAGE, PAGE, offset=PAGE, flags=1)
    assert driver.copy(0, PAGE + 8, 8).ERROR
    assert driver.fault() == PAGE + 8
    assert memory[slice(PAGE, 2 * PAGE)] == bytes(PAGE)


def test_a_source_that_may_only_be_written_is_a_fault(server: Server, driver: Driver) -> None:
    memory = server.memory(2 * PAGE)
    driver.client.map(memory, 0, PAGE, flags=2)
    driver.client.map(memory, PAGE, PAGE, offset=PAGE)
    assert driver.copy(8, PAGE, 8).ERROR
    assert driver.fault() == 8


def test_without_bus_mastering_nothing_is_copied(server: Server, driver: Driver) -> None:
    memory = server.memory(2 * PAGE)
    memory[0] = b"data"
    driver.client.map(memory, 0)
    driver.bus_master(False)
    assert driver.copy(0, PAGE, 4).ERROR
    assert driver.fault() == 0
    assert memory[slice(PAGE, PAGE + 4)] == bytes(4)
    driver.bus_master()
    assert driver.copy(0, PAGE, 4).DONE


def test_bus_mastering_taken_away_in_a_copy_ends_it(server: Server, driver: Driver) -> None:
    source, target = server.memory(16 * MIB), server.memory(16 * MIB)
    for n in range(64):
        driver.client.map(source, n * 16 * MIB)
        driver.client.map(target, (64 + n) * 16 * MIB)
    command = driver.config(CommonHeader.COMMAND.at, CommonHeader.COMMAND)
    driver.start(0, 64 * 16 * MIB, 64 * 16 * MIB)
    driver.set_config(CommonHeader.COMMAND.at, command.replace(BME=0))
    target[0] = b"\xee" * target.size
    assert driver.wait().ERROR
    assert target[slice(0, target.size)] == b"\xee" * target.size


def test_the_end_of_a_copy_raises_its_vector_only_if_asked(
    server: Server, driver: Driver, eventfds: tuple[int, ...]
) -> None:
    driver.client.map(server.memory(PAGE), 0)
    driver.start(0, 8, 8, vector=11)
    driver.wait()
    assert [n for n, fd in enumerate(eventfds) if fired(fd)] == [11]
    driver.start(0, 8, 8)
    driver.wait()
    assert not any(fired(fd) for fd in eventfds)


def test_a_copy_that_fails_raises_its_vector_too(driver: Driver, eventfds: tuple[int, ...]) -> None:
    driver.start(0, PAGE, 8, vector=4)
    assert driver.wait().ERROR
    assert fired(eventfds[4]) == 1


@pytest.mark.parametrize("vector", [VECTORS, 255])
def test_a_copy_may_name_a_vector_that_there_is_not(
    server: Server, driver: Driver, eventfds: tuple[int, ...], vector: int
) -> None:
    driver.client.map(server.memory(PAGE), 0)
    driver.start(0, 8, 8, vector=vector)
    assert driver.wait().DONE
    assert not any(fired(fd) for fd in eventfds)


def test_a_start_while_a_copy_is_under_way_is_ignored(server: Server, driver: Driver) -> None:
    memory = server.memory(16 * MIB)
    for n in range(64):
        driver.client.map(memory, n * 16 * MIB)
    driver.client.map(server.memory(PAGE), 1 << 40)
    driver.start(0, 32 * 16 * MIB, 32 * 16 * MIB)
    driver.start(1 << 50, 1 << 51, 8)
    assert driver.get(Bar0.COPY_STATUS).BUSY
    assert driver.wait().DONE


def test_the_status_is_cleared_by_ones(server: Server, driver: Driver) -> None:
    driver.client.map(server.memory(PAGE), 0)
    driver.start(0, 8, 8)
    driver.wait()
    driver.set(Bar0.COPY_STATUS, Bar0.COPY_STATUS.of(ERROR=1).raw)
    assert driver.get(Bar0.COPY_STATUS).DONE
    driver.set(Bar0.COPY_STATUS, Bar0.COPY_STATUS.of(DONE=1).raw)
    assert driver.get(Bar0.COPY_STATUS).raw == 0


def test_registers_of_the_copy_can_be_read_back(driver: Driver) -> None:
    driver.set(Bar0.COPY_SRC, 0x1122334455667788)
    driver.set(Bar0.COPY_DST, 0x99AABBCCDDEEFF00)
    driver.set(Bar0.COPY_LEN, 0xCAFEF00D)
    assert driver.get(Bar0.COPY_SRC).ADDR == 0x1122334455667788
    assert driver.get(Bar0.COPY_DST).ADDR == 0x99AABBCCDDEEFF00
    assert driver.get(Bar0.COPY_LEN).BYTES == 0xCAFEF00D


def test_posted_doorbells_all_ring(server: Server, driver: Driver, eventfds: tuple[int, ...]) -> None:
    for n in range(1000):
        driver.client.post(REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, (n % 4).to_bytes(4, "little")))
    assert driver.get(Bar0.DOORBELL_COUNT).COUNT == 1000
    assert [fired(fd) for fd in eventfds[:4]] == [250] * 4
