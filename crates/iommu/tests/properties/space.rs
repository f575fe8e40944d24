//! An address space whose tables change, and what may be seen of it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use siov_iommu::atc::Atc;
use siov_iommu::{Geometry, Pasid, Rid};
use siov_spec::vtd::{ContextEntry, ScalableContextEntry, TT};

use crate::common::rng::Rng;
use crate::common::{
    Machine, PS, RID, aw, entry_at, first_entry, fs, nested_entry, second_entry, ss,
};

/// The pages that are looked at: in three tables of the lowest level.
pub const PAGES: [u64; 7] = [0, 1, 2, 3, 512, 513, 1024];
const LEVELS: u8 = 4;
/// Where data lies: above all tables, and above the interrupt range.
const DATA: u64 = 1 << 34;
/// The guest's pages, in the space of the second stage.
const GUEST_DATA: u64 = 1 << 30;
/// What tables that nobody may look at any more lead to.
const POISON: u64 = 0xDEAD << 20;

type Pages = BTreeMap<u64, BTreeSet<u64>>;

pub struct Space {
    pub rid: Rid,
    pub pasid: Option<Pasid>,
    pub did: u16,
    pub legacy: bool,
    /// The first stage has a part in it.
    pub first: bool,
    /// The entry that leads to the tables has changed, and may be cached as it was.
    pub switched: bool,
    pub atc: Atc,
    top: u64,
    /// Top of the second stage below a first one.
    second: Option<u64>,
    small: BTreeMap<u64, u64>,
    large: BTreeMap<u64, u64>,
    /// Where guest pages are.
    guest: BTreeMap<u64, u64>,
    /// What else may be seen of a page, and of a guest page.
    old: Pages,
    old_guest: Pages,
    old_device: Pages,
    /// 2 MiB whose table has changed since its tables were invalidated.
    moved: BTreeSet<u64>,
    limbo: Vec<u64>,
    next: u64,
}

/// Two domains in legacy mode; else three PASIDs with a first stage (two in one domain, one nested), and one
/// with a second stage.
pub fn spaces(m: &mut Machine, legacy: bool) -> Vec<Space> {
    if !legacy {
        let context = ScalableContextEntry([0; 4]).with_PASIDE(true).with_DTE(true);
        m.put_scalable_context(RID, context);
    }
    let kinds = if legacy {
        vec![(0, None, 5, false, false), (1, None, 6, false, false)]
    } else {
        vec![
            (0, Some(Pasid(1)), 5, true, false),
            (0, Some(Pasid(2)), 5, true, false),
            (0, Some(Pasid(3)), 6, false, false),
            (0, Some(Pasid(4)), 7, true, true),
        ]
    };
    let made = kinds.into_iter().zip(1..).map(|((function, pasid, did, first, nested), n)| {
        let space = Space {
            rid: Rid(RID.0 + function),
            pasid,
            did,
            legacy,
            first,
            switched: false,
            atc: Atc::new(RID, Geometry::Off),
            top: m.page(),
            second: nested.then(|| m.page()),
            small: BTreeMap::new(),
            large: BTreeMap::new(),
            guest: BTreeMap::new(),
            old: Pages::new(),
            old_guest: Pages::new(),
            old_device: Pages::new(),
            moved: BTreeSet::new(),
            limbo: vec![],
            next: DATA * n,
        };
        if let Some(second) = space.second {
            // The guest's tables are where the host's are.
            for page in (0..64 << 20).step_by(2 << 20) {
                m.map(second, LEVELS, page, 2, ss(page | PS), ss);
            }
        }
        space.program(m);
        space
    });
    made.collect()
}

impl Space {
    fn program(&self, m: &mut Machine) {
        let entry = match (self.pasid, self.second) {
            (None, _) => {
                let entry = ContextEntry([0; 2])
                    .with_P(true)
                    .with_TT(TT::DEVICE_TLB as u8)
                    .with_AW(aw(LEVELS))
                    .with_SSPTPTR(self.top >> 12)
                    .with_DID(self.did);
                return m.put_context(self.rid, entry);
            }
            (_, Some(second)) => nested_entry((self.top, LEVELS), (second, LEVELS)),
            _ if self.first => first_entry(self.top, LEVELS),
            _ => second_entry(self.top, LEVELS),
        };
        m.put_pasid(self.rid, self.pasid.unwrap(), entry.with_DID(self.did));
    }

