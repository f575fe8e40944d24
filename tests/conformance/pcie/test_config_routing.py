"""Configuration requests find their function by bus number (PCIe 2.2.7, 7.3)."""

from siov.hw.pcie.tlp import Bdf, CfgRd, CfgWr, Cpl
from siov.spec.pcie.tlp import CompletionStatus

RMA = 1 << 13
NIC_ID = 0x1592_8086


def requests(rig):
    return [tlp for direction, tlp in rig.trace if direction == "down"]


def test_every_function_answers_at_its_bus_device_and_function(rig):
    for place, expected in {
        (0, 1, 0): 0x347A_8086,
        (0, 2, 0): 0x347A_8086,
        (0, 8, 0): NIC_ID,
        (1, 0, 0): NIC_ID,
        (1, 0, 1): NIC_ID,
        (2, 0, 0): 0x8796_10B5,
        (3, 0, 0): 0x8796_10B5,
        (3, 1, 0): 0x8796_10B5,
        (4, 0, 0): NIC_ID,
        (5, 0, 0): NIC_ID,
    }.items():
        assert rig.cfg(*place).read(0, 4) == expected, place


def test_a_request_to_bus_0_is_type_0_and_to_any_other_bus_type_1(rig):
    rig.cfg(0, 1).read(0, 4)
    rig.cfg(1, 0).read(0, 4)
    rig.cfg(5, 0).write(0x3C, 1, 7)
    assert [(type(r), r.kind, str(r.target)) for r in requests(rig)] == [
        (CfgRd, 0, "00:01.0"), (CfgRd, 1, "01:00.0"), (CfgWr, 1, "05:00.0"),
    ]  # fmt: skip


def test_a_request_becomes_type_0_on_the_bridge_s_secondary_bus_and_stays_type_1_above(rig):
    seen = {}
    for function in (rig.rp1, rig.up, rig.down1, rig.right):
        inner = function.receive
        function.receive = lambda r, inner=inner, f=function: (seen.setdefault(f.name, r.kind), inner(r))[1]
    rig.cfg(5, 0).read(0, 4)
    assert seen == {"rp1": 1, "sw": 1, "sw.1": 1, "right": 0}


def test_a_write_arrives_at_the_function_and_at_no_other(rig):
    rig.cfg(4, 0).write(0x3C, 1, 0x55)
    places = [(0, 8, 0), (1, 0, 0), (1, 0, 1), (4, 0, 0), (5, 0, 0)]
    assert [rig.cfg(*place).read(0x3C, 1) for place in places] == [0, 0, 0, 0x55, 0]


def test_a_function_learns_its_bus_number_from_a_configuration_write(rig):
    assert str(rig.right.bdf) == "05:00.0"
    rig.buses(rig.down1, 9, 9)
    rig.buses(rig.up, 3, 9)
    rig.buses(rig.rp1, 2, 9)
    assert rig.cfg(9, 0).read(0, 4) == NIC_ID
    assert str(rig.right.bdf) == "05:00.0", "a read teaches nothing"
    rig.cfg(9, 0).write(0x3C, 1, 0)
    assert str(rig.right.bdf) == "09:00.0"


def test_a_bridge_without_bus_numbers_leads_nowhere(bare):
    assert bare.cfg(1, 0).read(0, 4) == 0xFFFF_FFFF
    assert bare.cfg(0, 1).read(0, 4) == 0x347A_8086


def test_a_function_that_is_not_there_reads_as_all_ones_of_the_size_asked(rig):
    for place in ((0, 3, 0), (0, 8, 1), (1, 0, 2), (1, 1, 0), (3, 2, 0), (4, 0, 1), (6, 0, 0), (255, 31, 7)):
        assert rig.cfg(*place).read(0, 4) == 0xFFFF_FFFF, place
        assert rig.cfg(*place).read(2, 2) == 0xFFFF
        assert rig.cfg(*place).read(1, 1) == 0xFF


def test_a_write_to_a_function_that_is_not_there_is_lost(rig):
    before = [function.config.dump() for function in rig.rc.functions()]
    rig.cfg(3, 2).write(4, 2, 7)
    rig.cfg(9, 0).write(4, 2, 7)
    after = [function.config.dump() for function in rig.rc.functions()]
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    names = [rig.rc.functions()[n].name for n in changed]
    assert names in ([], ["rp1"])


def test_what_is_not_there_completes_as_an_unsupported_request(rig):
    rig.cfg(4, 0, 1).read(0, 4)
    direction, completion = rig.trace[-1]
    assert (direction, type(completion), completion.status) == ("up", Cpl, CompletionStatus.UR)
    assert completion.data == b""


def test_an_unsupported_request_is_noted_in_the_secondary_status_of_the_root_port_above(rig):
    assert rig.secondary(rig.rp1) == 0
    rig.cfg(4, 0, 1).read(0, 4)
    assert rig.secondary(rig.rp1) == RMA
    assert rig.secondary(rig.rp0) == 0
    assert rig.secondary(rig.up) == 0, "the switch did not make the request"


def test_an_unsupported_write_is_noted_too(rig):
    rig.cfg(1, 0, 5).write(4, 2, 0)
    assert rig.secondary(rig.rp0) == RMA


def test_the_note_is_cleared_by_writing_one(rig):
    rig.cfg(1, 0, 5).read(0, 4)
    rig.cfg(0, 1).write(0x1E, 2, 0)
    assert rig.secondary(rig.rp0) == RMA
    rig.cfg(0, 1).write(0x1E, 2, RMA)
    assert rig.secondary(rig.rp0) == 0


def test_a_bus_that_no_root_port_leads_to_is_noted_nowhere(rig):
    assert rig.cfg(6, 0).read(0, 4) == 0xFFFF_FFFF
    assert (rig.secondary(rig.rp0), rig.secondary(rig.rp1)) == (0, 0)


def test_the_last_bus_of_a_bridge_is_below_it_and_the_next_is_not(rig):
    rig.buses(rig.rp1, 2, 4)
    assert rig.cfg(4, 0).read(0, 4) == NIC_ID
    assert rig.cfg(5, 0).read(0, 4) == 0xFFFF_FFFF
    rig.buses(rig.rp1, 2, 5)
    assert rig.cfg(5, 0).read(0, 4) == NIC_ID


def test_configuration_requests_pass_a_bridge_whose_memory_space_is_off(rig):
    rig.command(rig.rp0, 0)
    assert rig.cfg(1, 0).read(0, 4) == NIC_ID


def test_the_header_of_a_configuration_request_is_the_specification_s():
    read = CfgRd(Bdf(0, 0, 0), Bdf(0x12, 3, 5), 0x10D, 1, kind=1)
    assert read.header() == (0x0500_0001, 0x0000_0002, 0x121D_010C)
    write = CfgWr(Bdf(1, 2, 3), Bdf(0, 1, 0), 0x06, b"\0\0", kind=0, tag=0x5A)
    assert write.header() == (0x4400_0001, 0x0113_5A0C, 0x0008_0004)


def test_a_routing_id_is_bus_device_and_function_in_16_bits():
    assert int(Bdf(0x3B, 0x1F, 7)) == 0x3BFF
    assert Bdf.of(0x3B0A) == Bdf(0x3B, 1, 2)
    assert all(int(Bdf.of(rid)) == rid for rid in range(0x10000))
    assert str(Bdf(0x3B, 0x1F, 7)) == "3b:1f.7"
