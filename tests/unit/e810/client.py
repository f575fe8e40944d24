"""A driver's side of the admin queue, through registers and memory alone."""

from dataclasses import dataclass
from typing import TypeVar

from siov.hw.e810.firmware import Firmware, PortSettings, Settings
from siov.hw.e810.firmware.record import Record
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc
from siov.spec.e810.aq_queues import (
    AqAddTxQueues,
    AqDisableTxQueues,
    AqSchedElements,
    AqSchedGroup,
    AqSchedProperties,
    SchedElementType,
)
from siov.spec.e810.aq_switch import (
    AqAllocRes,
    AqResource,
    AqSwitchRule,
    AqSwitchRules,
    AqVsi,
    AqVsiList,
    AqVsiResponse,
    ResourceType,
    SingleAction,
    SwitchRuleType,
    VsiType,
)
from siov.spec.e810.context import TxQueueContext, VmvfType
from siov.spec.e810.queues import QueueLength
from siov.spec.e810.registers import Bar0
from siov.spec.e810.vsi import VsiProperties
from siov.spec.word import Word

from .fake import FakeClock, FakeEngine, FakeMemory

W = TypeVar("W", bound=Word)

ATQ, ARQ, BUFFERS, POSTED = 0x1000, 0x3000, 0x10000, 0x40000
ENTRIES = 8
MAC = bytes.fromhex("b49691a1b2c3")


@dataclass(slots=True)
class Answer:
    """A descriptor as it came back, and its buffer."""

    raw: bytes
    data: bytes

    @property
    def descriptor(self) -> AqDesc:
        return AqDesc.from_bytes(self.raw)

    @property
    def flags(self) -> AqFlags:
        return AqFlags(self.descriptor.FLAGS)

    @property
    def code(self) -> AqRc:
        return AqRc(self.descriptor.RETVAL)

    def params(self, word: type[W]) -> W:
        return word.from_bytes(self.raw[16:])


