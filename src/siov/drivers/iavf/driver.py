"""The driver's states, from probe to remove, and what it asks of the PF in each (iavf_main.c)."""

from __future__ import annotations

from collections import Counter, deque

from siov.drivers.iavf import features, messages
from siov.drivers.iavf.access import (
    IavfError,
    IavfTimeoutError,
    QueuePair,
    RingSide,
    VdevAccess,
    VirtchnlError,
)
from siov.drivers.iavf.config import IavfConfig, State
from siov.drivers.iavf.mailbox import Mailbox, Received
from siov.drivers.iavf.queues import QueueMemory
from siov.drivers.iavf.registers import PERSONALITIES, Personality
from siov.spec.e810.interrupts import DynamicControl
from siov.spec.pcie import CommonHeader
from siov.spec.vdev import AvfBar0, ResetState
from siov.spec.virtchnl import (
    QUEUES_IN_BITMAP,
    VERSION_MAJOR,
    VERSION_MINOR,
    EtherAddrType,
    EthStats,
    EventCode,
    LegacyLinkSpeed,
    Op,
    PfEvent,
    PromiscFlags,
    PromiscInfo,
    VersionInfo,
    VfCaps,
    VfResource,
    VlanCaps,
    VsiResource,
)

MISC_ENABLE = DynamicControl.of(INTENA=1, ITR_INDX=3)
_ADMINQ_CAUSE = AvfBar0.VFINT_ICR0_ENA1.of(ADMINQ=1)
_RESET_POLLS, _RESET_DELAY = 2000, 10e-3  # IAVF_RESET_WAIT_COMPLETE_COUNT, in iavf_reset_task
_DETECT_POLLS, _DETECT_DELAY = 500, 5e-3
_REPLY_POLLS, _REPLY_DELAY = 5000, 1e-3
_REMOVE_DELAY = 50e-3
_RECOVERIES = 8  # times that a recovery is begun, each because another reset has come
_QUEUES_A_MESSAGE = 62  # QueuePairInfo in a message of 4,096 bytes, with the spare one
_MAX_FRAME = 9728
_SPEEDS = {
    LegacyLinkSpeed.S100MB: 100,
    LegacyLinkSpeed.S1GB: 1000,
    LegacyLinkSpeed.S2_5GB: 2500,
    LegacyLinkSpeed.S5GB: 5000,
    LegacyLinkSpeed.S10GB: 10_000,
    LegacyLinkSpeed.S20GB: 20_000,
    LegacyLinkSpeed.S25GB: 25_000,
    LegacyLinkSpeed.S40GB: 40_000,
}


