//! Random tables: paths that lead somewhere, and all that a guest can get wrong on the way.

use siov_iommu::{Access, Config, Geometries, Geometry, PartitionBy, Pasid, Replacement};
use siov_spec::vtd::{ContextEntry, FaultReason, PasidTableEntry, ScalableContextEntry, TTM};

use crate::common::reference::{First, Page, Reference, Second};
use crate::common::rng::Rng;
use crate::common::{
    DID, HOLE, MEMORY, Machine, PASID, PS, RID, aw, first_entry, nested_entry, second_entry,
};

/// Which tables a world has; numbers are levels.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Legacy(u32),
    First(u32),
    Second(u32),
    Nested(u32, u32),
}

pub struct World {
    pub machine: Machine,
    pub reference: Reference,
    shape: Shape,
    first: First,
    second: Second,
    rid_privileged: bool,
}

/// A request of the device.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub pasid: Option<Pasid>,
    pub addr: u64,
    pub access: Access,
}

// Tables of each stage lie side by side; guest-physical addresses of the first stage's are the host's, if
// the second stage maps them as it starts out.
const FIRST_POOL: u64 = 0x20_0000;
const FIRST_PAGES: u64 = 12;
const SECOND_POOL: u64 = 0x40_0000;
const SECOND_PAGES: u64 = 12;
const SLOTS: [u64; 4] = [0, 1, 256, 511];
const HAW: u32 = 46;

impl World {
    pub fn new(shape: Shape, seed: u64) -> (Self, Rng) {
        let mut rng = Rng::new(seed);
        let config = Config { haw: HAW, caches: geometries(&mut rng), ..Config::default() };
        let first_levels = match shape {
            Shape::First(levels) | Shape::Nested(levels, _) => levels,
            _ => 4,
        };
        let second_levels = match shape {
            Shape::Legacy(levels) | Shape::Second(levels) | Shape::Nested(_, levels) => levels,
            Shape::First(_) => 4,
        };
        let mut some = || rng.percent(50);
        let first = First {
            root: FIRST_POOL,
            levels: first_levels,
            wpe: some(),
            smep: some(),
            nxe: some(),
            eafe: some(),
        };
        let legacy = matches!(shape, Shape::Legacy(_));
        let second = Second {
            root: if rng.percent(97) { SECOND_POOL } else { HOLE },
            levels: second_levels,
            legacy,
            ssade: !legacy && rng.percent(50),
            ssee: !legacy && rng.percent(50),
        };
        let rid_privileged = rng.percent(50);
        let machine = Machine::on(&config, if legacy { TTM::LEGACY } else { TTM::SCALABLE });
        let reference = Reference { words: Default::default(), memory: MEMORY, haw: HAW };
        let mut world = Self { machine, reference, shape, first, second, rid_privileged };
        world.program();
        world.fill(&mut rng);
        (world, rng)
    }

    /// The entries that lead to the stages.
    fn program(&mut self) {
        let (first, second) = (&self.first, &self.second);
        let (first_levels, second_levels) = (first.levels as u8, second.levels as u8);
        if let Shape::Legacy(_) = self.shape {
            let entry = ContextEntry([0; 2])
                .with_P(true)
                .with_AW(aw(second_levels))
                .with_SSPTPTR(second.root >> 12)
                .with_DID(DID);
            return self.machine.put_context(RID, entry);
        }
        let entry = match self.shape {
            Shape::Second(_) => second_entry(second.root, second_levels),
            Shape::Nested(..) => {
                nested_entry((first.root, first_levels), (second.root, second_levels))
            }
            _ => first_entry(first.root, first_levels),
        };
        let entry: PasidTableEntry = entry
            .with_SRE(true)
            .with_ERE(true)
            .with_WPE(first.wpe)
            .with_SMEP(first.smep)
            .with_NXE(first.nxe)
            .with_EAFE(first.eafe)
            .with_SSADE(second.ssade)
            .with_SSEE(second.ssee);
        let context =
            ScalableContextEntry([0; 4]).with_PASIDE(true).with_RID_PRIV(self.rid_privileged);
        self.machine.put_scalable_context(RID, context);
        self.machine.put_pasid(RID, PASID, entry);
    }

    fn fill(&mut self, rng: &mut Rng) {
        for page in 0..FIRST_PAGES {
            for slot in SLOTS {
                let entry = first_stage_entry(rng, self.first.nxe);
                self.put(FIRST_POOL + (page << 12) + slot * 8, entry);
            }
        }
        for page in 0..SECOND_PAGES {
            for slot in SLOTS {
                self.put(SECOND_POOL + (page << 12) + slot * 8, second_stage_entry(rng));
            }
        }
        // A way from the second stage's root to the first stage's tables, not always a whole one.
        let levels = u64::from(self.second.levels);
        for n in 0..levels - 1 {
            let slot = if n + 2 == levels { 1 } else { 0 };
            let (from, to) = (SECOND_POOL + (n << 12), SECOND_POOL + ((n + 1) << 12));
            if rng.percent(98) {
                self.put(from + slot * 8, 7 | to);
            }
        }
        let last = SECOND_POOL + ((levels - 1) << 12);
        for n in 0..FIRST_PAGES {
            let rights = if rng.percent(93) { 7 } else { rng.below(8) };
            let marks = rng.below(4) << 8;
            self.put(last + n * 8, rights | marks | (FIRST_POOL + (n << 12)));
        }
    }

    fn put(&mut self, at: u64, word: u64) {
        self.machine.put(at, &[word]);
        self.reference.words.insert(at, word);
    }