class Client:
    """A device's firmware with a driver's two rings."""

    def __init__(
        self, *, link: bool = True, flows: tuple[int, int] = (1024, 15360), rules: int = 1 << 14
    ) -> None:
        self.engine = FakeEngine(link=link, rules=rules)
        self.memory = FakeMemory()
        self.clock = FakeClock()
        self.firmware = Firmware(
            self.engine, self.memory, self.clock, Settings(PortSettings(MAC), flows=flows)
        )
        self.tail = 0
        self.taken = 0
        self.posted = 0
        self.open()

    def open(self) -> None:
        """Set the rings up and post all buffers of the receive ring but one."""
        for name, base in (("ATQ", ATQ), ("ARQ", ARQ)):
            for register in "HT":
                self.write(f"PF_FW_{name}{register}", 0)
            self.write(f"PF_FW_{name}BAL", base)
            self.write(f"PF_FW_{name}BAH", 0)
            self.write(f"PF_FW_{name}LEN", QueueLength.of(LEN=ENTRIES, ENABLE=1).raw)
        self.tail = self.taken = self.posted = 0
        for _ in range(ENTRIES - 1):
            self.post()

    def write(self, name: str, value: int, index: int = 0) -> None:
        span = Bar0.spans[name]
        self.engine.bar_write(0, span.at + index * span.stride, value.to_bytes(4, "little"))
        self.firmware.service()

    def read(self, name: str, index: int = 0) -> int:
        span = Bar0.spans[name]
        return int.from_bytes(self.engine.bar_read(0, span.at + index * span.stride, 4), "little")

    def post(self, size: int = 4096) -> None:
        """Another buffer for events."""
        at = POSTED + 4096 * self.posted
        flags = AqFlags.of(BUF=1, LB=size > 512)
        descriptor = AqDesc.of(FLAGS=flags.raw, DATALEN=size, ADDR_LOW=at)
        self.memory.dma_write(ARQ + 32 * self.posted, descriptor.to_bytes())
        self.posted = (self.posted + 1) % ENTRIES
        self.write("PF_FW_ARQT", self.posted)

    def put(self, descriptor: bytes, data: bytes = b"") -> int:
        """A descriptor and its buffer into the ring, without telling; gives its index."""
        index, at = self.tail, BUFFERS + 4096 * self.tail
        self.memory.dma_write(at, data)
        self.memory.dma_write(ATQ + 32 * index, descriptor)
        self.tail = (index + 1) % ENTRIES
        return index

    def take(self, index: int) -> Answer:
        raw = bytes(self.memory.data[ATQ + 32 * index : ATQ + 32 * (index + 1)])
        size = AqDesc.from_bytes(raw).DATALEN
        at = BUFFERS + 4096 * index
        return Answer(raw, bytes(self.memory.data[at : at + size]))

    def describe(
        self, opcode: int, params: Word | None = None, data: bytes | None = None, room: int = 0, **flags: int
    ) -> bytes:
        """A descriptor as a driver makes it: `data` for firmware, or `room` for its answer."""
        size = room if data is None else len(data)
        given = AqFlags.of(SI=1, BUF=bool(size), RD=data is not None, LB=size > 512).replace(**flags)
        raw = AqDesc.of(FLAGS=given.raw, OPCODE=opcode, DATALEN=size, COOKIE_HIGH=0x1234, COOKIE_LOW=0x5678)
        body = bytearray(params.to_bytes() if params is not None else bytes(16))
        if size:
            body[8:12] = bytes(4)
            body[12:16] = (BUFFERS + 4096 * self.tail).to_bytes(4, "little")
        return raw.to_bytes()[:16] + bytes(body)

    def send(
        self,
        opcode: int,
        params: Word | None = None,
        data: bytes | None = None,
        room: int = 0,
        expect: AqRc = AqRc.OK,
        **flags: int,
    ) -> Answer:
        """Send a command; gives the answer, whose code must be the expected one."""
        index = self.put(self.describe(opcode, params, data, room, **flags), data or b"")
        self.write("PF_FW_ATQT", self.tail)
        answer = self.take(index)
        assert answer.flags.DD
        assert answer.flags.CMP
        assert answer.code is expect
        assert bool(answer.flags.ERR) == (expect is not AqRc.OK)
        return answer

    def events(self) -> list[Answer]:
        """Events that have come since the last call; their buffers are posted again."""
        found = []
        while self.taken != self.read("PF_FW_ARQH"):
            raw = bytes(self.memory.data[ARQ + 32 * self.taken : ARQ + 32 * (self.taken + 1)])
            at = POSTED + 4096 * self.taken
            found.append(Answer(raw, bytes(self.memory.data[at : at + AqDesc.from_bytes(raw).DATALEN])))
            self.taken = (self.taken + 1) % ENTRIES
            self.post()
        return found


def vsi_params(number: int | None = None, **fields: int) -> AqVsi:
    given = {} if number is None else {"VSI_NUM": number, "IS_VALID": 1}
    return AqVsi.of(**{"TYPE": VsiType.VMDQ2, **given, **fields})


def add_vsi(client: Client, properties: Record | None = None, **fields: int) -> int:
    data = bytes(properties or Record(VsiProperties))
    answer = client.send(AqOpcode.ADD_VSI, vsi_params(**fields), data)
    return answer.params(AqVsiResponse).VSI_NUM


def free_vsi(client: Client, number: int, expect: AqRc = AqRc.OK) -> Answer:
    return client.send(AqOpcode.FREE_VSI, vsi_params(number), expect=expect)


def lookup_rule(
    recipe: int,
    action: SingleAction,
    *,
    tx: bool = False,
    source: int = 0,
    header: bytes = b"",
    index: int = 0,
) -> bytes:
    kind = SwitchRuleType.LKUP_TX if tx else SwitchRuleType.LKUP_RX
    head = AqSwitchRule.of(
        TYPE=kind, RECIPE_ID=recipe, SRC=source, ACT=action.raw, INDEX=index, HDR_LEN=len(header)
    )
    return head.to_bytes() + header


def frame_header(mac: bytes = bytes(6), ethertype: int = 0x8100, vlan: int = 0) -> bytes:
    return mac + bytes(6) + ethertype.to_bytes(2, "big") + vlan.to_bytes(2, "big")


