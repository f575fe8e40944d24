"""VSIs: queues, PASIDs, properties, frames, and what is refused with how much is left (ice_lib.c)."""

import errno

import pytest

from conformance.e810.frames import plain, udp_frame
from siov.drivers.ice.rxq import RxRing
from siov.drivers.ice.txq import TxRing, tx_context
from siov.drivers.ice.vsi import VsiKind
from siov.host.linux import LinuxError
from siov.spec.e810 import RXDID, AqOpcode, Queues, VmvfType, VsiProperties, VsiType
from siov.spec.e810.context import RxQueueContext

from .adi import Adi
from .server import FAR, Server


@pytest.fixture
def pair(server, pf):
    """Two ADIs, on."""
    return Adi.make(server, pf, 1), Adi.make(server, pf, 2)


def properties(server, num):
    vsi = server.function.firmware.vsis[num]
    return lambda word: vsi.properties[word]


def test_an_adi_has_4_queue_pairs_and_5_vectors_and_is_of_type_vmdq2(server, pf):
    vsi = pf.vsi_setup()
    assert vsi.kind is VsiKind.ADI
    assert (len(vsi.txq), len(vsi.rxq), len(vsi.vectors)) == (4, 4, 5)
    assert server.function.firmware.vsis[vsi.num].kind is VsiType.VMDQ2


def test_each_vsi_is_the_next_free_one_and_a_freed_number_comes_again(pf):
    vsis = [pf.vsi_setup(queue_pairs=1) for _ in range(4)]
    numbers = [vsi.num for vsi in vsis]
    assert numbers == [1, 2, 3, 4], "VSI 0 is the function's own"
    vsis[1].release()
    assert pf.vsi_setup(queue_pairs=1).num == 2


def test_a_vsis_receive_queues_are_what_firmware_maps_to_it(server, pf):
    pf.vsi_setup(queue_pairs=3)
    vsi = pf.vsi_setup(queue_pairs=4)
    get = properties(server, vsi.num)
    assert vsi.rxq[0] == get(VsiProperties.Q_MAPPING).Q
    assert get(VsiProperties.TC_MAPPING).Q_NUM == 2
    assert vsi.rxq == list(range(vsi.rxq[0], vsi.rxq[0] + 4))


def test_up_to_16_scattered_queues_are_listed_one_by_one_and_all_receive(server, pf):
    ones = [pf.vsi_setup(queue_pairs=1) for _ in range(40)]
    rest = pf.avail_rxq.take(len(pf.avail_rxq.free), "the test", row=False)
    for vsi in ones[::3]:
        vsi.release()
    adi = Adi.make(server, pf, 77, queue_pairs=4)
    assert adi.vsi.rxq == [0, 3, 6, 9], "apart"
    sender = Adi.make(server, pf, 1, queue_pairs=1)
    adi.vsi.set_rss_lut(bytes([3] * 64))
    adi.vsi.set_rss_key(bytes(range(52)))
    frame = udp_frame(dst=adi.mac, src=sender.mac)
    sender.send(frame)
    assert adi.frames(3) == [frame], "the table's queue 3 is the last that is listed"
    pf.avail_rxq.give(rest)


def test_rings_are_switched_on_with_the_contexts_that_linux_writes(server, pf):
    vsi = pf.vsi_setup(queue_pairs=1)
    vsi.cfg_rxq(0, RxRing(0x1_2345_6780, 512, buffer=2048))
    vsi.cfg_txq(0, 0x2_0000_0080, 256)
    vsi.ena_rxq(0)
    vsi.ena_txq(0)
    q = vsi.rxq[0]
    raw = b"".join(server.rd("QRX_CONTEXT", n * 2048 + q).to_bytes(4, "little") for n in range(8))
    context = RxQueueContext.from_bytes(raw)
    assert (context.BASE_HI << 32 | context.BASE_LO) << 7 == 0x1_2345_6780
    assert (context.QLEN, context.DBUF, context.DSIZE, context.CRCSTRIP) == (512, 16, 1, 1)
    assert context.RXMAX == 9728
    flex = Queues.QRXFLXP_CNTXT(server.rd("QRXFLXP_CNTXT", q))
    assert (flex.RXDID_IDX, flex.RXDID_PRIO) == (RXDID.LEGACY_1, 3)
    assert Queues.QRX_CTRL(server.rd("QRX_CTRL", q)).QENA_STAT
    assert server.function.firmware.txqueues.table[vsi.txq[0]].vsi == vsi.num
    assert vsi.kind.vmvf is VmvfType.VMQ


