"""Row 12: the start of the ice module, from its init to a VDCM, as a server's trace tells it."""

from itertools import pairwise

from .house import House, follow

MODULE = (
    "ice_module_init", "pci_register_driver", "driver_register", "bus_add_driver", "driver_attach",
    "pci_match_device", "driver_probe_device", "really_probe", "ice_probe",
)  # fmt: skip
PROBE = (
    "ice_init_hw", "LIST_FUNC_CAPS", "ice_is_siov_capable", "ice_init_interrupt_scheme",
    "ice_init_link_events", "ice_init_pf_sw", "ice_register_netdev", "ice_init_features",
    "ice_initialize_siov_res", "ice_vdcm_init", "mdev_register_parent",
)  # fmt: skip
GUEST = (
    "mdev_device_create", "ice_vdcm_create", "ice_create_adi", "ADD_VSI", "vfio_mdev_probe",
    "vfio_device_open", "ice_vdcm_open_device", "cfg_pasid", "VERSION", "GET_VF_RESOURCES", "ENABLE_QUEUES",
)  # fmt: skip


def test_a_servers_start_reads_as_the_chain_of_the_notes():
    house = House.build("start", vm1='type = "vdcm"')
    house.platform.enumerate()
    with house.steps() as steps:
        house.platform.boot_host()
    chain = follow(steps, *MODULE, *PROBE, *GUEST)
    probe = chain[len(MODULE) - 1]
    for step in chain[len(MODULE) : len(MODULE) + len(PROBE)]:
        assert step.depth > probe.depth, f"{step.what} is a part of ice_probe"
    inner = [s for s in chain[: len(MODULE)] if s.what not in ("bus_add_driver", "pci_match_device")]
    assert all(b.depth > a.depth for a, b in pairwise(inner)), "each is a part of the one before"
    capable = next(step for step in chain if step.what == "ice_is_siov_capable")
    assert capable.detail == "yes"


def test_only_the_adapter_is_matched_although_each_function_is_offered():
    house = House.build("match")
    house.platform.enumerate()
    with house.steps("core", "pci") as steps:
        house.platform.boot_host()
    names = [dev.name for dev in house.platform.host_bridge.devices()]
    asked = [step.detail for step in steps if step.what == "pci_match_device"]
    probed = [step.subject.rpartition("/")[2] for step in steps if step.what == "really_probe"]
    assert sorted(asked) == sorted(names)
    assert len(names) == 2, "the root port and the adapter"
    assert probed == [house.pf.dev.name]


def test_without_pasids_the_chain_ends_before_the_vdcm_and_says_why(monkeypatch):
    house = House.build("plain")
    house.platform.enumerate()
    monkeypatch.setattr("siov.drivers.ice.main.pasid_bits", lambda dev: 0)
    with house.steps() as steps:
        house.platform.boot_host()
    [capable] = [step for step in steps if step.what == "ice_is_siov_capable"]
    assert capable.detail == "no PASID capability"
    assert not any(step.what == "ice_vdcm_init" for step in steps)
    assert house.platform.mdev.types() == []
    assert "driver: ice\n" in house.platform.netdev("nic0").ethtool(["-i"]), "the rest of it works"


def test_unloading_reads_as_the_chain_backwards():
    house = House.build("stop", vm1='type = "vdcm"').boot()
    with house.steps() as steps:
        house.platform.unload()
    follow(
        steps, "ice_vdcm_close_device", "ice_vdcm_remove", "FREE_VSI", "ice_module_exit", "ice_remove",
        "ice_vdcm_deinit", "mdev_unregister_parent",
    )  # fmt: skip
