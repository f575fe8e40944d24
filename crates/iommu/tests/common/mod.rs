//! A machine for tests: host memory, tables in it, and a unit that is driven by its registers alone.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub mod queue;
pub mod reference;
pub mod rng;

use std::sync::Arc;

use siov_iommu::{
    Access, Config, Fault, Geometries, Outbound, Pasid, Request, Rid, Translation, Unit,
};
use siov_mem::{HostMemory, Hpa, Iova, Region};
use siov_spec::vtd::{
    AW, ContextEntry, FaultReason, FsPage4K, PGTT, PasidDirectoryEntry, PasidTableEntry, RootEntry,
    ScalableContextEntry, ScalableRootEntry, SsPage4K, TT, TTM, unit,
};

pub const RID: Rid = Rid(0x3B10);
pub const PASID: Pasid = Pasid(17);
pub const DID: u16 = 5;
/// Bytes of memory, from address 0; what is above is a hole.
pub const MEMORY: u64 = 64 << 20;
/// Where nothing is, and yet an address of the host's.
pub const HOLE: u64 = 1 << 33;
/// Bits of a page entry that only say that it is of a large page.
pub const PS: u64 = 1 << 7;

pub const READ: Access = Access::READ;
pub const WRITE: Access = Access::WRITE;
pub const EXECUTE: Access = Access { write: false, execute: true, privileged: false };
pub const SUPERVISOR: Access = Access { write: false, execute: false, privileged: true };
pub const SUPERVISOR_WRITE: Access = Access { write: true, execute: false, privileged: true };
pub const SUPERVISOR_EXECUTE: Access = Access { write: false, execute: true, privileged: true };

pub struct Machine {
    pub memory: HostMemory,
    pub unit: Unit,
    pub root: u64,
    pub queue: queue::Driver,
    free: u64,
    end: u64,
}

/// A second-stage entry that allows all, of a table or a page.
pub fn ss(at: u64) -> u64 {
    SsPage4K(0).with_R(true).with_W(true).with_X(true).0 | at
}

/// A first-stage entry that allows all, of a table or a page.
pub fn fs(at: u64) -> u64 {
    FsPage4K(0).with_P(true).with_RW(true).with_US(true).0 | at
}

pub fn uncached() -> Config {
    Config { caches: Geometries::OFF, ..Config::default() }
}

pub fn aw(levels: u8) -> u8 {
    [AW::LEVELS_3, AW::LEVELS_4, AW::LEVELS_5][usize::from(levels) - 3] as u8
}

impl Machine {
    pub fn new(config: &Config) -> Self {
        Self::with_memory(config, MEMORY)
    }

    pub fn with_memory(config: &Config, bytes: u64) -> Self {
        let memory = HostMemory::new(1 << 34);
        memory.place(Hpa(0), Arc::new(Region::anonymous(bytes).unwrap())).unwrap();
        let mut machine = Self {
            memory,
            unit: Unit::new(config),
            root: 0,
            queue: queue::Driver::default(),
            free: 1 << 20,
            end: bytes,
        };
        machine.root = machine.page();
        machine
    }

    /// With translation on, in a mode.
    pub fn on(config: &Config, mode: TTM) -> Self {
        let mut machine = Self::new(config);
        machine.enable(mode);
        machine
    }

    /// In legacy mode, with a second stage of `levels` for RID; gives its top table too.
    pub fn legacy(config: &Config, levels: u8) -> (Self, u64) {
        let mut machine = Self::on(config, TTM::LEGACY);
        let top = machine.page();
        let entry = ContextEntry([0; 2])
            .with_P(true)
            .with_TT(TT::UNTRANSLATED_ONLY as u8)
            .with_AW(aw(levels))
            .with_SSPTPTR(top >> 12)
            .with_DID(DID);
        machine.put_context(RID, entry);
        (machine, top)
    }

    /// In scalable mode, with this entry for PASID of RID, and as its RID_PASID.
    pub fn scalable(config: &Config, entry: PasidTableEntry) -> Self {
        let mut machine = Self::on(config, TTM::SCALABLE);
        machine.put_scalable_context(RID, ScalableContextEntry([0; 4]).with_PASIDE(true));
        machine.put_pasid(RID, PASID, entry);
        machine
    }

    pub fn enable(&mut self, mode: TTM) {
        let root = unit::RTADDR(0).with_RTA(self.root >> 12).with_TTM(mode as u8);
        self.w64(unit::RTADDR::AT, root.0);
        self.command(|c| c.with_SRTP(true));
        self.command(|c| c.with_TE(true));
    }

