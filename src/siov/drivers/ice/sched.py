"""The transmit scheduler's tree, as far as the driver keeps it: a branch for each VSI (ice_sched.c)."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EIO, ENOSPC

from siov.drivers.ice.adminq import AdminQueue
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AQ_MAX_BUF,
    AqGetTopology,
    AqOpcode,
    AqSchedElements,
    AqSchedGeneric,
    AqSchedGroup,
    AqSchedLayer,
    AqSchedNode,
    AqSchedProperties,
    SchedElementType,
)

NODE = AqSchedNode.width // 8
WHOLE = NODE + AqSchedProperties.width // 8
GROUP = AqSchedGroup.width // 8
TEID = 4
ENTRY_LAYER = 2  # software adds nodes below this one
VSI_LAYER_OFFSET = 4  # the layer of VSIs, from the last one (ICE_VSI_LAYER_OFFSET)
QGROUP_LAYER_OFFSET = 2  # that of queue groups (ICE_QGRP_LAYER_OFFSET)


@dataclass(slots=True, eq=False)
class Node:
    """A node of the scheduler: its number and what is below it."""

    teid: int
    layer: int
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class VsiBranch:
    """A VSI's part of the tree: its nodes from the top down, and its queue groups with their leaves."""

    nodes: list[Node]
    groups: list[Node]
    queues: dict[int, int] = field(default_factory=dict)  # Tx queue of the device: TEID of its group

    def group(self, siblings: int) -> int:
        """The queue group that the next queue goes below; ENOSPC when all are full."""
        for node in self.groups:
            if sum(teid == node.teid for teid in self.queues.values()) < siblings:
                return node.teid
        raise LinuxError(ENOSPC, f"the VSI's {len(self.groups)} queue groups hold {siblings} queues each")


