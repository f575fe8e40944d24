"""DMA_UNMAP: what the device may not reach any more."""

import time
from errno import EINVAL, ENOENT, ENOTSUP

import pytest
from client import Client
from function import Driver
from messages import DMA_MAP, DMA_UNMAP, resized
from served_function import Server, holdings

PAGE = 4096
MIB = 1 << 20
TOP = 1 << 64
STAMP = b"\xee"


def starts(server: Server) -> list[int]:
    return [entry["iova"] // PAGE for entry in server.inspect()["maps"]]


@pytest.fixture
def four(server: Server, client: Client) -> Client:
    """A client with maps of pages 1, 2, 3 and 4 + 5."""
    memory = server.memory(6 * PAGE)
    for page, pages in ((1, 1), (2, 1), (3, 1), (4, 2)):
        client.map(memory, page * PAGE, pages * PAGE, offset=page * PAGE)
    return client


def test_an_unmap_is_answered_with_what_it_asked_for(server: Server, four: Client) -> None:
    message = DMA_UNMAP(4 * PAGE, 2 * PAGE)
    assert four.send(message).body == message.body()
    assert starts(server) == [1, 2, 3]


def test_one_unmap_takes_all_maps_in_its_range(server: Server, four: Client) -> None:
    four.send(DMA_UNMAP(2 * PAGE, 2 * PAGE))
    assert starts(server) == [1, 4]


def test_a_range_wider_than_its_maps_takes_them(server: Server, four: Client) -> None:
    four.send(DMA_UNMAP(0, TOP - PAGE))
    assert starts(server) == []


@pytest.mark.parametrize(("page", "pages"), [(4, 1), (5, 1), (3, 2), (0, 5), (5, 100)])
def test_an_unmap_that_would_split_a_map_is_invalid_and_takes_nothing(
    server: Server, four: Client, page: int, pages: int
) -> None:
    four.send(DMA_UNMAP(page * PAGE, pages * PAGE), expect=EINVAL)
    assert starts(server) == [1, 2, 3, 4]


@pytest.mark.parametrize(("page", "pages"), [(0, 1), (6, 1), (6, 1000), (1 << 40, 1)])
def test_an_unmap_of_nothing_says_so(server: Server, four: Client, page: int, pages: int) -> None:
    four.send(DMA_UNMAP(page * PAGE, pages * PAGE), expect=ENOENT)
    assert starts(server) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("addr", "size"),
    [
        (PAGE, 0),
        (PAGE, 1),
        (PAGE, PAGE + 1),
        (PAGE + 1, PAGE),
        (TOP - PAGE, 2 * PAGE),
        (PAGE, TOP - PAGE + 1),
        (TOP - 1, TOP - 1),
    ],
)
def test_a_range_that_is_empty_or_unaligned_or_wraps_is_invalid(
    server: Server, four: Client, addr: int, size: int
) -> None:
    four.send(DMA_UNMAP(addr, size), expect=EINVAL)
    assert starts(server) == [1, 2, 3, 4]


def test_everything_can_go_at_once(server: Server, four: Client) -> None:
    before = holdings()["mappings"]
    four.send(DMA_UNMAP(0, 0, flags=2))
    assert starts(server) == []
    assert holdings()["mappings"] < before
    four.send(DMA_UNMAP(0, 0, flags=2))


@pytest.mark.parametrize(("addr", "size"), [(PAGE, PAGE), (0, PAGE), (PAGE, 0)])
def test_all_with_a_range_is_invalid(server: Server, four: Client, addr: int, size: int) -> None:
    four.send(DMA_UNMAP(addr, size, flags=2), expect=EINVAL)
    assert starts(server) == [1, 2, 3, 4]


def test_a_dirty_bitmap_is_not_supported(server: Server, four: Client) -> None:
    four.send(DMA_UNMAP(PAGE, PAGE, flags=1, argsz=64), expect=ENOTSUP)
    assert starts(server) == [1, 2, 3, 4]


@pytest.mark.parametrize("flags", [4, 6, 1 << 31])
def test_unknown_flags_are_invalid(server: Server, four: Client, flags: int) -> None:
    four.send(DMA_UNMAP(PAGE, PAGE, flags=flags), expect=EINVAL)
    assert starts(server) == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [0, 4, 8, 23, 25, 40])
