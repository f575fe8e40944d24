"""DEVICE_GET_REGION_IO_FDS: registers that could be reached by eventfds; the function has none."""

from errno import EINVAL

import pytest
from client import Client
from messages import DEVICE_GET_REGION_IO_FDS, resized
from served_function import Server


@pytest.mark.parametrize("region", range(9))
def test_no_region_has_any(client: Client, region: int) -> None:
    reply = client.send(DEVICE_GET_REGION_IO_FDS(region))
    assert reply.unpack("IIII") == (16, 0, region, 0)
    assert len(reply.body) == 16


@pytest.mark.parametrize("region", [9, 0xFFFFFFFF])
def test_a_region_that_no_function_has_is_invalid(client: Client, region: int) -> None:
    client.send(DEVICE_GET_REGION_IO_FDS(region), expect=EINVAL)


@pytest.mark.parametrize(("argsz", "flags", "count"), [(15, 0, 0), (0, 0, 0), (16, 1, 0), (16, 0, 1)])
def test_fields_that_make_no_sense_are_invalid(client: Client, argsz: int, flags: int, count: int) -> None:
    client.send(DEVICE_GET_REGION_IO_FDS(0, argsz, flags, count), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(DEVICE_GET_REGION_IO_FDS(0), size), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(DEVICE_GET_REGION_IO_FDS(0, fds=(server.eventfd(),)), expect=EINVAL)
