"""Registers of BAR 0 and their copies in pages: what reaches what (siov_regs.h, ice_hw_autogen.h)."""

import random

import pytest

from siov.spec.e810 import Bar0, Pages

from .machine import Machine, offset_of

MAILBOX = ["ATQBAL", "ATQBAH", "ATQLEN", "ATQH", "ATQT", "ARQBAL", "ARQBAH", "ARQLEN", "ARQH", "ARQT"]


def test_the_registers_lie_where_the_drivers_have_them():
    places = {
        "QTX_COMM_DBELL": 0x002C0000, "QRX_TAIL": 0x00290000, "GLINT_DYN_CTL": 0x00160000,
        "GLINT_ITR": 0x00154000, "GLINT_RATE": 0x0015A000, "GLINT_CTL": 0x0016CC54,
        "GLINT_VECT2FUNC": 0x00162000, "QINT_RQCTL": 0x00150000, "QINT_TQCTL": 0x00140000,
        "QRX_CTRL": 0x00120000, "QRX_CONTEXT": 0x00280000, "QRXFLXP_CNTXT": 0x00480000,
        "VPINT_MBX_CTL": 0x0016A000, "VSIGEN_RSTAT": 0x00092800, "VSIGEN_RTRIG": 0x00091800,
        "PFINT_OICR": 0x0016CA00, "GLQF_FD_SIZE": 0x00460010, "GLQF_FD_CNT": 0x00460018,
        "PFQF_FD_ENA": 0x0043A000, "VSIQF_FD_CNT": 0x00464000, "VSIQF_FD_SIZE": 0x00462000,
        "GLSTAT_FD_CNT0": 0x003A0000, "GL_MBX_PASID": 0x00231EC0,
    }  # fmt: skip
    assert {name: offset_of(name) for name in places} == places


def test_qtx_comm_dbell_holds_a_tail_for_each_of_16384_queues(machine):
    for queue in (0, 1, 16383):
        machine.wr("QTX_COMM_DBELL", queue & 0x1FFF, queue)
    assert [machine.rd("QTX_COMM_DBELL", q) for q in (0, 1, 16383, 2)] == [0, 1, 0x1FFF, 0]


@pytest.mark.parametrize("queue", [0, 1, 77, 2047])
def test_an_rx_tail_page_is_the_tail_of_its_queue(machine, queue):
    page = 0x03800000 + 4096 * queue
    machine.write32(page, 0x108)
    assert machine.rd("QRX_TAIL", queue) == 0x108
    machine.wr("QRX_TAIL", 0x40, queue)
    assert machine.read32(page) == 0x40


@pytest.mark.parametrize("queue", [0, 1, 77, 16383])
def test_a_tx_doorbell_page_is_the_doorbell_of_its_queue(machine, queue):
    page = 0x04000000 + 4096 * queue
    machine.write32(page, 0x11)
    assert machine.rd("QTX_COMM_DBELL", queue) == 0x11


@pytest.mark.parametrize("vector", [0, 1, 77, 2047])
def test_an_interrupt_page_holds_the_timers_of_its_vector(machine, vector):
    page = 0x03000000 + 4096 * vector
    for n in range(3):
        machine.write32(page + 4 + 4 * n, 100 + n)
    assert [machine.rd("GLINT_ITR", n * 2048 + vector) for n in range(3)] == [100, 101, 102]
    machine.wr("GLINT_ITR", 7, 2048 + vector)
    assert machine.read32(page + 8) == 7


@pytest.mark.parametrize("vector", [0, 77, 2047])
def test_an_interrupt_page_controls_its_vector(machine, vector):
    page = 0x03000000 + 4096 * vector
    machine.write32(page, 1)
    assert machine.rd("GLINT_DYN_CTL", vector) & 1
    machine.wr("GLINT_DYN_CTL", 0, vector)
    assert machine.read32(page) & 1 == 0


def test_an_interval_written_to_dyn_ctl_sets_the_timer_that_it_names(machine):
    for n in range(3):
        machine.wr("GLINT_DYN_CTL", n << 3 | 50 + n << 5, 9)
    machine.wr("GLINT_DYN_CTL", 3 << 3 | 99 << 5, 9)
    assert [machine.rd("GLINT_ITR", n * 2048 + 9) for n in range(3)] == [50, 51, 52]


def test_intena_msk_leaves_intena_as_it_is(machine):
    machine.wr("GLINT_DYN_CTL", 1, 4)
    machine.wr("GLINT_DYN_CTL", 1 << 31, 4)
    assert machine.rd("GLINT_DYN_CTL", 4) & 1
    machine.wr("GLINT_DYN_CTL", 0, 4)
    machine.wr("GLINT_DYN_CTL", 1 << 31 | 1, 4)
    assert machine.rd("GLINT_DYN_CTL", 4) & 1 == 0


