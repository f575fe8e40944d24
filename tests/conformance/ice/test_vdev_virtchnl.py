"""A virtual device and virtchnl together: how a driver begins, and begins anew."""

import pytest

from siov.host.linux import LinuxError
from siov.spec.e810 import RecipeId
from siov.spec.virtchnl import Op, PromiscInfo, VfCaps, VfResource, VsiResource
from siov.vdevs import vdcm_host

from .vdcm import DYN_CTL01, ICR0_ENA1, ICR01, MBX, RSTAT, User, VdcmServer

VERSION = bytes([1, 0, 0, 0, 1, 0, 0, 0])


@pytest.fixture
def server() -> VdcmServer:
    return VdcmServer(host=vdcm_host)


@pytest.fixture(params=["vdcm", "avf"])
def user(server: VdcmServer, request) -> User:
    return User(server, server.create(request.param)).open()


def begin(user: User, caps: VfCaps) -> VfResource:
    """What a driver does up to its resources."""
    assert user.rd(RSTAT) == 2
    user.open_mailbox()
    user.send(Op.VERSION, VERSION)
    user.server.pump()
    assert user.take() == [(Op.VERSION, 0, VERSION)]
    user.send(Op.GET_VF_RESOURCES, caps.to_bytes())
    user.server.pump()
    (op, status, data), *events = user.take()
    assert (op, status) == (Op.GET_VF_RESOURCES, 0)
    assert all(event[0] == Op.EVENT for event in events)
    user.resource = data
    return VfResource(data[: VfResource.size])


def test_a_driver_gets_the_queues_vectors_and_address_of_its_device(server, user):
    found = begin(user, VfCaps.of(L2=1, RSS_PF=1, VLAN_V2=1))
    assert (found.num_vsis, found.num_queue_pairs, found.max_vectors) == (1, 4, 5)
    vsi = VsiResource(user.resource[VfResource.size : VfResource.size + VsiResource.size])
    assert bytes(vsi.default_mac_addr) == user.device.mac
    assert vsi.vsi_id == user.num


def test_a_reset_by_message_has_no_answer_and_the_driver_begins_anew(server, user):
    caps = VfCaps.of(L2=1)
    begin(user, caps)
    user.send(Op.RESET_VF)
    server.pump()
    assert user.take() == []
    assert (user.rd(RSTAT), user.rd(MBX["ARQLEN"])) == (2, 0)
    assert begin(user, caps).num_queue_pairs == 4


def test_a_reset_by_the_vmm_is_announced_to_a_driver_that_has_begun(server, user):
    begin(user, VfCaps.of(L2=1))
    head = user.rd(MBX["ARQH"])
    user.vfio.reset()
    assert user.rd(MBX["ARQH"]) == head + 1
    event = user.read(user.BUFFERS + 0x1000 * head, 4)
    assert event == (2).to_bytes(4, "little"), "RESET_IMPENDING"


def test_the_handler_of_vector_0_finds_the_cause_in_its_registers(server):
    avf = User(server, server.create("avf")).open()
    avf.irqs()
    avf.open_mailbox()
    avf.wr(DYN_CTL01, 0x19)
    avf.wr(ICR0_ENA1, 1 << 30)
    avf.send(Op.VERSION, VERSION)
    server.pump()
    assert avf.fired(0) == 1
    assert (avf.rd(ICR01), avf.rd(ICR0_ENA1)) == (1 << 30 | 1, 1 << 30)
    assert [op for op, _, _ in avf.take()] == [Op.VERSION]


def test_only_a_trusted_guest_is_promiscuous_and_what_trust_changes_begins_with_a_reset(server, user):
    everything = PromiscInfo.of(vsi_id=user.num, flags=3).data
    file = f"/sys/bus/mdev/devices/{user.mdev.name}/trusted"

    def rules() -> int:
        return sum(lookup.recipe is RecipeId.PROMISC for lookup in server.pf.switch.of(user.num))

    def promiscuous() -> bool:
        begin(user, VfCaps.of(L2=1))
        user.send(Op.CONFIG_PROMISCUOUS_MODE, everything)
        server.pump()
        assert user.take() == [(Op.CONFIG_PROMISCUOUS_MODE, 0, b"")]  # an untrusted one is not told
        return rules() == 4  # unicast and multicast, from the port and from neighbours

    assert not promiscuous()
    server.pci.core.sysfs.write(file, "1\n")
    assert server.pci.core.sysfs.read(file) == b"1\n"
    assert promiscuous()
    server.pci.core.sysfs.write(file, "1")  # nothing new: no reset
    assert user.rd(MBX["ATQLEN"]) >> 31
    server.pci.core.sysfs.write(file, "0")
    assert not user.rd(MBX["ATQLEN"]) >> 31
    assert not rules()
    assert not promiscuous()
    with pytest.raises(LinuxError, match="'yes' is not 1 or 0"):
        server.pci.core.sysfs.write(file, "yes")
