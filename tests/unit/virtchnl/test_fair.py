"""Turns: one VF's flood delays another's message by a message."""

from hypothesis import given
from hypothesis import strategies as st

from siov.drivers.ice.virtchnl.fair import BURST, LINE, RATE, SLOW_TURN, VfMessages
from siov.spec.e810 import AqDesc


class Recorder:
    def __init__(self, name: int, log: list[tuple[int, int]]) -> None:
        self.name, self.log = name, log

    def handle(self, op: int, data: bytes) -> None:
        self.log.append((self.name, op))


class Hall:
    """Lines of several VFs, with a clock that stands still."""

    def __init__(self, vfs: int) -> None:
        self.now = 0.0
        self.log: list[tuple[int, int]] = []
        self.messages = VfMessages(clock=lambda: self.now)
        for n in range(vfs):
            self.messages.attach(n, Recorder(n, self.log))

    def send(self, vf: int, *ops: int) -> None:
        for op in ops:
            self.messages.submit(vf, op, b"")


def test_messages_of_a_vf_stay_in_order():
    hall = Hall(1)
    hall.send(0, *range(40))
    assert not hall.messages.serve(100)
    assert hall.log == [(0, op) for op in range(40)]


def test_another_vf_s_message_waits_for_one_of_the_flood_at_most():
    hall = Hall(3)
    hall.send(0, *range(LINE))
    hall.send(1, 1)
    hall.send(2, 1)
    assert hall.messages.serve(3)
    assert hall.log == [(0, 0), (1, 1), (2, 1)]


def test_a_vf_that_flooded_for_long_is_in_front_again_soon_after_it_has_stopped():
    hall = Hall(2)
    for _ in range(20 * int(BURST)):
        hall.send(0, 0)
        hall.messages.serve()
    hall.now += (BURST + 1) / RATE
    deferred = hall.messages.lines[0].deferred
    hall.send(0, 1)
    assert hall.messages.lines[0].deferred == deferred


def test_a_vf_out_of_tokens_is_served_when_no_other_waits():
    hall = Hall(2)
    for _ in range(int(BURST) + 10):
        hall.send(0, 0)
        hall.messages.serve()
    assert len(hall.log) == BURST + 10
    hall.log.clear()
    hall.send(0, 7, 7, 7)
    hall.send(1, *range(5))
    others = [(1, op) for op in range(5)]
    assert hall.messages.serve(100), "after one from the back it asks to look for new messages first"
    assert hall.log == [*others, (0, 7)]
    while hall.messages.serve(100):
        pass
    assert hall.log == [*others, *[(0, 7)] * 3]
    assert hall.messages.lines[0].deferred > 0
    assert hall.messages.lines[1].deferred == 0


def test_a_vf_out_of_tokens_is_not_starved_by_others_without_end():
    hall = Hall(2)
    hall.messages.lines[0].tokens = 0
    hall.send(0, 7)
    hall.messages.lines[1].tokens = 1e9
    for n in range(2 * SLOW_TURN):
        hall.messages.lines[1].tokens = BURST
        hall.send(1, n)
        hall.messages.serve(1)
    assert (0, 7) in hall.log


def test_tokens_come_back_with_time():
    hall = Hall(1)
    line = hall.messages.lines[0]
    line.tokens = 0
    hall.now = 10 / RATE
    hall.send(0, 1)
    assert line.tokens == 10
    hall.now = 1e6
    line.fill(hall.now)
    assert line.tokens == BURST


def test_what_comes_when_the_line_is_full_is_dropped_and_counted():
    hall = Hall(2)
    hall.send(0, *range(LINE + 5))
    line = hall.messages.lines[0]
    assert (line.dropped, line.malicious, len(line.waiting)) == (5, True, LINE)
    assert not hall.messages.lines[1].malicious
    hall.messages.serve(1000)
    assert len(hall.log) == LINE
    hall.send(0, 99)
    hall.messages.serve()
    assert hall.log[-1] == (0, 99)


def test_a_vf_that_goes_takes_its_messages_along():
    hall = Hall(2)
    hall.send(0, 1, 2)
    hall.send(1, 3)
    hall.messages.detach(0)
    hall.messages.serve(10)
    assert hall.log == [(1, 3)]
    hall.send(0, 4)
    assert hall.messages.unknown == 1
    hall.messages.detach(0)


def test_messages_that_are_forgotten_are_not_handled_and_later_ones_are():
    hall = Hall(2)
    hall.send(0, 1, 2, 3)
    assert hall.messages.forget(0) == 3
    assert hall.messages.forget(7) == 0
    hall.send(0, 4)
    hall.messages.serve(10)
    assert hall.log == [(0, 4)]


def test_a_message_that_comes_while_another_is_handled_waits_for_its_turn():
    hall = Hall(2)

    class Answers(Recorder):
        def handle(self, op: int, data: bytes) -> None:
            super().handle(op, data)
            if op < 3:
                hall.messages.forget(0)
                hall.send(0, op + 1)

    hall.messages.attach(0, Answers(0, hall.log))
    hall.send(0, 1)
    hall.send(1, 9)
    assert not hall.messages.serve(10)
    assert hall.log == [(0, 1), (1, 9), (0, 2), (0, 3)]


def test_a_vf_may_go_within_its_own_message():
    hall = Hall(1)

    class Leaver:
        def handle(self, op: int, data: bytes) -> None:
            hall.messages.detach(0)
            hall.messages.attach(0, Recorder(0, hall.log))

    hall.messages.attach(0, Leaver())
    hall.send(0, 1, 2, 3)
    assert not hall.messages.serve(10)
    hall.send(0, 4)
    hall.messages.serve(10)
    assert hall.log == [(0, 4)]


def test_the_mailbox_s_descriptor_says_the_operation():
    hall = Hall(1)
    hall.messages.receive(0, AqDesc.of(COOKIE_HIGH=15), b"")
    hall.messages.serve()
    assert hall.log == [(0, 15)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=200))
def test_every_message_that_is_not_dropped_is_handled_once_and_in_order(steps: list[tuple[int, int]]):
    hall = Hall(4)
    sent: dict[int, list[int]] = {n: [] for n in range(4)}
    for n, (vf, served) in enumerate(steps):
        hall.now += 0.0001
        before = hall.messages.lines[vf].dropped
        hall.send(vf, n)
        if hall.messages.lines[vf].dropped == before:
            sent[vf].append(n)
        hall.messages.serve(served)
    while hall.messages.serve(16):
        pass
    for vf, ops in sent.items():
        assert [op for name, op in hall.log if name == vf] == ops
