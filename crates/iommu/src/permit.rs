//! Permits: that a function's translated requests are let through, looked up once for many of them.
//!
//! Hardware looks at the context entry of every translated request (VT-d 4.2.4). What it finds there holds
//! until software invalidates it, so a device TLB may carry the finding along, as long as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use siov_mem::HostView;

use crate::counters::{Event, Subject};
use crate::types::{Fault, Request, RequestKind, Rid};
use crate::unit::{Mode, Unit};

/// A function's translated requests are let through, until the unit withdraws the permit.
#[derive(Debug)]
pub struct Permit {
    rid: Rid,
    withdrawn: AtomicBool,
    /// Translated requests that the unit has not counted yet.
    used: AtomicU64,
}

impl Permit {
    /// Whether it still holds.
    #[inline]
    pub fn holds(&self) -> bool {
        !self.withdrawn.load(Ordering::Acquire)
    }

    /// Tells of translated requests that went by it.
    pub fn used(&self, requests: u64) {
        self.used.fetch_add(requests, Ordering::Relaxed);
    }
}

/// The permits that a unit has given.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    given: Vec<Arc<Permit>>,
    withdrawals: u64,
}

impl Unit {
    /// A permit for the function of a translated request; the fault is that of the request.
    pub fn permit(&mut self, view: &HostView<'_>, request: &Request) -> Result<Arc<Permit>, Fault> {
        self.count_translated();
        self.counters.subject = Subject { rid: request.rid, pasid: None, domain: None };
        if self.mode != Mode::Off {
            let allowed = self.device_tlb_allowed(view, request);
            allowed.map_err(|why| self.blocked(RequestKind::Translated, request, why))?;
        }
        let permit = Arc::new(Permit {
            rid: request.rid,
            withdrawn: AtomicBool::new(false),
            used: AtomicU64::new(0),
        });
        self.permits.given.push(Arc::clone(&permit));
        Ok(permit)
    }

    /// How often permits were withdrawn; functions that had one may have accesses under way by it.
    pub fn withdrawals(&self) -> u64 {
        self.permits.withdrawals
    }

    /// Counts the translated requests that went by permits, each as a request whose context was known.
    pub fn count_translated(&mut self) {
        let known = !self.caches.context.is_off();
        let counters = &mut self.counters;
        self.permits.given.retain(|permit| {
            let used = permit.used.swap(0, Ordering::Relaxed);
            counters.subject = Subject { rid: permit.rid, pasid: None, domain: None };
            counters.count_many(Event::Requests, used);
            if known {
                counters.count_many(Event::ContextLookup, used);
                counters.count_many(Event::ContextHit, used);
            }
            Arc::strong_count(permit) > 1
        });
    }

    /// Context entries may have changed: who had a permit has to ask again.
    pub(crate) fn withdraw_permits(&mut self) {
        if self.permits.given.is_empty() {
            return;
        }
        let permits = self.permits.given.iter();
        permits.for_each(|permit| permit.withdrawn.store(true, Ordering::Release));
        self.permits.withdrawals = self.permits.withdrawals.wrapping_add(1);
    }
}
