"""Ten ways into another guest's memory: each is stopped and recorded, and nobody else notices.

What records it: the remapping unit a fault, for each refused request, and for refused requests of a device
with ATS the device itself; the adapter a malicious driver event for a queue, CRIT for a mailbox; the function
an error as the reply to a message; VDCM an access that it dropped.
"""

import pytest

from conformance.e810.frames import TCP, V4, ether, pattern, plain, tcp
from siov.drivers.iavf import VirtchnlError, messages
from siov.host.iommu import RequestKind
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.physmem import PAGE_SIZE
from siov.host.vfio import RegionIndex
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode
from siov.spec.e810.queues import QueueLength
from siov.spec.vdev import DEAD, SPLIT_PAGES, VdevBar0
from siov.spec.virtchnl import IrqMapInfo, Op, QueueType, QueueVector, QueueVectorMaps, Status, VectorMap

from .attack import Attacker, Scene

READ, WRITE = RequestKind.READ, RequestKind.WRITE
NOBODY = bytes([2, 0xFE, 0, 0, 0, 1])
SHARED = 1 << 32  # guest-physical, behind the guest's memory


@pytest.fixture(params=[True, False], ids=["ats", "no-ats"])
def scene(request):
    scene = Scene(request.param)
    scene.talk()
    yield scene
    scene.server.close()


def nothing_sent(scene):
    stats = scene.bad.vsi.stats()
    assert (stats.tx_unicast, stats.tx_broadcast, stats.tx_multicast) == (0, 0, 0)


def test_a_transmit_ring_in_the_victims_memory(scene):
    scene.bad.configure(tx_ring=scene.hpa)
    scene.bad.tx.kick(8)
    scene.fault(scene.hpa, READ)
    scene.malicious("TX_TCLAN")
    nothing_sent(scene)
    scene.harmless()


def test_a_receive_ring_in_the_victims_memory(scene):
    scene.bad.configure(rx_ring=scene.hpa)
    scene.send_to_bad(1)
    scene.fault(scene.hpa, READ)
    scene.malicious("RX")
    scene.harmless()


def test_a_transmit_buffer_in_the_victims_memory(scene):
    scene.bad.tx.data(bytes(60), address=scene.hpa)
    scene.bad.tx.kick()
    scene.fault(scene.hpa, READ)
    scene.malicious("TX_TCLAN")
    nothing_sent(scene)
    scene.harmless()


@pytest.mark.parametrize("which", ["header", "payload"])
def test_a_large_sends_header_or_payload_in_the_victims_memory(scene, which):
    tx, payload = scene.bad.tx, pattern(3000)
    body = tcp(V4, payload, checksum=V4.pseudo(TCP, 0))
    frame = ether(scene.victim.driver.mac, scene.bad.driver.mac, V4.header(TCP, None, checksum=False) + body)
    commands = {"IIPT": 3, "L4T": 1, "MACLEN": 7, "IPLEN": 5, "L4LEN": 5}
    outside = {"address": scene.hpa}
    tx.ctx(TSO=1, MSS=1000, TSO_LEN=3000)
    tx.data(frame[:54], EOP=0, RS=0, **commands, **(outside if which == "header" else {}))
    tx.data(frame[54:], **commands, **(outside if which == "payload" else {}))
    tx.kick()
    scene.fault(scene.hpa, READ)
    scene.malicious("TX_TCLAN")
    nothing_sent(scene)
    scene.harmless()


def test_a_receive_buffer_in_the_victims_memory(scene):
    scene.bad.rx.fill(0, scene.hpa)
    scene.send_to_bad(1)
    scene.fault(scene.hpa, WRITE)
    scene.malicious("RX")
    scene.harmless()


