//! Paging structures of both stages, and the two nested (VT-d 3.6 to 3.8, 9.7, 9.8).

use siov_mem::{HostView, Hpa, Region};
use siov_spec::vtd::{FaultReason, FsPage4K, FsTableEntry, SsPage4K, SsTableEntry};

use crate::bounds::Bounds;
use crate::caches::{Caches, IotlbEntry, PageKey, Tag, shift_of};
use crate::counters::{Counters, Event};
use crate::observe::{CacheName, Observer, Step, Table};
use crate::rights::{allows, check_first};
use crate::types::{Access, Did, Pasid, Rights};

/// A second-stage structure, as the entry that leads to it describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondStage {
    /// The top-level table.
    pub root: u64,
    /// 3, 4 or 5.
    pub levels: u8,
    /// Tags what is cached of it.
    pub did: Did,
    /// Accessed and dirty bits are kept (SSADE).
    pub ad: bool,
    /// X counts (SSEE).
    pub execute: bool,
    /// Faults are those of scalable mode.
    pub scalable: bool,
}

/// A first-stage structure; with a second stage its addresses are guest-physical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstStage {
    /// The top-level table.
    pub root: u64,
    /// 4 or 5.
    pub levels: u8,
    /// Tags what is cached of it.
    pub did: Did,
    /// Tags what is cached of it.
    pub pasid: Pasid,
    /// Privileged writes need R/W too (WPE).
    pub wpe: bool,
    /// Privileged requests must not execute what users may (SMEP).
    pub smep: bool,
    /// XD forbids to execute; else it is reserved (NXE).
    pub nxe: bool,
    /// Extended accessed bits are kept (EAFE).
    pub eafe: bool,
}

/// What a stage makes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The address in the next space.
    pub addr: u64,
    /// Level of the page: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB.
    pub level: u8,
    /// What may be done there; writing only once the page is marked dirty.
    pub rights: Rights,
}

/// A table on the way, and the entries above it put together: a right is there if all of them have its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    table: u64,
    level: u8,
    all: u64,
}

/// What a walk works with.
pub(crate) struct Walk<'w, 'v, O> {
    pub view: &'w HostView<'v>,
    pub caches: &'w mut Caches,
    pub counters: &'w mut Counters,
    pub observer: &'w mut O,
    pub bounds: Bounds,
    /// The memory that was read last, and where it begins: the next entry is likely to be there too.
    pub near: Option<(u64, &'w Region)>,
}

/// The reasons that differ between legacy and scalable mode.
struct Reasons {
    beyond: FaultReason,
    root: FaultReason,
    read: FaultReason,
    reserved: FaultReason,
    no_write: FaultReason,
    no_read: FaultReason,
}

const LEGACY: Reasons = Reasons {
    beyond: FaultReason::LGN_1,
    root: FaultReason::LCT_4,
    read: FaultReason::LSS_1,
    reserved: FaultReason::LSS_2,
    no_write: FaultReason::LGN_2,
    no_read: FaultReason::LGN_3,
};

const SCALABLE: Reasons = Reasons {
    beyond: FaultReason::SGN_4,
    root: FaultReason::SSS_4,
    read: FaultReason::SSS_1,
    reserved: FaultReason::SSS_3,
    no_write: FaultReason::SGN_6,
    no_read: FaultReason::SGN_7,
};

const EXECUTE_DISABLE: u64 = FsTableEntry(0).with_XD(true).0;

impl<O: Observer> Walk<'_, '_, O> {
    /// Translates through a second stage (VT-d 3.7): an IOVA, or a guest-physical address.
    pub fn second_stage(
        &mut self,
        stage: &SecondStage,
        addr: u64,
        access: Access,
    ) -> Result<Leaf, FaultReason> {
        let reasons = if stage.scalable { &SCALABLE } else { &LEGACY };
        if addr >> shift_of(stage.levels + 1) != 0 {
            return Err(reasons.beyond);
        }
        let tag = Tag { did: stage.did, pasid: None };
        let top = Position { table: stage.root, level: stage.levels, all: u64::MAX };
        let mut at = self.known(Stage::Second, tag, addr, stage.levels).unwrap_or(top);
        loop {
            let place = entry_at(at, addr);
            let unreadable = if at.level == stage.levels { reasons.root } else { reasons.read };
            let raw = self.load(Table::SecondStage(at.level), place, unreadable)?;
            let entry = SsTableEntry(raw);
            if !(entry.R() || entry.W() || (stage.execute && entry.X())) {
                return Err(match stage.scalable {
                    true => FaultReason::SSS_2,
                    false if access.write => FaultReason::LGN_2,
                    false => FaultReason::LGN_3,
                });
            }
            let leaf = at.level == 1
                || (entry.PS() && (2..=self.bounds.second_page_level).contains(&at.level));
            if raw & self.bounds.reserved_second(at.level, leaf) != 0 {
                return Err(reasons.reserved);
            }
            let all = at.all & raw;
            if !leaf {
                let marks = SsPage4K(0).with_A(true).0;
                if stage.ad && !self.mark(place, raw, marks, FaultReason::SSS_6)? {
                    continue;
                }
                at = Position { table: entry.ADDR() << 12, level: at.level - 1, all };
                self.learn(Stage::Second, tag, addr, at);
                continue;
            }
            let all = SsTableEntry(all);
            let mut rights = Rights {
                read: all.R(),
                write: all.W(),
                execute: all.X() || !stage.execute,
                snoop: SsPage4K(raw).SNP(),
                ..Rights::default()
            };
            if access.write && !rights.write {
                return Err(reasons.no_write);
            }
            if !access.write && !rights.read {
                return Err(reasons.no_read);
            }
            if access.execute && !rights.execute {
                return Err(FaultReason::SGN_3);
            }
            if stage.ad {
                let marks = SsPage4K(0).with_A(true).with_D(access.write).0;
                if !self.mark(place, raw, marks, FaultReason::SSS_6)? {
                    continue;
                }
                rights.write &= SsPage4K(raw | marks).D();
            }
            return Ok(leaf_of(raw, addr, at.level, rights));
        }
    }

