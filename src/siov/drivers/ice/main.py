"""The driver: module init, match, probe and remove, under the names of Linux's functions (ice_main.c)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from errno import EINVAL, EIO

from siov.drivers.ice.dma import iommu_dev_enable_feature
from siov.drivers.ice.irq import IceIrqs
from siov.drivers.ice.netdev import IceNetdev
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.reset import function_reset, ice_init_ctrl, note_counts, set_pasid_mode
from siov.drivers.ice.services import Services
from siov.drivers.ice.stats import PortStats
from siov.drivers.ice.vsi import VsiKind
from siov.host.iommu.probe import pasid_bits
from siov.host.linux import LinuxError, ProbeError
from siov.host.pci import PciDev, PciDriver, PciId, PciSubsystem
from siov.spec.e810 import AqDriverVersion, AqOpcode, AqQueueShutdown, Control

INTEL = 0x8086
E810_IDS = (0x1591, 0x1592, 0x1593, 0x1599, 0x159A, 0x159B)  # E810-C and E810-XXV: backplane, QSFP, SFP
BROADCAST = b"\xff" * 6
SIOV_BAR0 = 128 << 20  # bytes of BAR 0 that S-IOV needs at least
DRIVER_NAME = b"ice"


class IceDriver(PciDriver):
    """The ice driver; `pfs` are the functions that it has, by device name.

    `queues` is the number of queue pairs of each function's own netdev, 0 for none. `siov` False leaves
    S-IOV off, as a module parameter would.
    """

    name = "ice"
    id_table = tuple(PciId(INTEL, device) for device in E810_IDS)

    def __init__(self, services: Services, *, queues: int = 1, siov: bool = True) -> None:
        super().__init__()
        if queues < 0:
            raise LinuxError(EINVAL, f"ice: {queues} queue pairs; a netdev has 0 (there is none) or more")
        self.services = services
        self.queues = queues
        self.siov = siov
        self.pfs: dict[str, IcePf] = {}

    def probe(self, device: PciDev) -> None:
        """Take a function into use; what a failed step leaves is given back (ice_probe)."""
        device.trace("ice_probe")
        undo = ExitStack()
        try:
            self.pfs[device.name] = _probe(device, self, undo)
        except BaseException:
            _close(device, undo)
            raise
        undo.callback(self.pfs.pop, device.name)
        # What the driver core frees at detach (vectors, BARs) is younger than this: it would go first.
        device.driver_data = undo

    def remove(self, device: PciDev) -> None:
        """Give a function up (ice_remove): virtual devices, netdev, VSIs, interrupts, queues, memory."""
        device.trace("ice_remove")
        _close(device, device.driver_data)

    def shutdown(self, device: PciDev) -> None:
        """Make a function quiet (ice_shutdown)."""
        device.trace("ice_shutdown")
        self.remove(device)
        device.driver_data = ExitStack()


def ice_module_init(bus: PciSubsystem, driver: IceDriver) -> None:
    """Load the module: the driver is offered every function that none drives."""
    bus.trace("ice_module_init", driver.name)
    bus.pci_register_driver(driver)


def ice_module_exit(driver: IceDriver) -> None:
    """Unload the module: all functions are given up."""
    driver.trace("ice_module_exit")
    driver.unregister()


def ice_is_siov_capable(dev: PciDev, services: Services) -> bool:
    """Whether the function can do S-IOV: PASIDs, a BAR 0 with the pages, a unit that tells PASIDs apart."""
    lacks = [
        what
        for what, there in (
            ("no PASID capability", pasid_bits(dev) > 0),
            ("BAR 0 is smaller than 128 MiB", dev.bar(0).size >= SIOV_BAR0),
            ("DMA has no PASIDs (IOMMU_DEV_FEAT_AUX)", iommu_dev_enable_feature(dev, services.iommu)),
        )
        if not there
    ]
    dev.trace("ice_is_siov_capable", ", ".join(lacks) or "yes")
    return not lacks


def _probe(dev: PciDev, driver: IceDriver, undo: ExitStack) -> IcePf:
    services = driver.services
    dev.pcim_enable_device()
    dev.pci_set_master()
    pf = IcePf(dev, services)
    _ice_init_hw(pf, undo)
    pf.siov_capable = ice_is_siov_capable(dev, services)
    _ice_init_interrupts(pf, undo)
    _ice_init_pf_vsi(pf, driver.queues, undo)
    _ice_init_features(pf, driver, undo)
    return pf


def _ice_init_hw(pf: IcePf, undo: ExitStack) -> None:
    """Admin queue, capabilities, scheduler."""
    pf.dev.trace("ice_init_hw")
    state = pf.hw.rd("GLGEN_RSTAT")
    if pf.hw.gone or Control.GLGEN_RSTAT(state).DEVSTATE:
        raise ProbeError(EIO, f"{pf.dev.name} is not ready (GLGEN_RSTAT {state:#x}); bind it again later")
    # Nothing of a driver before: its queues would fill memory that is somebody else's now.
    function_reset(pf)
    undo.callback(pf.aq.queue.free)
    undo.callback(_quietly, pf, lambda: function_reset(pf))
    pf.aq.queue.open()
    undo.callback(_shutdown, pf)
    note_counts(pf)
    pf.aq.send(AqOpcode.DRIVER_VER, AqDriverVersion.of(MAJOR_VER=1), DRIVER_NAME)
    ice_init_ctrl(pf)
    pf.read_caps()
    pf.make_pools()


def _ice_init_interrupts(pf: IcePf, undo: ExitStack) -> None:
    """MSI-X with the vector of other causes, and the mailbox."""
    pf.dev.trace("ice_init_interrupt_scheme")
    pf.irqs = IceIrqs.start(pf.dev, pf.hw, pf.services.irqs, pf.oicr.interrupt, pf.caps.msix_vectors)
    undo.callback(pf.mbx.queue.free)
    pf.mbx.queue.open()
    undo.callback(pf.oicr.stop)
    pf.oicr.start()
    pf.dev.trace("ice_init_link_events")
    undo.callback(_quietly, pf, pf.link.stop)
    pf.link.start()


def _ice_init_pf_vsi(pf: IcePf, queues: int, undo: ExitStack) -> None:
    """The function's own VSI and netdev."""
    pf.dev.trace("ice_init_pf_sw")
    undo.callback(_ice_vsi_release_all, pf)
    undo.callback(_quietly, pf, pf.flows.deinit)
    pf.port_stats = PortStats(pf.hw)
    pf.main = pf.vsi_setup(VsiKind.PF, queues, queues, name=f"ice-{pf.dev.name}")
    if queues:
        # ice_init_mac_fltr
        pf.main.add_mac(pf.mac)
        pf.main.add_mac(BROADCAST)
        pf.dev.trace("ice_register_netdev")
        pf.netdev = IceNetdev(pf, pf.main)
        undo.callback(pf.netdev.unregister)
        pf.netdev.register()


