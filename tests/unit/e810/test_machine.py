"""Lives of VSIs, rules, lists and queues in any order; and descriptors that are noise."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from siov.hw.e810.firmware.command import TABLE
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc
from siov.spec.e810.aq_switch import (
    AqAllocRes,
    AqResource,
    RecipeId,
    ResourceType,
    SingleAction,
    SwitchRuleType,
)
from siov.spec.e810.queues import QueueLength

from .client import (
    ATQ,
    BUFFERS,
    Client,
    add_queues,
    add_rule,
    add_vsi,
    allocate,
    change_list,
    context,
    disable_queues,
    frame_header,
    free_vsi,
    lookup_rule,
    queue_group,
    rules,
    to_list,
    to_vsi,
    tx_queue,
)

PICK = st.integers(0, 1 << 16)


class Lives(RuleBasedStateMachine):
    """The driver does what it may; the engine must hold exactly what the driver set up."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client()
        self.vsis: set[int] = set()
        self.queues: dict[int, int] = {}
        self.rules: dict[int, tuple[int, object]] = {}  # vlan, where it sends
        self.lists: dict[int, set[int]] = {}

    def pick(self, found: object, n: int) -> int:
        ordered = sorted(found)  # type: ignore[call-overload]
        return int(ordered[n % len(ordered)])

    @rule()
    def a_vsi_comes(self) -> None:
        self.vsis.add(add_vsi(self.client))

    @precondition(lambda self: self.vsis)
    @rule(n=PICK)
    def a_vsi_goes(self, n: int) -> None:
        vsi = self.pick(self.vsis, n)
        if vsi in self.queues.values():
            free_vsi(self.client, vsi, AqRc.EBUSY)
            return
        free_vsi(self.client, vsi)
        self.vsis.discard(vsi)
        self.rules = {n: r for n, r in self.rules.items() if r[1] != ("vsi", vsi)}
        for held in self.lists.values():
            held.discard(vsi)

    @precondition(lambda self: self.vsis)
    @rule(n=PICK, number=st.integers(0, 5))
    def a_queue_is_enabled(self, n: int, number: int) -> None:
        vsi, code = self.pick(self.vsis, n), AqRc.EEXIST if number in self.queues else AqRc.OK
        queue = tx_queue(number, context(vsi))
        add_queues(self.client, queue_group(self.client), queue, expect=code)
        self.queues.setdefault(number, vsi)

    @rule(number=st.integers(0, 5))
    def a_queue_is_disabled(self, number: int) -> None:
        code = AqRc.OK if number in self.queues else AqRc.ENOENT
        disable_queues(self.client, queue_group(self.client), number, expect=code)
        self.queues.pop(number, None)

    @precondition(lambda self: self.vsis)
    @rule(n=PICK, vlan=st.integers(0, 5))
    def a_rule_comes(self, n: int, vlan: int) -> None:
        vsi = self.pick(self.vsis, n)
        code = AqRc.EEXIST if vlan in {r[0] for r in self.rules.values()} else AqRc.OK
        element = lookup_rule(RecipeId.VLAN, to_vsi(vsi), header=frame_header(vlan=vlan))
        number = add_rule(self.client, element, expect=code)
        if code is AqRc.OK:
            self.rules[number] = (vlan, ("vsi", vsi))

    @precondition(lambda self: self.rules and self.lists)
    @rule(n=PICK, m=PICK)
    def a_rule_sends_to_a_list(self, n: int, m: int) -> None:
        number, target = self.pick(self.rules, n), self.pick(self.lists, m)
        element = lookup_rule(RecipeId.VLAN, to_list(target), index=number)
        rules(self.client, AqOpcode.UPDATE_SW_RULES, element)
        self.rules[number] = (self.rules[number][0], ("list", target))

    @rule(number=st.integers(0, 7))
    def a_rule_goes(self, number: int) -> None:
        code = AqRc.OK if number in self.rules else AqRc.ENOENT
        element = lookup_rule(RecipeId.VLAN, SingleAction(), index=number)
        rules(self.client, AqOpcode.REMOVE_SW_RULES, element, expect=code)
        self.rules.pop(number, None)

    @rule()
    def a_list_comes(self) -> None:
        [number] = allocate(self.client, ResourceType.VSI_LIST_REP)
        self.lists[number] = set()

    @precondition(lambda self: self.lists)
    @rule(n=PICK)
    def a_list_goes(self, n: int) -> None:
        number = self.pick(self.lists, n)
        head = AqResource.of(RES_TYPE=ResourceType.VSI_LIST_REP, NUM_ELEMS=1).to_bytes()
        data = head + number.to_bytes(2, "little")
        self.client.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), data)
        del self.lists[number]

    @precondition(lambda self: self.lists and self.vsis)
    @rule(n=PICK, m=PICK, add=st.booleans())
    def a_list_changes(self, n: int, m: int, add: bool) -> None:
        number, vsi = self.pick(self.lists, n), self.pick(self.vsis, m)
        kind = SwitchRuleType.VSI_LIST_SET if add else SwitchRuleType.VSI_LIST_CLEAR
        rules(self.client, AqOpcode.UPDATE_SW_RULES, change_list(kind, number, vsi))
        (self.lists[number].add if add else self.lists[number].discard)(vsi)

    @rule(kind=st.sampled_from(["PFR", "CORER"]))
    def everything_is_reset(self, kind: str) -> None:
        self.client.engine.events.append(("reset", kind))
        self.client.firmware.service()
        self.client.open()
        for found in (self.vsis, self.queues, self.rules, self.lists):
            found.clear()  # type: ignore[attr-defined]

    @invariant()
    def the_engine_holds_what_the_driver_set_up(self) -> None:
        engine = self.client.engine
        assert set(engine.vsis) == self.vsis
        assert set(engine.queues) == set(self.queues)
        assert {n: r["forward"] for n, r in engine.rules.items()} == {n: r[1] for n, r in self.rules.items()}
        assert {n: set(h) for n, h in engine.lists.items()} == {n: h for n, h in self.lists.items() if h}
        leaves = [q.teid for q in self.client.firmware.txqueues.table.values()]
        assert all(teid in self.client.firmware.tree.nodes for teid in leaves)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


