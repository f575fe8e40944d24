"""The port's link: nothing goes out or comes in while it is down, and the driver hears of it."""

from siov.spec.e810 import AqGetLinkStatus, AqLinkStatus, AqOpcode, AqRestartAn, LinkStatusEvents

from .frames import A, plain

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


def status(nic, events=LinkStatusEvents.NOP):
    params = AqGetLinkStatus.of(LPORT_NUM=0, LSE=events)
    answer = nic.aq.send(AqOpcode.GET_LINK_STATUS, params, room=AqLinkStatus.width // 8)
    return AqLinkStatus.from_bytes(answer.data)


def test_the_link_is_up_when_the_cable_is_there(nic):
    assert status(nic).LINK_UP


def test_a_link_that_the_other_side_takes_down_carries_nothing_and_is_told(nic, wire, machine):
    vsi = nic.vsi(1)
    status(nic, LinkStatusEvents.ENA)
    wire.far.set_link(False)
    machine.pump()
    assert not status(nic).LINK_UP
    [event] = nic.aq.received()
    assert event.descriptor.OPCODE == AqOpcode.GET_LINK_STATUS
    [index] = vsi.tx[0].send(plain(FAR, A))
    assert vsi.tx[0].done(index), "the queue does not hang"
    assert wire.take() == []
    wire.far.set_link(True)
    machine.pump()
    assert status(nic).LINK_UP
    vsi.tx[0].send(plain(FAR, A, fill=2))
    assert wire.take() == [plain(FAR, A, fill=2)]


def test_the_driver_takes_the_link_down_and_up(nic, wire, machine):
    vsi = nic.vsi(1)
    nic.aq.send(AqOpcode.RESTART_AN, AqRestartAn.of(LPORT_NUM=0, LINK_RESTART=1, LINK_ENABLE=0))
    assert not status(nic).LINK_UP
    vsi.tx[0].send(plain(FAR, A))
    assert wire.take() == []
    assert machine.rd("GLPRT_TDOLD") == 1
    nic.aq.send(AqOpcode.RESTART_AN, AqRestartAn.of(LPORT_NUM=0, LINK_RESTART=1, LINK_ENABLE=1))
    vsi.tx[0].send(plain(FAR, A))
    assert wire.take() == [plain(FAR, A)]


def test_frames_between_vsis_need_no_link(nic, wire, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    wire.far.set_link(False)
    machine.pump()
    one.tx[0].send(plain())
    assert two.frames() == [plain()]


def test_frames_longer_than_the_port_takes_are_dropped_and_counted(nic, wire, machine):
    from siov.spec.e810 import AqSetMacConfig

    vsi = nic.vsi(1)
    nic.aq.send(AqOpcode.SET_MAC_CFG, AqSetMacConfig.of(MAX_FRAME_SIZE=1518))
    wire.send(machine, plain(A, FAR, 1514), plain(A, FAR, 1600))
    assert vsi.frames() == [plain(A, FAR, 1514)]
    assert machine.rd("GLPRT_ROC") == 1
