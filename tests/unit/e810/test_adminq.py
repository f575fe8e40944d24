"""The rings of the admin queue."""

import pytest

from siov.hw.e810.firmware.adminq import BACKLOG, Event
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_device import AqListCaps
from siov.spec.e810.queues import QueueLength

from .client import ARQ, ATQ, Client


def test_a_command_comes_back_done_and_complete_with_its_cookies(client: Client):
    answer = client.send(AqOpcode.GET_VER)
    assert (answer.descriptor.COOKIE_HIGH, answer.descriptor.COOKIE_LOW) == (0x1234, 0x5678)
    assert client.read("PF_FW_ATQH") == client.tail == 1


def test_commands_are_answered_in_order_up_to_the_tail(client: Client):
    first = client.put(client.describe(AqOpcode.GET_VER))
    second = client.put(client.describe(AqOpcode.GET_EXP_ERR))
    third = client.put(client.describe(AqOpcode.GET_VER))
    client.write("PF_FW_ATQT", third)
    assert client.take(first).flags.DD
    assert client.take(second).flags.DD
    assert not client.take(third).flags.DD
    assert client.read("PF_FW_ATQH") == third


def test_the_ring_wraps_around(client: Client):
    for _ in range(20):
        client.send(AqOpcode.GET_VER)
    assert client.read("PF_FW_ATQH") == 20 % 8


@pytest.mark.parametrize("opcode", [0x0000, 0x0006, 0x0BAD, 0xFFFF])
def test_an_unknown_opcode_is_no_such_command(client: Client, opcode: int):
    client.send(opcode, expect=AqRc.ESRCH)


def test_a_queue_that_is_not_enabled_takes_no_commands(client: Client):
    client.write("PF_FW_ATQLEN", QueueLength.of(LEN=8).raw)
    index = client.put(client.describe(AqOpcode.GET_VER))
    client.write("PF_FW_ATQT", client.tail)
    assert not client.take(index).flags.DD
    client.write("PF_FW_ATQLEN", QueueLength.of(LEN=8, ENABLE=1).raw)
    assert client.take(index).flags.DD


def test_a_direct_command_with_a_buffer_is_invalid(client: Client):
    client.send(AqOpcode.GET_VER, data=b"x", expect=AqRc.EINVAL)


def test_a_command_that_needs_a_buffer_is_invalid_without(client: Client):
    client.send(AqOpcode.LIST_DEV_CAPS, expect=AqRc.EINVAL)


@pytest.mark.parametrize("large", [0, 1])
def test_a_buffer_is_marked_as_large_from_513_bytes_on(client: Client, large: int):
    size = 512 if large else 513
    client.send(AqOpcode.LIST_DEV_CAPS, room=size, LB=large, expect=AqRc.EINVAL)
    client.send(AqOpcode.LIST_DEV_CAPS, room=1024)


def test_a_buffer_is_4_kib_at_most(client: Client):
    client.send(AqOpcode.LIST_DEV_CAPS, room=4097, expect=AqRc.EINVAL)


def test_a_command_with_data_must_say_that_it_is_to_be_read(client: Client):
    client.send(AqOpcode.DRIVER_VER, data=b"ice", RD=0, expect=AqRc.EINVAL)
    client.send(AqOpcode.LIST_DEV_CAPS, room=1024, RD=1, expect=AqRc.EINVAL)


def test_an_answer_tells_how_many_bytes_it_has_and_keeps_the_address(client: Client):
    index = client.put(client.describe(AqOpcode.LIST_FUNC_CAPS, room=4096))
    address = client.take(index).descriptor.ADDR_LOW
    client.write("PF_FW_ATQT", client.tail)
    answer = client.take(index)
    assert answer.descriptor.DATALEN == 32 * answer.params(AqListCaps).COUNT
    assert address == answer.descriptor.ADDR_LOW


def test_a_buffer_that_memory_refuses_is_a_bad_address(client: Client):
    raw = bytearray(client.describe(AqOpcode.DRIVER_VER, data=b"ice"))
    raw[24:28] = (1).to_bytes(4, "little")
    index = client.put(bytes(raw))
    client.write("PF_FW_ATQT", client.tail)
    assert client.take(index).code is AqRc.BAD_ADDR


