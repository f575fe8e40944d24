"""Clients that mean harm: the server outlives them, and serves the next."""

import os
import select
import socket
import subprocess
import sys
import time
from errno import EINVAL, ENOSPC, ENOTSUP
from pathlib import Path

import pytest
from client import Client, DisconnectedError, header
from function import Driver
from messages import (
    DEVICE_GET_INFO,
    DEVICE_SET_IRQS,
    DMA_MAP,
    DMA_UNMAP,
    HEADER,
    REGION_READ,
    REGION_WRITE,
    VERSION,
    Command,
    Flags,
    Irq,
    Raw,
    Region,
)
from served_function import Server

from siov import _core
from siov.guests.endpoint import VfioUserEndpoint
from siov.hw.testfn import compose_config
from siov.spec.testfn import Bar0

PAGE = 4096
MIB = 1 << 20


def flood(client: Client) -> None:
    """Ask and never listen, until the server takes no more."""
    message = REGION_READ(Region.BAR0, 0, Bar0.size)
    client.socket.settimeout(0.2)
    try:
        for _ in range(100_000):
            client.request(message)
    except (TimeoutError, OSError):
        return
    raise AssertionError("the server takes more than it gives")


def test_a_client_that_never_reads_is_disconnected_and_the_next_is_served(server: Server) -> None:
    client = server.client()
    flood(client)
    server.until(lambda: not server.inspect()["connected"], "it holds the server for ever")
    assert server.counter("stalled") == 1


def test_stop_does_not_wait_for_a_client_that_never_reads(tmp_path: Path) -> None:
    with VfioUserEndpoint(tmp_path / "s", _core.TestFunction(compose_config().regs)) as endpoint:
        client = Client(endpoint.path)
        client.negotiate()
        flood(client)
        begin = time.monotonic()
        endpoint.stop()
        assert time.monotonic() - begin < 2
        client.close()


def test_a_full_blocking_eventfd_does_not_hold_up_the_server(server: Server, driver: Driver) -> None:
    full = server.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(full, (1 << 64) - 2)
    driver.client.assign(0, full)
    for _ in range(10):
        driver.ring(0)
    memory = server.memory(2 * PAGE)
    driver.client.map(memory, 0)
    driver.start(0, PAGE, 8, vector=0)
    assert driver.wait().DONE


def test_an_eventfd_made_to_block_again_does_not_hold_up_the_server(server: Server, driver: Driver) -> None:
    full = server.eventfd(0, os.EFD_CLOEXEC)
    driver.client.assign(0, full)
    os.eventfd_write(full, (1 << 64) - 2)
    for _ in range(10):
        os.set_blocking(full, True)
        driver.ring(0)


def test_an_eventfd_made_to_block_at_any_moment_does_not_hold_up_the_server(
    server: Server, driver: Driver
) -> None:
    full = server.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(full, (1 << 64) - 2)
    driver.client.assign(0, full)
    hammer = f"import os\nwhile True: os.set_blocking({full}, True)"
    child = subprocess.Popen([sys.executable, "-c", hammer], pass_fds=(full,))
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            driver.ring(0)
    finally:
        child.kill()
        child.wait()
        os.eventfd_read(full)  # lets go of a server that waits after all


def test_only_eventfds_are_taken_as_interrupts(server: Server, driver: Driver) -> None:
    reader, writer = (server.own(fd) for fd in os.pipe())
    one, other = socket.socketpair()
    poll = select.epoll()
    with one, other, poll:
        regular = server.own(os.open("/proc/self/exe", os.O_RDONLY))
        named = server.memory(PAGE)
        imposter = server.own(os.memfd_create("[eventfd]"))
        for fd in (
            reader,
            writer,
            one.fileno(),
            poll.fileno(),
            regular,
            named.fd,
            imposter,
            driver.client.socket.fileno(),
        ):
            driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, fds=(fd,)), expect=EINVAL)
            good = server.eventfd()
            driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 2, fds=(good, fd)), expect=EINVAL)
        driver.ring(0)
        assert not select.select([reader, other.fileno()], [], [], 0)[0]
    assert [irq["assigned"] for irq in server.inspect()["irqs"]] == [False]


