"""The Tx scheduler's tree: nodes in nine layers, from the port down to a leaf for each queue."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from siov.hw.e810.firmware.command import AqError
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.aq_queues import SCHED_LEVELS, AqSchedProperties, SchedElementType

LAYERS = SCHED_LEVELS
ENTRY_LAYER = 2  # where software may add nodes below
QGROUP_LAYER = LAYERS - 2
LEAF_LAYER = LAYERS - 1
SIBLINGS = 64  # children of a node at most
TRAFFIC_CLASSES = 8

# Nodes of each layer at most: the port, its traffic classes, the generic layers, VSIs, queue groups, queues.
NODES = (1, 8, 64, 256, 512, 1536, 2048, 4096, 2048)
FIRST_TEID = 0x100


@dataclass(slots=True)
class Node:
    """A node: its number (TEID), its parent's, and its properties as the driver set them."""

    teid: int
    parent: int
    layer: int
    properties: AqSchedProperties
    suspended: bool = False
    children: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """All nodes by TEID; every refusal is an `AqError`."""

    nodes: dict[int, Node] = field(default_factory=dict)
    default: list[int] = field(default_factory=list)  # the branch there is after a reset
    next_teid: int = FIRST_TEID
    _counts: list[int] = field(default_factory=list)  # nodes of each layer

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """One branch, as after a reset: a node in each layer down to a queue group and a leaf."""
        self.nodes.clear()
        self._counts = [0] * LAYERS
        self.next_teid = FIRST_TEID
        self.default = []
        for layer in range(LAYERS):
            parent = self.default[-1] if self.default else 0
            self.default.append(self._new(parent, layer, _kind(layer)).teid)

    def __getitem__(self, teid: int) -> Node:
        node = self.nodes.get(teid)
        if node is None:
            raise AqError(AqRc.ENOENT)
        return node

    def add(self, parent: int, kind: SchedElementType) -> Node:
        """A new generic node below another: EINVAL where software may not, ENOSPC without room."""
        above = self[parent]
        if not ENTRY_LAYER - 1 < above.layer + 1 <= QGROUP_LAYER:
            raise AqError(AqRc.EINVAL)
        if kind not in (SchedElementType.SE_GENERIC, SchedElementType.ENTRY_POINT):
            raise AqError(AqRc.EINVAL)
        return self._put(above, kind)

    def add_leaf(self, parent: int) -> Node:
        """A new queue below a queue group."""
        above = self[parent]
        if above.layer != QGROUP_LAYER:
            raise AqError(AqRc.EINVAL)
        return self._put(above, SchedElementType.LEAF)

    def room(self, parent: int, count: int) -> bool:
        """Whether so many children more fit below a node."""
        above = self[parent]
        free = NODES[above.layer + 1] - self.count(above.layer + 1)
        return len(above.children) + count <= SIBLINGS and count <= free

    def delete(self, teid: int) -> None:
        """Take out a node without children (EBUSY with some); EPERM for the port and its classes."""
        node = self[teid]
        if node.layer < ENTRY_LAYER:
            raise AqError(AqRc.EPERM)
        if node.children:
            raise AqError(AqRc.EBUSY)
        del self.nodes[teid]
        self._counts[node.layer] -= 1
        if node.parent in self.nodes:
            self.nodes[node.parent].children.remove(teid)

    def move(self, teid: int, parent: int) -> None:
        """Put a node, with what is below it, under another parent of the same layer as its own."""
        node, above = self[teid], self[parent]
        if node.layer < ENTRY_LAYER or above.layer != node.layer - 1:
            raise AqError(AqRc.EINVAL)
        if parent == node.parent:
            return
        if len(above.children) >= SIBLINGS:
            raise AqError(AqRc.ENOSPC)
        self.nodes[node.parent].children.remove(teid)
        above.children.append(teid)
        node.parent = parent

    def to_root(self, teid: int) -> Iterator[Node]:
        """A node and those above it, up to the port."""
        node: Node | None = self[teid]
        while node is not None:
            yield node
            node = self.nodes.get(node.parent)

    def count(self, layer: int) -> int:
        """How many nodes a layer has."""
        return self._counts[layer]

    def _put(self, above: Node, kind: SchedElementType) -> Node:
        if len(above.children) >= SIBLINGS or self.count(above.layer + 1) >= NODES[above.layer + 1]:
            raise AqError(AqRc.ENOSPC)
        return self._new(above.teid, above.layer + 1, kind)

    def _new(self, parent: int, layer: int, kind: SchedElementType) -> Node:
        while self.next_teid in self.nodes:
            self.next_teid = self.next_teid + 1 & 0xFFFF_FFFF or FIRST_TEID
        node = Node(self.next_teid, parent, layer, AqSchedProperties.of(ELEM_TYPE=kind))
        self.next_teid = self.next_teid + 1 & 0xFFFF_FFFF or FIRST_TEID
        self.nodes[node.teid] = node
        self._counts[layer] += 1
        if parent in self.nodes:
            self.nodes[parent].children.append(node.teid)
        return node


def _kind(layer: int) -> SchedElementType:
    fixed = {
        0: SchedElementType.ROOT_PORT,
        1: SchedElementType.TC,
        ENTRY_LAYER: SchedElementType.ENTRY_POINT,
        LEAF_LAYER: SchedElementType.LEAF,
    }
    return fixed.get(layer, SchedElementType.SE_GENERIC)
