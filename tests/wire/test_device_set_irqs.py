"""DEVICE_SET_IRQS: where interrupts go."""

import os
from errno import EINVAL, ENOTSUP

import pytest
from client import Client
from function import Driver
from messages import ASSIGN, DEVICE_SET_IRQS, DISABLE, Irq, IrqFlags, resized
from served_function import Server

from siov.spec.testfn import VECTORS

BOOL_TRIGGER = IrqFlags.DATA_BOOL | IrqFlags.TRIGGER


def fired(eventfd: int) -> int:
    """How often, since the last time somebody asked."""
    try:
        return os.eventfd_read(eventfd)
    except BlockingIOError:
        return 0


def assigned(server: Server) -> list[tuple[int, int]]:
    return [(irq["index"], irq["vector"]) for irq in server.inspect()["irqs"] if irq["assigned"]]


def test_a_range_of_vectors_gets_eventfds_and_the_others_none(server: Server, driver: Driver) -> None:
    eventfds = server.eventfds(3)
    driver.client.assign(4, *eventfds)
    assert assigned(server) == [(2, 4), (2, 5), (2, 6)]
    driver.ring(5)
    assert [fired(fd) for fd in eventfds] == [0, 1, 0]


def test_all_vectors_fit_into_one_message(server: Server, driver: Driver) -> None:
    eventfds = server.eventfds(VECTORS)
    driver.client.assign(0, *eventfds)
    for vector in range(VECTORS):
        for _ in range(vector + 1):
            driver.ring(vector)
    assert [fired(fd) for fd in eventfds] == list(range(1, VECTORS + 1))


def test_a_new_eventfd_takes_the_place_of_the_old(server: Server, driver: Driver) -> None:
    old, new = server.eventfds(2)
    driver.client.assign(0, old)
    driver.client.assign(0, new)
    driver.ring(0)
    assert (fired(old), fired(new)) == (0, 1)


def test_one_eventfd_may_serve_several_vectors(server: Server, driver: Driver) -> None:
    eventfd = server.eventfd()
    driver.client.assign(0, eventfd, eventfd)
    driver.ring(0)
    driver.ring(1)
    assert fired(eventfd) == 2


def test_a_count_of_zero_disables_the_index(server: Server, driver: Driver) -> None:
    eventfds = server.eventfds(2)
    driver.client.assign(0, *eventfds)
    driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 0, DISABLE))
    assert assigned(server) == []
    driver.ring(0)
    assert fired(eventfds[0]) == 0


def test_a_vector_without_descriptor_is_taken_away(server: Server, driver: Driver) -> None:
    eventfds = server.eventfds(3)
    driver.client.assign(0, *eventfds)
    driver.client.send(DEVICE_SET_IRQS(Irq.MSIX, 1, 1))
    assert assigned(server) == [(2, 0), (2, 2)]


def test_vectors_arrive_one_by_one_as_a_guest_enables_them(server: Server, driver: Driver) -> None:
    client, eventfds = driver.client, server.eventfds(5)
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1))
    for count in range(1, 6):
        client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 0, DISABLE))
        driver.ring(0)
        client.assign(0, *eventfds[:count])
        assert fired(eventfds[0]) == 1, "what was raised in between"
    assert len(assigned(server)) == 5


def test_a_vector_raised_before_its_eventfd_fires_once_when_it_comes(server: Server, driver: Driver) -> None:
    for _ in range(3):
        driver.ring(7)
    assert [irq["pending"] for irq in server.inspect()["irqs"]] == [True]
    eventfd = server.eventfd()
    driver.client.assign(7, eventfd)
    assert fired(eventfd) == 1
    driver.client.assign(7, eventfd)
    assert fired(eventfd) == 0


def test_a_client_can_trigger_its_vectors_to_try_them(server: Server, client: Client) -> None:
    eventfds = server.eventfds(3)
    client.assign(0, *eventfds)
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 3, BOOL_TRIGGER, b"\1\0\1"))
    assert [fired(fd) for fd in eventfds] == [1, 0, 1]
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 1, 2, IrqFlags.DATA_NONE | IrqFlags.TRIGGER))
    assert [fired(fd) for fd in eventfds] == [0, 1, 1]


@pytest.mark.parametrize("index", [Irq.ERR, Irq.REQ])
def test_the_other_indexes_take_one_eventfd(server: Server, client: Client, index: int) -> None:
    eventfds = server.eventfds(2)
    client.assign(0, eventfds[0], index=index)
    assert assigned(server) == [(index, 0)]
    client.send(DEVICE_SET_IRQS(index, 0, 2, fds=eventfds), expect=EINVAL)
    client.send(DEVICE_SET_IRQS(index, 0, 0, DISABLE))
    assert assigned(server) == []


