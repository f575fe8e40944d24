"""Vectors: MSI-X first, message storage when that is used up or asked for, and refusals (ice_irq.c)."""

import errno

import pytest

from conformance.e810.frames import plain
from siov.drivers.ice.irq import IceVector
from siov.host.linux import LinuxError

from .adi import Adi
from .server import Server


@pytest.fixture
def large():
    """An adapter with 1,024 slots of message storage."""
    server = Server(ims=1024)
    return server, server.load()


def kinds(vectors: list[IceVector]) -> list[str]:
    return ["ims" if vector.ims else "msix" for vector in vectors]


@pytest.mark.parametrize("slots", [0, 1, 63, 64, 1000, 16384])
def test_the_driver_finds_how_many_slots_the_device_has(slots):
    assert Server(ims=slots).load().irqs.domain.slots == slots


def test_the_functions_other_causes_have_vector_0_of_the_table(pf):
    assert pf.irqs.misc.index == 0
    assert not pf.irqs.misc.ims


def test_vectors_are_of_the_table_first_unless_asked(large):
    _, pf = large
    assert kinds(pf.vsi_setup().vectors) == ["msix"] * 5
    assert kinds(pf.vsi_setup(prefer="ims").vectors) == ["ims"] * 5
    assert kinds(pf.vsi_setup(prefer="msix").vectors) == ["msix"] * 5


def test_when_the_table_is_used_up_slots_follow(large):
    _, pf = large
    pf.irqs.alloc_several([(f"x{n}", None) for n in range(2045)])
    assert pf.irqs.msix_free == 2
    assert kinds(pf.vsi_setup().vectors) == ["msix"] * 2 + ["ims"] * 3


def test_the_2049th_vector_of_the_table_is_refused_with_what_is_left(large):
    _, pf = large
    pf.irqs.alloc_several([(f"x{n}", None) for n in range(2047)], "msix")
    with pytest.raises(LinuxError, match="of 2048 MSI-X vectors 0 are left, of 1024 IMS slots 1024") as error:
        pf.irqs.alloc("one too many", prefer="msix")
    assert error.value.errno == errno.ENOSPC
    assert pf.irqs.alloc("a slot").ims


def test_a_vsi_that_does_not_find_all_its_vectors_gets_none(large):
    _, pf = large
    pf.irqs.alloc_several([(f"x{n}", None) for n in range(1021)], "ims")
    before = pf.irqs.inspect(), pf.avail_rxq.inspect()
    with pytest.raises(LinuxError, match=r"5 vectors .*of 1024 IMS slots 3$"):
        pf.vsi_setup(prefer="ims")
    assert (pf.irqs.inspect(), pf.avail_rxq.inspect()) == before


def test_when_the_cpus_run_out_of_vectors_nothing_is_taken():
    server = Server(cpus=1)
    pf = server.load()
    before = server.holdings(), pf.irqs.inspect()
    with pytest.raises(LinuxError, match="all 208 are taken"):
        pf.irqs.alloc_several([(f"x{n}", None) for n in range(300)])
    assert (server.holdings(), pf.irqs.inspect()) == before