def test_a_ring_that_memory_refuses_stops_with_a_critical_error(client: Client):
    client.memory.refused = True
    client.write("PF_FW_ATQT", 1)
    assert QueueLength(client.read("PF_FW_ATQLEN")).CRIT
    client.memory.refused = False
    client.write("PF_FW_ATQT", 2)
    assert client.read("PF_FW_ATQH") == 0
    client.open()
    client.send(AqOpcode.GET_VER)


def test_a_tail_outside_of_the_ring_is_a_critical_error(client: Client):
    client.write("PF_FW_ATQT", 8)
    assert QueueLength(client.read("PF_FW_ATQLEN")).CRIT


def test_a_command_interrupts_unless_the_driver_says_that_it_polls(client: Client):
    client.send(AqOpcode.GET_VER)
    assert client.engine.interrupts == 0
    client.send(AqOpcode.GET_VER, SI=0)
    assert client.engine.interrupts == 1


def test_a_driver_that_polls_may_still_hear_of_errors(client: Client):
    client.send(AqOpcode.GET_VER, EI=1)
    assert client.engine.interrupts == 0
    client.send(0x0BAD, EI=1, expect=AqRc.ESRCH)
    assert client.engine.interrupts == 1


def test_commands_behind_a_failed_one_are_flushed_when_it_asks_for_that(client: Client):
    failing = client.put(client.describe(0x0BAD, FE=1))
    behind = client.put(client.describe(AqOpcode.GET_VER))
    client.write("PF_FW_ATQT", client.tail)
    assert client.take(failing).code is AqRc.ESRCH
    assert client.take(behind).code is AqRc.EFLUSHED
    client.send(AqOpcode.GET_VER)


def test_an_event_goes_into_a_posted_buffer_and_interrupts(client: Client):
    client.firmware.queue.post(Event(AqOpcode.EVENT_LAN_OVERFLOW, data=b"overflow"))
    client.firmware.service()
    [event] = client.events()
    assert event.descriptor.OPCODE == AqOpcode.EVENT_LAN_OVERFLOW
    assert event.data == b"overflow"
    assert event.flags.DD
    assert event.flags.BUF
    assert client.engine.interrupts == 1


def test_events_wait_for_buffers_in_order(client: Client):
    for n in range(12):
        client.firmware.queue.post(Event(AqOpcode.EVENT_LAN_OVERFLOW, data=bytes([n])))
    client.firmware.service()
    got = []
    while len(got) < 12:
        events = client.events()
        assert events
        got += [event.data[0] for event in events]
    assert got == list(range(12))


def test_events_that_nobody_takes_are_lost_beyond_a_backlog(client: Client):
    for _ in range(BACKLOG + 5):
        client.firmware.queue.post(Event(AqOpcode.EVENT_LAN_OVERFLOW))
    assert client.firmware.queue.counts.events_lost == 5


def test_an_event_that_is_longer_than_its_buffer_is_cut_and_says_so(client: Client):
    client.write("PF_FW_ARQLEN", 0)
    client.open()
    client.memory.dma_write(ARQ + 4, (16).to_bytes(2, "little"))
    client.firmware.queue.post(Event(AqOpcode.EVENT_LAN_OVERFLOW, data=bytes(20)))
    client.firmware.service()
    [event] = client.events()
    assert event.code is AqRc.E2BIG
    assert len(event.data) == 16


def test_an_access_from_within_the_interrupt_is_served(client: Client):
    answers = []

    def handler() -> None:
        client.engine.raise_fw = lambda: None  # type: ignore[method-assign]
        answers.append(client.send(AqOpcode.GET_VER))

    client.engine.raise_fw = handler  # type: ignore[method-assign]
    client.send(AqOpcode.GET_VER, SI=0)
    assert len(answers) == 1


def test_the_head_of_the_ring_lies_where_the_registers_say(client: Client):
    client.write("PF_FW_ATQBAL", ATQ + 0x400)
    client.memory.dma_write(ATQ + 0x400, client.describe(AqOpcode.GET_VER))
    client.write("PF_FW_ATQT", 1)
    assert client.memory.data[ATQ + 0x400] & 3 == 3
