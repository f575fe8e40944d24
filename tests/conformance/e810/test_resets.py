"""Resets of a VSI, the function, the core, the device: what each one clears (ice_siov.c, ice_main.c)."""

import time

import pytest

from siov.spec.e810 import DTYPE, AqGetVersion, AqOpcode, QueueLength, TxCtxQw1, TxDataQw1
from siov.spec.e810.control import Control

from .adminq import AdminQueue
from .driver import E810Driver
from .frames import TCP, V4, A, B, ether, pattern, plain, tcp
from .interrupts import INTENA, NONE, arm, message, program
from .machine import Machine

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


def whole(nic):
    """All memory that the tests' spaces use."""
    return nic.machine.read(16 << 20, nic.room.free - (16 << 20))


def flr(nic):
    nic.machine.function_level_reset()
    nic.machine._enumerate(ats=False)


RESETS = {
    "PFR": lambda nic: nic.function_reset(),
    "CORER": lambda nic: nic.core_reset("CORER"),
    "GLOBR": lambda nic: nic.core_reset("GLOBR"),
    "FLR": flr,
}


@pytest.fixture(params=list(RESETS))
def reset(request):
    return RESETS[request.param]


def test_after_a_reset_the_queues_are_off_and_move_nothing(nic, wire, machine, reset):
    one, _two = nic.vsi(1), nic.vsi(2)
    one.tx[0].data(plain())
    reset(nic)
    before = whole(nic)
    assert not one.rx[0].enabled
    one.tx[0].kick()
    wire.send(machine, plain(A, FAR), plain(B, FAR))
    assert whole(nic) == before
    assert wire.take() == []


def test_work_that_waited_at_a_reset_is_never_done(nic, wire, machine, reset):
    """Doorbells rung, frames on the wire, nobody has worked yet; the reset comes first."""
    one, _two = nic.vsi(1), nic.vsi(2)
    for n in range(30):
        one.tx[0].data(plain(FAR if n % 2 else B, A, fill=n))
    one.tx[0].doorbell()
    for n in range(30):
        wire.far.send(plain(A, FAR, fill=n))
    reset(nic)
    before = whole(nic)
    machine.pump()
    machine.advance(1_000_000_000)
    assert whole(nic) == before
    assert wire.take() == []


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("workers", [2, 3])
def test_work_that_is_half_done_at_a_reset_stays_so(wire, reset, workers, rounds):
    """Frames wait between workers when the reset comes."""
    nic = E810Driver(Machine(port=wire.near, workers=workers))
    vsis = [nic.vsi(n) for n in range(1, 6)]
    for n, vsi in enumerate(vsis):
        to = vsis[(n + 1) % 5].mac
        for k in range(40):
            vsi.tx[0].data(plain(to, vsi.mac, fill=k))
        vsi.tx[0].doorbell()
    for _ in range(rounds):
        nic.machine.nic.pump()
    reset(nic)
    before = whole(nic)
    nic.machine.pump()
    assert whole(nic) == before


def busy(vsi, to, count):
    """A ring full of large sends at once, each of 250 segments and with a report of status."""
    tx, payload = vsi.tx[0], pattern(16_000)
    body = tcp(V4, payload, checksum=V4.pseudo(TCP, 0))
    frame = ether(to, vsi.mac, V4.header(TCP, None, checksum=False) + body)
    tx.space.write(tx.buffer(0), frame)
    ctx = TxCtxQw1.of(DTYPE=DTYPE.CTX, TSO=1, MSS=64, TSO_LEN=len(payload))
    word = TxDataQw1.of(
        DTYPE=DTYPE.DATA, EOP=1, RS=1, IIPT=3, L4T=1, MACLEN=7, IPLEN=5, L4LEN=5, TX_BUF_SZ=len(frame)
    )
    pair = bytes(8) + ctx.to_bytes() + tx.buffer(0).to_bytes(8, "little") + word.to_bytes()
    tx.space.write(tx.ring, pair * count)
    tx.doorbell(2 * count)


