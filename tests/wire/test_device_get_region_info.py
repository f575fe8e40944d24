"""DEVICE_GET_REGION_INFO: where registers are."""

from errno import EINVAL

import pytest
from client import Client
from messages import DEVICE_GET_REGION_INFO, Region, resized
from served_function import Server

READ_WRITE = 0b11


@pytest.mark.parametrize(("region", "size"), [(Region.BAR0, 0x10000), (Region.CONFIG, 0x1000)])
def test_a_region_can_be_read_and_written_and_not_mapped(client: Client, region: int, size: int) -> None:
    reply = client.send(DEVICE_GET_REGION_INFO(region))
    assert reply.unpack("IIIIQQ") == (32, READ_WRITE, region, 0, size, 0)
    assert len(reply.body) == 32


@pytest.mark.parametrize("region", [1, 2, 3, 4, 5, Region.ROM, Region.VGA])
def test_a_region_that_the_function_lacks_is_empty(client: Client, region: int) -> None:
    assert client.send(DEVICE_GET_REGION_INFO(region)).unpack("IIIIQQ") == (32, 0, region, 0, 0, 0)


@pytest.mark.parametrize("region", [9, 100, 1 << 31, 0xFFFFFFFF])
def test_a_region_that_no_function_has_is_invalid(client: Client, region: int) -> None:
    client.send(DEVICE_GET_REGION_INFO(region), expect=EINVAL)


def test_room_for_capabilities_that_there_are_not_changes_nothing(client: Client) -> None:
    reply = client.send(DEVICE_GET_REGION_INFO(0, argsz=4096))
    assert reply.unpack("IIII")[0] == 32
    assert len(reply.body) == 32


@pytest.mark.parametrize("argsz", [0, 16, 31])
def test_an_argument_size_below_the_fields_is_invalid(client: Client, argsz: int) -> None:
    client.send(DEVICE_GET_REGION_INFO(0, argsz=argsz), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 48])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(DEVICE_GET_REGION_INFO(0), size), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(DEVICE_GET_REGION_INFO(0, fds=(server.eventfd(),)), expect=EINVAL)