    /// A GCMD write that keeps what is on.
    pub fn command(&mut self, change: impl Fn(unit::GCMD) -> unit::GCMD) {
        let status = self.gsts();
        let now = unit::GCMD(0)
            .with_TE(status.TES())
            .with_QIE(status.QIES())
            .with_IRE(status.IRES())
            .with_CFI(status.CFIS());
        self.w32(unit::GCMD::AT, change(now).0);
    }

    pub fn w32(&mut self, at: u32, value: u32) {
        self.unit.mmio_write(&self.memory.view(), at, &value.to_le_bytes());
    }

    pub fn w64(&mut self, at: u32, value: u64) {
        self.unit.mmio_write(&self.memory.view(), at, &value.to_le_bytes());
    }

    pub fn r32(&self, at: u32) -> u32 {
        let mut bytes = [0; 4];
        self.unit.mmio_read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub fn r64(&self, at: u32) -> u64 {
        let mut bytes = [0; 8];
        self.unit.mmio_read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub fn gsts(&self) -> unit::GSTS {
        unit::GSTS(self.r32(unit::GSTS::AT))
    }

    pub fn fsts(&self) -> unit::FSTS {
        unit::FSTS(self.r32(unit::FSTS::AT))
    }

    /// Fault recording register n, low and high double word.
    pub fn record(&self, n: u32) -> (u64, u64) {
        (self.r64(0x600 + 16 * n), self.r64(0x608 + 16 * n))
    }

    pub fn clear_record(&mut self, n: u32) {
        self.w32(0x60C + 16 * n, 1 << 31);
    }

    /// Programs an event's interrupt, by the offset of its control register, and lets it through.
    pub fn arm(&mut self, control: u32, address: u64, data: u32) {
        self.w32(control + 4, data);
        self.w32(control + 8, address as u32);
        self.w32(control + 12, (address >> 32) as u32);
        self.w32(control, 0);
    }

    /// The messages that went out since the last call.
    pub fn messages(&mut self) -> Vec<(u64, u32)> {
        let message = |out| match out {
            Outbound::Message { address, data } => Some((address, data)),
            _ => None,
        };
        self.unit.take_outbound().into_iter().filter_map(message).collect()
    }

    pub fn page(&mut self) -> u64 {
        self.pages(1)
    }

    pub fn pages(&mut self, count: u64) -> u64 {
        let at = self.free;
        self.free += count << 12;
        assert!(self.free <= self.end, "out of memory");
        at
    }

    /// Bytes of memory that pages were taken from.
    pub fn used(&self) -> u64 {
        self.free - (1 << 20)
    }

    pub fn put(&self, at: u64, words: &[u64]) {
        let view = self.memory.view();
        for (n, word) in (0..).zip(words) {
            view.store_u64(Hpa(at + 8 * n), *word).unwrap();
        }
    }

    pub fn get(&self, at: u64) -> u64 {
        self.memory.view().load_u64(Hpa(at)).unwrap()
    }

    /// Where the legacy context entry of a requester is.
    pub fn context_at(&mut self, rid: Rid) -> u64 {
        let at = self.root + u64::from(rid.bus()) * 16;
        if !RootEntry([self.get(at), 0]).P() {
            let table = self.page();
            self.put(at, &RootEntry([0; 2]).with_P(true).with_CTP(table >> 12).0);
        }
        (RootEntry([self.get(at), 0]).CTP() << 12) + u64::from(rid.devfn()) * 16
    }

    pub fn put_context(&mut self, rid: Rid, entry: ContextEntry) {
        let at = self.context_at(rid);
        self.put(at, &entry.0);
    }

    /// Where the scalable-mode context entry of a requester is.
    pub fn scalable_context_at(&mut self, rid: Rid) -> u64 {
        let half = u64::from(rid.devfn() >> 7);
        let at = self.root + u64::from(rid.bus()) * 16 + half * 8;
        if self.get(at) == 0 {
            let table = self.page();
            self.put(at, &[ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(table >> 12).0[0]]);
        }
        (self.get(at) & !0xFFF) + u64::from(rid.devfn() & 0x7F) * 32
    }

    /// Makes a context entry present, with a PASID directory of 128 entries if it has none.
    pub fn put_scalable_context(&mut self, rid: Rid, entry: ScalableContextEntry) {
        let directory =
            if entry.PASIDDIRPTR() == 0 { self.page() } else { entry.PASIDDIRPTR() << 12 };
        let entry = entry.with_P(true).with_PASIDDIRPTR(directory >> 12);
        let at = self.scalable_context_at(rid);
        self.put(at, &entry.with_RID_PASID(PASID.0).0);
    }

    /// Where the PASID directory entry of a PASID is.
    pub fn directory_at(&mut self, rid: Rid, pasid: Pasid) -> u64 {
        let at = self.scalable_context_at(rid);
        (self.get(at) & !0xFFF) + u64::from(pasid.0 >> 6) * 8
    }

    /// Where the PASID table entry of a PASID is.
    pub fn pasid_at(&mut self, rid: Rid, pasid: Pasid) -> u64 {
        let at = self.directory_at(rid, pasid);
        if self.get(at) == 0 {
            let table = self.page();
            let entry = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(table >> 12);
            self.put(at, &[entry.0]);
        }
        (self.get(at) & !0xFFF) + u64::from(pasid.0 & 0x3F) * 64
    }

    pub fn put_pasid(&mut self, rid: Rid, pasid: Pasid, entry: PasidTableEntry) {
        let at = self.pasid_at(rid, pasid);
        self.put(at, &entry.0);
    }

    /// Maps a page at a level with an entry as it is; tables that are missing on the way are made by `table`.
    /// Gives the address of the entry.
    pub fn map(
        &mut self,
        top: u64,
        levels: u8,
        addr: u64,
        level: u8,
        entry: u64,
        table: fn(u64) -> u64,
    ) -> u64 {
        let mut at = top;
        for above in (level + 1..=levels).rev() {
            let place = entry_at(at, addr, above);
            if self.get(place) & 7 == 0 {
                let next = self.page();
                self.put(place, &[table(next)]);
            }
            at = self.get(place) & 0x000F_FFFF_FFFF_F000;
        }
        self.put(entry_at(at, addr, level), &[entry]);
        entry_at(at, addr, level)
    }

    pub fn access(
        &mut self,
        rid: Rid,
        pasid: Option<Pasid>,
        addr: u64,
        access: Access,
    ) -> Result<Translation, Fault> {
        let request = Request { rid, pasid, addr: Iova(addr), access };
        self.unit.translate(&self.memory.view(), &request)
    }

    /// What a request of RID without PASID comes to: the address, or why not.
    pub fn dma(&mut self, addr: u64, access: Access) -> Result<u64, FaultReason> {
        self.access(RID, None, addr, access).map(|t| t.hpa.0).map_err(|f| f.reason)
    }

    /// What a request of RID with PASID comes to.
    pub fn pasid_dma(&mut self, addr: u64, access: Access) -> Result<u64, FaultReason> {
        self.access(RID, Some(PASID), addr, access).map(|t| t.hpa.0).map_err(|f| f.reason)
    }
}

pub fn entry_at(table: u64, addr: u64, level: u8) -> u64 {
    table + (addr >> (12 + 9 * (u32::from(level) - 1)) & 0x1FF) * 8
}

/// A PASID table entry that is present, for a first stage at `top`.
pub fn first_entry(top: u64, levels: u8) -> PasidTableEntry {
    PasidTableEntry([0; 8])
        .with_P(true)
        .with_PGTT(PGTT::FIRST_STAGE as u8)
        .with_FSPTPTR(top >> 12)
        .with_FSPM(levels - 4)
        .with_DID(DID)
}

/// A PASID table entry that is present, for a second stage at `top`.
pub fn second_entry(top: u64, levels: u8) -> PasidTableEntry {
    PasidTableEntry([0; 8])
        .with_P(true)
        .with_PGTT(PGTT::SECOND_STAGE as u8)
        .with_SSPTPTR(top >> 12)
        .with_AW(aw(levels))
        .with_DID(DID)
}

/// A PASID table entry that is present, for both stages.
pub fn nested_entry(first: (u64, u8), second: (u64, u8)) -> PasidTableEntry {
    second_entry(second.0, second.1)
        .with_PGTT(PGTT::NESTED as u8)
        .with_FSPTPTR(first.0 >> 12)
        .with_FSPM(first.1 - 4)
}

/// Runs a scenario in scalable mode: a page for the top table, then the entry that it makes of it.
pub fn with_stage(config: &Config, entry: impl FnOnce(u64) -> PasidTableEntry) -> (Machine, u64) {
    let mut machine = Machine::scalable(config, PasidTableEntry([0; 8]));
    let top = machine.page();
    machine.put_pasid(RID, PASID, entry(top));
    (machine, top)
}
