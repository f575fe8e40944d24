"""The flow director: programmed by descriptors, told by counters, matched before RSS (ice_fdir.c)."""

import pytest

from siov.spec.e810 import (
    DTYPE,
    PCMD,
    RXDID,
    AqDownloadPackage,
    AqOpcode,
    AqRequestResource,
    CompReport,
    FdSpace,
    FltrProgQw0,
    FltrProgQw1,
    FltrWbQw1,
    RxFlexNicQw3,
    RxFlexOvsQw1,
    RxLegacyQw1,
    RxLegacyQw2,
    RxLegacyQw3,
    StatEna,
    VmvfType,
    VsiProperties,
    VsiType,
)
from siov.spec.e810.aq_device import ResourceAccess, ResourceId
from siov.spec.e810.flow import FilterCount, VsiFilterCount
from siov.spec.e810.package import (
    FlowProfile,
    FlowProfileVsi,
    HeaderField,
    HeaderLevel,
    PacketGroup,
    SectionType,
)

from .driver import E810Driver
from .frames import TOEPLITZ_KEY, V4, B, Ip, tcp_frame, udp_frame
from .machine import Machine

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
PORTS = {"sport": 7000, "dport": 80}
WANTED = udp_frame(src=FAR, **PORTS)
BACK = Ip(V4.dst, V4.src)


def reserve(nic, resource, access=ResourceAccess.WRITE):
    params = AqRequestResource.of(RES_ID=resource, ACCESS_TYPE=access, TIMEOUT=3000)
    nic.aq.send(AqOpcode.REQ_RES, params)


def package(nic, profile, group, fields, level=HeaderLevel.OUTER):
    """Download a package that has one flow profile, of no VSI yet."""
    words = (
        FlowProfile.PROFILE.of(NUM=profile), FlowProfile.GROUP.of(GROUP=group),
        FlowProfile.LEVEL.of(LEVEL=level), FlowProfile.FIELDS(sum(1 << f for f in fields)),
    )  # fmt: skip
    reserve(nic, ResourceId.GLBL_LOCK)
    buffer = section(SectionType.FLOW_PROFILE, FlowProfile, *words).ljust(4096, b"\0")
    nic.aq.send(AqOpcode.DOWNLOAD_PKG, AqDownloadPackage.of(LAST_BUF=1), buffer)


