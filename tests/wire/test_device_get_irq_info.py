"""DEVICE_GET_IRQ_INFO: how many vectors there are."""

from errno import EINVAL

import pytest
from client import Client
from messages import DEVICE_GET_IRQ_INFO, Irq, resized
from served_function import Server

from siov.spec.testfn import VECTORS

EVENTFD = 1
MASKABLE = 2


@pytest.mark.parametrize(("index", "count"), [(Irq.MSIX, VECTORS), (Irq.ERR, 1), (Irq.REQ, 1)])
def test_an_index_with_vectors_takes_eventfds(client: Client, index: int, count: int) -> None:
    reply = client.send(DEVICE_GET_IRQ_INFO(index))
    argsz, flags, echoed, vectors = reply.unpack("IIII")
    assert (argsz, echoed, vectors, len(reply.body)) == (16, index, count, 16)
    assert flags & EVENTFD


def test_the_vectors_of_msix_are_masked_in_the_table_not_by_messages(client: Client) -> None:
    assert client.send(DEVICE_GET_IRQ_INFO(Irq.MSIX)).unpack("IIII")[1] & MASKABLE == 0


@pytest.mark.parametrize("index", [Irq.INTX, Irq.MSI])
def test_an_index_that_the_function_lacks_has_no_vectors(client: Client, index: int) -> None:
    assert client.send(DEVICE_GET_IRQ_INFO(index)).unpack("IIII") == (16, 0, index, 0)


@pytest.mark.parametrize("index", [5, 1 << 31, 0xFFFFFFFF])
def test_an_index_that_no_function_has_is_invalid(client: Client, index: int) -> None:
    client.send(DEVICE_GET_IRQ_INFO(index), expect=EINVAL)


@pytest.mark.parametrize("argsz", [0, 15])
def test_an_argument_size_below_the_fields_is_invalid(client: Client, argsz: int) -> None:
    client.send(DEVICE_GET_IRQ_INFO(2, argsz=argsz), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 8, 15, 17, 32])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(DEVICE_GET_IRQ_INFO(2), size), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(DEVICE_GET_IRQ_INFO(2, fds=(server.eventfd(),)), expect=EINVAL)
