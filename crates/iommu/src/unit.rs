//! A remapping unit: its registers and their handshakes (VT-d 11.4).

use std::sync::Arc;

use siov_mem::{HostMemory, HostView};
use siov_spec::vtd::{FaultRecordHi, TTM, unit, unit::Reg};
use siov_spec::{Change, Layout, RegFile, Write};

use crate::caches::{Caches, Geometries};
use crate::counters::Counters;
use crate::fault::record;
use crate::interrupt::InterruptTable;
use crate::paging::Bounds;
use crate::queue::Queue;
use crate::tables::Supports;
use crate::types::{Fault, Rid};

/// What a unit can do, and how large its caches are.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bits of a host physical address, 39 to 52.
    pub haw: u32,
    /// Levels of second stages, bit n for n + 2 (CAP.SAGAW).
    pub sagaw: u8,
    /// 5-level first stages.
    pub five_level: bool,
    /// Scalable mode.
    pub scalable: bool,
    /// Nested translation.
    pub nested: bool,
    /// Devices may have TLBs and ask for pages.
    pub device_tlb: bool,
    /// Whether the caches may keep entries that are not present (CAP.CM).
    pub caching_mode: bool,
    /// Geometry of the caches.
    pub caches: Geometries,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            haw: 46,
            sagaw: 0b1110,
            five_level: true,
            scalable: true,
            nested: true,
            device_tlb: true,
            caching_mode: false,
            caches: Geometries::default(),
        }
    }
}

/// How requests are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Translation is not enabled.
    Off,
    Legacy,
    Scalable,
    Abort,
    /// RTADDR says something that there is not.
    Invalid,
}

/// What the unit sends out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// An interrupt message of its own: address and data.
    Message {
        /// Where it is written.
        address: u64,
        /// What is written.
        data: u32,
    },
    /// An Invalidate Request to a device; it is answered with [`Unit::invalidation_done`].
    Invalidate(DeviceInvalidation),
    /// A Page Request Group Response to a device.
    PageResponse {
        /// The device.
        rid: Rid,
        /// The PASID, if the request had one.
        pasid: Option<crate::types::Pasid>,
        /// Page Request Group Index.
        prgi: u16,
        /// Response Code.
        code: u8,
    },
}

/// What a device is to forget (PCIe 10.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInvalidation {
    /// The device.
    pub rid: Rid,
    /// Of this PASID only.
    pub pasid: Option<crate::types::Pasid>,
    /// Of all PASIDs.
    pub global: bool,
    /// First address.
    pub addr: u64,
    /// Bytes, a power of two.
    pub size: u64,
    /// Which invalidation the answer is to.
    pub itag: u8,
}

/// A remapping unit.
#[derive(Debug)]
pub struct Unit {
    pub(crate) regs: RegFile,
    pub(crate) mode: Mode,
    /// The root table that SRTP latched, with its mode.
    pub(crate) root: u64,
    latched: Mode,
    pub(crate) caches: Caches,
    pub(crate) counters: Counters,
    pub(crate) supports: Supports,
    pub(crate) bounds: Bounds,
    pub(crate) queue: Queue,
    pub(crate) interrupts: InterruptTable,
    pub(crate) outbound: Vec<Outbound>,
}

/// How much may wait to be sent: enough for every descriptor of the longest queue.
pub(crate) const MAX_OUTBOUND: usize = 1 << 16;

impl Unit {
    /// A unit as it is after power-on.
    pub fn new(config: &Config) -> Self {
        let mut regs = RegFile::new(Arc::new(Layout::of(&unit::BLOCK)));
        regs.set(Reg::VER, 0, unit::VER(0).with_MAX(6).0.into());
        regs.set(Reg::CAP, 0, capabilities(config).0);
        regs.set(Reg::ECAP, 0, extended_capabilities(config).0);
        Self {
            regs,
            mode: Mode::Off,
            root: 0,
            latched: Mode::Invalid,
            caches: Caches::new(&config.caches),
            counters: Counters::default(),
            supports: Supports {
                sagaw: config.sagaw,
                pass_through: true,
                five_level: config.five_level,
                nested: config.nested,
                ssad: true,
                device_tlb: config.device_tlb,
                extended_accessed: true,
            },
            bounds: Bounds {
                haw: config.haw.clamp(39, 52),
                first_page_level: 3,
                second_page_level: 3,
                snoop: true,
            },
            queue: Queue::default(),
            interrupts: InterruptTable::new(config.caches.interrupt),
            outbound: vec![],
        }
    }