    /// Translates through a first stage (VT-d 3.6), nested in a second one if there is one (VT-d 3.8).
    pub fn first_stage(
        &mut self,
        stage: &FirstStage,
        second: Option<&SecondStage>,
        addr: u64,
        access: Access,
    ) -> Result<Leaf, FaultReason> {
        if !is_canonical(addr, stage.levels) {
            return Err(FaultReason::SGN_1);
        }
        let tag = Tag { did: stage.did, pasid: Some(stage.pasid) };
        let top = Position { table: stage.root, level: stage.levels, all: u64::MAX };
        let mut at = self.known(Stage::First, tag, addr, stage.levels).unwrap_or(top);
        loop {
            let guest_place = entry_at(at, addr);
            let root = at.level == stage.levels;
            let (place, writable) = self.table_place(second, guest_place, root)?;
            let unreadable = if root { FaultReason::SFS_4 } else { FaultReason::SFS_1 };
            let raw = self.load(Table::FirstStage(at.level), place, unreadable)?;
            let entry = FsTableEntry(raw);
            if !entry.P() {
                return Err(FaultReason::SFS_2);
            }
            let leaf = at.level == 1
                || (entry.PS() && (2..=self.bounds.first_page_level).contains(&at.level));
            if raw & self.bounds.reserved_first(at.level, leaf, stage.nxe, second.is_some()) != 0 {
                return Err(FaultReason::SFS_3);
            }
            // XD takes a right away, so it is put together the other way round.
            let together = at.all & (raw ^ EXECUTE_DISABLE);
            let all = FsTableEntry(together ^ EXECUTE_DISABLE);
            let mut rights = Rights {
                read: true,
                write: all.RW(),
                execute: !(stage.nxe && all.XD()),
                supervisor: !all.US(),
                ..Rights::default()
            };
            if leaf {
                check_first(stage, rights, access)?;
            }
            let marks = FsPage4K(0).with_A(true).with_EA(stage.eafe).with_D(leaf && access.write);
            if raw & marks.0 != marks.0 && !writable {
                // The second stage has to allow the update, and to note it (VT-d 3.8.1).
                self.table_writable(second, guest_place)?;
            }
            if !self.mark(place, raw, marks.0, FaultReason::SFS_10)? {
                continue;
            }
            if leaf {
                rights.write &= FsPage4K(raw | marks.0).D();
                rights.global = FsPage4K(raw).G();
                return Ok(leaf_of(raw, addr, at.level, rights));
            }
            at = Position { table: entry.ADDR() << 12, level: at.level - 1, all: together };
            self.learn(Stage::First, tag, addr, at);
        }
    }

    /// Where a first-stage entry is in host memory, and whether the second stage lets it be changed.
    fn table_place(
        &mut self,
        second: Option<&SecondStage>,
        addr: u64,
        root: bool,
    ) -> Result<(u64, bool), FaultReason> {
        let Some(stage) = second else { return Ok((addr, true)) };
        let refused = if root { FaultReason::SFS_6 } else { FaultReason::SFS_7 };
        let leaf = self.guest_table(stage, addr, Access::READ, refused)?;
        Ok((leaf.addr, leaf.rights.write))
    }

    fn table_writable(
        &mut self,
        second: Option<&SecondStage>,
        addr: u64,
    ) -> Result<(), FaultReason> {
        let Some(stage) = second else { return Ok(()) };
        self.guest_table(stage, addr, Access::WRITE, FaultReason::SFS_8).map(|_| ())
    }

