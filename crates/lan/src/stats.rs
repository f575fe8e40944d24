//! Counters: written by one worker each, summed by whoever reads.

use std::sync::atomic::{AtomicU64, Ordering};

use siov_switch::{Class, DropReason, VSIS};

/// A counter with one writer, so that no locked instruction is needed.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Frames by the kind of their destination, and their bytes.
#[derive(Debug, Default)]
struct Flow {
    bytes: Counter,
    frames: [Counter; 3],
}

impl Flow {
    fn count(&self, class: Class, bytes: usize) {
        self.bytes.add(bytes as u64);
        if let Some(frames) = self.frames.get(class as usize) {
            frames.add(1);
        }
    }

    fn add_to(&self, sum: &mut FlowCounters) {
        let [unicast, multicast, broadcast] = &self.frames;
        sum.bytes = sum.bytes.wrapping_add(self.bytes.get());
        sum.unicast = sum.unicast.wrapping_add(unicast.get());
        sum.multicast = sum.multicast.wrapping_add(multicast.get());
        sum.broadcast = sum.broadcast.wrapping_add(broadcast.get());
    }
}

/// Sums of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Bytes of the frames with their CRC; what a VSI sent, without it.
    pub bytes: u64,
    /// Frames to one station.
    pub unicast: u64,
    /// Frames to a group.
    pub multicast: u64,
    /// Frames to all.
    pub broadcast: u64,
}

impl FlowCounters {
    /// All frames.
    pub fn frames(&self) -> u64 {
        self.unicast.wrapping_add(self.multicast).wrapping_add(self.broadcast)
    }
}

#[derive(Debug, Default)]
struct VsiRow {
    rx: Flow,
    rx_no_desc: Counter,
    rx_errors: Counter,
    rx_filtered: Counter,
    tx: Flow,
    tx_errors: Counter,
}

/// Sums of a VSI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VsiCounters {
    /// What it received (GLV_GORC, GLV_UPRC, GLV_MPRC, GLV_BPRC).
    pub rx: FlowCounters,
    /// Frames dropped for want of a buffer or of a queue (GLV_RDPC, GLV_REPC.NO_DESC_CNT).
    pub rx_no_desc: u64,
    /// Frames dropped for their length (GLV_REPC.ERROR_CNT).
    pub rx_errors: u64,
    /// Frames that a flow director filter dropped; no register has them.
    pub rx_filtered: u64,
    /// What it sent (GLV_GOTC, GLV_UPTC, GLV_MPTC, GLV_BPTC).
    pub tx: FlowCounters,
    /// Packets that it was not allowed to send (GLV_TEPC).
    pub tx_errors: u64,
}

/// Upper ends of the first six classes of length, in bytes with CRC; the seventh has what is longer.
const SIZES: [usize; 6] = [64, 127, 255, 511, 1023, 1522];

#[derive(Debug, Default)]
struct PortRow {
    rx: Flow,
    rx_sizes: [Counter; 7],
    rx_short: Counter,
    rx_long: Counter,
    rx_down: Counter,
    tx: Flow,
    tx_sizes: [Counter; 7],
    tx_down: Counter,
}

/// Sums of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// What came in (GLPRT_GORC …).
    pub rx: FlowCounters,
    /// By length with CRC: up to 64, 127, 255, 511, 1,023, 1,522 bytes and longer (GLPRT_PRC64 …).
    pub rx_sizes: [u64; 7],
    /// Frames shorter than a frame is (GLPRT_RUC).
    pub rx_short: u64,
    /// Frames longer than the port takes (GLPRT_ROC).
    pub rx_long: u64,
    /// Frames that came while the link was down; no register has them.
    pub rx_down: u64,
    /// What went out (GLPRT_GOTC …).
    pub tx: FlowCounters,
    /// By length with CRC (GLPRT_PTC64 …).
    pub tx_sizes: [u64; 7],
    /// Frames dropped because the link was down (GLPRT_TDOLD).
    pub tx_down: u64,
}

/// How many ports a device has.
pub(crate) const PORTS: usize = 8;

/// The counters of one worker.
#[derive(Debug)]
pub(crate) struct Stats {
    vsis: Box<[VsiRow]>,
    ports: [PortRow; PORTS],
    drops: [Counter; DropReason::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        let vsis = (0..VSIS).map(|_| VsiRow::default()).collect();
        Self { vsis, ports: Default::default(), drops: Default::default() }
    }
}

