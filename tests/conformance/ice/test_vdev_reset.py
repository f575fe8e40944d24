"""Resets of a virtual device: their order, and that nothing of before lands in memory after."""

import errno
from collections.abc import Callable

import pytest

from siov._core import Port
from siov.drivers.ice.reset import ice_reset
from siov.drivers.ice.rxq import RxRing
from siov.host.linux import LinuxError, TraceEvent
from siov.spec.e810 import DTYPE, TxDataQw1, VsiProperties

from .vdcm import DYN_CTL01, GPA, MBX, RSTAT, User, VdcmServer

DEAD = 0xDEAD_BEEF
RING, FRAMES = GPA + 0x8_0000, GPA + 0x10_0000
PACKETS, FRAME = 200, 512  # how many frames, and bytes of each
DEVCTL = 0x58


@pytest.fixture
def cable() -> tuple[Port, Port]:
    return Port.cable()


@pytest.fixture
def server(cable) -> VdcmServer:
    return VdcmServer(port=cable[0])


@pytest.fixture(params=["vdcm", "avf"])
def user(server: VdcmServer, request) -> User:
    return User(server, server.create(request.param)).open()


@pytest.fixture
def avf(server: VdcmServer) -> User:
    return User(server, server.create("avf", 2)).open()


class Watched:
    """The mechanism, with its changes of state in the server's trace."""

    def __init__(self, server: VdcmServer, vdev: object) -> None:
        self.server, self.vdev = server, vdev

    def __getattr__(self, name: str) -> object:
        return getattr(self.vdev, name)

    def set_state(self, state: str) -> None:
        self.server.trace.append(TraceEvent(state, ""))
        self.vdev.set_state(state)


class Log(list):
    """Calls, also in the server's trace."""

    def __init__(self, server: VdcmServer) -> None:
        super().__init__()
        self.server = server

    def append(self, what: object) -> None:
        self.server.trace.append(TraceEvent(str(what), ""))
        super().append(what)


def watch(user: User) -> None:
    """Have everything that a reset does in one trace."""
    user.device.vdev = Watched(user.server, user.device.vdev)
    user.told.calls = Log(user.server)
    user.vfio.zap = lambda: user.server.trace.append(TraceEvent("zap", ""))
    user.server.trace.clear()


STEPS = [
    "notify_reset",
    "begin_reset",
    "disabled",
    "ice_siov_clear_mbx_register",
    "ice_siov_trigger_reset_register",
    "ice_adi_close",
    "reset",
    "zap",
    "cfg_pasid",
    "ice_ena_siov_vf_mapping",
    "ice_siov_restore_mbx_register",
    "active",
]


def test_the_steps_of_a_reset_come_in_the_driver_s_order(server, user):
    watch(user)
    user.vfio.reset()
    assert server.functions(*STEPS) == ["zap", *STEPS]


def test_a_reset_that_the_guest_asked_for_is_not_announced(server, user):
    user.open_mailbox()
    watch(user)
    user.told.then = lambda op, data: user.device.reset_vf()
    user.send(2)
    server.pump()
    assert server.functions(*STEPS) == STEPS[1:]
    assert user.rd(RSTAT) == 2


def test_the_mailbox_is_as_it_was_but_for_its_lengths(server, user):
    user.open_mailbox()
    user.told.then = lambda op, data: user.device.send(op, 0, data)
    for _ in range(3):
        user.send(1, bytes(8))
    server.pump()
    before = {name: user.rd(at) for name, at in MBX.items()}
    assert (before["ATQH"], before["ARQH"]) == (3, 3)
    user.vfio.reset()
    after = {name: user.rd(at) for name, at in MBX.items()}
    assert after == before | {"ATQLEN": 0, "ARQLEN": 0}


def test_while_it_lasts_the_guest_reads_that_it_does_and_nothing_else(server, user):
    user.wr(MBX["ARQLEN"], 1 << 31 | 32)
    user.wr(MBX["ATQBAH"], 7)
    seen = []
    poll = server.services.poll

    def look(condition: Callable[[], bool], seconds: float) -> bool:
        seen.append((user.rd(RSTAT), user.rd(MBX["ARQLEN"]), user.rd(MBX["ATQBAH"]), user.rd(DYN_CTL01)))
        user.wr(MBX["ATQBAL"], 0x40)
        return poll(condition, seconds)

    server.services.poll = look
    user.vfio.reset()
    server.services.poll = poll
    assert set(seen) == {(0, DEAD, DEAD, DEAD)}
    assert user.rd(MBX["ATQBAL"]) == 0, "what was written meanwhile is lost"
    assert user.rd(RSTAT) == 2


