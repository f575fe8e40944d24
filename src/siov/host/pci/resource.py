"""What a function needs of the bus's address space: BARs, expansion ROM, the VFs' BARs, bridge windows."""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Resource:
    """Addresses that a register holds: `size` bytes at a multiple of `align`; unassigned, `start` is None.

    `wide` registers hold 64-bit addresses. Behind a bridge only prefetchable ones can lie above 4 GiB,
    because a bridge's other window is 32 bits wide (PCIe 7.5.1.3.8). `optional` ones give way first.
    """

    name: str
    register: int  # offset in the configuration space
    size: int
    align: int
    wide: bool = False
    prefetchable: bool = False
    optional: bool = False
    start: int | None = None

    @property
    def end(self) -> int | None:
        """The last address, or None while unassigned."""
        return None if self.start is None else self.start + self.size - 1


@dataclass(slots=True, eq=False)
class Window(Resource):
    """A bridge's window: it is as large as what lies in it needs."""

    inside: list[Resource] = field(default_factory=list)

    def leaves(self) -> list[Resource]:
        """The resources of functions in the window, however deep."""
        found: list[Resource] = []
        for resource in self.inside:
            found += resource.leaves() if isinstance(resource, Window) else [resource]
        return found


def pack(resources: list[Resource]) -> tuple[list[tuple[Resource, int]], int]:
    """Lay resources side by side, the strictest alignment first: their offsets, and the room they take."""
    placed, free = [], 0
    for resource in sorted(resources, key=lambda r: -r.align):
        free = align_up(free, resource.align)
        placed.append((resource, free))
        free += resource.size
    return placed, free


def align_up(value: int, align: int) -> int:
    """The first multiple of `align` (a power of two) that is not below `value`."""
    return value + align - 1 & ~(align - 1)
