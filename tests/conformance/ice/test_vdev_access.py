"""What a user of a virtual device reaches: regions, pages, trapped registers, interrupts."""

import errno

import pytest

from siov.host.linux import LinuxError
from siov.host.vfio import Area

from .vdcm import DYN_CTL01, ICR0_ENA1, ICR01, MBX, RSTAT, User, VdcmServer

DEAD = 0xDEAD_BEEF


@pytest.fixture
def server() -> VdcmServer:
    return VdcmServer(ims=64)


@pytest.fixture
def siov(server: VdcmServer) -> User:
    return User(server, server.create("vdcm", 1)).open()


@pytest.fixture
def avf(server: VdcmServer) -> User:
    return User(server, server.create("avf", 2)).open()


def test_the_regions_of_both_personalities(siov, avf):
    assert [siov.device.region(n).size for n in range(9)] == [64 << 20, 0, 0, 16 << 10, 0, 0, 0, 256, 0]
    assert [avf.device.region(n).size for n in range(9)] == [64 << 10, 0, 0, 16 << 10, 0, 0, 0, 4096, 0]
    assert [siov.device.irq(n).count for n in range(5)] == [0, 0, 5, 0, 0]


def test_the_areas_that_can_be_mapped_stand_in_the_drivers_order(siov):
    offsets = [0x20000]
    offsets += [0x100000 + 0x1000 * n for n in range(4)]
    offsets += [0x1100000 + 0x1000 * n for n in range(4)]
    offsets += [0x2100000] + [0x2101000 + 0x1000 * n for n in range(4)]
    assert siov.device.region(0).sparse == tuple(Area(at, 0x1000) for at in offsets)


def test_a_page_leads_to_the_adapters_page_of_the_same_thing(server, siov):
    base = server.dev.bar(0).start
    vsi = siov.device.adi.vsi
    assert siov.vfio.mmap(0, 0x20000) == base + 0x2000000 + 4096 * vsi.num
    assert siov.vfio.mmap(0, 0x102000) == base + 0x3800000 + 4096 * vsi.rxq[2]
    assert siov.vfio.mmap(0, 0x1103000) == base + 0x4000000 + 4096 * vsi.txq[3]
    assert siov.vfio.mmap(0, 0x2100000) == base + 0x3000000 + 4096 * vsi.vectors[0].index
    assert siov.vfio.mmap(0, 0x2104000) == base + 0x3000000 + 4096 * vsi.vectors[4].index


@pytest.mark.parametrize("at", [0x0, 0x8000, 0x21000, 0x104000, 0x2105000, 0x20800])
def test_nothing_else_can_be_mapped(siov, at):
    with pytest.raises(LinuxError) as caught:
        siov.vfio.mmap(0, at)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(LinuxError):
        siov.device.mmap(0, at)


def test_the_adaptive_function_has_no_page_to_map(avf):
    assert avf.device.region(0).sparse == ()
    with pytest.raises(LinuxError):
        avf.vfio.mmap(0, 0x20000)


def test_a_register_of_the_mailbox_is_the_same_trapped_and_in_its_page(siov):
    inner = ["ATQBAL", "ATQBAH", "ATQLEN", "ATQH", "ATQT", "ARQBAL", "ARQBAH", "ARQLEN", "ARQH", "ARQT"]
    for n, name in enumerate(inner):
        if name == "ATQT":
            continue  # its write would have the adapter fetch
        siov.wr(MBX[name], 0x40 * (n + 1))
        assert siov.page_rd(0x20000 + 4 * n) == siov.rd(MBX[name]) == 0x40 * (n + 1), name


@pytest.mark.parametrize("personality", ["siov", "avf"])
def test_timers_and_controls_of_vectors_reach_the_vectors_of_the_vsi(server, request, personality):
    user = request.getfixturevalue(personality)
    vectors = user.device.adi.vsi.vectors
    user.wr(0x4C04, 25)
    assert server.pf.hw.rd("GLINT_ITR", 2048 + vectors[0].index) == 25
    user.wr(0x3808, 0x19)
    assert server.pf.hw.rd("GLINT_DYN_CTL", vectors[3].index) & 1
    user.wr(DYN_CTL01, 0x19)
    assert user.rd(DYN_CTL01) & 1
    assert user.rd(0x3810) == DEAD, "there is no vector 5"


