//! Moderation and message storage against slow references that look at every microsecond and every vector.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;
use siov_lan::interrupt::{Interrupts, Itr, Message, Messages, Ns, Vector};

const VECTORS: u32 = 4;
const INTENA: u32 = 1;
const SWINT_TRIG: u32 = 1 << 2;
const SW_ITR_INDX_ENA: u32 = 1 << 24;
const INTENA_MSK: u32 = 1 << 31;

#[derive(Clone, Debug)]
enum Step {
    Cause(u32, u32),
    DynCtl(u32, u32),
    Itr(u32, u32, u32),
    Rate(u32, u32),
    Wait(u64),
}

fn dyn_ctl() -> impl Strategy<Value = u32> {
    (0u32..16, 0u32..4, 0u32..30, 0u32..4, any::<bool>()).prop_map(
        |(low, itr, interval, software, mask)| {
            let value = low & (INTENA | SWINT_TRIG) | itr << 3 | interval << 5 | software << 25;
            let value = if low & 8 != 0 { value | SW_ITR_INDX_ENA } else { value };
            if mask && low & 2 != 0 { value | INTENA_MSK } else { value }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let vector = 0..VECTORS;
    prop_oneof![
        4 => (vector.clone(), 0u32..4).prop_map(|(v, itr)| Step::Cause(v, itr)),
        4 => (vector.clone(), dyn_ctl()).prop_map(|(v, value)| Step::DynCtl(v, value)),
        1 => (vector.clone(), 0u32..4, 0u32..30).prop_map(|(v, i, value)| Step::Itr(v, i, value)),
        1 => (vector, 0u32..0x80).prop_map(|(v, value)| Step::Rate(v, value & 0x4F)),
        4 => (0u64..80).prop_map(Step::Wait),
    ]
}

/// A vector as the module's documentation has it, told once more without any deadlines.
#[derive(Clone, Default)]
struct Slow {
    enabled: bool,
    software: u32,
    itr: [u64; 3],
    rate: u64,
    waiting: Vec<u32>,
    last: Option<u64>,
}

impl Slow {
    /// Look at the vector at a microsecond; true when it interrupts.
    fn look(&mut self, us: u64) -> bool {
        let since = self.last.map_or(u64::MAX, |last| us - last);
        let credit = self.rate & 0x40 == 0 || since >= (self.rate & 0x3F) * 4;
        let timer = |itr: &u32| self.itr.get(*itr as usize).is_none_or(|units| since >= units * 2);
        let fires = self.enabled && credit && self.waiting.iter().any(timer);
        if fires {
            (self.enabled, self.last) = (false, Some(us));
            self.waiting.clear();
        }
        fires
    }

    fn write(&mut self, value: u32) {
        if value & INTENA_MSK == 0 {
            self.enabled = value & INTENA != 0;
        }
        if value & SW_ITR_INDX_ENA != 0 {
            self.software = value >> 25 & 3;
        }
        if let Some(itr) = self.itr.get_mut((value >> 3 & 3) as usize) {
            *itr = u64::from(value >> 5 & 0xFFF);
        }
        if value & SWINT_TRIG != 0 {
            self.waiting.push(self.software);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn moderation_is_that_of_a_reference_that_looks_every_microsecond(
        steps in vec(step(), 1..120)
    ) {
        let mut fast = Interrupts::new(0);
        let mut slow = vec![Slow::default(); VECTORS as usize];
        let (mut us, mut got, mut expected) = (0u64, vec![], vec![]);
        for step in steps {
            let now: Ns = us * 1_000;
            match step {
                Step::Cause(v, itr) => {
                    fast.cause(Vector(v), Itr::from_index(itr), now);
                    slow[v as usize].waiting.push(itr);
                }
                Step::DynCtl(v, value) => {
                    let _ = fast.write_dyn_ctl(Vector(v), value, now);
                    slow[v as usize].write(value);
                }
                Step::Itr(v, i, value) => {
                    fast.set_itr(Vector(v), i, value, now);
                    if let Some(itr) = slow[v as usize].itr.get_mut(i as usize) {
                        *itr = value.into();
                    }
                }
                Step::Rate(v, value) => {
                    fast.set_rate(Vector(v), value, now);
                    slow[v as usize].rate = value.into();
                }
                Step::Wait(more) => {
                    let end = now + more * 1_000;
                    while let Some(at) = fast.next_deadline().filter(|at| *at <= end) {
                        fast.poll(at);
                        collect(&mut fast, at, &mut got);
                    }
                    for us in us..us + more {
                        look(&mut slow, us, &mut expected);
                    }
                    us += more;
                }
            }
            collect(&mut fast, us * 1_000, &mut got);
            look(&mut slow, us, &mut expected);
            prop_assert_eq!(&got, &expected);
            let enabled = (0..VECTORS).map(|v| fast.read_dyn_ctl(Vector(v)) & 1 != 0);
            prop_assert!(enabled.eq(slow.iter().map(|slow| slow.enabled)));
        }
    }

    #[test]
    fn no_event_is_lost(steps in vec(step(), 1..200)) {
        let mut interrupts = Interrupts::new(0);
        let (mut now, mut owed, mut taken) = (0, [false; VECTORS as usize], vec![]);
        for step in steps {
            match step {
                Step::Cause(v, itr) => {
                    owed[v as usize] = true;
                    interrupts.cause(Vector(v), Itr::from_index(itr), now);
                }
                Step::DynCtl(v, value) => {
                    owed[v as usize] |= value & SWINT_TRIG != 0;
                    let _ = interrupts.write_dyn_ctl(Vector(v), value, now);
                }
                Step::Itr(v, i, value) => interrupts.set_itr(Vector(v), i, value, now),
                Step::Rate(v, value) => interrupts.set_rate(Vector(v), value, now),
                Step::Wait(more) => {
                    now += more * 977; // late by what is no multiple of anything
                    interrupts.poll(now);
                }
            }
            interrupts.take_fired(&mut taken);
            for vector in taken.drain(..) {
                prop_assert!(owed[vector.0 as usize], "{:?} interrupts for nothing", vector);
                owed[vector.0 as usize] = false;
            }
        }
        for v in 0..VECTORS {
            let _ = interrupts.write_dyn_ctl(Vector(v), INTENA | 3 << 3, now);
        }
        interrupts.poll(now + 10_000_000);
        interrupts.take_fired(&mut taken);
        for vector in taken {
            owed[vector.0 as usize] = false;
        }
        prop_assert_eq!(owed, [false; VECTORS as usize]);
        prop_assert_eq!(interrupts.next_deadline(), None);
    }
}

fn collect(interrupts: &mut Interrupts, now: Ns, to: &mut Vec<(Ns, u32)>) {
    let mut vectors = vec![];
    interrupts.take_fired(&mut vectors);
    vectors.sort();
    to.extend(vectors.into_iter().map(|vector| (now / 1_000, vector.0)));
}

fn look(slow: &mut [Slow], us: u64, to: &mut Vec<(Ns, u32)>) {
    for (vector, slow) in (0..).zip(slow) {
        if slow.look(us) {
            to.push((us, vector));
        }
    }
}

#[derive(Clone, Debug)]
enum Touch {
    Fire(u32),
    Clear(u32),
    Mask(u32, bool),
    Control(bool, bool),
}

/// Vectors of both kinds, near the ends of both.
const SOME: [u32; 6] = [0, 7, 2047, 2048, 2049, 2048 + 63];

fn touch() -> impl Strategy<Value = Touch> {
    let some = || (0..SOME.len()).prop_map(|n| SOME[n]);
    prop_oneof![
        4 => some().prop_map(Touch::Fire),
        1 => some().prop_map(Touch::Clear),
        3 => (some(), any::<bool>()).prop_map(|(v, masked)| Touch::Mask(v, masked)),
        2 => any::<(bool, bool)>().prop_map(|(enabled, masked)| Touch::Control(enabled, masked)),
    ]
}

proptest! {
    #[test]
    fn a_message_is_sent_pending_or_lost_with_msi_x_disabled(touches in vec(touch(), 1..200)) {
        let mut messages = Messages::new(64);
        let mut pending = [false; SOME.len()];
        let mut masked = [true; SOME.len()];
        let (mut enabled, mut function_mask) = (false, false);
        for touch in touches {
            let mut sent: Vec<Message> = vec![];
            let at = |vector| SOME.iter().position(|some| *some == vector).unwrap();
            match touch {
                Touch::Fire(v) => {
                    sent.extend(messages.fire(Vector(v)));
                    pending[at(v)] |= v >= 2048 || enabled; // and perhaps sent below
                }
                Touch::Clear(v) => {
                    messages.clear_pending(Vector(v));
                    pending[at(v)] = false;
                }
                Touch::Mask(v, mask) => {
                    let byte = [u8::from(mask)];
                    match Vector(v).slot() {
                        None => messages.write_bar3(u64::from(v) * 16 + 12, &byte, &mut sent),
                        Some(slot) => messages.write_ims(u64::from(slot) * 16 + 12, &byte, &mut sent),
                    }
                    masked[at(v)] = mask;
                }
                Touch::Control(enable, mask) => {
                    messages.set_control(enable, mask, &mut sent);
                    (enabled, function_mask) = (enable, mask);
                }
            }
            let mut expected = vec![];
            for (n, v) in SOME.into_iter().enumerate() {
                let open = !masked[n] && (v >= 2048 || enabled && !function_mask);
                if pending[n] && open {
                    expected.push(v);
                    pending[n] = false;
                }
                prop_assert_eq!(messages.is_pending(Vector(v)), pending[n]);
                prop_assert_eq!(pending_bit(&messages, v), pending[n]);
            }
            prop_assert!(sent.iter().map(|message| message.vector.0).eq(expected));
        }
    }
}

/// A vector's pending bit as software reads it.
fn pending_bit(messages: &Messages, vector: u32) -> bool {
    match Vector(vector).slot() {
        None => {
            let mut byte = [0];
            messages.read_bar3(0x8000 + u64::from(vector / 8), &mut byte);
            byte[0] >> (vector % 8) & 1 != 0
        }
        Some(slot) => {
            let mut control = [0; 4];
            messages.read_ims(u64::from(slot) * 16 + 12, &mut control);
            control[0] & 2 != 0
        }
    }
}
