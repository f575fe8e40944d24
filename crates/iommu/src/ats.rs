//! Address Translation Services: Translation Requests and translated requests (VT-d 4, PCIe 10).

use siov_mem::{HostView, Hpa};
use siov_spec::vtd::FaultReason;

use crate::counters::{Event, Subject};
use crate::tables::{ContextInfo, Next, Refusal};
use crate::translate::INTERRUPT_RANGE;
use crate::types::{Access, Fault, Request, RequestKind, Translation};
use crate::unit::{Mode, Unit};

/// Pages that one Translation Request may ask for: as many 8-byte results as fit in a read completion of 256
/// bytes.
pub const MAX_PAGES: u32 = 32;

/// Faults that a device meets in the course of things: a page that is not there, or not for this.
const fn is_expected(reason: FaultReason) -> bool {
    use FaultReason as F;
    matches!(
        reason,
        F::LGN_2
            | F::LGN_3
            | F::SFS_2
            | F::SSS_2
            | F::SFS_6
            | F::SFS_7
            | F::SFS_8
            | F::SGN_2
            | F::SGN_3
            | F::SGN_6
            | F::SGN_7
            | F::SPT_2
            | F::SPD_2
    )
}

/// One result of a Translation Completion (PCIe 10.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The physical page; meaningless without R and W.
    pub hpa: Hpa,
    /// Bytes of the page: 4 KiB without S, else told by the address.
    pub size: u64,
    /// Accesses have to be snooped (SNP of the page).
    pub n: bool,
    /// The page may only be accessed by untranslated requests.
    pub u: bool,
    /// The translation holds for all PASIDs.
    pub global: bool,
    /// Reads to execute are allowed.
    pub execute: bool,
    /// The answer is for privileged requests.
    pub privileged: bool,
    /// Reads are allowed.
    pub r: bool,
    /// Writes are allowed.
    pub w: bool,
}

impl Completion {
    /// S: the page is larger than 4 KiB, and the address tells how large.
    pub const fn s(&self) -> bool {
        self.size > 4096
    }

    /// The result's 64 bits.
    pub const fn encode(&self) -> u64 {
        // The lowest zero bit of the address's bits above 11 tells the size (PCIe 10.2.3.2).
        let sized = if self.s() {
            self.hpa.0 & !(self.size - 1) | (self.size / 2 - 4096)
        } else {
            self.hpa.0
        };
        sized & !0xFFF
            | (self.s() as u64) << 11
            | (self.n as u64) << 10
            | (self.global as u64) << 5
            | (self.privileged as u64) << 4
            | (self.execute as u64) << 3
            | (self.u as u64) << 2
            | (self.w as u64) << 1
            | self.r as u64
    }
}

impl Unit {
    /// Answers a Translation Request for `pages` pages from an address on: their results, as far as one after
    /// the other has the first one's size; the fault is what the device sees as Unsupported Request.
    ///
    /// What a device may expect, such as a page that is not there, is a result without R and W and no fault.
    pub fn translation_request(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        pages: u32,
        no_write: bool,
    ) -> Result<Vec<Completion>, Fault> {
        self.counters.subject = Subject { rid: request.rid, pasid: request.pasid, domain: None };
        self.counters.count(Event::Requests);
        let kind = RequestKind::TranslationRequest;
        if self.mode == Mode::Off {
            return Err(self.blocked(kind, request, (FaultReason::LCT_5, true)));
        }
        self.device_tlb_allowed(view, request).map_err(|why| self.blocked(kind, request, why))?;
        let mut results = Vec::new();
        let mut addr = request.addr;
        while results.len() < pages.clamp(1, MAX_PAGES) as usize {
            let here = Request { addr, ..*request };
            let result = self.one_page(view, &here, no_write);
            let Some(result) = result.map_err(|why| self.blocked(kind, &here, why))? else {
                if results.is_empty() {
                    results.push(Completion { size: 4096, ..Completion::default() });
                }
                break;
            };
            let same = results.first().is_none_or(|first: &Completion| first.size == result.size);
            if !same {
                break;
            }
            results.push(result);
            let Some(next) = (addr.0 & !(result.size - 1)).checked_add(result.size) else { break };
            addr.0 = next;
        }
        Ok(results)
    }