def test_a_frame_is_at_most_five_buffers(server, pf):
    vsi = pf.vsi_setup(queue_pairs=1)
    vsi.cfg_rxq(0, RxRing(0x1000_0000, 64, buffer=1100))
    vsi.ena_rxq(0)
    raw = b"".join(server.rd("QRX_CONTEXT", n * 2048 + vsi.rxq[0]).to_bytes(4, "little") for n in range(8))
    assert RxQueueContext.from_bytes(raw).RXMAX == 5 * 1024, "a buffer is rounded down to 128 bytes"


def test_frames_go_from_adi_to_adi_by_their_pasids(server, pair):
    one, two = pair
    assert one.rx[0].ring == two.rx[0].ring, "the same addresses, other memory"
    sent = [plain(two.mac, one.mac, size) for size in (60, 61, 1514)]
    one.send(*sent)
    assert two.frames() == sent
    assert one.frames() == []
    assert server.iommu.faults.drain() == []


def test_an_adi_may_not_send_with_another_ones_address(pair):
    one, two = pair
    one.send(plain(two.mac, FAR))
    assert two.frames() == []


def test_without_its_pasid_a_vsi_reaches_no_guest(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    adi.vsi.set_pasid(None)
    adi.up()
    before = adi.guest.read(adi.rx[0].buffer(0), 2048)
    adi.send(plain(FAR, adi.mac))
    assert adi.guest.read(adi.rx[0].buffer(0), 2048) == before
    adi.vsi.stop_queues()
    adi.vsi.set_pasid(adi.guest.pasid)
    assert adi.guest.pasid == properties(server, adi.vsi.num)(VsiProperties.PASID_ID).PASID


def test_the_pasid_can_not_change_while_queues_are_on(pair):
    with pytest.raises(LinuxError, match="stop them first") as error:
        pair[0].vsi.set_pasid(7)
    assert error.value.errno == errno.EBUSY


def test_after_stop_queues_nothing_moves_any_more(server, pair):
    one, two = pair
    two.vsi.stop_queues()
    before = two.guest.read(two.rx[0].buffers, 16 * 2048)
    one.send(plain(two.mac, one.mac))
    assert two.guest.read(two.rx[0].buffers, 16 * 2048) == before
    one.vsi.stop_queues()
    assert server.function.firmware.txqueues.table == {}


def test_an_update_of_one_property_leaves_the_others_of_its_section(server, pf):
    vsi = pf.vsi_setup()
    vsi.update_properties(VsiProperties.SW_FLAGS2.of(LAN_ENA=1, RX_VLAN_PRUNE_ENA=1))
    get = properties(server, vsi.num)
    assert get(VsiProperties.SW_FLAGS2).RX_VLAN_PRUNE_ENA
    flags = get(VsiProperties.SW_FLAGS)
    assert (flags.SRC_PRUNE, flags.ALLOW_LB) == (1, 1)


def test_a_vsi_reset_stops_it_and_it_works_again_with_new_rings(server, pair):
    one, two = pair
    two.vsi.reset()
    assert server.rd("VSIGEN_RSTAT", two.vsi.num) & 1
    assert two.vsi.tx_on == two.vsi.rx_on == set()
    two.rx.clear()
    two.tx.clear()
    two.up()
    frame = plain(two.mac, one.mac)
    one.send(frame)
    assert two.frames() == [frame], "its rules stay"
    two.send(plain(one.mac, two.mac))
    assert len(one.frames()) == 1


def test_statistics_are_those_of_the_vsi_alone_from_its_start(server, pf, pair):
    one, two = pair
    one.send(*[plain(two.mac, one.mac, 100)] * 3)
    assert two.vsi.stats().rx_unicast == 3
    assert one.vsi.stats().tx_unicast == 3
    number = two.vsi.num
    two.close()
    again = pf.vsi_setup()
    assert again.num == number
    assert again.stats().rx_unicast == 0


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda vsi: vsi.ena_txq(0), "has no ring"),
        (lambda vsi: vsi.ena_rxq(0), "has no ring"),
        (lambda vsi: vsi.cfg_txq(4, 0x1000, 64), "it has 4"),
        (lambda vsi: vsi.dis_rxq(-1), "it has 4"),
        (lambda vsi: vsi.cfg_txq(0, 0x1000, 65), "64 to 8160, in steps of 32"),
        (lambda vsi: vsi.cfg_txq(0, 0x1001, 64), "multiple of 128"),
        (lambda vsi: vsi.cfg_txq(0, 0, 64), "multiple of 128"),
        (lambda vsi: vsi.cfg_txq(0, 1 << 64, 64), "multiple of 128"),
        (lambda vsi: vsi.cfg_rxq(0, RxRing(0x1000, 64, buffer=64)), "128 to 16256"),
        (lambda vsi: vsi.cfg_rxq(0, RxRing(0x1000, 64, max_frame=9729)), "64 to 9728"),
        (lambda vsi: vsi.cfg_rxq(0, RxRing(0x1000, 64, rxdid=63)), "no descriptor profile 63"),
        (lambda vsi: vsi.map_vector(5, [0], []), "it has 5"),
        (lambda vsi: vsi.map_vector(1, [9], []), "no receive queue 9"),
        (lambda vsi: vsi.map_mailbox(7), "no vector 7"),
    ],
)
def test_what_a_vsi_has_not_or_hardware_can_not_is_refused(pf, act, says):
    vsi = pf.vsi_setup()
    with pytest.raises(LinuxError, match=says) as error:
        act(vsi)
    assert error.value.errno == errno.EINVAL


