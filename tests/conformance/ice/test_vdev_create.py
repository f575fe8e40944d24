"""Virtual devices come and go: the steps of ice_vdcm.c and ice_siov.c, and what runs out."""

import errno

import pytest

from siov.host.linux import LinuxError
from siov.spec.e810 import VsiProperties

from .server import MAC
from .vdcm import User, VdcmServer


@pytest.fixture
def server() -> VdcmServer:
    return VdcmServer()


def test_an_instance_is_made_in_the_steps_of_the_driver(server):
    server.trace.clear()
    server.create("vdcm")
    steps = [
        "mdev_device_create", "ice_vdcm_create", "ice_vdcm_alloc_adi", "ice_create_adi", "ice_adi_vsi_setup",
        "ice_vsi_setup", "ice_ena_siov_vf_mapping", "ice_vdcm_cfg_init", "ice_vf_init_host_cfg",
        "vfio_mdev_probe",
    ]  # fmt: skip
    assert server.functions(*steps) == steps


def test_the_parent_offers_both_personalities_with_four_one_and_sixteen_queue_pairs(server):
    [parent] = server.mdev.parents.values()
    names = [mtype.name for mtype in parent.types]
    assert names == ["ice-vdcm", "ice-vdcm-1", "ice-vdcm-16", "ice-avf", "ice-avf-1", "ice-avf-16"]
    assert all(mtype.mtype.name == server.dev.name for mtype in parent.types)


@pytest.mark.parametrize(("group", "pairs"), [("vdcm", 4), ("vdcm-1", 1), ("avf-16", 16)])
def test_an_instance_has_its_pairs_and_a_vector_more(server, group, pairs):
    user = User(server, server.create(group))
    vsi = user.device.adi.vsi
    assert (len(vsi.txq), len(vsi.rxq), len(vsi.vectors)) == (pairs, pairs, pairs + 1)
    assert user.device.irq(2).count == pairs + 1
    assert user.device.read(7, 0x42, 2) == pairs.to_bytes(2, "little")


def test_the_mailbox_fires_vector_0_and_the_device_counts_as_made(server):
    user = User(server, server.create("vdcm"))
    vsi = user.device.adi.vsi
    assert server.nic.get("VPINT_MBX_CTL", vsi.num) == 1 << 30 | 3 << 11 | vsi.vectors[0].index
    assert server.nic.get("VSIGEN_RSTAT", vsi.num) & 2


def test_each_instance_has_an_address_of_its_own_out_of_the_functions(server):
    macs = [User(server, server.create("vdcm-1", n)).device.mac for n in range(8)]
    assert len(set(macs)) == 8
    assert all(mac[0] & 3 == 2 and mac[3:] == MAC[3:] for mac in macs)
    assert MAC not in macs


def test_opening_binds_the_pasid_and_closing_unbinds_it(server):
    user = User(server, server.create("vdcm"))
    props = user.device.adi.vsi.props
    assert props.get(VsiProperties.PASID_ID).VALID == 0
    server.trace.clear()
    user.open()
    word = props.get(VsiProperties.PASID_ID)
    assert (1, user.vfio.pasid) == (word.VALID, word.PASID)
    assert server.functions("ice_vdcm_open_device", "cfg_pasid") == ["ice_vdcm_open_device", "cfg_pasid"]
    user.close()
    assert props.get(VsiProperties.PASID_ID).VALID == 0


def test_queues_run_out_with_a_sentence_and_nothing_is_taken(server):
    free = len(server.pf.avail_rxq.free)
    [parent] = server.mdev.parents.values()
    [room] = [mtype.available().count for mtype in parent.types if mtype.mtype.group == "vdcm-16"]
    for number in range(room):
        server.create("vdcm-16", number)
    with pytest.raises(LinuxError) as caught:
        server.create("vdcm-16", room)
    assert caught.value.errno == errno.ENOSPC
    for mdev in list(server.mdev.devices.values()):
        server.mdev.remove(mdev)
    assert len(server.pf.avail_rxq.free) == free


def test_what_is_available_falls_with_each_instance_and_says_what_limits_it(server):
    [parent] = server.mdev.parents.values()
    before = {mtype.mtype.group: mtype.available().count for mtype in parent.types}
    server.create("avf-16")
    after = {mtype.mtype.group: mtype.available() for mtype in parent.types}
    assert after["avf-16"].count == before["avf-16"] - 1
    assert "are free" in after["avf-16"].reason


@pytest.mark.parametrize("group", ["vdcm", "avf"])
def test_an_instance_leaves_nothing_behind(server, group):
    before = server.holdings()
    user = User(server, server.create(group)).open()
    user.irqs()
    user.open_mailbox()
    user.close()
    server.mdev.remove(user.mdev)
    user.container.dma_unmap(0, 1 << 40)
    user.container.domain.free()
    server.mem.free(user.memory)
    assert server.holdings() == before
    assert server.vdcm.devices == server.vdcm.messages.lines == {}


def test_unloading_the_driver_takes_open_instances_down(server):
    user = User(server, server.create("vdcm")).open()
    user.irqs()
    server.unload()
    assert not user.vfio.is_open
    assert server.mdev.devices == {}
    assert server.nic.get("GL_MBX_PASID") & 1 == 0
