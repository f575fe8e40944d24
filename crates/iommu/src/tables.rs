//! From a requester id and a PASID to the stages that translate (VT-d 3.4, 9.1 to 9.6).

use siov_mem::Hpa;
use siov_spec::vtd::{
    AW, ContextEntry, FSPM, FaultReason, PGTT, PasidDirectoryEntry, PasidTableEntry, RootEntry,
    ScalableContextEntry, ScalableRootEntry, TT,
};

use crate::counters::Event;
use crate::observe::{CacheName, Observer, Step, Table};
use crate::paging::{FirstStage, SecondStage, Walk};
use crate::types::{Did, Pasid, Rid};

/// What the unit supports of what tables can ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supports {
    /// Levels of the second stage, bit n for n + 2 (CAP.SAGAW).
    pub sagaw: u8,
    pub pass_through: bool,
    pub five_level: bool,
    pub nested: bool,
    pub ssad: bool,
    pub device_tlb: bool,
    pub extended_accessed: bool,
}

/// A context entry, as far as translation needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    /// Faults are not to be recorded.
    pub fpd: bool,
    /// The function may have a device TLB.
    pub device_tlb: bool,
    /// What follows.
    pub next: Next,
}

/// What a context entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Legacy mode: addresses are host-physical.
    PassThrough(Did),
    /// Legacy mode: a second stage.
    Second(SecondStage),
    /// Scalable mode: a PASID directory.
    Directory(Directory),
}

/// A PASID directory, and how a function uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub at: u64,
    /// One more than the highest PASID in it.
    pub pasids: u32,
    /// The PASID of requests without one.
    pub rid_pasid: Pasid,
    /// Those are privileged.
    pub rid_privileged: bool,
    /// Requests with PASID are let in.
    pub pasid_enabled: bool,
    /// Page requests are let in.
    pub page_requests: bool,
}

/// A PASID table entry, as far as translation needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasidInfo {
    /// Faults are not to be recorded.
    pub fpd: bool,
    /// The domain.
    pub did: Did,
    /// Requests with privilege are let in.
    pub supervisor: bool,
    /// Requests for execute permission are let in.
    pub execute: bool,
    /// What translates.
    pub stages: Stages,
}

/// What translates the requests of a PASID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Nothing: addresses are host-physical.
    PassThrough,
    /// A first stage.
    First(FirstStage),
    /// A second stage.
    Second(SecondStage),
    /// A first stage, whose addresses go through a second one.
    Nested(FirstStage, SecondStage),
}

/// A fault on the way through the tables, and whether an entry read until then says to be silent.
pub(crate) type Refusal = (FaultReason, bool);

fn loud(reason: FaultReason) -> Refusal {
    (reason, false)
}

impl<O: Observer> Walk<'_, '_, O> {
    /// The context entry of a requester in legacy mode (VT-d 3.4.2), by way of the context-cache.
    pub fn context(
        &mut self,
        root: u64,
        rid: Rid,
        supports: &Supports,
    ) -> Result<ContextInfo, Refusal> {
        if let Some(info) = self.cached_context(rid) {
            return Ok(info);
        }
        let at = root + u64::from(rid.bus()) * 16;
        let entry = RootEntry(self.words(Table::Root, rid.bus(), at, FaultReason::LRT_1)?);
        if !entry.P() {
            return Err(loud(FaultReason::LRT_2));
        }
        if self.reserved(&entry.0, &RootEntry::RSVD, entry.CTP() << 12) {
            return Err(loud(FaultReason::LRT_3));
        }
        let at = (entry.CTP() << 12) + u64::from(rid.devfn()) * 16;
        let raw = self.words(Table::Context, rid.devfn(), at, FaultReason::LCT_1)?;
        let entry = ContextEntry(raw);
        let silent = entry.FPD();
        if !entry.P() {
            return Err((FaultReason::LCT_2, silent));
        }
        let tt = TT::from_raw(entry.TT().into());
        let root = if tt == Some(TT::PASS_THROUGH) { 0 } else { entry.SSPTPTR() << 12 };
        if self.reserved(&raw, &ContextEntry::RSVD, root) {
            return Err((FaultReason::LCT_3, silent));
        }
        let invalid = (FaultReason::LCT_4, silent);
        let did = Did(entry.DID());
        let tt = tt.ok_or(invalid)?;
        let next = if tt == TT::PASS_THROUGH {
            if !supports.pass_through {
                return Err(invalid);
            }
            Next::PassThrough(did)
        } else {
            let levels = levels_of(entry.AW(), supports).ok_or(invalid)?;
            if tt == TT::DEVICE_TLB && !supports.device_tlb {
                return Err(invalid);
            }
            Next::Second(SecondStage {
                root,
                levels,
                did,
                ad: false,
                execute: false,
                scalable: false,
            })
        };
        let info = ContextInfo { fpd: silent, device_tlb: tt == TT::DEVICE_TLB, next };
        self.caches.context.insert(rid, info);
        Ok(info)
    }

