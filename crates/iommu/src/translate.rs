//! A request's way through the unit (VT-d 3.4 to 3.8): caches first, else the walk.

use siov_mem::{HostView, Hpa};
use siov_spec::vtd::FaultReason;

use crate::caches::{IotlbEntry, PasidKey, Tag, shift_of};
use crate::counters::{Event, Subject};
use crate::observe::{CacheName, Observer};
use crate::paging::{Leaf, Walk};
use crate::rights::{combined, covers};
use crate::tables::{ContextInfo, Directory, Next, PasidInfo, Refusal, Stages};
use crate::types::{Access, Did, Fault, Pasid, Request, RequestKind, Rights, Translation};
use crate::unit::{Mode, Unit};

/// Where interrupt messages go: no memory is there (VT-d 3.14).
pub(crate) const INTERRUPT_RANGE: std::ops::RangeInclusive<u64> = 0xFEE0_0000..=0xFEEF_FFFF;

/// What stands between a request and memory, once the tables are known.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub stages: Stages,
    pub tag: Tag,
    pub fpd: bool,
    /// What the request counts as.
    pub access: Access,
}

impl Unit {
    /// Translates an untranslated request, and records the fault if there is one (VT-d 3.4).
    ///
    /// An address in the interrupt range is an interrupt request when it comes without PASID; those are
    /// for [`remap`](Self::remap).
    pub fn translate(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
    ) -> Result<Translation, Fault> {
        self.translate_observed(view, request, &mut ())
    }

