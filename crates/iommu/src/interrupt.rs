//! Interrupt remapping and posting (VT-d 5).

use siov_mem::{HostView, Hpa, Iova};
use siov_spec::msi::{MsiAddress, MsiData, RemappableAddress, RemappableData};
use siov_spec::vtd::{
    FaultReason, Irte, IrteEntry, PostedInterruptDescriptor, PostedIrte, SVT, unit,
};

use crate::cache::{Cache, Geometry, Key};
use crate::counters::{Event, Subject};
use crate::types::{Access, Fault, RequestKind, Rid};
use crate::unit::Unit;

/// Where an interrupt ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// At a CPU: a vector, as the IRTE or the compatibility format message says.
    Remapped {
        /// Destination ID.
        destination: u32,
        /// Vector.
        vector: u8,
        /// Delivery mode.
        delivery: u8,
        /// Logical destination mode.
        logical: bool,
        /// Level triggered.
        level: bool,
    },
    /// In a posted-interrupt descriptor; `notify` is the notification that goes out, if one does.
    Posted {
        /// Where the descriptor is.
        descriptor: Hpa,
        /// The guest's vector.
        vector: u8,
        /// Destination and vector of the notification.
        notify: Option<(u32, u8)>,
    },
}

/// The interrupt remapping table, and what is cached of it.
#[derive(Debug)]
pub(crate) struct InterruptTable {
    pub enabled: bool,
    /// Compatibility format requests pass.
    pub compatibility: bool,
    base: u64,
    entries: u32,
    extended: bool,
    cache: Cache<Handle, [u64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Handle(u16);

impl Key for Handle {
    fn spread(&self) -> u64 {
        self.0.into()
    }
}

impl InterruptTable {
    pub fn new(geometry: Geometry) -> Self {
        Self {
            enabled: false,
            compatibility: false,
            base: 0,
            entries: 0,
            extended: false,
            cache: Cache::new(geometry),
        }
    }

    /// Set Interrupt Remap Table Pointer; it invalidates by itself (CAP.ESIRTPS).
    pub fn latch(&mut self, irta: unit::IRTA) {
        self.base = irta.IRTA() << 12;
        self.entries = 2 << irta.S();
        self.extended = irta.EIME();
        self.cache.clear();
    }

    /// Drops all entries, or `2^mask` from an index on.
    pub fn invalidate(&mut self, which: Option<(u16, u8)>) {
        let Some((index, mask)) = which else { return self.cache.clear() };
        let ignored = (1u32 << mask.min(16)) - 1;
        self.cache.retain(|handle, _| (u32::from(handle.0) ^ u32::from(index)) & !ignored != 0);
    }
}

impl Unit {
    /// Takes an interrupt request of a device: a write in the interrupt range (VT-d 5.1).
    pub fn remap(
        &mut self,
        view: &HostView<'_>,
        rid: Rid,
        address: u64,
        data: u32,
    ) -> Result<Interrupt, Fault> {
        self.counters.subject = Subject { rid, pasid: None, domain: None };
        let remapped = self.remap_request(view, rid, address, data);
        remapped.map_err(|(reason, index, silent)| {
            let addr = Iova(u64::from(index) << 48);
            let (kind, access) = (RequestKind::Interrupt, Access::WRITE);
            let fault = Fault { reason, kind, rid, pasid: None, addr, access, silent };
            self.report(&fault);
            fault
        })
    }

    fn remap_request(
        &mut self,
        view: &HostView<'_>,
        rid: Rid,
        address: u64,
        data: u32,
    ) -> Result<Interrupt, (FaultReason, u16, bool)> {
        let request = RemappableAddress(address as u32);
        if !self.interrupts.enabled {
            return Ok(compatible(address, data));
        }
        if !request.INTR_FMT() {
            // With 32-bit APIC ids the compatibility format is always blocked (VT-d 5.1.4).
            return if self.interrupts.compatibility && !self.interrupts.extended {
                Ok(compatible(address, data))
            } else {
                Err((FaultReason::INTR_COMPATIBILITY, 0, false))
            };
        }
        let data = RemappableData(data);
        if request.0 & RemappableAddress::RSVD != 0
            || (request.SHV() && data.0 & RemappableData::RSVD != 0)
        {
            return Err((FaultReason::INTR_RSVD, 0, false));
        }
        let handle = u32::from(request.HANDLE_15()) << 15 | u32::from(request.HANDLE());
        let subhandle = if request.SHV() { u32::from(data.SUBHANDLE()) } else { 0 };
        let index = handle + subhandle;
        let Some(index) =
            u16::try_from(index).ok().filter(|n| u32::from(*n) < self.interrupts.entries)
        else {
            return Err((FaultReason::INTR_INDEX, index as u16, false));
        };
        let raw = self.irte(view, index).ok_or((FaultReason::INTR_IRTE_READ, index, false))?;
        let entry = IrteEntry(raw);
        let refused = |reason| (reason, index, entry.FPD());
        if !entry.P() {
            return Err(refused(FaultReason::INTR_IRTE_P));
        }
        let rsvd = if entry.IM() { PostedIrte::RSVD } else { self.reserved_remapped() };
        if raw.iter().zip(rsvd).any(|(word, mask)| word & mask != 0) {
            return Err(refused(FaultReason::INTR_IRTE_RSVD));
        }
        if !source_is_valid(&entry, rid).ok_or(refused(FaultReason::INTR_IRTE_RSVD))? {
            return Err(refused(FaultReason::INTR_SID));
        }
        if entry.IM() {
            return self.post(view, PostedIrte(raw)).map_err(refused);
        }
        let entry = Irte(raw);
        let extended = self.interrupts.extended;
        Ok(Interrupt::Remapped {
            destination: if extended { entry.DST() } else { entry.DST() >> 8 & 0xFF },
            vector: entry.V(),
            delivery: entry.DLM(),
            logical: entry.DM(),
            level: entry.TM(),
        })
    }

    /// Reserved bits of an entry of a remapped interrupt: 8-bit APIC ids leave most of DST over.
    fn reserved_remapped(&self) -> [u64; 2] {
        let [low, high] = Irte::RSVD;
        let ids = if self.interrupts.extended { u32::MAX } else { 0xFF00 };
        [low | Irte([0; 2]).with_DST(!ids).0[0], high]
    }

    /// An entry of the table, by way of the interrupt entry cache; `None` if it can't be read.
    fn irte(&mut self, view: &HostView<'_>, index: u16) -> Option<[u64; 2]> {
        self.counters.count(Event::IntLookup);
        if let Some(raw) = self.interrupts.cache.get(&Handle(index)).copied() {
            let posted = IrteEntry(raw).IM();
            self.counters.count(if posted { Event::IntHitPosted } else { Event::IntHitNonposted });
            return Some(raw);
        }
        self.counters.count(Event::MemoryReads);
        let at = Hpa(self.interrupts.base).checked_add(u64::from(index) * 16)?;
        let raw = [view.load_u64(at).ok()?, view.load_u64(Hpa(at.0 + 8)).ok()?];
        if IrteEntry(raw).P() {
            self.interrupts.cache.insert(Handle(index), raw);
        }
        Some(raw)
    }

    /// Posts a vector: sets its bit, and notifies unless one is on its way or suppressed (VT-d 5.2.3).
    fn post(&mut self, view: &HostView<'_>, entry: PostedIrte) -> Result<Interrupt, FaultReason> {
        let at = u64::from(entry.PDAH()) << 32 | u64::from(entry.PDAL()) << 6;
        let vector = entry.V();
        let request = Hpa(at + u64::from(vector / 64) * 8);
        let unreadable = FaultReason::INTR_PID_READ;
        let control = view.load_u64(Hpa(at + 32)).map_err(|_| unreadable)?;
        if control & word(&PostedInterruptDescriptor::RSVD, 4) != 0 {
            return Err(FaultReason::INTR_PID_RSVD);
        }
        update(view, request, |bits| bits | 1 << (vector % 64)).map_err(|()| unreadable)?;
        let descriptor = |control| PostedInterruptDescriptor([0, 0, 0, 0, control, 0, 0, 0]);
        let on = descriptor(0).with_ON(true).0;
        let wanted = |control: u64| {
            let d = descriptor(control);
            !d.ON() && (entry.URG() || !d.SN())
        };
        let marked = |control| if wanted(control) { control | word(&on, 4) } else { control };
        let before = update(view, Hpa(at + 32), marked).map_err(|()| unreadable)?;
        let d = descriptor(before);
        let extended = self.interrupts.extended;
        let to = if extended { d.NDST() } else { d.NDST() >> 8 & 0xFF };
        let notify = wanted(before).then_some((to, d.NV()));
        Ok(Interrupt::Posted { descriptor: Hpa(at), vector, notify })
    }
}

/// Changes a word in one step, however others change it meanwhile; gives what was there before.
fn update(view: &HostView<'_>, at: Hpa, change: impl Fn(u64) -> u64) -> Result<u64, ()> {
    let mut seen = view.load_u64(at).map_err(|_| ())?;
    loop {
        let new = change(seen);
        if new == seen {
            return Ok(seen);
        }
        let now = view.compare_exchange_u64(at, seen, new).map_err(|_| ())?;
        if now == new {
            return Ok(seen);
        }
        seen = now;
    }
}

fn word(words: &[u64; 8], n: usize) -> u64 {
    words.get(n).copied().unwrap_or(0)
}

/// Whether the requester may use an entry (VT-d 9.10, SVT and SQ); `None` for an SVT that there is not.
fn source_is_valid(entry: &IrteEntry, rid: Rid) -> Option<bool> {
    match SVT::from_raw(entry.SVT().into())? {
        SVT::NONE => Some(true),
        SVT::SID_SQ => {
            let ignored = match entry.SQ() {
                0 => 0,
                1 => 0b100,
                2 => 0b110,
                _ => 0b111,
            };
            Some((entry.SID() ^ rid.0) & !ignored == 0)
        }
        SVT::BUS_RANGE => {
            let (first, last) = ((entry.SID() >> 8) as u8, entry.SID() as u8);
            Some((first..=last).contains(&rid.bus()))
        }
    }
}

/// A compatibility format request is delivered as it is (Intel SDM 3A 11.11).
fn compatible(address: u64, data: u32) -> Interrupt {
    let (address, data) = (MsiAddress(address as u32), MsiData(data));
    Interrupt::Remapped {
        destination: address.DEST().into(),
        vector: data.VECTOR(),
        delivery: data.DM(),
        logical: address.DM(),
        level: false,
    }
}
