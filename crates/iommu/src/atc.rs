//! The device TLB: a function's own cache of translations (PCIe 10.1; the ATC).

use siov_mem::{HostView, Hpa, Iova};
use siov_spec::vtd::FaultReason;

use crate::ats::Completion;
use crate::cache::{Cache, Geometry};
use crate::caches::{PageKey, Tag, shift_of};
use crate::types::{Access, Did, Fault, Pasid, Request, Rid};
use crate::unit::{DeviceInvalidation, Unit};

/// What a function's device TLB has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtcCounters {
    /// Look-ups.
    pub lookups: u64,
    /// Look-ups that found what they needed.
    pub hits: u64,
    /// Translation Requests sent.
    pub requests: u64,
    /// Invalidate Requests answered.
    pub invalidations: u64,
}

/// Where a translated request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The physical address.
    pub hpa: Hpa,
    /// Bytes of the page that it is in, a power of two.
    pub page: u64,
}

/// What a Translation Completion says of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may go there.
    Translated(Place),
    /// It has to go untranslated: U of the page is set, or the function may have no device TLB.
    Untranslated,
    /// It is not allowed. An untranslated request would be no way around that, so none is sent: what is left
    /// is a Page Request (PCIe 10.2.3, 10.4). The unit records no fault of what a device may expect.
    NotPermitted,
}

/// Why an access goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The unit says so.
    Fault(Fault),
    /// The Translation Completion said so.
    NotPermitted,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A function's device TLB. While it is disabled every request goes untranslated.
#[derive(Debug)]
pub struct Atc {
    rid: Rid,
    enabled: bool,
    /// A Translation Request was unsupported: none is sent before ATS is enabled again (PCIe 10.2.3).
    unsupported: bool,
    cache: Cache<PageKey, Completion>,
    /// Which page sizes may be held, a bit a level: others are not looked for.
    sizes: u8,
    counters: AtcCounters,
}

impl Atc {
    /// An empty one, disabled, for a function.
    pub fn new(rid: Rid, geometry: Geometry) -> Self {
        Self {
            rid,
            enabled: false,
            unsupported: false,
            cache: Cache::new(geometry),
            sizes: 0,
            counters: AtcCounters::default(),
        }
    }

    /// ATS Enable; switching off forgets everything (PCIe 10.5.1.3).
    pub fn enable(&mut self, on: bool) {
        if on != self.enabled {
            self.unsupported = false;
        }
        self.enabled = on;
        if !on {
            self.clear();
        }
    }

    /// Whether requests go by it: it is enabled, and Translation Requests are supported.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.enabled && !self.unsupported
    }

    /// Sends under another requester id from now on.
    pub fn set_rid(&mut self, rid: Rid) {
        self.rid = rid;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cache.clear();
        self.sizes = 0;
    }

    /// What was counted.
    pub fn counters(&self) -> AtcCounters {
        self.counters
    }

    /// How many translations are held.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Where a DMA access goes: by the device TLB, by a Translation Request, or untranslated.
    pub fn access(
        &mut self,
        unit: &mut Unit,
        view: &HostView<'_>,
        pasid: Option<Pasid>,
        addr: Iova,
        access: Access,
    ) -> Result<Hpa, Refused> {
        let request = Request { rid: self.rid, pasid, addr, access };
        let untranslated = |unit: &mut Unit| Ok(unit.translate(view, &request)?.hpa);
        if !self.is_on() {
            return untranslated(unit);
        }
        let place = match self.find(pasid, addr, access) {
            Some(place) => place,
            None => match self.ask(unit, view, pasid, addr, access)? {
                Answer::Translated(place) => place,
                Answer::Untranslated => return untranslated(unit),
                Answer::NotPermitted => return Err(Refused::NotPermitted),
            },
        };
        let translated = Request { addr: Iova(place.hpa.0), ..request };
        Ok(unit.translated_request(view, &translated)?)
    }

    /// Looks an access up among the translations that are held.
    #[inline]
    pub fn find(&mut self, pasid: Option<Pasid>, addr: Iova, access: Access) -> Option<Place> {
        self.counters.lookups += 1;
        let found = self.held(pasid, addr, access)?;
        self.counters.hits += 1;
        Some(found)
    }

    /// Sends a Translation Request for an access, and keeps the answer; the fault is an Unsupported Request.
    pub fn ask(
        &mut self,
        unit: &mut Unit,
        view: &HostView<'_>,
        pasid: Option<Pasid>,
        addr: Iova,
        access: Access,
    ) -> Result<Answer, Fault> {
        self.counters.requests += 1;
        let request = Request { rid: self.rid, pasid, addr, access };
        let results = match unit.translation_request(view, &request, 1, !access.write) {
            Ok(results) => results,
            // A function that may have no device TLB at all goes on without (PCIe 10.2.3). Any other fault
            // is that of one address space, and must not cost those of other tenants their device TLB.
            Err(Fault { reason: FaultReason::LCT_5 | FaultReason::SCT_5, .. }) => {
                self.unsupported = true;
                self.clear();
                return Ok(Answer::Untranslated);
            }
            Err(fault) => return Err(fault),
        };
        if results.first().is_some_and(|result| result.u) {
            return Ok(Answer::Untranslated);
        }
        for (n, result) in (0..).zip(&results) {
            self.keep(pasid, Iova(addr.0.saturating_add(n * result.size)), result);
        }
        // Without room for anything the answer still is one.
        let held = results.first().and_then(|result| place(result, addr, access));
        Ok(held.map_or(Answer::NotPermitted, Answer::Translated))
    }

    /// Forgets what an Invalidate Request names; when this returns, nothing goes by it any more.
    pub fn invalidate(&mut self, what: &DeviceInvalidation) {
        self.counters.invalidations += 1;
        self.cache.retain(|key, _| {
            let other = !what.global && key.tag().pasid != what.pasid;
            other || !key.meets(what.addr, what.size)
        });
    }

    #[inline]
    fn held(&mut self, pasid: Option<Pasid>, addr: Iova, access: Access) -> Option<Place> {
        let tag = tag(pasid);
        (1..=3).filter(|level| self.sizes >> level & 1 == 1).find_map(|level| {
            let found = self.cache.get(&PageKey::new(tag, addr.0, level))?;
            place(found, addr, access)
        })
    }

    fn keep(&mut self, pasid: Option<Pasid>, addr: Iova, result: &Completion) {
        let level =
            (1..=3).rev().find(|level| 1u64 << shift_of(*level) <= result.size).unwrap_or(1);
        if result.r || result.w {
            self.sizes |= 1 << level;
            self.cache.insert(PageKey::new(tag(pasid), addr.0, level), *result);
        }
    }
}

/// Where an access goes by a result, if that allows it.
#[inline]
fn place(result: &Completion, addr: Iova, access: Access) -> Option<Place> {
    let allowed = if access.write { result.w } else { result.r };
    let suits = allowed
        && !result.u
        && (!access.execute || result.execute)
        && access.privileged == result.privileged;
    let hpa = Hpa(result.hpa.0 | addr.0 & result.size.wrapping_sub(1));
    suits.then_some(Place { hpa, page: result.size })
}

/// A function's own translations need no domain.
#[inline]
fn tag(pasid: Option<Pasid>) -> Tag {
    Tag { did: Did(0), pasid }
}
