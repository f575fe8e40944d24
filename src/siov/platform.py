"""Builds a server from a scenario; with server.py and topology.py the only file that knows everybody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from siov._core import Bus, Clock, Nic, Port, RegFile
from siov.host.core import DriverCore
from siov.host.irq import IrqVectors
from siov.host.mdev import MdevCore, Mdevctl
from siov.host.pci import PciSubsystem
from siov.hw.e810.engine import Engine
from siov.hw.e810.function import E810Function
from siov.hw.memory import HostDram
from siov.hw.pcie.root_complex import ECAM_SIZE, RootComplex, Window, WindowKind
from siov.hw.vtd import RemappingUnit
from siov.nics import Nics, plug
from siov.observe.server import Watch
from siov.scenario import Scenario, load
from siov.scenario_nic import NicSpec
from siov.server import ECAM_BASE, MMIO32_BASE, MMIO64_BASE, VTD_BASE, Platform
from siov.spec.vdev import AVF_DEVICE, SIOV_DEVICE, AvfBar0, VdevBar0
from siov.tenants import check_captures
from siov.threads import Threads
from siov.topology import build_topology
from siov.virtual_time import VirtualTime, uuids

__all__ = ["BUILT_IN", "ECAM_BASE", "Platform", "build"]

BUILT_IN = Path(__file__).parent / "scenarios" / "first.toml"


def build(scenario: Scenario | None = None, *, virtual_time: bool = False, seed: int = 0) -> Platform:
    """A server as the scenario says, not yet enumerated; `ScenarioError` when parts contradict each other.

    In `virtual_time` all that happens depends on the scenario and the seed alone. The `seed`, 0 to 2^64 - 1,
    is of what guests send, and in virtual time of the UUIDs that virtual devices are given.
    """
    scenario = scenario or load(BUILT_IN)
    check_captures(scenario.traffic)
    machine = scenario.machine
    irqs = IrqVectors(machine.cpus)
    memory = HostDram(machine.memory, end=MMIO64_BASE)
    outbound = [
        Window(ECAM_BASE, ECAM_SIZE, 0, WindowKind.CONFIG),
        Window(MMIO32_BASE, machine.mmio32, MMIO32_BASE, WindowKind.MEM32),
    ]
    if machine.mmio64:
        outbound.append(Window(MMIO64_BASE, machine.mmio64, MMIO64_BASE, WindowKind.MEM64))
    root_complex = RootComplex(memory, outbound, [Window(at, size, at) for at, size in memory.ranges])
    clock = Clock(virtual=True) if virtual_time else Clock()
    ports = plug(scenario, clock)
    nics = Nics(_engines(root_complex.core, clock), clock, ports)
    functions = build_topology(root_complex, scenario, nics)
    if scenario.iommu is not None:
        given = scenario.iommu
        unit = RemappingUnit.build(
            "vtd0",
            VTD_BASE,
            memory.core,
            haw=given.haw,
            scalable=given.mode == "scalable",
            caching_mode=given.caching_mode,
            caches=given.caches(),
        )
        root_complex.add_unit(unit)
    core = DriverCore()
    pci = PciSubsystem(core, "pci")
    pci.register()
    root_complex.on_vector = irqs.interrupt
    irqs.bypass = root_complex.core
    threads = Threads(root_complex, [f for f in functions.values() if isinstance(f, E810Function)])
    instances = MdevCore(core).register()
    engines = {name: f.device.engine for name, f in functions.items() if isinstance(f, E810Function)}
    watch = Watch.make(
        root_complex,
        core,
        irqs,
        clock,
        adapters=lambda: {name: engine for name, engine in engines.items() if isinstance(engine, Nic)},
        instances=lambda: list(instances.devices.values()),
        vdev_registers={SIOV_DEVICE: VdevBar0, AVF_DEVICE: AvfBar0},
        scenario=scenario.name,
    )
    passes = VirtualTime.of(scenario, threads, clock) if virtual_time else None
    mdev = Mdevctl(instances, uuids(seed)) if virtual_time else Mdevctl(instances)
    return Platform(
        scenario,
        memory,
        root_complex,
        functions,
        core,
        irqs,
        pci,
        threads,
        mdev,
        clock,
        watch,
        seed,
        passes,
        ports=ports,
    )


def _engines(bus: Bus, clock: Clock) -> Callable[[NicSpec, RegFile, Port | None], Engine]:
    """What makes the engine of a NIC on a bus."""

    def make(spec: NicSpec, config: RegFile, port: Port | None) -> Engine:
        flows = (spec.flows_guaranteed, spec.flows_best_effort)
        atc = spec.atc if spec.atc == "off" else (spec.atc.sets, spec.atc.ways, "lru", 1, "pasid")
        nic = Nic(config, bus, clock, ims=spec.ims, workers=spec.workers, atc=atc, flows=flows)
        nic.attach_port(0, port)
        return nic

    return make