def test_another_preference_is_refused_with_the_choices(pf):
    with pytest.raises(LinuxError, match="msix-first, msix and ims"):
        pf.irqs.alloc("x", prefer="intx")


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_a_receive_queue_fires_the_vector_it_is_mapped_to(large, prefer):
    server, pf = large
    one, two = Adi.make(server, pf, 1, prefer=prefer), Adi.make(server, pf, 2, prefer=prefer)
    fired = []
    for n, vector in enumerate(two.vsi.vectors):
        vector.handler = lambda n=n: fired.append(n)
        vector.enable()
    two.vsi.map_vector(3, [0], [])
    one.send(plain(two.mac, one.mac))
    assert fired == [3]
    one.send(plain(two.mac, one.mac))
    assert fired == [3], "it has masked itself"
    two.vsi.vectors[3].enable()
    server.advance(100_000)
    assert fired == [3, 3], "and what came meanwhile fires it"


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_a_transmit_queue_fires_its_vector_when_a_packet_is_sent(large, prefer):
    server, pf = large
    one = Adi.make(server, pf, 1, prefer=prefer)
    vector = one.vsi.vectors[1]
    one.vsi.map_vector(1, [], [2])
    vector.enable()
    one.send(plain(b"\x02\xfa\0\0\0\1", one.mac), queue=2)
    assert vector.fired == 1


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_after_unmap_no_vector_fires(large, prefer):
    server, pf = large
    one, two = Adi.make(server, pf, 1, prefer=prefer), Adi.make(server, pf, 2, prefer=prefer)
    two.vsi.map_vector(1, [0, 1, 2, 3], [0, 1, 2, 3])
    two.vsi.unmap_vectors()
    two.vsi.vectors[1].enable()
    one.send(plain(two.mac, one.mac))
    assert two.vsi.vectors[1].fired == 0
    assert two.frames()


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_a_vectors_registers_are_at_the_offsets_it_says(large, prefer):
    """By the page that a guest is given, too: its words are the control and the three timers."""
    _, pf = large
    vector = pf.irqs.alloc("x", prefer=prefer)
    for timer, microseconds in enumerate((10, 20, 8160)):
        vector.set_itr(timer, microseconds)
    io = pf.hw.io
    assert [io.readl(vector.page + 4 * n) * 2 for n in (1, 2, 3)] == [10, 20, 8160]
    vector.enable()
    assert io.readl(vector.page) & 1
    assert io.readl(vector.dyn_ctl) & 1
    vector.set_rate(40)
    assert io.readl(vector.rate) == 10 | 1 << 6
    vector.set_rate(0)
    assert io.readl(vector.rate) == 0


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_a_vector_comes_again_without_its_last_owners_settings(large, prefer):
    server, pf = large
    vector = pf.irqs.alloc("x", prefer=prefer)
    vector.set_itr(1, 100)
    vector.set_rate(100)
    vector.enable()
    pf.irqs.free(vector)
    again = pf.irqs.alloc("y", prefer=prefer)
    assert (again.ims, again.index) == (vector.ims, vector.index)
    io = pf.hw.io
    assert [io.readl(at) for at in (again.itr(1), again.rate)] == [0, 0]
    assert io.readl(again.dyn_ctl) & 1 == 0
    again.trigger()
    server.pump()
    assert (again.fired, vector.fired) == (1, 0)


@pytest.mark.parametrize(
    ("act", "says"),
    [(lambda v: v.set_itr(0, 8161), "0 to 8160"), (lambda v: v.set_rate(237), "0 to 236")],
)
def test_a_throttling_that_hardware_can_not_is_refused(pf, act, says):
    with pytest.raises(LinuxError, match=says):
        act(pf.irqs.alloc("x"))


def test_512_adis_of_5_vectors_have_all_they_need_and_each_reaches_its_own_handler():
    """All 2,047 vectors that the table has left, and 513 slots."""
    server = Server(ims=1024, cpus=16)
    pf = server.load()
    vsis = [pf.vsi_setup(queue_pairs=4, vectors=5) for _ in range(512)]
    with pytest.raises(LinuxError, match=r"4 transmit queues .* 0 of 2048 are left") as error:
        pf.vsi_setup()
    assert error.value.errno == errno.ENOSPC
    vectors = [vector for vsi in pf.vsis.values() for vector in vsi.vectors]
    assert len(vectors) == 512 * 5
    assert sum(vector.ims for vector in vectors) == 512 * 5 - 2047
    assert len({(v.irq.cpu, v.irq.vector) for v in vectors}) == len(vectors)
    for vector in (*vsis[0].vectors, *vsis[409].vectors, *vsis[-1].vectors):
        vector.enable()
        vector.trigger()
        server.pump()
        assert [v.fired for v in vectors if v.fired] == [1]
        vector.fired = 0
