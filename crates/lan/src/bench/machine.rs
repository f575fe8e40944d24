//! A server in miniature: memory, a remapping unit whose tables are written into it, and the device.

use std::sync::Arc;

use siov_bus::{Bus, Gate, Rid, Unit};
use siov_iommu::Config;
use siov_mem::{GRANULE, HostMemory, HostView, Hpa, PAGE_SIZE, Region};
use siov_port::Clock;
use siov_spec::vtd::{
    AW, Irte, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, ScalableRootEntry,
    SsPage2M, SsTableEntry, TTM, unit,
};

use super::{Failed, Load, Translation};
use crate::{Allowed, Nic, NicConfig};

const RID: Rid = Rid(0x3B00);
/// The vector of every interrupt; the destination tells the guests apart.
pub(super) const VECTOR: u8 = 0x40;
/// Where a guest's memory begins in its own address space.
const GUEST: u64 = 1 << 30;
/// Memory for the unit's tables.
const TABLES: u64 = 16 << 20;
/// 2^(S + 1) entries of the interrupt remapping table (IRTA.S).
const IRTES: u8 = 9;

/// A guest's memory, as the guest and as the device address it.
#[derive(Debug)]
pub(super) struct Memory {
    pub region: Arc<Region>,
    /// What the device calls its first byte.
    pub base: u64,
}

/// The device, and a memory for each of its VSIs.
pub(super) struct Machine {
    pub nic: Nic,
    pub bus: Arc<Bus>,
    pub memories: Vec<Memory>,
}

impl Machine {
    /// With `bytes` of memory for each VSI, whose PASID is its place from 1 on.
    pub fn new(load: &Load, bytes: u64) -> Result<Self, Failed> {
        let bytes = bytes.next_multiple_of(GRANULE);
        let memory = Arc::new(HostMemory::new(1 << 40));
        let place = |at: u64, bytes: u64| -> Result<Arc<Region>, Failed> {
            let region = Arc::new(Region::anonymous(bytes).map_err(|_| Failed::Memory)?);
            memory.place(Hpa(at), Arc::clone(&region)).map_err(|_| Failed::Memory)?;
            Ok(region)
        };
        place(0, TABLES)?;
        let at = |guest: u64| TABLES + guest * bytes;
        let translated = load.translation != Translation::None;
        let mut memories = vec![];
        for guest in 0..u64::from(load.vsis) {
            let base = if translated { GUEST } else { at(guest) };
            memories.push(Memory { region: place(at(guest), bytes)?, base });
        }
        let bus = Bus::new(Arc::clone(&memory));
        if translated {
            let mut unit = Unit::new(&Config::default());
            let mut tables =
                Tables { view: memory.view(), free: PAGE_SIZE, superpages: load.superpages };
            let spaces = (0..u64::from(load.vsis)).map(at);
            tables.set_up(&mut unit, spaces, bytes).ok_or(Failed::Memory)?;
            drop(tables);
            bus.add_unit(Arc::new(Gate::new(unit)), None).map_err(|_| Failed::Memory)?;
        }
        let config = NicConfig { seed: 1, ..NicConfig::default() };
        let nic = Nic::new(Arc::clone(&bus), RID, Clock::real(), &config)?;
        let ats = load.translation == Translation::DeviceTlb;
        let allowed =
            Allowed { bus_master: true, ats, pasid: true, msix: true, ..Allowed::default() };
        nic.configure(RID, &allowed);
        Ok(Self { nic, bus, memories })
    }
}

/// Writes tables into memory, one page after the other.
struct Tables<'v> {
    view: HostView<'v>,
    free: u64,
    superpages: bool,
}

