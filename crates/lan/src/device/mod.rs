//! The device: its BARs, and what its firmware may do.

mod access;
mod capture;
mod counters;
mod events;
mod firmware;
mod malice;
mod map;
mod queues;
mod reset;
mod timers;
mod vectors;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siov_bus::{Bus, DmaPort, Geometry, Mmio, Requester, Rid};
use siov_port::Clock;
use siov_spec::e810::{self, bar0};
use siov_spec::{Layout, RegFile};
use siov_switch::{FlowTable, Space};
use thiserror::Error;

use crate::causes::{Line, Outcome, Sink};
use crate::datapath::{DataPath, Shape};
use crate::interrupt::{Cause, Moderated};
use crate::mailbox::{Mailboxes, Owner};
use crate::malicious::Side;
use crate::stats::PORTS;
use crate::tables::Tables;
use access::Bar;
use events::Events;
use map::Map;
use vectors::Vectors;

pub use events::{Event, ResetKind};
pub use firmware::{Forward, RuleKey};

/// PFINT_OICR.MAL_DETECT.
const MAL_DETECT: u32 = bar0::PFINT_OICR(0).with_MAL_DETECT(true).0;

/// What a device is like.
#[derive(Clone, Debug)]
pub struct NicConfig {
    /// Slots of interrupt message storage, 0 to 16,384.
    pub ims: u32,
    /// Workers, one or more.
    pub workers: usize,
    /// The device TLB of each worker.
    pub atc: Geometry,
    /// Flow director filters.
    pub flows: Space,
    /// For the hashes of its tables; the same seed gives the same device.
    pub seed: u64,
}

impl Default for NicConfig {
    fn default() -> Self {
        let flows = Space { guaranteed: 2048, best_effort: 14336 };
        Self { ims: 0, workers: 1, atc: Geometry::Infinite, flows, seed: 0 }
    }
}

/// What a caller asked for wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NicError {
    /// More slots than a register can name.
    #[error("{0} IMS slots; a device has 0 to 16384")]
    Slots(u32),
    /// There is no such register.
    #[error("there is no register {0}")]
    Register(String),
    /// The register has no such element.
    #[error("{name} has {count} elements; there is no element {index}")]
    Element {
        /// The register.
        name: String,
        /// How many it has.
        count: u32,
        /// What was asked for.
        index: u32,
    },
    /// There is no such VSI.
    #[error("there is no VSI {0}")]
    Vsi(u32),
    /// There is no such queue, or it can't be enabled like this.
    #[error("queue {0} can't be enabled: no such queue, VSI or ring")]
    Queue(u32),
    /// There is no such port.
    #[error("there is no port {0}; a device has 8")]
    Port(u32),
    /// The switch refused a rule.
    #[error("{0}")]
    Rule(#[from] siov_switch::RuleError),
    /// A value out of its range.
    #[error("{0}")]
    Value(&'static str),
}

/// The parts of a device that its workers need, too.
pub(crate) struct Device {
    map: Map,
    ims: u32,
    /// Registers that are not kept elsewhere.
    regs: Mutex<RegFile>,
    path: DataPath,
    vectors: Vectors,
    mailboxes: Mutex<Mailboxes>,
    mailbox_way: DmaPort,
    requester: Arc<Requester>,
    events: Events,
    links: [AtomicBool; PORTS],
}

/// An E810-like adapter.
pub struct Nic {
    device: Arc<Device>,
    clock: Clock,
}

impl fmt::Debug for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nic").field("rid", &self.device.requester.rid()).finish_non_exhaustive()
    }
}

