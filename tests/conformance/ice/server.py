"""A server with one adapter, its host enumerated, and the driver loaded; nothing runs by itself."""

from dataclasses import dataclass, field

from siov._core import Clock, Nic, Port
from siov.drivers.ice.hw import offset_of
from siov.drivers.ice.main import IceDriver, ice_module_exit, ice_module_init
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.services import Services, VdcmInit
from siov.host.core import DriverCore
from siov.host.iommu import IntelIommu, PagingDomain, Stage
from siov.host.iommu.probe import probe_device
from siov.host.irq import IrqVectors
from siov.host.irq.remapping import InterruptRemapping
from siov.host.linux import TraceEvent
from siov.host.pci import Firmware, HostWindow, PciSubsystem, pci_host_probe
from siov.host.physmem import PhysMem
from siov.hw.e810.firmware import PortSettings, Settings
from siov.hw.e810.function import build
from siov.hw.memory import HostDram
from siov.hw.pcie.compose import root_port
from siov.hw.pcie.root_complex import ECAM_SIZE, RootComplex, Window, WindowKind
from siov.hw.vtd import RemappingUnit
from siov.spec.word import Word

ECAM, MEM64, UNIT = 0xB000_0000, 0x40_0000_0000, 0xFED9_0000
RAM = 256 << 20
KERNEL_END = 16 << 20
MAC = bytes.fromhex("b49691a1b2c3")
FAR = bytes([2, 0xFA, 0, 0, 0, 1])


class Vdcm:
    """Stands for the composition module: it is there, and goes."""

    def __init__(self, pf: IcePf) -> None:
        self.pf = pf
        self.there = True

    def deinit(self) -> None:
        self.there = False


class Server:
    """`iommu` puts the adapter behind a unit with interrupt remapping; `port` is what it is plugged into."""

    def __init__(
        self, *, iommu: bool = True, ims: int = 0, port: Port | None = None, cpus: int = 16,
        workers: int = 1, ats: bool = False,
    ) -> None:  # fmt: skip
        self.clock = Clock(virtual=True)
        dram = HostDram(RAM)
        windows = [
            Window(ECAM, ECAM_SIZE, 0, WindowKind.CONFIG),
            Window(MEM64, 1 << 32, MEM64, WindowKind.MEM64),
        ]
        self.rc = RootComplex(dram, windows, [Window(0, RAM, 0)])
        self.nic: Nic

        def engine(config: object) -> Nic:
            self.nic = Nic(config, self.rc.core, self.clock, ims=ims, workers=workers, flows=(1024, 15360))
            if port is not None:
                self.nic.attach_port(0, port)
            return self.nic

        self.function = build("nic", (0, 0), Settings(PortSettings(MAC)), engine, self.clock, ims=ims)
        root = root_port("rp0", (1, 0), 0)
        root.attach(self.function)
        self.rc.attach(root)
        if iommu:
            self.rc.add_unit(RemappingUnit.build("vtd0", UNIT, dram.core))
        self.trace: list[TraceEvent] = []
        self.pci = PciSubsystem(DriverCore(self.trace.append), "pci")
        self.pci.register()
        self.irqs = IrqVectors(cpus)
        self.rc.on_vector = self.irqs.interrupt
        firmware = Firmware(ECAM, (HostWindow(MEM64, 1 << 32, wide=True, offset=0),))
        bridge = pci_host_probe(self.rc, firmware, self.pci)
        [self.dev] = [dev for dev in bridge.devices() if dev.device == 0x1592]
        self.mem = PhysMem(self.rc, KERNEL_END, RAM - KERNEL_END)
        self.iommu: IntelIommu | None = None
        if iommu:
            self.iommu = IntelIommu(self.mem, UNIT, scalable=True)
            self.iommu.enable()
            remapping = InterruptRemapping(self.iommu, 8192)
            remapping.enable()
            self.irqs.remapper = remapping
            probe_device(self.iommu, self.dev, ats=ats)
        self.irqs.bypass = self.rc.core
        self.services = Services(self.mem, self.irqs, self.iommu, vdcm_init=Vdcm, poll=self.poll)
        self.driver: IceDriver | None = None

    def load(self, *, queues: int = 0, vdcm: VdcmInit | None = Vdcm, siov: bool = True) -> IcePf:
        """Load the driver; gives the function, which must have been probed."""
        self.services.vdcm_init = vdcm
        self.driver = IceDriver(self.services, queues=queues, siov=siov)
        ice_module_init(self.pci, self.driver)
        if self.dev.probe_error is not None:
            raise self.dev.probe_error
        return self.driver.pfs[self.dev.name]

    def unload(self) -> None:
        assert self.driver is not None
        ice_module_exit(self.driver)

    def poll(self, condition, seconds):
        """Hardware has nobody but us to let it work."""
        for _ in range(16):
            if condition():
                return True
            self.pump()
        return bool(condition())

    def pump(self) -> None:
        """Let the adapter, firmware and interrupts work until all is quiet."""
        for _ in range(10_000):
            worked = self.nic.pump()
            self.function.device.service()
            self.rc.settle()
            if not worked and not self.rc.core.busy:
                return
        raise AssertionError("the adapter does not come to rest")

    def rd(self, name: str, index: int = 0) -> int:
        """A register as hardware has it, without the effect of a read."""
        return self.nic.get(name, index)

    def wr(self, name: str, value: int | Word, index: int = 0) -> None:
        """A register as a guest writes it, by an address of BAR 0."""
        at = self.dev.bar(0).start + offset_of(name, index)
        self.rc.write(at, int(value).to_bytes(4, "little"))

    def advance(self, nanoseconds: int) -> None:
        self.clock.advance(nanoseconds)
        self.pump()

    def functions(self, *names: str) -> list[str]:
        """The functions in the trace, in order; only these if given."""
        return [e.function for e in self.trace if not names or e.function in names]

    def holdings(self) -> dict[str, object]:
        """What the driver may hold: memory, vectors, remapping entries, devices, what firmware has."""
        firmware = self.function.firmware.inspect()
        kept = ("vsi", "rules", "resources", "scheduler_nodes", "txqueues", "held", "rss")
        return {
            "memory": dict(self.mem.in_use),
            "vectors": sorted(name for name, _ in self.irqs.interrupts()),
            "iommu": dict(self.iommu.devices) if self.iommu else {},
            "attached": list(self.iommu.attached) if self.iommu else [],
            "devres": [res.name for res in self.dev.devres],
            "firmware": {name: firmware[name] for name in kept},
            "adminq": self.nic.get("PF_FW_ATQLEN") | self.nic.get("PF_MBX_ARQLEN"),
            "oicr": self.nic.get("PFINT_OICR_ENA") | self.nic.get("PFINT_OICR_CTL"),
            "pasid_mode": self.nic.get("GL_MBX_PASID"),
            "enabled": self.dev.enabled,
        }