    /// The context entry of a requester in scalable mode (VT-d 3.4.3), by way of the context-cache.
    pub fn scalable_context(
        &mut self,
        root: u64,
        rid: Rid,
        supports: &Supports,
    ) -> Result<ContextInfo, Refusal> {
        if let Some(info) = self.cached_context(rid) {
            return Ok(info);
        }
        let at = root + u64::from(rid.bus()) * 16;
        let raw = self.words(Table::ScalableRoot, rid.bus(), at, FaultReason::SRT_1)?;
        let entry = ScalableRootEntry(raw);
        let upper = rid.devfn() >= 0x80;
        let (present, table) =
            if upper { (entry.UP(), entry.UCTP()) } else { (entry.LP(), entry.LCTP()) };
        if !present {
            return Err(loud(FaultReason::SRT_2));
        }
        let [low, high] = raw;
        let [low_rsvd, high_rsvd] = ScalableRootEntry::RSVD;
        let half = if upper { high & high_rsvd } else { low & low_rsvd };
        if half != 0 || self.too_high(table << 12) {
            return Err(loud(FaultReason::SRT_3));
        }
        let index = rid.devfn() & 0x7F;
        let at = (table << 12) + u64::from(index) * 32;
        let raw = self.words(Table::ScalableContext, index, at, FaultReason::SCT_1)?;
        let entry = ScalableContextEntry(raw);
        let silent = entry.FPD();
        if !entry.P() {
            return Err((FaultReason::SCT_2, silent));
        }
        let directory = entry.PASIDDIRPTR() << 12;
        if self.reserved(&raw, &ScalableContextEntry::RSVD, directory) {
            return Err((FaultReason::SCT_3, silent));
        }
        if entry.DTE() && !supports.device_tlb {
            return Err((FaultReason::SCT_4, silent));
        }
        let info = ContextInfo {
            fpd: silent,
            device_tlb: entry.DTE(),
            next: Next::Directory(Directory {
                at: directory,
                // 2^(PDTS + 7) directory entries, each of 64 PASIDs; 20 bits at most.
                pasids: (1 << (u32::from(entry.PDTS()) + 13)).min(Pasid::END),
                rid_pasid: Pasid(entry.RID_PASID()),
                rid_privileged: entry.RID_PRIV(),
                pasid_enabled: entry.PASIDE(),
                page_requests: entry.PRE(),
            }),
        };
        self.caches.context.insert(rid, info);
        Ok(info)
    }

    /// The entries of a PASID (VT-d 3.4.3), past the PASID-cache.
    pub fn pasid_entry(
        &mut self,
        directory: &Directory,
        pasid: Pasid,
        supports: &Supports,
    ) -> Result<PasidInfo, Refusal> {
        let index = pasid.0 >> 6;
        let at = directory.at + u64::from(index) * 8;
        let [raw] = self.words(Table::PasidDirectory, index, at, FaultReason::SPD_1)?;
        let entry = PasidDirectoryEntry(raw);
        if !entry.P() {
            return Err((FaultReason::SPD_2, entry.FPD()));
        }
        let table = entry.SMPTBLPTR() << 12;
        if entry.0 & PasidDirectoryEntry::RSVD != 0 || self.too_high(table) {
            return Err((FaultReason::SPD_3, entry.FPD()));
        }
        let index = pasid.0 & 0x3F;
        let at = table + u64::from(index) * 64;
        let raw = self.words(Table::PasidTable, index, at, FaultReason::SPT_1)?;
        let info = PasidTableEntry(raw);
        let silent = entry.FPD() || info.FPD();
        if !info.P() {
            return Err((FaultReason::SPT_2, silent));
        }
        if self.reserved(&raw, &PasidTableEntry::RSVD, host_pointers(&info)) {
            return Err((FaultReason::SPT_3, silent));
        }
        let invalid = (FaultReason::SPT_4, silent);
        let stages = Self::stages(&info, pasid, supports).ok_or(invalid)?;
        Ok(PasidInfo {
            fpd: silent,
            did: Did(info.DID()),
            supervisor: info.SRE(),
            execute: info.ERE(),
            stages,
        })
    }