    /// Software reads registers.
    pub fn mmio_read(&self, at: u32, data: &mut [u8]) {
        self.regs.read(at, data);
    }

    /// Software writes registers; the invalidation queue is worked through before it returns.
    pub fn mmio_write(&mut self, memory: &HostMemory, at: u32, data: &[u8]) {
        let view = memory.view();
        let mut write = Write::new(at, data);
        while let Some(change) = self.regs.step(&mut write) {
            self.written(&view, change);
        }
    }

    /// What is to be sent out since the last call.
    pub fn take_outbound(&mut self) -> Vec<Outbound> {
        std::mem::take(&mut self.outbound)
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters, to add filters.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// The caches, to look at.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    fn written(&mut self, view: &HostView<'_>, change: Change) {
        match Reg::from_id(change.id) {
            Some(Reg::GCMD) => self.command(view, unit::GCMD(change.written as u32)),
            Some(Reg::CCMD) => self.context_command(),
            Some(Reg::IOTLB) => self.iotlb_command(),
            Some(Reg::IQT) => self.drain(view),
            Some(Reg::FSTS) => {
                let cleared = unit::FSTS(change.old as u32 & change.written as u32);
                if cleared.IQE() || cleared.ITE() || cleared.ICE() {
                    self.drain(view);
                }
            }
            Some(Reg::FRCD_HI) => self.update_pending_fault(),
            Some(Reg::FECTL) => self.unmask(&FAULT_EVENT),
            Some(Reg::IECTL) => self.unmask(&INVALIDATION_EVENT),
            Some(Reg::PECTL) => self.unmask(&PAGE_EVENT),
            _ => {}
        }
    }

    /// Global Command (VT-d 11.4.4.1): every bit is compared with its status, the one-shots are done.
    fn command(&mut self, view: &HostView<'_>, command: unit::GCMD) {
        let mut status = unit::GSTS(self.regs.get(Reg::GSTS, 0) as u32);
        if command.SRTP() {
            self.latch_root();
            status = status.with_RTPS(true);
        }
        if command.SIRTP() {
            self.interrupts.latch(unit::IRTA(self.regs.get(Reg::IRTA, 0)));
            status = status.with_IRTPS(true);
        }
        // Enabling without a table is refused: the status does not follow.
        status = status.with_TES(command.TE() && status.RTPS());
        status = status.with_IRES(command.IRE() && status.IRTPS());
        status = status.with_CFIS(command.CFI());
        if command.QIE() != status.QIES() {
            self.regs.set(Reg::IQH, 0, 0);
            self.queue = Queue::default();
            status = status.with_QIES(command.QIE());
        }
        self.regs.set(Reg::GSTS, 0, status.0.into());
        self.mode = if status.TES() { self.latched } else { Mode::Off };
        self.interrupts.enabled = status.IRES();
        self.interrupts.compatibility = status.CFIS();
        self.drain(view);
    }

    /// Set Root Table Pointer; with ESRTPS the caches are invalidated by it.
    fn latch_root(&mut self) {
        let rtaddr = unit::RTADDR(self.regs.get(Reg::RTADDR, 0));
        self.root = rtaddr.RTA() << 12;
        self.latched = match TTM::from_raw(rtaddr.TTM().into()) {
            Some(TTM::LEGACY) => Mode::Legacy,
            Some(TTM::SCALABLE) if self.ecap().SMTS() => Mode::Scalable,
            Some(TTM::ABORT_DMA) => Mode::Abort,
            _ => Mode::Invalid,
        };
        self.caches.clear();
    }

    pub(crate) fn ecap(&self) -> unit::ECAP {
        unit::ECAP(self.regs.get(Reg::ECAP, 0))
    }

    pub(crate) fn is_scalable(&self) -> bool {
        self.latched == Mode::Scalable
    }

