"""A VF's driver speaks through its mailbox, and the adapter does what was agreed (ice_virtchnl.c)."""

from collections.abc import Iterator
from itertools import count

import pytest

from conformance.e810.adminq import AdminQueue as Box
from conformance.e810.frames import plain, udp_frame
from conformance.e810.rings import RxQueue, TxQueue
from siov.drivers.ice.mailbox import RECEIVE_ENTRIES
from siov.drivers.ice.vf import VirtchnlVf
from siov.drivers.ice.virtchnl import VfLimits, VfMessages
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, RxLegacyQw0, RxLegacyQw1
from siov.spec.virtchnl import (
    EtherAddr,
    EtherAddrList,
    EthStats,
    FdirAdd,
    FdirRule,
    FilterAction,
    FilterActionSet,
    IrqMapInfo,
    Op,
    PfEvent,
    ProtoHdr,
    ProtoHdrs,
    QueuePairInfo,
    QueueSelect,
    RxqInfo,
    Status,
    TxqInfo,
    VectorMap,
    VfCaps,
    VfResource,
    Vlan,
    VlanFilter,
    VlanFilterListV2,
    VlanSetting,
    VsiQueueConfigInfo,
    VsiResource,
)
from siov.spec.virtchnl import ProtoHdrField as Field
from siov.spec.virtchnl import ProtoHdrType as Type

from .adi import Adi
from .server import FAR

LENGTH = 64
CAPS = VfCaps.of(
    L2=1, RSS_PF=1, VLAN_V2=1, ADV_LINK_SPEED=1, WB_ON_ITR=1, FDIR_PF=1, ADV_RSS_PF=1, REQ_QUEUES=1
)


class Vf:
    """A VF with its driver, and its owner too: what a VDCM does for it."""

    def __init__(self, server, pf, messages: VfMessages, last: int, **limits: bool) -> None:
        self.server, self.pf = server, pf
        self.adi = Adi.make(server, pf, last, up=False)
        self.vsi, self.guest, self.mac = self.adi.vsi, self.adi.guest, self.adi.mac
        self.box = Box(self.guest, "VSI_MBX", self.vsi.num)
        self.vf = VirtchnlVf(self.vsi, self, self.mac, VfLimits(**limits))
        self.vf.start()
        messages.attach(self.vsi.num, self.vf)
        self.events: list[PfEvent] = []
        self.rx: list[RxQueue] = []
        self.tx: list[TxQueue] = []

    def send(self, op: int, status: int, data: bytes) -> bool:
        return self.pf.mbx.send(self.vsi.num, op, status, data) is AqRc.OK

    def link(self):
        return self.pf.link.state

    def reset_vf(self, queue_pairs: int | None = None) -> None:
        self.vf.begin_reset()
        self.vsi.reset()
        self.vf.reset()

    def available_queue_pairs(self) -> int:
        return 4

    def put(self, op: int, data: bytes = b"") -> None:
        flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512)
        self.box.put(
            AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=len(data), COOKIE_HIGH=op),
            data,
        )

    def replies(self) -> list[tuple[int, int, bytes]]:
        """What has come but events: opcode, status, data."""
        found = []
        for got in self.box.received():
            assert got.descriptor.OPCODE == AqOpcode.SEND_MSG_TO_VF
            op, status = got.descriptor.COOKIE_HIGH, got.descriptor.COOKIE_LOW
            if op == Op.EVENT:
                self.events.append(PfEvent(got.data))
            else:
                found.append((op, status - (status >> 31 << 32), got.data))
        return found

    def status(self, op: int, data: bytes = b"") -> int:
        self.put(op, data)
        [(answered, status, self.answer)] = self.replies()
        assert answered == op
        assert self.vf.counts["bugs"] == 0, self.vf.last_bug
        return status

    def ask(self, op: int, data: bytes = b"") -> bytes:
        assert self.status(op, data) == Status.SUCCESS
        return self.answer

    def begin(self) -> VfResource:
        self.ask(Op.VERSION, bytes([1, 0, 0, 0, 1, 0, 0, 0]))
        return VfResource.read(self.ask(Op.GET_VF_RESOURCES, CAPS.to_bytes()))

    def up(self, **rx: int) -> None:
        """Rings for all queues, a vector for each pair, on, buffers posted."""
        num, pairs = self.vsi.num, b""
        self.tx = [TxQueue(self.guest, q, num, LENGTH) for q in self.vsi.txq]
        self.rx = [RxQueue(self.guest, q, size=LENGTH) for q in self.vsi.rxq]
        for q, (tx, ring) in enumerate(zip(self.tx, self.rx, strict=True)):
            txq = TxqInfo.of(vsi_id=num, queue_id=q, ring_len=LENGTH, dma_ring_addr=tx.ring)
            want = {"databuffer_size": ring.dbuf, "max_pkt_size": 9728, "rxdid": 1} | rx
            rxq = RxqInfo.of(vsi_id=num, queue_id=q, ring_len=LENGTH, dma_ring_addr=ring.ring, **want)
            pairs += QueuePairInfo.of(txq=txq, rxq=rxq).data
        head = VsiQueueConfigInfo.of(vsi_id=num, num_queue_pairs=len(self.rx)).data
        self.ask(Op.CONFIG_VSI_QUEUES, head + pairs + bytes(QueuePairInfo.size))
        maps = [VectorMap.of(vsi_id=num, vector_id=q + 1, rxq_map=1 << q, txq_map=1 << q) for q in range(4)]
        data = b"".join(one.data for one in [*maps, VectorMap.of(vsi_id=num)])
        self.ask(Op.CONFIG_IRQ_MAP, IrqMapInfo.of(num_vectors=5).data + data + bytes(VectorMap.size))
        self.ask(Op.ENABLE_QUEUES, self.select(0xF))
        for ring in self.rx:
            ring.post_all()

    def select(self, queues: int) -> bytes:
        return QueueSelect.of(vsi_id=self.vsi.num, rx_queues=queues, tx_queues=queues).data

    def addresses(self, *macs: bytes) -> bytes:
        head = EtherAddrList.of(vsi_id=self.vsi.num, num_elements=len(macs)).data
        return head + b"".join(EtherAddr.of(addr=mac).data for mac in macs) + bytes(8)

    def vlans(self, *ids: int) -> bytes:
        head = VlanFilterListV2.of(vport_id=self.vsi.num, num_elements=len(ids)).data
        return head + b"".join(VlanFilter.of(inner=Vlan.of(tci=vid, tpid=0x8100)).data for vid in ids)

    def frames(self) -> dict[int, list[bytes]]:
        """Frames that have come, by queue."""
        found = {q: [one.data for one in ring.take()] for q, ring in enumerate(self.rx)}
        return {q: frames for q, frames in found.items() if frames}


