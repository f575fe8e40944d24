"""What a driver tells the mdev core: its types, and what it does for an instance (struct mdev_parent_ops)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from siov.host.sysfs import AttributeGroup

if TYPE_CHECKING:
    from siov.host.mdev.device import MdevDevice
    from siov.host.vfio import VfioDeviceOps


@dataclass(slots=True, frozen=True)
class Available:
    """How many more instances can be made, and what limits them, such as "3 queue pairs are free"."""

    count: int
    reason: str


@dataclass(slots=True, frozen=True)
class MdevType:
    """One kind of instance that a parent offers; its directory is named `DRIVER-group`.

    `groups` are attributes of the type's directory. Their callbacks get the parent device, not the type.
    Without a `description` there is no such file.
    """

    group: str
    name: str
    description: str | None = None
    device_api: str = "vfio-pci"
    groups: tuple[AttributeGroup, ...] = ()


class MdevParentOps(Protocol):
    """What a driver does for its instances; errors are LinuxErrors."""

    @property
    def types(self) -> Sequence[MdevType]:
        """The types, constant while registered."""

    @property
    def mdev_attr_groups(self) -> Sequence[AttributeGroup]:
        """Attributes of each instance's own directory; their callbacks get the MdevDevice."""

    def available(self, mtype: MdevType) -> Available:
        """How many more of a type there can be now."""

    def create(self, mdev: MdevDevice) -> VfioDeviceOps:
        """Make what is behind a new instance, before user space sees it; ENOSPC when something ran out."""

    def remove(self, mdev: MdevDevice) -> None:
        """Give back what `create` took; the instance is closed and gone from sysfs."""
