//! Invalidation by registers and by the queue (VT-d 6.5, 11.4.6, 11.4.9).

use siov_mem::{HostView, Hpa};
use siov_spec::vtd::{
    CcGranularity, CcInvDsc, Descriptor, DescriptorType, DevTlbInvDsc, IecInvDsc, InvWaitDsc,
    IotlbGranularity, IotlbInvDsc, IqError, PDevTlbInvDsc, PIotlbInvDsc, PageGroupResponse,
    PasidCacheGranularity, PasidIotlbGranularity, PcInvDsc, unit, unit::Reg,
};

use crate::events::INVALIDATION_EVENT;
use crate::invalidate::Pages;
use crate::types::{Did, Pasid, Rid};
use crate::unit::{DeviceInvalidation, Outbound, Unit};

/// Where the queue stands with devices that have not answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Invalidate Requests under way, by ITag.
    waiting: Vec<(u8, Rid)>,
    next_itag: u8,
}

/// ITags are 5 bits wide (PCIe 10.3.1).
const ITAGS: usize = 32;

/// What becomes of a descriptor.
enum Outcome {
    Done,
    /// It can't be done before devices have answered.
    Blocked,
    Bad(IqError),
}

use Outcome::{Bad, Blocked, Done};

impl Unit {
    /// Context Command: register-based invalidation of the context-cache (VT-d 11.4.6.1).
    pub(crate) fn context_command(&mut self) {
        let command = unit::CCMD(self.regs.get(Reg::CCMD, 0));
        if !command.ICC() {
            return;
        }
        let granularity = CcGranularity::from_raw(command.CIRG().into());
        self.drop_contexts(granularity, Did(command.DID()), Rid(command.SID()), command.FM());
        let done = command.with_ICC(false).with_CAIG(command.CIRG());
        self.regs.set(Reg::CCMD, 0, done.0);
    }

    /// IOTLB Invalidate: register-based invalidation of translations (VT-d 11.4.6.2).
    pub(crate) fn iotlb_command(&mut self) {
        let command = unit::IOTLB(self.regs.get(Reg::IOTLB, 0));
        if !command.IVT() {
            return;
        }
        let address = unit::IVA(self.regs.get(Reg::IVA, 0));
        let pages = Pages::of(address.ADDR(), address.AM(), address.IH());
        let granularity = IotlbGranularity::from_raw(command.IIRG().into());
        self.drop_translations(granularity, Did(command.DID()), pages);
        let done = command.with_IVT(false).with_IAIG(command.IIRG());
        self.regs.set(Reg::IOTLB, 0, done.0);
    }

    /// Works through the queue up to its tail, an error, or a descriptor that has to wait (VT-d 6.5.2).
    pub(crate) fn drain(&mut self, view: &HostView<'_>) {
        let address = unit::IQA(self.regs.get(Reg::IQA, 0));
        // 4 KiB << QS; an entry is 16 bytes, or 32 with DW.
        let (size, step) = (1u64 << (12 + address.QS()), if address.DW() { 32 } else { 16 });
        while self.may_fetch() {
            let head = unit::IQH(self.regs.get(Reg::IQH, 0));
            let tail = unit::IQT(self.regs.get(Reg::IQT, 0));
            let (at, end) = (u64::from(head.QH()) << 4, u64::from(tail.QT()) << 4);
            if at == end {
                return;
            }
            // Only an IQA that changed under the queue leads the head astray.
            if end >= size || at >= size {
                return self.queue_error(IqError::INVALID_TAIL);
            }
            if end % step != 0 || at % step != 0 {
                return self.queue_error(IqError::TAIL_NOT_ALIGNED);
            }
            if self.is_scalable() && step == 16 {
                return self.queue_error(IqError::INVALID_WIDTH);
            }
            let mut raw = [0; 4];
            let place = Hpa(address.IQA() << 12).checked_add(at);
            if !place.is_some_and(|place| fetch(view, place, &mut raw, step)) {
                return self.queue_error(IqError::FETCH_ERROR);
            }
            match self.execute(view, raw) {
                Done => {
                    let next = (at + step) % size;
                    self.regs.set(Reg::IQH, 0, head.with_QH((next >> 4) as u16).0);
                }
                Blocked => return,
                Bad(error) => return self.queue_error(error),
            }
        }
    }

    /// A device has answered an Invalidate Request; an answer that nobody waits for is an error (ICE), which
    /// does not hold the queue up (VT-d 6.5.2.11).
    pub fn invalidation_done(&mut self, view: &HostView<'_>, rid: Rid, itag: u8) {
        let before = self.queue.waiting.len();
        self.queue.waiting.retain(|waiting| *waiting != (itag, rid));
        if self.queue.waiting.len() == before {
            let record = unit::IQERCD(self.regs.get(Reg::IQERCD, 0)).with_ICESID(rid.0);
            self.regs.set(Reg::IQERCD, 0, record.0);
            self.set_fault_status(unit::FSTS(0).with_ICE(true));
            return;
        }
        self.drain(view);
    }

