//! A worker's part of a function's device TLB, and what it knows of the function.

use std::sync::Arc;

use siov_iommu::atc::Atc;
use siov_iommu::{DeviceInvalidation, Geometry, Permit, Rid};
use siov_mem::Hpa;

use crate::Bus;

/// What configuration space says of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub rid: Rid,
    pub bus_master: bool,
    pub ats: bool,
    pub pasid: bool,
}

/// Bytes in one piece of host memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub at: Hpa,
    pub len: usize,
}

/// What a worker holds for the length of a batch.
#[derive(Debug)]
pub(crate) struct Shard {
    pub settings: Settings,
    pub atc: Atc,
    /// That the unit lets translated requests pass, as long as it does.
    pub permit: Option<Arc<Permit>>,
    /// Number of the unit in whose scope the function is.
    pub unit: Option<usize>,
    /// Of the bus, at which `unit` was looked up; `None` when it is to be looked up again.
    generation: Option<u64>,
    /// Of the access under way; kept for its room.
    pub parts: Vec<Part>,
}

impl Shard {
    pub fn new(settings: Settings, geometry: Geometry) -> Self {
        let mut atc = Atc::new(settings.rid, geometry);
        atc.enable(settings.ats);
        Self { settings, atc, permit: None, unit: None, generation: None, parts: vec![] }
    }

    /// Takes over what configuration space says now; what was known by another requester id or before ATS
    /// was switched off is forgotten.
    pub fn set(&mut self, settings: Settings) {
        if settings.rid != self.settings.rid {
            self.atc.set_rid(settings.rid);
            self.forget();
        }
        if settings.ats != self.settings.ats {
            self.atc.enable(settings.ats);
        }
        self.settings = settings;
    }

    pub fn invalidate(&mut self, what: &DeviceInvalidation) {
        self.atc.invalidate(what);
    }

    /// Finds the unit again when the bus has changed, and lets go of a permit that was withdrawn.
    #[inline]
    pub fn refresh(&mut self, bus: &Bus) {
        let generation = bus.generation();
        if self.generation != Some(generation) {
            self.forget();
            self.unit = bus.unit_of(self.settings.rid);
            self.generation = Some(generation);
        }
        self.permit.take_if(|permit| !permit.holds());
    }

    fn forget(&mut self) {
        self.atc.clear();
        self.permit = None;
        self.generation = None;
    }
}