opcodes = st.one_of(st.sampled_from(sorted(TABLE)), st.integers(0, 0xFFFF))
noise = st.binary(min_size=0, max_size=300)
flag_bits = st.integers(0, 0xFFFF)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    commands=st.lists(
        st.tuples(opcodes, flag_bits, st.booleans(), st.binary(min_size=16, max_size=16), noise),
        min_size=1,
        max_size=7,
    )
)
def test_any_descriptor_is_completed_and_firmware_goes_on(commands):
    client = Client()
    vsi = add_vsi(client)
    client.send(AqOpcode.REQ_RES, data=None, expect=AqRc.EINVAL)
    for opcode, flags, plausible, params, data in commands:
        if plausible:  # flags as a driver makes them, so that the handler itself is reached
            flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data)).raw
            params = params[:8] + bytes(4) + (BUFFERS + 4096 * client.tail).to_bytes(4, "little")
            params = bytes([params[0] % 4, 0x80 | params[1] & 1]) + params[2:] if params[7] & 1 else params
        raw = AqDesc.of(FLAGS=flags, OPCODE=opcode, DATALEN=len(data)).to_bytes()[:16] + params
        index = client.put(raw, data)
        client.write("PF_FW_ATQT", client.tail)
        if QueueLength(client.read("PF_FW_ATQLEN")).ENABLE == 0:
            client.open()  # a reset of firmware was asked for
            continue
        done = AqFlags(int.from_bytes(client.memory.data[ATQ + 32 * index :][:2], "little"))
        assert done.DD
        assert done.CMP
    client.open()
    client.send(AqOpcode.GET_VER)
    assert vsi == 0
    client.firmware.inspect()


@settings(max_examples=300, deadline=None)
@given(
    opcode=st.sampled_from(sorted(TABLE)),
    data=st.binary(min_size=1, max_size=512),
    params=st.binary(min_size=8, max_size=8),
)
def test_every_command_takes_any_buffer(opcode, data, params):
    client = Client()
    add_vsi(client)
    for resource in (1, 3, 4):
        raw = resource.to_bytes(2, "little") + b"\2\0" + bytes(12)
        client.put(AqDesc.of(OPCODE=AqOpcode.REQ_RES).to_bytes()[:16] + raw)
        client.write("PF_FW_ATQT", client.tail)
    at = BUFFERS + 4096 * client.tail
    for flags in (AqFlags.of(BUF=1, RD=1), AqFlags.of(BUF=1), AqFlags()):
        body = params + bytes(4) + at.to_bytes(4, "little")
        raw = AqDesc.of(FLAGS=flags.raw, OPCODE=opcode, DATALEN=len(data)).to_bytes()[:16] + body
        index = client.put(raw, data)
        client.write("PF_FW_ATQT", client.tail)
        if QueueLength(client.read("PF_FW_ATQLEN")).ENABLE:
            assert client.take(index).flags.DD
        else:
            client.open()
