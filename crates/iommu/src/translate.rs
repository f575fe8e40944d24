//! A request's way through the unit (VT-d 3.4 to 3.8): caches first, else the walk.

use siov_mem::{HostView, Hpa};
use siov_spec::vtd::FaultReason;

use crate::caches::{IotlbEntry, PasidKey, Tag, shift_of};
use crate::counters::{Event, Subject};
use crate::observe::{CacheName, Observer};
use crate::paging::{Leaf, Walk};
use crate::tables::{ContextInfo, Directory, Next, PasidInfo, Refusal, Stages};
use crate::types::{Access, Did, Fault, Pasid, Request, Rights, Translation};
use crate::unit::{Mode, Unit};

/// Where interrupt messages go: no memory is there (VT-d 3.14).
const INTERRUPT_RANGE: std::ops::RangeInclusive<u64> = 0xFEE0_0000..=0xFEEF_FFFF;

/// What stands between a request and memory, once the tables are known.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub stages: Stages,
    pub tag: Tag,
    pub fpd: bool,
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
            let fault = Fault { reason, rid, pasid, addr, access, silent };
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
        let access = self.effective_access(request);
        let Next::Directory(directory) = &self.caches.context.get(&request.rid)?.next else {
            return None;
        };
        let (pasid, privileged) = match request.pasid {
            Some(pasid) if directory.pasid_enabled => (pasid, access.privileged),
            Some(_) => return None,
            None => (directory.rid_pasid, directory.rid_privileged),
        };
        let info = self.caches.pasid.get(&PasidKey { rid: request.rid, pasid })?;
        let admitted = (!access.execute || info.execute) && (!privileged || info.supervisor);
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
        for event in [Event::ContextLookup, Event::ContextHit, Event::PasidLookup, Event::PasidHit]
        {
            self.counters.count(event);
        }
        self.counters.subject.domain = Some(tag.did);
        self.counters.count(Event::IotlbLookup);
        self.counters.count(Event::IotlbHit);
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
        let access = self.effective_access(request);
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
        let page = 1u64 << shift_of(leaf.level);
        if INTERRUPT_RANGE.contains(&leaf.addr) {
            return Err(refused(self.interrupt_range()));
        }
        let entry = IotlbEntry { base: leaf.addr & !(page - 1), rights: leaf.rights, nested };
        self.caches.keep(path.tag, addr, leaf.level, entry);
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
                Ok(legacy_path(&context))
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
        let info = self.pasid_info(view, request, directory, pasid, observer)?;
        let silent = context.fpd || info.fpd;
        let access = self.effective_access(request);
        if access.execute && !info.execute {
            return Err((FaultReason::SPT_5, silent));
        }
        let privileged = match request.pasid {
            Some(_) => access.privileged,
            None => directory.rid_privileged,
        };
        if privileged && !info.supervisor {
            return Err((FaultReason::SPT_6, silent));
        }
        if request.pasid.is_some() && INTERRUPT_RANGE.contains(&request.addr.0) {
            return Err((FaultReason::SGN_8, silent));
        }
        let tagged = matches!(info.stages, Stages::First(_) | Stages::Nested(..));
        let tag = Tag { did: info.did, pasid: tagged.then_some(pasid) };
        Ok(Path { stages: info.stages, tag, fpd: silent })
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

    fn interrupt_range(&self) -> FaultReason {
        match self.mode {
            Mode::Legacy => FaultReason::LGN_4,
            _ => FaultReason::SGN_8,
        }
    }

    /// Execute and privilege count in requests with PASID only (PCIe 6.20.2.4).
    fn effective_access(&self, request: &Request) -> Access {
        match request.pasid {
            Some(_) => request.access,
            None => Access { write: request.access.write, ..Access::READ },
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
        }
    }
}

fn legacy_path(context: &ContextInfo) -> Path {
    let (stages, did) = match context.next {
        Next::Second(stage) => (Stages::Second(stage), stage.did),
        Next::PassThrough(did) => (Stages::PassThrough, did),
        Next::Directory(_) => (Stages::PassThrough, Did(0)),
    };
    Path { stages, tag: Tag { did, pasid: None }, fpd: context.fpd }
}

/// Whether a cached translation is enough; where it is not, the walk says what is wrong, or marks pages.
fn covers(entry: &IotlbEntry, access: Access) -> bool {
    let rights = entry.rights;
    let allowed = if access.write { rights.write } else { rights.read };
    // SMEP is known only to the walk.
    let may_execute = rights.execute && (!access.privileged || rights.supervisor);
    allowed && (access.privileged || !rights.supervisor) && (!access.execute || may_execute)
}

/// The smaller page of the two, and what both allow.
fn combined(guest: Leaf, host: Leaf) -> Leaf {
    Leaf {
        addr: host.addr,
        level: guest.level.min(host.level),
        rights: Rights {
            read: guest.rights.read && host.rights.read,
            write: guest.rights.write && host.rights.write,
            execute: guest.rights.execute && host.rights.execute,
            snoop: host.rights.snoop,
            ..guest.rights
        },
    }
}

fn whole_page(addr: u64, rights: Rights) -> Translation {
    Translation { hpa: Hpa(addr), page: 4096, rights }
}
