"""The Tx scheduler's nodes (0x0400 to 0x0413)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.tree import LAYERS, NODES, QGROUP_LAYER, SIBLINGS, Node, Tree
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_queues import (
    AqGetTopology,
    AqQueryPortEts,
    AqSchedElements,
    AqSchedGeneric,
    AqSchedGroup,
    AqSchedLayer,
    AqSchedNode,
    AqSchedProperties,
    SchedElementType,
)
from siov.spec.word import Word, bits

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

NODE = AqSchedNode.width // 8
WHOLE = NODE + AqSchedProperties.width // 8
GROUP = AqSchedGroup.width // 8
TEID = 4
MOVE_HEAD = 12
ETS_BYTES = 64
RL_PROFILES = 256


class QueryNodeToRoot(Word, width=128, ref="E810 ice_adminq_cmd.h ice_aqc_query_node_to_root"):
    """QUERY_NODE_TO_ROOT."""

    TEID = bits(31, 0, "the node to begin with")
    NUM_NODES = bits(63, 32, "how many there are, up to the port")


def encode(node: Node) -> bytes:
    """A node as the buffers have it."""
    properties = node.properties.replace(FLAG_SUSPEND=node.suspended)
    head = AqSchedNode.of(PARENT_TEID=node.parent, NODE_TEID=node.teid)
    return head.to_bytes() + properties.to_bytes()


@command(AqOpcode.GET_DFLT_TOPO, Buffer.OUT)
def default_topology(firmware: Firmware, given: Command) -> Reply:
    """The one branch that there is after a reset."""
    asked = given.decode(AqGetTopology)
    nodes = [firmware.tree.nodes[t] for t in firmware.tree.default if t in firmware.tree.nodes]
    data = AqSchedGroup.of(NUM_ELEMS=len(nodes)).to_bytes() + b"".join(map(encode, nodes))
    if asked.PORT_NUM != 0 or given.room < len(data):
        raise AqError(AqRc.EINVAL)
    return Reply(asked.replace(NUM_BRANCHES=1), data)


@command(AqOpcode.QUERY_SCHED_RES, Buffer.OUT)
def resources(firmware: Firmware, given: Command) -> Reply:
    """The layers, and what each has room for."""
    data = AqSchedGeneric.of(
        PHYS_LEVELS=LAYERS, LOGICAL_LEVELS=LAYERS, MAX_DEVICE_CGDS=1, MAX_PF_CGDS=1
    ).to_bytes()
    for layer, count in enumerate(NODES):
        data += AqSchedLayer.of(
            LOGICAL_LAYER=layer,
            CHUNK_SIZE=1,
            MAX_DEVICE_NODES=count,
            MAX_PF_NODES=count,
            MAX_SIBL_GRP_SZ=min(SIBLINGS, count),
            MAX_CIR_RL_PROFILES=RL_PROFILES,
            MAX_EIR_RL_PROFILES=RL_PROFILES,
            MAX_SRL_PROFILES=RL_PROFILES,
        ).to_bytes()
    if given.room < len(data):
        raise AqError(AqRc.EINVAL)
    return Reply(data=data)


@command(AqOpcode.ADD_SCHED_ELEMS, Buffer.BOTH)
def add(firmware: Firmware, given: Command) -> Reply:
    """New nodes below parents: all of a group or none of it."""
    asked, tree = given.decode(AqSchedElements), firmware.tree
    buffer, at = bytearray(given.data), 0
    for done in range(asked.NUM_ELEM_REQ):
        try:
            at = _add_group(tree, given, buffer, at)
        except AqError as error:
            raise AqError(error.code, Reply(asked.replace(NUM_ELEM_RESP=done), bytes(buffer))) from None
    return Reply(asked.replace(NUM_ELEM_RESP=asked.NUM_ELEM_REQ), bytes(buffer))


def _add_group(tree: Tree, given: Command, buffer: bytearray, at: int) -> int:
    group = given.part(AqSchedGroup, at)
    start = at + GROUP
    given.take(start, WHOLE * group.NUM_ELEMS)
    wanted = [given.part(AqSchedProperties, start + WHOLE * n + NODE) for n in range(group.NUM_ELEMS)]
    generic = all(properties.ELEM_TYPE == SchedElementType.SE_GENERIC for properties in wanted)
    parent = tree[group.PARENT_TEID]
    if not wanted or not generic or not 1 <= parent.layer < QGROUP_LAYER:
        raise AqError(AqRc.EINVAL)
    if not tree.room(parent.teid, len(wanted)):
        raise AqError(AqRc.ENOSPC)
    for n, properties in enumerate(wanted):
        node = tree.add(parent.teid, SchedElementType.SE_GENERIC)
        node.properties = properties
        buffer[start + WHOLE * n : start + WHOLE * (n + 1)] = encode(node)
    return start + WHOLE * len(wanted)


@command(AqOpcode.DELETE_SCHED_ELEMS, Buffer.BOTH)
def delete(firmware: Firmware, given: Command) -> Reply:
    """Nodes go, if nothing is below them and no queue is on."""
    asked, at, done = given.decode(AqSchedElements), 0, 0
    for done in range(asked.NUM_ELEM_REQ):
        try:
            group = given.part(AqSchedGroup, at)
            raw = given.take(at + GROUP, TEID * group.NUM_ELEMS)
            for teid in _teids(raw):
                if firmware.tree[teid].parent != group.PARENT_TEID:
                    raise AqError(AqRc.EINVAL)
                if firmware.txqueues.has_leaf(teid):
                    raise AqError(AqRc.EBUSY)
                firmware.tree.delete(teid)
            at += GROUP + len(raw)
        except AqError as error:
            raise AqError(error.code, Reply(asked.replace(NUM_ELEM_RESP=done))) from None
    return Reply(asked.replace(NUM_ELEM_RESP=asked.NUM_ELEM_REQ))


@command(AqOpcode.GET_SCHED_ELEMS, Buffer.BOTH)
def get(firmware: Firmware, given: Command) -> Reply:
    """Nodes as they are; the buffer names each."""
    asked, data = given.decode(AqSchedElements), b""
    for n in range(asked.NUM_ELEM_REQ):
        teid = given.part(AqSchedNode, WHOLE * n).NODE_TEID
        given.take(WHOLE * n, WHOLE)
        data += encode(firmware.tree[teid])
    return Reply(asked.replace(NUM_ELEM_RESP=asked.NUM_ELEM_REQ), data + given.data[len(data) :])


@command(AqOpcode.CFG_SCHED_ELEMS, Buffer.BOTH)
def configure(firmware: Firmware, given: Command) -> Reply:
    """Other properties for nodes. They are kept and shown; sending does not go by them."""
    asked, data = given.decode(AqSchedElements), b""
    for n in range(asked.NUM_ELEM_REQ):
        node = firmware.tree[given.part(AqSchedNode, WHOLE * n).NODE_TEID]
        new = given.part(AqSchedProperties, WHOLE * n + NODE)
        if not new.ELEM_TYPE == node.properties.ELEM_TYPE:
            raise AqError(AqRc.EINVAL)
        node.properties = new
        data += encode(node)
    return Reply(asked.replace(NUM_ELEM_RESP=asked.NUM_ELEM_REQ), data + given.data[len(data) :])


@command(AqOpcode.MOVE_SCHED_ELEMS, Buffer.BOTH)
def move(firmware: Firmware, given: Command) -> Reply:
    """Nodes with what is below them get another parent; one group in a command."""
    asked = given.decode(AqSchedElements)
    head = given.take(0, MOVE_HEAD)
    source, target = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:8], "little")
    count = int.from_bytes(head[8:10], "little")
    if asked.NUM_ELEM_REQ != 1:
        raise AqError(AqRc.EINVAL)
    for teid in _teids(given.take(MOVE_HEAD, TEID * count)):
        if firmware.tree[teid].parent != source:
            raise AqError(AqRc.EINVAL)
        firmware.tree.move(teid, target)
    return Reply(asked.replace(NUM_ELEM_RESP=1))


@command(AqOpcode.SUSPEND_SCHED_ELEMS, Buffer.BOTH)
def suspend(firmware: Firmware, given: Command) -> Reply:
    """Nodes are told not to send: noted and shown."""
    return _suspend(firmware, given, suspended=True)


@command(AqOpcode.RESUME_SCHED_ELEMS, Buffer.BOTH)
def resume(firmware: Firmware, given: Command) -> Reply:
    """Nodes may send again."""
    return _suspend(firmware, given, suspended=False)


@command(AqOpcode.QUERY_NODE_TO_ROOT, Buffer.OUT)
def to_root(firmware: Firmware, given: Command) -> Reply:
    """A node and those above it."""
    asked = given.decode(QueryNodeToRoot)
    nodes = list(firmware.tree.to_root(asked.TEID))
    data = b"".join(map(encode, nodes))
    if given.room < len(data):
        raise AqError(AqRc.ENOMEM)
    return Reply(asked.replace(NUM_NODES=len(nodes)), data)


@command(AqOpcode.QUERY_PORT_ETS, Buffer.OUT)
def port_ets(firmware: Firmware, given: Command) -> Reply:
    """The port's traffic classes: one, with all of the bandwidth."""
    root = firmware.tree[given.decode(AqQueryPortEts).PORT_TEID]
    if root.layer != 0 or given.room < ETS_BYTES:
        raise AqError(AqRc.EINVAL)
    # Valid classes, user priorities, shares, three profiles and priorities, then the classes' nodes.
    data = bytearray(ETS_BYTES)
    data[0], data[8] = 1, 100
    for n, teid in enumerate(root.children[:8]):
        data[32 + TEID * n : 36 + TEID * n] = teid.to_bytes(TEID, "little")
    return Reply(data=bytes(data))


def _suspend(firmware: Firmware, given: Command, *, suspended: bool) -> Reply:
    asked = given.decode(AqSchedElements)
    nodes = [firmware.tree[t] for t in _teids(given.take(0, TEID * asked.NUM_ELEM_REQ))]
    for node in nodes:
        node.suspended = suspended
    return Reply(asked.replace(NUM_ELEM_RESP=len(nodes)))


def _teids(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[n : n + TEID], "little") for n in range(0, len(raw), TEID)]
