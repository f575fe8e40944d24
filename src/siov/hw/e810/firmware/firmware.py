"""The firmware: it answers the admin queue, carries out resets, and keeps what a driver has set up."""

import threading
from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine, Event
from siov.hw.e810.firmware import topics
from siov.hw.e810.firmware.adminq import AdminQueue, Dma
from siov.hw.e810.firmware.command import TABLE, Command, Reply
from siov.hw.e810.firmware.flash import Flash
from siov.hw.e810.firmware.link import Link
from siov.hw.e810.firmware.ownership import Ownership
from siov.hw.e810.firmware.package import Package
from siov.hw.e810.firmware.resources import Resources
from siov.hw.e810.firmware.rss import Rss
from siov.hw.e810.firmware.rules import Rules
from siov.hw.e810.firmware.settings import Clock, Settings
from siov.hw.e810.firmware.tree import Tree
from siov.hw.e810.firmware.txqueues import TX_QUEUES, TxQueues
from siov.hw.e810.firmware.vsi import Vsis
from siov.spec.e810.control import Control, DeviceState, ResetType
from siov.spec.e810.counts import RX_QUEUES
from siov.spec.e810.interrupts import Interrupts
from siov.spec.e810.queues import Queues

# Rounds of events in one call: a driver that writes without end does not keep the caller for ever.
ROUNDS = 64


