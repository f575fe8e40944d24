"""The trace of a server at work: a driver's start and a virtual device's life (row 12 of the map)."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from uuid import UUID

import pytest

from siov.drivers.ice.main import IceDriver, ice_module_exit, ice_module_init
from siov.drivers.ice.services import Services, poll_by_sleep
from siov.drivers.ice.vdcm import ice_vdcm_init
from siov.host.mdev import MdevCore
from siov.observe.trace import Step, Tracer, as_text
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.virtchnl import Op, QueueSelect, VersionInfo, VfCaps
from siov.vdevs import vdcm_host

from .vdcm import User

SCENARIO = """
name = "traced"

[iommu]
mode = "scalable"

[[root_port]]
name = "rp0"
at = "01.0"

[[function]]
name = "nic0"
behind = "rp0"
model = "e810"
nic = { mac = "02:00:00:00:00:01", ims = 64, port = { kind = "bridge", to = "b" } }
"""
ID = UUID("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")


class Traced:
    """A server whose driver can be loaded; it looks to a `User` like a server of these tests."""

    def __init__(self) -> None:
        self.platform: Platform = build(parse(tomllib.loads(SCENARIO), "traced"))
        self.tracer: Tracer = self.platform.tracer
        self.rc = self.platform.root_complex
        self.pasids = self.platform.pasids

    @property
    def mem(self):
        return self.platform.memory

    @property
    def iommu(self):
        return self.platform.iommu

    @property
    def mdev(self) -> MdevCore:
        return self.platform.mdev.core

    def poll(self, condition, seconds):
        if self.platform.threads.running:
            return poll_by_sleep(condition, seconds)
        for _ in range(16):
            if condition():
                return True
            self.pump()
        return bool(condition())

    def pump(self) -> None:
        self.platform.pump()

    def load(self) -> IceDriver:
        made = vdcm_host(self.mdev, self.rc.core)
        services = Services(
            self.mem,
            self.platform.irqs,
            self.iommu,
            vdcm_init=lambda pf: ice_vdcm_init(pf, made),
            poll=self.poll,
        )
        driver = IceDriver(services, queues=0)
        ice_module_init(self.platform.pci, driver)
        return driver

    def create(self, group: str):
        [parent] = self.mdev.parents.values()
        [mtype] = [each for each in parent.types if each.mtype.group == group]
        return self.mdev.create(mtype, ID)

    @contextmanager
    def steps(self, *kinds: str) -> Iterator[list[Step]]:
        """The steps of what is done within, afterwards."""
        found: list[Step] = []
        self.tracer.clear()
        self.tracer.start(kinds)
        try:
            yield found
        finally:
            self.tracer.stop()
            found += self.tracer.steps()
            assert self.platform.watch.mmio.errors == 0
            assert self.tracer.dropped == self.tracer.recorded - len(found)


@pytest.fixture
def server() -> Traced:
    server = Traced()
    server.platform.enumerate()
    return server


@pytest.fixture
def loaded(server) -> Traced:
    server.load()
    return server


def in_order(steps: list[Step], *names: str) -> list[Step]:
    """The first step of each name behind the one before."""
    found, at = [], 0
    for name in names:
        at = next((n for n in range(at, len(steps)) if steps[n].what == name), -1) + 1
        assert at, f"no {name} behind {found[-1].what if found else 'the start'}"
        found.append(steps[at - 1])
    return found


def test_a_start_up_reads_as_the_chain_from_module_init_to_the_parents_registration(server):
    with server.steps() as steps:
        server.load()
    chain = in_order(
        steps, "ice_module_init", "pci_register_driver", "driver_register", "bus_add_driver", "driver_attach",
        "pci_match_device", "driver_probe_device", "really_probe", "ice_probe", "ice_init_hw",
        "LIST_FUNC_CAPS", "ice_is_siov_capable", "ice_initialize_siov_res", "ice_vdcm_init",
        "mdev_register_parent",
    )  # fmt: skip
    told_together = ("bus_add_driver", "pci_match_device", "LIST_FUNC_CAPS")
    nested = [step for step in chain if step.what not in told_together]
    for outer, inner in pairwise(nested[:7]):
        assert inner.depth > outer.depth, f"{inner.what} is a part of {outer.what}"
    probe = next(step for step in chain if step.what == "ice_probe")
    assert all(step.depth > probe.depth for step in chain[chain.index(probe) + 1 :])


def test_one_life_of_a_virtual_device_reads_as_the_chain_of_the_notes(loaded):
    with loaded.steps() as steps:
        user = User(loaded, loaded.create("vdcm"))
        user.open()
        user.close()
        loaded.mdev.remove(user.mdev)
    chain = in_order(
        steps, "mdev_device_create", "ice_vdcm_create", "ice_vdcm_alloc_adi", "ice_create_adi",
        "ice_adi_vsi_setup", "ice_vsi_setup", "ADD_VSI", "ice_ena_siov_vf_mapping", "ice_vdcm_cfg_init",
        "vfio_mdev_probe", "vfio_device_open", "open_device", "ice_vdcm_open_device", "cfg_pasid",
        "UPDATE_VSI", "vfio_device_close", "close_device", "ice_vdcm_close_device",
        "ice_siov_clear_mbx_register", "ice_siov_trigger_reset_register", "ice_adi_close",
        "mdev_device_remove", "mdev_device_remove_common", "vfio_mdev_remove", "ice_vdcm_remove",
        "ice_free_adi", "FREE_VSI",
    )  # fmt: skip
    named = {step.what: step for step in chain}
    assert named["open_device"].detail == named["cfg_pasid"].detail.split(" ", 2)[2]
    assert any(part.startswith("PASID_ID=") for part in named["UPDATE_VSI"].fields["buffer"])
    assert named["ADD_VSI"].fields["answer"]["VSI_NUM"] in named["FREE_VSI"].detail
    assert named["ice_vdcm_create"].depth > named["mdev_device_create"].depth


def test_what_a_guest_asks_stands_below_the_interrupt_that_brings_it_and_before_its_answer(loaded):
    user = User(loaded, loaded.create("vdcm"))
    user.open()
    user.open_mailbox()
    with loaded.steps("interrupt", "mailbox", "adminq") as steps:
        user.send(Op.VERSION, VersionInfo.of(major=1, minor=1).to_bytes())
        loaded.pump()
        user.send(Op.GET_VF_RESOURCES, VfCaps.of(L2=1, VLAN=1).to_bytes())
        loaded.pump()
        selected = QueueSelect.of(vsi_id=user.num, rx_queues=1, tx_queues=1)
        user.send(Op.ENABLE_QUEUES, selected.to_bytes())
        loaded.pump()
    user.close()
    asked = [step for step in steps if step.kind.value == "mailbox" and not step.fields["reply"]]
    assert [step.what for step in asked] == ["VERSION", "GET_VF_RESOURCES", "ENABLE_QUEUES"]
    assert {step.subject for step in asked} == {f"nic0/vsi{user.num}"}
    for step in asked:
        bell = [one for one in steps if one.kind.value == "interrupt" and one.number < step.number][-1]
        assert step.depth == bell.depth + 1
        answer = next(one for one in steps if one.number > step.number and one.what == step.what)
        assert answer.fields["reply"]
    refused = [step for step in steps if step.fields.get("status") == "ERR_PARAM"]
    assert [step.what for step in refused] == ["ENABLE_QUEUES"], "the queues were never configured"
    granted = next(step for step in steps if step.what == "GET_VF_RESOURCES" and step.fields["reply"])
    assert granted.fields["vf_cap_flags"] == "L2|VLAN"


def test_a_guests_registers_have_the_names_of_its_personality(loaded):
    user = User(loaded, loaded.create("avf"))
    user.open()
    with loaded.steps("vfio") as steps:
        user.open_mailbox()
    user.close()
    assert any("BAR0 VF_ATQLEN1 = 0x80000020 LEN=0x20 ENABLE=1" in step.detail for step in steps)
    assert {step.subject for step in steps} == {str(ID)}


def test_nothing_is_left_of_a_trace_when_it_is_over(loaded):
    mdev = loaded.create("vdcm")
    with loaded.steps():
        assert mdev.ops is not None
    user = User(loaded, mdev)
    user.open()
    recorded = loaded.tracer.recorded
    user.close()
    loaded.mdev.remove(mdev)
    assert loaded.tracer.recorded == recorded
    assert loaded.platform.watch.mmio.read == loaded.rc.read
    assert loaded.platform.core.root.hook is None


def test_a_trace_changes_nothing_of_what_happens(loaded):
    def life() -> list[bytes]:
        user = User(loaded, loaded.create("vdcm"))
        user.open()
        user.open_mailbox()
        user.send(Op.VERSION, VersionInfo.of(major=1, minor=1).to_bytes())
        loaded.pump()
        seen = [*(data for _, _, data in user.take()), user.vfio.read(7, 0, 64)]
        user.close()
        loaded.mdev.remove(user.mdev)
        return seen

    before = life()
    with loaded.steps() as steps:
        traced = life()
    assert traced == before
    assert len(list(as_text(steps))) == len(steps) > 100


def test_a_server_that_runs_on_threads_can_be_traced_from_another(loaded):
    user = User(loaded, loaded.create("vdcm"))
    user.open()
    user.open_mailbox()
    with loaded.steps("mailbox", "interrupt") as steps, loaded.platform:
        for _ in range(20):
            user.send(Op.VERSION, VersionInfo.of(major=1, minor=1).to_bytes())
            assert loaded.platform.threads.running
        answers = 0
        while answers < 20:
            answers += len(user.take())
    user.close()
    asked = [step for step in steps if step.kind.value == "mailbox" and not step.fields["reply"]]
    assert [step.what for step in asked] == ["VERSION"] * 20
    assert {step.thread for step in asked} == {"host-interrupts"}
    assert [step.number for step in steps] == sorted(step.number for step in steps)


def test_a_vdevs_frames_are_captured_by_its_uuid(loaded, tmp_path):
    user = User(loaded, loaded.create("vdcm"))
    user.open()
    [info] = loaded.platform.capture.start(str(ID), str(tmp_path / "a.pcapng"))
    assert info.target == f"nic0/vsi{user.num}"
    loaded.platform.capture.stop()
    user.close()


def test_unloading_is_told_too(server):
    driver = server.load()
    with server.steps() as steps:
        ice_module_exit(driver)
    in_order(steps, "ice_module_exit", "ice_remove", "ice_vdcm_deinit", "mdev_unregister_parent", "FREE_VSI")
