"""Interrupt moderation in virtual time: ITR and INTRL against their settings (ice_hw_autogen.h)."""

import pytest

from siov.spec.e810 import Interrupts

from .frames import plain
from .interrupts import INTENA, NONE, US, arm, message, program, trigger

VECTOR = 9
SECOND = 1_000_000_000
RATE = Interrupts.GLINT_RATE


@pytest.fixture
def rx(nic, machine):
    """Two VSIs; the second's frames interrupt by VECTOR through timer 0."""
    one, two = nic.vsi(1, size=256), nic.vsi(2, size=256)
    machine.enable_msix()
    program(machine, VECTOR, *message(1, 0x41))
    two.rx[0].interrupt(VECTOR, itr=0)
    return one, two


def count(machine, pair, events, span, *, poll=True):
    """Interrupts of `events` frames spread evenly over `span` nanoseconds; re-armed at each, as NAPI does."""
    one, two = pair
    arm(machine, VECTOR, INTENA | NONE << 3)
    machine.interrupts()
    found = 0
    step = span / events
    for n in range(events):
        target = round((n + 1) * step)
        wait_until(machine, target + machine.base)
        one.tx[0].data(plain(), RS=0)
        one.tx[0].doorbell()
        machine.pump()
        found += rearm(machine, two)
        if n % 32 == 31:
            two.rx[0].take()
    return found


def rearm(machine, two):
    got = len(machine.interrupts())
    if got:
        two.rx[0].take()
        arm(machine, VECTOR, INTENA | NONE << 3)
        machine.pump()
        got += rearm(machine, two)
    return got


def wait_until(machine, target):
    """Go from deadline to deadline, so that every interrupt comes when it is due."""
    machine.found = getattr(machine, "found", 0)
    while True:
        now, due = machine.clock.now(), machine.nic.next_deadline()
        if due is None or due >= target:
            break
        machine.advance(max(due - now, 1))
        if machine.taken:
            break
    if machine.clock.now() < target:
        machine.advance(target - machine.clock.now())