@pytest.fixture
def messages(pf) -> VfMessages:
    """Messages of all VFs, handled as the function's interrupts come."""
    messages = VfMessages()
    pf.mbx.receive(messages.receive)
    pf.oicr.work.append(messages.serve)
    return messages


@pytest.fixture
def make(server, pf, messages):
    numbers: Iterator[int] = count(1)
    return lambda **limits: Vf(server, pf, messages, next(numbers), **limits)


@pytest.fixture
def vf(make) -> Vf:
    """A VF whose driver has begun and is up."""
    vf = make()
    vf.begin()
    vf.up()
    return vf


def test_a_driver_begins_and_is_told_what_it_has_and_then_the_link(make):
    vf = make()
    whole = vf.begin()
    assert (whole.num_queue_pairs, whole.max_vectors) == (4, 5)
    assert VsiResource.read(vf.answer, VfResource.size).default_mac_addr == vf.mac
    vf.up()
    assert [event.event for event in vf.events] == [1, 1]
    assert vf.events[-1].link_status == int(vf.pf.link.state.up)


def test_two_vfs_reach_each_other_over_the_queues_that_they_asked_for(make, vf, server):
    other = make()
    other.begin()
    other.up()
    sent = [plain(other.mac, vf.mac, size) for size in (60, 1514)]
    vf.tx[2].send(*sent)
    assert other.frames() == {0: sent}
    assert server.iommu.faults.drain() == []


def test_a_queue_that_is_disabled_receives_nothing_until_it_is_enabled(vf, wire, server):
    frame = plain(vf.mac, FAR)
    vf.ask(Op.DISABLE_QUEUES, vf.select(0xF))
    wire.send(server, frame)
    assert vf.frames() == {}


