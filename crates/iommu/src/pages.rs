//! Page requests: what a device with PRI asks for, and the queue it goes to (VT-d 7.4).

use siov_mem::{HostView, Hpa, Iova};
use siov_spec::vtd::{self, FaultReason, ResponseCode, unit, unit::Reg};

use crate::counters::{Event, Subject};
use crate::events::PAGE_EVENT;
use crate::tables::Next;
use crate::types::{Access, Fault, Pasid, Request, RequestKind, Rid};
use crate::unit::{Mode, Outbound, Unit};

const DESCRIPTOR: u64 = 32;

/// A Page Request Message of a device (PCIe 10.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Who asks.
    pub rid: Rid,
    /// In which address space, if it says so.
    pub pasid: Option<Pasid>,
    /// The page.
    pub addr: Iova,
    /// For reads.
    pub read: bool,
    /// For writes.
    pub write: bool,
    /// To execute.
    pub execute: bool,
    /// In privileged mode.
    pub privileged: bool,
    /// The last of its group: only then there is a response.
    pub last: bool,
    /// Page Request Group Index, 9 bits.
    pub prgi: u16,
}

impl Unit {
    /// Takes a page request: into the queue, or answered at once where it can't go there.
    ///
    /// A full queue is no fault: the last request of a group is answered with success, and the device asks
    /// again (VT-d 7.4.1.1).
    pub fn page_request(&mut self, view: &HostView<'_>, request: &PageRequest) {
        self.counters.subject = Subject { rid: request.rid, pasid: request.pasid, domain: None };
        if let Err((reason, silent)) = self.admit(view, request) {
            let PageRequest { rid, pasid, addr, write, execute, privileged, .. } = *request;
            let access = Access { write, execute, privileged };
            let kind = RequestKind::PageRequest;
            self.report(&Fault { reason, kind, rid, pasid, addr, access, silent });
            return self.answer(request, ResponseCode::INVALID_REQUEST);
        }
        let address = unit::PQA(self.regs.get(Reg::PQA, 0));
        let size = 1u64 << (12 + address.PQS());
        let head = u64::from(unit::PQH(self.regs.get(Reg::PQH, 0)).PQH()) * DESCRIPTOR;
        let tail = u64::from(unit::PQT(self.regs.get(Reg::PQT, 0)).PQT()) * DESCRIPTOR;
        let next = (tail + DESCRIPTOR) % size;
        let status = unit::PRS(self.regs.get(Reg::PRS, 0) as u32);
        if status.PRO() || next == head || tail >= size {
            self.regs.set(Reg::PRS, 0, status.with_PRO(true).0.into());
            return self.answer(request, ResponseCode::SUCCESS);
        }
        let descriptor = descriptor(request);
        let bytes: Vec<u8> = descriptor.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        let place = Hpa(address.PQA() << 12).checked_add(tail);
        if place.is_none_or(|place| view.write(place, &bytes).is_err()) {
            return self.answer(request, ResponseCode::RESPONSE_FAILURE);
        }
        self.counters.count(Event::PageRequests);
        let next = unit::PQT(0).with_PQT((next / DESCRIPTOR) as u16);
        self.regs.set(Reg::PQT, 0, next.0);
        self.regs.set(Reg::PRS, 0, status.with_PPR(true).0.into());
        if !status.PPR() {
            self.raise(&PAGE_EVENT);
        }
    }

    /// Whether the tables let the function ask for pages.
    fn admit(
        &mut self,
        view: &HostView<'_>,
        request: &PageRequest,
    ) -> Result<(), (FaultReason, bool)> {
        match self.mode {
            Mode::Scalable => {}
            Mode::Off => return Err((FaultReason::SCT_8, true)),
            Mode::Abort => return Err((FaultReason::RTA_4, false)),
            _ => return Err((FaultReason::RTA_3, false)),
        }
        let (root, supports) = (self.root, self.supports);
        let context = self.walker(view, &mut ()).scalable_context(root, request.rid, &supports)?;
        match context.next {
            Next::Directory(directory) if directory.page_requests => {}
            _ => return Err((FaultReason::SCT_8, context.fpd)),
        }
        let PageRequest { rid, pasid, addr, write, execute, privileged, .. } = *request;
        let access = Access { write, execute, privileged };
        self.path(view, &Request { rid, pasid, addr, access }, &mut ()).map(|_| ())
    }

    fn answer(&mut self, request: &PageRequest, code: ResponseCode) {
        if request.last {
            let PageRequest { rid, pasid, prgi, .. } = *request;
            self.send(Outbound::PageResponse { rid, pasid, prgi, code: code as u8 });
        }
    }
}

fn descriptor(request: &PageRequest) -> vtd::PageRequest {
    vtd::PageRequest([0; 4])
        .with_TYPE(1)
        .with_PP(request.pasid.is_some())
        .with_PASID(request.pasid.map_or(0, |pasid| pasid.0))
        .with_RID(request.rid.0)
        .with_EXR(request.execute)
        .with_PMR(request.privileged)
        .with_RD(request.read)
        .with_WR(request.write)
        .with_LPIG(request.last)
        .with_PRGI(request.prgi)
        .with_ADDR(request.addr.0 >> 12)
}