@pytest.mark.parametrize("interval", [50, 250, 1000, 8160])
def test_an_itr_of_n_microseconds_lets_one_interrupt_through_in_n(rx, machine, interval):
    _one, _two = rx
    machine.wr("GLINT_ITR", interval // 2, VECTOR)
    machine.base = machine.clock.now()
    span = 40 * interval * US
    found = count(machine, rx, 400, span)
    assert found == pytest.approx(40, rel=0.1)


@pytest.mark.parametrize("rate", [1, 100, 10_000, 100_000])
def test_events_slower_than_the_itr_each_interrupt(rx, machine, rate):
    """1 to 100,000 events a second with an ITR shorter than their distance: each has its own interrupt."""
    machine.wr("GLINT_ITR", 2 if rate == 100_000 else 25, VECTOR)
    machine.base = machine.clock.now()
    events = 60
    found = count(machine, rx, events, SECOND * events // rate)
    assert found == pytest.approx(events, rel=0.1)


@pytest.mark.parametrize("rate", [1_000, 20_000, 100_000])
def test_the_rate_of_interrupts_is_the_lower_of_events_and_itr(rx, machine, rate):
    interval = 100
    machine.wr("GLINT_ITR", interval // 2, VECTOR)
    machine.base = machine.clock.now()
    events = 200
    span = SECOND * events // rate
    found = count(machine, rx, events, span)
    want = min(events, span / (interval * US))
    assert found == pytest.approx(want, rel=0.1)


@pytest.mark.parametrize("interval", [4, 48, 236])
def test_an_intrl_of_n_microseconds_limits_all_causes_together(rx, machine, interval):
    """Without any ITR; 4 µs a step, enabled by bit 6."""
    two = rx[1]
    two.rx[0].interrupt(VECTOR, itr=NONE)
    machine.wr("GLINT_RATE", RATE.of(INTERVAL=interval // 4, INTRL_ENA=1), VECTOR)
    machine.base = machine.clock.now()
    span = 40 * interval * US
    found = count(machine, rx, 400, span)
    assert found == pytest.approx(40, rel=0.1)


def test_an_intrl_that_is_not_enabled_limits_nothing(rx, machine):
    rx[1].rx[0].interrupt(VECTOR, itr=NONE)
    machine.wr("GLINT_RATE", RATE.of(INTERVAL=59), VECTOR)
    machine.base = machine.clock.now()
    assert count(machine, rx, 50, 50 * US) == 50


def test_without_an_interval_every_event_interrupts_at_once(rx, machine):
    machine.wr("GLINT_ITR", 0, VECTOR)
    machine.base = machine.clock.now()
    assert count(machine, rx, 50, 50 * US) == 50


def test_a_cause_of_itr_none_is_not_throttled_by_the_timers(rx, machine):
    rx[1].rx[0].interrupt(VECTOR, itr=NONE)
    for n in range(3):
        machine.wr("GLINT_ITR", 4000, n * 2048 + VECTOR)
    machine.base = machine.clock.now()
    assert count(machine, rx, 50, 50 * US) == 50


@pytest.mark.parametrize("itr", [0, 1, 2])
def test_each_timer_throttles_the_causes_that_name_it(rx, machine, itr):
    rx[1].rx[0].interrupt(VECTOR, itr=itr)
    machine.wr("GLINT_ITR", 50, itr * 2048 + VECTOR)
    machine.base = machine.clock.now()
    assert count(machine, rx, 200, 2000 * US) == pytest.approx(20, rel=0.1)


def test_an_interval_written_with_the_enable_counts_from_then_on(rx, machine):
    """NAPI: INTENA with timer 0 and its interval in one write."""
    _one, _two = rx
    arm(machine, VECTOR, INTENA | 0 << 3 | 100 << 5)
    assert machine.rd("GLINT_ITR", VECTOR) == 100


def test_an_event_is_not_lost_when_it_comes_between_the_last_poll_and_the_enable(rx, machine):
    one, _two = rx
    arm(machine, VECTOR)
    one.tx[0].send(plain())
    machine.advance(10_000 * US)
    assert len(machine.interrupts()) == 1
    one.tx[0].send(plain())
    machine.advance(10_000 * US)
    assert machine.interrupts() == [], "INTENA was cleared when the vector fired"
    assert machine.rd("GLINT_DYN_CTL", VECTOR) & 1 == 0
    arm(machine, VECTOR)
    machine.advance(10_000 * US)
    assert machine.interrupts() == [(1, 0x41)]


def test_with_automasking_off_a_vector_stays_enabled(rx, machine):
    machine.wr("GLINT_CTL", machine.rd("GLINT_CTL") | 1)
    arm(machine, VECTOR)
    for _ in range(3):
        trigger(machine, VECTOR)
        machine.pump()
        assert machine.interrupts() == [(1, 0x41)]


def test_a_software_interrupt_fires_without_an_event(rx, machine):
    machine.wr("GLINT_DYN_CTL", 0x0100_001D | 3 << 25, VECTOR)
    machine.pump()
    assert machine.interrupts() == [(1, 0x41)]


def test_a_queue_whose_cause_is_not_enabled_interrupts_nobody(rx, machine):
    one, two = rx
    two.rx[0].interrupt(VECTOR, itr=NONE, CAUSE_ENA=0)
    arm(machine, VECTOR)
    one.tx[0].send(plain())
    machine.advance(10_000 * US)
    assert machine.interrupts() == []


def test_a_sent_packet_interrupts_by_its_queues_cause(rx, machine):
    one, two = rx
    program(machine, 20, *message(2, 0x77))
    one.tx[0].interrupt(20)
    two.rx[0].interrupt(VECTOR, CAUSE_ENA=0)
    arm(machine, 20)
    one.tx[0].send(plain())
    assert machine.interrupts() == [(2, 0x77)]
    arm(machine, 20)
    one.tx[0].send(plain(), RS=0)
    assert machine.interrupts() == [], "nothing was reported"
