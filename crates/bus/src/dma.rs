//! A batch of a worker's accesses to memory.

use std::ops::RangeInclusive;
use std::sync::{Arc, MutexGuard};

use siov_iommu::atc::{Answer, Place};
use siov_iommu::{Access, Pasid, Request, Unit};
use siov_mem::{GRANULE, HostView, Hpa, Iova, PAGE_SIZE, Perm, Region};

use crate::shard::{Part, Shard};
use crate::{Bus, DmaError, Gate};

/// Where writes without PASID are interrupt messages (VT-d 3.14).
const INTERRUPT_RANGE: RangeInclusive<u64> = 0xFEE0_0000..=0xFEEF_FFFF;

/// A worker's way up.
#[derive(Clone)]
pub struct DmaPort {
    bus: Arc<Bus>,
    shard: Arc<Gate<Shard>>,
}

impl DmaPort {
    pub(crate) fn new(bus: Arc<Bus>, shard: Arc<Gate<Shard>>) -> Self {
        Self { bus, shard }
    }

    /// Begins a batch; it ends when it is dropped. While a thread has one it calls nothing else of the bus.
    pub fn begin(&self) -> Dma<'_> {
        let mut shard = self.shard.batch();
        shard.refresh(&self.bus);
        let served = shard.unit.and_then(|number| self.bus.served(number));
        Dma {
            gate: served.map(|served| &*served.unit),
            bus: &self.bus,
            unit: None,
            translated: 0,
            view: self.bus.memory().view(),
            shard,
        }
    }
}

/// A batch: its accesses go by what was valid when it began or later, and by nothing that was invalidated
/// before.
pub struct Dma<'p> {
    /// Locked at the first need, and kept.
    unit: Option<MutexGuard<'p, Unit>>,
    view: HostView<'p>,
    shard: MutexGuard<'p, Shard>,
    /// Of the unit in whose scope the function is.
    gate: Option<&'p Gate<Unit>>,
    bus: &'p Bus,
    /// Translated requests that the unit has not counted yet.
    translated: u64,
}

impl<'p> Dma<'p> {
    /// Fills `to` from an address on.
    #[inline]
    pub fn read(&mut self, pasid: Option<Pasid>, at: Iova, to: &mut [u8]) -> Result<(), DmaError> {
        self.check(pasid)?;
        if is_in_one_page(at, to.len()) {
            let place = self.translate(pasid, at, Access::READ)?;
            let (region, offset) = region(&self.view, place)?;
            return region.read(offset, to).map_err(|_| DmaError::NoMemory);
        }
        self.resolve(pasid, at, to.len(), Access::READ)?;
        let mut rest = to;
        for part in &self.shard.parts {
            let (now, later) = rest.split_at_mut_checked(part.len).unwrap_or_default();
            self.view.read(part.at, now).map_err(|_| DmaError::NoMemory)?;
            rest = later;
        }
        Ok(())
    }

    /// Puts `from` at an address.
    #[inline]
    pub fn write(&mut self, pasid: Option<Pasid>, at: Iova, from: &[u8]) -> Result<(), DmaError> {
        self.check(pasid)?;
        if pasid.is_none() && meets_interrupt_range(at, from.len()) {
            return Err(DmaError::Interrupt);
        }
        if is_in_one_page(at, from.len()) {
            let place = self.translate(pasid, at, Access::WRITE)?;
            let (region, offset) = region(&self.view, place)?;
            return region.write(offset, from).map_err(|_| DmaError::NoMemory);
        }
        self.resolve(pasid, at, from.len(), Access::WRITE)?;
        let mut rest = from;
        for part in &self.shard.parts {
            let (now, later) = rest.split_at_checked(part.len).unwrap_or_default();
            self.view.write(part.at, now).map_err(|_| DmaError::NoMemory)?;
            rest = later;
        }
        Ok(())
    }

    /// Whether the function may send such a request at all.
    #[inline]
    fn check(&self, pasid: Option<Pasid>) -> Result<(), DmaError> {
        let settings = &self.shard.settings;
        if !settings.bus_master {
            return Err(DmaError::BusMaster);
        }
        if pasid.is_some() && !settings.pasid {
            return Err(DmaError::PasidDisabled);
        }
        Ok(())
    }

