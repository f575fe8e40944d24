//! When a vector interrupts, rule by rule. Times are in nanoseconds of virtual time.

use siov_lan::interrupt::{Cause, Interrupts, Itr, Ns, Oicr, Vector};

const US: Ns = 1_000;
const V: Vector = Vector(5);
const INTENA: u32 = 1;
const CLEARPBA: u32 = 1 << 1;
const SWINT_TRIG: u32 = 1 << 2;
const ITR_NONE: u32 = 3 << 3;
const SW_ITR_INDX_ENA: u32 = 1 << 24;
const WB_ON_ITR: u32 = 1 << 30;
const INTENA_MSK: u32 = 1 << 31;
/// What Linux writes to enable a vector and leave its timers.
const ENABLE: u32 = INTENA | ITR_NONE;

fn interval(index: u32, units: u32) -> u32 {
    index << 3 | units << 5
}

fn fired(interrupts: &mut Interrupts) -> Vec<u32> {
    let mut vectors = vec![];
    interrupts.take_fired(&mut vectors);
    vectors.into_iter().map(|vector| vector.0).collect()
}

fn write(interrupts: &mut Interrupts, value: u32, now: Ns) {
    let _ = interrupts.write_dyn_ctl(V, value, now);
}

/// A vector with its timers set, enabled, that has just interrupted at time 0 and is enabled again.
fn after_an_interrupt(itr: [u32; 3], rate: u32) -> Interrupts {
    let mut interrupts = Interrupts::new(0);
    for (index, units) in (0..).zip(itr) {
        interrupts.set_itr(V, index, units, 0);
    }
    interrupts.set_rate(V, rate, 0);
    write(&mut interrupts, ENABLE, 0);
    interrupts.cause(V, Itr::None, 0);
    assert_eq!(fired(&mut interrupts), [5]);
    write(&mut interrupts, ENABLE, 0);
    interrupts
}

#[test]
fn the_first_event_interrupts_at_once() {
    let mut interrupts = Interrupts::new(0);
    interrupts.set_itr(V, 0, 25, 0);
    write(&mut interrupts, ENABLE, 0);
    interrupts.cause(V, Itr::Itr0, 3);
    assert_eq!(fired(&mut interrupts), [5]);
    assert_eq!(interrupts.next_deadline(), None);
}

#[test]
fn an_event_waits_until_its_timer_has_run_out_since_the_last_interrupt() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 10 * US);
    assert_eq!(interrupts.next_deadline(), Some(50 * US));
    interrupts.poll(50 * US - 1);
    assert_eq!(fired(&mut interrupts), [] as [u32; 0]);
    interrupts.poll(50 * US);
    assert_eq!(fired(&mut interrupts), [5]);
    assert_eq!(interrupts.next_deadline(), None);
}

#[test]
fn an_event_after_the_timer_ran_out_interrupts_at_once() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 70 * US);
    assert_eq!(fired(&mut interrupts), [5]);
    write(&mut interrupts, ENABLE, 71 * US);
    interrupts.cause(V, Itr::Itr0, 72 * US);
    assert_eq!(interrupts.next_deadline(), Some(120 * US));
}