def test_a_ring_can_not_be_moved_while_its_queue_is_on(pair):
    vsi = pair[0].vsi
    for act in (lambda: vsi.cfg_txq(0, 0x1000, 64), lambda: vsi.cfg_rxq(0, RxRing(0x1000, 64))):
        with pytest.raises(LinuxError, match="switch it off first") as error:
            act()
        assert error.value.errno == errno.EBUSY


def test_when_queues_run_out_the_error_says_how_many_are_left(pf):
    for _ in range(7):
        pf.vsi_setup(queue_pairs=256, vectors=1)
    pf.vsi_setup(queue_pairs=250, vectors=1)
    left = dict(pf.avail_txq.inspect())
    with pytest.raises(LinuxError, match=r"7 transmit queues .* 6 of 2048 are left") as error:
        pf.vsi_setup(queue_pairs=7)
    assert error.value.errno == errno.ENOSPC
    assert pf.avail_txq.inspect() == left == {"count": 2048, "left": 6}
    assert pf.vsi_setup(queue_pairs=6).rxq[-1] == 2047


def test_when_vsis_run_out_the_error_says_so_and_nothing_is_lost(server, pf):
    for _ in range(767):
        pf.vsi_setup(queue_pairs=1, vectors=1)
    before = server.holdings(), pf.avail_txq.inspect(), pf.irqs.inspect()
    with pytest.raises(LinuxError, match="no VSI left: 768 there are") as error:
        pf.vsi_setup(queue_pairs=1, vectors=1)
    assert error.value.errno == errno.ENOSPC
    assert (server.holdings(), pf.avail_txq.inspect(), pf.irqs.inspect()) == before


