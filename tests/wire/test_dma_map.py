"""DMA_MAP: memory that the device may reach."""

import fcntl
import os
import tempfile
from errno import EACCES, EBADF, EEXIST, EINVAL, ENODEV, ENOMEM, EPERM

import pytest
from client import Client
from function import Driver
from messages import DMA_MAP, DMA_UNMAP, resized
from served_function import Server

PAGE = 4096
TOP = 1 << 64


def maps(server: Server) -> list[tuple[int, int, str, bool]]:
    found = server.inspect()["maps"]
    return [(m["iova"], m["size"], m["perm"], m["shared"]) for m in found]


@pytest.mark.parametrize(("flags", "perm"), [(1, "r-"), (2, "-w"), (3, "rw")])
def test_a_map_with_a_descriptor_is_shared_with_its_permission(
    server: Server, client: Client, flags: int, perm: str
) -> None:
    client.map(server.memory(2 * PAGE), 0x10000, flags=flags)
    assert maps(server) == [(0x10000, 2 * PAGE, perm, True)]


def test_a_map_without_descriptor_is_reached_by_messages(server: Server, client: Client) -> None:
    client.send(DMA_MAP(0xFFFC0000, 0x40000, flags=1))
    assert maps(server) == [(0xFFFC0000, 0x40000, "r-", False)]


def test_the_offset_says_where_in_the_file_the_map_begins(server: Server, driver: Driver) -> None:
    memory = server.memory(4 * PAGE)
    memory[2 * PAGE] = b"from the third page"
    driver.client.map(memory, 0x8000, PAGE, offset=2 * PAGE)
    driver.client.map(memory, 0, PAGE)
    assert driver.copy(0x8000, 0, 19).DONE
    assert memory[slice(0, 19)] == b"from the third page"


def test_the_descriptor_is_not_kept(server: Server, client: Client) -> None:
    before = len(os.listdir("/proc/self/fd"))
    memory = server.memory(PAGE)
    client.map(memory, 0)
    assert len(os.listdir("/proc/self/fd")) == before + 1, "ours only"


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("addr", "size"),
    [
        (0, 0),
        (0, 1),
        (0, PAGE - 1),
        (0, PAGE + 1),
        (1, PAGE),
        (0x800, PAGE),
        (TOP - PAGE, 2 * PAGE),
        (TOP - 2 * PAGE, TOP - PAGE),
        (PAGE, TOP - PAGE + PAGE // 2),
        (TOP - 1, TOP - 1),
    ],
)
def test_a_map_that_is_empty_or_unaligned_or_wraps_is_refused_with_einval(
    server: Server, client: Client, addr: int, size: int, shared: bool
) -> None:
    fds = (server.memory(16 * PAGE).fd,) if shared else ()
    client.send(DMA_MAP(addr=addr, size=size, fds=fds), expect=EINVAL)
    assert maps(server) == []


def test_the_last_page_of_the_address_space_can_be_mapped(server: Server, client: Client) -> None:
    client.map(server.memory(PAGE), TOP - PAGE)
    client.send(DMA_MAP(0, TOP - PAGE))
    assert [m[:2] for m in maps(server)] == [(0, TOP - PAGE), (TOP - PAGE, PAGE)]


@pytest.mark.parametrize("flags", [0, 4, 7, 1 << 31, 0xFFFFFFFF])
def test_flags_other_than_read_and_write_are_invalid(server: Server, client: Client, flags: int) -> None:
    client.send(DMA_MAP(0, PAGE, flags=flags), expect=EINVAL)
    assert maps(server) == []


@pytest.mark.parametrize("argsz", [0, 16, 31])
def test_an_argument_size_below_the_fields_is_invalid(client: Client, argsz: int) -> None:
    client.send(DMA_MAP(0, PAGE, argsz=argsz), expect=EINVAL)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64, 4096])