def test_a_guest_with_a_small_mtu_has_small_buffers(make, wire, server):
    vf = make()
    vf.begin()
    vf.up(databuffer_size=128)
    for ring in vf.rx:
        ring.dbuf = 128
    wire.send(server, plain(vf.mac, FAR, 300))
    [got] = vf.rx[0].take()
    assert len(got.descriptors) == 3, "two full buffers and a rest"


def test_addresses_are_received_from_when_they_are_added_until_they_are_deleted(vf, wire, server):
    mac = bytes([2, 9, 9, 9, 9, 9])
    frame = plain(mac, FAR)
    wire.send(server, frame)
    vf.ask(Op.ADD_ETH_ADDR, vf.addresses(mac))
    wire.send(server, frame, frame)
    vf.ask(Op.DEL_ETH_ADDR, vf.addresses(mac))
    wire.send(server, frame)
    assert vf.frames() == {0: [frame, frame]}


def test_frames_of_other_vlans_are_kept_out_once_there_is_a_filter(vf, wire, server):
    tagged = {vid: plain(vf.mac, FAR, tags=((0x8100, vid),)) for vid in (5, 6)}
    bare = plain(vf.mac, FAR)
    wire.send(server, tagged[5], tagged[6], bare)
    assert vf.frames() == {0: [tagged[5], tagged[6], bare]}
    vf.ask(Op.ADD_VLAN_V2, vf.vlans(5))
    wire.send(server, tagged[5], tagged[6], bare)
    assert vf.frames() == {0: [tagged[5], bare]}
    vf.ask(Op.DEL_VLAN_V2, vf.vlans(5))
    wire.send(server, tagged[5], tagged[6], bare)
    assert vf.frames() == {0: [tagged[5], tagged[6], bare]}


def test_a_tag_is_taken_out_and_reported_while_stripping_is_on(vf, wire, server):
    setting = VlanSetting.of(inner_ethertype_setting=1, vport_id=vf.vsi.num).data
    vf.ask(Op.ENABLE_VLAN_STRIPPING_V2, setting)
    wire.send(server, plain(vf.mac, FAR, 64, tags=((0x8100, 0x2005),)))
    [got] = vf.rx[0].take()
    assert RxLegacyQw0(got.qword(0)).L2TAG1 == 0x2005
    assert RxLegacyQw1(got.qword(1)).L2TAG1P
    assert got.data[12:14] == b"\x88\xb5"
    vf.ask(Op.DISABLE_VLAN_STRIPPING_V2, setting)
    wire.send(server, plain(vf.mac, FAR, 64, tags=((0x8100, 5),)))
    assert vf.rx[0].take()[0].data[12:16] == b"\x81\x00\x00\x05"


def test_the_rss_table_chooses_the_queue(vf, wire, server):
    frame = udp_frame(dst=vf.mac, src=FAR)
    head = vf.vsi.num.to_bytes(2, "little")
    vf.ask(Op.CONFIG_RSS_KEY, head + bytes([52, 0]) + bytes(range(52)) + b"\0")
    vf.ask(Op.SET_RSS_HENA, vf.ask(Op.GET_RSS_HENA_CAPS))
    for queue in (3, 1):
        vf.ask(Op.CONFIG_RSS_LUT, head + bytes([64, 0]) + bytes([queue] * 64) + b"\0")
        wire.send(server, frame)
        assert vf.frames() == {queue: [frame]}
    vf.ask(Op.SET_RSS_HENA, bytes(8))
    wire.send(server, frame)
    assert vf.frames() == {0: [frame]}, "without a hash it is the first queue"


def test_a_flow_director_filter_steers_its_packets_and_no_others(vf, wire, server):
    udp = ProtoHdr.of(
        type=Type.UDP,
        field_selector=1 << Field.UDP_DST_PORT % 32,
        buffer=bytes(2) + (7777).to_bytes(2, "big"),
    )
    headers = [ProtoHdr.of(type=Type.ETH), ProtoHdr.of(type=Type.IPV4), udp]
    hdrs = ProtoHdrs.of(count=3, proto_hdr=b"".join(one.data for one in headers))
    actions = FilterActionSet.of(count=1, actions=FilterAction.of(type=3, queue_index=2).data)
    request = FdirAdd.of(vsi_id=vf.vsi.num, rule_cfg=FdirRule.of(proto_hdrs=hdrs, action_set=actions))
    reply = FdirAdd(vf.ask(Op.ADD_FDIR_FILTER, request.data))
    assert reply.status == 0
    mine, other = (udp_frame(dst=vf.mac, src=FAR, dport=port) for port in (7777, 7778))
    wire.send(server, mine)
    assert vf.frames() == {2: [mine]}
    wire.send(server, other)
    assert 2 not in vf.frames()
    gone = vf.vsi.num.to_bytes(4, "little") + reply.flow_id.to_bytes(4, "little") + bytes(4)
    assert vf.ask(Op.DEL_FDIR_FILTER, gone)[8:] == bytes(4)
    wire.send(server, mine)
    assert 2 not in vf.frames()