def test_a_body_of_another_size_is_invalid(server: Server, four: Client, size: int) -> None:
    four.send(resized(DMA_UNMAP(PAGE, PAGE), size), expect=EINVAL)
    assert starts(server) == [1, 2, 3, 4]


def test_an_argument_size_below_the_fields_is_invalid(four: Client) -> None:
    four.send(DMA_UNMAP(PAGE, PAGE, argsz=23), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, four: Client) -> None:
    four.send(DMA_UNMAP(PAGE, PAGE, fds=(server.eventfd(),)), expect=EINVAL)


def test_the_mapping_of_a_file_is_gone_when_the_reply_to_its_last_unmap_comes(
    server: Server, client: Client
) -> None:
    before = holdings()["mappings"]
    memory = server.memory(4 * PAGE)
    client.map(memory, 0, PAGE)
    client.map(memory, PAGE, PAGE)
    client.send(DMA_UNMAP(0, PAGE))
    assert holdings()["mappings"] > before
    client.send(DMA_UNMAP(PAGE, PAGE))
    assert holdings()["mappings"] == before


def test_a_range_can_be_mapped_again_to_something_else(server: Server, driver: Driver) -> None:
    one, other = server.memory(2 * PAGE), server.memory(2 * PAGE)
    one[0], other[0] = b"one  ", b"other"
    driver.client.map(one, 0)
    driver.client.send(DMA_UNMAP(0, 2 * PAGE))
    driver.client.map(other, 0)
    assert driver.copy(0, PAGE, 5).DONE
    assert (one[slice(PAGE, PAGE + 5)], other[slice(PAGE, PAGE + 5)]) == (bytes(5), b"other")


def test_what_is_unmapped_is_a_fault_to_the_device(server: Server, driver: Driver) -> None:
    memory = server.memory(2 * PAGE)
    driver.client.map(memory, 0, PAGE)
    driver.client.map(memory, PAGE, PAGE, offset=PAGE)
    driver.client.send(DMA_UNMAP(PAGE, PAGE))
    assert driver.copy(0, PAGE, 8).ERROR
    assert driver.fault() == PAGE


def test_nothing_is_written_after_the_reply_to_an_unmap_under_a_copy(server: Server, driver: Driver) -> None:
    source, target = server.memory(16 * MIB), server.memory(16 * MIB)
    for n in range(64):
        driver.client.map(source, n * 16 * MIB)
        driver.client.map(target, (64 + n) * 16 * MIB)
    driver.start(0, 64 * 16 * MIB, 64 * 16 * MIB)
    driver.client.send(DMA_UNMAP(64 * 16 * MIB, 64 * 16 * MIB))
    target[0] = STAMP * target.size
    status = driver.wait()
    assert status.ERROR, "the copy was over before the unmap: it claims nothing"
    assert target[slice(0, target.size)] == STAMP * target.size


def test_memory_without_descriptor_is_unmapped_too(server: Server, driver: Driver) -> None:
    driver.client.send(DMA_MAP(0, PAGE))
    driver.client.send(DMA_UNMAP(0, PAGE))
    assert driver.copy(0, PAGE, 8).ERROR
    assert driver.fault() == 0
    assert driver.client.is_silent()


def test_maps_and_unmaps_in_flight_are_done_in_their_order(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    sent = []
    for _ in range(100):
        for message in (DMA_MAP(0, PAGE, fds=(memory.fd,)), DMA_UNMAP(0, PAGE)):
            sent.append((client.request(message), message))
    for msg_id, message in sent:
        client.reply(msg_id, message)
    assert starts(server) == []


def test_a_copy_and_a_churn_of_other_maps_do_not_hold_each_other_up(server: Server, driver: Driver) -> None:
    memory, other = server.memory(MIB), server.memory(MIB)
    for n in range(256):
        driver.client.map(memory, n * MIB)
    driver.start(0, 128 * MIB, 128 * MIB)
    until = time.monotonic() + 5
    churned = 0
    while churned < 50 and time.monotonic() < until:
        driver.client.map(other, 512 * MIB)
        driver.client.send(DMA_UNMAP(512 * MIB, MIB))
        churned += 1
    assert churned == 50
    assert driver.wait().DONE
