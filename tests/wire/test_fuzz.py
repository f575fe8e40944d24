"""Random messages, whole and broken: the server answers or ends the connection, and takes the next."""

import os
import socket
from collections.abc import Iterator

import pytest
from client import Client, header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import HEADER, VERSION, Command, Flags
from served_function import Server

PAGE = 4096

words = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 16, 32, PAGE, 1 << 16, 1 << 20, 1 << 31, (1 << 32) - 1])
longs = (
    words | st.sampled_from([1 << 32, 1 << 63, (1 << 64) - PAGE, (1 << 64) - 1]) | st.integers(0, 2**64 - 1)
)


def packed(*fields: st.SearchStrategy[int] | int) -> st.SearchStrategy[bytes]:
    """Fields one after another: 64 bits for `longs`, 32 bits for everything else."""
    parts = [
        st.just(f.to_bytes(4, "little"))
        if isinstance(f, int)
        else f.map(lambda n: n.to_bytes(8, "little"))
        if f is longs
        else f.map(lambda n: n.to_bytes(4, "little"))
        for f in fields
    ]
    return st.tuples(*parts).map(b"".join)


regions = st.sampled_from([0, 7, 0, 7, 6, 9])
flags = st.sampled_from([1, 2, 3, 0x21, 0x22, 0x24, 0x0A, 0x12, 0x31])
small = st.integers(0, 20)
BODIES = {
    Command.VERSION: st.just(VERSION().body()) | st.binary(max_size=40),
    Command.DMA_MAP: packed(32, flags, longs, longs, longs)
    | st.integers(0, 40).flatmap(
        lambda page: packed(32, 3).map(
            lambda head: head + bytes(8) + (page * PAGE).to_bytes(8, "little") + PAGE.to_bytes(8, "little")
        )
    ),
    Command.DMA_UNMAP: packed(24, st.sampled_from([0, 1, 2]), longs, longs),
    Command.DEVICE_GET_INFO: packed(16, words, words, words),
    Command.DEVICE_GET_REGION_INFO: packed(32, words, small, words, longs, longs),
    Command.DEVICE_GET_REGION_IO_FDS: packed(16, 0, small, 0),
    Command.DEVICE_GET_IRQ_INFO: packed(16, words, small, words),
    Command.DEVICE_SET_IRQS: packed(20, flags, small, small, small),
    Command.REGION_READ: packed(words, 0, regions, words),
    Command.REGION_WRITE: st.tuples(st.integers(0, 70), regions, st.binary(max_size=12)).map(
        lambda w: (
            w[0].to_bytes(8, "little") + w[1].to_bytes(4, "little") + len(w[2]).to_bytes(4, "little") + w[2]
        )
    ),
    Command.REGION_WRITE_MULTI: packed(small, 0, words, 0, regions, small, longs),
    Command.DEVICE_RESET: st.just(b""),
}
commands = st.one_of([body.map(lambda b, c=command: (int(c), b)) for command, body in BODIES.items()])  # type: ignore[misc]
anything = st.tuples(st.integers(0, 0xFFFF) | st.integers(0, 20), st.binary(max_size=64))
headers = st.sampled_from([0, 0, 0, 0, 0, Flags.NO_REPLY, Flags.REPLY, Flags.REPLY | Flags.ERROR, 5, 0x40])
sizes = st.sampled_from([0] * 30 + [-1, 1, -20, 16, 1 << 21, 1 << 31])
pools: st.SearchStrategy[list[int]] = st.lists(st.integers(0, 7), max_size=3) | st.just([])
messages = st.tuples(commands | commands | commands | anything, headers, sizes, pools)


@pytest.fixture
def pool(server: Server) -> Iterator[list[int]]:
    """Descriptors of all kinds."""
    reader, writer = (server.own(fd) for fd in os.pipe())
    one, other = socket.socketpair()
    yield [
        server.eventfd(),
        server.eventfd(0, os.EFD_CLOEXEC),
        server.memory(64 * PAGE).fd,
        server.memory(PAGE).fd,
        reader,
        writer,
        one.fileno(),
        server.own(os.open("/dev/null", os.O_RDWR)),
    ]
    one.close()
    other.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(messages, min_size=1, max_size=12), st.booleans())
def test_any_messages_are_answered_or_end_the_connection(
    server: Server,
    pool: list[int],
    version: bool,
    script: list[tuple[tuple[int, bytes], int, int, list[int]]],
    shaken: bool,
) -> None:
    client = Client(server.path)
    if version:
        client.negotiate()
    expected, sound = 0, True
    try:
        for (command, body), flags, off, fds in script:
            size = max(0, HEADER.size + len(body) + off) & 0xFFFFFFFF
            sound &= off == 0
            expected += sound and flags & 0xF != Flags.REPLY and not flags & Flags.NO_REPLY
            client.raw(header(command, size, msg_id=7, flags=flags) + body, tuple(pool[fd] for fd in fds))
            if shaken:
                os.ftruncate(pool[2], 0)
                os.ftruncate(pool[2], 64 * PAGE)
        client.socket.shutdown(socket.SHUT_WR)
    except OSError:
        assert not sound, "the server ends a connection that it can follow"
    answers = replies(client)
    assert answers == expected if sound else answers >= expected
    client.close()
    if not server.inspect()["running"]:
        raise AssertionError("the server is gone")


def replies(client: Client) -> int:
    """Replies until the server hangs up; commands of the server are left unanswered."""
    data = bytearray()
    try:
        while part := client.socket.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    count, at = 0, 0
    while at < len(data):
        _, _, size, flags, _ = HEADER.unpack_from(data, at)
        assert size >= HEADER.size
        count += flags & 0xF == Flags.REPLY
        at += size
    assert at == len(data), "the last message is cut off"
    return count


def test_random_streams_do_not_bring_the_server_down(server: Server) -> None:
    for seed in range(100):
        client = server.client()
        try:
            client.raw(os.urandom(seed * 7 + 1))
        finally:
            client.close()
