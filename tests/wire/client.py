"""A vfio-user client over a bare socket: as obedient or as hostile as a test wants it."""

import array
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from messages import (
    ASSIGN,
    DEVICE_SET_IRQS,
    DMA_MAP,
    HEADER,
    REGION_READ,
    REGION_WRITE,
    VERSION,
    Command,
    Flags,
    Irq,
    Message,
)

TIMEOUT = 8.0
"""Seconds after which a server that says nothing counts as hung."""


MAX_FDS = 16


class DisconnectedError(Exception):
    """The server has ended the connection."""


@dataclass(slots=True, frozen=True)
class Incoming:
    """A message of the server."""

    id: int
    command: int
    flags: int
    error: int
    body: bytes
    fds: tuple[int, ...] = ()  # what came along; the test's to close

    def unpack(self, layout: str) -> tuple[int, ...]:
        """The front of the body, in native byte order."""
        return struct.unpack_from("=" + layout, self.body)

    @property
    def data(self) -> bytes:
        """What follows the 16 bytes of address and count of an access."""
        return self.body[16:]


def header(command: int, size: int, *, msg_id: int = 0, flags: int = 0, error: int = 0) -> bytes:
    """Sixteen bytes that may say anything."""
    return HEADER.pack(msg_id, command, size, flags, error)


class Client:
    """A connection. Replies are found by their id, so commands of the server may come in between."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Also the limit of a connect that has to wait for its turn, which a timeout of Python's makes fail.
        limit = struct.pack("ll", int(TIMEOUT), 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.socket.connect(str(path))
        self.socket.settimeout(TIMEOUT)
        self.commands: deque[Incoming] = deque()
        self._replies: dict[int, Incoming] = {}
        self._next_id = 1
        self._fds: list[int] = []

    def negotiate(self, **capabilities: object) -> Incoming:
        """Agree on version 0.0."""
        return self.send(VERSION(capabilities={"max_msg_fds": 16, "write_multiple": True} | capabilities))

    def send(self, message: Message, expect: int | tuple[int, ...] = 0) -> Incoming:
        """Send a command, and claim that its reply is whole and has this errno, or one of several."""
        return self.reply(self.request(message), message, expect)

    def request(self, message: Message, flags: int = 0) -> int:
        """Send a command, and give its id without waiting for the reply."""
        msg_id = self._next_id
        self._next_id = msg_id % 0xFFFF + 1
        body = message.body()
        head = header(message.command, HEADER.size + len(body), msg_id=msg_id, flags=flags)
        self.raw(head + body, message.fds)
        return msg_id

    def post(self, message: Message) -> None:
        """Send a command that wants no reply."""
        self.request(message, Flags.NO_REPLY)

    def reply(self, msg_id: int, message: Message, expect: int | tuple[int, ...] = 0) -> Incoming:
        """The reply to the command with this id, with the same claims as `send`."""
        while msg_id not in self._replies:
            self._receive()
        reply = self._replies.pop(msg_id)
        assert reply.command == message.command
        allowed = expect if isinstance(expect, tuple) else (expect,)
        names = [errno_name(error) for error in allowed]
        assert reply.error in allowed, f"{message}: {errno_name(reply.error)}, not {' or '.join(names)}"
        assert reply.flags == (Flags.REPLY | Flags.ERROR if reply.error else Flags.REPLY)
        assert not (reply.error and reply.body), "an error has no body"
        return reply

    def command(self) -> Incoming:
        """The next command of the server."""
        while not self.commands:
            self._receive()
        return self.commands.popleft()

    def answer(self, command: Incoming, body: bytes = b"", error: int = 0) -> None:
        """Reply to a command of the server."""
        flags = Flags.REPLY | (Flags.ERROR if error else 0)
        size = HEADER.size + len(body)
        self.raw(header(command.command, size, msg_id=command.id, flags=flags, error=error) + body)

    def raw(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send bytes, with descriptors on the first one."""
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.socket.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.socket.sendall(data)

    def read(self, region: int, offset: int, count: int, expect: int = 0) -> bytes:
        """Bytes of a region; the reply repeats what was asked for."""
        reply = self.send(REGION_READ(region, offset, count), expect)
        if not expect:
            assert reply.unpack("QII") == (offset, region, count)
            assert len(reply.data) == count
        return reply.data

    def write(self, region: int, offset: int, data: bytes, expect: int = 0) -> None:
        """Bytes to a region; the reply repeats where, without the data."""
        reply = self.send(REGION_WRITE(region, offset, data), expect)
        if not expect:
            assert reply.body == struct.pack("=QII", offset, region, len(data))

    def map(
        self, memory: "Memory", addr: int, size: int | None = None, offset: int = 0, flags: int = 3
    ) -> None:
        """Share memory."""
        size = memory.size - offset if size is None else size
        self.send(DMA_MAP(addr, size, offset, flags, fds=(memory.fd,)))

    def assign(self, start: int, *eventfds: int, index: int = Irq.MSIX) -> None:
        """Give eventfds to vectors."""
        self.send(DEVICE_SET_IRQS(index, start, len(eventfds), ASSIGN, fds=eventfds))

    def is_disconnected(self) -> bool:
        """Whether the server ends the connection, with nothing more to say, before the time is over."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def is_silent(self, seconds: float = 0.05) -> bool:
        """Whether the server has said nothing that nobody took, says nothing for a while, and stays."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return not self.commands and not self._replies
        finally:
            self.socket.settimeout(TIMEOUT)
        return False

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _receive(self) -> None:
        msg_id, command, size, flags, error = HEADER.unpack(self._exactly(HEADER.size))
        assert size >= HEADER.size
        fds, self._fds = tuple(self._fds), []
        incoming = Incoming(msg_id, command, flags, error, self._exactly(size - HEADER.size), fds)
        if flags & 0xF == Flags.REPLY:
            assert msg_id not in self._replies, f"a second reply to {id}"
            self._replies[msg_id] = incoming
        else:
            assert command in (Command.DMA_READ, Command.DMA_WRITE)
            assert (flags, error) == (0, 0)
            self.commands.append(incoming)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                part, fds, _, _ = socket.recv_fds(self.socket, count - len(data), MAX_FDS)
                self._fds += fds
            except ConnectionResetError:
                part = b""
            if not part:
                raise DisconnectedError
            data += part
        return bytes(data)


class Memory:
    """A memfd of a client; it is never mapped on this side, so every mapping is the server's."""

    def __init__(self, size: int, flags: int = os.MFD_CLOEXEC) -> None:
        self.size = size
        self.fd = os.memfd_create("wire", flags)
        os.ftruncate(self.fd, size)

    def __getitem__(self, span: slice) -> bytes:
        return os.pread(self.fd, span.stop - span.start, span.start)

    def __setitem__(self, offset: int, data: bytes) -> None:
        assert os.pwrite(self.fd, data, offset) == len(data)

    def resize(self, size: int) -> None:
        """Cut the file, or make it longer."""
        os.ftruncate(self.fd, size)

    def close(self) -> None:
        """Forget the memory."""
        os.close(self.fd)


@contextmanager
def memory(size: int, flags: int = os.MFD_CLOEXEC) -> Iterator[Memory]:
    """Memory for a while."""
    it = Memory(size, flags)
    try:
        yield it
    finally:
        it.close()


def errno_name(error: int) -> str:
    """The name of an errno; "success" for 0."""
    return errno.errorcode.get(error, str(error)) if error else "success"
