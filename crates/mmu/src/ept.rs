//! EPT's stage: GPA to HPA (SDM 3C 29.3).

use siov_mem::{Gpa, Hpa};
use siov_spec::ept::{
    EptEntry, EptPage1G, EptPage2M, EptPage4K, EptPageEntry, EptTableEntry, Eptp,
};
use siov_spec::vtd::MemoryType;

use crate::rights::Rights;
use crate::tlb::{Mapping, Table, entry_index, entry_shift, in_page};
use crate::walk::Walk;
use crate::{Fault, PageSize, Probe, Stage, Step};

const PS: u64 = EptTableEntry(0).with_PS(true).0;
const A: u64 = EptEntry(0).with_A(true).0;
const D: u64 = EptPageEntry(0).with_D(true).0;

/// Where a guest physical address lies.
pub(crate) struct Host {
    pub hpa: Hpa,
    pub size: PageSize,
    /// What EPT allows there.
    pub rights: Rights,
}

const fn reserved(level: u8, is_page: bool) -> u64 {
    match (level, is_page) {
        (1, _) => EptPage4K::RSVD,
        (2, true) => EptPage2M::RSVD,
        (3, true) => EptPage1G::RSVD,
        (2 | 3, false) => EptTableEntry::RSVD,
        _ => EptTableEntry::RSVD | PS,
    }
}

fn frame(level: u8, raw: u64) -> u64 {
    match level {
        1 => EptPage4K(raw).ADDR() << 12,
        2 => u64::from(EptPage2M(raw).ADDR()) << 21,
        _ => u64::from(EptPage1G(raw).ADDR()) << 30,
    }
}

/// A guest physical address to translate, and what for.
#[derive(Clone, Copy)]
struct Query {
    gpa: Gpa,
    /// The level of the guest's entry that lies there; `None` for the address of the access itself.
    entry_level: Option<u8>,
    need: Rights,
}

/// An entry that passed all checks.
struct Entry {
    raw: u64,
    rights: Rights,
    is_page: bool,
}

impl<P: Probe> Walk<'_, '_, P> {
    /// Translates a guest physical address: of the guest's entry at `entry_level`, or of the access.
    pub fn gpa_to_hpa(&mut self, gpa: Gpa, entry_level: Option<u8>) -> Result<Host, Fault> {
        let Some(eptp) = self.core.eptp else {
            return Ok(Host { hpa: Hpa(gpa.0), size: PageSize::Size1G, rights: Rights::EPT });
        };
        let need = match entry_level {
            None => self.need.of_ept(),
            // With EPT's flags in use, reading a guest's entry counts as a write (SDM 3C 29.3.5).
            Some(_) if self.core.ad => Rights::EPT_R.with(Rights::EPT_W).with(Rights::EPT_D),
            Some(_) => Rights::EPT_R,
        };
        let query = Query { gpa, entry_level, need };
        self.probe.step(Step::Gpa { gpa, entry_level });
        let host = match self.gpa_lookup(query) {
            Some(host) => host,
            None => self.ept_walk(eptp, query)?,
        };
        self.probe.step(Step::Hpa { hpa: host.hpa });
        Ok(host)
    }

    #[inline]
    fn gpa_lookup(&mut self, query: Query) -> Option<Host> {
        if !self.cached {
            return None;
        }
        let Query { gpa, need, .. } = query;
        let core = &mut *self.core;
        core.counters.gpa_tlb_lookups += 1;
        let (mapping, size) = core.gpa_tlb.find(gpa.0, 0, core.gpa_space)?;
        if !mapping.rights.has(need) {
            core.gpa_tlb.drop_current(gpa.0, 0, core.gpa_space);
            return None;
        }
        core.counters.gpa_tlb_hits += 1;
        self.aided = true;
        self.probe.step(Step::GpaTlbHit { gpa });
        let hpa = Hpa(in_page(mapping.frame, gpa.0, size));
        Some(Host { hpa, size, rights: mapping.rights })
    }