def test_no_dma_lands_after_a_reset_is_reported_done_while_threads_work(wire):
    nic = E810Driver(Machine(port=wire.near, workers=2))
    machine = nic.machine
    machine.nic.start()
    try:
        for round_ in range(4):
            if round_:
                nic.reopen()
            vsis = [nic.vsi(n, size=1024, rings=False) for n in (1, 2, 3)]
            for vsi in vsis:
                vsi.rx.append(nic.rx_queue(vsi, vsi.first, size=1024))
                vsi.rx[0].enable()
                vsi.rx[0].post_all()
                vsi.tx.append(nic.tx_queue(vsi, size=1024))
            for vsi, to in zip(vsis, (B, bytes([2, 0, 0, 0, 0, 3]), A), strict=True):
                busy(vsi, to, 500)
            # The engine's own part first, for firmware takes longer than any straggler.
            machine.nic.reset(("PFR", "CORER")[round_ % 2])
            rings = [vsi.tx[0].space.read(vsi.tx[0].ring, 1024 * 16) for vsi in vsis]
            time.sleep(0.005)
            assert [vsi.tx[0].space.read(vsi.tx[0].ring, 1024 * 16) for vsi in vsis] == rings
            (nic.function_reset, nic.core_reset)[round_ % 2]()
            before = whole(nic)
            for vsi in vsis:
                vsi.tx[0].doorbell(1010)
                vsi.tx[0].doorbell(500)
            wire.far.send(plain(A, FAR))
            time.sleep(0.01)
            assert whole(nic) == before
    finally:
        machine.nic.stop()


def test_after_a_reset_the_admin_queue_is_off_until_it_is_opened_again(nic, machine, reset):
    nic.vsi(1)
    reset(nic)
    assert QueueLength(machine.rd("PF_FW_ATQLEN")).raw == 0
    assert QueueLength(machine.rd("PF_FW_ARQLEN")).raw == 0
    nic.reopen()
    assert nic.aq.send(AqOpcode.GET_VER).params(AqGetVersion).FW_MAJOR


def test_after_a_reset_everything_can_be_set_up_again_from_nothing(nic, wire, machine, reset):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    reset(nic)
    nic.reopen()
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    assert {one.number, two.number} == {0, 1}
    one.tx[0].send(plain(), plain(FAR, A))
    assert two.frames() == [plain()]
    assert wire.take() == [plain(FAR, A)]


def test_after_a_reset_no_rule_forwards(nic, wire, machine, reset):
    nic.vsi(1)
    reset(nic)
    nic.reopen()
    vsi = nic.vsi(5, rule=False)
    before = whole(nic)
    wire.send(machine, plain(A, FAR))
    assert whole(nic) == before
    assert vsi.counter("GLV_RDPC") == 0


def test_after_a_reset_vectors_are_off_and_have_no_timers(nic, machine, reset):
    machine.enable_msix()
    program(machine, 4, *message(1, 0x44))
    for n in range(3):
        machine.wr("GLINT_ITR", 9, n * 2048 + 4)
    machine.wr("GLINT_RATE", 0x45, 4)
    machine.wr("QINT_RQCTL", 1 << 30 | 4, 8)
    arm(machine, 4)
    reset(nic)
    assert machine.rd("GLINT_DYN_CTL", 4) & INTENA == 0
    assert [machine.rd("GLINT_ITR", n * 2048 + 4) for n in range(3)] == [0, 0, 0]
    assert machine.rd("GLINT_RATE", 4) == 0
    assert machine.rd("QINT_RQCTL", 8) & 1 << 30 == 0


def test_after_a_reset_the_mailboxes_are_shut(nic, machine, reset):
    vsi = nic.vsi(1, rings=False)
    AdminQueue(nic.space, "PF_MBX")
    AdminQueue(vsi.space, "VSI_MBX", vsi.number)
    reset(nic)
    for which in ("ATQ", "ARQ"):
        assert machine.rd(f"PF_MBX_{which}LEN") == 0
        assert machine.rd(f"VSI_MBX_{which}LEN", vsi.number) == 0


@pytest.mark.parametrize(("kind", "count", "code"), [("CORER", "CORERCNT", 1), ("GLOBR", "GLOBRCNT", 2)])
def test_a_device_reset_is_counted_and_named(nic, machine, kind, count, code):
    for n in range(1, 6):
        nic.core_reset(kind)
        state = Control.GLGEN_RSTAT(machine.rd("GLGEN_RSTAT"))
        assert getattr(state, count) == n % 4
        assert code == state.RESET_TYPE
        assert state.DEVSTATE == 0


def test_a_function_reset_is_no_device_reset(nic, machine):
    before = machine.rd("GLGEN_RSTAT")
    nic.function_reset()
    assert machine.rd("GLGEN_RSTAT") == before


def test_a_device_reset_is_announced_while_the_driver_can_still_hear_it(nic, machine):
    machine.enable_msix()
    program(machine, 0, *message(1, 0x31))
    machine.wr("PFINT_OICR_CTL", 1 << 30 | NONE << 11)
    machine.wr("PFINT_OICR_ENA", 1 << 20)
    arm(machine, 0)
    nic.core_reset()
    assert machine.interrupts() == [(1, 0x31)]


