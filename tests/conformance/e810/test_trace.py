"""The trace of a driver at work: commands and messages out of its rings in memory, decoded by name."""

from collections.abc import Iterator

import pytest

from siov.observe.trace import Kind, MmioTap, Step, Tracer, UnitWindow, as_text, nic_windows
from siov.spec.e810 import AqDesc, AqFlags, AqGetVersion, AqOpcode, AqRc, AqVsi
from siov.spec.virtchnl import EventCode, Op, PfEvent, QueueSelect, Status, VersionInfo, VfCaps

from .adminq import AdminQueue
from .driver import E810Driver
from .frames import plain
from .machine import BAR0, BAR3, UNIT, Machine
from .scene import Scene


class Tapped:
    """The root complex, with the host's accesses going through a tap."""

    def __init__(self, machine: Machine) -> None:
        self.tap = MmioTap(machine.rc)
        self._rc = machine.rc

    def __getattr__(self, name: str) -> object:
        return getattr(self.tap if name in ("read", "write") else self._rc, name)


@pytest.fixture
def traced(machine) -> Iterator[tuple[Machine, Tracer]]:
    rc = Tapped(machine)
    machine.rc = rc
    nic_windows(rc.tap, "nic0", (BAR0, 1 << 27), (BAR3, 1 << 16))
    tracer = Tracer(machine.clock.now)
    tracer.add(rc.tap)
    yield machine, tracer
    tracer.stop()
    assert rc.tap.errors == 0


def of(tracer: Tracer, *kinds: str) -> list[Step]:
    return tracer.steps(kinds=kinds)


def send(queue: AdminQueue, opcode: AqOpcode, op: int, status: int = 0, data: bytes = b"", to: int = 0):
    flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512)
    desc = AqDesc.of(FLAGS=flags.raw, OPCODE=opcode, DATALEN=len(data), COOKIE_HIGH=op, PARAM0=to)
    index = queue.put(desc.replace(COOKIE_LOW=status & 0xFFFF_FFFF), data)
    queue.machine.pump()
    return queue.answer(index)


