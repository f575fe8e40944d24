"""A recorded driver, and what stands in for its memory when its register accesses are played again.

The recording (tests/data/iavf-boot.txt.xz, made by tools/record_driver.py) is a stock Linux iavf in QEMU over
another device model, from power-on to power-off: it has every register access but no memory. So the player
fills the rings at the recorded addresses with the messages that such a driver sends at that point. Which
message each recorded move of the mailbox's tail stands for is inferred from the driver's state machine and
from what came back (see MESSAGES).
"""

from __future__ import annotations

import lzma
import struct
from dataclasses import dataclass
from pathlib import Path

from conformance.e810.frames import udp_frame
from siov.host.vfio import VfioContainer, VfioDevice
from siov.spec.e810 import DTYPE, AqDesc, AqFlags, AqOpcode, TxDataQw1
from siov.spec.virtchnl import (
    EtherAddr,
    EtherAddrList,
    IrqMapInfo,
    Op,
    QueuePairInfo,
    QueueSelect,
    RxqInfo,
    TxqInfo,
    VectorMap,
    VfCaps,
    VfResource,
    VsiQueueConfigInfo,
    VsiResource,
)

from .server import FAR
from .vdcm import MBX, User, VdcmServer

RECORDING = Path(__file__).parents[2] / "data" / "iavf-boot.txt.xz"
RAM, RAM_SIZE = 0x1D40_0000, 4 << 20
"""The part of the guest's memory in which the recorded mailbox rings are."""
BUFFERS, TX_RING, RX_RING, TX_FRAME, RX_BUFFERS = (
    RAM + at for at in (0x20_0000, 0x10_0000, 0x18_0000, 0x1F_0000, 0x30_0000)
)
CAPS = VfCaps.of(L2=1, ADV_LINK_SPEED=1, WB_ON_ITR=1)
"""What leads to the recorded messages: no RSS or VLAN messages are among them."""
MULTICAST = bytes.fromhex("01005e000001")
SHUTDOWN = -1  # no virtchnl message: the queue's own command that says it is shut down
MESSAGES = (
    Op.VERSION, Op.GET_VF_RESOURCES, Op.CONFIG_IRQ_MAP,
    Op.ADD_ETH_ADDR, Op.ADD_ETH_ADDR, Op.CONFIG_VSI_QUEUES, Op.ENABLE_QUEUES,
    Op.GET_STATS, Op.GET_STATS, Op.GET_STATS, Op.DISABLE_QUEUES, Op.RESET_VF, SHUTDOWN,
)  # fmt: skip
"""What the moves of ATQT stand for. The 7th is followed by two messages (ENABLE_QUEUES, the link event), the
8th to 10th are 2 s apart (idle: GET_STATS), the 12th has no reply and ends in ATQH 0 (RESET_VF)."""


@dataclass(frozen=True, slots=True)
class Access:
    """One access: kind R, W, I (eventfds, `data` in decimal) or Z (reset)."""

    kind: str
    region: int = 0
    at: int = 0
    size: int = 0
    data: bytes = b""

    @property
    def value(self) -> int:
        return int.from_bytes(self.data, "little")


def recording() -> list[Access]:
    """All accesses, in order."""
    found = []
    for line in lzma.decompress(RECORDING.read_bytes()).decode().splitlines():
        kind, *words = line.split()
        if kind == "I":
            found.append(Access(kind, at=int(words[0]), size=int(words[1])))
        elif kind == "Z":
            found.append(Access(kind))
        else:
            region, at, size = (int(word, 16) for word in words[:3])
            found += [Access(kind, region, at, size, bytes.fromhex(words[3]))] * int(words[4])
    return found


