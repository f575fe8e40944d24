//! A transmit queue's tail in shared memory: software stores it, nobody tells the device, and it polls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use siov_bus::{Bus, Rid};
use siov_lan::{Allowed, Clock, Forward, Nic, NicConfig, NicError, RuleKey, Tail};
use siov_mem::{GRANULE, HostMemory, Hpa, Region};
use siov_port::{Bounds, Cable, Port};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{DTYPE, TxDataQw1, TxQueueContext, VsiType};

const QUEUE: u16 = 3;
const VSI: u16 = 5;
const RING: u64 = 0x1000;
const FRAME: u64 = 0x2000;
const LENGTH: u16 = 60;
const ENTRIES: u16 = 64;
const PATIENCE: Duration = Duration::from_secs(30);

/// A VSI with one transmit queue whose ring is full of the same frame, and what goes out at the port.
struct Bench {
    nic: Nic,
    far: Port,
    ram: Arc<Region>,
    page: Arc<Region>,
}

impl Bench {
    fn new(clock: Clock) -> Self {
        let memory = Arc::new(HostMemory::new(1 << 30));
        let ram = Arc::new(Region::anonymous(GRANULE).unwrap());
        memory.place(Hpa(0), Arc::clone(&ram)).unwrap();
        ram.write(FRAME, &frame()).unwrap();
        let nic = Nic::new(Bus::new(memory), Rid(0x100), clock, &NicConfig::default()).unwrap();
        nic.configure(Rid(0x100), &Allowed { bus_master: true, ..Allowed::default() });
        let (near, far) = Cable::pair(Bounds::default()).unwrap();
        nic.attach_port(0, Some(Arc::new(Port::new(near, 100_000).unwrap()))).unwrap();
        nic.set_link(0, true, 100_000).unwrap();
        let mut properties = [0; props::SIZE as usize];
        properties[props::SW_FLAGS2::AT as usize] = props::SW_FLAGS2(0).with_LAN_ENA(true).0;
        nic.set_vsi(VSI, VsiType::VMDQ2 as u8, &properties).unwrap();
        let everything = RuleKey { tx: true, lookup: 5, source: VSI, ..RuleKey::default() };
        nic.add_rule(&everything, Forward::Vsi(VSI), true, false).unwrap();
        let page = Arc::new(Region::anonymous(GRANULE).unwrap());
        let bench = Self { nic, far: Port::new(far, 100_000).unwrap(), ram, page };
        bench.fill();
        bench
    }

    /// Each descriptor asks for the frame, also those that were reported as done.
    fn fill(&self) {
        let ask = TxDataQw1(0)
            .with_DTYPE(DTYPE::DATA as u8)
            .with_EOP(true)
            .with_RS(true)
            .with_TX_BUF_SZ(LENGTH);
        for n in 0..u64::from(ENTRIES) {
            self.ram.store_u64(RING + 16 * n, FRAME).unwrap();
            self.ram.store_u64(RING + 16 * n + 8, ask.0).unwrap();
        }
    }

    fn map(&self) {
        let tail = Tail { region: Arc::clone(&self.page), offset: 0x40 };
        self.nic.map_tail(true, QUEUE, Some(tail)).unwrap();
    }

    fn enable(&self) {
        let context =
            TxQueueContext([0; 3]).with_BASE(RING / 128).with_QLEN(ENTRIES).with_SRC_VSI(VSI);
        self.nic.tx_enable(QUEUE, &context.to_bytes()[..22]).unwrap();
    }

    /// As a guest does that has the page mapped.
    fn store(&self, tail: u32) {
        self.page.store_u32(0x40, tail).unwrap();
    }

    fn sent(&self) -> u64 {
        self.nic.path().port_counters(0).tx.frames()
    }

    fn pump(&self) {
        while self.nic.pump() {}
    }

    /// Waits for the worker on its thread.
    fn await_sent(&self, frames: u64) {
        let end = Instant::now() + PATIENCE;
        while self.sent() < frames {
            assert!(Instant::now() < end, "{} of {frames} frames went out", self.sent());
            std::thread::yield_now();
        }
    }
}

fn frame() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xB5];
    bytes.resize(LENGTH.into(), 0xA5);
    bytes
}

#[test]
fn a_tail_that_is_stored_into_the_page_is_found_without_a_doorbell() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.pump();
    assert_eq!(bench.sent(), 0);
    bench.store(7);
    bench.pump();
    assert_eq!(bench.sent(), 7);
    bench.fill();
    bench.store(2); // round the ring's end
    bench.pump();
    assert_eq!(bench.sent(), u64::from(ENTRIES) + 2);
    assert_eq!(
        bench.far.lock().receive(1, &mut |frame: &[u8]| assert_eq!(frame, self::frame())),
        1
    );
}

#[test]
fn a_page_that_no_queue_uses_any_more_is_not_looked_at() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.nic.map_tail(true, QUEUE, None).unwrap();
    bench.store(5);
    bench.pump();
    assert_eq!(bench.sent(), 0);
    bench.map();
    bench.pump();
    assert_eq!(bench.sent(), 5);
    bench.nic.tx_disable(QUEUE);
    bench.store(9);
    bench.pump();
    assert_eq!(bench.sent(), 5);
}

#[test]
fn a_page_outlives_its_queue_and_counts_again_when_that_is_enabled() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.store(3);
    bench.pump();
    bench.nic.tx_disable(QUEUE);
    bench.store(0);
    bench.fill();
    bench.enable();
    bench.store(4);
    bench.pump();
    assert_eq!(bench.sent(), 7);
}

#[test]
fn a_queue_that_does_not_exist_has_no_page() {
    let bench = Bench::new(Clock::virtual_());
    let tail = Tail { region: Arc::clone(&bench.page), offset: 0 };
    let refused = bench.nic.map_tail(false, 2048, Some(tail));
    assert_eq!(refused, Err(NicError::Queue(2048)));
}

#[test]
fn a_worker_that_sleeps_finds_what_was_stored_however_long_it_has_been_idle() {
    let bench = Bench::new(Clock::real());
    bench.map();
    bench.enable();
    bench.nic.start().unwrap();
    for round in 1..=5 {
        // Long enough for the pauses between looks to have reached their longest.
        std::thread::sleep(Duration::from_millis(20));
        bench.store(round);
        bench.await_sent(round.into());
    }
    bench.nic.stop();
    assert_eq!(bench.sent(), 5);
}