def test_a_body_of_another_size_is_invalid(server: Server, client: Client, size: int) -> None:
    client.send(resized(DMA_MAP(0, PAGE), size), expect=EINVAL)
    memory = server.memory(PAGE)
    client.send(resized(DMA_MAP(0, PAGE, fds=(memory.fd,)), size), expect=EINVAL)
    assert maps(server) == []


@pytest.mark.parametrize(("addr", "size"), [(4, 4), (5, 1), (3, 2), (7, 2), (0, 16), (7, 1), (0, 5), (4, 1)])
def test_a_map_over_another_is_refused_and_the_first_stays(
    server: Server, client: Client, addr: int, size: int
) -> None:
    client.map(server.memory(4 * PAGE), 4 * PAGE)
    before = maps(server)
    memory = server.memory(16 * PAGE)
    client.send(DMA_MAP(addr * PAGE, size * PAGE, fds=(memory.fd,)), expect=EEXIST)
    client.send(DMA_MAP(addr * PAGE, size * PAGE), expect=EEXIST)
    assert maps(server) == before


def test_maps_may_touch(server: Server, client: Client) -> None:
    memory = server.memory(3 * PAGE)
    for page in (1, 0, 2):
        client.map(memory, page * PAGE, PAGE, offset=page * PAGE)
    assert [m[0] for m in maps(server)] == [0, PAGE, 2 * PAGE]


@pytest.mark.parametrize("offset", [1, 512, PAGE - 1])
def test_an_unaligned_offset_in_the_file_is_invalid(server: Server, client: Client, offset: int) -> None:
    memory = server.memory(4 * PAGE)
    client.send(DMA_MAP(0, PAGE, offset=offset, fds=(memory.fd,)), expect=EINVAL)


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 3 * PAGE), (2 * PAGE, PAGE), (PAGE, 2 * PAGE), (TOP - PAGE, PAGE), (1 << 63, PAGE)],
)
def test_a_map_longer_than_its_file_is_invalid(
    server: Server, client: Client, offset: int, size: int
) -> None:
    memory = server.memory(2 * PAGE)
    client.send(DMA_MAP(0, size, offset=offset, fds=(memory.fd,)), expect=EINVAL)