impl Stats {
    /// A frame reached a VSI's queue.
    pub fn received(&self, vsi: usize, class: Class, bytes: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.rx.count(class, bytes + CRC);
        }
    }

    /// A frame found no buffer.
    pub fn no_descriptor(&self, vsi: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.rx_no_desc.add(1);
        }
    }

    /// A frame that the receiving queue does not take.
    pub fn receive_error(&self, vsi: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.rx_errors.add(1);
        }
    }

    /// A flow director filter dropped a frame.
    pub fn filtered(&self, vsi: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.rx_filtered.add(1);
        }
    }

    /// A VSI sent a frame.
    pub fn sent(&self, vsi: usize, class: Class, bytes: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.tx.count(class, bytes);
        }
    }

    /// A VSI was not allowed to send a packet.
    pub fn send_error(&self, vsi: usize) {
        if let Some(row) = self.vsis.get(vsi) {
            row.tx_errors.add(1);
        }
    }

    /// The switch dropped a frame.
    pub fn dropped(&self, reason: DropReason) {
        if let Some(counter) = self.drops.get(reason.index()) {
            counter.add(1);
        }
    }

    /// A frame came in at a port; `limit` is the longest it takes, without CRC. False: it is dropped.
    pub fn port_received(&self, port: u8, class: Class, bytes: usize, limit: usize) -> bool {
        let Some(row) = self.ports.get(usize::from(port)) else { return false };
        if bytes > limit {
            row.rx_long.add(1);
            return false;
        }
        row.rx.count(class, bytes + CRC);
        by_size(&row.rx_sizes, bytes);
        true
    }

    /// Something that is too short for a frame came in.
    pub fn port_runt(&self, port: u8) {
        if let Some(row) = self.ports.get(usize::from(port)) {
            row.rx_short.add(1);
        }
    }

    /// A frame came in at a port whose link is down.
    pub fn port_deaf(&self, port: u8) {
        if let Some(row) = self.ports.get(usize::from(port)) {
            row.rx_down.add(1);
        }
    }

    /// A frame went out at a port.
    pub fn port_sent(&self, port: u8, class: Class, bytes: usize) {
        if let Some(row) = self.ports.get(usize::from(port)) {
            row.tx.count(class, bytes + CRC);
            by_size(&row.tx_sizes, bytes);
        }
    }

    /// A frame could not go out at a port.
    pub fn port_down(&self, port: u8) {
        if let Some(row) = self.ports.get(usize::from(port)) {
            row.tx_down.add(1);
        }
    }

    /// Adds a VSI's counters to a sum.
    pub fn add_vsi(&self, vsi: usize, sum: &mut VsiCounters) {
        let Some(row) = self.vsis.get(vsi) else { return };
        row.rx.add_to(&mut sum.rx);
        row.tx.add_to(&mut sum.tx);
        add(&mut sum.rx_no_desc, &row.rx_no_desc);
        add(&mut sum.rx_errors, &row.rx_errors);
        add(&mut sum.rx_filtered, &row.rx_filtered);
        add(&mut sum.tx_errors, &row.tx_errors);
    }

    /// Adds a port's counters to a sum.
    pub fn add_port(&self, port: usize, sum: &mut PortCounters) {
        let Some(row) = self.ports.get(port) else { return };
        row.rx.add_to(&mut sum.rx);
        row.tx.add_to(&mut sum.tx);
        add(&mut sum.rx_short, &row.rx_short);
        add(&mut sum.rx_long, &row.rx_long);
        add(&mut sum.rx_down, &row.rx_down);
        add(&mut sum.tx_down, &row.tx_down);
        sum.rx_sizes.iter_mut().zip(&row.rx_sizes).for_each(|(sum, n)| add(sum, n));
        sum.tx_sizes.iter_mut().zip(&row.tx_sizes).for_each(|(sum, n)| add(sum, n));
    }

    /// Adds what the switch dropped, by reason, to sums.
    pub fn add_drops(&self, sums: &mut [u64; DropReason::ALL.len()]) {
        sums.iter_mut().zip(&self.drops).for_each(|(sum, n)| add(sum, n));
    }
}

fn add(sum: &mut u64, counter: &Counter) {
    *sum = sum.wrapping_add(counter.get());
}

fn by_size(sizes: &[Counter; 7], bytes: usize) {
    let class = SIZES.iter().position(|end| bytes + CRC <= *end).unwrap_or(SIZES.len());
    if let Some(counter) = sizes.get(class) {
        counter.add(1);
    }
}

/// Bytes of a frame's check sequence, which frames here don't carry.
const CRC: usize = 4;
