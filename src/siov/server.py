"""A server that runs: the machine, and the host that found its way through it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from siov._core import Clock, Port
from siov.drivers.ice.services import Services, poll_by_sleep
from siov.errors import ScenarioError
from siov.events import Events
from siov.events.actions import Actions
from siov.guest_ethtool import GuestEthtool
from siov.guests.served import Machine
from siov.host.core import DriverCore
from siov.host.iommu.ids import Ids, pasid_allocator
from siov.host.iommu.iommu import IntelIommu
from siov.host.iommu.probe import probe_device
from siov.host.irq import IrqVectors
from siov.host.irq.remapping import InterruptRemapping
from siov.host.lspci import PciFunctionView
from siov.host.mdev import Mdevctl
from siov.host.pci import Firmware, HostWindow, PciDev, PciSubsystem, pci_host_probe
from siov.host.pci.probe import HostBridge
from siov.host.pci.view import function_view
from siov.host.physmem import PhysMem
from siov.host.sysfs import Sysfs
from siov.hw.e810.function import E810Function
from siov.hw.memory import HostDram
from siov.hw.pcie.function import Function
from siov.hw.pcie.root_complex import ECAM_SIZE, RootComplex, WindowKind
from siov.modules import BridgePort, IceModule, Netdev
from siov.observe.capture import CaptureManager
from siov.observe.server import Watch
from siov.observe.trace import Tracer
from siov.scenario import Scenario
from siov.spaces import Space, add_space
from siov.tenants import SEED, Tenants
from siov.threads import Threads
from siov.vfio_user import VfioUserSockets
from siov.virtual_time import SECOND, VirtualTime
from siov.vms import GuestVm, add_vm

ECAM_BASE = 0xB000_0000
MMIO32_BASE = 0xC000_0000
CLIENTS_BASE = 0x1_0000_0000  # memory that VMMs share lies from here on, up to the next window
MMIO64_BASE = 0x40_0000_0000
VTD_BASE = 0xFED9_0000
POLLS = 16  # how often a driver that waits has the hardware work, when nothing runs by itself
KERNEL_END = 16 << 20  # what lies below is the host's kernel; its pages are given out from here on


@dataclass(slots=True, repr=False)
class Platform:
    """A server: the machine's memory and root complex, and the host that found its way through it."""

    scenario: Scenario
    dram: HostDram
    root_complex: RootComplex
    functions: dict[str, Function]
    core: DriverCore
    irqs: IrqVectors
    pci: PciSubsystem
    threads: Threads
    mdev: Mdevctl
    clock: Clock
    watch: Watch
    seed: int = 0
    virtual_time: VirtualTime | None = None
    pasids: Ids = field(default_factory=pasid_allocator)
    host_bridge: HostBridge | None = None
    memory: PhysMem | None = None
    iommu: IntelIommu | None = None
    ice: IceModule | None = None
    tenants: Tenants | None = None
    vfio_user: VfioUserSockets = field(default_factory=VfioUserSockets)
    ports: dict[str, Port] = field(default_factory=dict)
    events: Events = field(init=False)
    spaces: list[Space] = field(default_factory=list)
    vms: list[GuestVm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = Events(self.scenario.event, Actions(self), self.clock.now)

    @property
    def firmware(self) -> Firmware:
        """What firmware tells the host of the root complex."""
        windows = tuple(
            HostWindow(w.base, w.size, wide=w.kind is WindowKind.MEM64, offset=w.base - w.target)
            for w in self.root_complex.outbound
            if w.kind is not WindowKind.CONFIG
        )
        return Firmware(ECAM_BASE, windows)

    @property
    def tracer(self) -> Tracer:
        """The event trace: what the host does, step by step, while somebody listens."""
        return self.watch.tracer

    @property
    def capture(self) -> CaptureManager:
        """Captures of frames at VSIs and ports."""
        return self.watch.capture

    @property
    def sysfs(self) -> Sysfs:
        """The host's devices by path, as below /sys."""
        return self.core.sysfs

    def boot(self) -> None:
        """What happens before anybody logs in: enumeration, the modules of what was found, the guests."""
        self.enumerate()
        self.boot_host()

    def boot_host(self) -> None:
        """Boot what has been enumerated: modules, then guests with their traffic."""
        self.load()
        self._boot_guests()

    def load(self) -> None:
        """Load ice for the adapters; nothing without any."""
        if self.memory is None or not self.threads.nics:
            return
        given = self.scenario.ice
        services = Services(
            self.memory,
            self.irqs,
            self.iommu,
            poll=self._poll,
            vectors=given.vectors,
            doorbells=given.doorbells,
            clock=self._seconds,
        )
        self.ice = IceModule.load(
            self.pci,
            services,
            self.mdev.core,
            self.root_complex.core,
            self._name_of_device,
            queues=self.scenario.ice.queues,
            siov=self.scenario.ice.siov,
        )

    def unload(self) -> None:
        """Shut guests down and unload the modules: every virtual device goes, and nothing of them is left."""
        self.vfio_user.stop()
        if self.tenants is not None:
            tenants, self.tenants = self.tenants, None
            if self.virtual_time is not None:
                self.virtual_time.have(None)
            tenants.close()
        if self.ice is not None:
            ice, self.ice = self.ice, None
            ice.unload()

    @property
    def done(self) -> bool:
        """Whether all traffic that has an end is sent and answered, and all events are over."""
        return self.events.done and (self.tenants is None or self.tenants.done)

    def netdev(self, name: str) -> Netdev:
        """An interface: the host's by its adapter's name, a virtual device by UUID, a guest's as GUEST.N."""
        tenant = self.tenants.find(name) if self.tenants is not None else None
        if tenant is not None:
            return Netdev(GuestEthtool(tenant), tenant.lock)
        return self._loaded().netdev(name)

    def bridge(self, name: str) -> BridgePort:
        """The switch of an adapter."""
        return self._loaded().bridge(name)

    def serve_vfio_user(self, directory: Path) -> None:
        """Make a vfio-user socket in this directory for each mediated device, until the modules go."""
        if self.iommu is None:
            raise ScenarioError(
                f"{self.scenario.name} has no remapping unit, without which no device can be given to a"
                " guest; add [iommu]"
            )
        bus = self.root_complex.core
        machine = Machine(self.iommu, self.pasids, self.dram.core, bus, CLIENTS_BASE)
        self.vfio_user.start(directory, self.mdev.core, machine)

    def start(self) -> None:
        """Have the server run by itself, on threads of its own; `OSError` when there are none left.

        In virtual time there are no threads: it goes on while somebody has time pass.
        """
        if self.virtual_time is not None:
            self.events.begin()
            self.virtual_time.agenda = self.events.advance
            return
        self.threads.start()
        if self.tenants is not None:
            self.tenants.start()
        self.events.start()

    def stop(self) -> None:
        """Stand still again; what is under way is done by `pump`."""
        self.events.stop()
        if self.tenants is not None:
            self.tenants.stop()
        self.threads.stop()

    def sleep(self, seconds: float) -> None:
        """Let so much of the server's time pass: virtual time at once, with its events, else we wait."""
        if self.virtual_time is None:
            time.sleep(seconds)
        else:
            self.virtual_time.sleep(seconds)

    def pump(self) -> int:
        """Without threads: do what devices and host have to do, until nothing is left; gives the rounds.

        Guests' traffic goes on with each `tenants.step()`, events are looked at with `events.advance()`. Time
        does not: in virtual time, `sleep` instead.
        """
        return self.threads.pump()

    def __enter__(self) -> Platform:
        self.start()
        return self

    def __exit__(self, *what: object) -> None:
        self.stop()

    def enumerate(self) -> HostBridge:
        """Have the host find every function and give out buses and addresses."""
        mmio = self.watch.mmio
        self.watch.look_at_config(ECAM_BASE, ECAM_SIZE, self._function_name)
        self.host_bridge = pci_host_probe(mmio, self.firmware, self.pci)
        (_, low), *high = self.dram.ranges
        memory = self.memory = PhysMem(mmio, KERNEL_END, low - KERNEL_END)
        for at, size in high:
            memory.extend(at, size)
        for dev in self.host_bridge.devices():
            name = self._function_name(dev.rid)
            if isinstance(self.functions.get(name), E810Function):
                self.watch.look_at_nic(name, dev)
        self._start_iommu(memory)
        for vpid, spec in enumerate(self.scenario.vm, start=1):
            self.vms.append(add_vm(memory, self.dram.core, spec, vpid))
        return self.host_bridge

    def _start_iommu(self, memory: PhysMem) -> None:
        """Have the host switch translation on and map what the scenario says."""
        if self.scenario.iommu is None or self.host_bridge is None:
            return
        self.watch.look_at_unit("vtd0", VTD_BASE)
        iommu = IntelIommu(memory, VTD_BASE, scalable=self.scenario.iommu.mode == "scalable")
        iommu.enable()
        iommu.setup_events(self.irqs)
        self.iommu = iommu
        remapping = InterruptRemapping(iommu)
        remapping.enable()
        self.irqs.remapper = remapping
        devices = {dev.rid: dev for dev in self.host_bridge.devices()}
        for spec in self.scenario.function:
            if spec.nic is not None:
                rid = int(self.functions[spec.name].bdf)
                probe_device(iommu, devices[rid], ats=spec.nic.atc != "off")
        self.pasids.reserve(space.pasid for space in self.scenario.space if space.pasid is not None)
        for space in self.scenario.space:
            rid = int(self.functions[space.function].bdf)
            if space.pasid is None and (rid, None) in iommu.attached:
                iommu.detach(rid)  # from passing through
            self.spaces.append(add_space(iommu, devices[rid], space))

    def _boot_guests(self) -> None:
        """Start the embedded guests and their traffic."""
        if not self.scenario.guest:
            return
        tenants = self.embedded()
        for guest in self.scenario.guest:
            tenants.add(guest)
        for traffic in self.scenario.traffic:
            tenants.send(traffic)

    def embedded(self) -> Tenants:
        """The embedded guests, to which others can be added; `ScenarioError` without adapter or PASIDs."""
        if self.tenants is not None:
            return self.tenants
        if self.iommu is None or not self.iommu.scalable:
            raise ScenarioError(f"{self.scenario.name} has no remapping unit in scalable mode for guests")
        assert self.memory is not None, "enumeration comes first"
        parents = {name: pf.dev.name for name, pf in self._loaded().pfs.items()}
        self.tenants = Tenants(
            self.memory,
            self.dram,
            self.iommu,
            self.pasids,
            self.mdev,
            self.threads,
            self.root_complex.core,
            self.clock,
            parents,
            SEED ^ self.seed,
            self.virtual_time,
        )
        if self.virtual_time is not None:
            self.virtual_time.have(self.tenants)
        return self.tenants

    def _loaded(self) -> IceModule:
        if self.ice is None:
            raise ScenarioError(
                f"{self.scenario.name} has no adapter with a driver; add a function of model e810"
            )
        return self.ice

    def _poll(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for hardware; without threads nobody but us lets it work."""
        if self.virtual_time is not None:
            return self.virtual_time.wait(condition, seconds)
        if self.threads.running:
            return poll_by_sleep(condition, seconds)
        for _ in range(POLLS):
            if condition():
                return True
            self.pump()
        return condition()

    def _seconds(self) -> float:
        return self.clock.now() / SECOND

    def _name_of_device(self, name: str) -> str:
        device = self.pci.find_device(name)
        assert isinstance(device, PciDev)
        return self._function_name(device.rid)

    def _function_name(self, rid: int) -> str:
        """A function by its name in the scenario, or by its routing id."""
        named = (name for name, function in self.functions.items() if int(function.bdf) == rid)
        return next(named, f"{rid >> 8:02x}:{rid >> 3 & 31:02x}.{rid & 7}")

    def lspci(self) -> list[PciFunctionView]:
        """Every function as `lspci` sees it; none before enumeration."""
        return [function_view(dev) for dev in self.host_bridge.devices()] if self.host_bridge else []

    def inspect(self, path: str = "") -> object:
        """The state of everything, or of the part that a path such as `hw/pcie` leads to."""
        tree: object = {
            "hw": {
                "pcie": self.root_complex.inspect(),
                **{unit.name: unit.inspect() for unit in self.root_complex.units},
                "ports": {name: port.inspect() for name, port in self.ports.items()},
                **{guest.core.name: guest.core.inspect() for guest in self.vms},
            },
            "host": {
                "core": self.core.inspect(),
                "irq": self.irqs.inspect(),
                "threads": self.threads.inspect(),
                "iommu": self.iommu.inspect() if self.iommu else None,
                "mdev": self.mdev.inspect(),
                "ice": self.ice.inspect() if self.ice else None,
                "guests": self.tenants.inspect() if self.tenants else None,
                "vfio_user": self.vfio_user.inspect(),
                "events": self.events.inspect(),
                "trace": self.tracer.inspect(),
                "captures": self.capture.inspect(),
                "kvm": {guest.spec.name: guest.inspect() for guest in self.vms},
                "pci": self.host_bridge.inspect() if self.host_bridge else None,
            },
        }
        for step in filter(None, path.split("/")):
            if not isinstance(tree, dict) or step not in tree:
                have = ", ".join(map(str, tree)) if isinstance(tree, dict) else "nothing below"
                raise ScenarioError(f"there is no {step!r} on the way to {path!r}; there is: {have}")
            tree = tree[step]
        return tree