    /// What a PASID table entry asks for; `None` when the unit can't do it.
    fn stages(entry: &PasidTableEntry, pasid: Pasid, supports: &Supports) -> Option<Stages> {
        let did = Did(entry.DID());
        let second = || {
            let levels = levels_of(entry.AW(), supports)?;
            (supports.ssad || !entry.SSADE()).then_some(SecondStage {
                root: entry.SSPTPTR() << 12,
                levels,
                did,
                ad: entry.SSADE(),
                execute: entry.SSEE(),
                scalable: true,
            })
        };
        let first = || {
            let levels = match FSPM::from_raw(entry.FSPM().into())? {
                FSPM::LEVELS_4 => 4,
                FSPM::LEVELS_5 if supports.five_level => 5,
                FSPM::LEVELS_5 => return None,
            };
            (supports.extended_accessed || !entry.EAFE()).then_some(FirstStage {
                root: entry.FSPTPTR() << 12,
                levels,
                did,
                pasid,
                wpe: entry.WPE(),
                smep: entry.SMEP(),
                nxe: entry.NXE(),
                eafe: entry.EAFE(),
            })
        };
        match PGTT::from_raw(entry.PGTT().into())? {
            PGTT::FIRST_STAGE => Some(Stages::First(first()?)),
            PGTT::SECOND_STAGE => Some(Stages::Second(second()?)),
            PGTT::NESTED if supports.nested => Some(Stages::Nested(first()?, second()?)),
            PGTT::PASS_THROUGH if supports.pass_through => Some(Stages::PassThrough),
            PGTT::NESTED | PGTT::PASS_THROUGH => None,
        }
    }

    fn cached_context(&mut self, rid: Rid) -> Option<ContextInfo> {
        self.counters.count(Event::ContextLookup);
        let found = self.caches.context.get(&rid).copied();
        if found.is_some() {
            self.counters.count(Event::ContextHit);
        }
        self.observer.asked(CacheName::Context, found.is_some());
        found
    }

    /// Reads an entry of `N` double words; one memory read, as it lies in one cache line.
    fn words<const N: usize>(
        &mut self,
        table: Table,
        index: impl Into<u32>,
        at: u64,
        unreadable: FaultReason,
    ) -> Result<[u64; N], Refusal> {
        self.counters.count(Event::MemoryReads);
        let mut raw = [0; N];
        for (n, word) in (0..).zip(&mut raw) {
            *word = self.view.load_u64(Hpa(at + 8 * n)).map_err(|_| loud(unreadable))?;
        }
        self.observer.step(Step { table, index: index.into(), at: Hpa(at), raw: &raw });
        Ok(raw)
    }

    /// Whether reserved bits are set, or an address in the entry is beyond the host's.
    fn reserved<const N: usize>(&self, raw: &[u64; N], rsvd: &[u64; N], pointer: u64) -> bool {
        raw.iter().zip(rsvd).any(|(word, mask)| word & mask != 0) || self.too_high(pointer)
    }

    fn too_high(&self, pointer: u64) -> bool {
        pointer >> self.bounds.haw != 0
    }
}

/// The bits of all host addresses that a PASID table entry makes use of.
///
/// A nested first stage is at a guest-physical address, which the second stage bounds.
fn host_pointers(entry: &PasidTableEntry) -> u64 {
    let pointer = match PGTT::from_raw(entry.PGTT().into()) {
        Some(PGTT::FIRST_STAGE) => entry.FSPTPTR(),
        Some(PGTT::SECOND_STAGE | PGTT::NESTED) => entry.SSPTPTR(),
        Some(PGTT::PASS_THROUGH) | None => 0,
    };
    pointer << 12
}

/// Levels of a second stage by its AW field, if the unit has them.
fn levels_of(aw: u8, supports: &Supports) -> Option<u8> {
    let levels = match AW::from_raw(aw.into())? {
        AW::LEVELS_3 => 3,
        AW::LEVELS_4 => 4,
        AW::LEVELS_5 => 5,
    };
    (supports.sagaw >> (levels - 2) & 1 == 1).then_some(levels)
}