    /// A request that has a chance of getting through.
    pub fn ask(&self, rng: &mut Rng) -> Ask {
        let (levels, signed) = match self.shape {
            Shape::Legacy(levels) | Shape::Second(levels) => (levels, false),
            Shape::First(levels) | Shape::Nested(levels, _) => (levels, true),
        };
        let with_pasid = !matches!(self.shape, Shape::Legacy(_)) && rng.percent(85);
        let width = 12 + 9 * levels;
        let mut addr = rng.below(4096);
        for level in 0..levels {
            addr |= rng.pick(&SLOTS) << (12 + 9 * level);
        }
        if signed && addr >> (width - 1) & 1 == 1 {
            addr |= u64::MAX << (width - 1);
        }
        if rng.percent(4) {
            addr ^= 1 << (width - 1 + rng.below(u64::from(65 - width)) as u32).min(63);
        }
        if with_pasid && rng.percent(3) {
            addr = rng.pick(&[0xFEE0_0000, 0xFEEF_FFFF, 0xFEF0_0000, 0xFEDF_F000]);
        }
        let access = Access {
            write: rng.percent(40),
            execute: rng.percent(20),
            privileged: rng.percent(40),
        };
        let access = Access { execute: access.execute && !access.write, ..access };
        Ask { pasid: with_pasid.then_some(PASID), addr, access }
    }

    pub fn by_unit(&mut self, ask: &Ask) -> Result<Page, FaultReason> {
        let done = self.machine.access(RID, ask.pasid, ask.addr, ask.access);
        done.map(|t| Page { addr: t.hpa.0, bytes: t.page }).map_err(|fault| fault.reason)
    }

    pub fn by_reference(&mut self, ask: &Ask) -> Result<Page, FaultReason> {
        let access = match ask.pasid {
            Some(_) => ask.access,
            None => {
                Access { write: ask.access.write, execute: false, privileged: self.rid_privileged }
            }
        };
        if ask.pasid.is_some() && (0xFEE0_0000..0xFEF0_0000).contains(&ask.addr) {
            return Err(FaultReason::SGN_8);
        }
        let (reference, first, second) = (&mut self.reference, &self.first, &self.second);
        match self.shape {
            Shape::Legacy(_) | Shape::Second(_) => reference.second_only(second, ask.addr, access),
            Shape::First(_) => reference.first_only(first, ask.addr, access),
            Shape::Nested(..) => reference.nested(first, second, ask.addr, access),
        }
    }

    /// A word of memory that is not as the reference left it.
    pub fn difference(&self) -> Option<(u64, u64, u64)> {
        let words = self.reference.words.iter();
        let mut compared = words.map(|(at, word)| (*at, self.machine.get(*at), *word));
        compared.find(|(_, unit, reference)| unit != reference)
    }
}

pub fn geometries(rng: &mut Rng) -> Geometries {
    let mut one = || match rng.below(5) {
        0 => Geometry::Off,
        1 => Geometry::Infinite,
        2 => Geometry::full(1 + rng.below(3) as u32),
        3 => Geometry::sets(16, 4),
        _ => Geometry::Sets {
            sets: 4,
            ways: 2,
            replacement: rng.pick(&[
                Replacement::Lru,
                Replacement::Plru,
                Replacement::Lfu,
                Replacement::Fifo,
                Replacement::Random,
            ]),
            partitions: 2,
            by: rng.pick(&[PartitionBy::Domain, PartitionBy::Pasid]),
        },
    };
    Geometries {
        context: one(),
        pasid: one(),
        iotlb: one(),
        first: one(),
        second: one(),
        interrupt: one(),
    }
}

/// Where an entry leads, with PS if it is of a large page.
fn target(rng: &mut Rng, pool: u64, pages: u64, other: u64) -> u64 {
    match rng.below(100) {
        0..70 => pool + (rng.below(pages) << 12),
        70..73 => other + (rng.below(pages) << 12),
        73..75 => rng.below(1 << (HAW - 12)) << 12,
        // Addresses that a second stage with entries in SLOTS may know.
        75..82 => (0..3).map(|level| rng.pick(&SLOTS) << (12 + 9 * level)).sum(),
        82..86 => PS | rng.below(1 << (HAW - 21)) << 21,
        86..91 => PS | rng.below(1 << (HAW - 30)) << 30,
        91..93 => 0xFEE0_0000 | rng.below(0x180) << 12,
        93..94 => PS | 0xFEE0_0000,
        94..96 => PS | 0xC000_0000,
        96..97 => HOLE,
        97..98 => 1 << (HAW as u64 + rng.below(6)),
        _ => PS | (pool + (rng.below(pages) << 12)),
    }
}

fn first_stage_entry(rng: &mut Rng, nxe: bool) -> u64 {
    let mut entry = target(rng, FIRST_POOL, FIRST_PAGES, SECOND_POOL);
    for (n, share) in [(0, 97), (1, 85), (2, 85), (3, 50), (4, 50), (5, 50), (6, 50), (8, 30)] {
        entry |= u64::from(rng.percent(share)) << n;
    }
    entry |= u64::from(rng.percent(50)) << 10;
    entry |= u64::from(rng.percent(50)) << 11;
    entry |= u64::from(rng.percent(50)) << 55;
    entry | u64::from(rng.percent(if nxe { 15 } else { 2 })) << 63
}

fn second_stage_entry(rng: &mut Rng) -> u64 {
    let mut entry = target(rng, SECOND_POOL, SECOND_PAGES, FIRST_POOL);
    for (n, share) in [(0, 92), (1, 88), (2, 85), (3, 50), (6, 50), (8, 50), (9, 50), (10, 50)] {
        entry |= u64::from(rng.percent(share)) << n;
    }
    entry |= u64::from(rng.percent(2)) << 11;
    entry |= u64::from(rng.percent(50)) << 60;
    entry |= u64::from(rng.percent(2)) << 62;
    entry | u64::from(rng.percent(50)) << 63
}
