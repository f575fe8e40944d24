"""A virtual device over vfio-user: what its client shares is what it reaches, and nothing else is."""

import os
from collections.abc import Iterator
from errno import EBUSY, EEXIST, EINVAL, ENOENT

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import (
    ASSIGN,
    DEVICE_GET_IRQ_INFO,
    DEVICE_GET_REGION_INFO,
    DEVICE_RESET,
    DEVICE_SET_IRQS,
    DMA_MAP,
    DMA_UNMAP,
    VERSION,
    Irq,
    Region,
)
from served_vdev import PAGE, RAM, User, VdevServer, serving_vdevs

from siov.drivers.iavf.config import State
from siov.host.linux import LinuxError
from siov.host.vfio import RegionIndex, VfioContainer, VfioDevice
from siov.spec.e810.queues import QueueLength
from siov.spec.pcie import Express
from siov.spec.vdev import EXPRESS_CAPABILITY


@pytest.fixture(scope="module")
def server() -> Iterator[VdevServer]:
    with serving_vdevs() as server:
        yield server


@pytest.fixture
def pair(server: VdevServer) -> Iterator[tuple[User, User]]:
    """Two users, up, who are gone afterwards."""
    users = server.user().up(), server.user().up()
    yield users
    for user in users:
        user.close()
        server.until_gone(user.mdev)
        server.platform.mdev.remove(user.mdev.name)


@pytest.mark.parametrize("kind", ["ice-avf-1", "ice-vdcm-1"])
def test_the_driver_of_embedded_guests_drives_it_over_the_socket_too(server: VdevServer, kind: str) -> None:
    users = [server.user(server.mdev(kind)).up() for _ in range(2)]
    for n in range(100):
        a, b = users if n % 2 else users[::-1]
        assert a.send(b, f"number {n}".encode() * 4) == b.receive()
    assert users[0].driver.stats().rx_unicast == 50
    for user in users:
        user.driver.remove()
        user.close()


def test_configuration_space_is_the_composed_one(server: VdevServer) -> None:
    mdev = server.mdev()
    client = server.client(mdev)
    over_socket = client.read(Region.CONFIG, 0, 256)
    assert mdev.ops is not None
    assert over_socket == b"".join(mdev.ops.read(RegionIndex.CONFIG, at, 4) for at in range(0, 256, 4))
    assert over_socket[:4] == bytes.fromhex("86808918")


def test_regions_and_vectors_are_those_of_vfio(server: VdevServer) -> None:
    mdev = server.mdev("ice-vdcm")
    client = server.client(mdev)
    with pytest.raises(LinuxError) as busy:
        VfioDevice(mdev, container(server)).open()
    assert busy.value.errno == EBUSY, "its client has it open"
    assert mdev.ops is not None
    for index in RegionIndex:
        told = client.send(DEVICE_GET_REGION_INFO(index)).unpack("IIIIQQ")
        assert told[4] == mdev.ops.region(index).size
    assert client.send(DEVICE_GET_IRQ_INFO(Irq.MSIX)).unpack("IIII")[3] == 5


def test_an_interrupt_comes_for_a_frame(pair: tuple[User, User]) -> None:
    a, b = pair
    a.send(b, b"wake up" * 8)
    assert b.wait(1, 8)


def test_an_interrupt_without_eventfd_is_kept_until_there_is_one(pair: tuple[User, User]) -> None:
    a, b = pair
    b.client.send(DEVICE_SET_IRQS(Irq.MSIX, 1, 1, ASSIGN))  # vector 1 has none any more
    while b.wait(1, 0):
        pass
    a.send(b, b"wake up" * 8)
    b.receive()
    assert not b.wait(1, 0.05)
    b.client.assign(1, b.eventfds[1])
    assert b.wait(1, 8)


def test_what_was_unmapped_is_not_reached_any_more(server: VdevServer, pair: tuple[User, User]) -> None:
    a, b = pair
    for n in range(8):  # translations are in the caches of the device and the unit
        a.send(b, bytes([n]) * 64)
        b.receive()
    before = server.stopped()
    b.unmap()
    b.write(0, bytes(RAM))
    a.send(b, b"too late" * 8)
    server.until(lambda: server.stopped() > before, "no queue was stopped")
    assert b.read(0, RAM) == bytes(RAM)


