"""Tx queues, and the scheduler's nodes above them."""

import pytest

from siov.hw.e810.firmware.tree import LAYERS, SIBLINGS
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_queues import (
    AqDisableTxQueues,
    AqGetTopology,
    AqMoveTxQueue,
    AqMoveTxQueues,
    AqQueryPortEts,
    AqSchedElements,
    AqSchedGeneric,
    AqSchedGroup,
    AqSchedNode,
    AqSchedProperties,
    DisableCommand,
    SchedElementType,
)

from .client import (
    Client,
    add_node,
    add_queues,
    add_vsi,
    context,
    disable_queues,
    queue_group,
    tx_queue,
)


@pytest.fixture
def vsi(client: Client) -> int:
    return add_vsi(client)


def test_a_queue_is_enabled_with_its_context_and_gets_a_node(client: Client, vsi: int):
    given = context(vsi, QLEN=512)
    [teid] = add_queues(client, queue_group(client), tx_queue(5, given))
    assert client.engine.queues == {5: given}
    assert client.firmware.tree[teid].layer == LAYERS - 1


@pytest.mark.parametrize(
    "fields",
    [
        {"BASE": 0},
        {"QLEN": 0},
        {"QLEN": 32},
        {"QLEN": 100},
        {"QLEN": 8191},
        {"PORT_NUM": 1},
        {"PF_NUM": 1},
        {"VMVF_TYPE": 3},
        {"SRC_VSI": 9},
    ],
)
def test_a_context_that_can_not_be_is_invalid(client: Client, vsi: int, fields: dict[str, int]):
    add_queues(client, queue_group(client), tx_queue(0, context(vsi, **fields)), expect=AqRc.EINVAL)
    assert client.engine.queues == {}


def test_a_queue_is_enabled_once(client: Client, vsi: int):
    queue = tx_queue(0, context(vsi))
    add_queues(client, queue_group(client), queue)
    add_queues(client, queue_group(client), queue, expect=AqRc.EEXIST)


def test_of_a_command_all_queues_are_enabled_or_none(client: Client, vsi: int):
    good, bad = tx_queue(0, context(vsi)), tx_queue(1, context(99))
    add_queues(client, queue_group(client), good, bad, expect=AqRc.EINVAL)
    add_queues(client, queue_group(client), good, good, expect=AqRc.EINVAL)
    assert client.engine.queues == {}
    assert client.firmware.tree.count(LAYERS - 1) == 1


def test_there_are_2048_queues(client: Client, vsi: int):
    add_queues(client, queue_group(client), tx_queue(2048, context(vsi)), expect=AqRc.EINVAL)
    add_queues(client, queue_group(client), tx_queue(2047, context(vsi)))


def test_a_queue_hangs_below_a_queue_group(client: Client, vsi: int):
    queue = tx_queue(0, context(vsi))
    add_queues(client, client.firmware.tree.default[5], queue, expect=AqRc.EINVAL)
    add_queues(client, 0x9999, queue, expect=AqRc.ENOENT)


def test_a_queue_group_has_so_many_children_and_no_more(client: Client, vsi: int):
    queues = [tx_queue(n, context(vsi)) for n in range(SIBLINGS)]
    add_queues(client, queue_group(client), *queues, expect=AqRc.ENOSPC)
    add_queues(client, queue_group(client), *queues[1:])


def test_a_disabled_queue_is_off_and_its_node_gone(client: Client, vsi: int):
    [teid] = add_queues(client, queue_group(client), tx_queue(3, context(vsi)))
    disable_queues(client, queue_group(client), 3)
    assert client.engine.queues == {}
    assert teid not in client.firmware.tree.nodes
    disable_queues(client, queue_group(client), 3, expect=AqRc.ENOENT)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_lists_of_queues_are_padded_to_four_bytes(client: Client, vsi: int, count: int):
    parent = queue_group(client)
    add_queues(client, parent, *(tx_queue(n, context(vsi)) for n in range(count + 1)))
    lists = b""
    for numbers in (range(count), range(count, count + 1)):
        raw = parent.to_bytes(4, "little") + bytes([len(numbers), 0])
        raw += b"".join(n.to_bytes(2, "little") for n in numbers)
        lists += raw + bytes(-len(raw) % 4)
    client.send(AqOpcode.DIS_TXQS, AqDisableTxQueues.of(NUM_ENTRIES=2), lists)
    assert client.engine.queues == {}


def test_a_queue_is_disabled_by_its_parent_only(client: Client, vsi: int):
    add_queues(client, queue_group(client), tx_queue(0, context(vsi)))
    disable_queues(client, client.firmware.tree.default[6], 0, expect=AqRc.EINVAL)
    disable_queues(client, queue_group(client), 0, 0, expect=AqRc.EINVAL)
    assert list(client.engine.queues) == [0]


def test_with_a_vm_reset_all_queues_of_the_vsi_are_disabled(client: Client, vsi: int):
    other = add_vsi(client)
    add_queues(client, queue_group(client), tx_queue(0, context(vsi)), tx_queue(1, context(other)))
    params = AqDisableTxQueues.of(CMD=DisableCommand.VM_RESET, VMVF_NUM=vsi)
    client.send(AqOpcode.DIS_TXQS, params)
    assert list(client.engine.queues) == [1]
    client.send(AqOpcode.DIS_TXQS, expect=AqRc.EINVAL)