#[test]
fn an_event_without_a_timer_is_not_held_back() {
    let mut interrupts = after_an_interrupt([4095, 4095, 4095], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    interrupts.cause(V, Itr::None, 2);
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn the_shortest_timer_of_the_waiting_events_decides() {
    let mut interrupts = after_an_interrupt([50, 20, 5], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    assert_eq!(interrupts.next_deadline(), Some(100 * US));
    interrupts.cause(V, Itr::Itr1, 2);
    assert_eq!(interrupts.next_deadline(), Some(40 * US), "timer 2 has no event");
}

#[test]
fn one_message_takes_all_events_with_it() {
    let mut interrupts = after_an_interrupt([50, 20, 0], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    interrupts.cause(V, Itr::Itr1, 2);
    interrupts.poll(40 * US);
    assert_eq!(fired(&mut interrupts), [5]);
    write(&mut interrupts, ENABLE, 41 * US);
    interrupts.poll(1_000 * US);
    assert_eq!(fired(&mut interrupts), [] as [u32; 0]);
}

#[test]
fn the_rate_limit_holds_over_all_timers_of_the_vector() {
    let mut interrupts = after_an_interrupt([5, 0, 0], 1 << 6 | 20);
    interrupts.cause(V, Itr::None, 1);
    assert_eq!(interrupts.next_deadline(), Some(80 * US));
    interrupts.cause(V, Itr::Itr0, 2);
    assert_eq!(interrupts.next_deadline(), Some(80 * US));
}

#[test]
fn the_rate_limit_counts_only_with_its_enable_bit() {
    let mut interrupts = after_an_interrupt([0, 0, 0], 20);
    interrupts.cause(V, Itr::None, 1);
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn the_longer_of_timer_and_rate_limit_decides() {
    let mut interrupts = after_an_interrupt([100, 0, 0], 1 << 6 | 20);
    interrupts.cause(V, Itr::Itr0, 1);
    assert_eq!(interrupts.next_deadline(), Some(200 * US));
}

#[test]
fn a_message_disables_its_vector() {
    let mut interrupts = Interrupts::new(0);
    write(&mut interrupts, ENABLE, 0);
    assert_eq!(interrupts.read_dyn_ctl(V) & INTENA, INTENA);
    interrupts.cause(V, Itr::None, 0);
    assert_eq!(interrupts.read_dyn_ctl(V) & INTENA, 0);
    interrupts.cause(V, Itr::None, 1);
    assert_eq!(fired(&mut interrupts), [5], "the second event waits for INTENA");
}

#[test]
fn without_automask_a_message_leaves_its_vector_enabled() {
    let mut interrupts = Interrupts::new(0);
    interrupts.set_automask(false);
    write(&mut interrupts, ENABLE, 0);
    interrupts.cause(V, Itr::None, 0);
    assert_eq!(fired(&mut interrupts), [5]);
    interrupts.cause(V, Itr::None, 1);
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn an_event_of_a_disabled_vector_interrupts_when_it_is_enabled() {
    let mut interrupts = Interrupts::new(0);
    interrupts.cause(V, Itr::Itr1, 0);
    interrupts.poll(1_000 * US);
    assert_eq!(fired(&mut interrupts), [] as [u32; 0]);
    write(&mut interrupts, ENABLE, 2_000 * US);
    assert_eq!(fired(&mut interrupts), [5]);
    write(&mut interrupts, ENABLE, 3_000 * US);
    assert_eq!(fired(&mut interrupts), [] as [u32; 0], "the event is spent");
}

#[test]
fn an_event_that_waits_for_its_timer_stays_behind_a_disabled_vector() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    write(&mut interrupts, ITR_NONE, 2);
    assert_eq!(interrupts.next_deadline(), None);
    write(&mut interrupts, ENABLE, 60 * US);
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn intena_msk_leaves_intena_alone() {
    let mut interrupts = Interrupts::new(0);
    write(&mut interrupts, INTENA | INTENA_MSK | ITR_NONE, 0);
    assert_eq!(interrupts.read_dyn_ctl(V) & INTENA, 0);
    write(&mut interrupts, ENABLE, 0);
    write(&mut interrupts, INTENA_MSK | ITR_NONE, 0);
    assert_eq!(interrupts.read_dyn_ctl(V) & INTENA, INTENA);
}

#[test]
fn a_write_with_an_itr_index_sets_that_timer() {
    let mut interrupts = Interrupts::new(0);
    for index in 0..3 {
        write(&mut interrupts, INTENA | interval(index, 100 + index), 0);
    }
    write(&mut interrupts, INTENA | interval(3, 7), 0);
    assert_eq!([0, 1, 2].map(|index| interrupts.itr(V, index)), [100, 101, 102]);
}

#[test]
fn a_new_interval_holds_for_the_interval_that_is_running() {
    let mut interrupts = after_an_interrupt([4095, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    write(&mut interrupts, INTENA | interval(0, 25), 10 * US);
    assert_eq!(interrupts.next_deadline(), Some(50 * US));
    interrupts.set_itr(V, 0, 2, 10 * US);
    assert_eq!(fired(&mut interrupts), [5], "4 µs are over");
}

#[test]
fn a_software_trigger_interrupts() {
    let mut interrupts = Interrupts::new(0);
    write(&mut interrupts, ENABLE | SWINT_TRIG | SW_ITR_INDX_ENA, 0); // Linux's kick
    assert_eq!(fired(&mut interrupts), [5]);
    assert_eq!(interrupts.read_dyn_ctl(V) & (SWINT_TRIG | SW_ITR_INDX_ENA | INTENA), 0);
}

#[test]
fn a_software_trigger_waits_for_the_timer_that_sw_itr_indx_names() {
    let mut interrupts = after_an_interrupt([25, 50, 75], 0);
    write(&mut interrupts, ENABLE | SWINT_TRIG | SW_ITR_INDX_ENA | 1 << 25, 1);
    assert_eq!(interrupts.next_deadline(), Some(100 * US));
}

#[test]
fn sw_itr_indx_changes_only_with_its_enable_bit() {
    let mut interrupts = after_an_interrupt([25, 50, 75], 0);
    write(&mut interrupts, ENABLE | SW_ITR_INDX_ENA | 2 << 25, 1);
    write(&mut interrupts, ENABLE | SWINT_TRIG | 1 << 25, 1);
    assert_eq!(interrupts.next_deadline(), Some(150 * US));
}

#[test]
fn clearpba_asks_for_the_pending_bit_and_keeps_the_event() {
    let mut interrupts = Interrupts::new(0);
    interrupts.cause(V, Itr::None, 0);
    assert!(interrupts.write_dyn_ctl(V, ENABLE | CLEARPBA, 1));
    assert_eq!(fired(&mut interrupts), [5]);
    assert!(!interrupts.write_dyn_ctl(V, ENABLE, 2));
    assert_eq!(interrupts.read_dyn_ctl(V) & CLEARPBA, 0);
}

#[test]
fn wb_on_itr_enables_nothing_and_reads_back() {
    let mut interrupts = Interrupts::new(0);
    write(&mut interrupts, WB_ON_ITR | ITR_NONE, 0);
    assert!(interrupts.writes_back_on_itr(V));
    interrupts.cause(V, Itr::Itr0, 0);
    assert_eq!(fired(&mut interrupts), [] as [u32; 0]);
    write(&mut interrupts, ENABLE, 1);
    assert!(!interrupts.writes_back_on_itr(V));
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn a_late_look_does_not_shift_the_next_interval() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    interrupts.poll(58 * US);
    assert_eq!(fired(&mut interrupts), [5]);
    write(&mut interrupts, ENABLE, 59 * US);
    interrupts.cause(V, Itr::Itr0, 60 * US);
    assert_eq!(interrupts.next_deadline(), Some(100 * US));
}

#[test]
fn vectors_do_not_hold_each_other_back() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    let _ = interrupts.write_dyn_ctl(Vector(6), ENABLE, 0);
    interrupts.cause(V, Itr::Itr0, 1);
    interrupts.cause(Vector(6), Itr::Itr0, 2);
    assert_eq!(fired(&mut interrupts), [6]);
}

#[test]
fn vectors_that_are_due_together_interrupt_in_the_order_of_their_times() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    let other = Vector(9);
    interrupts.set_itr(other, 0, 24, 0);
    let _ = interrupts.write_dyn_ctl(other, ENABLE, 0);
    interrupts.cause(other, Itr::None, 0);
    let _ = interrupts.write_dyn_ctl(other, ENABLE, 0);
    interrupts.cause(V, Itr::Itr0, 1);
    interrupts.cause(other, Itr::Itr0, 1);
    let _ = fired(&mut interrupts);
    interrupts.poll(100 * US);
    assert_eq!(fired(&mut interrupts), [9, 5]);
}

#[test]
fn a_vector_waits_to_be_taken_only_once() {
    let mut interrupts = Interrupts::new(0);
    for now in 0..1000 {
        write(&mut interrupts, ENABLE | SWINT_TRIG, now);
    }
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn a_reset_forgets_events_timers_and_what_has_fired() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    interrupts.cause(V, Itr::Itr0, 1);
    let _ = interrupts.write_dyn_ctl(Vector(4), ENABLE | SWINT_TRIG, 1);
    let _ = interrupts.write_dyn_ctl(Vector(6), ENABLE | SWINT_TRIG, 1);
    interrupts.reset(4..6);
    assert_eq!(interrupts.next_deadline(), None);
    assert_eq!(fired(&mut interrupts), [6]);
    assert_eq!((interrupts.read_dyn_ctl(V), interrupts.itr(V, 0)), (0, 0));
    let _ = interrupts.write_dyn_ctl(Vector(4), ENABLE | SWINT_TRIG, 2);
    assert_eq!(fired(&mut interrupts), [4]);
}

#[test]
fn a_vector_that_does_not_exist_reads_0_and_never_interrupts() {
    let mut interrupts = Interrupts::new(16);
    for vector in [2048 + 16, u32::MAX].map(Vector) {
        assert!(!interrupts.write_dyn_ctl(vector, ENABLE | SWINT_TRIG, 0));
        interrupts.set_itr(vector, 0, 1, 0);
        interrupts.set_rate(vector, 1, 0);
        interrupts.cause(vector, Itr::None, 0);
        assert_eq!(interrupts.read_dyn_ctl(vector), 0);
    }
    interrupts.reset(0..u32::MAX);
    assert!(!interrupts.has_fired());
}

#[test]
fn the_2049th_msi_x_vector_does_not_exist_and_ims_begins_there() {
    assert_eq!(Vector::msix(2047), Some(Vector(2047)));
    assert_eq!(Vector::msix(2048), None);
    assert_eq!(Vector::ims(0), Some(Vector(2048)));
    assert_eq!(Vector::ims(16_384), None);
    assert_eq!((Vector(2047).slot(), Vector(2050).slot()), (None, Some(2)));
}

#[test]
fn every_one_of_18432_vectors_interrupts_its_own() {
    let mut interrupts = Interrupts::new(16_384);
    for vector in (0..18_432).map(Vector) {
        let _ = interrupts.write_dyn_ctl(vector, ENABLE, 0);
        interrupts.cause(vector, Itr::Itr0, 0);
    }
    assert_eq!(fired(&mut interrupts), (0..18_432).collect::<Vec<_>>());
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let mut interrupts = Interrupts::new(0);
    let late = Ns::MAX - 5;
    interrupts.set_itr(V, 0, 4095, late);
    write(&mut interrupts, ENABLE, late);
    interrupts.cause(V, Itr::Itr0, late);
    write(&mut interrupts, ENABLE, late);
    interrupts.cause(V, Itr::Itr0, late);
    let _ = fired(&mut interrupts);
    assert_eq!(interrupts.next_deadline(), Some(Ns::MAX));
    interrupts.poll(Ns::MAX);
    assert_eq!(fired(&mut interrupts), [5]);
}

#[test]
fn a_cause_register_names_an_msi_x_vector_or_an_ims_slot() {
    let cause = Cause::from_register(1 << 30 | 1 << 11 | 0x7FF);
    assert_eq!(cause, Cause { vector: Vector(2047), itr: Itr::Itr1, enabled: true });
    let cause = Cause::from_register(1 << 29 | 0x3FFF << 13 | 3 << 11 | 0x7FF);
    assert_eq!(cause, Cause { vector: Vector(2048 + 16_383), itr: Itr::None, enabled: false });
}

#[test]
fn an_enabled_other_cause_interrupts_once_until_it_is_read() {
    let mut oicr = Oicr::default();
    assert!(!oicr.raise(1 << 20), "not enabled");
    assert!(oicr.enable(1 << 20 | 1 << 19), "a latched cause becomes enabled");
    assert!(!oicr.raise(1 << 20), "latched already");
    assert!(oicr.raise(1 << 19));
    assert_eq!(oicr.peek(), 1 << 20 | 1 << 19);
    assert_eq!(oicr.read(), 1 << 20 | 1 << 19);
    assert_eq!(oicr.read(), 0, "the read cleared it");
    assert!(oicr.raise(1 << 20));
    oicr.reset();
    assert_eq!((oicr.peek(), oicr.enabled()), (0, 0));
}

#[test]
fn moderation_counts_events_interrupts_and_what_waited() {
    let mut interrupts = after_an_interrupt([25, 0, 0], 0);
    let before = interrupts.moderated();
    assert_eq!((before.events, before.interrupts, before.delayed, before.disabled), (1, 1, 0, 0));
    for _ in 0..3 {
        interrupts.cause(V, Itr::Itr0, 10 * US);
    }
    interrupts.poll(50 * US);
    let now = interrupts.moderated();
    assert_eq!((now.events, now.interrupts, now.delayed, now.disabled), (4, 2, 1, 0));
    // Its driver polls, and enables it again before the timer has run out.
    interrupts.cause(V, Itr::Itr0, 51 * US);
    write(&mut interrupts, ENABLE, 60 * US);
    let now = interrupts.moderated();
    assert_eq!((now.events, now.interrupts, now.delayed, now.disabled), (5, 2, 2, 1));
    write(&mut interrupts, ENABLE | SWINT_TRIG | ITR_NONE << 22 | SW_ITR_INDX_ENA, 61 * US);
    let now = interrupts.moderated();
    assert_eq!((now.events, now.interrupts, now.delayed, now.disabled), (6, 3, 2, 1));
}