@pytest.mark.parametrize("way", ["tx", "rx"])
def test_a_write_back_into_memory_of_the_victim_that_may_be_read(way):
    """The victim lends pages to be read: a ring in them can be fetched, and nothing be reported there."""
    for ats in (True, False):
        scene = Scene(ats)
        bad = scene.bad
        if way == "tx":
            bad.tx.data(plain(scene.server.tenant("talker").driver.mac, bad.driver.mac))
            ring = bad.tx.ring
        else:
            ring = bad.rx.ring
        scene.victim.vdev.guest.write(scene.page, bad.read(ring, PAGE_SIZE))
        scene.kept = scene.memory()
        bad.tenant.vdev.guest.container.dma_map(SHARED, scene.hpa, PAGE_SIZE, Prot.READ)
        scene.talk()
        if way == "tx":
            bad.configure(tx_ring=SHARED)
            bad.tx.kick(1)
        else:
            bad.configure(rx_ring=SHARED)
            scene.send_to_bad(1)
        scene.fault(SHARED, WRITE)
        scene.malicious("TX_TCLAN" if way == "tx" else "RX")
        scene.harmless()
        scene.server.close()


def put(scene, address, size):
    """A message in the mailbox's transmit ring, without the driver."""
    bad, mailbox = scene.bad, scene.bad.driver.mailbox
    desc = AqDesc.of(
        FLAGS=AqFlags.of(SI=1, BUF=1, RD=1).raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=size,
        COOKIE_HIGH=Op.GET_STATS, ADDR_HIGH=address >> 32, ADDR_LOW=address & 0xFFFF_FFFF,
    )  # fmt: skip
    tail = bad.vdev.read32(mailbox.at["ATQT"])
    bad.write(mailbox._rings["ATQ"] + 32 * tail, desc.to_bytes())
    bad.vdev.write32(mailbox.at["ATQT"], (tail + 1) % 32)


@pytest.mark.parametrize("what", ["ring", "buffer"])
@pytest.mark.parametrize("way", ["ATQ", "ARQ"])
def test_a_mailboxs_ring_or_buffer_in_the_victims_memory(scene, way, what):
    bad, mailbox = scene.bad, scene.bad.driver.mailbox
    own = bad.vdev.alloc(4096)
    bad.write(own, messages.queue_select(bad.vsi.num, 1))  # the reply to GET_STATS has data
    if what == "ring":
        bad.vdev.write32(mailbox.at[way + "BAL"], scene.hpa & 0xFFFF_FFFF)
        bad.vdev.write32(mailbox.at[way + "BAH"], scene.hpa >> 32)
        put(scene, own, 12)
    elif way == "ATQ":
        put(scene, scene.hpa, 12)
    else:
        for n in range(32):
            raw = AqDesc.from_bytes(bad.read(mailbox._rings["ARQ"] + 32 * n, 32))
            moved = raw.replace(ADDR_HIGH=scene.hpa >> 32, ADDR_LOW=scene.hpa & 0xFFFF_FFFF)
            bad.write(mailbox._rings["ARQ"] + 32 * n, moved.to_bytes())
        put(scene, own, 12)
    bad.pump()
    scene.fault(scene.hpa, WRITE if (way, what) == ("ARQ", "buffer") else READ)
    assert QueueLength(bad.vdev.read32(mailbox.at[way + "LEN"])).CRIT
    scene.harmless()


def irq_map(vsi, vector, rx=0, tx=0):
    one = VectorMap.of(vsi_id=vsi, vector_id=vector, rxq_map=rx, txq_map=tx)
    return Op.CONFIG_IRQ_MAP, messages.with_rows(Op.CONFIG_IRQ_MAP, IrqMapInfo.of(num_vectors=1), [one])


def queue_vector(vsi, queue, vector):
    one = QueueVector.of(queue_id=queue, vector_id=vector, itr_idx=0, queue_type=QueueType.RX)
    head = QueueVectorMaps.of(vport_id=vsi, num_qv_maps=1)
    return Op.MAP_QUEUE_VECTOR, messages.with_rows(Op.MAP_QUEUE_VECTOR, head, [one])