    /// Lets a translated request through, if the function may have a device TLB.
    pub fn translated_request(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
    ) -> Result<Hpa, Fault> {
        self.counters.subject = Subject { rid: request.rid, pasid: request.pasid, domain: None };
        self.counters.count(Event::Requests);
        if self.mode != Mode::Off {
            let allowed = self.device_tlb_allowed(view, request).and_then(|fpd| {
                let interrupt = INTERRUPT_RANGE.contains(&request.addr.0);
                if interrupt { Err((self.interrupt_range(), fpd)) } else { Ok(()) }
            });
            allowed.map_err(|why| self.blocked(RequestKind::Translated, request, why))?;
        }
        Ok(Hpa(request.addr.0))
    }

    /// One page's result; `None` where nothing is there.
    fn one_page(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        no_write: bool,
    ) -> Result<Option<Completion>, Refusal> {
        if request.pasid.is_none() && INTERRUPT_RANGE.contains(&request.addr.0) {
            // Interrupt requests are writes, and always untranslated (VT-d 4.2.3).
            let hpa = Hpa(request.addr.0 & !0xFFF);
            return Ok(Some(Completion {
                hpa,
                size: 4096,
                u: true,
                w: true,
                ..Completion::default()
            }));
        }
        let Access { execute, privileged, .. } = request.access;
        let to =
            |write, execute| Request { access: Access { write, execute, privileged }, ..*request };
        // A page that can't be executed can still be read: each right is asked for by itself.
        let executed = if execute { self.quietly(view, &to(false, true))? } else { None };
        let found = self.quietly(view, &to(false, false))?;
        // Asking for write marks the page dirty, so a device says when it will not write (NW).
        let written = if no_write { None } else { self.quietly(view, &to(true, false))? };
        let page = |t: Translation| Completion {
            hpa: Hpa(t.hpa.0 & !(t.page - 1)),
            size: t.page,
            n: t.rights.snoop,
            u: false,
            global: t.rights.global,
            execute: executed.is_some(),
            privileged,
            r: found.is_some(),
            w: written.is_some(),
        };
        Ok(written.or(found).map(page))
    }

    /// Translates without recording what a device may expect.
    fn quietly(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
    ) -> Result<Option<Translation>, Refusal> {
        match self.look_up(view, request, &mut ()) {
            Ok(translation) => Ok(Some(translation)),
            Err((reason, _)) if is_expected(reason) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether the function may have a device TLB; gives FPD of its context entry.
    pub(crate) fn device_tlb_allowed(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
    ) -> Result<bool, Refusal> {
        let (root, supports, mode) = (self.root, self.supports, self.mode);
        let mut nobody = ();
        let mut walker = self.walker(view, &mut nobody);
        let context = match mode {
            Mode::Legacy if request.pasid.is_some() => Err((FaultReason::RTA_2, false)),
            Mode::Legacy => walker.context(root, request.rid, &supports),
            Mode::Scalable => walker.scalable_context(root, request.rid, &supports),
            Mode::Abort => Err((FaultReason::RTA_4, false)),
            Mode::Off | Mode::Invalid => Err((FaultReason::RTA_1, false)),
        };
        let ContextInfo { fpd, device_tlb, next } = context?;
        match next {
            _ if device_tlb => Ok(fpd),
            Next::Directory(_) => Err((FaultReason::SCT_5, fpd)),
            _ => Err((FaultReason::LCT_5, fpd)),
        }
    }

    pub(crate) fn blocked(
        &mut self,
        kind: RequestKind,
        request: &Request,
        (reason, silent): Refusal,
    ) -> Fault {
        self.counters.count(Event::AtsBlocked);
        let Request { rid, pasid, addr, access } = *request;
        let fault = Fault { reason, kind, rid, pasid, addr, access, silent };
        self.report(&fault);
        fault
    }
}
