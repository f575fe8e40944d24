//! The flow director: exact-match filters on fields of packets, programmed by descriptor and training packet.
//!
//! Which profile makes the key is decided by the VSI and the packet's type, for a training packet as for a
//! received one; PROF of the descriptor does not choose (the `ice` driver always writes 1). When several profiles
//! of a VSI fit, the lowest number counts. Filters have addresses below [`MAX_FLOWS`], as the write-back has 14
//! bits for one. Space is counted as `GLQF_FD_CNT`, `PFQF_FD_CNT` and `VSIQF_FD_CNT` show it. An add of a key that
//! is there changes what its filter does; the filter keeps its address and the space it was counted in.

use std::collections::HashMap;

use siov_packet::{L4, Parsed};

use crate::hash::Seed;
use crate::profile::{Key, Profile};
use crate::program::{Addr, FdSpace, FlowError, Pcmd, Program};
use crate::types::{VSIS, VsiId};

/// How many filters there are at most.
pub const MAX_FLOWS: u16 = 16_384;

/// How many profiles there are.
pub const MAX_PROFILES: u8 = 128;

/// Sizes or counts of the two spaces, as `GLQF_FD_SIZE`, `PFQF_FD_SIZE` and `VSIQF_FD_SIZE` hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Filters of a VSI's own.
    pub guaranteed: u16,
    /// Filters of everybody.
    pub best_effort: u16,
}

impl Space {
    /// As the registers show it: guaranteed low, best effort high.
    pub fn word(self) -> u32 {
        u32::from(self.guaranteed) | u32::from(self.best_effort) << 16
    }

    fn of(&mut self, space: InSpace) -> &mut u16 {
        match space {
            InSpace::Guaranteed => &mut self.guaranteed,
            InSpace::BestEffort => &mut self.best_effort,
        }
    }
}

/// The space that a filter is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InSpace {
    /// The VSI's own.
    Guaranteed,
    /// Everybody's.
    BestEffort,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its address.
    pub addr: Addr,
    /// What to do with packets, as it was programmed last.
    pub program: Program,
    /// Where it is counted.
    pub space: InSpace,
    /// Tells it from an earlier or later filter at the same address.
    pub stamp: u32,
    key: Key,
}

impl Filter {
    /// The profile that made its key.
    pub fn profile(&self) -> u8 {
        self.key.profile
    }

    /// Whether a packet that it matched ends its connection, so that [`FlowTable::evict`] is due.
    pub fn evicts_on(&self, frame: &[u8], parsed: &Parsed) -> bool {
        let layer = parsed.innermost();
        let flags = frame.get(usize::from(layer.l4_offset) + 13).copied().unwrap_or(0);
        self.program.evict && layer.l4 == L4::Tcp && flags & (TCP_FIN | TCP_RST) != 0
    }
}

const TCP_FIN: u8 = 1;
const TCP_RST: u8 = 4;

/// All filters of a device with one function.
#[derive(Clone, Debug)]
pub struct FlowTable {
    enabled: bool,
    profiles: Vec<Option<Profile>>,
    /// The profiles of each VSI and of each packet type, a bit each.
    of_vsi: Vec<u128>,
    of_ptype: Vec<u128>,
    filters: Vec<Option<Filter>>,
    free: Vec<u16>,
    index: HashMap<Key, Addr, Seed>,
    size: Space,
    pf_size: Space,
    count: Space,
    vsi_size: Vec<Space>,
    vsi_count: Vec<Space>,
    stamp: u32,
}

impl FlowTable {
    /// An empty one, on, with the device's sizes ([`MAX_FLOWS`] together at most) and a random seed. Every VSI's
    /// quota is 0.
    pub fn new(size: Space, seed: u64) -> Self {
        let guaranteed = size.guaranteed.min(MAX_FLOWS);
        let best_effort = size.best_effort.min(MAX_FLOWS - guaranteed);
        let size = Space { guaranteed, best_effort };
        Self {
            enabled: true,
            profiles: vec![None; usize::from(MAX_PROFILES)],
            of_vsi: vec![0; usize::from(VSIS)],
            of_ptype: vec![0; 256],
            filters: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_hasher(Seed::new(seed)),
            size,
            pf_size: size,
            count: Space::default(),
            vsi_size: vec![Space::default(); usize::from(VSIS)],
            vsi_count: vec![Space::default(); usize::from(VSIS)],
            stamp: 0,
        }
    }

    /// `PFQF_FD_ENA`: off, nothing matches and nothing can be programmed; filters stay.
    pub fn set_enabled(&mut self, on: bool) {
        self.enabled = on;
    }

