"""What QEMU 11.1 asks a function while a guest boots, brings up its driver and pings, in QEMU's order.

`qemu_boot.txt` has a request a line, without its replies: how often it came in a row, "+" if it came
before the last reply ("." if QEMU waited), command, size with the header, descriptors, and its fields.
The function that was recorded was a network adapter: it had the same regions 0 and 7 and a region 3 that
ours lacks, and other registers.
"""

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path

from client import Client, Memory
from messages import (
    DEVICE_GET_INFO,
    DEVICE_GET_IRQ_INFO,
    DEVICE_GET_REGION_INFO,
    DEVICE_RESET,
    DEVICE_SET_IRQS,
    DMA_MAP,
    DMA_UNMAP,
    HEADER,
    REGION_READ,
    REGION_WRITE,
    VERSION,
    Flags,
    Message,
    Region,
)
from served_function import Server

CAPTURE = Path(__file__).parent / "qemu_boot.txt"
LINE = re.compile(r"(?:(\d+)x )?([+.]) (\w+) size=(\d+) fds=(\d+)( posted)?(.*)")
RAM = 512 << 20


@dataclass(slots=True, frozen=True)
class Request:
    """A recorded request."""

    waits: bool
    command: str
    size: int
    fds: int
    posted: bool
    fields: dict[str, str]

    def number(self, name: str) -> int:
        return int(self.fields[name], 0)

    def message(self, fds: tuple[int, ...]) -> Message:
        """The same, as our client lays it out."""
        n = self.number
        match self.command:
            case "VERSION":
                return VERSION(capabilities=json.loads(self.fields["caps"])["capabilities"])
            case "DMA_MAP":
                return DMA_MAP(n("iova"), n("size"), n("off"), n("flags"), fds=fds)
            case "DMA_UNMAP":
                return DMA_UNMAP(n("iova"), n("size"))
            case "DEVICE_GET_INFO":
                return DEVICE_GET_INFO()
            case "DEVICE_GET_REGION_INFO":
                return DEVICE_GET_REGION_INFO(n("index"), n("argsz"))
            case "DEVICE_GET_IRQ_INFO":
                return DEVICE_GET_IRQ_INFO(n("index"))
            case "DEVICE_SET_IRQS":
                return DEVICE_SET_IRQS(n("index"), n("start"), n("count"), n("flags"), fds=fds)
            case "REGION_READ":
                return REGION_READ(n("region"), n("off"), n("count"))
            case "REGION_WRITE":
                return REGION_WRITE(n("region"), n("off"), bytes.fromhex(self.fields["data"]))
            case "DEVICE_RESET":
                return DEVICE_RESET()
        raise AssertionError(f"a command that was not recorded: {self.command}")


def recorded() -> Iterator[Request]:
    for line in CAPTURE.read_text().splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        times, mark, command, size, fds, posted, rest = match.groups()
        if command == "VERSION":
            fields = {"caps": rest.removeprefix(" caps=")}
        else:
            fields = dict(field.split("=") for field in rest.split())
        for _ in range(int(times or 1)):
            yield Request(mark == ".", command, int(size), int(fds), bool(posted), fields)


def reply_size(message: Message) -> int:
    """Bytes that the reply has, header included, by the specification."""
    match message:
        case DMA_MAP() | DEVICE_SET_IRQS() | DEVICE_RESET():
            return HEADER.size
        case DMA_UNMAP():
            return HEADER.size + 24
        case DEVICE_GET_INFO() | DEVICE_GET_IRQ_INFO():
            return HEADER.size + 16
        case DEVICE_GET_REGION_INFO():
            return HEADER.size + 32
        case REGION_READ():
            return HEADER.size + 16 + message.count
        case REGION_WRITE():
            return HEADER.size + 16
    raise AssertionError(message)


class Replay:
    """QEMU, with no guest in it."""

    def __init__(self, server: Server, client: Client, ram: Memory) -> None:
        self.server, self.client, self.ram = server, client, ram
        self.waiting: deque[tuple[int, Message]] = deque()

    def play(self, request: Request) -> None:
        """Send a request, after the replies that QEMU had by then."""
        while request.waits and self.waiting:
            self.take_reply()
        if request.command == "DMA_MAP":
            fds = (self.ram.fd,) * request.fds
        else:
            fds = self.server.eventfds(request.fds)
        message = request.message(fds)
        if request.command != "VERSION":  # JSON leaves room for taste
            assert HEADER.size + len(message.body()) == request.size
        msg_id = self.client.request(message, Flags.NO_REPLY if request.posted else 0)
        if not request.posted:
            self.waiting.append((msg_id, message))

    def take_reply(self) -> None:
        """The oldest reply that is due."""
        msg_id, message = self.waiting.popleft()
        reply = self.client.reply(msg_id, message, expect=EINVAL if lacking(message) else 0)
        if isinstance(message, VERSION):
            assert len(reply.body) <= len(message.body())
        elif not reply.error:
            assert HEADER.size + len(reply.body) == reply_size(message)


def lacking(message: Message) -> bool:
    """Whether it asks for a region that the recorded function had and ours has not."""
    return isinstance(message, REGION_READ | REGION_WRITE) and message.region not in (
        Region.BAR0,
        Region.CONFIG,
    )


def test_the_whole_boot_is_answered_in_its_order_and_sizes(server: Server) -> None:
    replay = Replay(server, server.connect(), server.memory(RAM))
    requests = list(recorded())
    for request in requests:
        replay.play(request)
    while replay.waiting:
        replay.take_reply()
    assert len(requests) == 5564
    assert replay.client.is_silent()
    counters = server.inspect()["counters"]
    assert counters["commands"]["REGION_READ"] >= 5337
    assert counters["unknown_commands"] == counters["lost_streams"] == 0
    mapped = sum(1 for r in requests if r.command == "DMA_MAP")
    unmapped = sum(1 for r in requests if r.command == "DMA_UNMAP")
    assert len(server.inspect()["maps"]) == mapped - unmapped


def test_memory_maps_in_flight_at_every_point_of_the_boot_end_as_recorded(server: Server) -> None:
    ram = server.memory(RAM)
    client = server.client()
    sent = []
    for request in recorded():
        if request.command in ("DMA_MAP", "DMA_UNMAP"):
            message = request.message((ram.fd,) * request.fds)
            sent.append((client.request(message), message))
    for msg_id, message in sent:
        client.reply(msg_id, message)
    shared = [m for m in server.inspect()["maps"] if m["shared"]]
    assert os.fstat(ram.fd).st_size == RAM
    assert all(m["iova"] + m["size"] <= RAM for m in shared)
