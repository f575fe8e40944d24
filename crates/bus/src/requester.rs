//! One function's interface to the bus.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use siov_iommu::atc::AtcCounters;
use siov_iommu::{DeviceInvalidation, Geometry, Pasid, Rid};

use crate::shard::{Settings, Shard};
use crate::{Bus, DmaPort, Downstream, Gate};

/// Who takes page responses.
type PageResponses = Box<dyn Fn(Option<Pasid>, u16, u8) + Send + Sync>;

/// What a function's workers have counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The device TLB's counters.
    pub atc: AtcCounters,
    /// Translations that the device TLB holds.
    pub held: u64,
}

/// A function's way up: its requester id, what configuration space allows it, and its device TLB, in a shard
/// for each worker. It is attached to the bus under its requester id as long as it lives.
///
/// When a `set_` method returns, no access by the old setting is under way.
pub struct Requester {
    bus: Arc<Bus>,
    geometry: Geometry,
    inner: Mutex<Inner>,
    page_responses: Mutex<Option<PageResponses>>,
}

#[derive(Debug, Default)]
struct Inner {
    settings: Settings,
    shards: Vec<Weak<Gate<Shard>>>,
}

impl Requester {
    /// A function with everything disabled, as after reset; every shard of its device TLB has this geometry.
    pub fn new(bus: Arc<Bus>, rid: Rid, geometry: Geometry) -> Arc<Self> {
        let settings = Settings { rid, ..Settings::default() };
        let inner = Mutex::new(Inner { settings, shards: vec![] });
        let requester = Arc::new(Self { bus, geometry, inner, page_responses: Mutex::default() });
        requester.attach(rid);
        requester
    }

    /// The bus.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The requester id: bus number of the last configuration write, device and function (PCIe 2.2.6.2).
    pub fn rid(&self) -> Rid {
        self.inner().settings.rid
    }

    /// Another requester id, with nothing known of what the one before could reach.
    pub fn set_rid(self: &Arc<Self>, rid: Rid) {
        let old = self.rid();
        if old != rid {
            self.bus.detach(old, &**self);
            self.attach(rid);
            self.set(|settings| settings.rid = rid);
        }
    }

    /// Bus Master Enable: whether the function may send requests.
    pub fn set_bus_master(&self, on: bool) {
        self.set(|settings| settings.bus_master = on);
    }

    /// ATS Enable (PCIe 10.5.1.3); switching off forgets all translations.
    pub fn set_ats(&self, on: bool) {
        self.set(|settings| settings.ats = on);
    }

    /// PASID Enable (PCIe 7.8.8.3).
    pub fn set_pasid(&self, on: bool) {
        self.set(|settings| settings.pasid = on);
    }

    /// Has page responses given to somebody; they come with no lock held but while the bus settles.
    pub fn on_page_response(&self, take: PageResponses) {
        *self.page_responses.lock().unwrap_or_else(PoisonError::into_inner) = Some(take);
    }

    /// A worker's way up, with its own shard of the device TLB.
    pub fn port(&self) -> DmaPort {
        let mut inner = self.inner();
        let shard = Arc::new(Gate::new(Shard::new(inner.settings, self.geometry)));
        inner.shards.retain(|shard| shard.strong_count() > 0);
        inner.shards.push(Arc::downgrade(&shard));
        DmaPort::new(Arc::clone(&self.bus), shard)
    }

    /// An interrupt message of the function; without Bus Master Enable it is not sent.
    pub fn message(&self, address: u64, data: u32) {
        let Settings { rid, bus_master, .. } = self.inner().settings;
        if bus_master {
            self.bus.message(rid, address, data);
        }
    }

    /// What all workers together have counted.
    pub fn traffic(&self) -> Traffic {
        let mut sum = Traffic::default();
        for shard in self.shards() {
            let shard = shard.control();
            let counted = shard.atc.counters();
            sum.atc.lookups += counted.lookups;
            sum.atc.hits += counted.hits;
            sum.atc.requests += counted.requests;
            sum.atc.invalidations += counted.invalidations;
            sum.held += shard.atc.len() as u64;
        }
        sum
    }

    fn attach(self: &Arc<Self>, rid: Rid) {
        let this: Weak<dyn Downstream> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Downstream>));
        self.bus.attach(rid, this);
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut inner = self.inner();
        change(&mut inner.settings);
        let shards = inner.shards.iter().filter_map(Weak::upgrade);
        shards.for_each(|shard| shard.control().set(inner.settings));
    }

    fn shards(&self) -> Vec<Arc<Gate<Shard>>> {
        self.inner().shards.iter().filter_map(Weak::upgrade).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Downstream for Requester {
    fn invalidate(&self, what: &DeviceInvalidation) {
        self.shards().iter().for_each(|shard| shard.control().invalidate(what));
    }

    fn drain(&self) {
        self.shards().iter().for_each(|shard| drop(shard.control()));
    }

    fn page_response(&self, pasid: Option<Pasid>, prgi: u16, code: u8) {
        let responses = self.page_responses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(take) = &*responses {
            take(pasid, prgi, code);
        }
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        self.bus.detach(self.rid(), self);
    }
}