def to_vsi(number: int, **flags: int) -> SingleAction:
    return SingleAction.of(VSI_ID=number, VALID=1, **flags)


def to_list(number: int) -> SingleAction:
    return SingleAction.of(VSI_ID=number, VSI_LIST=1, VALID=1)


def rules(client: Client, opcode: AqOpcode, *elements: bytes, expect: AqRc = AqRc.OK) -> Answer:
    params = AqSwitchRules.of(NUM_RULES=len(elements))
    return client.send(opcode, params, b"".join(elements), expect=expect)


def add_rule(client: Client, element: bytes, expect: AqRc = AqRc.OK) -> int:
    answer = rules(client, AqOpcode.ADD_SW_RULES, element, expect=expect)
    return AqSwitchRule.from_bytes(answer.data[:16]).INDEX


def allocate(client: Client, kind: ResourceType, count: int = 1, expect: AqRc = AqRc.OK) -> list[int]:
    data = AqResource.of(RES_TYPE=kind, NUM_ELEMS=count).to_bytes() + bytes(2 * count)
    answer = client.send(AqOpcode.ALLOC_RES, AqAllocRes.of(NUM_ENTRIES=1), data, expect=expect)
    return [int.from_bytes(answer.data[n : n + 2], "little") for n in range(4, 4 + 2 * count, 2)]


def change_list(kind: SwitchRuleType, number: int, *vsis: int) -> bytes:
    head = AqVsiList.of(TYPE=kind, INDEX=number, NUMBER_VSI=len(vsis))
    return head.to_bytes() + b"".join(vsi.to_bytes(2, "little") for vsi in vsis)


def queue_group(client: Client) -> int:
    """The queue group of the default branch."""
    return client.firmware.tree.default[7]


def context(vsi: int, **fields: int) -> bytes:
    given = {"BASE": 0x100, "QLEN": 256, "SRC_VSI": vsi, "VMVF_TYPE": VmvfType.VMQ, **fields}
    return TxQueueContext.of(**given).to_bytes()[:22]


def tx_queue(number: int, context: bytes) -> bytes:
    info = AqSchedProperties.of(ELEM_TYPE=SchedElementType.LEAF)
    return number.to_bytes(2, "little") + bytes(6) + context + bytes(2) + info.to_bytes()


def add_queues(client: Client, parent: int, *queues: bytes, expect: AqRc = AqRc.OK) -> list[int]:
    data = parent.to_bytes(4, "little") + bytes([len(queues), 0, 0, 0]) + b"".join(queues)
    answer = client.send(AqOpcode.ADD_TXQS, AqAddTxQueues.of(NUM_QGRPS=1), data, expect=expect)
    return [
        int.from_bytes(answer.data[8 + 48 * n + 4 : 8 + 48 * n + 8], "little") for n in range(len(queues))
    ]


def disable_queues(client: Client, parent: int, *numbers: int, expect: AqRc = AqRc.OK) -> Answer:
    data = parent.to_bytes(4, "little") + bytes([len(numbers), 0])
    data += b"".join(number.to_bytes(2, "little") for number in numbers)
    data += bytes(-len(data) % 4)
    return client.send(AqOpcode.DIS_TXQS, AqDisableTxQueues.of(NUM_ENTRIES=1), data, expect=expect)


def add_node(client: Client, parent: int, count: int = 1, expect: AqRc = AqRc.OK) -> list[int]:
    node = bytes(8) + AqSchedProperties.of(ELEM_TYPE=SchedElementType.SE_GENERIC).to_bytes()
    data = AqSchedGroup.of(PARENT_TEID=parent, NUM_ELEMS=count).to_bytes() + node * count
    params = AqSchedElements.of(NUM_ELEM_REQ=1)
    answer = client.send(AqOpcode.ADD_SCHED_ELEMS, params, data, expect=expect)
    return [int.from_bytes(answer.data[12 + 24 * n : 16 + 24 * n], "little") for n in range(count)]