def test_a_mailbox_page_is_that_of_its_vsi_and_has_ten_registers(machine):
    for vsi in (0, 1, 767):
        page = 0x02000000 + 4096 * vsi
        for n, name in enumerate(MAILBOX):
            assert offset_of(f"VSI_MBX_{name}", vsi) == page + 4 * n
            if name not in ("ATQT", "ARQT"):
                value = 0x1000 * (n + 1) if name.endswith("BAL") else n + 1 + vsi & 0x3FF
                machine.write32(page + 4 * n, value)
                assert machine.read32(page + 4 * n) == value
    machine.write32(0x02000000 + 4096 * 768, 0x40)
    assert machine.read32(0x02000000 + 4096 * 768) == 0


SINGLE = ["PF_FW_ATQLEN", "PF_MBX_ATQLEN", "PF_MBX_ARQLEN", "GL_MBX_PASID", "GLINT_CTL", "PFQF_FD_ENA"]


def everything(machine, names):
    return {(n, i): machine.rd(n, i) for n in names for i in (0, 1, 2, 3)}


PAGES = [
    (0x02000000 + 4096 * 2, 0x28), (0x03000000 + 4096 * 2, 0x10),
    (0x03800000 + 4096 * 2, 4), (0x04000000 + 4096 * 2, 4),
]  # fmt: skip


@pytest.mark.parametrize(("page", "size"), PAGES, ids=["mailbox", "interrupt", "rx-tail", "tx-doorbell"])
def test_a_page_reaches_its_own_registers_only(machine, page, size):
    """Whatever a guest writes into its page, nobody else's registers change."""
    own = {
        "VSI_MBX": [f"VSI_MBX_{n}" for n in MAILBOX], "INT": ["GLINT_DYN_CTL", "GLINT_ITR"],
        "RX": ["QRX_TAIL"], "TX": ["QTX_COMM_DBELL"],
    }  # fmt: skip
    names = [n for group in own.values() for n in group]
    names += ["QRX_CTRL", "QINT_RQCTL", "QINT_TQCTL", "GLINT_RATE", "VPINT_MBX_CTL", "VSIGEN_RTRIG"]
    before = everything(machine, names)
    before |= {(name, 0): machine.rd(name) for name in SINGLE}
    rng = random.Random(page)
    for _ in range(600):
        at = rng.randrange(0, 0x1000, 4)
        machine.write32(page + at, rng.getrandbits(32) & ~4)
    machine.pump()
    after = everything(machine, names) | {(name, 0): machine.rd(name) for name in SINGLE}
    changed = {key for key in after if after[key] != before[key]}
    assert {index for _, index in changed} <= {2}
    group = {0x02: "VSI_MBX", 0x03: "INT", 0x04: "TX"}[page >> 24] if page & 0x800000 == 0 else "RX"
    assert {name for name, _ in changed} <= set(own[group])
    for at in range(size, 0x1000, 4):
        assert machine.read32(page + at) == 0


def test_offsets_of_no_register_read_zero_and_take_no_write(machine):
    known = set()
    for block in (Bar0, Pages):
        for span in block.spans.values():
            known.update(range(span.at, min(span.end, 0x500000) + 1, 4) if span.count > 600 else (span.at,))
    rng = random.Random(1)
    free = [at for at in (rng.randrange(0, 0x500000, 4) for _ in range(300)) if at not in known]
    free = [at for at in free if not any(s.at <= at < s.end for s in Bar0.spans.values())]
    assert len(free) > 50
    for at in free:
        machine.write32(at, 0xFFFF_FFFF)
        assert machine.read32(at) == 0, hex(at)


def test_the_ims_half_is_nowhere_without_ims_slots(machine):
    machine.write32(0x0C000000, 0xFFFF_FFFC)
    assert machine.read32(0x0C000000) == 0xFFFF_FFFF, "past the BAR: nobody answers"


def test_an_ims_slot_has_an_address_data_and_a_mask_that_is_on_at_first():
    machine = Machine(ims=8)
    slot = 0x0C000000 + 16 * 7
    assert machine.read32(slot + 12) & 1
    machine.write32(slot, 0xFEE0_1234 | 3)
    machine.write32(slot + 4, 5)
    machine.write32(slot + 8, 0x1_4021)
    machine.write32(slot + 12, 2)
    assert [machine.read32(slot + n) for n in (0, 4, 8)] == [0xFEE0_1234, 5, 0x1_4021]
    assert machine.read32(slot + 12) == 0, "PENDING is read-only"


def test_a_slot_that_the_device_lacks_reads_zero():
    machine = Machine(ims=8)
    for at in (0x0C000000 + 16 * 8, 0x08000000 + 4096 * 8, 0x0C100000 + 4 * 8):
        machine.write32(at, 0xFFFF_FFFF)
        assert machine.read32(at) == 0


@pytest.mark.parametrize("name", ["QTX_COMM_DBELL", "QRX_TAIL"])
def test_tails_have_13_bits(machine, name):
    machine.wr(name, 0xFFFF_E123, 5)
    assert machine.rd(name, 5) == 0x123


def test_gets_and_sets_of_bytes_and_halves_reach_plain_registers(machine):
    at = offset_of("VPINT_MBX_CTL", 3)
    machine.write32(at, 0)
    machine.rc.write(0x40_0000_0000 + at, b"\x34\x02")
    assert machine.read32(at) == 0x234
    assert machine.rc.read(0x40_0000_0000 + at + 1, 1) == b"\x02"
