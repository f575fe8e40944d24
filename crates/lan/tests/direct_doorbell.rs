//! A transmit queue's tail in shared memory: software stores it, nobody tells the device, and it polls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use siov_bus::{Bus, Rid};
use siov_lan::{Allowed, Clock, Event, Forward, Malice, Nic, NicConfig, ResetKind, RuleKey};
use siov_mem::{GRANULE, HostMemory, Hpa, Region, Word};
use siov_port::{Bounds, Cable, Port};
use siov_spec::e810::bar0::GLINT_DYN_CTL;
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{DTYPE, TxDataQw1, TxQueueContext, VsiType};

const QUEUE: u16 = 3;
const VSI: u16 = 5;
/// Registers in their pages, by offset in BAR 0.
const DOORBELL: u64 = 0x0400_0000 + 4096 * QUEUE as u64;
const RX_TAIL: u64 = 0x0380_0000 + 4096 * 5;
const VECTOR: u64 = 0x0300_0000 + 4096 * 9;
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
        assert!(self.share(DOORBELL, 0x40));
    }

    fn share(&self, register: u64, offset: u64) -> bool {
        let word = Word::new(Arc::clone(&self.page), offset).unwrap();
        self.nic.behind_bar(0).share(register, Some(word))
    }

    fn unshare(&self) {
        assert!(self.nic.behind_bar(0).share(DOORBELL, None));
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
    bench.unshare();
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
fn a_queue_that_is_enabled_anew_does_not_take_up_the_tail_of_before() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.store(3);
    bench.pump();
    bench.nic.tx_disable(QUEUE);
    bench.fill();
    bench.enable();
    bench.pump();
    assert_eq!((bench.sent(), bench.page.load_u32(0x40).unwrap()), (3, 0));
}

#[test]
fn a_tail_outside_the_ring_stops_the_queue_as_one_that_is_written() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.store(u32::MAX);
    bench.pump();
    let told = bench.nic.take_events();
    let told: Vec<_> = told.iter().filter(|event| !matches!(event, Event::Link { .. })).collect();
    assert!(
        matches!(
            told[..],
            [Event::Malicious { queue: QUEUE, malice: Malice::TailOutsideRing, .. }]
        ),
        "{told:?}"
    );
    bench.store(1);
    bench.pump();
    assert_eq!(bench.sent(), 0);
}

#[test]
fn a_doorbell_that_is_written_shows_in_the_page() {
    let bench = Bench::new(Clock::virtual_());
    bench.map();
    bench.enable();
    bench.nic.bar_write(0, DOORBELL as u32, &4u32.to_le_bytes());
    bench.pump();
    let mut read = [0; 4];
    bench.nic.bar_read(0, DOORBELL as u32, &mut read);
    assert_eq!((bench.sent(), bench.page.load_u32(0x40).unwrap()), (4, 4));
    assert_eq!(u32::from_le_bytes(read), 4);
}

#[test]
fn a_timer_in_the_page_holds_as_soon_as_it_matters_and_shows_what_the_vector_was_given() {
    let bench = Bench::new(Clock::virtual_());
    let (control, timer) = (VECTOR, VECTOR + 8);
    let read = |at: u64| {
        let mut bytes = [0; 4];
        bench.nic.bar_read(0, at as u32, &mut bytes);
        u32::from_le_bytes(bytes)
    };
    bench.nic.bar_write(0, timer as u32, &7u32.to_le_bytes());
    assert!(bench.share(timer, 0x80));
    assert_eq!(bench.page.load_u32(0x80).unwrap(), 7);
    bench.page.store_u32(0x80, 0x29).unwrap();
    assert_eq!(read(timer), 0x29);
    // INTERVAL of timer 1, with a write of the vector's control.
    let write = GLINT_DYN_CTL(0).with_ITR_INDX(1).with_INTERVAL(0x11);
    bench.nic.bar_write(0, control as u32, &write.0.to_le_bytes());
    assert_eq!((read(timer), bench.page.load_u32(0x80).unwrap()), (0x11, 0x11));
    bench.page.store_u32(0x80, 0xFFFF_F123).unwrap();
    assert_eq!((read(timer), bench.page.load_u32(0x80).unwrap()), (0x123, 0xFFFF_F123));
    bench.nic.reset(ResetKind::CORER);
    assert_eq!((read(timer), bench.page.load_u32(0x80).unwrap()), (0, 0));
}

#[test]
fn a_register_that_acts_on_each_write_can_not_be_memory() {
    let bench = Bench::new(Clock::virtual_());
    for register in [VECTOR, 0x0200_0010, 0x0900_0000, DOORBELL + 4] {
        assert!(!bench.share(register, 0x40), "{register:#x}");
    }
    assert!(bench.share(RX_TAIL, 0x40));
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