def test_an_interrupt_map_with_the_victims_vsi_vectors_or_queues(scene):
    """The numbers of all are relative to the VSI that asks, and no larger than what it has."""
    bad, vsi = scene.bad, scene.server.device(scene.victim).adi.vsi
    mine = bad.vsi.num
    refused = [
        irq_map(vsi.num, 1, rx=1, tx=1),
        irq_map(mine, vsi.vectors[1].index, rx=1),
        irq_map(mine, 1, rx=1 << (1 + vsi.rxq[0])),
        irq_map(mine, 1, tx=1 << 15),
        irq_map(mine, 0xFFFF, rx=1),
        irq_map(mine, 0, rx=1),
        queue_vector(vsi.num, 0, 1),
        queue_vector(mine, vsi.rxq[0] + 1, 1),
        queue_vector(mine, 0, vsi.vectors[1].index),
        queue_vector(mine, 0xFFFF, 0xFFFF),
    ]
    before = bad.device.messages.counts.copy()
    for op, payload in refused:
        with pytest.raises(VirtchnlError) as caught:
            bad.driver.request(op, payload)
        assert caught.value.status in (Status.ERR_PARAM, Status.ERR_NOT_SUPPORTED)
    after = bad.device.messages.counts
    recorded = sum(after[name] - before[name] for name in ("refused", "malformed", "not_allowed"))
    assert recorded == len(refused)
    assert after["bugs"] == 0
    scene.harmless()


