"""What the firmware needs of the LAN engine: `siov._core.Nic` has these methods, and so has a test's fake."""

from typing import Any, Protocol

# A kind and its values, as `Engine.take_events` gives them.
Event = tuple[Any, ...]

# Where a switch rule sends what it finds: ("vsi", number), ("list", number of a VSI list),
# ("queue", number, log2 of how many queues), ("drop",) or ("prune", number of a VSI list).
Forward = tuple[Any, ...]


class Engine(Protocol):
    """The mechanism behind BAR0 and BAR3: registers, queues, switch, interrupts."""

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes of BAR 0 or 3, as software reads them."""

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Software's write to BAR 0 or 3. What only firmware can do becomes an event."""

    def config_changed(self, rid: int) -> None:
        """The configuration space was written: requester id, BME, ATS, PASID, PRI, MSI-X control."""

    def get(self, name: str, index: int = 0) -> int:
        """A register of `siov.spec.e810`, as hardware sees it; `KeyError` if there is none of that name."""

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Set a register as hardware does: no mask holds it back, and no event comes of it."""

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order; equal events that follow each other come once.

        ("admin-queue",): PF_FW_ATQT, PF_FW_ARQT or one of the LEN registers was written;
        ("reset", kind) with "PFR", "CORER", "GLOBR" or "EMPR"; ("vsi-reset", vsi);
        ("malicious", vsi, queue, reason); ("link", port, up).
        """

    def wait_events(self, timeout: float) -> bool:
        """Wait up to so many seconds, with the interpreter let go; whether there is an event."""

    def raise_fw(self) -> None:
        """Interrupt for the admin queue: PFINT_FW_CTL says whether, which vector and ITR."""

    def raise_oicr(self, causes: int) -> None:
        """Set bits of PFINT_OICR; those enabled interrupt by PFINT_OICR_CTL."""

    def reset(self, kind: str) -> None:
        """Stop every queue, drop VSIs, rules, tables, filters; registers take the values of that reset.

        `kind` is an event's, or "FLR". No DMA by the old state is under way afterwards. Of the
        registers that report a reset (GLGEN_RSTAT, PFGEN_CTRL) firmware sets what is told.
        """

    def reset_vsi(self, vsi: int) -> None:
        """Stop a VSI's queues, mailbox and interrupts; its switch state stays. VSIGEN_RSTAT is firmware's."""

    def set_vsi(self, vsi: int, kind: int, properties: bytes) -> None:
        """Make a VSI (`kind` 0 VF, 1 VMDQ2, 2 PF) or change it: its 128 bytes of properties, whole."""

    def free_vsi(self, vsi: int) -> None:
        """A VSI is gone; firmware has disabled its queues and removed it from rules and lists."""

    def tx_enable(self, queue: int, context: bytes) -> None:
        """Enable a Tx queue with its context of 22 bytes, as the admin queue has it; it was off."""

    def tx_disable(self, queue: int) -> None:
        """Disable a Tx queue; none of its DMA is under way afterwards."""

    def add_rule(
        self,
        *,
        tx: bool,
        lookup: int,
        source: int,
        mac: bytes | None,
        vlan: int | None,
        ethertype: int | None,
        forward: Forward,
        lan: bool,
        loopback: bool,
    ) -> int:
        """Add a switch rule, gives its number from 0 on; `OverflowError` when there is no room.

        `ValueError` when it sends to a queue that no VSI has.

        `lookup` is a look-up type: ETHERTYPE 0, MAC 1, MAC_VLAN 2, PROMISC 3, VLAN 4, DFLT 5,
        ETHERTYPE_MAC 8, PROMISC_VLAN 9. `source` is the VSI of a Tx rule, the port of an Rx rule. What a
        type does not look at is None; PROMISC looks at what kind of address `mac` is (01:.. multicast,
        ff:.. broadcast, else unicast). `lan` and `loopback`: it goes out to the port, and to others inside.
        """

    def update_rule(self, rule: int, *, forward: Forward, lan: bool, loopback: bool) -> None:
        """Change where a rule sends; `ValueError` for a queue that no VSI has."""

    def remove_rule(self, rule: int) -> None:
        """Remove a switch rule."""

    def set_vsi_list(self, number: int, vsis: list[int]) -> None:
        """What VSIs a list holds (0 to 1,023 lists); an empty one is the same as none."""

    def set_rss_key(self, vsi: int, key: bytes) -> None:
        """A VSI's hash key of 52 bytes."""

    def set_rss_lut(self, vsi: int, table: bytes) -> None:
        """A VSI's look-up table of 64, 512 or 2,048 queues, whichever kind its properties choose."""

    def set_rss_fields(self, vsi: int, level: int, groups: list[int]) -> None:
        """What a VSI's frames are hashed by: a `HeaderLevel`, and a set of `HeaderField` for each group."""

    def set_flow_profile(self, profile: int, group: int, level: int, fields: int) -> None:
        """A flow-director profile: `PacketGroup`, `HeaderLevel`, set of `HeaderField`; an empty set: none.

        A new one is no VSI's; one that is changed stays with its VSIs.
        """

    def set_flow_profile_vsi(self, profile: int, vsi: int, on: bool) -> None:
        """Whether a VSI uses a profile; filters of one that it leaves go. `ValueError` without it."""

    def clear_filters(self, vsi: int | None) -> None:
        """All flow-director filters of a VSI, or of all, go."""

    def set_vlan_mode(self, double: bool) -> None:
        """Whether the outer of two tags counts (DVM) or there is one tag only (SVM)."""

    def set_link(self, port: int, up: bool, speed: int) -> None:
        """Whether a port carries frames, and its speed in Mb/s. Comes of firmware, makes no event."""

    def set_loopback(self, port: int, on: bool) -> None:
        """Whether what goes out of a port comes in again, instead of reaching its cable."""

    def link_present(self, port: int) -> bool:
        """Whether what the port is plugged into has a link."""

    def set_mac(self, port: int, mac: bytes) -> None:
        """The port's own address (pause frames, the port's registers)."""

    def set_max_frame(self, port: int, size: int) -> None:
        """The longest frame the port takes, in bytes without CRC: 64 to 9,728."""

    def inspect(self) -> dict[str, Any]:
        """Queues, VSIs, rules and counters."""
