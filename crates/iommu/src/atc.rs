//! The device TLB: a function's own cache of translations (PCIe 10.1; the ATC).

use siov_mem::{HostView, Hpa, Iova};

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

/// A function's device TLB. While it is disabled every request goes untranslated.
#[derive(Debug)]
pub struct Atc {
    rid: Rid,
    enabled: bool,
    cache: Cache<PageKey, Completion>,
    counters: AtcCounters,
}

impl Atc {
    /// An empty one, disabled, for a function.
    pub fn new(rid: Rid, geometry: Geometry) -> Self {
        Self { rid, enabled: false, cache: Cache::new(geometry), counters: AtcCounters::default() }
    }

    /// ATS Enable; switching off forgets everything (PCIe 10.5.1.3).
    pub fn enable(&mut self, on: bool) {
        self.enabled = on;
        if !on {
            self.cache.clear();
        }
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
    ///
    /// A page that the answer does not allow the access to ends in the fault of the untranslated request,
    /// which the unit records.
    pub fn access(
        &mut self,
        unit: &mut Unit,
        view: &HostView<'_>,
        pasid: Option<Pasid>,
        addr: Iova,
        access: Access,
    ) -> Result<Hpa, Fault> {
        let request = Request { rid: self.rid, pasid, addr, access };
        if !self.enabled {
            return unit.translate(view, &request).map(|t| t.hpa);
        }
        self.counters.lookups += 1;
        if let Some(hpa) = self.find(pasid, addr, access) {
            self.counters.hits += 1;
            return unit.translated_request(view, &Request { addr: Iova(hpa.0), ..request });
        }
        self.counters.requests += 1;
        let results = unit.translation_request(view, &request, 1, !access.write)?;
        for (n, result) in (0..).zip(&results) {
            self.keep(pasid, Iova(addr.0.saturating_add(n * result.size)), result);
        }
        match self.find(pasid, addr, access) {
            Some(hpa) => unit.translated_request(view, &Request { addr: Iova(hpa.0), ..request }),
            None => unit.translate(view, &request).map(|t| t.hpa),
        }
    }

    /// Forgets what an Invalidate Request names; when this returns, nothing goes by it any more.
    pub fn invalidate(&mut self, what: &DeviceInvalidation) {
        self.counters.invalidations += 1;
        self.cache.retain(|key, _| {
            let other = !what.global && key.tag().pasid != what.pasid;
            other || !key.meets(what.addr, what.size)
        });
    }

    fn find(&mut self, pasid: Option<Pasid>, addr: Iova, access: Access) -> Option<Hpa> {
        (1..=3).find_map(|level| {
            let found = *self.cache.get(&PageKey::new(tag(pasid), addr.0, level))?;
            let allowed = if access.write { found.w } else { found.r };
            let suits = allowed
                && !found.u
                && (!access.execute || found.execute)
                && access.privileged == found.privileged;
            suits.then(|| Hpa(found.hpa.0 | addr.0 & (found.size - 1)))
        })
    }

    fn keep(&mut self, pasid: Option<Pasid>, addr: Iova, result: &Completion) {
        let level =
            (1..=3).rev().find(|level| 1u64 << shift_of(*level) <= result.size).unwrap_or(1);
        if result.r || result.w {
            self.cache.insert(PageKey::new(tag(pasid), addr.0, level), *result);
        }
    }
}

/// A function's own translations need no domain.
fn tag(pasid: Option<Pasid>) -> Tag {
    Tag { did: Did(0), pasid }
}
