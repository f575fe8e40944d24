"""Embedded guests on a whole server: how they reach a virtual device, and what becomes of it."""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

from siov.drivers.iavf import State
from siov.host.linux import LinuxError
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.e810.queues import VsiMailbox
from siov.spec.vdev import VdevBar0

STEPS = 20_000


def server(*guests: dict[str, Any], traffic: tuple[dict[str, Any], ...] = (), **keys: Any) -> Platform:
    nic = {"name": "nic0", "at": "01.0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01", "ims": 64}}
    described = {"iommu": {}, "function": [nic], "guest": list(guests), "traffic": list(traffic), **keys}
    platform = build(parse(described, "test"))
    platform.boot()
    return platform


def guest(name: str, *vdevs: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "memory": "32M", "vdevs": [{"parent": "nic0", **vdev} for vdev in vdevs]}


def talk(platform: Platform) -> dict[str, dict[str, Any]]:
    """Let all that is to be sent be sent, without a thread; what each guest found."""
    assert platform.tenants is not None
    for _ in range(STEPS):
        platform.tenants.step()
        platform.pump()
        if platform.tenants.done:
            return platform.tenants.results()
    raise AssertionError("the guests do not finish")


@pytest.fixture
def pair() -> Iterator[Platform]:
    """Two guests, one of which sends the other 300 datagrams, no more than a ring at a time."""
    platform = server(
        guest("vm1", {}),
        guest("vm2", {}),
        traffic=({"kind": "request", "src": "vm1", "dst": "vm2", "count": 300, "sizes": [64, 1400]},),
    )
    yield platform
    platform.unload()


def test_every_byte_that_one_guest_sends_arrives_at_the_other_in_order(pair):
    results = talk(pair)
    assert results["vm2.0"]["checked"]["in_order"] == 300
    assert results["vm1.0"]["checked"]["in_order"] == 300
    assert pair.tenants.wrong == 0
    stats = pair.netdev("vm2.0").ethtool(["-S"])
    assert "rx_unicast: 300\n" in stats
    assert "tx_unicast: 300\n" in stats


def test_a_page_of_the_device_is_an_exit_once_and_then_leads_straight_to_the_adapter(pair):
    vdev = pair.tenants.all["vm1", 0].vdev
    vm, mailbox = vdev.guest, VdevBar0.spans["VDEV_MBX"].at
    adi = vdev.device.ops.adi
    page = pair.ice.pfs["nic0"].hw.address("VSI_MBX_ATQBAL", adi.vf_id)
    assert vm.core.access(vdev.address(mailbox))["hpa"] == page
    before = dict(vm.core.exits)
    vdev.write32(mailbox + VsiMailbox.ATQH.at, 0)
    assert dict(vm.core.exits) == before


def test_a_trapped_register_is_an_exit_every_time(pair):
    vdev = pair.tenants.all["vm1", 0].vdev
    count = vdev.guest.core.exits["EPT_VIOLATION"]
    for n in range(3):
        assert vdev.read32(VdevBar0.VFGEN_RSTAT.at) & 3 == 2
        assert vdev.guest.core.exits["EPT_VIOLATION"] == count + n + 1


def test_where_no_register_is_a_guest_reads_what_the_device_answers_and_loses_its_writes(pair):
    vdev = pair.tenants.all["vm1", 0].vdev
    dropped = vdev.device.ops.vdev.inspect()["dropped_writes"]
    assert vdev.read32(0x9000) == 0xDEADBEEF
    vdev.write32(0x9000, 1)
    assert vdev.device.ops.vdev.inspect()["dropped_writes"] == dropped + 1