def test_the_msix_table_outlives_a_function_reset_but_not_a_function_level_one(nic, machine):
    """The table belongs to configuration; PFSWR is no PCI reset."""
    machine.enable_msix()
    program(machine, 4, *message(1, 0x44))
    nic.function_reset()
    arm(machine, 4)
    machine.wr("GLINT_DYN_CTL", 1 << 31 | 4 | NONE << 3, 4)
    assert machine.interrupts() == [(1, 0x44)]
    flr(nic)
    assert machine.read32(4 * 16 + 12, 0x40_1000_0000) & 1


def test_a_function_level_reset_takes_bus_mastering_and_bars_away(machine):
    machine.function_level_reset()
    assert machine.config_read(4, 2) & 6 == 0
    assert machine.config_read(0x14, 4) == 0


# A VSI.


def vsi_reset(nic, vsi):
    """As ice does it: trigger, wait for what is pending and for the status, take the trigger back."""
    machine = nic.machine
    machine.wr("VSIGEN_RTRIG", 1, vsi.number)
    machine.wr("PFPCI_VMINDEX", vsi.number)
    assert machine.rd("PFPCI_VMPEND") == 0
    assert machine.rd("VSIGEN_RSTAT", vsi.number) & 1
    machine.wr("VSIGEN_RTRIG", 0, vsi.number)


def test_the_status_of_a_vsi_says_that_its_reset_is_done_and_keeps_softwares_mark(nic, machine):
    vsi = nic.vsi(1)
    machine.wr("VSIGEN_RSTAT", 2, vsi.number)
    assert machine.rd("VSIGEN_RSTAT", vsi.number) & 2
    vsi_reset(nic, vsi)


def test_a_vsi_reset_stops_that_vsis_queues_and_no_others(nic, wire, machine):
    one, two, three = nic.vsi(1), nic.vsi(2), nic.vsi(3)
    one.tx[0].data(plain(three.mac))
    one.tx[0].doorbell()
    wire.far.send(plain(A, FAR))
    vsi_reset(nic, one)
    before = one.rx[0].space.read(one.rx[0].ring, 2048), one.rx[0].space.read(one.rx[0].buffers, 64 * 2048)
    machine.pump()
    one.tx[0].send(plain(three.mac))
    assert three.frames() == []
    after = one.rx[0].space.read(one.rx[0].ring, 2048), one.rx[0].space.read(one.rx[0].buffers, 64 * 2048)
    assert after == before
    two.tx[0].send(plain(three.mac, B))
    assert three.frames() == [plain(three.mac, B)]


def test_a_vsi_reset_shuts_its_mailbox_and_no_other(nic, machine):
    one, two = nic.vsi(1, rings=False), nic.vsi(2, rings=False)
    pf = AdminQueue(nic.space, "PF_MBX")
    AdminQueue(one.space, "VSI_MBX", one.number)
    AdminQueue(two.space, "VSI_MBX", two.number)
    vsi_reset(nic, one)
    for which in ("ATQ", "ARQ"):
        assert QueueLength(machine.rd(f"VSI_MBX_{which}LEN", one.number)).ENABLE == 0
        assert QueueLength(machine.rd(f"VSI_MBX_{which}LEN", two.number)).ENABLE == 1
        assert QueueLength(machine.rd(f"PF_MBX_{which}LEN")).ENABLE == 1
    assert pf.received() == []


def test_a_vsi_works_again_after_its_reset_when_its_queues_are_set_up_anew(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    vsi_reset(nic, two)
    rx = two.rx[0]
    rx.space.write(rx.ring, bytes(2048))
    rx.enable()
    rx.post_all()
    one.tx[0].send(plain())
    assert two.frames() == [plain()], "its rules stay"
    vsi_reset(nic, one)
    one.tx[0].next = 0
    nic.enable_tx(one.tx[0])
    one.tx[0].send(plain(fill=9))
    assert two.frames() == [plain(fill=9)]


def test_the_pasid_of_a_vsi_outlives_its_reset_only_in_its_properties(guarded):
    """Whatever happens, no DMA leaves without the PASID."""
    one, two = guarded.vsi(1, pasid=3), guarded.vsi(2, pasid=4)
    vsi_reset(guarded, one)
    one.tx[0].next = 0
    guarded.enable_tx(one.tx[0])
    one.tx[0].send(plain())
    assert two.frames() == [plain()]
    assert guarded.machine.iommu.faults.drain() == []