def test_a_queue_moves_to_another_group(client: Client, vsi: int):
    source = queue_group(client)
    [target] = add_node(client, client.firmware.tree.default[6])
    [teid] = add_queues(client, source, tx_queue(0, context(vsi)))
    data = source.to_bytes(4, "little") + target.to_bytes(4, "little")
    data += AqMoveTxQueue.of(TXQ_ID=0, Q_TEID=teid).to_bytes()
    params = AqMoveTxQueues.of(CMD_TYPE=1, NUM_QS=1)
    client.send(AqOpcode.MOVE_RECFG_TXQS, params, data)
    disable_queues(client, source, 0, expect=AqRc.EINVAL)
    disable_queues(client, target, 0)


def test_the_default_topology_is_one_branch_down_to_a_leaf(client: Client):
    answer = client.send(AqOpcode.GET_DFLT_TOPO, AqGetTopology.of(), room=4096)
    assert answer.params(AqGetTopology).NUM_BRANCHES == 1
    assert AqSchedGroup.from_bytes(answer.data[:8]).NUM_ELEMS == 9
    nodes = [answer.data[8 + 24 * n : 32 + 24 * n] for n in range(9)]
    kinds = [AqSchedProperties.from_bytes(node[8:]).ELEM_TYPE for node in nodes]
    assert kinds[:3] == [SchedElementType.ROOT_PORT, SchedElementType.TC, SchedElementType.ENTRY_POINT]
    assert kinds[-1] == SchedElementType.LEAF
    heads = [AqSchedNode.from_bytes(node[:8]) for node in nodes]
    assert [head.PARENT_TEID for head in heads[1:]] == [head.NODE_TEID for head in heads[:-1]]


def test_the_scheduler_has_nine_layers(client: Client):
    answer = client.send(AqOpcode.QUERY_SCHED_RES, room=512)
    assert AqSchedGeneric.from_bytes(answer.data[:32]).LOGICAL_LEVELS == 9
    assert len(answer.data) == 32 * 10


def test_nodes_are_added_below_the_entry_point_and_deleted_when_empty(client: Client):
    entry = client.firmware.tree.default[2]
    first, second = add_node(client, entry, 2)
    [below] = add_node(client, first)

    def delete(parent: int, *teids: int, expect: AqRc = AqRc.OK) -> None:
        group = AqSchedGroup.of(PARENT_TEID=parent, NUM_ELEMS=len(teids)).to_bytes()
        data = group + b"".join(teid.to_bytes(4, "little") for teid in teids)
        params = AqSchedElements.of(NUM_ELEM_REQ=1)
        client.send(AqOpcode.DELETE_SCHED_ELEMS, params, data, expect=expect)

    delete(entry, first, expect=AqRc.EBUSY)
    delete(first, second, expect=AqRc.EINVAL)
    delete(first, below)
    delete(entry, first, second)
    delete(client.firmware.tree.default[0], client.firmware.tree.default[1], expect=AqRc.EPERM)


def test_a_leaf_of_a_queue_that_is_on_is_not_deleted(client: Client, vsi: int):
    parent = queue_group(client)
    [teid] = add_queues(client, parent, tx_queue(0, context(vsi)))
    data = AqSchedGroup.of(PARENT_TEID=parent, NUM_ELEMS=1).to_bytes() + teid.to_bytes(4, "little")
    params = AqSchedElements.of(NUM_ELEM_REQ=1)
    client.send(AqOpcode.DELETE_SCHED_ELEMS, params, data, expect=AqRc.EBUSY)


def test_a_leaf_is_no_parent_and_the_port_is_none_for_software(client: Client):
    add_node(client, client.firmware.tree.default[8], expect=AqRc.EINVAL)
    add_node(client, client.firmware.tree.default[0], expect=AqRc.EINVAL)
    add_node(client, 0x7777, expect=AqRc.ENOENT)


def test_a_node_is_configured_and_read_back(client: Client):
    teid = client.firmware.tree.default[4]
    head = AqSchedNode.of(NODE_TEID=teid).to_bytes()
    new = AqSchedProperties.of(ELEM_TYPE=SchedElementType.SE_GENERIC, VALID_GENERIC=1, GENERIC_PRIO=5)
    params = AqSchedElements.of(NUM_ELEM_REQ=1)
    client.send(AqOpcode.CFG_SCHED_ELEMS, params, head + new.to_bytes())
    client.send(AqOpcode.SUSPEND_SCHED_ELEMS, params, teid.to_bytes(4, "little"))
    answer = client.send(AqOpcode.GET_SCHED_ELEMS, params, head + bytes(16))
    assert AqSchedProperties.from_bytes(answer.data[8:24]) == new.replace(FLAG_SUSPEND=1)


def test_the_ports_classes_are_found_below_its_root(client: Client):
    root, tc = client.firmware.tree.default[:2]
    answer = client.send(AqOpcode.QUERY_PORT_ETS, AqQueryPortEts.of(PORT_TEID=root), room=64)
    assert answer.data[0] == 1
    assert int.from_bytes(answer.data[32:36], "little") == tc
    client.send(AqOpcode.QUERY_PORT_ETS, AqQueryPortEts.of(PORT_TEID=tc), room=64, expect=AqRc.EINVAL)