def test_a_reset_takes_the_pages_away_and_the_driver_comes_back_and_goes_on(pair):
    talk(pair)
    tenant = pair.tenants.all["vm2", 0]
    tenant.vdev.device.reset()
    assert tenant.vdev.slots == {}
    tenant.driver.service()
    assert (tenant.driver.state, tenant.driver.counts["resets"]) == (State.RUNNING, 1)
    for _ in range(8):  # pages are touched anew, buffers posted
        pair.tenants.step()
        pair.pump()
    pair.tenants.loop.send(
        pair.tenants.all["vm1", 0].seat, "request", tenant.driver.mac, sizes=[64], count=50, seed=0x510F
    )
    assert talk(pair)["vm2.0"]["checked"]["frames"] == 350
    assert pair.tenants.wrong == 0


def test_rings_of_another_size_come_with_a_reset_and_are_those_of_the_hardware(pair):
    tenant = pair.tenants.all["vm2", 0]
    pair.netdev("vm2").ethtool(["-G", "rx", "512", "tx", "128"])
    vsi = tenant.vdev.device.ops.adi.vsi
    assert {ring.length for ring in vsi.rx_rings.values()} == {512}
    assert {ring.length for ring in vsi.tx_rings.values()} == {128}
    assert "RX:\t\t512\n" in pair.netdev(tenant.uuid).ethtool(["-g"])
    assert talk(pair)["vm2.0"]["checked"]["in_order"] == 300
    with pytest.raises(LinuxError, match=r"rx: 8192\) out of range \[64-4096\]"):
        pair.netdev("vm2").ethtool(["-G", "rx", "8192"])


@pytest.mark.parametrize("kind", ["vdcm", "avf"])
@pytest.mark.parametrize("vectors", ["msix", "ims"])
def test_both_personalities_talk_by_both_kinds_of_vectors(kind, vectors):
    platform = server(
        guest("vm1", {"type": f"{kind}-1"}),
        guest("vm2", {"type": f"{kind}-1"}),
        traffic=({"kind": "request", "src": "vm1", "dst": "vm2", "count": 40, "sizes": [200]},),
        ice={"vectors": vectors},
    )
    try:
        results = talk(platform)
        for name in ("vm1", "vm2"):
            used = platform.tenants.all[name, 0].vdev.device.ops.adi.vsi.vectors
            assert {vector.ims for vector in used} == {vectors == "ims"}
            assert results[f"{name}.0"]["checked"]["in_order"] == 40
            assert results[f"{name}.0"]["rings"]["interrupts"] > 0
    finally:
        platform.unload()


def test_guests_of_one_vlan_talk_with_its_tag_and_those_of_another_hear_nothing():
    platform = server(
        guest("vm1", {"vlan": 5}),
        guest("vm2", {"vlan": 5}),
        guest("vm3", {"vlan": 6}),
        traffic=(
            {"kind": "request", "src": "vm1", "dst": "vm2", "count": 30, "sizes": [100]},
            {"kind": "generate", "src": "vm1", "dst": "vm3", "count": 30, "sizes": [100]},
        ),
    )
    try:
        results = talk(platform)
        assert results["vm2.0"]["checked"]["in_order"] == 30
        assert results["vm2.0"]["checked"]["wrong_tag"] == 0
        assert results["vm3.0"]["checked"]["frames"] == 0
    finally:
        platform.unload()


def test_nothing_of_guests_is_left_when_the_server_unloads():
    gc.collect()
    files = set(os.listdir("/proc/self/fd"))
    platform = server()
    memory = dict(platform.memory.in_use)
    vectors = platform.irqs.inspect()["vectors"]
    platform.unload()
    del platform
    for _ in range(2):
        one = server(guest("vm1", {}, {"type": "avf"}), guest("vm2", {}))
        one.unload()
        assert one.tenants is None
        assert one.pasids.taken == set()
        unit = {f"{one.iommu.name}-fault", f"{one.iommu.name}-prq"}
        assert set(one.irqs.inspect()["vectors"].values()) == unit, "the unit's own stay"
        assert set(one.memory.in_use) <= set(memory)
        assert one.mdev.list() == []
        del one
        gc.collect()  # what a server holds of the system goes with its objects
    assert len(vectors) > 0
    assert set(os.listdir("/proc/self/fd")) == files
