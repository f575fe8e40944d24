//! Measured interrupt rates against the settings, over 1 to 100,000 events a second; virtual time.

use siov_lan::interrupt::{Interrupts, Itr, Ns, Vector};

const V: Vector = Vector(17);
const SECOND: Ns = 1_000_000_000;
const ENABLE: u32 = 1 | 3 << 3;

/// Numbers that look random: xorshift64*.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How events come, and how late the device's thread looks at its timers.
struct Load {
    /// Mean time between events.
    period: f64,
    poisson: bool,
    late: Ns,
}

/// Interrupts of a vector whose driver enables it again 1 µs after each, over `events` events; in seconds.
fn measure(itr_us: u32, intrl_us: u32, load: &Load, events: u32) -> f64 {
    let mut interrupts = Interrupts::new(0);
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    interrupts.set_itr(V, 0, itr_us / 2, 0);
    interrupts.set_rate(V, (1 << 6) | (intrl_us / 4), 0);
    let _ = interrupts.write_dyn_ctl(V, ENABLE, 0);
    let (mut at, mut count, mut enable) = (0.0, 0, None::<Ns>);
    let mut taken = vec![];
    for _ in 0..events {
        at += load.period * if load.poisson { -(1.0 - random.unit()).ln() } else { 1.0 };
        let event = at as Ns;
        loop {
            let late = (random.unit() * load.late as f64) as Ns;
            let timer = interrupts.next_deadline().map(|at| at + late);
            let next = [timer, enable].into_iter().flatten().min().filter(|next| *next <= event);
            let Some(now) = next else { break };
            if enable == Some(now) {
                enable = None;
                let _ = interrupts.write_dyn_ctl(V, ENABLE, now);
            }
            interrupts.poll(now);
            count += take(&mut interrupts, &mut taken, now, &mut enable);
        }
        interrupts.cause(V, Itr::Itr0, event);
        count += take(&mut interrupts, &mut taken, event, &mut enable);
    }
    f64::from(count) * SECOND as f64 / at
}

fn take(
    interrupts: &mut Interrupts,
    to: &mut Vec<Vector>,
    now: Ns,
    enable: &mut Option<Ns>,
) -> u32 {
    to.clear();
    interrupts.take_fired(to);
    if !to.is_empty() {
        *enable = Some(now + 1_000);
    }
    to.len() as u32
}

fn near(measured: f64, expected: f64, what: &str) {
    let off = (measured / expected - 1.0).abs();
    assert!(off <= 0.1, "{what}: {measured:.2} interrupts/s, expected {expected:.2}");
}

const EVENTS_A_SECOND: [u32; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const ITRS: [u32; 7] = [0, 10, 50, 62, 124, 500, 8_160];
const INTRLS: [u32; 4] = [0, 8, 60, 236];

/// For each load and setting: the events a second, ITR and INTRL, and the limit that they make, in ns.
fn settings() -> impl Iterator<Item = (u32, u32, u32, f64)> {
    EVENTS_A_SECOND.into_iter().flat_map(|rate| {
        ITRS.into_iter().flat_map(move |itr| {
            INTRLS.map(|intrl| (rate, itr, intrl, f64::from(itr.max(intrl)) * 1e3)).into_iter()
        })
    })
}

#[test]
fn regular_events_interrupt_as_often_as_they_come_or_as_the_setting_allows() {
    for (rate, itr, intrl, limit) in settings() {
        let load = Load { period: 1e9 / f64::from(rate), poisson: false, late: 0 };
        let measured = measure(itr, intrl, &load, 20_000.min(rate * 40).max(40));
        let expected = f64::from(rate).min(1e9 / limit);
        near(measured, expected, &format!("{rate} events/s, ITR {itr} µs, INTRL {intrl} µs"));
    }
}

#[test]
fn random_events_interrupt_as_renewal_theory_says() {
    for (rate, itr, intrl, limit) in settings() {
        let period = 1e9 / f64::from(rate);
        let load = Load { period, poisson: true, late: 0 };
        let measured = measure(itr, intrl, &load, 8_000);
        // After an interrupt the limit passes; if nothing came by then, the next event interrupts at once.
        // 1 µs of a disabled vector is part of the limit.
        let limit = limit.max(1e3);
        let expected = 1e9 / (limit + period * (-limit / period).exp());
        near(measured, expected, &format!("{rate} events/s, ITR {itr} µs, INTRL {intrl} µs"));
    }
}

#[test]
fn a_thread_that_looks_late_keeps_the_rate() {
    for (itr, late) in [(50, 40_000), (124, 100_000), (20, 15_000)] {
        let load = Load { period: 1e9 / 100_000.0, poisson: false, late };
        let measured = measure(itr, 0, &load, 100_000);
        near(measured, 1e6 / f64::from(itr), &format!("ITR {itr} µs, up to {late} ns late"));
    }
}

#[test]
fn no_two_interrupts_are_closer_than_the_setting() {
    let mut interrupts = Interrupts::new(0);
    interrupts.set_itr(V, 0, 25, 0);
    interrupts.set_rate(V, 1 << 6 | 5, 0);
    let (mut last, mut fired) = (None::<Ns>, vec![]);
    for now in (0..SECOND / 100).step_by(1_000) {
        let _ = interrupts.write_dyn_ctl(V, ENABLE, now);
        interrupts.cause(V, Itr::Itr0, now);
        interrupts.poll(now);
        fired.clear();
        interrupts.take_fired(&mut fired);
        if !fired.is_empty() {
            assert!(last.is_none_or(|last| now - last == 50_000), "{last:?} then {now}");
            last = Some(now);
        }
    }
    assert!(last.is_some());
}