def test_an_eventfd_is_not_written_to_when_the_message_with_it_fails(server: Server, driver: Driver) -> None:
    eventfd = server.eventfd()
    driver.ring(0)
    driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 2, fds=(eventfd,)), expect=EINVAL)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(eventfd)


def test_of_two_clients_the_second_is_turned_away_and_the_first_does_not_notice(
    server: Server, driver: Driver
) -> None:
    driver.set(Bar0.SCRATCH, 77)
    for _ in range(20):
        assert server.connect().is_disconnected()
    assert driver.get(Bar0.SCRATCH).VALUE == 77
    assert server.counter("refused") == 20
    driver.client.close()
    server.client()


def test_a_thousand_connections_one_after_the_other(server: Server) -> None:
    for n in range(1000):
        client = Client(server.path)
        try:
            if n % 3 == 0:
                client.negotiate()
            elif n % 3 == 1:
                client.raw(header(Command.VERSION, 100)[: n % 16])
        finally:
            client.close()


def test_a_thousand_connections_at_once(server: Server, driver: Driver) -> None:
    clients = [server.connect() for _ in range(1000)]
    driver.set(Bar0.SCRATCH, 5)
    assert driver.get(Bar0.SCRATCH).VALUE == 5
    for client in clients:
        assert client.is_disconnected()


def test_a_client_that_says_nothing_does_not_keep_the_server_from_stopping(server: Server) -> None:
    server.connect()


@pytest.mark.parametrize("sent", [3, 16, 20, 47])
def test_a_client_that_dies_in_the_middle_of_a_message_with_descriptors(server: Server, sent: int) -> None:
    client = server.client()
    body = DMA_MAP(0, PAGE).body()
    message = header(Command.DMA_MAP, HEADER.size + len(body)) + body
    client.raw(message[:sent], (server.memory(PAGE).fd, server.eventfd()))
    client.close()


