"""Resets: everything comes back, with numbers, PASIDs, rules and vectors (ice_rebuild)."""

import errno

import pytest

from conformance.e810.adminq import AdminQueue as Box
from conformance.e810.frames import plain
from siov.drivers.ice.adminq import AdminQueue
from siov.drivers.ice.reset import ice_reset
from siov.host.linux import LinuxError
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, VsiProperties

from .adi import Adi
from .server import FAR, Server

KINDS = ["PFR", "CORER", "GLOBR"]


def by_driver(server, pf, kind):
    ice_reset(pf, kind)


def by_another(server, pf, kind):
    """Another function's driver, or firmware, resets: only registers and an interrupt tell."""
    if kind == "PFR":
        server.wr("PFGEN_CTRL", 1)
        pf.oicr.interrupt()  # no interrupt announces it; the next one of any kind sees it
    else:
        server.wr("GLGEN_RTRIG", {"CORER": 1, "GLOBR": 2}[kind])
    server.pump()


@pytest.fixture(params=[by_driver, by_another], ids=["ours", "anothers"])
def reset(request):
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_adis_come_back_with_number_pasid_rules_and_vectors(server, pf, reset, kind):
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    gone = pf.vsi_setup()
    three = Adi.make(server, pf, 3, up=False)
    gone.release()
    numbers = [adi.vsi.num for adi in (one, two, three)]
    reset(server, pf, kind)
    assert pf.resetting is None
    assert pf.resets == {kind: 1}
    vsis = server.function.firmware.vsis
    assert [adi.vsi.num for adi in (one, two, three)] == numbers == [1, 2, 4]
    for adi in (one, two, three):
        assert vsis[adi.vsi.num].pasid == adi.guest.pasid
        adi.rx.clear()
        adi.tx.clear()
        adi.up()
    frame = plain(three.mac, one.mac)
    one.send(frame)
    assert three.frames() == [frame]
    assert two.frames() == []
    assert server.iommu.faults.drain() == []
    two.vsi.map_vector(1, [0], [])
    two.vsi.vectors[1].enable()
    one.send(plain(two.mac, one.mac))
    assert two.vsi.vectors[1].fired == 1


@pytest.mark.parametrize("kind", KINDS)
def test_mailboxes_are_reached_by_pasid_again_and_fire_their_vectors(server, pf, reset, kind):
    adi = Adi.make(server, pf, 1, up=False)
    adi.vsi.map_mailbox(0)
    heard = []
    pf.mbx.receive(lambda vsi, desc, data: heard.append((vsi, data)))
    reset(server, pf, kind)
    assert server.rd("GL_MBX_PASID") & 1
    box = Box(adi.guest, "VSI_MBX", adi.vsi.num)
    adi.vsi.vectors[0].enable()
    flags = AqFlags.of(SI=1, BUF=1, RD=1)
    box.put(AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=2, COOKIE_HIGH=1), b"hi")
    assert heard == [(adi.vsi.num, b"hi")]
    pf.mbx.send(adi.vsi.num, 1, 0)
    assert adi.vsi.vectors[0].fired == 1


