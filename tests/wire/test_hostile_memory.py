"""Memory that its owner takes away: a fault to the device, never a signal that kills the server."""

import subprocess
import sys
import time
from errno import EINVAL, ENOMEM

from client import Client
from function import Driver
from messages import DMA_MAP, DMA_UNMAP
from served_function import Server

PAGE = 4096
MIB = 1 << 20


def test_memory_that_shrinks_under_the_copy_engine_is_a_fault_and_other_memory_works(
    server: Server, driver: Driver
) -> None:
    shrinking, sound = server.memory(16 * MIB), server.memory(16 * MIB)
    driver.client.map(shrinking, 0)
    driver.client.map(sound, 16 * MIB)
    shrinking.resize(4 * MIB)
    assert driver.copy(0, 16 * MIB, 16 * MIB).ERROR
    assert driver.fault() < 16 * MIB
    assert [entry["poisoned"] for entry in server.inspect()["maps"]] == [True, False]
    sound[0] = b"sound"
    assert driver.copy(16 * MIB, 17 * MIB, 5).DONE
    assert sound[slice(MIB, MIB + 5)] == b"sound"


def test_memory_that_is_cut_to_nothing_can_not_be_written(server: Server, driver: Driver) -> None:
    gone, sound = server.memory(MIB), server.memory(MIB)
    driver.client.map(gone, 0)
    driver.client.map(sound, MIB)
    gone.resize(0)
    assert driver.copy(MIB, 0, 4096).ERROR
    assert driver.fault() < MIB
    driver.client.send(DMA_UNMAP(0, MIB))
    gone.resize(MIB)
    driver.client.map(gone, 0)
    assert driver.copy(MIB, 0, 4096).DONE, "it can be mapped again"


def test_a_poisoned_map_gives_its_memory_back(server: Server, driver: Driver) -> None:
    big, sound = server.memory(1 << 36), server.memory(PAGE)
    before = address_space()
    driver.client.map(big, 1 << 40)
    driver.client.map(sound, 0)
    assert address_space() - before >= 1 << 36
    big.resize(0)
    assert driver.copy(1 << 40, 0, 8).ERROR
    driver.client.send(DMA_UNMAP(1 << 40, 1 << 36))
    assert address_space() - before < 1 << 30


def address_space() -> int:
    """Bytes of this process's address space."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * PAGE


def test_memory_that_shrinks_and_grows_all_the_time_never_kills(server: Server, driver: Driver) -> None:
    restless, sound = server.memory(4 * MIB), server.memory(4 * MIB)
    driver.client.map(sound, 4 * MIB)
    shake = (
        f"import os\nwhile True: os.ftruncate({restless.fd}, {PAGE}), os.ftruncate({restless.fd}, {4 * MIB})"
    )
    child = subprocess.Popen([sys.executable, "-c", shake], pass_fds=(restless.fd,))
    faults, until = 0, time.monotonic() + 10
    try:
        while faults < 20 and time.monotonic() < until:
            message = DMA_MAP(0, 4 * MIB, fds=(restless.fd,))
            if not driver.client.send(message, expect=(0, EINVAL)).error:
                faults += driver.copy(0, 4 * MIB, 4 * MIB).ERROR
                faults += driver.copy(4 * MIB, 0, 4 * MIB).ERROR
                driver.client.send(DMA_UNMAP(0, 4 * MIB))
    finally:
        child.kill()
        child.wait()
    assert faults >= 20


def test_no_memory_is_taken_for_files_that_are_too_many_or_too_large(server: Server, client: Client) -> None:
    for n in range(5):
        memory = server.memory(1 << 40)
        client.send(DMA_MAP(n << 41, 1 << 40, fds=(memory.fd,)), expect=(0, ENOMEM))
    assert address_space() < 6 << 40