def test_memory_that_was_cut_short_stops_a_queue_and_nobody_else(
    server: VdevServer, pair: tuple[User, User]
) -> None:
    a, b = pair
    c = server.user().up()
    before = server.stopped()
    b.ram.resize(PAGE)
    a.send(b, b"nowhere" * 8)
    server.until(lambda: server.stopped() > before, "no queue was stopped")
    assert c.send(a, b"still here" * 8) == a.receive()
    assert a.send(c, b"still here" * 8) == c.receive()
    b.ram.resize(RAM)
    c.close()


@pytest.mark.parametrize("way", ["FLR", "DEVICE_RESET"])
def test_a_reset_stops_the_rings_and_leaves_the_memory(
    server: VdevServer, pair: tuple[User, User], way: str
) -> None:
    a, b = pair
    if way == "FLR":
        at = EXPRESS_CAPABILITY + Express.DEVCTL.at
        b.config_write(at, (1 << 15).to_bytes(2, "little"))
    else:
        b.client.send(DEVICE_RESET())
    server.until(
        lambda: not b.read32(b.driver.registers.mailbox["ARQLEN"]) & QueueLength.ENABLE.mask, "ARQLEN"
    )
    b.clear_pairs()
    b.driver.mailbox.shutdown()
    b.driver.state = State.STARTUP
    b.up()
    assert a.send(b, b"again" * 16) == b.receive()


def test_an_instance_that_is_open_elsewhere_turns_a_client_away_until_it_is_free(server: VdevServer) -> None:
    mdev = server.mdev()
    client = server.connect(mdev)
    with VfioDevice(mdev, container(server)):
        client.send(VERSION(), expect=EBUSY)
    client.negotiate()
    assert client.read(Region.CONFIG, 0, 2) == b"\x86\x80"


def test_a_forced_removal_takes_it_from_its_client(server: VdevServer) -> None:
    user = server.user().up()
    path = server.sockets.socket(user.mdev.name)
    with pytest.raises(LinuxError, match="is open"):
        server.platform.mdev.remove(user.mdev.name)
    assert os.path.exists(path)
    server.platform.mdev.remove(user.mdev.name, force=True)
    assert user.client.is_disconnected()
    assert not os.path.exists(path)


def test_a_client_that_dies_leaves_nothing(server: VdevServer) -> None:
    mdev = server.mdev()
    held: list[dict[str, int]] = []
    for _ in range(3):
        user = server.user(mdev).up()
        user.send(user, b"to myself" * 8)
        user.close()
        server.until_gone(mdev)
        held.append(server.held())
    assert held[1:] == held[:-1]
    assert not held[0]["maps of clients"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 31), st.integers(1, 8)), max_size=60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_maps_come_and_go_as_in_a_plain_model(server: VdevServer, steps: list[tuple[bool, int, int]]) -> None:
    """As a guest with an IOMMU of its own has QEMU do: small maps, in any order, some against the rules."""
    mdev = server.mdev()
    client, ram = server.client(mdev), server.memory(64 * PAGE)
    maps: dict[int, tuple[int, int]] = {}  # first page: number of pages, the first page in the file
    try:
        for is_map, first, count in steps:
            end = first + count
            overlapping = [at for at, (n, _) in maps.items() if at < end and first < at + n]
            if is_map:
                at = 63 - end
                message = DMA_MAP(first * PAGE, count * PAGE, at * PAGE, 3, fds=(ram.fd,))
                client.send(message, expect=(EINVAL, EEXIST) if overlapping else 0)
                if not overlapping:
                    maps[first] = count, at
            else:
                cut = any(at < first or at + maps[at][0] > end for at in overlapping)
                allowed = (EINVAL, ENOENT) if cut or not overlapping else 0
                client.send(DMA_UNMAP(first * PAGE, count * PAGE), expect=allowed)
                if not cut:
                    maps = {at: one for at, one in maps.items() if at not in overlapping}
        user = server.sockets.endpoints[mdev.name].user
        assert user.device is not None
        domain = user.device.container.domain
        pages = {at + n: file + n for at, (count, file) in maps.items() for n in range(count)}
        found = {page: domain.iova_to_phys(page * PAGE) for page in range(48)}
        assert {page for page, at in found.items() if at is not None} == set(pages)
        places = {(found[page] or 0) - file * PAGE for page, file in pages.items()}
        assert len(places) <= 1, "the file lies in one place"
    finally:
        client.close()
        server.until_gone(mdev)
        server.platform.mdev.remove(mdev.name)


def container(server: VdevServer) -> VfioContainer:
    """Memory of nobody."""
    assert server.platform.iommu is not None
    return VfioContainer(server.platform.iommu, server.platform.pasids)
