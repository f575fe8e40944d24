"""Probe and remove: the chain under Linux's names, what S-IOV needs, nothing left (ice_main.c)."""

import pytest

from siov.drivers.ice.adminq import AdminQueue
from siov.drivers.ice.main import IceDriver, ice_module_init
from siov.errors import SiovError
from siov.host.irq import IrqVectors
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.spec.e810 import AqOpcode
from siov.spec.pcie import ExtendedCapabilityId

from .server import Server, Vdcm


def test_a_start_up_reads_as_the_chain_from_module_init_to_the_vdcm(server):
    server.load()
    chain = [
        "ice_module_init",
        "pci_register_driver",
        "driver_register",
        "pci_match_device",
        "ice_probe",
        "ice_init_hw",
        "ice_is_siov_capable",
        "ice_init_features",
        "ice_initialize_siov_res",
        "ice_vdcm_init",
        "driver_bound",
    ]
    seen = server.functions(*chain)
    assert seen == [*chain[:4], "pci_match_device", *chain[4:]], "the root port is asked first, and no match"


def test_the_driver_takes_8086_1592_and_leaves_a_root_port_alone(server):
    server.load()
    assert server.dev.driver is not None
    assert server.dev.driver.name == "ice"
    assert server.dev.parent.driver is None


def test_mailboxes_are_reached_by_pasid_once_the_vdcm_is_there(server):
    assert server.nic.get("GL_MBX_PASID") & 1 == 0
    pf = server.load()
    assert server.nic.get("GL_MBX_PASID") & 1
    assert pf.siov_enabled
    assert pf.vdcm.there


def test_siov_needs_a_unit_that_tells_pasids_apart():
    server = Server(iommu=False)
    pf = server.load()
    assert not pf.siov_capable
    assert pf.vdcm is None
    assert server.nic.get("GL_MBX_PASID") == 0
    [said] = [e.detail for e in server.trace if e.function == "ice_is_siov_capable"]
    assert "IOMMU_DEV_FEAT_AUX" in said


def test_siov_needs_the_pasid_capability(server):
    server.dev._caps.pop((True, int(ExtendedCapabilityId.PASID)))
    assert not server.load().siov_enabled
    [said] = [e.detail for e in server.trace if e.function == "ice_is_siov_capable"]
    assert "no PASID capability" in said


def test_siov_needs_a_bar_0_of_128_mib(server):
    server.dev.bar(0).size = 64 << 20
    assert not server.load().siov_enabled
    [said] = [e.detail for e in server.trace if e.function == "ice_is_siov_capable"]
    assert "smaller than 128 MiB" in said


def test_siov_can_be_left_off(server):
    pf = server.load(siov=False)
    assert pf.siov_capable
    assert not pf.siov_enabled
    assert "ice_vdcm_init" not in server.functions()


def test_the_functions_dma_is_passed_through_and_faults_nowhere(server):
    server.load(queues=1)
    assert server.iommu.faults.drain() == []
    assert (server.dev.rid, None) in server.iommu.attached


def warmed(**what):
    """A server whose remapping unit has the tables that stay, and what it holds then."""
    server = Server(**what)
    server.load()
    server.unload()
    return server, server.holdings()


@pytest.mark.parametrize("queues", [0, 1, 4])
def test_remove_leaves_nothing(queues):
    server, before = warmed(ims=64)
    pf = server.load(queues=queues)
    if pf.netdev is not None:
        pf.netdev.open()
    for prefer in ("msix", "ims"):
        pf.vsi_setup(prefer=prefer).map_mailbox(0)
    server.unload()
    assert [vsi for vsi in pf.vsis if vsi] == [], "ADIs that nobody released, too"
    assert server.holdings() == before


def test_a_function_can_be_bound_again_and_again(server):
    server.load(queues=1)
    for _ in range(5):
        server.unload()
        assert server.load(queues=1).link.state is not None
    assert server.dev.enabled == 1