    /// Sets a profile, or with `None` takes it away. Filters that a profile of other fields made go with it;
    /// whether there is a profile of that number.
    pub fn set_profile(&mut self, number: u8, profile: Option<Profile>) -> bool {
        let Some(slot) = self.profiles.get_mut(usize::from(number)) else { return false };
        let same = slot.as_ref().map(|old| &old.fields) == profile.as_ref().map(|new| &new.fields);
        *slot = profile.clone();
        if !same {
            self.retain(|filter| filter.profile() != number);
        }
        for (number_of, mask) in (0u16..).zip(&mut self.of_vsi) {
            let vsi = VsiId::new(number_of);
            let on = profile.as_ref().zip(vsi).is_some_and(|(new, vsi)| new.vsis.contains(vsi));
            *mask = *mask & !(1 << number) | u128::from(on) << number;
        }
        for (ptype, mask) in (0u8..=255).zip(&mut self.of_ptype) {
            let on = profile.as_ref().is_some_and(|new| new.ptypes.contains(ptype));
            *mask = *mask & !(1 << number) | u128::from(on) << number;
        }
        true
    }

    /// Lets a VSI use a profile, or no more; then the filters that it made for the VSI go. Whether there is such a
    /// profile.
    pub fn set_profile_vsi(&mut self, number: u8, vsi: VsiId, on: bool) -> bool {
        let slot = self.profiles.get_mut(usize::from(number)).and_then(Option::as_mut);
        let (Some(profile), Some(mask)) = (slot, self.of_vsi.get_mut(vsi.index())) else {
            return false;
        };
        *mask = *mask & !(1 << number) | u128::from(on) << number;
        if on {
            profile.vsis.insert(vsi);
        } else if profile.vsis.remove(vsi) {
            let (of, vsi) = (number, vsi.number());
            self.retain(|filter| filter.profile() != of || filter.key.vsi != vsi);
        }
        true
    }

    /// A profile by its number.
    pub fn profile(&self, number: u8) -> Option<&Profile> {
        self.profiles.get(usize::from(number)).and_then(Option::as_ref)
    }

    /// Does what a program descriptor says, with its training packet; the filter's address for the write-back.
    ///
    /// # Errors
    /// [`FlowError`], which the write-back reports as FAIL, or FAIL and FAIL_PROF.
    pub fn program(
        &mut self,
        program: &Program,
        frame: &[u8],
        parsed: &Parsed,
    ) -> Result<Addr, FlowError> {
        if !self.enabled {
            return Err(FlowError::Disabled);
        }
        let vsi = VsiId::new(program.fd_vsi).ok_or(FlowError::NoVsi)?;
        let (number, profile) = self.fitting(vsi, parsed).ok_or(FlowError::NoProfile)?;
        let key = Key::new(vsi.number(), number, profile, frame, parsed, program.swap);
        let key = key.ok_or(FlowError::NoKey)?;
        match program.pcmd {
            Pcmd::Add => self.add(vsi, key, program),
            Pcmd::Remove => {
                let addr = self.index.get(&key).copied().ok_or(FlowError::Missing)?;
                self.take(addr);
                Ok(addr)
            }
        }
    }

    /// The filter of a VSI that a packet matches.
    pub fn find(&self, vsi: VsiId, frame: &[u8], parsed: &Parsed) -> Option<&Filter> {
        if !self.enabled || self.vsi_count(vsi) == Space::default() {
            return None;
        }
        let (number, profile) = self.fitting(vsi, parsed)?;
        let key = Key::new(vsi.number(), number, profile, frame, parsed, false)?;
        self.filter(*self.index.get(&key)?)
    }

    /// A filter by its address.
    pub fn filter(&self, addr: Addr) -> Option<&Filter> {
        self.filters.get(usize::from(addr.0)).and_then(Option::as_ref)
    }