    /// The devices that have not answered took too long: ITE, and the queue stands still (VT-d 6.5.2.11).
    pub fn invalidation_timeout(&mut self) {
        let Some((_, rid)) = self.queue.waiting.first().copied() else { return };
        self.queue.waiting.clear();
        let record = unit::IQERCD(self.regs.get(Reg::IQERCD, 0)).with_ITESID(rid.0);
        self.regs.set(Reg::IQERCD, 0, record.0);
        self.set_fault_status(unit::FSTS(0).with_ITE(true));
    }

    fn may_fetch(&self) -> bool {
        let status = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32);
        unit::GSTS(self.regs.get(Reg::GSTS, 0) as u32).QIES() && !(status.IQE() || status.ITE())
    }

    fn queue_error(&mut self, error: IqError) {
        let record = unit::IQERCD(self.regs.get(Reg::IQERCD, 0)).with_IQEI(error as u8);
        self.regs.set(Reg::IQERCD, 0, record.0);
        self.set_fault_status(unit::FSTS(0).with_IQE(true));
    }

    fn execute(&mut self, view: &HostView<'_>, raw: [u64; 4]) -> Outcome {
        let descriptor = Descriptor(raw);
        let code = u64::from(descriptor.TYPE_HI()) << 4 | u64::from(descriptor.TYPE());
        let Some(kind) = DescriptorType::from_raw(code) else {
            return Bad(IqError::INVALID_TYPE);
        };
        if has_reserved(kind, &raw) {
            return Bad(IqError::RESERVED_FIELD);
        }
        match kind {
            DescriptorType::CONTEXT_CACHE => self.cc_inv(CcInvDsc(raw)),
            DescriptorType::PASID_CACHE => self.pc_inv(PcInvDsc(raw)),
            DescriptorType::IOTLB => self.iotlb_inv(IotlbInvDsc(raw)),
            DescriptorType::PASID_IOTLB => self.p_iotlb_inv(PIotlbInvDsc(raw)),
            DescriptorType::DEVICE_TLB => self.dev_tlb_inv(DevTlbInvDsc(raw)),
            DescriptorType::PASID_DEVICE_TLB => self.p_dev_tlb_inv(PDevTlbInvDsc(raw)),
            DescriptorType::INTERRUPT_ENTRY_CACHE => {
                let d = IecInvDsc(raw);
                self.interrupts.invalidate(d.G().then(|| (d.IIDX(), d.IM())));
                Done
            }
            DescriptorType::WAIT => self.inv_wait(view, InvWaitDsc(raw)),
            DescriptorType::PAGE_GROUP_RESPONSE => {
                let d = PageGroupResponse(raw);
                let pasid = d.PP().then(|| Pasid(d.PASID()));
                let (rid, prgi, code) = (Rid(d.RID()), d.PRGI(), d.RC());
                self.send(Outbound::PageResponse { rid, pasid, prgi, code });
                Done
            }
        }
    }

    fn cc_inv(&mut self, d: CcInvDsc) -> Outcome {
        let Some(granularity) = CcGranularity::from_raw(d.G().into()) else {
            return Bad(IqError::RESERVED_FIELD);
        };
        self.drop_contexts(Some(granularity), Did(d.DID()), Rid(d.SID()), d.FM());
        Done
    }

    fn pc_inv(&mut self, d: PcInvDsc) -> Outcome {
        match PasidCacheGranularity::from_raw(d.G().into()) {
            Some(PasidCacheGranularity::GLOBAL) => self.caches.pasid.clear(),
            Some(PasidCacheGranularity::DOMAIN) => self.caches.drop_pasids_of_domain(Did(d.DID())),
            Some(PasidCacheGranularity::PASID) => {
                self.caches.drop_pasid(Did(d.DID()), Pasid(d.PASID()));
            }
            None => return Bad(IqError::RESERVED_FIELD),
        }
        Done
    }

    fn iotlb_inv(&mut self, d: IotlbInvDsc) -> Outcome {
        let Some(granularity) = IotlbGranularity::from_raw(d.G().into()) else {
            return Bad(IqError::RESERVED_FIELD);
        };
        let pages = Pages::of(d.ADDR(), d.AM(), d.IH());
        self.drop_translations(Some(granularity), Did(d.DID()), pages);
        Done
    }

    fn p_iotlb_inv(&mut self, d: PIotlbInvDsc) -> Outcome {
        let (did, pasid) = (Did(d.DID()), Pasid(d.PASID()));
        match PasidIotlbGranularity::from_raw(d.G().into()) {
            Some(PasidIotlbGranularity::PASID) => self.caches.drop_pasid_translations(did, pasid),
            Some(PasidIotlbGranularity::PAGE) => {
                let pages = Pages::of(d.ADDR(), d.AM(), d.IH());
                self.caches.drop_pasid_pages(did, pasid, pages);
            }
            None => return Bad(IqError::RESERVED_FIELD),
        }
        Done
    }

    fn dev_tlb_inv(&mut self, d: DevTlbInvDsc) -> Outcome {
        let (addr, size) = device_range(d.ADDR(), d.S());
        let rid = Rid(d.SID());
        self.invalidate_device(DeviceInvalidation {
            rid,
            pasid: None,
            global: false,
            addr,
            size,
            itag: 0,
        })
    }

    fn p_dev_tlb_inv(&mut self, d: PDevTlbInvDsc) -> Outcome {
        let (addr, size) = device_range(d.ADDR(), d.S());
        let (rid, pasid) = (Rid(d.SID()), Some(Pasid(d.PASID())));
        self.invalidate_device(DeviceInvalidation {
            rid,
            pasid,
            global: d.G(),
            addr,
            size,
            itag: 0,
        })
    }

    fn invalidate_device(&mut self, what: DeviceInvalidation) -> Outcome {
        if !self.supports.device_tlb {
            return Bad(IqError::INVALID_TYPE);
        }
        if self.queue.waiting.len() >= ITAGS {
            return Blocked;
        }
        let taken = |itag: u8| self.queue.waiting.iter().any(|(have, _)| *have == itag);
        let mut itag = self.queue.next_itag;
        while taken(itag) {
            itag = (itag + 1) % ITAGS as u8;
        }
        self.queue.next_itag = (itag + 1) % ITAGS as u8;
        self.queue.waiting.push((itag, what.rid));
        self.send(Outbound::Invalidate(DeviceInvalidation { itag, ..what }));
        Done
    }

    /// Invalidation Wait: done once every descriptor before it is, also those that devices answer.
    fn inv_wait(&mut self, view: &HostView<'_>, d: InvWaitDsc) -> Outcome {
        if !self.queue.waiting.is_empty() {
            return Blocked;
        }
        if d.SW() {
            let at = Hpa(d.STADDR() << 2);
            // A write to where nothing is is lost, as on a bus.
            let _ = view.write(at, &d.STDATA().to_le_bytes());
        }
        if d.IF() {
            let status = unit::ICS(self.regs.get(Reg::ICS, 0) as u32);
            self.regs.set(Reg::ICS, 0, status.with_IWC(true).0.into());
            if !status.IWC() {
                self.raise(&INVALIDATION_EVENT);
            }
        }
        Done
    }

    fn drop_contexts(&mut self, g: Option<CcGranularity>, did: Did, rid: Rid, mask: u8) {
        self.withdraw_permits();
        match g {
            Some(CcGranularity::GLOBAL) => self.caches.context.clear(),
            Some(CcGranularity::DOMAIN) => self.caches.drop_contexts_of_domain(did),
            Some(CcGranularity::DEVICE) => self.caches.drop_contexts_of_device(rid, mask),
            None => {}
        }
    }

    fn drop_translations(&mut self, g: Option<IotlbGranularity>, did: Did, pages: Pages) {
        match g {
            Some(IotlbGranularity::GLOBAL) => self.caches.clear_translations(),
            Some(IotlbGranularity::DOMAIN) => self.caches.drop_domain(did),
            Some(IotlbGranularity::PAGE) => self.caches.drop_domain_pages(did, pages),
            None => {}
        }
    }
}

