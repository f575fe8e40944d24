"""The mailbox: the order of its registers, and what goes round in its rings."""

from __future__ import annotations

import pytest

from siov.drivers.iavf import SIOV, IavfError
from siov.drivers.iavf.mailbox import Mailbox
from siov.spec.virtchnl import Op

from .fake import FakeVdev, link_event


@pytest.fixture
def mailbox(vdev: FakeVdev) -> Mailbox:
    mailbox = Mailbox(vdev, SIOV)
    mailbox.init()
    return mailbox


def test_lengths_are_written_before_bases_and_the_receive_tail_at_last(vdev: FakeVdev) -> None:
    Mailbox(vdev, SIOV).init()
    names = [name for name, _ in vdev.writes]
    atq = ["ATQH", "ATQT", "ATQLEN", "ATQBAL", "ATQBAH"]
    arq = ["ARQH", "ARQT", "ARQLEN", "ARQBAL", "ARQBAH", "ARQT"]
    assert names == atq + arq
    assert dict(vdev.writes)["ATQLEN"] == dict(vdev.writes)["ARQLEN"] == 0x8000_0020
    assert vdev.writes[-1] == ("ARQT", 31)


def test_a_base_that_does_not_read_back_is_an_error(vdev: FakeVdev) -> None:
    read = vdev.read32
    vdev.read32 = lambda offset: 0xDEAD_BEEF if offset == 0x20000 else read(offset)  # type: ignore[method-assign]
    with pytest.raises(IavfError, match="ATQBAL reads 0xdeadbeef after"):
        Mailbox(vdev, SIOV).init()


def test_messages_go_round_the_rings_many_times(mailbox: Mailbox, vdev: FakeVdev) -> None:
    vdev.answers[1] = lambda data: (0, data[::-1])
    for n in range(200):
        data = bytes((n & 0xFF, n >> 8, 1, 2, 3, 4, 5, 6))
        mailbox.send(Op.VERSION, data)
        assert mailbox.is_sent
        got = mailbox.receive()
        assert got is not None
        assert (got.op, got.status, got.data) == (1, 0, data[::-1])
        assert mailbox.receive() is None


def test_as_many_events_as_there_are_descriptors_wait_in_order(mailbox: Mailbox, vdev: FakeVdev) -> None:
    for n in range(100):
        vdev.tell(link_event(True, n))
    assert len(vdev.queue) == 100 - 31
    got = [mailbox.receive() for _ in range(100)]
    speeds = [int.from_bytes(one.data[4:8], "little") for one in got if one is not None]
    assert speeds == list(range(100))
    assert mailbox.receive() is None


def test_a_status_is_signed(mailbox: Mailbox, vdev: FakeVdev) -> None:
    vdev.answers[15] = lambda data: (-64, b"")
    mailbox.send(Op.GET_STATS, bytes(12))
    got = mailbox.receive()
    assert got is not None
    assert got.status == -64


def test_a_ring_that_the_device_does_not_take_from_is_full_after_31_messages(
    mailbox: Mailbox, vdev: FakeVdev
) -> None:
    vdev.deaf = True
    for _ in range(31):
        mailbox.send(Op.GET_STATS, bytes(12))
    assert not mailbox.is_sent
    with pytest.raises(IavfError, match="the mailbox is full"):
        mailbox.send(Op.GET_STATS, bytes(12))


def test_a_head_that_is_no_index_is_a_device_that_is_gone(mailbox: Mailbox, vdev: FakeVdev) -> None:
    vdev.registers[vdev.names["ATQH"]] = 0xDEAD_BEEF
    with pytest.raises(IavfError, match="ATQH reads 0xdeadbeef: the device is gone or in reset"):
        mailbox.send(Op.GET_STATS, bytes(12))


def test_descriptors_that_were_taken_are_zeroed(mailbox: Mailbox, vdev: FakeVdev) -> None:
    base = vdev._base("ATQ")
    mailbox.send(Op.VERSION, bytes(8))
    assert any(vdev.read(base, 32))
    mailbox.send(Op.VERSION, bytes(8))
    assert not any(vdev.read(base, 32))


def test_too_long_a_message_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(IavfError, match="ADD_FDIR_FILTER of 4097 bytes; the mailbox takes 4096"):
        mailbox.send(Op.ADD_FDIR_FILTER, bytes(4097))


@pytest.mark.parametrize("unloading", [False, True])
def test_shutdown_tells_the_device_and_clears_all_ten_registers(
    mailbox: Mailbox, vdev: FakeVdev, unloading: bool
) -> None:
    mailbox.shutdown(unloading=unloading)
    assert vdev.shutdowns == [int(unloading)]
    assert all(vdev.registers[at] == 0 for at in vdev.names.values())
    assert vdev.allocated == {}
    mailbox.shutdown()
    assert len(vdev.shutdowns) == 1


def test_error_bits_of_the_lengths_are_cleared(mailbox: Mailbox, vdev: FakeVdev) -> None:
    vdev.registers[vdev.names["ARQLEN"]] |= 1 << 29
    vdev.tell(link_event(True))
    assert mailbox.receive() is not None
    assert vdev.registers[vdev.names["ARQLEN"]] == 0x8000_0020