class Iavf:
    """One virtual device's driver. `rings` moves the frames; `events` keeps the last of the PF's."""

    def __init__(self, access: VdevAccess, rings: RingSide, config: IavfConfig | None = None) -> None:
        self.access, self.rings, self.config = access, rings, config or IavfConfig()
        device = int.from_bytes(access.config_read(CommonHeader.DEVICE_ID.at, 2), "little")
        if device not in PERSONALITIES:
            known = ", ".join(f"{one:#06x}" for one in PERSONALITIES)
            raise IavfError(f"iavf does not drive device {device:#06x}; it drives {known}")
        self.registers: Personality = PERSONALITIES[device]
        self.mailbox = Mailbox(access, self.registers)
        self.state = State.STARTUP
        self.resources = VfResource()
        self.vsi = VsiResource()
        self.caps = VfCaps()
        self.vlan_caps: VlanCaps | None = None
        self.mac = bytes(6)
        self.link_up, self.link_speed = False, 0  # Mbit/s
        self.vlans: set[int] = set()
        self.events: deque[PfEvent] = deque(maxlen=64)
        self.counts: Counter[str] = Counter()
        self.queues = QueueMemory(access, self.registers)
        self._enabled = False  # queues, so that a link event counts
        self._vectors = 0
        self._reset_due = False

    @property
    def queue_pairs(self) -> int:
        """Pairs in use: those granted, or as many as the configuration says."""
        granted = self.vsi.num_queue_pairs
        return min(self.config.queue_pairs or granted, granted)

    @property
    def max_frame(self) -> int:
        """Bytes of the longest frame that the PF allows."""
        return self.resources.max_mtu or _MAX_FRAME

    def probe(self) -> None:
        """Bring the device from nothing to DOWN (iavf_probe and the init states).

        `IavfError` when the device does not get ready, does not answer, or the PF gives too little.
        """
        command = CommonHeader.COMMAND.of(MSE=1, BME=1)
        self.access.config_write(CommonHeader.COMMAND.at, command.to_bytes())
        try:
            self._startup()
            self._initialize()
        except IavfError:
            self.state = State.INIT_FAILED
            raise

    def up(self) -> None:
        """Set up queues and enable them (iavf_open): DOWN to RUNNING."""
        self._expect(State.DOWN)
        self._configure(self.queues.alloc(self.queue_pairs, self._vectors - 1, self.config))
        self.state = State.RUNNING

    def down(self) -> None:
        """Stop the queues and give their memory back (iavf_down, iavf_close): RUNNING to DOWN."""
        self._expect(State.RUNNING)
        self.rings.clear_pairs()
        self._mask_queues()
        self._enabled = self.link_up = False
        self._queues_on(False)
        kind = EtherAddrType.PRIMARY
        payload = messages.ether_addresses(Op.DEL_ETH_ADDR, self.vsi.vsi_id, [(self.mac, kind)])
        self.request(Op.DEL_ETH_ADDR, payload)
        self.queues.free()
        self.state = State.DOWN

    def reset(self) -> None:
        """Reset the device by the PF and set everything up again as it was (iavf_reset_task)."""
        if self.state not in (State.DOWN, State.RUNNING):
            raise IavfError(f"iavf is {self.state.value}; a reset needs it down or running")
        self.mailbox.send(Op.RESET_VF, b"")
        self._recover()

    def service(self) -> bool:
        """What the watchdog and the mailbox task do: take the PF's messages, and recover from a reset.

        Whether there was anything.
        """
        if self.state not in (State.DOWN, State.RUNNING):
            return False
        busy = False
        if self.mailbox.was_reset:
            self._reset_due = True
        while not self._reset_due and (got := self.mailbox.receive()) is not None:
            busy = True
            self._take(got)
        if self._reset_due:
            self._recover()
            return True
        # Also when there was nothing: the interrupt may have been for a message that `request` has taken.
        self._enable_misc()
        return busy

    def wait_link(self, polls: int = _REPLY_POLLS) -> bool:
        """Wait for the link to be up; whether it is."""
        for _ in range(polls):
            self.service()
            if self.link_up:
                return True
            self._pause()
        return False

    def stats(self) -> EthStats:
        """GET_STATS: the VSI's counters."""
        payload = messages.queue_select(self.vsi.vsi_id, 0)
        return EthStats.from_bytes(self.request(Op.GET_STATS, payload))

    def set_promiscuous(self, *, unicast: bool, multicast: bool) -> None:
        """CONFIG_PROMISCUOUS_MODE."""
        flags = PromiscFlags.of(UNICAST=int(unicast), MULTICAST=int(multicast))
        info = PromiscInfo.of(vsi_id=self.vsi.vsi_id, flags=flags.raw)
        self.request(Op.CONFIG_PROMISCUOUS_MODE, info.to_bytes())

    def add_mac(self, mac: bytes) -> None:
        """ADD_ETH_ADDR of one more address, such as a multicast group; it is not kept through a reset."""
        rows = [(mac, EtherAddrType.EXTRA)]
        self.request(Op.ADD_ETH_ADDR, messages.ether_addresses(Op.ADD_ETH_ADDR, self.vsi.vsi_id, rows))

    def add_vlan(self, vid: int) -> None:
        """Receive the frames of a VLAN, also after a reset; `VirtchnlError` when the PF has no more."""
        if self.state is State.RUNNING:
            features.add_vlans(self, [vid])
        self.vlans.add(vid)

    def remove(self) -> None:
        """Let the device go (iavf_remove); it is never an error."""
        self.rings.clear_pairs()
        self.queues.free()
        self._enabled = self.link_up = False
        if self.mailbox.is_up:
            try:
                self.mailbox.send(Op.RESET_VF, b"")
            except IavfError:
                self.counts["remove-without-reset"] += 1
            self.access.sleep(_REMOVE_DELAY)
            self.mailbox.shutdown(unloading=True)
        self.access.disable_vectors()
        self.state = State.REMOVE

    def request(self, op: Op, payload: bytes = b"") -> bytes:
        """Ask the PF and wait for its reply, by the mailbox's interrupt once that is enabled.

        `VirtchnlError` for a refusal, `IavfError` when no reply comes or the device is reset meanwhile.
        """
        self.mailbox.send(op, payload)
        self.counts[op.name] += 1
        for _ in range(_REPLY_POLLS):
            while (got := self.mailbox.receive()) is not None:
                if got.op != op:
                    self._take(got)
                elif got.status:
                    raise VirtchnlError(op, got.status)
                else:
                    return got.data
            if self._reset_due or self.mailbox.was_reset:
                self._reset_due = True
                raise IavfError(f"the device was reset before the PF answered {op.name}")
            self._pause()
        raise IavfTimeoutError(f"the PF did not answer {op.name} in {_REPLY_POLLS * _REPLY_DELAY:g} s")

    # The states.

    def _startup(self) -> None:
        self.state = State.STARTUP
        self._await_reset((ResetState.COMPLETED, ResetState.VFACTIVE))
        self.mailbox.init()
        self.state = State.INIT_VERSION_CHECK
        mine = VersionInfo.of(major=VERSION_MAJOR, minor=VERSION_MINOR)
        version = VersionInfo.from_bytes(self.request(Op.VERSION, mine.to_bytes()))
        if (version.major, version.minor) > (VERSION_MAJOR, VERSION_MINOR):
            raise IavfError(
                f"the PF speaks virtchnl {version.major}.{version.minor}; "
                f"iavf speaks {VERSION_MAJOR}.{VERSION_MINOR}"
            )

    def _initialize(self) -> None:
        self._get_resources()
        self.state = State.INIT_EXTENDED_CAPS
        self.vlan_caps = None
        if self.caps.VLAN_V2:
            self.vlan_caps = VlanCaps.from_bytes(self.request(Op.GET_OFFLOAD_VLAN_V2_CAPS))
        if self.caps.RX_FLEX_DESC:
            formats = int.from_bytes(self.request(Op.GET_SUPPORTED_RXDIDS), "little")
            if not formats >> self.config.rxdid & 1:
                raise IavfError(f"the PF offers RXDIDs {formats:#x}, without {self.config.rxdid}")
        elif self.config.rxdid > 1:
            raise IavfError(f"RXDID {self.config.rxdid} needs the capability RX_FLEX_DESC")
        self.state = State.INIT_CONFIG_ADAPTER
        self._vectors = min(self.queue_pairs + 1, self.resources.max_vectors)
        self.access.enable_vectors(self._vectors)
        self._enable_misc()
        features.map_vectors(self, self._vectors - 1)
        features.configure_rss(self)
        features.configure_vlan(self)
        self.state = State.DOWN

    def _get_resources(self) -> None:
        self.state = State.INIT_GET_RESOURCES
        reply = self.request(Op.GET_VF_RESOURCES, self.config.wanted.to_bytes())
        self.resources = VfResource.read(reply)
        if self.resources.num_vsis < 1 or self.resources.max_vectors < 2:
            raise IavfError(f"the PF gives too little: {self.resources}")
        self.vsi = VsiResource.read(reply, VfResource.size)
        self.caps = VfCaps(self.resources.vf_cap_flags)
        if self.queue_pairs < 1:
            raise IavfError(f"the PF gives no queues: {self.vsi}")
        given = self.vsi.default_mac_addr
        # A device without an address of its own gets a local one, the same every time.
        made = bytes((2, 0, 0, 0, *self.vsi.vsi_id.to_bytes(2, "big")))
        self.mac = self.config.mac or (given if any(given) and not given[0] & 1 else made)

    def _configure(self, pairs: list[QueuePair]) -> None:
        """What ifup asks for: addresses, queues, and the queues' start."""
        vsi = self.vsi.vsi_id
        rows = [(self.mac, EtherAddrType.PRIMARY)]
        self.request(Op.ADD_ETH_ADDR, messages.ether_addresses(Op.ADD_ETH_ADDR, vsi, rows))
        if self.vlans:
            features.add_vlans(self, sorted(self.vlans))
        if self.config.promiscuous:
            self.set_promiscuous(unicast=True, multicast=True)
        flex = bool(self.caps.RX_FLEX_DESC)
        for at in range(0, len(pairs), _QUEUES_A_MESSAGE):
            part = pairs[at : at + _QUEUES_A_MESSAGE]
            payload = messages.queue_config(vsi, part, self.max_frame, flex=flex)
            self.request(Op.CONFIG_VSI_QUEUES, payload)
        self.queues.set_itr(self.config.itr)
        self._queues_on(True)
        self._enabled = True
        for pair in pairs:
            self.rings.add_pair(pair)

    def _queues_on(self, on: bool) -> None:
        vsi, count = self.vsi.vsi_id, self.queue_pairs
        if count <= QUEUES_IN_BITMAP:
            op = Op.ENABLE_QUEUES if on else Op.DISABLE_QUEUES
            self.request(op, messages.queue_select(vsi, count))
        else:
            op = Op.ENABLE_QUEUES_V2 if on else Op.DISABLE_QUEUES_V2
            self.request(op, messages.queue_chunks(op, vsi, count))

    def _recover(self) -> None:
        """A reset is under way: wait for its end, and set up again what was; anew if another comes."""
        running = self.state is State.RUNNING
        for left in reversed(range(_RECOVERIES)):
            self.state = State.RESETTING
            self.counts["resets"] += 1
            self.rings.clear_pairs()
            self._enabled = self.link_up = False
            try:
                self._set_up_again(running)
                return
            except IavfError as why:
                # A PF that says nothing is gone; one that refuses may be about to tell of another reset.
                if not left or isinstance(why, IavfTimeoutError) or not self._sees_reset():
                    self.state = State.COMM_FAILED
                    raise

    def _set_up_again(self, running: bool) -> None:
        self._sees_reset()
        self._await_reset((ResetState.VFACTIVE,))
        self.mailbox.shutdown()
        self._reset_due = False
        self._startup()
        self._initialize()
        if running:
            self._configure(self.queues.alloc(self.queue_pairs, self._vectors - 1, self.config))
            self.state = State.RUNNING

    def _sees_reset(self) -> bool:
        """Wait for a reset to take the mailbox away; whether one has, or is announced."""
        for _ in range(_DETECT_POLLS):
            if self.mailbox.was_reset:
                return True
            self.access.sleep(_DETECT_DELAY)
        return self._reset_due

    def _await_reset(self, states: tuple[ResetState, ...]) -> None:
        for _ in range(_RESET_POLLS):
            state = self.access.read32(self.registers.rstat) & 3
            if state in states:
                return
            self.access.sleep(_RESET_DELAY)
        raise IavfTimeoutError(
            f"VFGEN_RSTAT reads {state} for {_RESET_POLLS * _RESET_DELAY:g} s: the device is in reset"
        )

    # Messages and interrupts.

    def _take(self, got: Received) -> None:
        if got.op != Op.EVENT or len(got.data) < PfEvent.size:
            self.counts["unexpected"] += 1
            return
        event = PfEvent.read(got.data)
        self.events.append(event)
        if event.event == EventCode.LINK_CHANGE:
            if not self._enabled:
                self.counts["early-link-events"] += 1
                return
            self.link_up = bool(event.link_status)
            speed = event.link_speed
            fast = bool(self.caps.ADV_LINK_SPEED)
            self.link_speed = speed if fast else _SPEEDS.get(LegacyLinkSpeed(speed & 0xFF), 0)
        elif event.event == EventCode.RESET_IMPENDING:
            self._reset_due = True

    def _pause(self) -> None:
        if self._vectors and self.state not in (State.STARTUP, State.INIT_VERSION_CHECK):
            if self.access.wait(0, _REPLY_DELAY):
                self._enable_misc()
        else:
            self.access.sleep(_REPLY_DELAY)

    def _enable_misc(self) -> None:
        """Vector 0, which its firing has masked (iavf_misc_irq_enable)."""
        registers = self.registers
        self.access.write32(registers.dyn_ctl0, MISC_ENABLE.raw)
        if registers.icr0_ena is not None:
            self.access.write32(registers.icr0_ena, _ADMINQ_CAUSE.raw)
        self.access.read32(registers.rstat)

    def _mask_queues(self) -> None:
        for n in range(self._vectors - 1):
            self.access.write32(self.registers.dyn_ctl(n), 0)
        self.access.read32(self.registers.rstat)

    def _expect(self, state: State) -> None:
        if self.state is not state:
            raise IavfError(f"iavf is {self.state.value}; this needs it {state.value}")

    def inspect(self) -> dict[str, object]:
        """State, what was granted, link, queues and counts."""
        return {
            "state": self.state.value,
            "mac": self.mac.hex(":"),
            "caps": [field.name for field, value in self.caps if value],
            "vsi": self.vsi.vsi_id,
            "queue_pairs": self.queue_pairs if self.vsi.num_queue_pairs else 0,
            "link": {"up": self.link_up, "speed": self.link_speed},
            "counts": dict(self.counts),
        }
