"""A driver for tests: it knows registers, descriptors and admin commands, and nothing behind them."""

from dataclasses import dataclass, field

from siov.spec.e810 import (
    AqAddTxQueues,
    AqAllocRes,
    AqDisableTxQueues,
    AqGetTopology,
    AqOpcode,
    AqRc,
    AqResource,
    AqRssKey,
    AqRssLut,
    AqSchedGroup,
    AqSchedNode,
    AqSchedProperties,
    AqSwitchRule,
    AqSwitchRules,
    AqVsi,
    AqVsiList,
    AqVsiResponse,
    DeviceState,
    LutSize,
    LutType,
    RecipeId,
    ResourceType,
    RssLut,
    SchedElementType,
    SingleAction,
    SingleActionQueue,
    SingleActionType,
    SwitchRuleType,
    VsiProperties,
    VsiType,
)
from siov.spec.e810.control import Control
from siov.spec.word import Word

from .adminq import AdminQueue, Answer
from .machine import Machine
from .rings import RxQueue, TxQueue
from .space import Room, Space

BROADCAST = b"\xff" * 6
Valid = VsiProperties.VALID_SECTIONS


class Properties:
    """The 128 bytes of a VSI's properties; `of` sets words, and marks sections as valid."""

    def __init__(self) -> None:
        self.data = bytearray(VsiProperties.size)

    def set(self, word: Word, index: int = 0) -> "Properties":
        at = type(word).at + index * (word.width // 8)
        self.data[at : at + word.width // 8] = word.to_bytes()
        return self

    def valid(self, *sections: str) -> "Properties":
        old = int.from_bytes(self.data[:2], "little")
        return self.set(Valid(old | Valid.of(**dict.fromkeys(sections, 1)).raw))


@dataclass
class Vsi:
    """A VSI: its number, address, first receive queue and address space."""

    driver: "E810Driver"
    number: int
    mac: bytes
    space: Space
    first: int
    count: int
    rx: list[RxQueue] = field(default_factory=list)
    tx: list[TxQueue] = field(default_factory=list)

    def update(self, properties: Properties) -> None:
        """Change the sections that are valid in the properties."""
        params = AqVsi.of(VSI_NUM=self.number, IS_VALID=1, TYPE=VsiType.VMDQ2)
        self.driver.aq.send(AqOpcode.UPDATE_VSI, params, bytes(properties.data))

    def set(self, section: str, *words: Word) -> None:
        """Change one section, all of whose words are given (others become zero)."""
        properties = Properties().valid(section)
        for word in words:
            properties.set(word)
        self.update(properties)

    def counter(self, name: str) -> int:
        """A statistics register of this VSI, 40 bits wide or 32."""
        wide = name not in ("GLV_RDPC", "GLV_TEPC", "GLV_REPC")
        machine = self.driver.machine
        return (machine.rd64 if wide else machine.rd)(name, self.number)

    def frames(self, queue: int = 0) -> list[bytes]:
        """What has come into a queue since the last look."""
        return [frame.data for frame in self.rx[queue].take()]


class E810Driver:
    """The function, enabled, with its admin queue, on a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.room = Room()
        self.space = Space(machine, self.room)  # the function's own DMA has no PASID
        self.aq = AdminQueue(self.space)
        self.free_rx = self.free_tx = 0
        self.group = self.queue_group()
        self.vsis: list[Vsi] = []

    def reopen(self) -> None:
        """After a reset: the admin queue again, nothing else is there."""
        self.aq.open()
        self.group = self.queue_group()
        self.free_rx = self.free_tx = 0
        self.vsis.clear()

    # VSIs.

    def address_space(self, pasid: int | None) -> Space:
        return self.space if pasid is None else Space.with_pasid(self.machine, self.room, pasid)

    def vsi(
        self, last: int = 1, *, pasid: int | None = None, space: Space | None = None, queues: int = 1,
        kind: VsiType = VsiType.VMDQ2, promiscuous: bool = False, mac: bytes | None = None,
        rings: bool = True, rule: bool = True, **rx: int,
    ) -> Vsi:  # fmt: skip
        """A VSI as ice makes one in a VEB, with `queues` pairs on (a power of two), and a rule for its MAC.

        `rx` goes to its receive queues; `rings` False leaves them out.
        """
        space = space or self.address_space(pasid)
        properties = self.defaults(self.free_rx, queues)
        if space.pasid is not None:
            properties.valid("PASID_VALID").set(VsiProperties.PASID_ID.of(PASID=space.pasid, VALID=1))
        answer = self.aq.send(AqOpcode.ADD_VSI, AqVsi.of(TYPE=kind), bytes(properties.data))
        number = answer.params(AqVsiResponse).VSI_NUM
        mac = mac or bytes([2, 0, 0, 0, 0, last])
        vsi = Vsi(self, number, mac, space, self.free_rx, queues)
        self.free_rx += queues
        self.vsis.append(vsi)
        if rule:
            self.add_mac(vsi, mac)
        if promiscuous:
            self.rule(RecipeId.DFLT, forward(vsi.number))
        for n in range(queues if rings else 0):
            vsi.rx.append(self.rx_queue(vsi, vsi.first + n, **rx))
            vsi.rx[-1].enable()
            vsi.rx[-1].post_all()
            vsi.tx.append(self.tx_queue(vsi))
        return vsi

    @staticmethod
    def defaults(first: int, count: int) -> Properties:
        """What ice gives every VSI: a VEB, only the source pruned, tags left alone, RSS by its own table."""
        assert count & (count - 1) == 0
        p = Properties().valid("SW_VALID", "SECURITY_VALID", "VLAN_VALID", "RXQ_MAP_VALID", "Q_OPT_VALID")
        p.set(VsiProperties.SW_FLAGS.of(ALLOW_LB=1, LOCAL_LB=1, SRC_PRUNE=1))
        p.set(VsiProperties.SW_FLAGS2.of(LAN_ENA=1))
        p.set(VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=3))
        p.set(VsiProperties.Q_MAPPING.of(Q=first), 0).set(VsiProperties.Q_MAPPING.of(Q=count), 1)
        p.set(VsiProperties.TC_MAPPING.of(Q_OFFSET=0, Q_NUM=count.bit_length() - 1))
        return p.set(VsiProperties.Q_OPT_RSS.of(LUT=RssLut.VSI))

    def free_vsi(self, vsi: Vsi) -> None:
        self.aq.send(AqOpcode.FREE_VSI, AqVsi.of(VSI_NUM=vsi.number, IS_VALID=1))

    def rss(self, vsi: Vsi, table: bytes, key: bytes | None = None, kind: LutType = LutType.VSI) -> None:
        """A look-up table of 64, 512 or 2,048 entries, and a key of 52 bytes."""
        size = {64: LutSize.SMALL, 512: LutSize.SIZE_512, 2048: LutSize.SIZE_2K}[len(table)]
        params = AqRssLut.of(VSI_ID=vsi.number, VSI_VALID=1, LUT_TYPE=kind, LUT_SIZE=size)
        self.aq.send(AqOpcode.SET_RSS_LUT, params, table)
        if key is not None:
            self.aq.send(AqOpcode.SET_RSS_KEY, AqRssKey.of(VSI_ID=vsi.number, VSI_VALID=1), key)

    # Switch.

    def add_mac(self, vsi: Vsi, mac: bytes, vlan: int | None = None, *, lan: bool = False) -> int:
        """A rule that frames to an address go to a VSI and, in a VEB, not out (ice_fill_sw_info)."""
        recipe = RecipeId.MAC if vlan is None else RecipeId.MAC_VLAN
        return self.rule(
            recipe, forward(vsi.number, lan=lan), tx=True, source=vsi.number, mac=mac, vlan=vlan or 0
        )

    def broadcast(self, *vsis: Vsi) -> int:
        """Broadcasts go to VSIs, and out."""
        group = self.vsi_list(*vsis)
        action = forward(group, lan=True).replace(VSI_LIST=1)
        return self.rule(RecipeId.MAC, action, tx=True, source=vsis[0].number, mac=BROADCAST)

    def rule(
        self, recipe: RecipeId, action: SingleAction | SingleActionQueue, *, tx: bool = False,
        source: int = 0, mac: bytes = bytes(6), ethertype: int = 0x8100, vlan: int = 0,
        expect: AqRc = AqRc.OK,
    ) -> int:  # fmt: skip
        """Add a look-up rule; gives its number."""
        header = mac + bytes(6) + ethertype.to_bytes(2, "big") + vlan.to_bytes(2, "big")
        kind = SwitchRuleType.LKUP_TX if tx else SwitchRuleType.LKUP_RX
        head = AqSwitchRule.of(TYPE=kind, RECIPE_ID=recipe, SRC=source, ACT=action.raw, HDR_LEN=len(header))
        answer = self._rules(AqOpcode.ADD_SW_RULES, head.to_bytes() + header, expect)
        return AqSwitchRule.from_bytes(answer.data[:16]).INDEX

    def update_rule(self, index: int, action: SingleAction, *, tx: bool = True) -> None:
        kind = SwitchRuleType.LKUP_TX if tx else SwitchRuleType.LKUP_RX
        self._rules(
            AqOpcode.UPDATE_SW_RULES, AqSwitchRule.of(TYPE=kind, ACT=action.raw, INDEX=index).to_bytes()
        )

    def remove_rule(self, index: int, *, tx: bool = True) -> None:
        kind = SwitchRuleType.LKUP_TX if tx else SwitchRuleType.LKUP_RX
        self._rules(AqOpcode.REMOVE_SW_RULES, AqSwitchRule.of(TYPE=kind, INDEX=index).to_bytes())

    def vsi_list(self, *vsis: Vsi, prune: bool = False) -> int:
        """A list of VSIs: one to send to, or one that a VLAN has as members."""
        kind = ResourceType.VSI_LIST_PRUNE if prune else ResourceType.VSI_LIST_REP
        data = AqResource.of(RES_TYPE=kind, NUM_ELEMS=1).to_bytes() + bytes(2)
        answer = self.aq.send(AqOpcode.ALLOC_RES, AqAllocRes.of(NUM_ENTRIES=1), data)
        number = int.from_bytes(answer.data[4:6], "little")
        change = SwitchRuleType.PRUNE_LIST_SET if prune else SwitchRuleType.VSI_LIST_SET
        head = AqVsiList.of(TYPE=change, INDEX=number, NUMBER_VSI=len(vsis)).to_bytes()
        self._rules(
            AqOpcode.UPDATE_SW_RULES, head + b"".join(vsi.number.to_bytes(2, "little") for vsi in vsis)
        )
        return number

    def vlan(self, vid: int, *members: Vsi) -> int:
        """Members of a VLAN, for VSIs that prune by it (ice: VLAN look-up with a prune list)."""
        action = forward(self.vsi_list(*members, prune=True)).replace(VSI_LIST=1)
        return self.rule(RecipeId.VLAN, action, tx=True, source=members[0].number, vlan=vid)

    def _rules(self, opcode: AqOpcode, element: bytes, expect: AqRc = AqRc.OK) -> Answer:
        return self.aq.send(opcode, AqSwitchRules.of(NUM_RULES=1), element, expect=expect)

    # Queues.

    def queue_group(self) -> int:
        """The scheduler's node that queues are added below: the last one above the leaves."""
        answer = self.aq.send(AqOpcode.GET_DFLT_TOPO, AqGetTopology.of(PORT_NUM=0), room=4096)
        head, size = AqSchedGroup.width // 8, (AqSchedNode.width + AqSchedProperties.width) // 8
        count = AqSchedGroup.from_bytes(answer.data[:head]).NUM_ELEMS
        nodes = [answer.data[head + n * size : head + (n + 1) * size] for n in range(count)]
        kinds = [AqSchedProperties.from_bytes(node[8:]).ELEM_TYPE for node in nodes]
        group = nodes[kinds.index(SchedElementType.LEAF) - 1]
        return AqSchedNode.from_bytes(group[:8]).NODE_TEID

    def rx_queue(self, vsi: Vsi, number: int, **options: int) -> RxQueue:
        return RxQueue(vsi.space, number, **options)

    def tx_queue(self, vsi: Vsi, *, size: int = 64, expect: AqRc = AqRc.OK, **context: int) -> TxQueue:
        """A transmit queue, on."""
        queue = TxQueue(vsi.space, self.free_tx, vsi.number, size, **context)
        self.free_tx += 1
        self.enable_tx(queue, expect)
        return queue

    def enable_tx(self, queue: TxQueue, expect: AqRc = AqRc.OK) -> None:
        info = AqSchedProperties.of(ELEM_TYPE=SchedElementType.LEAF).to_bytes()
        element = (
            queue.number.to_bytes(2, "little") + bytes(6) + queue.context().to_bytes()[:22] + bytes(2) + info
        )
        data = self.group.to_bytes(4, "little") + bytes([1, 0, 0, 0]) + element
        self.aq.send(AqOpcode.ADD_TXQS, AqAddTxQueues.of(NUM_QGRPS=1), data, expect=expect)

    def disable_tx(self, queue: TxQueue) -> None:
        data = self.group.to_bytes(4, "little") + bytes([1, 0]) + queue.number.to_bytes(2, "little")
        self.aq.send(AqOpcode.DIS_TXQS, AqDisableTxQueues.of(NUM_ENTRIES=1), data)

    # Resets.

    def device_ready(self) -> bool:
        return Control.GLGEN_RSTAT(self.machine.rd("GLGEN_RSTAT")).DEVSTATE == DeviceState.READY

    def core_reset(self, which: str = "CORER") -> None:
        """A reset of the device by its trigger, waited for."""
        self.machine.wr("GLGEN_RTRIG", Control.GLGEN_RTRIG.of(**{which: 1}))
        assert self.device_ready()

    def function_reset(self) -> None:
        """PFSWR, waited for."""
        self.machine.wr("PFGEN_CTRL", Control.PFGEN_CTRL.of(PFSWR=1))
        assert self.machine.rd("PFGEN_CTRL") == 0


def forward(vsi: int, *, lan: bool = False, loopback: bool = True) -> SingleAction:
    """To a VSI: looped back inside, out to the port or not."""
    return SingleAction.of(VSI_ID=vsi, VALID=1, LB_ENABLE=int(loopback), LAN_ENABLE=int(lan))


def to_queue(queue: int, region: int = 0) -> SingleActionQueue:
    """To a queue, or a region of them."""
    return SingleActionQueue.of(TYPE=SingleActionType.TO_Q, Q_INDEX=queue, Q_REGION=region, LB_ENABLE=1)
