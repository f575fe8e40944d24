"""VERSION: what the two sides agree on before anything else."""

import json
from errno import EINVAL, ENOTSUP

import pytest
from messages import (
    DEVICE_GET_INFO,
    DEVICE_GET_IRQ_INFO,
    DEVICE_GET_REGION_INFO,
    DEVICE_GET_REGION_IO_FDS,
    DEVICE_RESET,
    DEVICE_SET_IRQS,
    DISABLE,
    DMA_MAP,
    DMA_UNMAP,
    REGION_READ,
    REGION_WRITE,
    REGION_WRITE_MULTI,
    VERSION,
    Command,
    Flags,
    Message,
    Raw,
)
from served_function import Server

QEMU = {
    "pgsizes": 4096,
    "max_msg_fds": 16,
    "max_dma_maps": 65535,
    "max_data_xfer_size": 1048576,
    "migration": {"max_bitmap_size": 268435456, "pgsize": 4096},
    "write_multiple": True,
}


def test_the_proposal_of_qemu_is_agreed_on_with_write_multiple(server: Server) -> None:
    request = VERSION(capabilities=QEMU)
    reply = server.connect().send(request)
    assert reply.unpack("HH") == (0, 0)
    assert len(reply.body) <= len(request.body()), "QEMU reads the reply into the request's buffer"
    assert reply.body[-1:] == b"\0"
    capabilities = json.loads(reply.body[4:-1])["capabilities"]
    assert capabilities["write_multiple"] is True
    assert capabilities["max_msg_fds"] == 16
    assert capabilities["max_data_xfer_size"] == 1048576
    assert capabilities["pgsizes"] == 4096
    assert server.inspect()["version"] == (0, 0)


def test_write_multiple_is_not_offered_to_who_did_not_ask(server: Server) -> None:
    padding = {"of": " " * 200}
    reply = server.connect().send(VERSION(capabilities={**padding}))
    assert "write_multiple" not in json.loads(reply.body[4:-1])["capabilities"]


def test_a_version_without_capabilities_is_answered_without(server: Server) -> None:
    assert server.connect().send(VERSION(capabilities=None)).body == bytes(4)


@pytest.mark.parametrize("length", [*range(2, 150, 7), 4096])
def test_the_reply_is_json_that_fits_the_request(server: Server, length: int) -> None:
    reply = server.connect().send(VERSION(data=b"{}".ljust(length) + b"\0"))
    assert len(reply.body) <= 4 + length + 1
    if reply.body[4:]:
        assert reply.body[-1:] == b"\0"
        json.loads(reply.body[4:-1])


def test_a_higher_minor_is_answered_with_ours(server: Server) -> None:
    assert server.connect().send(VERSION(minor=7)).unpack("HH") == (0, 0)


def test_another_major_is_not_supported_and_0_can_still_be_tried(server: Server) -> None:
    client = server.connect()
    client.send(VERSION(major=1), expect=ENOTSUP)
    client.send(DEVICE_GET_INFO(), expect=EINVAL)
    client.send(VERSION())
    client.send(DEVICE_GET_INFO())


@pytest.mark.parametrize("size", range(4))
def test_a_version_shorter_than_its_numbers_is_invalid(server: Server, size: int) -> None:
    server.connect().send(Raw(Command.VERSION, bytes(size)), expect=EINVAL)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"\0",
        b"\0\0",
        b"null\0",
        b"[]\0",
        b"7\0",
        b"{\0",
        b"{}x\0",
        b"{}\0{}\0",
        b"\xff\xfe\0",
        b'{"capabilities":[]}\0',
        b'{"capabilities":null}\0',
        b'{"capabilities":{"max_msg_fds":"16"}}\0',
        b'{"capabilities":{"max_msg_fds":-1}}\0',
        b'{"capabilities":{"max_msg_fds":0}}\0',
        b'{"capabilities":{"max_data_xfer_size":0}}\0',
        b'{"capabilities":{"max_data_xfer_size":1e400}}\0',
        b'{"capabilities":{"max_dma_maps":340282366920938463463374607431768211456}}\0',
        b'{"capabilities":{"write_multiple":1}}\0',
        b"[" * 100_000 + b"\0",
        b'{"a":' * 2_000 + b"\0",
        b'{"capabilities":{},"x":"' + b"y" * 1_000_000 + b'"}\0',
        bytes(1_000_000),
    ],
    ids=lambda data: repr(data[:50]),
)
def test_capabilities_that_make_no_sense_are_invalid(server: Server, data: bytes) -> None:
    client = server.connect()
    client.send(VERSION(data=data), expect=EINVAL)
    client.send(VERSION())


def test_what_is_not_known_in_the_capabilities_is_passed_over(server: Server) -> None:
    server.connect().send(VERSION(capabilities={"twin_socket": {"supported": True}, "x": [None]}))


def test_pages_that_are_not_of_4_kib_are_not_supported(server: Server) -> None:
    server.connect().send(VERSION(capabilities={"pgsizes": 65536}), expect=ENOTSUP)


def test_the_client_may_want_fewer_maps_and_the_reply_says_so(server: Server) -> None:
    client = server.connect()
    reply = client.send(VERSION(data=b'{"capabilities":{"max_dma_maps":7}}'.ljust(300) + b"\0"))
    assert json.loads(reply.body[4:-1])["capabilities"]["max_dma_maps"] == 7


def test_a_second_version_is_invalid_and_changes_nothing(server: Server) -> None:
    client = server.client()
    client.write(0, 4, b"stay")
    client.send(VERSION(), expect=EINVAL)
    assert client.read(0, 4, 4) == b"stay"


@pytest.mark.parametrize(
    "message",
    [
        DMA_MAP(0, 4096),
        DMA_UNMAP(0, 4096),
        DEVICE_GET_INFO(),
        DEVICE_GET_REGION_INFO(0),
        DEVICE_GET_REGION_IO_FDS(0),
        DEVICE_GET_IRQ_INFO(0),
        DEVICE_SET_IRQS(2, 0, 0, DISABLE),
        REGION_READ(7, 0, 4),
        REGION_WRITE(0, 4, b"data"),
        REGION_WRITE_MULTI((REGION_WRITE(0, 4, b"data"),)),
        DEVICE_RESET(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_nothing_works_before_the_version(server: Server, message: Message) -> None:
    client = server.connect()
    client.send(message, expect=EINVAL)
    client.negotiate()
    assert server.inspect()["maps"] == []
    assert client.read(0, 4, 4) == bytes(4)


def test_a_descriptor_does_not_belong_to_a_version(server: Server) -> None:
    server.connect().send(VERSION(fds=(server.eventfd(),)), expect=EINVAL)


def test_a_version_that_wants_no_reply_counts(server: Server) -> None:
    client = server.connect()
    client.request(VERSION(), Flags.NO_REPLY)
    client.send(DEVICE_GET_INFO())
