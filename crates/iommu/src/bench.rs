//! How fast the unit translates, on one core: hits in the IOTLB, and cold walks.
//!
//! Seconds are those of the thread's processor time, so that others on the machine do not count.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use siov_mem::{HostMemory, HostView, Hpa, Iova, PAGE_SIZE, Region};
use siov_spec::vtd::{
    AW, ContextEntry, FsTableEntry, PGTT, PasidDirectoryEntry, PasidTableEntry, RootEntry,
    ScalableContextEntry, ScalableRootEntry, SsTableEntry, TTM, unit,
};

use crate::{Access, Config, Event, Geometries, Geometry, Pasid, Request, Rid, Unit};

/// What one measurement found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Translations a second that the IOTLB knows.
    pub hits_per_s: f64,
    /// Nested walks of four levels in four levels a second, with no translation or table cached.
    pub nested_walks_per_s: f64,
    /// Memory reads of each of these walks.
    pub nested_reads_per_walk: f64,
    /// Legacy walks of four levels a second, with no translation or table cached.
    pub legacy_walks_per_s: f64,
}

const RID: Rid = Rid(0x3B00);
const PASID: Pasid = Pasid(17);
const DID: u16 = 5;

/// Pages that the measurement goes through: fewer than the IOTLB holds.
const PAGES: u64 = 256;

/// Makes `count` translations of each kind.
pub fn translate(count: u64) -> Option<Rates> {
    let memory = HostMemory::new(1 << 30);
    memory.place(Hpa(0), Arc::new(Region::anonymous(64 << 20).ok()?)).ok()?;
    let mut builder = Builder { view: memory.view(), free: 1 << 20 };
    let scalable = builder.scalable()?;
    let legacy = builder.legacy()?;
    drop(builder);

    let mut hits = start(&memory, Geometries::default(), scalable, TTM::SCALABLE);
    let nested = Some(PASID);
    run(&mut hits, &memory, nested, PAGES)?; // the first round fills the caches
    let hits_per_s = run(&mut hits, &memory, nested, count)?;

    let cold = Geometries {
        iotlb: Geometry::Off,
        first: Geometry::Off,
        second: Geometry::Off,
        ..Geometries::default()
    };
    let mut walks = start(&memory, cold, scalable, TTM::SCALABLE);
    run(&mut walks, &memory, nested, PAGES)?;
    let before = walks.counters().get(Event::MemoryReads);
    let nested_walks_per_s = run(&mut walks, &memory, nested, count)?;
    let reads = walks.counters().get(Event::MemoryReads) - before;

    let mut misses = start(&memory, cold, legacy, TTM::LEGACY);
    run(&mut misses, &memory, None, PAGES)?;
    let legacy_walks_per_s = run(&mut misses, &memory, None, count)?;
    Some(Rates {
        hits_per_s,
        nested_walks_per_s,
        nested_reads_per_walk: reads as f64 / count as f64,
        legacy_walks_per_s,
    })
}

/// A unit that software has set up through its registers.
fn start(memory: &HostMemory, caches: Geometries, root: u64, mode: TTM) -> Unit {
    let mut unit = Unit::new(&Config { caches, ..Config::default() });
    let rtaddr = unit::RTADDR(0).with_RTA(root >> 12).with_TTM(mode as u8);
    unit.mmio_write(&memory.view(), unit::RTADDR::AT, &rtaddr.0.to_le_bytes());
    let command = unit::GCMD(0).with_SRTP(true);
    unit.mmio_write(&memory.view(), unit::GCMD::AT, &command.0.to_le_bytes());
    let command = unit::GCMD(0).with_TE(true);
    unit.mmio_write(&memory.view(), unit::GCMD::AT, &command.0.to_le_bytes());
    unit
}

/// Translations a second; `None` if one failed.
fn run(unit: &mut Unit, memory: &HostMemory, pasid: Option<Pasid>, count: u64) -> Option<f64> {
    let view = memory.view();
    let began = processor_time();
    let mut sum = 0;
    for n in 0..count {
        // A stride that is prime to the number of pages visits them all, not in order.
        let addr = Iova((n * 101 % PAGES) * PAGE_SIZE + 0x40);
        let request = Request { rid: RID, pasid, addr, access: Access::READ };
        sum ^= unit.translate(&view, &request).ok()?.hpa.0;
    }
    std::hint::black_box(sum);
    Some(count as f64 / (processor_time() - began).as_secs_f64())
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Writes tables into memory, one page after the other.
struct Builder<'v> {
    view: HostView<'v>,
    free: u64,
}