impl Nic {
    /// A device as it is after power-on, with its way up.
    pub fn new(
        bus: Arc<Bus>,
        rid: Rid,
        clock: Clock,
        config: &NicConfig,
    ) -> Result<Self, NicError> {
        if config.ims > e810::IMS_SLOTS {
            return Err(NicError::Slots(config.ims));
        }
        let requester = Requester::new(bus, rid, config.atc);
        let tables = Tables::new(config.seed);
        let mut flows = FlowTable::new(config.flows, config.seed);
        let shape = Shape {
            tx: e810::TX_QUEUES as usize,
            rx: e810::RX_QUEUES as usize,
            workers: config.workers,
        };
        // PFQF_FD_ENA is clear after power-on.
        flows.set_enabled(false);
        let path = DataPath::new(&requester, tables, flows, clock.clone(), shape);
        let waker = path.timer_waker();
        let vectors = Vectors::new(Arc::clone(&requester), clock.clone(), config.ims, waker);
        let device = Device {
            map: Map::new(config.ims),
            ims: config.ims,
            regs: Mutex::new(RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)))),
            path,
            vectors,
            mailboxes: Mutex::new(Mailboxes::new()),
            mailbox_way: requester.port(),
            requester,
            events: Events::default(),
            links: Default::default(),
        };
        Ok(Self { device: Arc::new(device), clock })
    }

    /// What answers behind BAR 0 or 3 on the bus; nobody any more when the device is gone.
    pub fn behind_bar(&self, bar: u32) -> Arc<dyn Mmio> {
        Arc::new(Bar { device: Arc::downgrade(&self.device), bar })
    }

    /// Queues, switch and ports.
    pub fn path(&self) -> &DataPath {
        &self.device.path
    }

    /// The way up.
    pub fn requester(&self) -> &Arc<Requester> {
        &self.device.requester
    }

    /// What the firmware has to see, since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.device.events.take()
    }

    /// Waits for something that the firmware has to see; whether there is something.
    pub fn wait_events(&self, timeout: Duration) -> bool {
        self.device.events.wait(timeout)
    }

    /// The configuration space says what the function may do.
    pub fn configure(&self, rid: Rid, allowed: &Allowed) {
        let device = &self.device;
        device.requester.set_rid(rid);
        device.requester.set_bus_master(allowed.bus_master);
        device.requester.set_ats(allowed.ats);
        device.requester.set_pasid(allowed.pasid);
        // Messages are memory writes: without Bus Master Enable they wait like masked ones.
        let mask = allowed.msix_mask || !allowed.bus_master;
        device.vectors.set_control(allowed.msix, mask);
    }

    /// A batch of each worker and what timers have let go, on this thread; whether anything was done.
    pub fn pump(&self) -> bool {
        let (busy, _) = self.batch();
        self.poll();
        busy
    }

    /// A batch of each worker, on this thread: whether anything was done, and what it took of the line.
    pub fn batch(&self) -> (bool, Line) {
        self.device.path.pump(&*self.device)
    }

    /// Lets go what timers held back until now, and looks at the ports' links.
    pub fn poll(&self) {
        self.device.poll();
    }

    /// Whether the firmware has something to see.
    pub fn has_events(&self) -> bool {
        self.device.events.any()
    }

    /// When a timer runs out next, in nanoseconds of the clock.
    pub fn next_deadline(&self) -> Option<u64> {
        let ports = (0..PORTS as u8).filter_map(|port| self.device.path.port(port));
        let ports = ports.filter_map(|port| port.lock().deadline());
        ports.chain(self.device.vectors.next_deadline()).min()
    }

    /// Gives each worker a thread.
    pub fn start(&self) -> std::io::Result<()> {
        let sink: Arc<dyn Sink> = Arc::<Device>::clone(&self.device);
        self.device.path.start(&sink)
    }

    /// Ends the workers' threads.
    pub fn stop(&self) {
        self.device.path.stop();
    }

    /// What moderation made of the events of all vectors.
    pub fn moderated(&self) -> Moderated {
        self.device.vectors.moderated()
    }

    /// The clock of its timers.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        // The threads hold the device.
        self.device.path.stop();
    }
}

/// What the configuration space allows the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// COMMAND.BME.
    pub bus_master: bool,
    /// ATS Enable.
    pub ats: bool,
    /// PASID Enable.
    pub pasid: bool,
    /// MSI-X Enable.
    pub msix: bool,
    /// MSI-X Function Mask.
    pub msix_mask: bool,
}

impl Device {
    fn regs(&self) -> MutexGuard<'_, RegFile> {
        self.regs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cause_of(&self, register: bar0::Reg, index: u32) -> Cause {
        Cause::from_register(self.regs().get(register, index) as u32)
    }

    /// The causes of mailboxes, by their registers.
    fn mailbox_cause(&self, owner: Owner) -> Cause {
        match owner {
            Owner::Pf => self.cause_of(bar0::Reg::PFINT_MBX_CTL, 0),
            Owner::Vsi(vsi) => self.cause_of(bar0::Reg::VPINT_MBX_CTL, vsi.into()),
        }
    }

    /// Tells the firmware of links that went up or down on the other side.
    fn look_at_links(&self) {
        for (port, before) in (0u8..).zip(&self.links) {
            let up = self.path.port(port).is_some_and(|port| port.link());
            if before.swap(up, Ordering::AcqRel) != up {
                self.events.push(Event::Link { port, up });
            }
        }
    }
}

impl Sink for Device {
    fn take(&self, outcome: &Outcome) {
        if !outcome.causes.is_empty() {
            self.vectors.raise(&outcome.causes);
        }
        if outcome.stopped.is_empty() {
            return;
        }
        for stopped in &outcome.stopped {
            malice::note(&mut self.regs(), stopped);
            if stopped.side == Side::Rx {
                self.rx_stopped(stopped.queue);
            }
            self.events.push(Event::Malicious {
                vsi: stopped.vsi.number(),
                side: stopped.side,
                queue: stopped.queue,
                malice: stopped.malice,
            });
        }
        self.vectors.raise_other(MAL_DETECT);
        // A fault may have the unit send its own interrupt.
        self.requester.bus().settle_batch();
    }

    fn deadline(&self) -> Option<u64> {
        self.vectors.next_deadline()
    }

    fn poll(&self) {
        self.vectors.poll();
        self.look_at_links();
    }
}
