//! A remapping unit: its registers and their handshakes (VT-d 11.4).

use std::sync::Arc;

use siov_mem::HostView;
use siov_spec::vtd::{TTM, unit, unit::Reg};
use siov_spec::{Change, Layout, RegFile, Write};

use crate::bounds::Bounds;
use crate::caches::Caches;
use crate::config::{Config, capabilities, extended_capabilities};
use crate::counters::Counters;
use crate::events::{FAULT_EVENT, INVALIDATION_EVENT, PAGE_EVENT};
use crate::interrupt::InterruptTable;
use crate::permit::Permits;
use crate::queue::Queue;
use crate::tables::Supports;
use crate::types::{Pasid, Rid};

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
        pasid: Option<Pasid>,
        /// Page Request Group Index.
        prgi: u16,
        /// Response Code.
        code: u8,
    },
}

/// What a device is to forget (PCIe 10.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceInvalidation {
    /// The device.
    pub rid: Rid,
    /// Of this PASID only.
    pub pasid: Option<Pasid>,
    /// Of all PASIDs.
    pub global: bool,
    /// First address.
    pub addr: u64,
    /// Bytes, a power of two; `u64::MAX` for every address.
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
    pub(crate) permits: Permits,
    pub(crate) outbound: Vec<Outbound>,
    /// The fault recording register for the next fault.
    pub(crate) next_record: u32,
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
            bounds: Bounds::new(config.haw, config.device_tlb),
            queue: Queue::default(),
            interrupts: InterruptTable::new(config.caches.interrupt),
            permits: Permits::default(),
            outbound: vec![],
            next_record: 0,
        }
    }

    /// Software reads registers.
    pub fn mmio_read(&self, at: u32, data: &mut [u8]) {
        self.regs.read(at, data);
    }

    /// Software writes registers; the invalidation queue is worked through before it returns.
    pub fn mmio_write(&mut self, view: &HostView<'_>, at: u32, data: &[u8]) {
        let mut write = Write::new(at, data);
        while let Some(change) = self.regs.step(&mut write) {
            self.written(view, change);
        }
    }

    /// What is to be sent out since the last call.
    pub fn take_outbound(&mut self) -> Vec<Outbound> {
        std::mem::take(&mut self.outbound)
    }

    /// Whether anything is to be sent out.
    pub fn has_outbound(&self) -> bool {
        !self.outbound.is_empty()
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
                self.fault_status_cleared();
                let cleared = unit::FSTS(change.old as u32 & change.written as u32);
                if cleared.IQE() || cleared.ITE() {
                    self.drain(view);
                }
            }
            Some(Reg::FRCD_HI) => self.update_pending_fault(),
            Some(Reg::ICS) if !unit::ICS(change.new as u32).IWC() => {
                self.serviced(&INVALIDATION_EVENT);
            }
            Some(Reg::PRS) if change.new == 0 => self.serviced(&PAGE_EVENT),
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
        let mode = if status.TES() { self.latched } else { Mode::Off };
        if command.SRTP() || mode != self.mode {
            self.withdraw_permits();
        }
        self.mode = mode;
        self.interrupts.enabled = status.IRES();
        self.interrupts.compatibility = status.CFIS();
        self.drain(view);
    }

    /// Set Root Table Pointer; with ESRTPS the caches are invalidated by it.
    fn latch_root(&mut self) {
        let rtaddr = unit::RTADDR(self.regs.get(Reg::RTADDR, 0));
        self.root = rtaddr.RTA() << 12;
        let too_high = self.root >> self.bounds.haw != 0;
        self.latched = match TTM::from_raw(rtaddr.TTM().into()) {
            _ if too_high => Mode::Invalid,
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

    /// Queues something to send; what nobody ever takes does not grow without limit.
    pub(crate) fn send(&mut self, what: Outbound) {
        if self.outbound.len() < MAX_OUTBOUND {
            self.outbound.push(what);
        }
    }
}