def test_a_map_larger_than_any_memory_is_refused(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    client.send(DMA_MAP(0, 1 << 62, fds=(memory.fd,)), expect=(EINVAL, ENOMEM))
    memory.resize((1 << 62) + PAGE)
    client.send(DMA_MAP(0, 1 << 62, fds=(memory.fd,)), expect=ENOMEM)


def test_a_file_with_half_a_page_at_its_end_is_too_short_for_that_page(
    server: Server, client: Client
) -> None:
    memory = server.memory(PAGE + 100)
    client.send(DMA_MAP(0, 2 * PAGE, fds=(memory.fd,)), expect=EINVAL)
    client.send(DMA_MAP(0, PAGE, fds=(memory.fd,)))


def test_two_descriptors_are_invalid(server: Server, client: Client) -> None:
    one, other = server.memory(PAGE), server.memory(PAGE)
    client.send(DMA_MAP(0, PAGE, fds=(one.fd, other.fd)), expect=EINVAL)


def test_a_descriptor_that_can_not_be_mapped_is_refused(server: Server, client: Client) -> None:
    reader, writer = (server.own(fd) for fd in os.pipe())
    folder = server.own(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    path_only = server.own(os.open("/proc/self/exe", os.O_PATH))
    null = server.own(os.open("/dev/null", os.O_RDWR))
    for fd in (reader, writer, folder, path_only, null, server.eventfd(), client.socket.fileno()):
        client.send(DMA_MAP(0, PAGE, fds=(fd,)), expect=(EINVAL, ENODEV, EACCES, EBADF))
    assert maps(server) == []


def test_a_file_opened_for_reading_takes_no_writable_map(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    memory[0] = b"here"
    fd = server.own(os.open(f"/proc/self/fd/{memory.fd}", os.O_RDONLY))
    client.send(DMA_MAP(0, PAGE, fds=(fd,)), expect=EACCES)
    client.send(DMA_MAP(0, PAGE, flags=2, fds=(fd,)), expect=EACCES)
    client.send(DMA_MAP(0, PAGE, flags=1, fds=(fd,)))


def test_a_descriptor_grants_no_more_than_itself_though_another_of_its_file_does(
    server: Server, client: Client
) -> None:
    memory = server.memory(2 * PAGE)
    client.map(memory, 0)
    fd = server.own(os.open(f"/proc/self/fd/{memory.fd}", os.O_RDONLY))
    client.send(DMA_MAP(0x10000, PAGE, fds=(fd,)), expect=EACCES)


def test_a_file_opened_for_writing_only_can_not_be_mapped(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    fd = server.own(os.open(f"/proc/self/fd/{memory.fd}", os.O_WRONLY))
    client.send(DMA_MAP(0, PAGE, flags=2, fds=(fd,)), expect=EACCES)


def test_a_file_sealed_against_writing_takes_a_map_for_reading_only(server: Server, client: Client) -> None:
    memory = server.memory(PAGE, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    fcntl.fcntl(memory.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    client.send(DMA_MAP(0, PAGE, fds=(memory.fd,)), expect=EPERM)
    client.send(DMA_MAP(0, PAGE, flags=1, fds=(memory.fd,)))


def test_a_regular_file_can_be_shared(server: Server, driver: Driver) -> None:
    with tempfile.NamedTemporaryFile(prefix="wire-file") as file:
        file.write(b"on disk".ljust(2 * PAGE, b"."))
        file.flush()
        driver.client.send(DMA_MAP(0, 2 * PAGE, fds=(file.fileno(),)))
        assert driver.copy(0, PAGE, 7).DONE
        assert os.pread(file.fileno(), 7, PAGE) == b"on disk"
        driver.client.send(DMA_UNMAP(0, 2 * PAGE))


def test_huge_pages_that_are_not_there_are_an_errno(server: Server, client: Client) -> None:
    try:
        memory = server.memory(2 << 20, os.MFD_HUGETLB | os.MFD_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no memfd of huge pages here: {error}")
    client.send(DMA_MAP(0, 2 << 20, fds=(memory.fd,)), expect=(0, ENOMEM))


def test_more_files_than_the_process_can_bear_are_refused_and_the_rest_works(
    server: Server, driver: Driver
) -> None:
    client, refused = driver.client, 0
    for page in range(300):
        message = DMA_MAP(page * PAGE, PAGE, fds=(server.memory(PAGE).fd,))
        refused += client.send(message, expect=(0, ENOMEM)).error == ENOMEM
    assert 0 < refused < 290
    assert driver.copy(0, PAGE, 100).DONE
    client.send(DMA_UNMAP(0, 0, flags=2))
    client.map(server.memory(PAGE), 0)


def test_windows_of_one_file_are_not_files(server: Server, driver: Driver) -> None:
    memory = server.memory(2000 * PAGE)
    for page in range(1000):
        driver.client.map(memory, page * PAGE, PAGE, offset=2 * page * PAGE)
    memory[2 * 999 * PAGE] = b"the last window"
    assert driver.copy(999 * PAGE, 0, 15).DONE
    assert memory[slice(0, 15)] == b"the last window"


def test_a_map_that_wants_no_reply_is_made(server: Server, client: Client) -> None:
    memory = server.memory(PAGE)
    client.post(DMA_MAP(0, PAGE, fds=(memory.fd,)))
    assert client.is_silent()
    assert maps(server) == [(0, PAGE, "rw", True)]


def test_maps_in_flight_are_answered_in_their_order(server: Server, client: Client) -> None:
    memory = server.memory(64 * PAGE)
    messages = [DMA_MAP(page * PAGE, PAGE, page * PAGE, fds=(memory.fd,)) for page in range(64)]
    ids = [client.request(message) for message in messages]
    for msg_id, message in zip(ids, messages, strict=True):
        client.reply(msg_id, message)
    assert len(maps(server)) == 64
