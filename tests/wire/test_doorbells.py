"""Doorbells of a virtual device: messages, or pages that the client maps and the adapter polls."""

import errno
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mapped_vdev import ENTRIES, PAGE, User, Vdevs, eventually
from messages import DEVICE_GET_REGION_INFO, DEVICE_RESET, Region

from siov.host.linux import LinuxError

TX_TAIL, RX_TAIL, ITRN1 = 0x0000, 0x2000, 0x2800
SIOV_RX_TAIL, SIOV_TX_TAIL = 0x10_0000, 0x110_0000
DEAD = 0xDEAD_BEEF
GARBAGE = 0xFFFF_FFFF


@pytest.fixture(scope="module")
def vdevs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vdevs]:
    vdevs = Vdevs(tmp_path_factory.mktemp("vdevs"))
    try:
        yield vdevs
    finally:
        vdevs.close()


@pytest.fixture
def user(vdevs: Vdevs) -> Iterator[User]:
    with vdevs.user() as user:
        yield user


def word(user: User, offset: int) -> int:
    return int.from_bytes(user.client.read(Region.BAR0, offset, 4), "little")


# What is offered.


def test_a_client_is_told_of_the_tail_pages_when_it_has_room_for_them(user: User) -> None:
    first = user.client.send(DEVICE_GET_REGION_INFO(Region.BAR0))
    assert first.unpack("IIIIQQ") == (80, 0b1111, 0, 32, 0x10000, 0)
    assert (first.fds, len(first.body)) == ((), 32)
    areas, file = user.areas()
    assert areas == [(TX_TAIL, PAGE), (RX_TAIL, PAGE)]
    assert file is not None
    os.close(file)


def test_of_the_page_split_device_all_tails_can_be_mapped_and_nothing_that_acts_on_each_write(
    vdevs: Vdevs,
) -> None:
    with vdevs.user("ice-vdcm") as user:
        tails = [SIOV_RX_TAIL + PAGE * q for q in range(4)] + [SIOV_TX_TAIL + PAGE * q for q in range(4)]
        assert list(user.pages) == tails
        user.enable(2)
        user.store(SIOV_TX_TAIL + 2 * PAGE, 5)
        assert eventually(lambda: user.done() == 5)


@pytest.mark.parametrize("kind", ["ice-avf-1", "ice-vdcm"])
def test_trapped_doorbells_offer_nothing_to_map(vdevs: Vdevs, kind: str) -> None:
    with vdevs.user(kind, "trapped") as user:
        assert user.client.send(DEVICE_GET_REGION_INFO(Region.BAR0)).unpack("II") == (32, 0b11)
        user.enable()
        user.client.write(Region.BAR0, TX_TAIL, struct.pack("=I", 3))
        assert eventually(lambda: user.done() == 3)


def test_the_file_can_not_be_made_longer_or_shorter(user: User) -> None:
    assert user.file is not None
    for size in (PAGE, 1 << 30):
        with pytest.raises(PermissionError):
            os.ftruncate(user.file, size)


# What a store does.


def test_a_tail_that_is_stored_sends_what_the_ring_has(user: User) -> None:
    user.enable()
    for tail in (1, 7, ENTRIES - 1):
        user.store(TX_TAIL, tail)
        assert eventually(lambda tail=tail: user.done() == tail)
        assert user.load(TX_TAIL) == tail


def test_a_tail_is_found_after_any_pause(user: User) -> None:
    user.enable()
    for tail, pause in enumerate((0.0, 0.001, 0.01, 0.05, 0.3), start=1):
        time.sleep(pause)
        user.store(TX_TAIL, tail)
        assert eventually(lambda tail=tail: user.done() == tail)


def test_a_receive_tail_is_the_adapters(user: User) -> None:
    vsi = user.device.adi.vsi
    user.store(RX_TAIL, 0x1F8)
    assert user.register(vsi.pf.hw.address("QRX_TAIL_PAGE", vsi.rxq[0])) == 0x1F8