@pytest.mark.parametrize("kind", KINDS)
def test_queues_that_were_on_stay_off_and_move_nothing(server, pf, reset, kind):
    one = Adi.make(server, pf, 1)
    reset(server, pf, kind)
    assert one.vsi.tx_on == one.vsi.rx_on == set()
    before = one.guest.read(one.rx[0].ring, 64 * 32), one.guest.read(one.rx[0].buffers, 64 * 2048)
    one.send(plain(one.mac, FAR))
    assert (one.guest.read(one.rx[0].ring, 64 * 32), one.guest.read(one.rx[0].buffers, 64 * 2048)) == before
    with pytest.raises(LinuxError, match="has no ring"):
        one.vsi.ena_txq(0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_netdev_goes_on_if_it_was_up(wire, reset, kind):
    server = Server(port=wire.near)
    pf = server.load(queues=1)
    pf.netdev.open()
    reset(server, pf, kind)
    frame = plain(pf.mac, FAR)
    wire.send(server, frame)
    assert list(pf.netdev.frames) == [frame]
    pf.netdev.xmit(plain(FAR, pf.mac))
    server.pump()
    assert wire.take() == [plain(FAR, pf.mac)]


def test_the_netdev_stays_down_if_it_was_down(server, reset):
    pf = server.load(queues=1)
    reset(server, pf, "PFR")
    assert not pf.netdev.up


def test_a_message_that_comes_before_the_vector_may_fire_again_is_heard(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    heard = []
    pf.mbx.receive(lambda vsi, desc, data: heard.append((vsi, data)))

    def write(pf):
        """A guest on another CPU, that sees its device come back."""
        box = Box(adi.guest, "VSI_MBX", adi.vsi.num)
        flags = AqFlags.of(SI=1, BUF=1, RD=1)
        box.put(AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=2, COOKIE_HIGH=1), b"hi")
        pf.services.poll(lambda: False, 0.01)

    pf.on_rebuild.append(write)
    ice_reset(pf, "CORER")
    server.pump()
    assert heard == [(adi.vsi.num, b"hi")]


def test_the_ways_of_a_reset_are_told_before_and_after(server, pf):
    """Before: the mailbox is open, so guests hear of it. After: VSIs are there again."""
    told = []
    adi = Adi.make(server, pf, 1, up=False)
    box = Box(adi.guest, "VSI_MBX", adi.vsi.num)
    pf.on_reset.append(lambda pf: told.append(("before", pf.mbx.send(adi.vsi.num, 17, 0))))
    pf.on_rebuild.append(lambda pf: told.append(("after", adi.vsi.num in pf.vsis, pf.resetting)))
    ice_reset(pf, "CORER")
    assert told == [("before", 0), ("after", True, None)]
    raw = adi.guest.read(box.ring["ARQ"], 32)
    assert AqDesc.from_bytes(raw).COOKIE_HIGH == 17


def test_the_trace_of_a_reset_reads_as_linuxs_functions(server, pf):
    pf.vsi_setup()
    del server.trace[:]
    ice_reset(pf, "CORER")
    names = ["ice_prepare_for_reset", "ice_reset", "ice_rebuild", "ice_restore_pasid_config"]
    seen = server.functions(*names, "ice_vsi_rebuild")
    assert seen == [*names, "ice_vsi_rebuild", "ice_vsi_rebuild"]


def test_resets_again_and_again_leave_nothing_behind(server, pf):
    adi = Adi.make(server, pf, 1, up=False)
    ice_reset(pf, "PFR")
    before = server.holdings()
    for kind in KINDS * 3:
        ice_reset(pf, kind)
    assert server.holdings() == before
    adi.vsi.release()
    server.unload()


def test_a_vsi_can_be_released_and_made_after_a_reset(server, pf):
    one, two = pf.vsi_setup(), pf.vsi_setup()
    ice_reset(pf, "GLOBR")
    one.release()
    assert pf.vsi_setup().num == one.num
    two.release()


def test_statistics_go_on_after_a_reset_of_the_device(server, pf):
    one, two = Adi.make(server, pf, 1), Adi.make(server, pf, 2)
    one.send(plain(two.mac, one.mac))
    assert two.vsi.stats().rx_unicast == 1
    ice_reset(pf, "CORER")
    for adi in (one, two):
        adi.rx.clear()
        adi.tx.clear()
        adi.up()
    one.send(plain(two.mac, one.mac))
    assert two.vsi.stats().rx_unicast == 2


def test_an_unknown_reset_is_refused_with_the_choices(pf):
    with pytest.raises(LinuxError, match="PFR, CORER, GLOBR") as error:
        ice_reset(pf, "EMPR")
    assert error.value.errno == errno.EINVAL


def test_when_the_rebuild_fails_the_function_is_down_and_can_be_bound_anew(server, pf, monkeypatch):
    pf.vsi_setup()
    real = AdminQueue.send

    def refuse(self, opcode, *args, **kwargs):
        if opcode is AqOpcode.ADD_VSI:
            raise LinuxError(errno.EIO, "refused")
        return real(self, opcode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(AdminQueue, "send", refuse)
        with pytest.raises(LinuxError, match="refused"):
            ice_reset(pf, "PFR")
    with pytest.raises(LinuxError, match="PFR that could not be undone") as error:
        pf.vsi_setup()
    assert error.value.errno == errno.EBUSY
    server.unload()
    assert server.load().vsi_setup().num == 1


def test_a_device_that_does_not_come_back_is_said_to(server, pf, monkeypatch):
    monkeypatch.setattr(pf.services, "poll", lambda condition, seconds: False)
    with pytest.raises(LinuxError, match="does not come back from its PFR") as error:
        ice_reset(pf, "PFR")
    assert error.value.errno == errno.ETIMEDOUT
    with pytest.raises(LinuxError, match="PFR that could not be undone"):
        pf.vsi_setup()


def test_properties_that_were_changed_come_back(server, pf):
    vsi = pf.vsi_setup()
    vsi.update_properties(VsiProperties.SEC_FLAGS.of(ENA_MAC_ANTI_SPOOF=0, TX_VLAN_PRUNE_ENA=1))
    vsi.set_rss_key(bytes(range(52)))
    vsi.set_rss_lut(bytes([1, 2] * 32))
    ice_reset(pf, "CORER")
    flags = server.function.firmware.vsis[vsi.num].properties[VsiProperties.SEC_FLAGS]
    assert (flags.ENA_MAC_ANTI_SPOOF, flags.TX_VLAN_PRUNE_ENA) == (0, 1)
    assert vsi.rss.get_key() == bytes(range(52))
    assert vsi.rss.get_lut() == bytes([1, 2] * 32)