def test_a_timer_of_a_queue_s_vector_is_there_for_the_adaptive_function_alone(server, siov, avf):
    vectors = avf.device.adi.vsi.vectors
    avf.wr(0x2800 + 64 * 1 + 4 * 2, 31)
    assert server.pf.hw.rd("GLINT_ITR", 2048 + vectors[3].index) == 31
    assert siov.rd(0x2848) == DEAD


def test_a_tail_is_written_and_never_read(server, siov):
    vsi = siov.device.adi.vsi
    siov.wr(0x0008, 0x18)
    siov.wr(0x2004, 0x20)
    assert server.pf.hw.rd("QTX_COMM_DBELL", vsi.txq[2]) == 0x18
    assert server.pf.hw.rd("QRX_TAIL", vsi.rxq[1]) == 0x20
    assert (siov.rd(0x0008), siov.rd(0x2004)) == (DEAD, DEAD)
    assert siov.rd(0x0010) == DEAD, "there is no queue 4"


@pytest.mark.parametrize("at", [ICR01, ICR0_ENA1, 0x2800, 0xC400, 0x20000, 0x100000])
def test_what_ice_s_vdcm_leaves_out_is_dead(siov, at):
    assert siov.rd(at) == DEAD


def test_bar_3_of_0dd5_is_the_vmm_s_and_that_of_1889_is_kept(siov, avf):
    with pytest.raises(LinuxError) as caught:
        siov.vfio.read(3, 0, 4)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(LinuxError):
        siov.vfio.write(3, 0, bytes(4))
    avf.vfio.write(3, 0x10, (0xFEE0_0000).to_bytes(4, "little"))
    assert avf.vfio.read(3, 0x10, 4) == (0xFEE0_0000).to_bytes(4, "little")


def test_a_device_that_is_not_open_answers_nothing(server):
    user = User(server, server.create("vdcm"))
    assert user.device.read(0, 0x6400, 4) == DEAD.to_bytes(4, "little")
    assert user.device.read(0, RSTAT, 4) == bytes(4)
    user.open()
    assert user.rd(RSTAT) == 2


def test_the_next_user_finds_nothing_of_the_one_before(server):
    first = User(server, server.create("vdcm")).open()
    first.vfio.write(7, 0x90, b"SPY!")
    first.wr(MBX["ARQBAH"], 0x1234)
    first.wr(MBX["ATQLEN"], 1 << 31 | 32)
    first.close()
    second = User(server, first.mdev).open()
    assert second.vfio.read(7, 0x90, 4) == bytes(4)
    assert [second.rd(at) for at in MBX.values()] == [0] * 10


@pytest.mark.parametrize("personality", ["siov", "avf"])
def test_a_message_goes_to_the_driver_and_its_answer_comes_by_vector_0(server, request, personality):
    user = request.getfixturevalue(personality)
    user.irqs()
    user.open_mailbox()
    user.wr(DYN_CTL01, 0x19)
    user.told.then = lambda op, data: user.device.send(op, 0, data[::-1])
    user.send(1, b"\x01\0\0\0\x01\0\0\0")
    server.pump()
    assert user.told.calls[-1] == (1, b"\x01\0\0\0\x01\0\0\0")
    assert user.take() == [(1, 0, b"\0\0\0\x01\0\0\0\x01")]
    assert [user.fired(n) for n in range(5)] == [1, 0, 0, 0, 0]


def test_the_cause_of_an_answer_stands_until_it_is_read(server, avf):
    avf.open_mailbox()
    avf.told.then = lambda op, data: avf.device.send(op, 0, b"")
    assert avf.rd(ICR01) == 0
    avf.send(2)
    server.pump()
    assert avf.rd(ICR01) == 1 << 30 | 1
    assert avf.rd(ICR01) == 0
    avf.wr(ICR0_ENA1, 1 << 30)
    assert avf.rd(ICR0_ENA1) == 1 << 30


def test_an_interrupt_that_nobody_hears_comes_when_an_eventfd_is_there(server, siov):
    siov.open_mailbox()
    siov.wr(DYN_CTL01, 0x19)
    siov.device.send(17, 0, bytes(16))
    server.pump()
    siov.irqs()
    server.pump()
    assert siov.fired(0) == 1


