"""Virtual devices on a server that runs by itself: guests, management and hardware have threads."""

import random
import threading

import pytest

from siov._core import Port
from siov.drivers.ice.services import poll_by_sleep
from siov.vdevs import vdcm_host

from .test_vdev_reset import DEVCTL, RING, load_transmit_queue, reported
from .test_vdev_virtchnl import VERSION
from .vdcm import MBX, RSTAT, User, VdcmServer

PATIENCE = 30  # seconds that a test waits for what must come


@pytest.fixture
def cable() -> tuple[Port, Port]:
    return Port.cable()


@pytest.fixture
def server(cable):
    server = VdcmServer(port=cable[0], host=vdcm_host, threads=True)
    try:
        yield server
        assert server.threads.failures == []
    finally:
        server.threads.stop()


def test_once_a_reset_is_done_nothing_lands_however_busy_the_device_was(server, cable):
    user = User(server, server.create("avf")).open()
    other = User(server, server.create("avf", 2)).open()
    begun = []
    for n in range(20):
        load_transmit_queue(user)
        assert poll_by_sleep(lambda: reported(user) > 0, PATIENCE)
        user.vfio.reset() if n % 2 else user.device.reset_vf()
        memory = user.all_memory()
        begun.append(reported(user))
        # Hardware, firmware and the driver go on: another guest's messages take the same way.
        other.open_mailbox()
        for _ in range(5):
            other.send(1, VERSION)
        assert poll_by_sleep(lambda: other.rd(MBX["ARQH"]) == 5, PATIENCE)
        assert user.all_memory() == memory
        other.device.reset_vf()
        user.write(RING, bytes(16 * 256))
        cable[1].receive(1024)
    assert all(begun)


def test_a_guest_that_does_anything_while_it_is_reset_harms_only_itself(server):
    wild = User(server, server.create("avf")).open()
    calm = User(server, server.create("vdcm", 2)).open()
    stop = threading.Event()
    failed: list[BaseException] = []

    def guest() -> None:
        dice = random.Random(7)
        try:
            while not stop.is_set():
                wild.open_mailbox()
                for _ in range(dice.randrange(8)):
                    wild.send(dice.randrange(60), dice.randbytes(dice.randrange(40)))
                for _ in range(20):
                    wild.wr(dice.randrange(0, 0xD040, 4), dice.getrandbits(32))
                if not dice.randrange(4):
                    wild.vfio.write(7, DEVCTL + 1, b"\x80")
        except BaseException as why:
            failed.append(why)

    thread = threading.Thread(target=guest)
    thread.start()
    try:
        for n in range(30):
            wild.vfio.reset()
            calm.open_mailbox()
            calm.send(1, VERSION)
            assert poll_by_sleep(lambda: calm.rd(MBX["ARQH"]) == 1, PATIENCE), f"round {n}"
            calm.vfio.reset()
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert failed == []
    assert not thread.is_alive()
    wild.vfio.reset()
    assert poll_by_sleep(lambda: wild.rd(RSTAT) == 2, PATIENCE)
    wild.open_mailbox()
    wild.send(1, VERSION)
    assert poll_by_sleep(lambda: wild.rd(MBX["ARQH"]) == 1, PATIENCE)
    wild.close()
    calm.close()
    for mdev in (wild.mdev, calm.mdev):
        server.mdev.remove(mdev)