    /// All filters in the order of their addresses.
    pub fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.filters.iter().flatten()
    }

    /// Removes a filter whose connection ended, unless it was programmed anew since ([`Filter::stamp`]); whether
    /// it did.
    pub fn evict(&mut self, addr: Addr, stamp: u32) -> bool {
        let there = self.filter(addr).is_some_and(|filter| filter.stamp == stamp);
        if there {
            self.take(addr);
        }
        there
    }

    /// Removes a VSI's filters, as its reset does; profiles and quota stay.
    pub fn clear_vsi(&mut self, vsi: VsiId) {
        self.retain(|filter| filter.key.vsi != vsi.number());
    }

    /// Removes all filters; profiles and quotas stay.
    pub fn clear(&mut self) {
        self.retain(|_| false);
    }

    /// The device's sizes: `GLQF_FD_SIZE`.
    pub fn size(&self) -> Space {
        self.size
    }

    /// What is in use: `GLQF_FD_CNT`, and with one function `PFQF_FD_CNT`.
    pub fn count(&self) -> Space {
        self.count
    }

    /// The function's quota: `PFQF_FD_SIZE`; the device's sizes until set.
    pub fn pf_size(&self) -> Space {
        self.pf_size
    }

    /// Sets the function's quota. Filters beyond it stay.
    pub fn set_pf_size(&mut self, size: Space) {
        self.pf_size = size;
    }

    /// A VSI's quota: `VSIQF_FD_SIZE`.
    pub fn vsi_size(&self, vsi: VsiId) -> Space {
        self.vsi_size.get(vsi.index()).copied().unwrap_or_default()
    }

    /// Sets a VSI's quota. Filters beyond it stay.
    pub fn set_vsi_size(&mut self, vsi: VsiId, size: Space) {
        if let Some(slot) = self.vsi_size.get_mut(vsi.index()) {
            *slot = size;
        }
    }

    /// What a VSI uses: `VSIQF_FD_CNT`.
    pub fn vsi_count(&self, vsi: VsiId) -> Space {
        self.vsi_count.get(vsi.index()).copied().unwrap_or_default()
    }

    /// The profile that makes a packet's key for a VSI.
    fn fitting(&self, vsi: VsiId, parsed: &Parsed) -> Option<(u8, &Profile)> {
        let of_vsi = self.of_vsi.get(vsi.index())?;
        let fit = of_vsi & self.of_ptype.get(usize::from(parsed.ptype))?;
        let number = (fit != 0).then(|| fit.trailing_zeros() as u8)?;
        Some((number, self.profile(number)?))
    }

    fn add(&mut self, vsi: VsiId, key: Key, program: &Program) -> Result<Addr, FlowError> {
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        if let Some(addr) = self.index.get(&key).copied() {
            let filter = self.filters.get_mut(usize::from(addr.0)).and_then(Option::as_mut);
            if let Some(filter) = filter {
                (filter.program, filter.stamp) = (*program, stamp);
            }
            return Ok(addr);
        }
        let space = self.room(vsi, program.fd_space).ok_or(FlowError::NoRoom)?;
        let addr = self.free.pop().unwrap_or(self.filters.len() as u16);
        let filter = Filter { addr: Addr(addr), program: *program, space, stamp, key };
        match self.filters.get_mut(usize::from(addr)) {
            Some(slot) => *slot = Some(filter),
            None => self.filters.push(Some(filter)),
        }
        self.index.insert(key, Addr(addr));
        self.recount(vsi, space, 1);
        Ok(Addr(addr))
    }

    /// The space that has room for one more filter of a VSI.
    fn room(&self, vsi: VsiId, fd_space: FdSpace) -> Option<InSpace> {
        let order: &[InSpace] = match fd_space {
            FdSpace::Guaranteed => &[InSpace::Guaranteed],
            FdSpace::BestEffort => &[InSpace::BestEffort],
            FdSpace::GuaranteedThenBestEffort => &[InSpace::Guaranteed, InSpace::BestEffort],
            FdSpace::BestEffortThenGuaranteed => &[InSpace::BestEffort, InSpace::Guaranteed],
        };
        let limits = [
            (self.count, self.size),
            (self.count, self.pf_size),
            (self.vsi_count(vsi), self.vsi_size(vsi)),
        ];
        let fits = |space: InSpace| {
            limits.into_iter().all(|(mut count, mut size)| *count.of(space) < *size.of(space))
        };
        order.iter().copied().find(|space| fits(*space))
    }

    fn recount(&mut self, vsi: VsiId, space: InSpace, by: i16) {
        let of_vsi = self.vsi_count.get_mut(vsi.index());
        for count in of_vsi.into_iter().chain([&mut self.count]) {
            let count = count.of(space);
            *count = count.saturating_add_signed(by);
        }
    }

    fn take(&mut self, addr: Addr) {
        let Some(filter) = self.filters.get_mut(usize::from(addr.0)).and_then(Option::take) else {
            return;
        };
        self.index.remove(&filter.key);
        self.free.push(addr.0);
        if let Some(vsi) = VsiId::new(filter.key.vsi) {
            self.recount(vsi, filter.space, -1);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Filter) -> bool) {
        let gone: Vec<Addr> =
            self.filters().filter(|filter| !keep(filter)).map(|filter| filter.addr).collect();
        gone.into_iter().for_each(|addr| self.take(addr));
    }
}