def test_an_adi_with_256_queues_has_them_in_several_groups_of_the_scheduler(server, pf):
    adi = Adi.make(server, pf, 1, queue_pairs=256, vectors=1)
    assert len(adi.vsi.branch.groups) == 4
    assert len(server.function.firmware.txqueues.table) == 256
    nodes = server.function.firmware.inspect()["scheduler_nodes"]
    adi.vsi.release()
    assert server.function.firmware.txqueues.table == {}
    assert server.function.firmware.inspect()["scheduler_nodes"] < nodes - 256


def test_a_released_vsi_can_be_released_again_and_leaves_its_number_to_others(pf):
    vsi = pf.vsi_setup()
    vsi.release()
    other = pf.vsi_setup()
    assert other.num == vsi.num
    vsi.release()
    assert pf.vsis[other.num] is other


def test_creating_and_releasing_leaves_no_trace():
    server = Server(ims=16)
    pf = server.load()
    Adi.make(server, pf, 0).close()  # the unit keeps the page of its PASID table
    before = server.holdings(), pf.inspect()["scheduler"], pf.dma.inspect()
    for n in range(20):
        adi = Adi.make(server, pf, n, prefer="ims" if n % 2 else "msix")
        adi.vsi.map_mailbox(0)
        adi.vsi.map_vector(1, [0, 1], [2, 3])
        adi.close()
    assert (server.holdings(), pf.inspect()["scheduler"], pf.dma.inspect()) == before


def test_rings_have_256_and_2048_descriptors_until_the_guest_says_otherwise(pf):
    vsi = pf.vsi_setup(queue_pairs=1)
    assert vsi.ring_lengths() == (256, 2048)
    vsi.cfg_txq(0, 0x1000)
    assert vsi.tx_rings[0].length == 256
    assert RxRing(0x1000).length == 2048
    vsi.cfg_txq(0, 0x1000, 512)
    vsi.cfg_rxq(0, RxRing(0x1000, 512))
    assert vsi.ring_lengths() == (512, 512)


def test_flows_are_spread_over_all_queues_of_an_adi_from_the_start(server, pf):
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    frames = [udp_frame(dst=two.mac, src=one.mac, sport=port) for port in range(3000, 3040)]
    one.send(*frames)
    came = [two.frames(q) for q in range(4)]
    assert all(came), "no queue without a frame"
    assert sorted(frame for some in came for frame in some) == sorted(frames)


def test_when_spreading_is_refused_the_vsi_goes_again(server, pf, monkeypatch):
    before = server.holdings(), pf.inspect()["scheduler"]
    real = type(pf.aq).send

    def refuse(self, opcode, *args, **kwargs):
        if opcode is AqOpcode.SET_RSS_LUT:
            raise LinuxError(errno.EIO, "no table")
        return real(self, opcode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(pf.aq), "send", refuse)
        with pytest.raises(LinuxError, match="no table"):
            pf.vsi_setup()
    assert (server.holdings(), pf.inspect()["scheduler"]) == before


def test_a_transmit_queues_context_names_vsi_function_and_owner():
    adi = tx_context(TxRing(0x1_0000_0080, 512), 77, 5, VmvfType.VMQ, 0)
    assert (adi.BASE << 7, adi.QLEN, adi.SRC_VSI, adi.VMVF_TYPE, adi.VMVF_NUM) == (
        0x1_0000_0080,
        512,
        5,
        1,
        5,
    )
    assert (adi.QNUM_IN_FUNC, adi.TSO_ENA, adi.TSO_QNUM, adi.LEGACY_INT) == (77, 1, 77, 1)
    own = tx_context(TxRing(0x80), 0, 0, VmvfType.PF, 3)
    assert (own.VMVF_TYPE, own.VMVF_NUM, own.PF_NUM) == (2, 0, 3)