    /// The same, with somebody who looks on.
    pub fn translate_observed<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        self.counters.subject = Subject { rid: request.rid, pasid: request.pasid, domain: None };
        self.counters.count(Event::Requests);
        if !O::LOOKS
            && let Some(translation) = self.known(request)
        {
            return Ok(translation);
        }
        let translated = self.look_up(view, request, observer);
        translated.map_err(|(reason, silent)| {
            let Request { rid, pasid, addr, access } = *request;
            let kind = RequestKind::Untranslated;
            let fault = Fault { reason, kind, rid, pasid, addr, access, silent };
            self.report(&fault);
            fault
        })
    }

    /// The answer where every cache on the way knows it, in scalable mode; all else takes the long way.
    ///
    /// It says what the long way says, only without carrying entries from one step to the next.
    #[inline]
    fn known(&mut self, request: &Request) -> Option<Translation> {
        if self.mode != Mode::Scalable {
            return None;
        }
        let Next::Directory(directory) = &self.caches.context.get(&request.rid)?.next else {
            return None;
        };
        let pasid = match request.pasid {
            Some(_) if INTERRUPT_RANGE.contains(&request.addr.0) => return None,
            Some(pasid) if directory.pasid_enabled => pasid,
            Some(_) => return None,
            None => directory.rid_pasid,
        };
        if pasid.0 >= directory.pasids {
            return None;
        }
        let access = effective_access(request, directory.rid_privileged);
        let info = self.caches.pasid.get(&PasidKey { rid: request.rid, pasid })?;
        let admitted = (!access.execute || info.execute) && (!access.privileged || info.supervisor);
        let tagged = match info.stages {
            Stages::First(_) | Stages::Nested(..) => Some(pasid),
            Stages::Second(_) => None,
            Stages::PassThrough => return None,
        };
        let tag = Tag { did: info.did, pasid: tagged };
        let (entry, page) = self.caches.lookup(tag, request.addr.0)?;
        if !admitted || !covers(&entry, access) {
            return None;
        }
        self.counters.count_all([
            Event::ContextLookup,
            Event::ContextHit,
            Event::PasidLookup,
            Event::PasidHit,
        ]);
        // From here on the domain is known, for filters that ask for it.
        self.counters.subject.domain = Some(tag.did);
        self.counters.count_all([Event::IotlbLookup, Event::IotlbHit]);
        let hpa = Hpa(entry.base | request.addr.0 & (page - 1));
        Some(Translation { hpa, page, rights: entry.rights })
    }

    pub(crate) fn look_up<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        observer: &mut O,
    ) -> Result<Translation, Refusal> {
        let addr = request.addr.0;
        if self.mode == Mode::Off {
            return Ok(whole_page(addr, Rights::ALL));
        }
        let path = self.path(view, request, observer)?;
        self.counters.subject.domain = Some(path.tag.did);
        let access = path.access;
        let refused = |reason| (reason, path.fpd);
        if let Stages::PassThrough = path.stages {
            return self.pass_through(addr).map_err(refused);
        }
        self.counters.count(Event::IotlbLookup);
        let hit = self.caches.lookup(path.tag, addr).filter(|(entry, _)| covers(entry, access));
        observer.asked(CacheName::Iotlb, hit.is_some());
        if let Some((entry, page)) = hit {
            self.counters.count(Event::IotlbHit);
            let hpa = Hpa(entry.base | addr & (page - 1));
            return Ok(Translation { hpa, page, rights: entry.rights });
        }
        let (leaf, nested) = self.walk(view, &path, addr, access, observer).map_err(refused)?;
        if INTERRUPT_RANGE.contains(&leaf.addr) {
            return Err(refused(self.interrupt_range()));
        }
        // Of a page that has the interrupt range in it, only the part that was asked for is known to be memory.
        let page = 1u64 << shift_of(leaf.level);
        let split = touches_interrupt_range(leaf.addr, page) || touches_interrupt_range(addr, page);
        let level = if split { 1 } else { leaf.level };
        let page = 1u64 << shift_of(level);
        let entry = IotlbEntry { base: leaf.addr & !(page - 1), rights: leaf.rights, nested };
        self.caches.keep(path.tag, addr, level, entry);
        Ok(Translation { hpa: Hpa(leaf.addr), page, rights: leaf.rights })
    }

    /// From the requester and the PASID to what translates (VT-d 3.4.2, 3.4.3).
    pub(crate) fn path<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        observer: &mut O,
    ) -> Result<Path, Refusal> {
        let (root, supports) = (self.root, self.supports);
        match self.mode {
            Mode::Legacy => {
                if request.pasid.is_some() {
                    return Err((FaultReason::RTA_2, false));
                }
                let context = self.walker(view, observer).context(root, request.rid, &supports)?;
                Ok(legacy_path(&context, effective_access(request, false)))
            }
            Mode::Scalable => {
                let mut walker = self.walker(view, observer);
                let context = walker.scalable_context(root, request.rid, &supports)?;
                let Next::Directory(directory) = context.next else {
                    return Err((FaultReason::SCT_4, context.fpd));
                };
                self.scalable_path(view, request, &context, &directory, observer)
            }
            Mode::Abort => Err((FaultReason::RTA_4, false)),
            Mode::Off | Mode::Invalid => Err((FaultReason::RTA_1, false)),
        }
    }

    fn scalable_path<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        context: &ContextInfo,
        directory: &Directory,
        observer: &mut O,
    ) -> Result<Path, Refusal> {
        let refused = |reason| Err((reason, context.fpd));
        let (pasid, beyond) = match request.pasid {
            Some(_) if !directory.pasid_enabled => return refused(FaultReason::SCT_6),
            Some(pasid) => (pasid, FaultReason::SCT_7),
            None => (directory.rid_pasid, FaultReason::SCT_9),
        };
        if pasid.0 >= directory.pasids {
            return refused(beyond);
        }
        let info = self.pasid_info(view, request, directory, pasid, observer);
        let info = info.map_err(|(reason, silent)| (reason, silent || context.fpd))?;
        let silent = context.fpd || info.fpd;
        let access = effective_access(request, directory.rid_privileged);
        if access.execute && !info.execute {
            return Err((FaultReason::SPT_5, silent));
        }
        if access.privileged && !info.supervisor {
            return Err((FaultReason::SPT_6, silent));
        }
        if request.pasid.is_some() && INTERRUPT_RANGE.contains(&request.addr.0) {
            return Err((FaultReason::SGN_8, silent));
        }
        let tagged = matches!(info.stages, Stages::First(_) | Stages::Nested(..));
        let tag = Tag { did: info.did, pasid: tagged.then_some(pasid) };
        Ok(Path { stages: info.stages, tag, fpd: silent, access })
    }

    fn pasid_info<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        request: &Request,
        directory: &Directory,
        pasid: Pasid,
        observer: &mut O,
    ) -> Result<PasidInfo, Refusal> {
        let key = PasidKey { rid: request.rid, pasid };
        self.counters.count(Event::PasidLookup);
        let found = self.caches.pasid.get(&key).copied();
        observer.asked(CacheName::Pasid, found.is_some());
        if let Some(info) = found {
            self.counters.count(Event::PasidHit);
            return Ok(info);
        }
        let supports = self.supports;
        let info = self.walker(view, observer).pasid_entry(directory, pasid, &supports)?;
        self.caches.pasid.insert(key, info);
        Ok(info)
    }

    /// The page tables' answer, and whether both stages had a part in it.
    fn walk<O: Observer>(
        &mut self,
        view: &HostView<'_>,
        path: &Path,
        addr: u64,
        access: Access,
        observer: &mut O,
    ) -> Result<(Leaf, bool), FaultReason> {
        let mut walker = self.walker(view, observer);
        match path.stages {
            Stages::PassThrough => Ok((Leaf { addr, level: 1, rights: Rights::ALL }, false)),
            Stages::Second(stage) => Ok((walker.second_stage(&stage, addr, access)?, false)),
            Stages::First(stage) => Ok((walker.first_stage(&stage, None, addr, access)?, false)),
            Stages::Nested(first, second) => {
                let guest = walker.first_stage(&first, Some(&second), addr, access)?;
                let host = walker.second_stage(&second, guest.addr, access);
                let host = host.map_err(|reason| match reason {
                    FaultReason::SGN_4 => FaultReason::SGN_5,
                    other => other,
                })?;
                Ok((combined(guest, host), true))
            }
        }
    }

    fn pass_through(&self, addr: u64) -> Result<Translation, FaultReason> {
        if addr >> self.bounds.haw != 0 {
            return Err(match self.mode {
                Mode::Legacy => FaultReason::LGN_1,
                _ => FaultReason::SGN_4,
            });
        }
        Ok(whole_page(addr, Rights::ALL))
    }

    pub(crate) fn interrupt_range(&self) -> FaultReason {
        match self.mode {
            Mode::Legacy => FaultReason::LGN_4,
            _ => FaultReason::SGN_8,
        }
    }

    pub(crate) fn walker<'w, 'v, O>(
        &'w mut self,
        view: &'w HostView<'v>,
        observer: &'w mut O,
    ) -> Walk<'w, 'v, O> {
        Walk {
            view,
            caches: &mut self.caches,
            counters: &mut self.counters,
            observer,
            bounds: self.bounds,
            near: None,
        }
    }
}

/// Requests without PASID don't ask to execute (PCIe 6.20.2.4); they have the privilege of RID_PRIV.
fn effective_access(request: &Request, rid_privileged: bool) -> Access {
    match request.pasid {
        Some(_) => request.access,
        None => Access { write: request.access.write, execute: false, privileged: rid_privileged },
    }
}

/// Whether any of the page that holds an address is in the interrupt range.
fn touches_interrupt_range(addr: u64, page: u64) -> bool {
    let first = addr & !(page - 1);
    first <= *INTERRUPT_RANGE.end() && first + (page - 1) >= *INTERRUPT_RANGE.start()
}

fn legacy_path(context: &ContextInfo, access: Access) -> Path {
    let (stages, did) = match context.next {
        Next::Second(stage) => (Stages::Second(stage), stage.did),
        Next::PassThrough(did) => (Stages::PassThrough, did),
        Next::Directory(_) => (Stages::PassThrough, Did(0)),
    };
    Path { stages, tag: Tag { did, pasid: None }, fpd: context.fpd, access }
}

fn whole_page(addr: u64, rights: Rights) -> Translation {
    Translation { hpa: Hpa(addr), page: 4096, rights }
}