def _ice_init_features(pf: IcePf, driver: IceDriver, undo: ExitStack) -> None:
    """S-IOV, if the function can do it."""
    pf.dev.trace("ice_init_features")
    if pf.siov_capable and driver.siov:
        ice_initialize_siov_res(pf, undo)


def ice_initialize_siov_res(pf: IcePf, undo: ExitStack) -> None:
    """The VDCM, and mailboxes by PASID (ice_siov.c); `undo` is what ice_deinit_siov_res does.

    Without a VDCM S-IOV stays off.
    """
    init = pf.services.vdcm_init
    pf.dev.trace("ice_initialize_siov_res")
    if init is None:
        pf.dev.trace("ice_initialize_siov_res", "there is no VDCM: S-IOV stays off")
        return
    undo.callback(_ice_deinit_siov_res, pf)
    pf.dev.trace("ice_vdcm_init")
    pf.vdcm = init(pf)
    set_pasid_mode(pf, on=True)
    pf.siov_enabled = True


def _ice_deinit_siov_res(pf: IcePf) -> None:
    pf.dev.trace("ice_deinit_siov_res")
    vdcm, pf.vdcm = pf.vdcm, None
    try:
        if vdcm is not None:
            vdcm.deinit()
    finally:
        pf.siov_enabled = False
        if not pf.hw.gone:
            set_pasid_mode(pf, on=False)


def _ice_vsi_release_all(pf: IcePf) -> None:
    """Every VSI that is left, the youngest first."""
    for vsi in reversed(list(pf.vsis.values())):
        _quietly(pf, vsi.release)


def _shutdown(pf: IcePf) -> None:
    """Tell firmware that the driver goes (ice_aq_q_shutdown)."""
    if pf.aq.queue.enabled:
        pf.dev.trace("ice_shutdown_all_ctrlq")
        _quietly(pf, lambda: pf.aq.send(AqOpcode.Q_SHUTDOWN, AqQueueShutdown.of(DRIVER_UNLOADING=1)))


def _quietly(pf: IcePf, act: Callable[[], object]) -> None:
    """Do something that a dead device may refuse: what follows must be done all the same."""
    try:
        act()
    except LinuxError as why:
        pf.dev.error("ice_remove", why)


def _close(dev: PciDev, undo: ExitStack) -> None:
    try:
        undo.close()
    except LinuxError as why:
        dev.error("ice_remove", why)