/// Reads a descriptor; its upper half is zero in a queue of 128 bits.
fn fetch(view: &HostView<'_>, at: Hpa, raw: &mut [u64; 4], step: u64) -> bool {
    let words = (step / 8) as usize;
    (0..).zip(raw.iter_mut()).take(words).all(|(n, word)| {
        let loaded = view.load_u64(Hpa(at.0 + 8 * n));
        loaded.map(|value| *word = value).is_ok()
    })
}

fn has_reserved(kind: DescriptorType, raw: &[u64; 4]) -> bool {
    let rsvd = match kind {
        DescriptorType::CONTEXT_CACHE => CcInvDsc::RSVD,
        DescriptorType::PASID_CACHE => PcInvDsc::RSVD,
        DescriptorType::IOTLB => IotlbInvDsc::RSVD,
        DescriptorType::PASID_IOTLB => PIotlbInvDsc::RSVD,
        DescriptorType::DEVICE_TLB => DevTlbInvDsc::RSVD,
        DescriptorType::PASID_DEVICE_TLB => PDevTlbInvDsc::RSVD,
        DescriptorType::INTERRUPT_ENTRY_CACHE => IecInvDsc::RSVD,
        DescriptorType::WAIT => InvWaitDsc::RSVD,
        DescriptorType::PAGE_GROUP_RESPONSE => PageGroupResponse::RSVD,
    };
    raw.iter().zip(rsvd).any(|(word, mask)| word & mask != 0)
}

/// Address and bytes of a device-TLB invalidation: with S, the lowest zero bit tells the size (PCIe 10.3.2).
fn device_range(page: u64, s: bool) -> (u64, u64) {
    if !s {
        return (page << 12, 4096);
    }
    match 1u64.checked_shl(13 + page.trailing_ones()) {
        Some(size) => (page << 12 & !(size - 1), size),
        None => (0, u64::MAX),
    }
}
