//! A machine for tests: memory, a unit in scalable mode, and software that maps and invalidates.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use siov_bus::{Bus, Gate, Geometry, Pasid, Requester, Rid, Unit};
use siov_iommu::{Config, Event};
use siov_mem::{HostMemory, Hpa, Region};
use siov_spec::vtd::{
    AW, CcGranularity, CcInvDsc, DescriptorType, InvWaitDsc, IotlbGranularity, IotlbInvDsc,
    PDevTlbInvDsc, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry,
    ScalableRootEntry, SsPage4K, TTM, unit,
};

pub const RID: Rid = Rid(0x3B10);
pub const MEMORY: u64 = 64 << 20;
/// Tables are below, pages for data from here on.
pub const DATA: u64 = 16 << 20;
/// PASID of requests without one (RID_PASID).
pub const NONE: u32 = 0;
const RW: u64 = 3;
const PS: u64 = 1 << 7;

pub struct Rig {
    pub memory: Arc<HostMemory>,
    pub unit: Arc<Gate<Unit>>,
    pub bus: Arc<Bus>,
    pub context: u64,
    directory: u64,
    /// Top tables by PASID.
    tops: HashMap<u32, u64>,
    queue: u64,
    tail: u64,
    free: u64,
}

impl Rig {
    /// Translation on, the queue on, one unit for everybody; RID may have a device TLB and PASIDs.
    pub fn new(config: &Config) -> Self {
        let memory = Arc::new(HostMemory::new(1 << 33));
        memory.place(Hpa(0), Arc::new(Region::anonymous(MEMORY).unwrap())).unwrap();
        let bus = Bus::new(Arc::clone(&memory));
        let unit = Arc::new(Gate::new(Unit::new(config)));
        bus.add_unit(Arc::clone(&unit), None).unwrap();
        let mut rig = Self {
            memory,
            unit,
            bus,
            context: 0,
            directory: 0,
            tops: HashMap::new(),
            queue: 0,
            tail: 0,
            free: 1 << 20,
        };
        let (root, contexts) = (rig.page(), rig.page());
        rig.directory = rig.page();
        rig.queue = rig.page();
        let entry = ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(contexts >> 12);
        rig.put(root + u64::from(RID.bus()) * 16, &entry.0);
        rig.context = contexts + u64::from(RID.devfn()) * 32;
        rig.put_context(true);
        rig.w64(unit::IQA::AT, unit::IQA(0).with_IQA(rig.queue >> 12).with_DW(true).0);
        let rtaddr = unit::RTADDR(0).with_RTA(root >> 12).with_TTM(TTM::SCALABLE as u8);
        rig.w64(unit::RTADDR::AT, rtaddr.0);
        rig.command(|c| c.with_SRTP(true));
        rig.command(|c| c.with_TE(true).with_QIE(true));
        rig
    }

    /// A function that may do all, with a shard geometry.
    pub fn requester(&self, geometry: Geometry) -> Arc<Requester> {
        let requester = Requester::new(Arc::clone(&self.bus), RID, geometry);
        requester.set_bus_master(true);
        requester.set_pasid(true);
        requester.set_ats(true);
        requester
    }

    /// The context entry, with DTE or without; nothing is invalidated.
    pub fn put_context(&self, dte: bool) {
        let entry = ScalableContextEntry([0; 4])
            .with_P(true)
            .with_DTE(dte)
            .with_PASIDE(true)
            .with_PDTS(7)
            .with_PASIDDIRPTR(self.directory >> 12);
        self.put(self.context, &entry.0);
    }

    /// Maps a page of a PASID, or takes it away with `None`; nothing is invalidated.
    pub fn map(&mut self, pasid: u32, addr: u64, to: Option<u64>, write: bool) {
        let rights = if write { RW } else { 1 };
        let entry = to.map_or(0, |to| to | rights);
        let table = self.table(pasid, addr, 1);
        self.put(table + (addr >> 12 & 0x1FF) * 8, &[entry]);
    }

    /// Maps 2 MiB of a PASID.
    pub fn map_large(&mut self, pasid: u32, addr: u64, to: u64) {
        let table = self.table(pasid, addr, 2);
        self.put(table + (addr >> 21 & 0x1FF) * 8, &[SsPage4K(to | RW | PS).0]);
    }

