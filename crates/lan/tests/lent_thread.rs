//! A thread that lends itself does a worker's batches when it rings a doorbell.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use siov_bus::{Bus, Rid};
use siov_lan::{Allowed, Clock, Forward, Nic, NicConfig, RuleKey, lend};
use siov_mem::{GRANULE, HostMemory, Hpa, Region};
use siov_port::{Bounds, Cable, Port};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{DTYPE, TxDataQw1, TxQueueContext, VsiType};
use siov_switch::VsiId;

const VSI: u16 = 5;
const QUEUES: u16 = 4;
const ENTRIES: u16 = 1024;
const RINGS: u64 = 0x1_0000;
const FRAME: u64 = 0x2000;
const LENGTH: u16 = 60;
const DOORBELLS: u32 = 0x002C_0000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A VSI with a few transmit queues whose rings are full of the same frame.
struct Bench {
    nic: Nic,
    ram: Arc<Region>,
    _far: Cable,
}

impl Bench {
    fn new() -> Self {
        let memory = Arc::new(HostMemory::new(1 << 30));
        let ram = Arc::new(Region::anonymous(GRANULE).unwrap());
        memory.place(Hpa(0), Arc::clone(&ram)).unwrap();
        let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xB5];
        frame.resize(LENGTH.into(), 0xA5);
        ram.write(FRAME, &frame).unwrap();
        let nic = Nic::new(Bus::new(memory), Rid(0x100), Clock::real(), &NicConfig::default());
        let nic = nic.unwrap();
        nic.configure(Rid(0x100), &Allowed { bus_master: true, ..Allowed::default() });
        let (near, far) = Cable::pair(Bounds::default()).unwrap();
        nic.attach_port(0, Some(Arc::new(Port::new(near, 100_000).unwrap()))).unwrap();
        nic.set_link(0, true, 100_000).unwrap();
        let mut properties = [0; props::SIZE as usize];
        let flags = props::SW_FLAGS2(0).with_LAN_ENA(true).0;
        *properties.get_mut(props::SW_FLAGS2::AT as usize).unwrap() = flags;
        nic.set_vsi(VSI, VsiType::VMDQ2 as u8, &properties).unwrap();
        let everything = RuleKey { tx: true, lookup: 5, source: VSI, ..RuleKey::default() };
        nic.add_rule(&everything, Forward::Vsi(VSI), true, false).unwrap();
        let bench = Self { nic, ram, _far: far };
        (0..QUEUES).for_each(|queue| bench.set_up(queue));
        bench
    }

    fn set_up(&self, queue: u16) {
        let ring = RINGS + u64::from(queue) * u64::from(ENTRIES) * 16;
        let context =
            TxQueueContext([0; 3]).with_BASE(ring / 128).with_QLEN(ENTRIES).with_SRC_VSI(VSI);
        for n in 0..u64::from(ENTRIES) {
            self.ram.store_u64(ring + 16 * n, FRAME).unwrap();
            let ask = TxDataQw1(0).with_DTYPE(DTYPE::DATA as u8).with_EOP(true);
            self.ram.store_u64(ring + 16 * n + 8, ask.with_TX_BUF_SZ(LENGTH).0).unwrap();
        }
        self.nic.tx_enable(queue, context.to_bytes().get(..22).unwrap()).unwrap();
    }

    fn ring(&self, queue: u16, tail: u16) {
        let at = DOORBELLS + 4 * u32::from(queue);
        self.nic.bar_write(0, at, &u32::from(tail).to_le_bytes());
    }

    fn sent(&self) -> u64 {
        self.nic.path().vsi_counters(VsiId::new(VSI).unwrap()).tx.frames()
    }

    fn await_sent(&self, frames: u64) {
        let end = Instant::now() + PATIENCE;
        while self.sent() < frames {
            assert!(Instant::now() < end, "{} of {frames} frames went out", self.sent());
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_it_rings_for_is_done_before_the_write_returns() {
    let bench = Bench::new();
    bench.nic.start().unwrap();
    for round in 1..=20 {
        lend(|| bench.ring(1, round));
        assert_eq!(bench.sent(), round.into());
    }
    bench.nic.stop();
}

#[test]
fn what_is_too_much_for_it_is_left_to_the_worker() {
    let bench = Bench::new();
    bench.nic.start().unwrap();
    lend(|| bench.ring(1, ENTRIES - 1));
    bench.await_sent(u64::from(ENTRIES) - 1);
    bench.nic.stop();
}

#[test]
fn without_a_worker_beside_it_nothing_is_done_before_the_pump() {
    let bench = Bench::new();
    lend(|| bench.ring(1, 3));
    assert_eq!(bench.sent(), 0);
    while bench.nic.pump() {}
    assert_eq!(bench.sent(), 3);
}

/// Each waits for its own frames, so a doorbell that nobody looks at would stop it for good.
#[test]
fn no_doorbell_is_lost_between_those_who_ring_at_once() {
    let bench = Bench::new();
    bench.nic.start().unwrap();
    std::thread::scope(|scope| {
        for queue in 0..QUEUES {
            let bench = &bench;
            scope.spawn(move || {
                let end = Instant::now() + PATIENCE;
                for tail in 1..ENTRIES {
                    // One of them is not lent, and has the worker woken.
                    if queue == 0 {
                        bench.ring(queue, tail);
                    } else {
                        lend(|| bench.ring(queue, tail));
                    }
                    while bench.nic.path().tx_head(queue) != Some(tail.into()) {
                        assert!(Instant::now() < end, "queue {queue} stands before {tail}");
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    bench.nic.stop();
    assert_eq!(bench.sent(), u64::from(QUEUES) * (u64::from(ENTRIES) - 1));
}

#[test]
fn once_the_workers_are_stopped_it_does_nothing() {
    let bench = Bench::new();
    for _ in 0..20 {
        bench.nic.start().unwrap();
        let rings = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for tail in (0..ENTRIES).cycle() {
                    lend(|| bench.ring(2, tail));
                    if !rings.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            while bench.sent() == 0 {
                std::thread::yield_now();
            }
            bench.nic.stop();
            let before = bench.sent();
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(bench.sent(), before);
            rings.store(false, Ordering::Relaxed);
        });
    }
}