def test_a_timer_in_a_page_of_tails_is_the_vectors(user: User) -> None:
    vsi = user.device.adi.vsi
    timers = vsi.pf.hw.io.base + vsi.vectors[1].page + 4
    for timer in range(3):
        user.store(ITRN1 + 64 * timer, 0x20 + timer)
    assert [user.register(timers + 4 * timer) for timer in range(3)] == [0x20, 0x21, 0x22]


def test_a_message_to_a_mapped_page_is_a_store_that_is_heard_of_at_once(user: User) -> None:
    user.enable()
    user.client.write(Region.BAR0, TX_TAIL, struct.pack("=I", 4))
    assert eventually(lambda: user.done() == 4)
    assert (user.load(TX_TAIL), word(user, TX_TAIL)) == (4, 4)
    user.client.write(Region.BAR0, TX_TAIL + 0xFFF, b"\xa5")
    assert (
        user.client.read(Region.BAR0, TX_TAIL + 0xFFE, 4) == bytes([0, 0xA5]) + DEAD.to_bytes(4, "little")[:2]
    )


def test_other_registers_stay_where_they_are(user: User) -> None:
    user.client.write(Region.BAR0, 0x3800, struct.pack("=I", 1))
    assert word(user, 0x3800) == 1  # VFINT_DYN_CTLN1: INTENA
    assert word(user, 0x8800) == 2  # VFGEN_RSTAT: active


# What a client may not do.


def test_a_tail_outside_the_ring_stops_that_queue_and_no_other(vdevs: Vdevs, user: User) -> None:
    vsi = user.device.adi.vsi.num
    user.enable()
    user.store(TX_TAIL, GARBAGE)
    assert eventually(lambda: vdevs.mdd(vsi) == 1)
    with vdevs.user() as other:
        other.enable()
        other.store(TX_TAIL, 9)
        assert eventually(lambda: other.done() == 9)
    user.store(TX_TAIL, 1)
    assert (vdevs.mdd(vsi), user.done()) == (1, 0)


def test_garbage_all_over_the_pages_hurts_nobody_else(vdevs: Vdevs, user: User) -> None:
    user.enable()
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            for page in user.pages.values():
                page[:] = os.urandom(PAGE)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        with vdevs.user() as other:
            other.enable()
            for tail in range(1, ENTRIES):
                other.store(TX_TAIL, tail)
                assert eventually(lambda tail=tail: other.done() == tail)
    finally:
        stop.set()
        writer.join()
    user.client.send(DEVICE_RESET())
    assert word(user, 0x8800) == 2