    /// Has a page forgotten by the IOTLB and the device TLB, as software does after it changed a table.
    pub fn invalidate(&mut self, pasid: u32, addr: u64) {
        self.submit(
            IotlbInvDsc([0; 4])
                .with_TYPE(DescriptorType::IOTLB as u8)
                .with_G(IotlbGranularity::PAGE as u8)
                .with_DID(did(pasid))
                .with_ADDR(addr >> 12)
                .0,
        );
        self.submit(
            PDevTlbInvDsc([0; 4])
                .with_TYPE(DescriptorType::PASID_DEVICE_TLB as u8)
                .with_SID(RID.0)
                .with_PASID(pasid)
                .with_ADDR(addr >> 12)
                .0,
        );
        assert!(self.wait(), "the queue stands still");
    }

    /// Has context entries forgotten.
    pub fn invalidate_contexts(&mut self) {
        let kind = DescriptorType::CONTEXT_CACHE as u8;
        let all = CcGranularity::GLOBAL as u8;
        self.submit(CcInvDsc([0; 4]).with_TYPE(kind).with_G(all).0);
        assert!(self.wait(), "the queue stands still");
    }

    /// Settles, and says whether the queue got through a wait descriptor.
    pub fn wait(&mut self) -> bool {
        let status = self.queue + 4088;
        self.put(status, &[0]);
        self.submit(
            InvWaitDsc([0; 4])
                .with_TYPE(DescriptorType::WAIT as u8)
                .with_SW(true)
                .with_STADDR(status >> 2)
                .with_STDATA(0x600D)
                .0,
        );
        self.bus.settle();
        self.get(status) == 0x600D
    }

    pub fn submit(&mut self, descriptor: [u64; 4]) {
        self.put(self.queue + self.tail, &descriptor);
        self.tail = (self.tail + 32) % 4096;
        self.w64(unit::IQT::AT, self.tail);
    }

    pub fn count(&self, event: Event) -> u64 {
        let mut unit = self.unit.control();
        unit.count_translated();
        unit.counters().get(event)
    }

    /// The first fault record's reason, if there is one.
    pub fn fault(&self) -> Option<u8> {
        let mut bytes = [0; 8];
        self.unit.control().mmio_read(0x608, &mut bytes);
        let high = u64::from_le_bytes(bytes);
        (high >> 63 == 1).then_some((high >> 32) as u8)
    }

    pub fn command(&self, change: impl Fn(unit::GCMD) -> unit::GCMD) {
        let mut bytes = [0; 4];
        self.unit.control().mmio_read(unit::GSTS::AT, &mut bytes);
        let status = unit::GSTS(u32::from_le_bytes(bytes));
        let now = unit::GCMD(0)
            .with_TE(status.TES())
            .with_QIE(status.QIES())
            .with_IRE(status.IRES())
            .with_CFI(status.CFIS());
        self.w32(unit::GCMD::AT, change(now).0);
    }

    pub fn w32(&self, at: u32, value: u32) {
        let view = self.memory.view();
        self.unit.control().mmio_write(&view, at, &value.to_le_bytes());
    }

    pub fn w64(&self, at: u32, value: u64) {
        let view = self.memory.view();
        self.unit.control().mmio_write(&view, at, &value.to_le_bytes());
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

    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.view().read(Hpa(at), &mut bytes).unwrap();
        bytes
    }

    pub fn page(&mut self) -> u64 {
        self.free += 4096;
        assert!(self.free <= DATA, "out of memory");
        self.free - 4096
    }

    /// The table of a level that has an address's entry.
    fn table(&mut self, pasid: u32, addr: u64, level: u32) -> u64 {
        let mut table = match self.tops.get(&pasid) {
            Some(top) => *top,
            None => self.space(pasid),
        };
        for above in (level + 1..=4).rev() {
            let at = table + (addr >> (12 + 9 * (above - 1)) & 0x1FF) * 8;
            if self.get(at) == 0 {
                let next = self.page();
                self.put(at, &[next | RW]);
            }
            table = self.get(at) & !0xFFF;
        }
        table
    }

    fn space(&mut self, pasid: u32) -> u64 {
        let top = self.page();
        self.tops.insert(pasid, top);
        let at = self.directory + u64::from(pasid >> 6) * 8;
        if self.get(at) == 0 {
            let table = self.page();
            self.put(at, &[PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(table >> 12).0]);
        }
        let entry = PasidTableEntry([0; 8])
            .with_P(true)
            .with_PGTT(PGTT::SECOND_STAGE as u8)
            .with_AW(AW::LEVELS_4 as u8)
            .with_SSPTPTR(top >> 12)
            .with_DID(did(pasid));
        self.put((self.get(at) & !0xFFF) + u64::from(pasid & 63) * 64, &entry.0);
        top
    }
}

pub fn pasid(number: u32) -> Option<Pasid> {
    Some(Pasid(number))
}

fn did(pasid: u32) -> u16 {
    pasid as u16 + 1
}