impl Builder<'_> {
    fn page(&mut self) -> u64 {
        let page = self.free;
        self.free += PAGE_SIZE;
        page
    }

    fn put(&self, at: u64, words: &[u64]) -> Option<()> {
        for (n, word) in (0..).zip(words) {
            self.view.store_u64(Hpa(at + 8 * n), *word).ok()?;
        }
        Some(())
    }

    /// Four levels whose lowest ones map the first pages of the space, by `entry(address, is a page)`.
    fn structure(&mut self, pages: u64, entry: impl Fn(u64) -> u64) -> Option<u64> {
        let root = self.page();
        let mut table = root;
        for _ in 0..3 {
            let next = self.page();
            self.put(table, &[entry(next)])?;
            table = next;
        }
        for n in 0..pages {
            let page = self.page();
            self.put(table + 8 * n, &[entry(page)])?;
        }
        Some(root)
    }

    fn legacy(&mut self) -> Option<u64> {
        let second = self.structure(PAGES, second_entry)?;
        let (root, contexts) = (self.page(), self.page());
        self.put(
            root + u64::from(RID.bus()) * 16,
            &RootEntry([0; 2]).with_P(true).with_CTP(contexts >> 12).0,
        )?;
        let context = ContextEntry([0; 2])
            .with_P(true)
            .with_SSPTPTR(second >> 12)
            .with_AW(AW::LEVELS_4 as u8)
            .with_DID(DID);
        self.put(contexts + u64::from(RID.devfn()) * 16, &context.0)?;
        Some(root)
    }

    fn scalable(&mut self) -> Option<u64> {
        // The guest's tables are in its own memory, which the second stage maps one to one.
        let first = self.structure(PAGES, first_entry)?;
        let second = self.identity()?;
        let (root, contexts) = (self.page(), self.page());
        let (directory, pasids) = (self.page(), self.page());
        let entry = ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(contexts >> 12);
        self.put(root + u64::from(RID.bus()) * 16, &entry.0)?;
        let entry = ScalableContextEntry([0; 4])
            .with_P(true)
            .with_PASIDE(true)
            .with_PASIDDIRPTR(directory >> 12);
        self.put(contexts + u64::from(RID.devfn()) * 32, &entry.0)?;
        let entry = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(pasids >> 12);
        self.put(directory + u64::from(PASID.0 >> 6) * 8, &[entry.0])?;
        let entry = PasidTableEntry([0; 8])
            .with_P(true)
            .with_PGTT(PGTT::NESTED as u8)
            .with_AW(AW::LEVELS_4 as u8)
            .with_SSPTPTR(second >> 12)
            .with_FSPTPTR(first >> 12)
            .with_DID(DID);
        self.put(pasids + u64::from(PASID.0 & 63) * 64, &entry.0)?;
        Some(root)
    }

    /// A second stage of 4 KiB pages that maps the memory in use to itself.
    fn identity(&mut self) -> Option<u64> {
        let (root, level3, level2) = (self.page(), self.page(), self.page());
        self.put(root, &[second_entry(level3)])?;
        self.put(level3, &[second_entry(level2)])?;
        for n in 0..16 {
            let table = self.page();
            self.put(level2 + 8 * n, &[second_entry(table)])?;
            for index in 0..512 {
                let page = (n * 512 + index) * PAGE_SIZE;
                self.put(table + 8 * index, &[second_entry(page)])?;
            }
        }
        Some(root)
    }
}

fn second_entry(at: u64) -> u64 {
    SsTableEntry(0).with_R(true).with_W(true).with_ADDR(at >> 12).0
}

fn first_entry(at: u64) -> u64 {
    FsTableEntry(0).with_P(true).with_RW(true).with_US(true).with_A(true).with_ADDR(at >> 12).0
}