    /// Records a fault, unless a table entry forbids it (VT-d 7.2).
    pub(crate) fn report(&mut self, fault: &Fault) {
        if fault.silent && fault.reason.is_qualified() {
            return;
        }
        let status = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32);
        if status.PFO() {
            return;
        }
        let free =
            (0..self.fault_records()).find(|n| !FaultRecordHi(self.regs.get(Reg::FRCD_HI, *n)).F());
        let Some(index) = free else {
            self.regs.set(Reg::FSTS, 0, status.with_PFO(true).0.into());
            return;
        };
        let (low, high) = record(fault);
        self.regs.set(Reg::FRCD_LO, index, low);
        self.regs.set(Reg::FRCD_HI, index, high);
        if !status.PPF() {
            let status = status.with_PPF(true).with_FRI(index as u8);
            self.regs.set(Reg::FSTS, 0, status.0.into());
            self.raise(&FAULT_EVENT);
        }
    }

    fn fault_records(&self) -> u32 {
        self.regs.layout().elements(Reg::FRCD_HI.into())
    }

    /// PPF is the OR of all records' F bits.
    fn update_pending_fault(&mut self) {
        let first =
            (0..self.fault_records()).find(|n| FaultRecordHi(self.regs.get(Reg::FRCD_HI, *n)).F());
        let status = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32).with_PPF(first.is_some());
        let status = first.map_or(status, |index| status.with_FRI(index as u8));
        self.regs.set(Reg::FSTS, 0, status.0.into());
    }

    /// Sends an event's interrupt, or leaves it pending while it is masked (VT-d 7.3).
    pub(crate) fn raise(&mut self, event: &EventRegisters) {
        let control = unit::FECTL(self.regs.get(event.control, 0) as u32);
        if control.IM() {
            self.regs.set(event.control, 0, control.with_IP(true).0.into());
            return;
        }
        let low = self.regs.get(event.address, 0);
        let high = self.regs.get(event.upper, 0);
        let data = self.regs.get(event.data, 0) as u32;
        self.send(Outbound::Message { address: high << 32 | low, data });
    }

    /// An event that waited for its mask to go is sent.
    fn unmask(&mut self, event: &EventRegisters) {
        let control = unit::FECTL(self.regs.get(event.control, 0) as u32);
        if control.IP() && !control.IM() {
            self.regs.set(event.control, 0, control.with_IP(false).0.into());
            self.raise(event);
        }
    }

    /// Queues something to send; what nobody ever takes does not grow without limit.
    pub(crate) fn send(&mut self, what: Outbound) {
        if self.outbound.len() < MAX_OUTBOUND {
            self.outbound.push(what);
        }
    }
}

/// The registers of one of the unit's own interrupts.
pub(crate) struct EventRegisters {
    control: Reg,
    data: Reg,
    address: Reg,
    upper: Reg,
}

const FAULT_EVENT: EventRegisters = EventRegisters {
    control: Reg::FECTL,
    data: Reg::FEDATA,
    address: Reg::FEADDR,
    upper: Reg::FEUADDR,
};

impl Unit {
    /// The invalidation queue's errors raise the fault event too (VT-d 7.3).
    pub(crate) fn raise_fault_event(&mut self) {
        self.raise(&FAULT_EVENT);
    }
}

pub(crate) const INVALIDATION_EVENT: EventRegisters = EventRegisters {
    control: Reg::IECTL,
    data: Reg::IEDATA,
    address: Reg::IEADDR,
    upper: Reg::IEUADDR,
};

pub(crate) const PAGE_EVENT: EventRegisters = EventRegisters {
    control: Reg::PECTL,
    data: Reg::PEDATA,
    address: Reg::PEADDR,
    upper: Reg::PEUADDR,
};

fn capabilities(config: &Config) -> unit::CAP {
    unit::CAP(unit::CAP::RESET)
        .with_ND(6) // 64 Ki domains
        .with_CM(config.caching_mode)
        .with_SAGAW(config.sagaw)
        .with_MGAW(if config.sagaw & 0b1000 != 0 { 56 } else { 47 })
        .with_SSLPS(0b11)
        .with_PSI(true)
        .with_MAMV(63)
        .with_DWD(true)
        .with_DRD(true)
        .with_FS1GP(true)
        .with_PI(true)
        .with_FS5LP(config.five_level)
        .with_ESIRTPS(true)
        .with_ESRTPS(true)
}

fn extended_capabilities(config: &Config) -> unit::ECAP {
    let scalable = config.scalable;
    unit::ECAP(unit::ECAP::RESET)
        .with_C(true)
        .with_QI(true)
        .with_DT(config.device_tlb)
        .with_IR(true)
        .with_EIM(true)
        .with_PT(true)
        .with_SC(true)
        .with_MHMV(15)
        .with_NEST(scalable && config.nested)
        .with_PRS(scalable && config.device_tlb)
        .with_ERS(scalable)
        .with_SRS(scalable)
        .with_EAFS(scalable)
        .with_PSS(if scalable { 19 } else { 0 })
        .with_PASID(scalable)
        .with_PDS(scalable && config.device_tlb)
        .with_SMTS(scalable)
        .with_SSADS(scalable)
        .with_SSTS(scalable)
        .with_FSTS(scalable)
        .with_SMPWCS(scalable)
        .with_RPS(scalable)
        .with_RPRIVS(scalable)
        .with_ADMS(true)
}