    /// Where the pieces of an access are, in `shard.parts`: all of it is translated, and memory is there.
    fn resolve(
        &mut self,
        pasid: Option<Pasid>,
        at: Iova,
        len: usize,
        access: Access,
    ) -> Result<(), DmaError> {
        self.shard.parts.clear();
        if len == 0 {
            return Ok(());
        }
        at.last_of(len as u64).ok_or(DmaError::NoMemory)?;
        let needed = if access.write { Perm::WRITE } else { Perm::READ };
        let mut done = 0;
        while done < len {
            let here = Iova(at.0 + done as u64);
            let place = self.translate(pasid, here, access)?;
            // A region has whole granules of its own, so a piece of one granule is in one region.
            let page = place.page.clamp(PAGE_SIZE, GRANULE);
            let left = page - (place.hpa.0 & (page - 1));
            let now = (len - done).min(left as usize);
            let (region, offset) = region(&self.view, place)?;
            let inside = offset.checked_add(now as u64).is_some_and(|end| end <= region.len());
            if !inside || !region.perm().allows(needed) || region.poisoned() {
                return Err(DmaError::NoMemory);
            }
            self.shard.parts.push(Part { at: place.hpa, len: now });
            done += now;
        }
        Ok(())
    }

    /// Where an address is in host memory.
    #[inline]
    fn translate(
        &mut self,
        pasid: Option<Pasid>,
        at: Iova,
        access: Access,
    ) -> Result<Place, DmaError> {
        let Some(gate) = self.gate else {
            return Ok(Place { hpa: Hpa(at.0), page: GRANULE });
        };
        let shard = &mut *self.shard;
        if !shard.atc.is_on() {
            return self.untranslated(gate, pasid, at, access);
        }
        match shard.atc.find(pasid, at, access) {
            Some(place) if shard.permit.is_some() => {
                self.translated += 1;
                Ok(place)
            }
            Some(place) => self.permitted(gate, place, access),
            None => self.ask(gate, pasid, at, access),
        }
    }
}

/// What takes the unit's lock: everything that the device TLB does not answer.
impl<'p> Dma<'p> {
    fn untranslated(
        &mut self,
        gate: &'p Gate<Unit>,
        pasid: Option<Pasid>,
        addr: Iova,
        access: Access,
    ) -> Result<Place, DmaError> {
        let request = Request { rid: self.shard.settings.rid, pasid, addr, access };
        let unit = locked(&mut self.unit, gate);
        let found = unit.translate(&self.view, &request).map_err(DmaError::Fault)?;
        Ok(Place { hpa: found.hpa, page: found.page })
    }

    #[cold]
    fn ask(
        &mut self,
        gate: &'p Gate<Unit>,
        pasid: Option<Pasid>,
        addr: Iova,
        access: Access,
    ) -> Result<Place, DmaError> {
        let unit = locked(&mut self.unit, gate);
        let answer = self.shard.atc.ask(unit, &self.view, pasid, addr, access);
        match answer.map_err(DmaError::Fault)? {
            Answer::Translated(place) if self.shard.permit.is_some() => {
                self.translated += 1;
                Ok(place)
            }
            Answer::Translated(place) => self.permitted(gate, place, access),
            Answer::Untranslated => self.untranslated(gate, pasid, addr, access),
            Answer::NotPermitted => Err(DmaError::NotPermitted),
        }
    }

    /// Has the unit look whether the function's translated requests pass; those carry no PASID.
    #[cold]
    fn permitted(
        &mut self,
        gate: &'p Gate<Unit>,
        place: Place,
        access: Access,
    ) -> Result<Place, DmaError> {
        let rid = self.shard.settings.rid;
        let request = Request { rid, pasid: None, addr: Iova(place.hpa.0), access };
        let permit = locked(&mut self.unit, gate).permit(&self.view, &request);
        self.shard.permit = Some(permit.map_err(DmaError::Fault)?);
        self.translated += 1;
        Ok(place)
    }
}

impl Drop for Dma<'_> {
    fn drop(&mut self) {
        if self.translated > 0
            && let Some(permit) = &self.shard.permit
        {
            permit.used(self.translated);
        }
        if self.unit.as_ref().is_some_and(|unit| unit.has_outbound()) {
            self.bus.has_to_settle();
        }
    }
}

/// The unit, locked for the rest of the batch.
fn locked<'u, 'p>(
    unit: &'u mut Option<MutexGuard<'p, Unit>>,
    gate: &'p Gate<Unit>,
) -> &'u mut Unit {
    unit.get_or_insert_with(|| gate.batch())
}

/// The region that a physical address is in, and where in it.
#[inline]
fn region<'v>(view: &'v HostView<'_>, place: Place) -> Result<(&'v Region, u64), DmaError> {
    let (base, region) = view.region_at(place.hpa).ok_or(DmaError::NoMemory)?;
    Ok((region, place.hpa.0.wrapping_sub(base.0)))
}

#[inline]
fn is_in_one_page(at: Iova, len: usize) -> bool {
    let left = PAGE_SIZE - (at.0 & (PAGE_SIZE - 1));
    len as u64 <= left && len != 0
}

#[inline]
fn meets_interrupt_range(at: Iova, len: usize) -> bool {
    at.0 <= *INTERRUPT_RANGE.end() && at.0.saturating_add(len as u64) > *INTERRUPT_RANGE.start()
}