    fn entry(&self) -> fn(u64) -> u64 {
        if self.first { fs } else { ss }
    }

    /// A new place for a page: 2 MiB, of which a small page takes the first 4 KiB.
    fn fresh(&mut self, m: &mut Machine, large: bool) -> u64 {
        self.next += 2 << 20;
        let Some(second) = self.second else { return self.next };
        // A guest's page; the second stage maps it, by the same size.
        let guest = GUEST_DATA + (self.next & (DATA - 1));
        let (level, size) = if large { (2, PS) } else { (1, 0) };
        m.map(second, LEVELS, guest, level, ss(self.next | size), ss);
        self.guest.insert(guest >> 12, self.next);
        if large {
            for page in 1..512 {
                self.guest.insert((guest >> 12) + page, self.next + (page << 12));
            }
        }
        guest
    }

    fn now(&self, page: u64) -> Option<u64> {
        let large = self.large.get(&(page >> 9)).map(|at| at + ((page & 511) << 12));
        large.or(self.small.get(&page).copied())
    }

    fn keep_old(&mut self, region: u64) {
        for page in PAGES.into_iter().filter(|page| page >> 9 == region) {
            if let Some(at) = self.now(page) {
                self.old.entry(page).or_default().insert(at);
            }
        }
    }

    /// The place of the entry of level 2 for 2 MiB.
    fn level_2(&self, m: &Machine, region: u64) -> u64 {
        let mut at = self.top;
        for level in (3..=LEVELS).rev() {
            at = m.get(entry_at(at, region << 21, level)) & 0x000F_FFFF_FFFF_F000;
        }
        entry_at(at, region << 21, 2)
    }

    /// Maps a page to a new place, or unmaps it.
    pub fn set_page(&mut self, m: &mut Machine, page: u64, map: bool) {
        let region = page >> 9;
        self.keep_old(region);
        if self.large.remove(&region).is_some() {
            let at = self.level_2(m, region);
            m.put(at, &[0]);
            self.moved.insert(region);
        }
        let to = map.then(|| self.fresh(m, false));
        let entry = to.map_or(0, self.entry());
        m.map(self.top, LEVELS, page << 12, 1, entry, self.entry());
        match to {
            Some(to) => self.small.insert(page, to),
            None => self.small.remove(&page),
        };
    }

    /// Maps 2 MiB to a new place; the table that was there is not used any more.
    pub fn set_large(&mut self, m: &mut Machine, region: u64) {
        self.keep_old(region);
        let to = self.fresh(m, true);
        let at = self.level_2(m, region);
        if self.large.insert(region, to).is_none() {
            self.limbo.push(m.get(at) & !0xFFF);
            self.moved.insert(region);
        }
        self.small.retain(|page, _| page >> 9 != region);
        m.put(at, &[self.entry()(to | PS)]);
    }

    /// Another table for 2 MiB, with all pages at new places.
    pub fn move_table(&mut self, m: &mut Machine, region: u64) {
        if self.large.contains_key(&region) {
            return;
        }
        self.keep_old(region);
        let at = self.level_2(m, region);
        self.limbo.push(m.get(at) & !0xFFF);
        self.moved.insert(region);
        let table = m.page();
        for page in PAGES.into_iter().filter(|page| page >> 9 == region) {
            let to = self.fresh(m, false);
            m.put(table + (page & 511) * 8, &[self.entry()(to)]);
            self.small.insert(page, to);
        }
        m.put(at, &[self.entry()(table)]);
    }