def load_transmit_queue(user: User) -> None:
    """200 frames of 512 bytes in the ring of queue 0, each to be reported; the doorbell has been rung."""
    vsi = user.device.adi.vsi
    header = bytes.fromhex("02fa00000001") + user.device.mac + b"\x88\xb5"
    for n in range(PACKETS):
        at = FRAMES + FRAME * n
        user.write(at, header + bytes([n]) * (FRAME - len(header)))
        qw1 = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, ICRC=1, TX_BUF_SZ=FRAME)
        user.write(RING + 16 * n, at.to_bytes(8, "little") + qw1.to_bytes())
    vsi.cfg_txq(0, RING, 256)
    vsi.ena_txq(0)
    user.wr(0x0000, PACKETS)


def reported(user: User) -> int:
    """Descriptors that have been written back."""
    return sum(user.read(RING + 16 * n + 8, 1)[0] & 0xF == 0xF for n in range(PACKETS))


def reset_by_operator(user: User, data: str = "1") -> None:
    user.server.pci.core.sysfs.write(f"/sys/bus/mdev/devices/{user.mdev.name}/reset", data)


ENDS = {
    "reset": lambda user: user.vfio.reset(),
    "operator": reset_by_operator,
    "close": lambda user: user.vfio.close(),
    "flr": lambda user: (user.vfio.write(7, DEVCTL + 1, b"\xa0"), user.server.pump()),
    "reset_vf": lambda user: user.device.reset_vf(),
    "remove": lambda user: user.server.mdev.remove(user.mdev, force=True),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_transmit_queue_in_the_middle_of_its_work_touches_memory_no_more(server, avf, cable, end):
    avf.device.adi.vsi.add_mac(avf.device.mac)
    load_transmit_queue(avf)
    server.nic.pump()
    begun = reported(avf)
    assert 0 < begun < PACKETS, "it is in the middle of its work"
    ENDS[end](avf)
    memory, sent = avf.all_memory(), len(cable[1].receive(1024))
    server.advance(1_000_000)
    if avf.vfio.is_open:
        avf.wr(0x0000, PACKETS)  # the doorbell of a queue that is off
    server.advance(1_000_000)
    assert avf.all_memory() == memory
    assert cable[1].receive(1024) == []
    assert reported(avf) < PACKETS
    assert sent < PACKETS


@pytest.mark.parametrize("end", ENDS)
def test_frames_that_wait_at_the_port_do_not_land_after(server, avf, cable, end):
    vsi = avf.device.adi.vsi
    vsi.add_mac(avf.device.mac)
    for n in range(256):
        at = FRAMES + 2048 * n
        avf.write(RING + 32 * n, at.to_bytes(8, "little") + bytes(24))
    vsi.cfg_rxq(0, RxRing(RING, 256, buffer=2048))
    vsi.ena_rxq(0)
    avf.wr(0x2000, 248)
    frame = avf.device.mac + bytes.fromhex("02fa00000001 88b5") + b"Z" * 100
    cable[1].send(frame)
    server.pump()
    assert avf.all_memory().count(b"Z" * 100) == 1, "the queue receives"
    for _ in range(100):
        cable[1].send(frame)
    ENDS[end](avf)
    memory = avf.all_memory()
    for _ in range(10):
        cable[1].send(frame)
    server.advance(1_000_000)
    assert avf.all_memory() == memory


def test_messages_of_before_are_not_heard_after(server, user):
    user.open_mailbox()
    for _ in range(5):
        user.send(1, bytes(8))  # the adapter has them in the function's ring by now
    user.vfio.reset()
    user.told.calls.clear()
    user.open_mailbox()
    server.pump()
    assert user.told.calls == []
    assert user.device.dropped == 5
    assert user.take() == []
    user.send(1, bytes(8))
    server.pump()
    assert user.told.calls == [(1, bytes(8))]


def test_messages_of_the_user_before_are_not_heard_from_the_next(server):
    first = User(server, server.create("vdcm")).open()
    first.open_mailbox()
    for _ in range(5):
        first.send(8, bytes(12))
    first.close()
    second = User(server, first.mdev).open()
    second.told.calls.clear()
    server.pump()
    assert second.told.calls == []


def test_a_function_level_reset_disables_at_once_and_is_done_by_the_host(server, avf):
    avf.vfio.write(7, 4, b"\x06\x00")
    avf.told.calls.clear()
    avf.vfio.write(7, DEVCTL, (0x2910 | 1 << 15).to_bytes(2, "little"))
    assert (avf.rd(RSTAT), avf.rd(MBX["ATQH"])) == (0, DEAD)
    assert avf.vfio.read(7, 4, 2) == bytes(2), "the configuration space is reset"
    assert avf.told.calls == []
    server.pump()
    assert avf.told.calls == ["begin_reset", "reset"]
    assert (avf.rd(RSTAT), avf.rd(MBX["ATQH"])) == (2, 0)


def test_the_personality_without_function_level_resets_ignores_the_bit(server):
    user = User(server, server.create("vdcm")).open()
    user.vfio.write(7, DEVCTL + 1, b"\x80")
    server.pump()
    assert user.rd(RSTAT) == 2


def test_the_address_space_is_the_same_after_a_reset(server, user):
    for again in (lambda: user.vfio.reset(), lambda: user.device.reset_vf()):
        again()
        word = user.device.adi.vsi.props.get(VsiProperties.PASID_ID)
        assert (1, user.vfio.pasid) == (word.VALID, word.PASID)


def test_eventfds_stay_over_a_reset(server, user):
    user.irqs()
    user.vfio.reset()
    user.open_mailbox()
    user.wr(DYN_CTL01, 0x19)
    user.device.send(17, 0, bytes(16))
    server.pump()
    assert user.fired(0) == 1


def test_a_reset_that_hardware_does_not_finish_leaves_the_device_disabled_until_one_does(server, user):
    poll = server.services.poll
    server.services.poll = lambda condition, seconds: False
    with pytest.raises(LinuxError) as caught:
        user.vfio.reset()
    assert caught.value.errno == errno.ETIMEDOUT
    assert (user.rd(RSTAT), user.rd(MBX["ATQH"])) == (0, DEAD)
    user.device.reset_vf()  # the guest's own: no error leaves it
    assert user.rd(RSTAT) == 0
    server.services.poll = poll
    user.vfio.reset()
    assert user.rd(RSTAT) == 2


@pytest.mark.parametrize("kind", ["PFR", "CORER", "GLOBR"])
def test_a_reset_of_the_function_is_announced_and_brings_every_device_back(server, user, kind):
    user.irqs()
    user.open_mailbox()
    other = User(server, server.create("vdcm-1", 7))
    user.told.calls.clear()
    ice_reset(server.pf, kind)
    server.pump()
    assert user.told.calls == ["notify_reset", "begin_reset", "reset"]
    assert (user.rd(RSTAT), user.rd(MBX["ARQLEN"])) == (2, 0)
    assert other.device.read(0, RSTAT, 4) == bytes(4), "a device that is not open stays as it is"
    user.told.then = lambda op, data: user.device.send(op, 0, data)
    user.open_mailbox()
    user.wr(DYN_CTL01, 0x19)
    user.send(1, bytes(8))
    server.pump()
    assert user.take() == [(1, 0, bytes(8))]
    assert user.fired(0) == 1


def test_in_the_middle_of_the_function_s_reset_nothing_is_opened_or_reset(server, user):
    other = User(server, server.create("vdcm-1", 7))
    tried = []

    def hook(pf: object) -> None:
        pf.resetting = "PFR"
        for act in (other.open, user.vfio.reset):
            with pytest.raises(LinuxError) as caught:
                act()
            tried.append(caught.value.errno)
        pf.resetting = None

    server.pf.on_reset.append(hook)
    ice_reset(server.pf, "PFR")
    assert tried == [errno.EBUSY, errno.EBUSY]
    assert user.rd(RSTAT) == 2


def test_the_operators_reset_tells_the_guest_as_the_vmms_does(server, user):
    user.told.calls.clear()
    reset_by_operator(user, "1\n")
    by_operator = user.told.calls[:]
    user.told.calls.clear()
    user.vfio.reset()
    assert by_operator == user.told.calls[:]
    assert "notify_reset" in by_operator


@pytest.mark.parametrize("data", ["", "0", "2", "yes", "1 1"])
def test_what_is_not_1_resets_nothing(server, user, data):
    user.told.calls.clear()
    with pytest.raises(LinuxError) as caught:
        reset_by_operator(user, data)
    assert caught.value.errno == errno.EINVAL
    assert user.told.calls == []