def test_remove_takes_the_vdcm_down_before_anything_else(server):
    pf = server.load(queues=1)
    vdcm = pf.vdcm
    server.unload()
    assert not vdcm.there
    removed = server.functions("ice_deinit_siov_res", "ice_vsi_release", "ice_shutdown_all_ctrlq")
    assert removed == ["ice_deinit_siov_res", "ice_vsi_release", "ice_shutdown_all_ctrlq"]


def test_after_remove_the_device_moves_no_byte(server, wire):
    pf = server.load(queues=1)
    pf.netdev.open()
    server.unload()
    before = server.mem.read(server.mem.base, 32 << 20)
    wire.send(server, b"\xff" * 6 + bytes(54))
    assert server.mem.read(server.mem.base, 32 << 20) == before


class Nth:
    """The n-th call of something fails."""

    def __init__(self, n: int) -> None:
        self.n, self.calls, self.struck = n, 0, False

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.n:
            self.struck = True
            raise LinuxError(5, f"call {self.n} fails")


def failing(monkeypatch, owner, method, nth):
    real = getattr(owner, method)

    def call(self, *args, **kwargs):
        nth()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, call)


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (AdminQueue, "send"),
        (PhysMem, "alloc_pages"),
        (IrqVectors, "request_irq"),
        (Vdcm, "__init__"),
    ],
    ids=["adminq", "memory", "vectors", "vdcm"],
)
def test_whatever_fails_in_probe_it_leaves_nothing(monkeypatch, owner, method):
    """Each call of a kind fails once, from the first to the one behind the last."""
    server, before = warmed(ims=64)
    for n in range(1, 100):
        nth = Nth(n)
        with monkeypatch.context() as patch:
            failing(patch, owner, method, nth)
            driver = IceDriver(server.services, queues=2)
            ice_module_init(server.pci, driver)
            if not nth.struck:
                assert server.dev.driver is driver
                break
            assert server.dev.driver is None, f"call {n}"
            assert f"call {n} fails" in str(server.dev.probe_error)
        driver.unregister()
        assert server.holdings() == before, f"call {n}"
    assert n > 1


def test_a_device_that_refuses_a_command_at_remove_is_let_go_of_all_the_same(monkeypatch):
    server, before = warmed()
    pf = server.load(queues=1)
    pf.netdev.open()
    pf.vsi_setup()

    def refuse(self, *args, **kwargs):
        raise LinuxError(5, "nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(AdminQueue, "send", refuse)
        server.unload()
    assert server.holdings() == before


def test_an_unknown_number_of_queues_is_refused():
    with pytest.raises(SiovError, match="a netdev has 0"):
        IceDriver(Server(iommu=False).services, queues=-1)


def test_firmware_knows_the_driver_by_name(server):
    server.load()
    assert server.function.firmware.driver == "ice"
    assert AqOpcode.DRIVER_VER


def test_shutdown_makes_the_device_quiet_and_a_later_unbind_finds_nothing_to_do():
    server, before = warmed()
    pf = server.load(queues=1)
    pf.netdev.open()
    pf.vsi_setup()
    server.pci.core.device_shutdown()
    assert server.dev.driver is not None, "it stays bound"
    assert server.function.firmware.inspect()["txqueues"] == {}
    assert server.rd("PF_FW_ATQLEN") == 0
    server.unload()
    assert server.holdings() == before


def test_a_device_within_a_reset_is_not_taken(server):
    before = server.holdings()
    server.nic.set("GLGEN_RSTAT", 1)
    with pytest.raises(LinuxError, match="is not ready") as error:
        server.load()
    assert error.value.errno == 5
    assert server.dev.driver is None
    assert server.holdings() == before


def test_a_vdcm_that_is_not_given_leaves_siov_off(server):
    pf = server.load(vdcm=None)
    assert pf.siov_capable
    assert not pf.siov_enabled
    assert server.nic.get("GL_MBX_PASID") == 0


def test_each_function_has_a_state_of_its_own_in_the_inspect_tree(server):
    pf = server.load(queues=1)
    found = pf.inspect()
    assert found["vsis"][0]["kind"] == "ICE_VSI_PF"
    assert found["siov"] == {"capable": True, "enabled": True}
    assert found["irqs"]["msix"]["used"] == 2