    /// Other tables from the top on, and an entry that leads there.
    pub fn move_top(&mut self, m: &mut Machine) {
        for page in PAGES {
            self.keep_old(page >> 9);
            self.moved.insert(page >> 9);
        }
        self.limbo.push(self.top);
        self.top = m.page();
        self.small.clear();
        self.large.clear();
        self.program(m);
        self.switched = true;
        for page in PAGES {
            self.set_page(m, page, true);
        }
    }

    /// Another place for the guest's page that a page is mapped to.
    pub fn move_guest_page(&mut self, m: &mut Machine, page: u64) {
        let (Some(second), Some(guest)) = (self.second, self.small.get(&page).copied()) else {
            return;
        };
        let old = self.guest.get(&(guest >> 12)).copied().unwrap();
        self.old_guest.entry(guest >> 12).or_default().insert(old);
        self.next += 2 << 20;
        m.map(second, LEVELS, guest, 1, ss(self.next), ss);
        self.guest.insert(guest >> 12, self.next);
    }

    /// What may be seen of a page.
    pub fn allowed(&self, page: u64, by_device: bool) -> BTreeSet<u64> {
        let mut places: BTreeSet<u64> = self.old.get(&page).cloned().unwrap_or_default();
        places.extend(self.now(page));
        if self.second.is_some() {
            let guests = std::mem::take(&mut places);
            for guest in guests.iter().map(|at| at >> 12) {
                places.extend(self.guest.get(&guest));
                places.extend(self.old_guest.get(&guest).into_iter().flatten());
            }
        }
        if by_device {
            places.extend(self.old_device.get(&page).into_iter().flatten());
        }
        places
    }

    /// A page that an invalidation may be about: of the space, or of the second stage below it.
    pub fn a_page(&self, rng: &mut Rng) -> u64 {
        let guests: Vec<u64> = self.small.values().map(|at| at >> 12).collect();
        if self.second.is_some() && !guests.is_empty() && rng.percent(50) {
            rng.pick(&guests)
        } else {
            rng.pick(&PAGES)
        }
    }

    pub fn may_fault(&self, page: u64) -> bool {
        self.now(page).is_none() || self.switched || self.moved.contains(&(page >> 9))
    }

    /// All translations and tables of the domain are invalidated.
    pub fn forget_domain(&mut self, m: &Machine) {
        self.old_guest.clear();
        self.forget_pasid(m);
    }

    /// All translations and tables of the PASID are invalidated.
    pub fn forget_pasid(&mut self, m: &Machine) {
        if self.switched {
            return; // the old tables may still be walked
        }
        self.old.clear();
        self.moved.clear();
        let entry = self.entry()(POISON);
        for table in self.limbo.drain(..) {
            m.put(table, &[entry; 512]);
        }
    }

    /// Pages of the space's own addresses are invalidated; with the hint their tables are not.
    pub fn forget_pages(&mut self, covered: impl Fn(u64) -> bool, hint: bool) {
        if self.switched {
            return;
        }
        for page in PAGES.into_iter().filter(|page| covered(*page)) {
            if !hint {
                self.moved.remove(&(page >> 9));
            }
            if !self.moved.contains(&(page >> 9)) {
                self.old.remove(&page);
            }
        }
    }

    /// Pages of a second stage are invalidated.
    pub fn forget_second(&mut self, covered: impl Fn(u64) -> bool, hint: bool) {
        if self.second.is_some() {
            self.old_guest.retain(|page, _| !covered(*page));
        } else if !self.first {
            self.forget_pages(covered, hint);
        }
    }

    /// Before anything changes: what may be seen now may be in the device's TLB later.
    pub fn keep_for_device(&mut self) {
        for page in PAGES {
            let allowed = self.allowed(page, false);
            self.old_device.entry(page).or_default().extend(allowed);
        }
    }

    /// The device's TLB has been invalidated; it can only be filled with what may be seen now.
    pub fn device_forgot(&mut self, covered: impl Fn(u64) -> bool) {
        for page in PAGES.into_iter().filter(|page| covered(*page)) {
            let allowed = self.allowed(page, false);
            self.old_device.insert(page, allowed);
        }
    }
}