def section(kind, block, *words):
    """A buffer of one section."""
    data = bytearray(block.size)
    for word in words:
        data[type(word).at : type(word).at + word.width // 8] = word.to_bytes()
    entry = kind.to_bytes(4, "little") + (12).to_bytes(2, "little") + len(data).to_bytes(2, "little")
    return (1).to_bytes(2, "little") + (12 + len(data)).to_bytes(2, "little") + entry + bytes(data)


def change(nic, buffer):
    """Change the package in use."""
    lock = AqRequestResource.of(RES_ID=ResourceId.CHNG_LOCK, ACCESS_TYPE=ResourceAccess.WRITE, TIMEOUT=1000)
    nic.aq.send(AqOpcode.REQ_RES, lock)
    nic.aq.send(AqOpcode.UPDATE_PKG, AqDownloadPackage.of(LAST_BUF=1), buffer)
    nic.aq.send(AqOpcode.RELEASE_RES, lock)


def use(vsi, profile=1, on=True):
    """Let a VSI use a profile, or no more."""
    words = (
        FlowProfileVsi.PROFILE.of(NUM=profile), FlowProfileVsi.VSI.of(NUM=vsi.number),
        FlowProfileVsi.USE.of(ENA=int(on)),
    )  # fmt: skip
    change(vsi.driver, section(SectionType.FLOW_PROFILE_VSI, FlowProfileVsi, *words))


FIVE = (HeaderField.IPV4_SRC, HeaderField.IPV4_DST, HeaderField.UDP_SRC_PORT, HeaderField.UDP_DST_PORT)


def options(vsi, shared=64, profile=1, **flags):
    if profile is not None:
        use(vsi, profile)
    given = {"FD_ENABLE": 1, "FD_PROG_ENABLE": 1, **flags}
    vsi.set(
        "FLOW_DIR_VALID", VsiProperties.FD_OPTIONS.of(**given),
        VsiProperties.MAX_FD_FLTR_DEDICATED(16), VsiProperties.MAX_FD_FLTR_SHARED(shared),
    )  # fmt: skip


@pytest.fixture
def vsi(nic):
    """A VSI of four queues whose UDP flows can be steered; RSS alone sends all to queue 0."""
    package(nic, 1, PacketGroup.IPV4_UDP, FIVE)
    nic.machine.wr("PFQF_FD_ENA", 1)
    vsi = nic.vsi(2, queues=4, mac=B)
    nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    options(vsi)
    return vsi


def training(**ports):
    """The packet that ice programs with: source and destination the other way round (ice_fdir.c)."""
    return udp_frame(ip=BACK, sport=ports["dport"], dport=ports["sport"])


def program(vsi, queue=2, frame=None, pcmd=PCMD.ADD, fdid=0, target=None, **fields):
    """A filter-program descriptor and its dummy packet; gives the index of the latter."""
    tx = vsi.tx[0]
    given = {"QINDEX": queue, "TO_Q_PRI": 1, "FD_SPACE": FdSpace.GUAR_BEST, **fields}
    q1 = FltrProgQw1.of(
        DTYPE=DTYPE.FLTR_PROG, PCMD=pcmd, PROF=RXDID.FLEX_NIC, PROF_PRI=3, FD_VSI=(target or vsi).number,
        FDID_PRI=3, FDID_MDID=5, FDID=fdid, SWAP=1,
    )  # fmt: skip
    tx.put(FltrProgQw0.of(**given), q1)
    index = tx.data(training(**PORTS) if frame is None else frame, DUMMY=1)
    tx.kick()
    return index


def queue_of(vsi, wire, frame=WANTED):
    wire.send(vsi.driver.machine, frame)
    found = [n for n in range(vsi.count) if vsi.frames(n)]
    return found[0] if found else None


def test_a_flow_goes_to_the_queue_that_its_filter_names_and_others_do_not(vsi, wire):
    index = program(vsi)
    assert vsi.tx[0].done(index)
    assert queue_of(vsi, wire) == 2
    assert queue_of(vsi, wire, udp_frame(src=FAR, sport=7001, dport=80)) == 0
    assert queue_of(vsi, wire, tcp_frame(src=FAR, **PORTS)) == 0
    assert wire.take() == [], "the dummy packet is never sent"


def test_a_filter_steers_frames_of_other_vsis_too(nic, vsi):
    one = nic.vsi(1)
    program(vsi)
    one.tx[0].send(udp_frame(**PORTS))
    assert [len(vsi.frames(n)) for n in range(4)] == [0, 0, 1, 0]


def test_a_filter_is_its_vsis_own(nic, vsi, wire):
    other = nic.vsi(3, queues=4)
    nic.rss(other, bytes(64), TOEPLITZ_KEY)
    options(other)
    program(vsi)
    assert queue_of(other, wire, udp_frame(dst=other.mac, src=FAR, **PORTS)) == 0


def test_vsis_with_profiles_of_other_fields_for_the_same_packets_each_steer_their_own(nic, vsi, wire):
    other = nic.vsi(3, queues=4)
    nic.rss(other, bytes(64), TOEPLITZ_KEY)
    words = (
        FlowProfile.PROFILE.of(NUM=0), FlowProfile.GROUP.of(GROUP=PacketGroup.IPV4_UDP),
        FlowProfile.FIELDS(1 << HeaderField.UDP_DST_PORT),
    )  # fmt: skip
    change(nic, section(SectionType.FLOW_PROFILE, FlowProfile, *words))
    options(other, profile=0)
    program(vsi)
    program(other, queue=3)
    for sport, queues in ((7000, (2, 3)), (7001, (0, 3))):
        frames = [udp_frame(dst=one.mac, src=FAR, sport=sport, dport=80) for one in (vsi, other)]
        assert (queue_of(vsi, wire, frames[0]), queue_of(other, wire, frames[1])) == queues


def test_a_vsi_off_its_profile_has_lost_its_filters_and_may_program_none(vsi, wire):
    program(vsi)
    use(vsi, on=False)
    assert queue_of(vsi, wire) == 0
    assert VsiFilterCount(vsi.driver.machine.rd("VSIQF_FD_CNT", vsi.number)) == VsiFilterCount(0)
    program(vsi)
    assert queue_of(vsi, wire) == 0
    use(vsi)
    program(vsi)
    assert queue_of(vsi, wire) == 2


def test_a_removed_filter_steers_no_more(vsi, wire):
    program(vsi)
    program(vsi, pcmd=PCMD.REMOVE)
    assert queue_of(vsi, wire) == 0


def test_programming_it_again_changes_its_queue(vsi, wire):
    program(vsi, queue=2)
    program(vsi, queue=3)
    assert queue_of(vsi, wire) == 3
    assert FilterCount(vsi.driver.machine.rd("PFQF_FD_CNT")).raw.bit_count() == 1


def test_a_filter_may_drop(vsi, wire):
    program(vsi, DROP=1)
    assert queue_of(vsi, wire) is None
    assert queue_of(vsi, wire, udp_frame(src=FAR)) == 0


def test_a_region_is_spread_by_the_hash(vsi, wire):
    program(vsi, queue=2, TO_Q=1)
    assert queue_of(vsi, wire) in (2, 3)


def test_counts_follow_what_is_added_and_removed(nic, vsi):
    machine = nic.machine
    assert machine.rd("PFQF_FD_CNT") == machine.rd("GLQF_FD_CNT") == 0
    program(vsi, FD_SPACE=FdSpace.GUAR)
    program(vsi, frame=training(sport=1, dport=2), FD_SPACE=FdSpace.BEST_EFFORT)
    program(vsi, frame=training(sport=1, dport=3), FD_SPACE=FdSpace.BEST_EFFORT)
    want = FilterCount.of(GUARANTEED=1, BEST_EFFORT=2).raw
    assert machine.rd("PFQF_FD_CNT") == machine.rd("GLQF_FD_CNT") == want
    count = VsiFilterCount(machine.rd("VSIQF_FD_CNT", vsi.number))
    assert (count.GUARANTEED, count.BEST_EFFORT) == (1, 2)
    program(vsi, frame=training(sport=1, dport=3), pcmd=PCMD.REMOVE)
    assert FilterCount(machine.rd("GLQF_FD_CNT")).BEST_EFFORT == 1


def test_sizes_are_those_of_the_device_and_of_the_vsis_properties(nic, vsi):
    size = FilterCount(nic.machine.rd("GLQF_FD_SIZE"))
    assert (size.GUARANTEED, size.BEST_EFFORT) == (1024, 15360)
    own = VsiFilterCount(nic.machine.rd("VSIQF_FD_SIZE", vsi.number))
    assert (own.GUARANTEED, own.BEST_EFFORT) == (16, 64)


def test_a_counter_counts_packets_of_its_filter(vsi, wire, machine):
    program(vsi, STAT_ENA=StatEna.PKTS, STAT_CNT=7)
    for _ in range(3):
        queue_of(vsi, wire)
    queue_of(vsi, wire, udp_frame(src=FAR))
    assert machine.rd64("GLSTAT_FD_CNT0", 7) == 3
    assert machine.rd64("GLSTAT_FD_CNT0", 8) == 0


def test_a_counter_of_4096_goes_round_at_2_to_the_40(vsi, wire, machine):
    program(vsi, STAT_ENA=StatEna.PKTS, STAT_CNT=4095)
    machine.nic.set("GLSTAT_FD_CNT0", (1 << 40) - 1, 4095)
    queue_of(vsi, wire)
    assert machine.rd64("GLSTAT_FD_CNT0", 4095) == 0


def test_the_filters_id_is_reported_in_each_form(nic, wire, machine):
    package(nic, 1, PacketGroup.IPV4_UDP, FIVE)
    machine.wr("PFQF_FD_ENA", 1)
    for last, rxdid in ((2, RXDID.LEGACY_1), (3, RXDID.FLEX_NIC), (4, RXDID.COMMS_OVS_1)):
        vsi = nic.vsi(last, queues=4, rxdid=rxdid)
        options(vsi)
        program(vsi, fdid=0xABCD)
        wire.send(machine, udp_frame(dst=vsi.mac, src=FAR, **PORTS))
        [got] = vsi.rx[2].take()
        if rxdid == RXDID.LEGACY_1:
            assert RxLegacyQw1(got.qword(1)).FLM
            assert RxLegacyQw2(got.qword(2)).FLEXBH == 1
            assert RxLegacyQw3(got.qword(3)).FD_ID == 0xABCD
        elif rxdid == RXDID.FLEX_NIC:
            assert RxFlexNicQw3(got.qword(3)).FLOW_ID == 0xABCD
        else:
            assert RxFlexOvsQw1(got.qword(1)).FLOW_ID == 0xABCD


@pytest.mark.parametrize("off", ["FD_ENABLE", "PFQF_FD_ENA"])
def test_nothing_is_steered_while_it_is_off(vsi, wire, machine, off):
    program(vsi)
    if off == "FD_ENABLE":
        options(vsi, FD_ENABLE=0)
    else:
        machine.wr("PFQF_FD_ENA", 0)
    assert queue_of(vsi, wire) == 0


def test_a_vsi_that_may_not_program_is_caught(vsi, wire, machine):
    options(vsi, FD_PROG_ENABLE=0)
    program(vsi)
    assert queue_of(vsi, wire) == 0
    assert machine.rd("GLQF_FD_CNT") == 0


def test_a_vsi_without_room_gets_no_filter(vsi, wire, machine):
    options(vsi, shared=2)
    for n in range(4):
        program(vsi, frame=training(sport=n, dport=9), FD_SPACE=FdSpace.BEST_EFFORT)
    assert VsiFilterCount(machine.rd("VSIQF_FD_CNT", vsi.number)).BEST_EFFORT == 2


def test_the_device_holds_no_more_than_it_has_room_for(wire):
    nic = E810Driver(Machine(port=wire.near, flows=(1, 3)))
    package(nic, 1, PacketGroup.IPV4_UDP, FIVE)
    nic.machine.wr("PFQF_FD_ENA", 1)
    vsi = nic.vsi(2, queues=4, mac=B)
    options(vsi)
    for n in range(8):
        program(vsi, frame=training(sport=n, dport=9))
    count = FilterCount(nic.machine.rd("GLQF_FD_CNT"))
    assert (count.GUARANTEED, count.BEST_EFFORT) == (1, 3)


def result(vsi, queue=0):
    """A result of programming in a receive ring: ice knows it by its first byte (FDIR_DESC_RXDID, 0x40)."""
    raw = vsi.rx[queue].raw(vsi.rx[queue].next)
    return FltrWbQw1.from_bytes(raw[8:16]) if raw[0] == 0x40 and raw[8] & 1 else None


def test_results_are_reported_in_the_vsis_first_receive_queue_when_asked_for(vsi):
    program(vsi, COMP_REPORT=CompReport.SW)
    found = result(vsi)
    assert found is not None
    assert (found.DD, found.PROG_ID, found.FAIL, found.FAIL_PROF) == (1, PCMD.ADD, 0, 0)


def test_a_failure_is_reported_and_a_success_is_not_when_only_failures_are_asked_for(vsi):
    program(vsi, COMP_REPORT=CompReport.SW_FAIL)
    assert result(vsi) is None
    program(vsi, frame=training(sport=5, dport=5), pcmd=PCMD.REMOVE, COMP_REPORT=CompReport.SW_FAIL)
    found = result(vsi)
    assert found is not None
    assert (found.PROG_ID, found.FAIL) == (PCMD.REMOVE, 1)


def test_a_packet_without_a_profile_is_reported_as_that(vsi):
    program(vsi, frame=tcp_frame(ip=BACK), COMP_REPORT=CompReport.SW)
    found = result(vsi)
    assert found is not None
    assert found.FAIL_PROF


def test_clearing_the_table_takes_a_vsis_filters_out(nic, vsi, wire):
    from siov.spec.e810 import AqClearFdTable

    program(vsi)
    nic.aq.send(AqOpcode.CLEAR_FD_TABLE, AqClearFdTable.of(CLEAR_TYPE=1, VSI_INDEX=vsi.number))
    assert queue_of(vsi, wire) == 0
    assert nic.machine.rd("GLQF_FD_CNT") == 0


def test_a_guest_programs_no_filter_for_anybody_else(nic, vsi, wire):
    """Else it could steer or drop another one's frames."""
    other = nic.vsi(3)
    options(other)
    program(other, target=vsi, DROP=1)
    assert queue_of(vsi, wire) == 0
    assert nic.machine.rd("GLQF_FD_CNT") == 0


def test_the_functions_own_vsi_programs_filters_for_others(nic, vsi, wire):
    """ice programs those of virtual functions through its control VSI (ice_fdir_write_fltr)."""
    control = nic.vsi(3, kind=VsiType.PF, rings=False)
    control.tx.append(nic.tx_queue(control, VMVF_TYPE=VmvfType.PF))
    options(control)
    program(control, target=vsi)
    assert queue_of(vsi, wire) == 2


@pytest.mark.parametrize("workers", [2, 3])
def test_results_come_to_their_own_vsi_with_several_workers(wire, workers):
    nic = E810Driver(Machine(port=wire.near, workers=workers))
    package(nic, 1, PacketGroup.IPV4_UDP, FIVE)
    nic.machine.wr("PFQF_FD_ENA", 1)
    nic.free_tx += 1  # queues of a pair have different numbers, so different workers
    vsis = [nic.vsi(n) for n in (1, 2, 3, 4)]
    for vsi in vsis:
        options(vsi)
        program(vsi, queue=0, COMP_REPORT=CompReport.SW)
        assert result(vsi) is not None
        assert all(result(other) is None for other in vsis[vsi.number + 1 :])


def test_it_is_off_until_it_is_enabled(nic, machine):
    package(nic, 1, PacketGroup.IPV4_UDP, FIVE)
    assert machine.rd("PFQF_FD_ENA") == 0
    vsi = nic.vsi(2)
    options(vsi)
    program(vsi, queue=0)
    assert machine.rd("GLQF_FD_CNT") == 0