def test_a_command_is_told_once_with_its_parameters_answer_and_return_code(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    tracer.start(["adminq"])
    version = nic.aq.send(AqOpcode.GET_VER).params(AqGetVersion)
    nic.aq.send(AqOpcode.FREE_VSI, AqVsi.of(VSI_NUM=700, IS_VALID=1), expect=AqRc.ENOENT)
    got, refused = of(tracer, "adminq")
    assert (got.what, got.subject) == ("GET_VER", "nic0")
    assert got.fields["result"] == "OK"
    assert got.fields["answer"]["FW_MAJOR"] == str(version.FW_MAJOR)
    assert refused.what == "FREE_VSI"
    assert refused.detail == "VSI_NUM=0x2bc IS_VALID=1 TYPE=VF -> ENOENT"


def test_making_a_vsi_shows_its_properties_and_the_number_it_gets(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    tracer.start(["adminq"])
    vsi = nic.vsi(1)
    steps = of(tracer, "adminq")
    assert [step.what for step in steps] == ["ADD_VSI", "ADD_SW_RULES", "ADD_TXQS"]
    add, rule, _ = steps
    assert add.fields["answer"]["VSI_NUM"] == str(vsi.number)
    assert any(
        element.startswith("SW_FLAGS=") and "ALLOW_LB=1" in element for element in add.fields["buffer"]
    )
    assert all(not element.startswith("FD_OPTIONS") for element in add.fields["buffer"]), "no valid section"
    assert "RECIPE_ID=MAC" in rule.fields["buffer"][0]
    assert vsi.mac.hex() in rule.fields["buffer"][0]


def test_messages_each_way_are_told_with_the_vsi_the_operation_and_the_status(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    vsi = nic.vsi(1)
    pf = AdminQueue(nic.space, "PF_MBX")
    vf = AdminQueue(vsi.space, "VSI_MBX", vsi.number)
    tracer.start(["mailbox"])
    send(vf, AqOpcode.SEND_MSG_TO_PF, Op.VERSION, data=VersionInfo.of(major=1, minor=1).to_bytes())
    queues = QueueSelect.of(vsi_id=vsi.number, rx_queues=1, tx_queues=1).to_bytes()
    send(vf, AqOpcode.SEND_MSG_TO_PF, Op.ENABLE_QUEUES, data=queues)
    caps = VfCaps.of(L2=1, VLAN=1).raw.to_bytes(4, "little")
    send(vf, AqOpcode.SEND_MSG_TO_PF, Op.GET_VF_RESOURCES, data=caps)
    assert len(pf.received()) == 3
    send(pf, AqOpcode.SEND_MSG_TO_VF, Op.ENABLE_QUEUES, Status.ERR_PARAM, to=vsi.number)
    event = PfEvent.of(event=EventCode.LINK_CHANGE, link_status=1).to_bytes()
    send(pf, AqOpcode.SEND_MSG_TO_VF, Op.EVENT, data=event, to=vsi.number)
    told = [(step.subject, step.what, step.detail) for step in of(tracer, "mailbox")]
    who = f"nic0/vsi{vsi.number}"
    assert told == [
        (who, "VERSION", "to the PF major=1 minor=1"),
        (who, "ENABLE_QUEUES", "to the PF rx_queues=1 tx_queues=1"),
        (who, "GET_VF_RESOURCES", "to the PF wants L2|VLAN"),
        (who, "ENABLE_QUEUES", "to the VF ERR_PARAM"),
        (who, "EVENT", "to the VF SUCCESS event=LINK_CHANGE link_status=1"),
    ]


def test_a_message_that_a_vsi_does_not_take_has_the_code_that_it_ended_with(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    vsi = nic.vsi(1)
    pf = AdminQueue(nic.space, "PF_MBX")
    tracer.start(["mailbox"])
    code = send(pf, AqOpcode.SEND_MSG_TO_VF, Op.VERSION, to=vsi.number).descriptor.RETVAL & 0xFF
    [step] = of(tracer, "mailbox")
    assert code != AqRc.OK
    assert step.fields["result"] == AqRc(code).name


def test_a_trace_that_begins_in_the_middle_misses_nothing_that_follows(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    vsi = nic.vsi(1)
    pf, vf = AdminQueue(nic.space, "PF_MBX"), AdminQueue(vsi.space, "VSI_MBX", vsi.number)
    for _ in range(40):  # once round the rings, and more
        send(vf, AqOpcode.SEND_MSG_TO_PF, Op.RESET_VF)
        pf.received()
        nic.aq.send(AqOpcode.GET_VER)
    tracer.start(["mailbox", "adminq"])
    for _ in range(40):
        send(vf, AqOpcode.SEND_MSG_TO_PF, Op.RESET_VF)
        pf.received()
        nic.aq.send(AqOpcode.GET_VER)
    assert [step.what for step in of(tracer, "mailbox")] == ["RESET_VF"] * 40
    assert [step.what for step in of(tracer, "adminq")] == ["GET_VER"] * 40


def test_rings_that_are_opened_anew_after_a_reset_are_followed(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    tracer.start(["adminq"])
    nic.core_reset()
    nic.reopen()
    nic.aq.send(AqOpcode.GET_VER)
    assert [step.what for step in of(tracer, "adminq")][-1] == "GET_VER"


def test_registers_have_the_names_and_fields_of_the_specification(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    vsi = nic.vsi(1, rings=False)
    tracer.start(["register"])
    nic.rx_queue(vsi, 5).interrupt(7)
    machine.wr("QTX_COMM_DBELL", 3, 9)
    machine.rd64("GLPRT_GORC")
    lines = [(step.what, step.detail) for step in of(tracer, "register")]
    assert lines[0] == ("write", "QINT_RQCTL[5] = 0x40001807 MSIX_INDX=7 ITR_INDX=3 CAUSE_ENA=1")
    assert lines[1] == ("write", "QTX_COMM_DBELL[9] = 0x3")
    assert lines[2:] == [("read", "GLPRT_GORC[0] = 0x0"), ("read", "GLPRT_GORC[0]+4 = 0x0")]


def test_pages_and_the_msix_table_have_names_too(traced):
    machine, tracer = traced
    tracer.start(["register"])
    machine.write32(0x0400_0000 + 4096 * 6, 1)
    machine.write32(0x0300_0000 + 4096 * 8, 1)
    machine.write32(3 * 16 + 8, 0x41, BAR3)
    names = [step.fields["register"] for step in of(tracer, "register")]
    assert names == ["QTX_COMM_DBELL_PAGE[6]", "INT_DYN_CTL[8]", "MSIX_DATA[3]"]


def test_while_nobody_listens_the_hosts_accesses_are_the_hardwares_own(traced):
    machine, tracer = traced
    tap, rc = machine.rc.tap, machine.rc.tap.inner
    assert (tap.read, tap.write) == (rc.read, rc.write)
    tracer.start(["mailbox"])
    assert tap.read != rc.read
    tracer.stop()
    assert (tap.read, tap.write) == (rc.read, rc.write)
    machine.rd("GLGEN_RSTAT")
    assert tracer.recorded == 0


def test_a_step_is_a_line_of_text(traced):
    machine, tracer = traced
    nic = E810Driver(machine)
    tracer.start(["adminq"])
    nic.aq.send(AqOpcode.Q_SHUTDOWN)
    [line] = as_text(of(tracer, Kind.ADMINQ.value))
    assert line == "       0.000  adminq     Q_SHUTDOWN nic0 -> OK"


@pytest.fixture
def unit(wire) -> Iterator[tuple[Scene, Tracer]]:
    """A scene whose host is tapped at the remapping unit."""
    scene = Scene(wire, ats=False)
    machine = scene.machine
    tap = MmioTap(machine.rc)
    tap.add(UnitWindow("dmar0", UNIT, machine.rc.read))
    machine.iommu.registers.mmio = tap
    tracer = Tracer(machine.clock.now)
    tracer.add(tap)
    yield scene, tracer
    tracer.stop()
    assert tap.errors == 0


def test_a_fault_that_the_host_takes_is_told_with_who_where_and_why(unit):
    scene, tracer = unit
    tracer.start(["fault"])
    scene.bad.tx[0].data(plain(), address=scene.bad.space.hole())
    scene.bad.tx[0].kick()
    [fault] = scene.machine.iommu.faults.drain()
    [step] = of(tracer, "fault")
    assert (step.subject, step.what, step.detail) == ("dmar0", fault.name, str(fault))
    assert step.fields["pasid"] == 0x101


def test_an_unmap_shows_the_invalidations_that_it_needs(unit):
    scene, tracer = unit
    at = scene.bad.space.alloc(4096)
    tracer.start(["iommu"])
    scene.bad.space.unmap(at)
    steps = of(tracer, "iommu")
    assert [step.what for step in steps] == ["PASID_IOTLB", "WAIT"]
    assert f"PASID={0x101:#x}" in steps[0].detail
    assert steps[0].fields["ADDR"] == f"{at >> 12:#x}"