@pytest.mark.parametrize("index", range(5))
def test_every_index_can_be_disabled_whatever_it_has(client: Client, index: int) -> None:
    client.send(DEVICE_SET_IRQS(index, 0, 0, DISABLE))


@pytest.mark.parametrize("action", [IrqFlags.MASK, IrqFlags.UNMASK])
@pytest.mark.parametrize("data", [IrqFlags.DATA_NONE, IrqFlags.DATA_BOOL])
def test_vectors_of_msix_can_not_be_masked_by_messages(client: Client, action: int, data: int) -> None:
    payload = b"\1" if data == IrqFlags.DATA_BOOL else b""
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, data | action, payload), expect=EINVAL)


@pytest.mark.parametrize("index", [5, 1 << 31, 0xFFFFFFFF])
def test_an_index_that_no_function_has_is_invalid(client: Client, index: int) -> None:
    client.send(DEVICE_SET_IRQS(index, 0, 0, DISABLE), expect=EINVAL)


@pytest.mark.parametrize(
    ("start", "count"),
    [(VECTORS, 1), (0, VECTORS + 1), (VECTORS - 1, 2), (0xFFFFFFFF, 1), (1, 0xFFFFFFFF), (0, 0xFFFFFFFF)],
)
@pytest.mark.parametrize("flags", [ASSIGN, DISABLE])
def test_vectors_that_there_are_not_are_invalid(
    server: Server, client: Client, start: int, count: int, flags: int
) -> None:
    client.send(DEVICE_SET_IRQS(Irq.MSIX, start, count, flags), expect=EINVAL)
    assert assigned(server) == []


@pytest.mark.parametrize("count", [1, 3, VECTORS])
def test_another_number_of_descriptors_than_vectors_is_invalid_and_changes_nothing(
    server: Server, client: Client, count: int
) -> None:
    client.assign(0, server.eventfd())
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, count, fds=server.eventfds(2)), expect=EINVAL)
    assert assigned(server) == [(2, 0)]


def test_one_descriptor_more_than_a_message_carries_is_not_quietly_dropped(
    server: Server, client: Client
) -> None:
    message = DEVICE_SET_IRQS(Irq.MSIX, 0, VECTORS, fds=server.eventfds(VECTORS + 1))
    client.send(message, expect=EINVAL)
    assert assigned(server) == []


@pytest.mark.parametrize(
    "flags",
    [0, 1, 2, 4, 8, 16, 32, 3 | 32, 6 | 32, 7 | 32, 1 | 8 | 32, 1 | 48, 1 | 64, 4 | 32 | 1 << 31, 0xFFFFFFFF],
)
def test_flags_are_one_kind_of_data_and_one_action(client: Client, flags: int) -> None:
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, flags), expect=EINVAL)


def test_an_eventfd_to_unmask_is_not_taken(server: Server, client: Client) -> None:
    for action in (IrqFlags.MASK, IrqFlags.UNMASK):
        message = DEVICE_SET_IRQS(Irq.MSIX, 0, 1, IrqFlags.DATA_EVENTFD | action, fds=server.eventfds(1))
        client.send(message, expect=(EINVAL, ENOTSUP))


@pytest.mark.parametrize("payload", [b"", b"\1", b"\1\1\1", b"\1" * 64])
def test_booleans_are_one_for_each_vector(client: Client, payload: bytes) -> None:
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 2, BOOL_TRIGGER, payload), expect=EINVAL)


def test_booleans_without_end_are_invalid(client: Client) -> None:
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 0xFFFFFFFF, BOOL_TRIGGER, b"\1" * 1000), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 4, 8, 19, 21, 24, 36])
def test_a_body_of_another_size_is_invalid(server: Server, client: Client, size: int) -> None:
    client.send(resized(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, fds=server.eventfds(1)), size), expect=EINVAL)
    assert assigned(server) == []


@pytest.mark.parametrize("argsz", [0, 16, 19])
def test_an_argument_size_below_the_body_is_invalid(server: Server, client: Client, argsz: int) -> None:
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, argsz=argsz, fds=server.eventfds(1)), expect=EINVAL)
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, BOOL_TRIGGER, b"\1", argsz=20), expect=EINVAL)


@pytest.mark.parametrize("flags", [DISABLE, BOOL_TRIGGER])
def test_descriptors_with_other_data_are_invalid(server: Server, client: Client, flags: int) -> None:
    data = b"\1" if flags == BOOL_TRIGGER else b""
    client.send(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, flags, data, fds=server.eventfds(1)), expect=EINVAL)


def test_a_request_that_wants_no_reply_is_done(server: Server, driver: Driver) -> None:
    eventfd = server.eventfd()
    driver.client.post(DEVICE_SET_IRQS(Irq.MSIX, 0, 1, fds=(eventfd,)))
    assert driver.client.is_silent()
    driver.ring(0)
    assert fired(eventfd) == 1