impl Tables<'_> {
    /// Scalable mode: each PASID from 1 on has a second stage that maps `bytes` from
    /// [`GUEST`] on to where its space begins; interrupt n goes to destination n.
    fn set_up(
        &mut self,
        unit: &mut Unit,
        spaces: impl Iterator<Item = u64>,
        bytes: u64,
    ) -> Option<()> {
        let (root, contexts, directory) = (self.page(), self.page(), self.page());
        let interrupts = self.pages(16 << (IRTES + 1) >> 12);
        let entry = ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(contexts >> 12);
        self.put(root + u64::from(RID.bus()) * 16, &entry.0)?;
        let entry = ScalableContextEntry([0; 4])
            .with_P(true)
            .with_DTE(true)
            .with_PASIDE(true)
            .with_PASIDDIRPTR(directory >> 12);
        self.put(contexts + u64::from(RID.devfn()) * 32, &entry.0)?;
        let mut pasids = 0;
        for (n, space) in (0..).zip(spaces) {
            let pasid = n + 1;
            if n == 0 || pasid % 64 == 0 {
                pasids = self.page();
                let entry = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(pasids >> 12);
                self.put(directory + pasid / 64 * 8, &[entry.0])?;
            }
            let second = self.second_stage(space, bytes)?;
            let entry = PasidTableEntry([0; 8])
                .with_P(true)
                .with_PGTT(PGTT::SECOND_STAGE as u8)
                .with_AW(AW::LEVELS_4 as u8)
                .with_SSPTPTR(second >> 12)
                .with_DID(pasid as u16);
            self.put(pasids + pasid % 64 * 64, &entry.0)?;
            let entry = Irte([0; 2]).with_P(true).with_DST(n as u32).with_V(VECTOR);
            self.put(interrupts + n * 16, &entry.0)?;
        }
        let rtaddr = unit::RTADDR(0).with_RTA(root >> 12).with_TTM(TTM::SCALABLE as u8);
        let irta = unit::IRTA(0).with_IRTA(interrupts >> 12).with_EIME(true).with_S(IRTES);
        unit.mmio_write(&self.view, unit::RTADDR::AT, &rtaddr.0.to_le_bytes());
        unit.mmio_write(&self.view, unit::IRTA::AT, &irta.0.to_le_bytes());
        let on = unit::GCMD(0);
        let commands = [
            on.with_SRTP(true),
            on.with_TE(true),
            on.with_TE(true).with_SIRTP(true),
            on.with_TE(true).with_IRE(true),
        ];
        for command in commands {
            unit.mmio_write(&self.view, unit::GCMD::AT, &command.0.to_le_bytes());
        }
        Some(())
    }

    fn second_stage(&mut self, space: u64, bytes: u64) -> Option<u64> {
        let (root, level3, level2) = (self.page(), self.page(), self.page());
        self.put(root + (GUEST >> 39) * 8, &[entry(level3)])?;
        self.put(level3 + (GUEST >> 30 & 511) * 8, &[entry(level2)])?;
        for granule in 0..bytes / GRANULE {
            let at = space + granule * GRANULE;
            let entry = if self.superpages { superpage(at)? } else { self.small_pages(at)? };
            self.put(level2 + granule * 8, &[entry])?;
        }
        Some(root)
    }

    /// The entry of a table that maps 2 MiB by pages of 4 KiB.
    fn small_pages(&mut self, at: u64) -> Option<u64> {
        let table = self.page();
        for page in 0..512 {
            self.put(table + page * 8, &[entry(at + page * PAGE_SIZE)])?;
        }
        Some(entry(table))
    }

    fn page(&mut self) -> u64 {
        self.pages(1)
    }

    fn pages(&mut self, count: u64) -> u64 {
        let first = self.free;
        self.free += count * PAGE_SIZE;
        first
    }

    fn put(&self, at: u64, words: &[u64]) -> Option<()> {
        for (n, word) in (0..).zip(words) {
            self.view.store_u64(Hpa(at + 8 * n), *word).ok()?;
        }
        Some(())
    }
}

fn superpage(at: u64) -> Option<u64> {
    let page = SsPage2M(0).with_R(true).with_W(true).with_PS(true);
    Some(page.with_ADDR(u32::try_from(at / GRANULE).ok()?).0)
}

fn entry(at: u64) -> u64 {
    SsTableEntry(0).with_R(true).with_W(true).with_ADDR(at >> 12).0
}