def test_who_has_gone_rings_nobodys_doorbell(user: User) -> None:
    pages = user.leave()
    user.connect()
    user.enable()
    for page in pages.values():
        page[:] = struct.pack("=I", 5) * (PAGE // 4)
    user.store(TX_TAIL, 2)
    assert eventually(lambda: user.done() == 2)
    time.sleep(0.01)
    assert (user.done(), user.load(RX_TAIL)) == (2, 0)
    for page in pages.values():
        page.close()


def test_a_long_access_ends_at_the_page_of_the_device(vdevs: Vdevs) -> None:
    with vdevs.user("ice-vdcm", "trapped") as one, vdevs.user("ice-vdcm", "trapped") as other:
        mine, theirs = one.device.adi.vsi, other.device.adi.vsi
        assert theirs.txq[0] == mine.txq[-1] + 1
        last = SIOV_TX_TAIL + PAGE * (len(mine.txq) - 1)
        one.client.write(Region.BAR0, last, struct.pack("=I", 0x55) * (2 * PAGE // 4))
        doorbell = mine.pf.hw.address
        assert one.register(doorbell("QTX_COMM_DBELL_PAGE", mine.txq[-1])) == 0x55
        assert one.register(doorbell("QTX_COMM_DBELL_PAGE", theirs.txq[0])) == 0
        data = one.client.read(Region.BAR0, last, 2 * PAGE)
        assert data[PAGE:] == DEAD.to_bytes(4, "little") * (PAGE // 4)


# What ends it.


def test_a_reset_clears_the_pages(user: User) -> None:
    user.enable()
    for offset in (TX_TAIL, RX_TAIL, ITRN1, TX_TAIL + 0xFFC):
        user.store(offset, 0x11)
    user.client.send(DEVICE_RESET())
    assert [user.load(at) for at in (TX_TAIL, RX_TAIL, ITRN1, TX_TAIL + 0xFFC)] == [0, 0, 0, 0]
    user.store(TX_TAIL, 3)  # no queue is enabled
    user.enable()
    assert user.load(TX_TAIL) == 0
    user.store(TX_TAIL, 2)
    assert eventually(lambda: user.done() == 2)


def test_a_function_level_reset_clears_them_too(user: User) -> None:
    capability = 0x50
    user.store(TX_TAIL, 0x11)
    control = int.from_bytes(user.client.read(Region.CONFIG, capability + 8, 2), "little") | 1 << 15
    user.client.write(Region.CONFIG, capability + 8, control.to_bytes(2, "little"))
    assert eventually(lambda: user.load(TX_TAIL) == 0)


def test_a_removed_device_leaves_pages_that_reach_nothing(vdevs: Vdevs) -> None:
    with vdevs.user() as user:
        user.enable()
        queue = user.device.adi.vsi.txq[0]
        vdevs.platform.mdev.remove(user.uuid, force=True)
        user.store(TX_TAIL, 3)
        with vdevs.user(doorbells="trapped") as other:
            assert other.device.adi.vsi.txq[0] == queue
            other.enable()
            time.sleep(0.01)
            assert other.done() == 0
        vdevs.platform.mdev.create("ice-avf-1", user.uuid)  # what the fixture removes


# Who chooses.


def test_the_choice_is_a_file_of_the_instance_that_can_be_written_while_it_is_closed(
    vdevs: Vdevs, user: User
) -> None:
    path = f"/sys/bus/mdev/devices/{user.uuid}/doorbells"
    sysfs = vdevs.platform.sysfs
    assert sysfs.read(path) == b"direct\n"
    with pytest.raises(LinuxError, match="is open") as caught:
        sysfs.write(path, "trapped\n")
    assert caught.value.errno == errno.EBUSY
    user.leave()
    tracer = vdevs.platform.tracer
    tracer.start()  # what watches accesses stands between the file and the device
    try:
        sysfs.write(path, "trapped\n")
    finally:
        tracer.stop()
    with pytest.raises(LinuxError, match="trapped or direct, not 'polled'") as caught:
        sysfs.write(path, "polled")
    assert caught.value.errno == errno.EINVAL
    user.connect()
    assert user.pages == {}
    assert vdevs.platform.mdev.show(user.uuid)["attributes"]["doorbells"] == "trapped"


@pytest.mark.parametrize(
    ("attr", "message"),
    [
        ("doorbells=loud", "are trapped or direct"),
        ("bells=direct", "no attribute 'bells' to set; there is doorbells"),
        ("remove=1", "no attribute 'remove'"),
        ("doorbells", "write it as NAME=VALUE"),
    ],
)
def test_an_attribute_that_can_not_be_set_leaves_no_instance(vdevs: Vdevs, attr: str, message: str) -> None:
    before = vdevs.platform.mdev.list()
    with pytest.raises(LinuxError, match=message):
        vdevs.platform.mdev.create("ice-avf-1", attrs=[attr])
    assert vdevs.platform.mdev.list() == before


# What idleness costs.


def test_an_idle_adapter_with_direct_doorbells_wakes_up_seldom(vdevs: Vdevs) -> None:
    with vdevs.user("ice-avf") as one, vdevs.user("ice-avf") as other:
        for user in (one, other):
            for queue in range(4):
                user.enable(queue)
        time.sleep(0.2)
        before = naps()
        time.sleep(1)
        assert naps() - before < 5000  # 500 and a few; one that spins has none, but yields the processor
        assert naps() - before > 10


def naps() -> int:
    """How often the adapter's worker has gone to sleep."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text() == "lan-worker-0\n":
            status = dict(
                line.split(":\t") for line in (task / "status").read_text().splitlines() if ":\t" in line
            )
            return int(status["voluntary_ctxt_switches"])
    raise AssertionError("the adapter has no worker")
