//! What a machine's devices share: host memory, the remapping units, and the CPUs.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use siov_iommu::{DeviceInvalidation, Interrupt, Outbound, Pasid, Rid, Unit};
use siov_mem::{HostMemory, Hpa};
use siov_spec::msi::{MsiAddress, MsiData};

use crate::Mmio;
use crate::mmio::Claims;
use crate::{BusError, Claim, Cpus, Gate};

/// Remapping units of one bus: as many as the largest machines have.
const MAX_UNITS: usize = 64;

/// A function, as remapping units reach it. What is called here holds no lock of the bus's, but no other
/// thread gets through [`Bus::settle`] before it returns.
pub trait Downstream: Send + Sync {
    /// Forgets what an Invalidate Request names: when this returns, no access goes by it any more.
    fn invalidate(&self, what: &DeviceInvalidation);

    /// When this returns, every access that was under way is done.
    fn drain(&self);

    /// A Page Request Group Response.
    fn page_response(&self, pasid: Option<Pasid>, prgi: u16, code: u8) {
        let _ = (pasid, prgi, code);
    }
}

/// An Invalidate Request to a requester that nobody is attached for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Number of the unit that waits.
    pub unit: usize,
    /// What it wants forgotten.
    pub what: DeviceInvalidation,
}

/// A remapping unit on the bus.
#[derive(Debug)]
pub(crate) struct Served {
    pub unit: Arc<Gate<Unit>>,
    /// Whose requests it takes; `None` for everybody's.
    scope: RwLock<Option<HashSet<Rid>>>,
}

/// Host memory, the remapping units in front of it, the functions behind them, and the CPUs.
pub struct Bus {
    memory: Arc<HostMemory>,
    units: [OnceLock<Served>; MAX_UNITS],
    /// Goes up when units or scopes change.
    generation: AtomicU64,
    functions: Mutex<HashMap<Rid, Weak<dyn Downstream>>>,
    cpus: Cpus,
    claims: Claims,
    /// A batch has left something to deliver.
    unsettled: AtomicBool,
    /// One thread settles at a time, so that nobody returns before what it has caused is done.
    settling: Mutex<Settling>,
}

#[derive(Debug, Default)]
struct Settling {
    unanswered: Vec<Unanswered>,
    /// By unit, up to which withdrawal of permits functions were drained.
    drained: HashMap<usize, u64>,
}