def test_a_client_that_dies_in_the_middle_of_a_long_message(server: Server) -> None:
    client = server.client()
    client.raw(header(Command.REGION_WRITE, HEADER.size + 16 + MIB) + bytes(MIB // 2))
    client.close()


def test_nothing_lands_in_memory_once_a_client_that_died_in_a_copy_is_gone(
    server: Server, driver: Driver
) -> None:
    source, target = server.memory(16 * MIB), server.memory(16 * MIB)
    for n in range(64):
        driver.client.map(source, n * 16 * MIB)
        driver.client.map(target, (64 + n) * 16 * MIB)
    driver.start(0, 64 * 16 * MIB, 64 * 16 * MIB)
    assert driver.get(Bar0.COPY_STATUS).BUSY
    driver.client.close()
    server.until(lambda: not server.inspect()["connected"], "still there")
    target[0] = b"\xee" * target.size
    server.check_next_client()
    assert target[slice(0, target.size)] == b"\xee" * target.size


def test_a_client_that_leaves_its_replies_behind(server: Server) -> None:
    for _ in range(20):
        client = server.client()
        for _ in range(10):
            client.request(REGION_READ(Region.BAR0, 0, PAGE))
        client.close()


def test_a_client_that_stops_sending_gets_its_replies(server: Server, client: Client) -> None:
    msg_id = client.request(DEVICE_GET_INFO())
    client.socket.shutdown(socket.SHUT_WR)
    client.reply(msg_id, DEVICE_GET_INFO())
    assert client.is_disconnected()


def test_a_client_that_stops_receiving_is_disconnected(server: Server, client: Client) -> None:
    client.socket.shutdown(socket.SHUT_RD)
    client.request(DEVICE_GET_INFO())
    server.until(lambda: not server.inspect()["connected"], "still there")


def test_as_many_maps_as_are_allowed_are_taken_and_one_more_is_not(server: Server, client: Client) -> None:
    batch = 200
    for first in range(0, 65_535, batch):
        pages = range(first, min(first + batch, 65_535))
        messages = [DMA_MAP(2 * page * PAGE, PAGE) for page in pages]
        ids = [client.request(message) for message in messages]
        for msg_id, message in zip(ids, messages, strict=True):
            client.reply(msg_id, message)
    client.send(DMA_MAP(1 << 40, PAGE), expect=ENOSPC)
    client.send(DMA_MAP(1 << 40, PAGE, fds=(server.memory(PAGE).fd,)), expect=ENOSPC)
    assert len(server.inspect()["maps"]) == 65_535
    client.send(DMA_UNMAP(0, PAGE))
    client.send(DMA_MAP(1 << 40, PAGE))


def test_as_many_windows_of_a_file_as_are_allowed_are_taken(server: Server, driver: Driver) -> None:
    client, memory = driver.client, server.memory(16 * PAGE)
    batch = 200
    for first in range(0, 65_535, batch):
        pages = range(first, min(first + batch, 65_535))
        messages = [DMA_MAP(page * PAGE, PAGE, page % 16 * PAGE, fds=(memory.fd,)) for page in pages]
        ids = [client.request(message) for message in messages]
        for msg_id, message in zip(ids, messages, strict=True):
            client.reply(msg_id, message)
    client.send(DMA_MAP(1 << 40, PAGE, fds=(memory.fd,)), expect=ENOSPC)
    memory.resize(0)
    assert driver.copy(0, PAGE, 8).ERROR


def test_fewer_maps_than_that_if_the_client_said_so(server: Server) -> None:
    client = server.client(max_dma_maps=3)
    for page in range(3):
        client.send(DMA_MAP(page * PAGE, PAGE))
    client.send(DMA_MAP(9 * PAGE, PAGE), expect=(ENOSPC, 0))


@pytest.mark.parametrize("count", [16, 17, 64, 253])
@pytest.mark.parametrize("message", [Raw(Command.DEVICE_GET_INFO, bytes(16)), DMA_MAP(0, PAGE), Raw(999)])
def test_many_descriptors_in_one_message_are_refused_and_closed(
    server: Server, client: Client, message: Raw | DMA_MAP, count: int
) -> None:
    eventfds = server.eventfds(count)
    loaded = Raw(message.command, message.body(), eventfds)
    client.send(loaded, expect=EINVAL)
    client.send(DEVICE_GET_INFO())


def test_descriptors_on_every_byte_are_closed(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    body = DMA_MAP(0, PAGE).body()
    data = header(Command.DMA_MAP, HEADER.size + len(body), msg_id=3) + body
    for byte in data:
        client.raw(bytes([byte]), (memory.fd, memory.fd))
    client.reply(3, DMA_MAP(0, PAGE), expect=EINVAL)
    assert server.inspect()["maps"] == []


def test_a_client_that_sends_its_own_socket_can_still_die(server: Server, client: Client) -> None:
    own = client.socket.fileno()
    for message in (Raw(999, b"", (own,)), DMA_MAP(0, PAGE, fds=(own,)), DEVICE_GET_INFO(fds=(own,) * 16)):
        client.request(message)
    client.close()
    server.until(lambda: not server.inspect()["connected"], "it keeps itself alive")


def test_a_flood_of_versions_is_refused(server: Server) -> None:
    client = server.connect()
    for _ in range(200):
        client.send(VERSION(major=9), expect=ENOTSUP)
    client.negotiate()


def test_a_client_that_reads_no_dma_messages_does_not_hold_up_the_next(server: Server) -> None:
    driver = Driver(server.client())
    driver.bus_master()
    driver.client.map(server.memory(MIB), 0)
    driver.client.send(DMA_MAP(1 << 40, 1 << 30))
    driver.start(0, 1 << 40, MIB)
    driver.client.close()
    server.until(lambda: not server.inspect()["connected"], "still there")


def test_a_reset_flood_under_copies_ends_in_order(server: Server, driver: Driver) -> None:
    memory = server.memory(16 * MIB)
    driver.client.map(memory, 0)
    for _ in range(100):
        driver.bus_master()
        driver.start(0, 8 * MIB, 8 * MIB)
        driver.client.request(Raw(Command.DEVICE_RESET), Flags.NO_REPLY)
    assert driver.get(Bar0.COPY_STATUS).raw == 0
    driver.bus_master()
    assert driver.copy(0, MIB, 8).DONE


def test_a_burst_and_a_sudden_end_leave_nothing(server: Server) -> None:
    for n in range(30):
        client = server.client()
        memory = server.memory(4 * PAGE)
        try:
            client.map(memory, 0)
            client.assign(0, *server.eventfds(4))
            for _ in range(n):
                client.post(REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, bytes(4)))
            client.raw(header(Command.REGION_READ, 5))
        except (DisconnectedError, OSError):
            pass
        finally:
            client.close()