class RecordedDriver(User):
    """Who has the device open, with the memory that the recording lacks."""

    def __init__(self, server: VdcmServer, mdev, wire) -> None:
        super().__init__(server, mdev)
        self.wire = wire
        self.ram = server.mem.alloc_pages(RAM_SIZE >> 12, "guest")
        self.container = VfioContainer(server.iommu, server.pasids)
        self.container.dma_map(RAM, self.ram, RAM_SIZE)
        self.vfio = VfioDevice(mdev, self.container)
        self.sent: list[int] = []
        self.replies: list[tuple[int, int, bytes]] = []
        self.bases = {"AT": 0, "AR": 0}
        self.vsi = 0
        self.mac = bytes(6)
        self.on_wire: list[bytes] = []
        self.rings = 0
        self.cleaned = 0

    def read(self, gpa: int, size: int) -> bytes:
        return self.server.mem.read(self.ram + gpa - RAM, size)

    def write(self, gpa: int, data: bytes) -> None:
        self.server.mem.write(self.ram + gpa - RAM, data)

    def message(self, op: int) -> bytes:
        """What a stock driver of one queue pair says."""
        vsi = self.vsi
        if op == Op.VERSION:
            return struct.pack("<II", 1, 1)
        if op == Op.GET_VF_RESOURCES:
            return CAPS.to_bytes()
        if op == Op.CONFIG_IRQ_MAP:
            queues = VectorMap.of(vsi_id=vsi, vector_id=1, rxq_map=1, txq_map=1, txitr_idx=1)
            maps = queues.data + VectorMap.of(vsi_id=vsi).data
            return IrqMapInfo.of(num_vectors=2).data + maps + bytes(VectorMap.size)
        if op == Op.ADD_ETH_ADDR:
            mac = MULTICAST if op in self.sent else self.mac
            head = EtherAddrList.of(vsi_id=vsi, num_elements=1).data
            return head + EtherAddr.of(addr=mac).data + bytes(EtherAddr.size)
        if op == Op.CONFIG_VSI_QUEUES:
            txq = TxqInfo.of(vsi_id=vsi, ring_len=512, dma_ring_addr=TX_RING)
            rxq = RxqInfo.of(
                vsi_id=vsi,
                ring_len=512,
                databuffer_size=2048,
                max_pkt_size=1522,
                rxdid=1,
                dma_ring_addr=RX_RING,
            )
            head = VsiQueueConfigInfo.of(vsi_id=vsi, num_queue_pairs=1).data
            return head + QueuePairInfo.of(txq=txq, rxq=rxq).data + bytes(QueuePairInfo.size)
        if op in (Op.ENABLE_QUEUES, Op.DISABLE_QUEUES):
            return QueueSelect.of(vsi_id=vsi, pad=0xBEEF, rx_queues=1, tx_queues=1).data
        if op == Op.GET_STATS:
            return QueueSelect.of(vsi_id=vsi, pad=0xBEEF).data
        return b""

    def before(self, access: Access) -> None:
        """Memory as it is when the driver writes this register."""
        if access.region != 0:
            return
        if access.at == MBX["ATQT"] and access.value:
            self._put(MESSAGES[len(self.sent)], access.value - 1)
        elif access.at == MBX["ARQT"] and self.bases["AR"]:
            # Entries up to the first tail are posted with the first write; later ones one at a time.
            posted = range(access.value) if access.value == 31 and not self.replies else (access.value,)
            for n in posted:
                self._post(n)
            self.cleaned += access.value != 31
        elif access.at == 0x0000 and access.value:
            frame = udp_frame(src=self.mac, dst=FAR, dport=access.value)
            at = TX_FRAME + 256 * access.value
            self.write(at, frame)
            word = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, ICRC=1, TX_BUF_SZ=len(frame))
            self.write(TX_RING + 16 * (access.value - 1), struct.pack("<Q", at) + word.to_bytes())
        elif access.at == 0x2000:
            for n in range(access.value):
                self.write(RX_RING + 32 * n, struct.pack("<Q", RX_BUFFERS + 2048 * n) + bytes(24))

    def after(self, access: Access) -> None:
        """What has come of a write: messages, frames at the other end of the cable, an answer to each."""
        self.server.advance(
            100_000
        )  # ns; less than what passed between any two moves of a tail when recorded
        if access.region == 0 and access.at in (MBX["ATQBAL"], MBX["ARQBAL"]):
            self.bases["AT" if access.at == MBX["ATQBAL"] else "AR"] = access.value
        if access.region == 0 and access.at == 0x0000:
            frames = self.wire.take()
            self.on_wire += frames
            self.wire.send(self.server, *(frame[6:12] + frame[:6] + frame[12:] for frame in frames))
        self._look()

    def received(self) -> list[bytes]:
        """Frames whose receive descriptors are done, in ring order."""
        found = []
        while (word := struct.unpack("<Q", self.read(RX_RING + 32 * len(found) + 8, 8))[0]) & 1:
            found.append(self.read(RX_BUFFERS + 2048 * len(found), word >> 38 & 0x3FFF))
        return found

    def _put(self, op: int, n: int) -> None:
        data, at = self.message(op), BUFFERS + 0x2_0000 + 0x1000 * n
        address = at if data else 0
        self.sent.append(op)
        self.write(at, data)
        control = op == SHUTDOWN
        flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512).raw
        desc = AqDesc.of(
            FLAGS=flags, OPCODE=0x0003 if control else AqOpcode.SEND_MSG_TO_PF, DATALEN=len(data),
            COOKIE_HIGH=0 if control else op, ADDR_LOW=address,
        )  # fmt: skip
        self.write(self.bases["AT"] + 32 * n, desc.to_bytes())

    def _post(self, n: int) -> None:
        flags = AqFlags.of(BUF=1, LB=1).raw
        desc = AqDesc.of(FLAGS=flags, DATALEN=4096, ADDR_LOW=BUFFERS + 0x1000 * n)
        self.write(self.bases["AR"] + 32 * n, desc.to_bytes())

    def _look(self) -> None:
        """Note the messages whose entries are done; each is looked at once."""
        while self.bases["AR"] and len(self.replies) < 31:
            n = len(self.replies)
            desc = AqDesc.from_bytes(self.read(self.bases["AR"] + 32 * n, 32))
            if not desc.FLAGS & 1:
                return
            assert desc.FLAGS & 4 == 0, "ERR: the driver would stop"
            assert desc.OPCODE == AqOpcode.SEND_MSG_TO_VF
            data = self.read(BUFFERS + 0x1000 * n, desc.DATALEN)
            self.replies.append((desc.COOKIE_HIGH, desc.COOKIE_LOW, data))
            if desc.COOKIE_HIGH == Op.GET_VF_RESOURCES:
                found = VsiResource.read(data, VfResource.size)
                self.vsi, self.mac = found.vsi_id, bytes(found.default_mac_addr)