@dataclass
class Guest:
    """An address space of its own under a PASID, as a virtual machine has it."""

    server: Server
    pasid: int
    domain: PagingDomain
    next: int = 0x1_0000_0000
    runs: list[int] = field(default_factory=list)
    pages: dict[int, int] = field(default_factory=dict)

    @classmethod
    def make(cls, server: Server, pasid: int) -> "Guest":
        assert server.iommu is not None
        domain = server.iommu.alloc_domain(Stage.SECOND)
        server.iommu.attach(domain, server.dev.rid, pasid)
        return cls(server, pasid, domain)

    @property
    def machine(self) -> Server:
        """What the rings of tests reach registers by."""
        return self.server

    def alloc(self, size: int, align: int = 4096) -> int:
        count = -(-size // 4096)
        physical = self.server.mem.alloc_pages(count, "guest")
        self.runs.append(physical)
        at = self.next
        self.next += (count + 1) * 4096
        self.domain.map(at, physical, count * 4096)
        for n in range(count):
            self.pages[at + n * 4096] = physical + n * 4096
        return at

    def read(self, at: int, size: int) -> bytes:
        data = b""
        while size:
            n = min(size, 4096 - at % 4096)
            data += self.server.mem.read(self.pages[at & -4096] + at % 4096, n)
            at, size = at + n, size - n
        return data

    def write(self, at: int, data: bytes) -> None:
        while data:
            n = min(len(data), 4096 - at % 4096)
            self.server.mem.write(self.pages[at & -4096] + at % 4096, data[:n])
            at, data = at + n, data[n:]

    def free(self) -> None:
        assert self.server.iommu is not None
        self.server.iommu.detach(self.server.dev.rid, self.pasid)
        self.domain.free()
        for run in self.runs:
            self.server.mem.free(run)
