//! What the unit counts, under the names of Linux's VT-d perfmon events, and who may be left out.

use crate::types::{Did, Pasid, Rid};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// All events.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// The event's name in Linux.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

events! {
    /// Requests that came in.
    Requests = "iommu_requests",
    /// Translated requests and translation requests that were refused.
    AtsBlocked = "ats_blocked",
    /// Reads of memory by the unit itself.
    MemoryReads = "iommu_mrds",
    /// Page requests put into the queue.
    PageRequests = "pg_req_posted",
    /// Look-ups in the context-cache.
    ContextLookup = "ctxt_cache_lookup",
    /// Hits in the context-cache.
    ContextHit = "ctxt_cache_hit",
    /// Look-ups in the PASID-cache.
    PasidLookup = "pasid_cache_lookup",
    /// Hits in the PASID-cache.
    PasidHit = "pasid_cache_hit",
    /// Look-ups in the second-stage paging-structure caches.
    SsNonleafLookup = "ss_nonleaf_lookup",
    /// Hits in the second-stage paging-structure caches.
    SsNonleafHit = "ss_nonleaf_hit",
    /// Look-ups in the first-stage paging-structure caches.
    FsNonleafLookup = "fs_nonleaf_lookup",
    /// Hits in the first-stage paging-structure caches.
    FsNonleafHit = "fs_nonleaf_hit",
    /// Look-ups in the IOTLB.
    IotlbLookup = "iotlb_lookup",
    /// Hits in the IOTLB.
    IotlbHit = "iotlb_hit",
    /// Look-ups in the interrupt entry cache.
    IntLookup = "int_cache_lookup",
    /// Hits on an entry for a remapped interrupt.
    IntHitNonposted = "int_cache_hit_nonposted",
    /// Hits on an entry for a posted interrupt.
    IntHitPosted = "int_cache_hit_posted",
}

const EVENTS: usize = Event::ALL.len();

/// Which requests a filtered set of counters counts; what is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this requester.
    pub rid: Option<Rid>,
    /// Only in this domain.
    pub domain: Option<Did>,
    /// Only with this PASID.
    pub pasid: Option<Pasid>,
}

/// Who a request is from, as far as the unit knows yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject {
    pub rid: Rid,
    pub pasid: Option<Pasid>,
    pub domain: Option<Did>,
}

impl Filter {
    fn admits(&self, subject: &Subject) -> bool {
        self.rid.is_none_or(|rid| rid == subject.rid)
            && self.pasid.is_none_or(|pasid| subject.pasid == Some(pasid))
            && self.domain.is_none_or(|domain| subject.domain == Some(domain))
    }
}

/// The counters: one for every event, and as many filtered sets as were asked for.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    totals: [u64; EVENTS],
    filtered: Vec<(Filter, [u64; EVENTS])>,
    pub(crate) subject: Subject,
}

impl Counters {
    #[inline]
    pub(crate) fn count(&mut self, event: Event) {
        bump(&mut self.totals, event);
        if !self.filtered.is_empty() {
            self.count_filtered(event);
        }
    }

    /// Counts several events of the same request.
    #[inline]
    pub(crate) fn count_all<const N: usize>(&mut self, events: [Event; N]) {
        for event in events {
            bump(&mut self.totals, event);
        }
        if !self.filtered.is_empty() {
            events.into_iter().for_each(|event| self.count_filtered(event));
        }
    }

    /// Counts an event that happened `times`.
    pub(crate) fn count_many(&mut self, event: Event, times: u64) {
        add(&mut self.totals, event, times);
        for (filter, counts) in &mut self.filtered {
            if filter.admits(&self.subject) {
                add(counts, event, times);
            }
        }
    }

    #[cold]
    fn count_filtered(&mut self, event: Event) {
        for (filter, counts) in &mut self.filtered {
            if filter.admits(&self.subject) {
                bump(counts, event);
            }
        }
    }

    /// How often an event happened since the unit was made.
    pub fn get(&self, event: Event) -> u64 {
        self.totals.get(event as usize).copied().unwrap_or(0)
    }

    /// Every event's name and count.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Event::ALL.iter().map(|event| (event.name(), self.get(*event)))
    }

    /// Counts from now on what a filter admits; gives the number to ask for it with.
    ///
    /// Events that happen before the domain is known (the context-cache's, the PASID-cache's) are not of
    /// any domain.
    pub fn add_filter(&mut self, filter: Filter) -> usize {
        self.filtered.push((filter, [0; EVENTS]));
        self.filtered.len() - 1
    }

    /// Every event's name and count among what a filter admitted; nothing for an unknown number.
    pub fn filtered(&self, number: usize) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.filtered.get(number).map(|(_, counts)| counts);
        let each = move |event: &Event| {
            (event.name(), counts.and_then(|c| c.get(*event as usize)).copied().unwrap_or(0))
        };
        Event::ALL.iter().map(each)
    }
}

#[inline]
fn bump(counts: &mut [u64; EVENTS], event: Event) {
    add(counts, event, 1);
}

#[inline]
fn add(counts: &mut [u64; EVENTS], event: Event, times: u64) {
    if let Some(count) = counts.get_mut(event as usize) {
        *count += times;
    }
}
