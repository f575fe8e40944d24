"""A function is found, enabled and driven; frames go between its VSIs and out of its port."""

import pytest

from siov._core import Port
from siov.spec.e810 import AqFlags, AqGetVersion, AqListCaps, AqOpcode, Capability, QueueLength
from siov.spec.e810.aq_device import AqCapability
from siov.spec.e810.control import Control
from siov.spec.pcie import CapabilityId, Type0

from .driver import BROADCAST, E810Driver
from .frames import A, B, plain, udp_frame
from .machine import Machine

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


def test_the_function_is_8086_1592_of_class_ethernet(machine):
    assert machine.config_read(Type0.VENDOR_ID.at, 4) == 0x1592_8086
    assert machine.config_read(9, 2) == 0x0000
    assert machine.config_read(0xB, 1) == 0x02


def test_bar0_has_128_mib_without_ims_and_256_with_it():
    for ims, size in ((0, 128 << 20), (64, 256 << 20)):
        machine = Machine(ims=ims)
        machine.config_write(0x10, 4, 0xFFFF_FFFF)
        machine.config_write(0x14, 4, 0xFFFF_FFFF)
        low, high = machine.config_read(0x10, 4), machine.config_read(0x14, 4)
        assert low & 0xF == 0xC, "64 bits, prefetchable"
        assert -(high << 32 | low & ~0xF) & (1 << 64) - 1 == size


def test_msix_has_2048_vectors_in_bar_3(machine):
    at = machine.capability(CapabilityId.MSIX)
    assert machine.config_read(at + 2, 2) & 0x7FF == 2047
    assert machine.config_read(at + 4, 4) == 3
    assert machine.config_read(at + 8, 4) == 0x8003


def test_the_device_is_ready_after_power_on_and_says_what_was_loaded(machine):
    assert Control.GLGEN_RSTAT(machine.rd("GLGEN_RSTAT")).DEVSTATE == 0
    done = Control.GLNVM_ULD(machine.rd("GLNVM_ULD"))
    assert done.CORER_DONE
    assert done.GLOBR_DONE
    assert Control.GL_MNG_FWSM(machine.rd("GL_MNG_FWSM")).FW_LOADING == 0


def test_the_admin_queue_answers(nic):
    assert nic.aq.send(AqOpcode.GET_VER).params(AqGetVersion).FW_MAJOR


def test_the_function_may_have_2048_rx_queues_and_768_vsis(nic):
    answer = nic.aq.send(AqOpcode.LIST_FUNC_CAPS, AqListCaps.of(), room=4096)
    size = AqCapability.width // 8
    found = [
        AqCapability.from_bytes(answer.data[n : n + size])
        for n in range(0, len(answer.data) // size * size, size)
    ]
    caps = {c.CAP: c for c in found}
    assert caps[Capability.RXQS].NUMBER == 2048
    assert caps[Capability.RSS].NUMBER == 2048
    assert caps[Capability.MSIX].NUMBER == 2048
    assert caps[Capability.VSI].NUMBER == 768


def test_frames_go_between_two_vsis_and_only_there(nic, wire):
    one, two, three = nic.vsi(1), nic.vsi(2), nic.vsi(3)
    sent = [plain(two.mac, one.mac, size) for size in (60, 61, 64, 1514)]
    one.tx[0].send(*sent)
    assert two.frames() == sent
    assert one.frames() == []
    assert three.frames() == []
    assert wire.take() == []


def test_a_frame_to_an_unknown_address_goes_out_and_nowhere_else(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    frame = udp_frame(dst=FAR, src=one.mac)
    one.tx[0].send(frame)
    assert wire.take() == [frame]
    assert two.frames() == []
    assert one.frames() == []


def test_a_frame_from_the_port_goes_to_the_vsi_with_its_address(nic, wire, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    frame = udp_frame(dst=two.mac, src=FAR)
    wire.send(machine, frame, udp_frame(dst=FAR, src=FAR))
    assert two.frames() == [frame]
    assert one.frames() == []
    assert wire.take() == [], "what came in never goes out again"


def test_a_broadcast_reaches_all_others_and_the_port_but_not_its_sender(nic, wire):
    one, two, three = nic.vsi(1), nic.vsi(2), nic.vsi(3)
    nic.broadcast(one, two, three)
    frame = plain(BROADCAST, one.mac)
    one.tx[0].send(frame)
    assert two.frames() == [frame]
    assert three.frames() == [frame]
    assert wire.take() == [frame]
    assert one.frames() == []


def test_each_vsi_reaches_only_its_own_memory_by_its_pasid(guarded):
    one, two = guarded.vsi(1, pasid=5), guarded.vsi(2, pasid=6)
    assert one.rx[0].ring == two.rx[0].ring, "the same addresses, other memory"
    frame = udp_frame(dst=two.mac, src=one.mac)
    before = one.space.read(one.rx[0].ring, 64 * 32)
    one.tx[0].send(frame)
    assert two.frames() == [frame]
    assert one.space.read(one.rx[0].ring, 64 * 32) == before
    assert guarded.machine.iommu.faults.drain() == []


def test_ats_changes_nothing_of_what_arrives(wire):
    nic = E810Driver(Machine(iommu=True, ats=True, port=wire.near))
    one, two = nic.vsi(1, pasid=5), nic.vsi(2, pasid=6)
    frames = [udp_frame(bytes(n), dst=two.mac, src=one.mac) for n in range(20, 40)]
    one.tx[0].send(*frames)
    assert two.frames() == frames
    lookups = dict(nic.machine.unit.engine.counters)
    assert lookups, "the unit was asked"


def test_what_a_port_sends_is_in_its_capture(tmp_path):
    from siov._core import Clock

    file = tmp_path / "port.pcapng"
    port = Port.pcap(Clock(virtual=True), write=file)
    nic = E810Driver(Machine(port=port))
    vsi = nic.vsi(1)
    frames = [udp_frame(bytes([n]) * 50, dst=FAR, src=vsi.mac) for n in range(5)]
    vsi.tx[0].send(*frames)
    again = Port.pcap(Clock(virtual=True), read=file)
    assert again.receive(64) == frames


def test_without_bus_mastering_the_admin_queue_is_not_answered(machine):
    nic = E810Driver(machine)
    machine.config_write(Type0.COMMAND.at, 2, 2)
    from siov.spec.e810 import AqDesc

    index = nic.aq.put(AqDesc.of(FLAGS=AqFlags.of(SI=1).raw, OPCODE=AqOpcode.GET_VER))
    assert nic.space.read(nic.aq.ring["ATQ"] + 32 * index, 2) == AqFlags.of(SI=1).to_bytes()
    assert QueueLength(machine.rd("PF_FW_ATQLEN")).CRIT


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_frames_of_one_queue_stay_in_order_with_any_number_of_workers(workers):
    nic = E810Driver(Machine(workers=workers))
    one, two = nic.vsi(1), nic.vsi(2)
    sent = []
    for n in range(5):
        batch = [plain(B, A, 60, fill=n * 16 + k) for k in range(12)]
        one.tx[0].send(*batch)
        sent += two.frames()
        assert sent[-12:] == batch