impl Bus {
    /// A bus to this memory, with no unit: addresses are physical.
    pub fn new(memory: Arc<HostMemory>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            units: [const { OnceLock::new() }; MAX_UNITS],
            generation: AtomicU64::new(0),
            functions: Mutex::default(),
            cpus: Cpus::default(),
            claims: Claims::default(),
            unsettled: AtomicBool::new(false),
            settling: Mutex::default(),
        })
    }

    /// Host memory.
    pub fn memory(&self) -> &Arc<HostMemory> {
        &self.memory
    }

    /// The CPUs' side of interrupts.
    pub fn cpus(&self) -> &Cpus {
        &self.cpus
    }

    /// Which functions answer to the CPU's accesses from now on, in place of those before.
    pub fn map_mmio(&self, claims: Vec<Claim>) -> Result<(), BusError> {
        self.claims.set(claims).map_err(|claim| BusError::Overlap(claim.start.0))
    }

    /// The CPU reads registers; false where no function that was given by [`Self::map_mmio`] answers.
    pub fn mmio_read(&self, at: Hpa, data: &mut [u8]) -> bool {
        let Some((target, offset)) = self.claims.find(at, data.len()) else { return false };
        target.read(offset, data);
        true
    }

    /// The CPU writes registers; whether the function's firmware has something to do then, or `None` where no
    /// function answers.
    pub fn mmio_write(&self, at: Hpa, data: &[u8]) -> Option<bool> {
        let (target, offset) = self.claims.find(at, data.len())?;
        Some(target.write(offset, data))
    }

    /// Who answers to all of `len` bytes now, and at which offset.
    pub fn mmio_target(&self, at: Hpa, len: usize) -> Option<(Arc<dyn Mmio>, u64)> {
        self.claims.find(at, len)
    }

    /// Reads a register of 32 bits; all ones where no function answers.
    pub fn mmio_read32(&self, at: Hpa) -> u32 {
        let mut data = [0xFF; 4];
        self.mmio_read(at, &mut data);
        u32::from_le_bytes(data)
    }

    /// Writes a register of 32 bits; lost where no function answers.
    pub fn mmio_write32(&self, at: Hpa, value: u32) {
        self.mmio_write(at, &value.to_le_bytes());
    }

    /// Puts a unit in front of the requesters of a scope, `None` for all; the first that was added of those
    /// that serve a requester takes its requests. Gives the unit's number.
    pub fn add_unit(
        &self,
        unit: Arc<Gate<Unit>>,
        scope: Option<HashSet<Rid>>,
    ) -> Result<usize, BusError> {
        let mut served = Served { unit, scope: RwLock::new(scope) };
        for (number, place) in self.units.iter().enumerate() {
            match place.set(served) {
                Ok(()) => {
                    self.scopes_changed();
                    return Ok(number);
                }
                Err(back) => served = back,
            }
        }
        Err(BusError::TooManyUnits(MAX_UNITS))
    }

    /// Changes whose requests a unit takes; none is under way by the old scope when this returns.
    pub fn set_scope(&self, unit: usize, scope: Option<HashSet<Rid>>) -> Result<(), BusError> {
        let served = self.served(unit).ok_or(BusError::NoUnit(unit))?;
        *served.scope.write().unwrap_or_else(PoisonError::into_inner) = scope;
        self.scopes_changed();
        Ok(())
    }

    /// Attaches a function under its requester id, in place of who was there.
    pub fn attach(&self, rid: Rid, function: Weak<dyn Downstream>) {
        self.functions().insert(rid, function);
    }

    /// Takes a function off the bus, unless another one has its requester id by now.
    pub fn detach(&self, rid: Rid, function: &dyn Downstream) {
        let mut functions = self.functions();
        if functions.get(&rid).is_some_and(|have| std::ptr::addr_eq(have.as_ptr(), function)) {
            functions.remove(&rid);
        }
    }

    /// Takes an interrupt message: remapped by the unit of the requester's scope, if there is one.
    ///
    /// A message that a unit refuses is its fault record. Delivery modes other than fixed and logical
    /// destinations reach the destination's vector all the same.
    pub fn message(&self, rid: Rid, address: u64, data: u32) {
        let Some(served) = self.unit_of(rid).and_then(|number| self.served(number)) else {
            return self.compatible(address, data);
        };
        let remapped = {
            let view = self.memory.view();
            served.unit.batch().remap(&view, rid, address, data)
        };
        match remapped {
            Ok(Interrupt::Remapped { destination, vector, .. }) => {
                self.cpus.deliver(destination, vector);
            }
            Ok(Interrupt::Posted { notify: Some((destination, vector)), .. }) => {
                self.cpus.deliver(destination, vector);
            }
            Ok(Interrupt::Posted { notify: None, .. }) => {}
            Err(_) => self.settle(), // the fault may have its own interrupt
        }
    }

    /// Delivers what units have sent, until they send no more: their messages to CPUs, Invalidate Requests
    /// and Page Responses to functions. When this returns, no function goes by what its unit invalidated.
    pub fn settle(&self) {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        self.unsettled.store(false, Ordering::Release);
        while self.settle_once(&mut settling) {}
    }

    /// Settles if a batch has left something to deliver, such as the interrupt of a fault: for workers,
    /// after each batch.
    #[inline]
    pub fn settle_batch(&self) {
        if self.unsettled.load(Ordering::Acquire) {
            self.settle();
        }
    }

    /// Whether something waits: to be settled, or for the host's handlers.
    pub fn has_work(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) || self.cpus.counted().pending > 0
    }

    /// The Invalidate Requests since the last call that found nobody; each is to be answered with
    /// [`answer`](Self::answer) or [`time_out`](Self::time_out).
    pub fn take_unanswered(&self) -> Vec<Unanswered> {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut settling.unanswered)
    }

    /// Answers an Invalidate Request in place of the function, which has nothing to forget.
    pub fn answer(&self, unanswered: &Unanswered) {
        let Some(served) = self.served(unanswered.unit) else { return };
        let view = self.memory.view();
        let DeviceInvalidation { rid, itag, .. } = unanswered.what;
        served.unit.control().invalidation_done(&view, rid, itag);
    }

    /// Tells a unit that Invalidate Requests were not answered in time.
    pub fn time_out(&self, unit: usize) {
        if let Some(served) = self.served(unit) {
            served.unit.control().invalidation_timeout();
        }
    }

    /// The number of the unit that takes a requester's requests.
    pub(crate) fn unit_of(&self, rid: Rid) -> Option<usize> {
        let serves = |served: &Served| {
            let scope = served.scope.read().unwrap_or_else(PoisonError::into_inner);
            scope.as_ref().is_none_or(|scope| scope.contains(&rid))
        };
        self.units.iter().map_while(OnceLock::get).position(serves)
    }

    pub(crate) fn served(&self, number: usize) -> Option<&Served> {
        self.units.get(number)?.get()
    }

    pub(crate) fn has_to_settle(&self) {
        self.unsettled.store(true, Ordering::Release);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn scopes_changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        self.everybody().iter().for_each(|function| function.drain());
    }

    /// Whether anything was delivered.
    fn settle_once(&self, settling: &mut Settling) -> bool {
        let mut busy = false;
        for (number, served) in self.units.iter().map_while(OnceLock::get).enumerate() {
            let (sent, withdrawn) = {
                let mut unit = served.unit.control();
                (unit.take_outbound(), unit.withdrawals())
            };
            if settling.drained.insert(number, withdrawn) != Some(withdrawn) {
                self.everybody().iter().for_each(|function| function.drain());
            }
            busy |= !sent.is_empty();
            for what in sent {
                self.deliver(number, served, what, settling);
            }
        }
        busy
    }

    fn deliver(&self, number: usize, served: &Served, what: Outbound, settling: &mut Settling) {
        match what {
            Outbound::Message { address, data } => self.compatible(address, data),
            Outbound::Invalidate(what) => match self.function(what.rid) {
                Some(function) => {
                    function.invalidate(&what);
                    let view = self.memory.view();
                    served.unit.control().invalidation_done(&view, what.rid, what.itag);
                }
                None => settling.unanswered.push(Unanswered { unit: number, what }),
            },
            Outbound::PageResponse { rid, pasid, prgi, code } => {
                if let Some(function) = self.function(rid) {
                    function.page_response(pasid, prgi, code);
                }
            }
        }
    }

    /// A message in compatibility format; one of a unit may carry the upper bits of an x2APIC id.
    fn compatible(&self, address: u64, data: u32) {
        let low = MsiAddress(address as u32).DEST();
        let destination = (address >> 32) as u32 & !0xFF | u32::from(low);
        self.cpus.deliver(destination, MsiData(data).VECTOR());
    }

    fn function(&self, rid: Rid) -> Option<Arc<dyn Downstream>> {
        self.functions().get(&rid).and_then(Weak::upgrade)
    }

    fn everybody(&self) -> Vec<Arc<dyn Downstream>> {
        self.functions().values().filter_map(Weak::upgrade).collect()
    }

    fn functions(&self) -> MutexGuard<'_, HashMap<Rid, Weak<dyn Downstream>>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