    /// A first-stage entry's own address through the second stage, by way of the IOTLB.
    fn guest_table(
        &mut self,
        stage: &SecondStage,
        addr: u64,
        access: Access,
        refused: FaultReason,
    ) -> Result<Leaf, FaultReason> {
        let tag = Tag { did: stage.did, pasid: None };
        if let Some((entry, page)) = self.caches.lookup(tag, addr)
            && allows(entry.rights, access)
        {
            let leaf =
                Leaf { addr: entry.base | addr & (page - 1), level: 1, rights: entry.rights };
            return Ok(leaf);
        }
        let leaf = self.second_stage(stage, addr, access).map_err(|reason| match reason {
            FaultReason::SGN_4 => FaultReason::SFS_5,
            FaultReason::SGN_6 | FaultReason::SGN_7 => refused,
            other => other,
        })?;
        let base = leaf.addr & !((1 << shift_of(leaf.level)) - 1);
        let entry = IotlbEntry { base, rights: leaf.rights, nested: false };
        self.caches.keep(tag, addr, leaf.level, entry);
        Ok(leaf)
    }

    #[inline(always)] // once for every entry of a walk
    fn load(&mut self, table: Table, at: u64, unreadable: FaultReason) -> Result<u64, FaultReason> {
        self.counters.count(Event::MemoryReads);
        let raw = self.word(at).ok_or(unreadable)?;
        let index = (at >> 3 & 0x1FF) as u32;
        self.observer.step(Step { table, index, at: Hpa(at), raw: &[raw] });
        Ok(raw)
    }

    #[inline(always)]
    fn word(&mut self, at: u64) -> Option<u64> {
        if let Some((base, region)) = self.near
            && let Ok(raw) = region.load_u64(at.wrapping_sub(base))
        {
            return Some(raw);
        }
        let (base, region) = self.view.region_at(Hpa(at))?;
        self.near = Some((base.0, region));
        region.load_u64(at.wrapping_sub(base.0)).ok()
    }

    /// Sets bits of an entry, unless somebody has changed it since it was read: then it has to be read again.
    fn mark(
        &mut self,
        at: u64,
        raw: u64,
        marks: u64,
        failed: FaultReason,
    ) -> Result<bool, FaultReason> {
        if raw & marks == marks {
            return Ok(true);
        }
        let now = self.view.compare_exchange_u64(Hpa(at), raw, raw | marks).map_err(|_| failed)?;
        Ok(now == raw | marks)
    }

    fn known(&mut self, stage: Stage, tag: Tag, addr: u64, levels: u8) -> Option<Position> {
        let (cache, lookup, hit) = match stage {
            Stage::First => (&mut self.caches.first, Event::FsNonleafLookup, Event::FsNonleafHit),
            Stage::Second => (&mut self.caches.second, Event::SsNonleafLookup, Event::SsNonleafHit),
        };
        self.counters.count(lookup);
        if cache.is_off() {
            self.observer.asked(stage.cache(levels), false);
            return None;
        }
        // The lower the table that is known, the less is left to read.
        let found =
            (1..levels).find_map(|level| cache.get(&structure_key(tag, addr, level)).copied());
        if found.is_some() {
            self.counters.count(hit);
        }
        let level = found.map_or(levels, |position| position.level);
        self.observer.asked(stage.cache(level), found.is_some());
        found
    }

    #[inline(always)]
    fn learn(&mut self, stage: Stage, tag: Tag, addr: u64, position: Position) {
        let cache = match stage {
            Stage::First => &mut self.caches.first,
            Stage::Second => &mut self.caches.second,
        };
        if !cache.is_off() {
            cache.insert(structure_key(tag, addr, position.level), position);
        }
    }
}

/// Which stage a paging-structure cache is of.
#[derive(Clone, Copy)]
enum Stage {
    First,
    Second,
}

impl Stage {
    fn cache(self, level: u8) -> CacheName {
        match self {
            Self::First => CacheName::FirstStage(level),
            Self::Second => CacheName::SecondStage(level),
        }
    }
}

/// A table of a level serves all addresses that an entry one level up covers.
fn structure_key(tag: Tag, addr: u64, level: u8) -> PageKey {
    PageKey::new(tag, addr, level + 1)
}

fn entry_at(at: Position, addr: u64) -> u64 {
    at.table | (addr >> shift_of(at.level) & 0x1FF) << 3
}

fn leaf_of(raw: u64, addr: u64, level: u8, rights: Rights) -> Leaf {
    let offset = (1u64 << shift_of(level)) - 1;
    let base = raw & 0x000F_FFFF_FFFF_F000 & !offset;
    Leaf { addr: base | addr & offset, level, rights }
}

fn is_canonical(addr: u64, levels: u8) -> bool {
    let sign = shift_of(levels + 1) - 1;
    let top = addr as i64 >> sign;
    top == 0 || top == -1
}