@dataclass(slots=True)
class Scheduler:
    """The whole tree. After a reset `start` reads it anew, and each VSI needs a new branch."""

    aq: AdminQueue
    siblings: int = 1
    layers: int = 0
    entry: Node | None = None
    shared: list[Node] = field(default_factory=list)  # nodes between the entry point and the VSIs
    kept: int = 0  # the first of them are there from the start, and stay

    def start(self) -> None:
        """Read the default branch, and take it out below its VSI layer (ice_sched_init_port)."""
        limits = self.aq.send(AqOpcode.QUERY_SCHED_RES, room=AQ_MAX_BUF).data
        head, size = AqSchedGeneric.width // 8, AqSchedLayer.width // 8
        self.layers = AqSchedGeneric.from_bytes(limits[:head]).LOGICAL_LEVELS
        group = head + size * (self.layers - QGROUP_LAYER_OFFSET + 1)
        self.siblings = AqSchedLayer.from_bytes(limits[group : group + size]).MAX_SIBL_GRP_SZ
        answer = self.aq.send(AqOpcode.GET_DFLT_TOPO, AqGetTopology.of(PORT_NUM=0), room=AQ_MAX_BUF)
        count = AqSchedGroup.from_bytes(answer.data[:GROUP]).NUM_ELEMS
        node: Node | None = None
        branch: list[Node] = []
        for n in range(count):
            raw = answer.data[GROUP + n * WHOLE : GROUP + (n + 1) * WHOLE]
            node = Node(AqSchedNode.from_bytes(raw[:NODE]).NODE_TEID, n, node)
            branch.append(node)
        if len(branch) <= ENTRY_LAYER:
            raise LinuxError(EIO, f"the scheduler's default branch has {len(branch)} nodes only")
        self.entry = branch[ENTRY_LAYER]
        # The default leaf, queue group and VSI go; the layers between are shared (ice_rm_dflt_leaf_node).
        for old in reversed(branch[self.vsi_layer :]):
            assert old.parent is not None, "the VSI layer is below the entry point"
            self._delete(old)
        self.shared = branch[ENTRY_LAYER + 1 : self.vsi_layer]
        self.kept = len(self.shared)
        for above, below in zip(branch[ENTRY_LAYER:], branch[ENTRY_LAYER + 1 : self.vsi_layer], strict=False):
            above.children = [below]

    @property
    def vsi_layer(self) -> int:
        """The layer with a node for each VSI."""
        return self.layers - VSI_LAYER_OFFSET

    @property
    def group_layer(self) -> int:
        """The layer whose nodes queues are below."""
        return self.layers - QGROUP_LAYER_OFFSET

    def add_vsi(self, queues: int) -> VsiBranch:
        """A node for a VSI and queue groups for so many queues (ice_sched_cfg_vsi); all or nothing."""
        added: list[Node] = []
        try:
            node = self._child(self._parent(), added)
            while node.layer < self.group_layer - 1:
                node = self._child(node, added)
            needed = max(1, -(-queues // self.siblings))
            groups = [self._child(node, added) for _ in range(needed)]
        except LinuxError:
            for new in reversed(added):
                self._delete(new)
            raise
        return VsiBranch([new for new in added if new not in groups], groups)

    def remove_vsi(self, branch: VsiBranch) -> None:
        """Take a VSI's nodes out, and what is above them for no other; its queues are off."""
        above = branch.nodes[0].parent if branch.nodes else None
        for node in (*branch.groups, *reversed(branch.nodes)):
            self._delete(node)
        branch.groups, branch.nodes = [], []
        while above is not None and above in self.shared[self.kept :] and not above.children:
            self._delete(above)
            self.shared.remove(above)
            above = above.parent

    def inspect(self) -> dict[str, object]:
        """Layers, and how many nodes there are between the entry point and the VSIs."""
        return {"layers": self.layers, "shared": len(self.shared)}

    def _parent(self) -> Node:
        """A node above the VSI layer with room for another child; made when all are full."""
        assert self.entry is not None, "start() comes first"
        last = [n for n in (self.entry, *self.shared) if n.layer == self.vsi_layer - 1]
        free = next((n for n in last if len(n.children) < self.siblings), None)
        if free is not None:
            return free
        layer = self.vsi_layer - 2
        while layer >= ENTRY_LAYER:
            above = [n for n in (self.entry, *self.shared) if n.layer == layer]
            node = next((n for n in above if len(n.children) < self.siblings), None)
            if node is not None:
                while node.layer < self.vsi_layer - 1:
                    node = self._child(node, self.shared)
                return node
            layer -= 1
        raise LinuxError(ENOSPC, f"the transmit scheduler is full above its VSI layer ({len(last)} nodes)")

    def _child(self, parent: Node, added: list[Node]) -> Node:
        head = AqSchedGroup.of(PARENT_TEID=parent.teid, NUM_ELEMS=1).to_bytes()
        wanted = AqSchedProperties.of(ELEM_TYPE=SchedElementType.SE_GENERIC, VALID_GENERIC=1)
        data = head + AqSchedNode.of(PARENT_TEID=parent.teid).to_bytes() + wanted.to_bytes()
        answer = self.aq.send(AqOpcode.ADD_SCHED_ELEMS, AqSchedElements.of(NUM_ELEM_REQ=1), data)
        teid = AqSchedNode.from_bytes(answer.data[GROUP : GROUP + NODE]).NODE_TEID
        node = Node(teid, parent.layer + 1, parent)
        parent.children.append(node)
        added.append(node)
        return node

    def _delete(self, node: Node) -> None:
        assert node.parent is not None, "the root stays"
        data = AqSchedGroup.of(PARENT_TEID=node.parent.teid, NUM_ELEMS=1).to_bytes()
        data += node.teid.to_bytes(TEID, "little")
        self.aq.send(AqOpcode.DELETE_SCHED_ELEMS, AqSchedElements.of(NUM_ELEM_REQ=1), data)
        if node in node.parent.children:
            node.parent.children.remove(node)
