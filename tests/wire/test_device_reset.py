"""DEVICE_RESET: the function as after power-on, and its client as before."""

import os
import struct
import subprocess
import sys
import time
from errno import EINVAL

import pytest
from client import Client
from function import Driver
from messages import DEVICE_RESET, DMA_MAP, REGION_WRITE, Command, Flags, Raw, Region
from served_function import Server

from siov.hw.testfn import compose_config
from siov.spec.pcie.header import CommonHeader
from siov.spec.testfn import Bar0

MIB = 1 << 20
STAMP = b"\xee"


def test_registers_and_configuration_space_take_their_reset_values(server: Server, driver: Driver) -> None:
    bar0 = driver.client.read(Region.BAR0, 0, Bar0.size)
    driver.client.write(Region.BAR0, 0, b"\xff" * Bar0.size)
    driver.client.write(Region.CONFIG, 0x10, b"\xff" * 8)
    driver.wait()
    driver.client.send(DEVICE_RESET())
    assert driver.client.read(Region.BAR0, 0, Bar0.size) == bar0
    assert driver.client.read(Region.CONFIG, 0, 4096) == compose_config().dump()


def test_maps_and_eventfds_stay_with_the_client(server: Server, driver: Driver) -> None:
    eventfd = server.eventfd()
    memory = server.memory(8192)
    memory[0] = b"kept"
    driver.client.assign(3, eventfd)
    driver.client.map(memory, 0)
    driver.client.send(DEVICE_RESET())
    driver.bus_master()
    driver.msix()
    assert driver.copy(0, 4096, 4).DONE
    assert memory[slice(4096, 4100)] == b"kept"
    driver.ring(3)
    assert os.eventfd_read(eventfd) == 1


def test_what_waits_for_its_eventfd_is_forgotten(server: Server, driver: Driver) -> None:
    driver.ring(2)
    driver.client.send(DEVICE_RESET())
    eventfd = server.eventfd()
    driver.msix()
    driver.client.assign(2, eventfd)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(eventfd)


def test_two_resets_in_a_row_are_two_resets(client: Client) -> None:
    ids = [client.request(DEVICE_RESET()) for _ in range(2)]
    for msg_id in ids:
        assert client.reply(msg_id, DEVICE_RESET()).body == b""


def test_a_reset_that_wants_no_reply_is_done(client: Client) -> None:
    client.write(Region.BAR0, Bar0.SCRATCH.at, b"gone")
    client.request(DEVICE_RESET(), Flags.NO_REPLY)
    assert client.is_silent()
    assert client.read(Region.BAR0, Bar0.SCRATCH.at, 4) == bytes(4)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_body_is_invalid_and_resets_nothing(client: Client, size: int) -> None:
    client.write(Region.BAR0, Bar0.SCRATCH.at, b"kept")
    client.send(Raw(Command.DEVICE_RESET, bytes(size)), expect=EINVAL)
    assert client.read(Region.BAR0, Bar0.SCRATCH.at, 4) == b"kept"


def test_a_descriptor_is_invalid_and_resets_nothing(server: Server, client: Client) -> None:
    client.write(Region.BAR0, Bar0.SCRATCH.at, b"kept")
    client.send(DEVICE_RESET(fds=(server.eventfd(),)), expect=EINVAL)
    assert client.read(Region.BAR0, Bar0.SCRATCH.at, 4) == b"kept"


@pytest.mark.parametrize("how", ["message", "function level"])
def test_nothing_lands_in_memory_after_a_reset_under_a_copy(server: Server, driver: Driver, how: str) -> None:
    source, target = server.memory(16 * MIB), server.memory(16 * MIB)
    for n in range(64):
        driver.client.map(source, n * 16 * MIB)
        driver.client.map(target, (64 + n) * 16 * MIB)
    driver.start(0, 64 * 16 * MIB, 64 * 16 * MIB, vector=0)
    assert driver.get(Bar0.COPY_STATUS).BUSY, "the copy was over before the reset: it claims nothing"
    if how == "message":
        driver.client.send(DEVICE_RESET())
    else:
        driver.function_level_reset()
    target[0] = STAMP * target.size
    assert driver.get(Bar0.COPY_STATUS).raw == 0
    driver.bus_master()
    assert driver.copy(0, 16 * MIB, 4096).DONE, "the engine works"
    assert target[slice(0, target.size)] == STAMP * target.size
    assert server.inspect()["irqs"] == [], "and the old copy raises nothing"


def test_a_reset_ends_a_copy_though_bus_mastering_is_back_at_once(server: Server, driver: Driver) -> None:
    source, target = server.memory(MIB), server.memory(MIB)
    for n in range(256):
        driver.client.map(source, n * MIB)
        driver.client.map(target, (256 + n) * MIB)
    command = CommonHeader.COMMAND.of(BME=1, MSE=1).to_bytes()
    for _ in range(20):
        driver.bus_master()
        driver.start(0, 256 * MIB, 256 * MIB)
        driver.client.post(DEVICE_RESET())
        driver.client.post(REGION_WRITE(Region.CONFIG, CommonHeader.COMMAND.at, command))
        assert driver.get(Bar0.COPY_STATUS).raw == 0
        target[0] = STAMP * MIB
        time.sleep(0.002)
        assert target[slice(0, MIB)] == STAMP * MIB


def test_a_reset_waits_for_the_access_that_is_under_way(server: Server, driver: Driver) -> None:
    source, target = server.memory(MIB), server.memory(MIB)
    for n in range(256):
        driver.client.map(source, n * MIB)
        driver.client.map(target, (256 + n) * MIB)
    # So many that the engine is often held up in the middle of an access.
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(6)]
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            driver.bus_master()
            driver.start(0, 256 * MIB, 256 * MIB)
            driver.client.send(DEVICE_RESET())
            target[0] = STAMP * MIB
            time.sleep(0.02)
            assert target[slice(0, MIB)] == STAMP * MIB
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@pytest.mark.parametrize("how", ["message", "function level"])
def test_no_dma_message_is_sent_after_the_reset_of_a_copy_that_waits(server: Server, how: str) -> None:
    driver = Driver(server.client(max_data_xfer_size=4096))
    client = driver.client
    driver.bus_master()
    client.send(DMA_MAP(0, MIB))
    driver.start(0, MIB // 2, MIB // 2)
    first = client.command()
    assert first.command == Command.DMA_READ
    if how == "message":
        client.send(DEVICE_RESET())
    else:
        driver.function_level_reset()
    client.answer(first, first.body + bytes(4096))
    assert client.is_silent(), "the function reads on after its reset"
    driver.bus_master()
    driver.start(0x2000, 0x4000, 8)
    again = client.command()
    assert (again.command, struct.unpack("=QQ", again.body)) == (Command.DMA_READ, (0x2000, 8))
    client.answer(again, error=5)
    assert driver.wait().ERROR