def test_statistics_count_what_went_over_the_queues(vf, wire, server):
    before = EthStats(vf.ask(Op.GET_STATS, vf.select(0)))
    sizes = (60, 100, 1514)
    wire.send(server, *(plain(vf.mac, FAR, size) for size in sizes))
    vf.tx[1].send(plain(FAR, vf.mac, 200))
    after = EthStats(vf.ask(Op.GET_STATS, vf.select(0)))
    assert after.rx_unicast - before.rx_unicast == 3
    assert after.tx_unicast - before.tx_unicast == 1
    assert after.rx_bytes - before.rx_bytes == sum(sizes) + 3 * 4, "frames count with their CRC"


@pytest.mark.parametrize(("trusted", "frames"), [(True, 1), (False, 0)])
def test_only_a_trusted_vf_gets_the_frames_of_others(make, wire, server, trusted: bool, frames: int):
    vf = make(trusted=trusted)
    vf.begin()
    vf.up()
    vf.ask(Op.CONFIG_PROMISCUOUS_MODE, vf.vsi.num.to_bytes(2, "little") + bytes([3, 0]))
    wire.send(server, plain(bytes([2, 7, 7, 7, 7, 7]), FAR))
    assert sum(map(len, vf.frames().values())) == frames


def test_a_vf_that_reset_itself_begins_anew_with_nothing_but_its_address(vf, wire, server):
    vf.ask(Op.ADD_VLAN_V2, vf.vlans(5))
    vf.ask(Op.ADD_ETH_ADDR, vf.addresses(bytes([2, 9, 9, 9, 9, 9])))
    rules = server.function.firmware.inspect()["rules"]
    vf.put(Op.RESET_VF)
    vf.box = Box(vf.guest, "VSI_MBX", vf.vsi.num)
    assert vf.vsi.tx_on == vf.vsi.rx_on == set()
    vf.begin()
    vf.up()
    six, mine = plain(vf.mac, FAR, tags=((0x8100, 6),)), plain(vf.mac, FAR)
    wire.send(server, six, mine, plain(bytes([2, 9, 9, 9, 9, 9]), FAR))
    assert vf.frames() == {0: [six, mine]}
    assert server.function.firmware.inspect()["rules"] != rules


def test_messages_that_gathered_are_answered_in_turns_and_each_once(make, pf, messages):
    """31 of one VF and one of each other, before the function's interrupt is handled."""
    flood, *others = vfs = [make() for _ in range(4)]
    for vf in vfs:
        vf.begin()
    order: list[int] = []
    real = pf.mbx.send

    def seen(vsi: int, opcode: int, status: int, data: bytes = b"") -> AqRc:
        order.append(vsi)
        return real(vsi, opcode, status, data)

    pf.oicr.open = False
    pf.irqs.misc.disable()
    for _ in range(31):
        flood.put(Op.VERSION, bytes(8))
    for vf in others:
        vf.put(Op.VERSION, bytes(8))
    pf.oicr.open = True
    for vf in vfs:
        vf.send = lambda op, status, data, num=vf.vsi.num: seen(num, op, status, data) is AqRc.OK
    pf.irqs.misc.enable()
    flood.server.pump()
    assert len(flood.replies()) == 31
    assert [len(vf.replies()) for vf in others] == [1, 1, 1]
    served = {vf.vsi.num: order.index(vf.vsi.num) for vf in others}
    ahead = RECEIVE_ENTRIES + len(vfs)
    assert max(served.values()) < ahead, "only what lay in the function's ring went ahead of the others"
    assert messages.lines[flood.vsi.num].dropped == 0