@dataclass(slots=True)
class Firmware:
    """One device's firmware. `service` is called after each access that may have made an event."""

    engine: Engine
    dma: Dma
    clock: Clock
    settings: Settings
    queue: AdminQueue = field(init=False)
    flash: Flash = field(init=False)
    ownership: Ownership = field(init=False)
    vsis: Vsis = field(init=False)
    resources: Resources = field(init=False)
    rules: Rules = field(init=False)
    tree: Tree = field(default_factory=Tree)
    txqueues: TxQueues = field(init=False)
    rss: Rss = field(init=False)
    link: Link = field(init=False)
    package: Package = field(init=False)
    driver: str = ""  # name that the driver gave itself
    mac: bytes = b""  # the function's address: the factory's, or one that the driver wrote
    double_vlan: bool = False
    shared_params: list[int] = field(default_factory=lambda: [0] * 16)
    resets: dict[str, int] = field(default_factory=dict)
    reset_wanted: str = ""  # a command asks for this reset, once it is answered
    malicious: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _busy: bool = False
    _again: bool = False

    def __post_init__(self) -> None:
        self.queue = AdminQueue(self.engine, self.dma, self.run)
        self.flash = Flash(self.settings.image)
        self.ownership = Ownership(self.clock)
        self.vsis = Vsis(self.engine)
        self.resources = Resources(self.engine)
        self.rules = Rules(self.engine)
        self.txqueues = TxQueues(self.engine)
        self.rss = Rss(self.engine)
        self.link = Link(self.engine, self.settings.port)
        self.package = Package(self.engine)
        self.mac = self.settings.port.mac
        self._power_on(ResetType.POR)

    def service(self) -> None:
        """Handle what the engine tells, then the admin queue; at once nothing to do when it runs already."""
        self._again = True
        interrupt = False
        for _ in range(ROUNDS):
            # Who holds the lock looks at `_again` once more after letting go, so nothing is missed.
            if not self._again or self._busy or not self._lock.acquire(blocking=False):
                break
            try:
                if not self._busy:
                    interrupt |= self._round()
            finally:
                self._lock.release()
        if interrupt:
            # Outside of the lock: who takes the interrupt may come back with the next command.
            self.engine.raise_fw()

    def _round(self) -> bool:
        """Events, then commands; whether an interrupt is due. `_busy` keeps out who is called from here."""
        self._again, self._busy = False, True
        try:
            for event in self.engine.take_events():
                self._handle(event)
            self.queue.serve()
            if self.reset_wanted:
                kind, self.reset_wanted = self.reset_wanted, ""
                self.reset(kind)
        finally:
            self._busy = False
        interrupt, self.queue.interrupt = self.queue.interrupt, False
        return interrupt

    def function_level_reset(self) -> None:
        """A function-level or hot reset, asked for by configuration space; waits for a command to be done."""
        with self._lock:
            if self._busy:
                # Out of an interrupt that firmware itself sends: it is done when that is over.
                self.reset_wanted, self._again = "FLR", True
                return
            self.reset("FLR")

    def run(self, command: Command) -> Reply | None:
        """Answer a command by its opcode."""
        return TABLE[command.opcode].handler(self, command)

    def reset(self, kind: str) -> None:
        """Carry out a reset: PFR or FLR of the function, CORER, GLOBR or EMPR of the device."""
        device = kind in ("CORER", "GLOBR", "EMPR")
        self.resets[kind] = self.resets.get(kind, 0) + 1
        if device:
            status = Control.GLGEN_RSTAT(self.engine.get("GLGEN_RSTAT"))
            self.engine.set("GLGEN_RSTAT", status.replace(DEVSTATE=DeviceState.RESETTING).raw)
            # While the interrupt can still reach the driver: the reset takes its set-up away.
            self.engine.raise_oicr(Interrupts.PFINT_OICR.GRST.mask)
        kept = self.engine.get("GLGEN_RSTAT")
        self.engine.reset(kind)
        self._forget(device)
        if kind == "EMPR":
            self.flash.activate()
        if device:
            self._power_on(ResetType[kind], Control.GLGEN_RSTAT(kept))
        else:
            self._power_on(None)
            self.engine.set("PFGEN_CTRL", 0)

    def inspect(self) -> dict[str, object]:
        """What the driver has set up, and the counts of the admin queue."""
        counts = self.queue.counts
        return {
            "driver": self.driver,
            "mac": self.mac.hex(":"),
            "adminq": {name: getattr(counts, name) for name in counts.__slots__},
            "backlog": len(self.queue.backlog),
            "resets": dict(self.resets),
            "malicious": self.malicious,
            "held": {r.name: h.access.name for r, h in self.ownership.held.items()},
            "vsi": self.vsis.inspect(),
            "resources": self.resources.inspect(),
            "rules": self.rules.inspect(),
            "scheduler_nodes": len(self.tree.nodes),
            "txqueues": self.txqueues.inspect(),
            "rss": self.rss.inspect(),
            "link": self.link.inspect(),
            "package": self.package.inspect(),
            "flash": self.flash.versions(),
        }

    def _handle(self, event: Event) -> None:
        match event:
            case ("reset", str(kind)):
                self.reset(kind)
            case ("vsi-reset", int(vsi)):
                self._reset_vsi(vsi)
            case ("link", int(port), bool(up)):
                topics.link.media_changed(self, port, up)
            case ("malicious", *_):
                self.malicious += 1
                self.engine.raise_oicr(Interrupts.PFINT_OICR.MAL_DETECT.mask)
            case _:
                pass  # the admin queue is looked at in any case

    def _reset_vsi(self, number: int) -> None:
        self.engine.set("VSIGEN_RSTAT", 0, number)
        self.engine.reset_vsi(number)
        if number in self.vsis:
            self.txqueues.forget(number, self.tree)
        done = Control.VSIGEN_RSTAT.VMRD.mask
        self.engine.set("VSIGEN_RSTAT", done, number)

    def _forget(self, device: bool) -> None:
        self.queue.reset()
        self.ownership.reset(core=device)
        for part in (self.vsis, self.resources, self.rules, self.tree, self.txqueues, self.rss):
            part.reset()
        self.mac = self.settings.port.mac
        self.double_vlan = False
        if device:
            self.package.reset()
            self.link.reset()
        else:
            self.package.forget_function()

    def _power_on(self, kind: ResetType | None, before: Control.GLGEN_RSTAT | None = None) -> None:
        """Put what only firmware knows into the registers that a driver reads first."""
        last = {"RX": RX_QUEUES - 1, "TX": TX_QUEUES - 1}
        for word in (Queues.PFLAN_RX_QALLOC, Queues.PFLAN_TX_QALLOC):
            name = word.__name__
            self.engine.set(name, word.of(LASTQ=last[name[6:8]], VALID=1).raw)
        guaranteed, shared = self.settings.flows
        for name in ("GLQF_FD_SIZE", "PFQF_FD_SIZE"):
            self.engine.set(name, guaranteed | shared << 16)
        self.link.apply()
        if kind is None:
            return
        status = before or Control.GLGEN_RSTAT(0)
        if kind is not ResetType.POR:
            count = f"{kind.name}CNT"
            status = status.replace(**{count: getattr(status, count) + 1 & 3})
        self.engine.set("GLGEN_RSTAT", status.replace(DEVSTATE=DeviceState.READY, RESET_TYPE=kind).raw)