def test_another_ones_page_of_registers(scene):
    """Every page of BAR 0 that could be another's, by any index: it reads as nothing and takes nothing."""
    bad = scene.bad
    own = set(bad.device.layout.pages)
    kinds = (VdevBar0.VDEV_QRX_TAIL.at, VdevBar0.VDEV_QTX_TAIL.at, VdevBar0.VDEV_INT_CTL01.at)
    others = [at + n * PAGE_SIZE for at in kinds for n in range(SPLIT_PAGES)]
    others += [0x20000 + n * PAGE_SIZE for n in range(1, 32)]
    others = [at for at in others if at not in own and at < bad.device.layout.bar0_size]
    before = bad.device.vdev.inspect()
    for at in others:
        bad.vdev.device.write(RegionIndex.BAR0, at, b"\x3f\0\0\0")
        assert bad.vdev.device.read(RegionIndex.BAR0, at, 4) == DEAD.to_bytes(4, "little"), hex(at)
        with pytest.raises(LinuxError, match="trapped"):
            bad.vdev.device.mmap(RegionIndex.BAR0, at)
    after = bad.device.vdev.inspect()
    assert after["dropped_writes"] - before["dropped_writes"] == len(others)
    assert after["dead_reads"] - before["dead_reads"] == len(others)
    for at in others[:: len(others) // 16]:  # by the guest's own instructions
        bad.vdev.write32(at, 63)
        assert bad.vdev.read32(at) == DEAD
    with pytest.raises(LinuxError, match="behind it"):
        bad.vdev.device.read(RegionIndex.BAR0, bad.device.layout.bar0_size, 4)
    bad.pump()
    scene.harmless()


def test_an_address_whose_translation_the_device_holds_for_the_victim(scene):
    """What the device TLB knows under the victim's PASID serves no other PASID."""
    bad, victim = scene.bad, Attacker(scene.server, "victim")
    high = victim.vdev.guest.size - PAGE_SIZE
    assert high >= bad.vdev.guest.size, "the attacker's memory ends before it"
    victim.write(high, plain(NOBODY, victim.driver.mac))
    held = scene.held()
    victim.tx.data(bytes(60), address=high)
    victim.tx.kick()
    assert victim.vsi.stats().tx_unicast == 1
    assert scene.held() > held or not scene.ats
    scene.keep()
    bad.tx.data(bytes(60), address=high)
    bad.tx.kick()
    scene.fault(high, READ)
    scene.malicious("TX_TCLAN")
    nothing_sent(scene)
    scene.harmless()


@pytest.mark.parametrize("way", ["tx", "rx"])
def test_a_stale_translation_after_memory_was_unmapped(scene, way):
    """The victim lends pages and takes them back: once dma_unmap returns, no cache leads there."""
    bad, container = scene.bad, scene.bad.vdev.guest.container
    container.dma_map(SHARED, scene.hpa, 4 * PAGE_SIZE)
    frame = plain(NOBODY, bad.driver.mac)
    for at in (scene.page, scene.page + PAGE_SIZE):
        scene.victim.vdev.guest.write(at, frame)
    held = scene.held()
    for n in range(3):
        bad.rx.fill(n, SHARED + n * PAGE_SIZE)
    for n in range(2):
        if way == "tx":
            bad.tx.data(frame, address=SHARED + n * PAGE_SIZE)
            bad.tx.kick()
        else:
            scene.send_to_bad()
    if way == "tx":
        assert bad.vsi.stats().tx_unicast == 2, "the pages were lent"
    else:
        assert bad.rx.done(1), "the pages were lent"
    assert scene.held() > held or not scene.ats, "the device holds translations"
    sent = bad.vsi.stats().tx_unicast
    assert container.dma_unmap(SHARED, 4 * PAGE_SIZE) == 4 * PAGE_SIZE
    scene.keep()
    if way == "tx":
        bad.tx.data(frame, address=SHARED)
        bad.tx.kick()
        scene.fault(SHARED, READ)
    else:
        scene.send_to_bad()
        scene.fault(SHARED + 2 * PAGE_SIZE, WRITE)
    scene.malicious("TX_TCLAN" if way == "tx" else "RX")
    assert bad.vsi.stats().tx_unicast == sent
    scene.harmless()


@pytest.mark.parametrize("how", ["vfio", "guest"])
def test_dma_that_was_under_way_when_the_device_was_reset(scene, how, monkeypatch):
    """Once the reset is done nothing lands in its memory; what comes for it is dropped and counted."""
    bad, server = scene.bad, scene.server
    for _ in range(40):
        bad.tx.data(plain(NOBODY, bad.driver.mac))
    bad.tx.doorbell()
    server.send("talker", "bad", count=64, sizes=(1500,))
    server.tenants.step()  # both are rung for
    engine = server.function.device.engine
    while not bad.rx.done(0):
        engine.pump()
    assert not bad.rx.done(55), "the device is in the middle of it"
    # A driver that saw the reset would set its rings up anew; this one has gone.
    monkeypatch.setattr(bad.driver, "service", lambda: False)
    if how == "vfio":
        bad.vdev.device.reset()
    else:
        bad.device.reset_vf()
    memory = bad.memory()
    dropped = bad.vsi.stats().rx_discards
    bad.tx.doorbell()  # its page is its own still, and its queue is off
    server.send("talker", "bad", count=16, sizes=(1500,))
    server.until(lambda: all(s["done"] for s in server.tenants.results()["talker.0"]["senders"]))
    bad.pump()
    assert bad.memory() == memory
    assert bad.vsi.stats().rx_discards >= dropped + 16
    scene.harmless()


def test_a_guest_that_gets_the_memory_of_one_that_was_reset_and_closed(scene):
    bad, server = scene.bad, scene.server
    base, mac = bad.vdev.guest.base, bad.driver.mac
    for _ in range(40):
        bad.tx.data(plain(NOBODY, mac))
    bad.tx.doorbell()
    server.send("talker", "bad", count=64, sizes=(1500,))
    server.tenants.step()
    server.tenants.remove("bad")
    heir = server.add("heir", "vdcm-1", memory="8M")
    assert heir.vdev.guest.base == base
    kept = server.mem.read(base, heir.vdev.guest.size)
    server.until(lambda: all(s["done"] for s in server.tenants.results()["talker.0"]["senders"]))
    server.rest()
    assert server.mem.read(base, heir.vdev.guest.size) == kept
    scene.harmless()
