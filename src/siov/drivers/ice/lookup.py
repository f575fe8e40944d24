"""What switch rules look at, what they do, and where their frames may go (ice_fill_sw_info)."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL

from siov.host.linux import LinuxError
from siov.spec.e810 import RecipeId

VLANS = 4096
ETH_P_8021Q = 0x8100
BROADCAST = b"\xff" * 6

# Any address of its kind stands for all of them in a promiscuous rule.
UNICAST_CLASS, MULTICAST_CLASS = bytes([0, 0, 0, 0, 0, 0]), bytes([1, 0, 0, 0, 0, 0])
CLASSES = {"unicast": UNICAST_CLASS, "multicast": MULTICAST_CLASS, "broadcast": BROADCAST}

# Recipes whose rules send a VSI's frames out to the port in a VEB too, whatever the address.
LAN_IN_VEB = frozenset(
    {
        RecipeId.ETHERTYPE,
        RecipeId.ETHERTYPE_MAC,
        RecipeId.PROMISC,
        RecipeId.PROMISC_VLAN,
        RecipeId.DFLT,
        RecipeId.VLAN,
    }
)


@dataclass(slots=True, frozen=True)
class Lookup:
    """What makes a frame one of a rule's: a recipe and its values.

    `tx`: frames that VSIs send, else those that the port receives. Rules about addresses and VLANs are for
    both, and count as `tx`.
    """

    recipe: RecipeId
    mac: bytes = bytes(6)
    vlan: int = 0
    ethertype: int = 0
    tx: bool = True

    def header(self) -> bytes:
        """The 16 bytes of a frame that firmware takes the values from."""
        kind = self.ethertype or ETH_P_8021Q
        return self.mac + bytes(6) + kind.to_bytes(2, "big") + self.vlan.to_bytes(2, "big")

    @property
    def unicast(self) -> bool:
        """Whether it is about one station's address."""
        return self.recipe in (RecipeId.MAC, RecipeId.MAC_VLAN) and not self.mac[0] & 1

    def loopback(self) -> bool:
        """LB_EN: frames of VSIs reach VSIs. A VLAN's rule only prunes."""
        return self.tx and self.recipe is not RecipeId.VLAN

    def lan(self, veb: bool) -> bool:
        """LAN_EN: frames of VSIs go out to the port as well. In a VEB those for a known station do not."""
        if not self.tx:
            return False
        return not veb or self.recipe in LAN_IN_VEB or not self.unicast

    def __str__(self) -> str:
        about = []
        if self.recipe in (RecipeId.MAC, RecipeId.MAC_VLAN, RecipeId.ETHERTYPE_MAC):
            about.append(self.mac.hex(":"))
        if self.recipe in (RecipeId.PROMISC, RecipeId.PROMISC_VLAN):
            about.append(next((n for n, mac in CLASSES.items() if mac == self.mac), self.mac.hex(":")))
        if self.recipe in (RecipeId.VLAN, RecipeId.MAC_VLAN, RecipeId.PROMISC_VLAN):
            about.append(f"VLAN {self.vlan}")
        if self.recipe in (RecipeId.ETHERTYPE, RecipeId.ETHERTYPE_MAC):
            about.append(f"ethertype {self.ethertype:#06x}")
        return " ".join([self.recipe.name, *about])


@dataclass(slots=True, frozen=True)
class ToVsi:
    """The frame goes to the VSIs that have the rule."""


@dataclass(slots=True, frozen=True)
class ToQueue:
    """The frame goes to a receive queue of the device, or to 2^region of them."""

    queue: int
    region: int = 0


@dataclass(slots=True, frozen=True)
class Drop:
    """Nobody gets the frame."""


Action = ToVsi | ToQueue | Drop


def mac_lookup(mac: bytes, vlan: int | None = None) -> Lookup:
    """Frames to an address, on one VLAN when it is given. EINVAL for no address or no VLAN."""
    if len(mac) != 6 or not any(mac):
        raise LinuxError(EINVAL, f"{mac.hex(':') or 'nothing'} is no MAC address; give 6 bytes, not all zero")
    if vlan is None:
        return Lookup(RecipeId.MAC, mac)
    return Lookup(RecipeId.MAC_VLAN, mac, check_vlan(vlan))


def vlan_lookup(vlan: int) -> Lookup:
    """Frames of a VLAN; those without a tag are of VLAN 0."""
    return Lookup(RecipeId.VLAN, vlan=check_vlan(vlan))


def promisc_lookup(kind: str, *, tx: bool, vlan: int | None = None) -> Lookup:
    """Frames to any "unicast", "multicast" or "broadcast" address, on one VLAN when it is given."""
    if vlan is None:
        return Lookup(RecipeId.PROMISC, CLASSES[kind], tx=tx)
    return Lookup(RecipeId.PROMISC_VLAN, CLASSES[kind], check_vlan(vlan), tx=tx)


def check_vlan(vlan: int) -> int:
    """A VLAN id; EINVAL when it is none."""
    if not 0 <= vlan < VLANS:
        raise LinuxError(EINVAL, f"VLAN {vlan} does not exist; there are 0 to {VLANS - 1}")
    return vlan
