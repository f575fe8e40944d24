"""DEVICE_GET_INFO: what the device is."""

from errno import EINVAL

import pytest
from client import Client
from messages import DEVICE_GET_INFO, Command, Raw, resized
from served_function import Server


def test_it_is_a_pci_device_that_can_be_reset_with_nine_regions_and_five_interrupts(client: Client) -> None:
    assert client.send(DEVICE_GET_INFO()).unpack("IIII") == (16, 0b11, 9, 5)


def test_the_reply_has_exactly_its_fields(client: Client) -> None:
    assert len(client.send(DEVICE_GET_INFO(argsz=4096)).body) == 16


@pytest.mark.parametrize("argsz", [0, 15])
def test_an_argument_size_below_the_fields_is_invalid(client: Client, argsz: int) -> None:
    client.send(DEVICE_GET_INFO(argsz=argsz), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 32, 65536])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(DEVICE_GET_INFO(), size), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(DEVICE_GET_INFO(fds=(server.eventfd(),)), expect=EINVAL)


def test_what_the_client_says_of_the_device_is_not_repeated(client: Client) -> None:
    body = b"\x10\0\0\0" + b"\xff" * 12
    reply = client.send(Raw(Command.DEVICE_GET_INFO, body))
    assert reply.unpack("IIII") == (16, 0b11, 9, 5)