    #[inline]
    fn ept_walk(&mut self, eptp: Eptp, query: Query) -> Result<Host, Fault> {
        let gpa = query.gpa;
        let levels = eptp.PWL() + 1;
        if gpa.0 >> entry_shift(levels + 1) != 0 {
            return Err(self.ept_violation(gpa, query.entry_level, Rights::NONE));
        }
        let root = Table { address: eptp.ADDR() << 12, rights: Rights::EPT };
        let (mut level, mut table) = self.ept_start(gpa).unwrap_or((levels, root));
        loop {
            let index = entry_index(gpa.0, level);
            let at = Hpa(table.address + u64::from(index) * 8);
            let raw = self.read(Stage::Ept, level, index, at);
            let entry = self.ept_entry(query, level, at, raw, table.rights)?;
            let space = self.core.gpa_space;
            if entry.is_page {
                let (size, frame) = (PageSize::at_level(level), frame(level, entry.raw));
                let mapping = Mapping { frame, rights: entry.rights, guest_size: size };
                self.core.gpa_tlb.put(gpa.0, (0, space), false, size, mapping);
                let hpa = Hpa(in_page(frame, gpa.0, size));
                return Ok(Host { hpa, size, rights: entry.rights });
            }
            let address = EptTableEntry(entry.raw).ADDR() << 12;
            table = Table { address, rights: entry.rights };
            self.core.ept_psc.put(gpa.0, (0, space), level, table);
            level -= 1;
        }
    }

    /// Where the walk begins, if not at the root.
    #[inline]
    fn ept_start(&mut self, gpa: Gpa) -> Option<(u8, Table)> {
        if !self.cached {
            return None;
        }
        let core = &mut *self.core;
        let (level, table) = core.ept_psc.find(gpa.0, 0, core.gpa_space)?;
        core.counters.ept_psc_hits += 1;
        self.aided = true;
        self.probe.step(Step::PscHit { stage: Stage::Ept, level, table: table.address });
        Some((level - 1, table))
    }

    /// Checks an entry, in the order of SDM 3C 29.3.3.4, and sets its flags.
    #[inline(always)]
    fn ept_entry(
        &mut self,
        query: Query,
        level: u8,
        at: Hpa,
        mut raw: u64,
        above: Rights,
    ) -> Result<Entry, Fault> {
        let Query { gpa, entry_level, need } = query;
        loop {
            let rwx = raw as u8 & 7;
            if rwx == 0 {
                return Err(self.ept_violation(gpa, entry_level, Rights::NONE));
            }
            let is_page = level == 1 || (level <= 3 && raw & PS != 0);
            if self.is_misconfigured(level, is_page, raw) {
                return Err(Fault::EptMisconfiguration { gpa });
            }
            let rights = above & Rights::from_rwx(rwx);
            if is_page && !rights.has(need.without(Rights::EPT_D)) {
                return Err(self.ept_violation(gpa, entry_level, rights));
            }
            if !self.core.ad {
                return Ok(Entry { raw, rights, is_page });
            }
            let dirty = is_page && need.has(Rights::EPT_D);
            let bits = if dirty { A | D } else { A };
            if raw & bits != bits {
                self.check_pml()?;
                match self.set(Stage::Ept, level, at, raw, bits) {
                    Ok(new) if dirty && raw & D == 0 => {
                        self.log_dirty(gpa);
                        raw = new;
                    }
                    Ok(new) => raw = new,
                    Err(changed) => {
                        raw = changed;
                        continue;
                    }
                }
            }
            let clean = is_page && raw & D == 0;
            let rights = if clean { rights.without(Rights::EPT_D) } else { rights };
            return Ok(Entry { raw, rights, is_page });
        }
    }

    #[inline]
    fn is_misconfigured(&self, level: u8, is_page: bool, raw: u64) -> bool {
        let entry = EptPageEntry(raw);
        let unreadable = match (entry.R(), entry.W(), entry.X()) {
            (false, true, _) => true,
            (false, false, true) => !self.core.model.execute_only,
            _ => false,
        };
        let memory_type = || MemoryType::from_raw(u64::from(entry.MT()));
        unreadable
            || raw & (reserved(level, is_page) | self.core.beyond) != 0
            || is_page && memory_type().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_have_one_place_in_all_entries() {
        assert_eq!([PS, A, D], [1 << 7, 1 << 8, 1 << 9]);
        assert_eq!(EptPage1G(0).with_D(true).with_A(true).0, A | D);
    }
}