def test_an_interrupt_waits_while_its_eventfd_is_taken_away_as_qemu_does(server, siov):
    siov.irqs()
    siov.open_mailbox()
    siov.wr(DYN_CTL01, 0x19)
    siov.vfio.disable_irqs(2)
    siov.device.send(17, 0, bytes(16))
    server.pump()
    assert siov.fired(0) == 0
    siov.vfio.set_irqs(2, 0, siov.fds)
    server.pump()
    assert siov.fired(0) == 1


def test_eventfds_are_taken_and_given_one_by_one_and_all_go_at_once(server, siov):
    fds = siov.irqs()
    assert siov.device.connected == {0, 1, 2, 3, 4}
    siov.vfio.set_irqs(2, 1, [None, fds[2]])
    assert siov.device.connected == {0, 2, 3, 4}
    siov.vfio.disable_irqs(2)
    assert siov.device.connected == set()
    with pytest.raises(LinuxError):
        siov.vfio.set_irqs(2, 3, [fds[0], 0])  # no eventfd
    assert siov.device.connected == set()
    with pytest.raises(LinuxError):
        siov.device.set_irqs(2, 4, [None, None])


def test_registers_of_the_hash_are_handed_to_the_vsi_whole(server, avf):
    given = []
    vsi = avf.device.adi.vsi
    vsi.set_rss_key = lambda key: given.append(("key", key))
    vsi.set_rss_lut = lambda lut: given.append(("lut", lut))
    vsi.set_rss_hena = lambda hena: given.append(("hena", hena))
    for n in range(13):
        avf.wr(0xCC00 + 4 * n, 0x0101_0101 * n)
    for n in range(16):
        avf.wr(0xD000 + 4 * n, 0x0302_0100)
    avf.wr(0xC404, 0x1)
    avf.wr(0xC400, 0x8000_0000)
    assert given == []
    server.pump()
    assert given == [
        ("hena", 0x1_8000_0000),
        ("key", b"".join(bytes([n]) * 4 for n in range(13))),
        ("lut", bytes([0, 1, 2, 3]) * 16),
    ]


def test_a_hash_that_is_refused_is_counted_and_disturbs_nobody(server, avf):
    def refuse(lut: bytes) -> None:
        raise LinuxError(errno.EINVAL, "there is no queue 15")

    avf.device.adi.vsi.set_rss_lut = refuse
    avf.wr(0xD000, 0x0F0F_0F0F)
    server.pump()
    assert avf.device.refused == 1
    assert avf.rd(RSTAT) == 2


def test_vectors_can_be_slots_of_interrupt_message_storage(server):
    while server.pf.irqs.msix_free:
        server.pf.irqs.alloc("filler", prefer="msix")
    user = User(server, server.create("avf-1")).open()
    assert all(vector.ims for vector in user.device.adi.vsi.vectors)
    user.irqs()
    user.open_mailbox()
    user.wr(DYN_CTL01, 0x19)
    user.device.send(17, 0, bytes(16))
    server.pump()
    assert user.fired(0) == 1


# What the in-tree iavf of Linux 6.12 touches from boot to ping and power-off, as recorded with QEMU.
IAVF_READS = (0x4800, 0x5000, 0x6400, 0x6800, 0x6C00, 0x7400, 0x7C00, 0x8000, 0x8800)
IAVF_WRITES = (
    0x0000, 0x2000, 0x2800, 0x2840, 0x3800, 0x5000, 0x5C00, 0x6000, 0x6400, 0x6800, 0x6C00, 0x7000, 0x7400,
    0x7800, 0x7C00, 0x8000, 0x8400,
)  # fmt: skip


@pytest.mark.parametrize("at", IAVF_READS)
def test_a_register_that_linux_reads_is_there(avf, at):
    assert avf.rd(at) != DEAD
    assert avf.device.vdev.inspect()["dead_reads"] == 0


@pytest.mark.parametrize("at", IAVF_WRITES)
def test_a_register_that_linux_writes_takes_it(avf, at):
    avf.wr(at, 0)
    assert avf.device.vdev.inspect()["dropped_writes"] == 0


def test_the_base_of_a_mailbox_queue_reads_back_as_linux_wrote_it(avf):
    avf.wr(MBX["ATQBAL"], 0x1D4F_8000)
    avf.wr(MBX["ARQBAL"], 0x1D51_9000)
    assert (avf.rd(MBX["ATQBAL"]), avf.rd(MBX["ARQBAL"])) == (0x1D4F_8000, 0x1D51_9000)
