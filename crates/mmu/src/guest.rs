//! The guest's stage: GVA to GPA through the guest's own tables (SDM 3A 4.5 to 4.8).

use siov_mem::Gpa;
use siov_spec::ept::{EptViolation, PageFaultError, Pte1G, Pte2M, Pte4K, PteTable};

use crate::ept::Host;
use crate::rights::Rights;
use crate::tlb::{Table, entry_index};
use crate::walk::{Page, Walk};
use crate::{Fault, Kind, PageSize, Probe, Stage, Step};

const PS: u64 = PteTable(0).with_PS(true).0;
const XD: u64 = PteTable(0).with_XD(true).0;
const A: u64 = PteTable(0).with_A(true).0;
const D: u64 = Pte4K(0).with_D(true).0;

/// An entry that passed all checks.
struct Entry {
    raw: u64,
    rights: Rights,
    is_page: bool,
}

/// Reserved bits of an entry, but for those that depend on the core and on IA32_EFER.
const fn reserved(level: u8, is_page: bool) -> u64 {
    match (level, is_page) {
        (1, _) => Pte4K::RSVD,
        (2, true) => Pte2M::RSVD,
        (3, true) => Pte1G::RSVD,
        (2 | 3, false) => PteTable::RSVD,
        _ => PteTable::RSVD | PS,
    }
}

fn frame(level: u8, raw: u64) -> u64 {
    match level {
        1 => Pte4K(raw).ADDR() << 12,
        2 => u64::from(Pte2M(raw).ADDR()) << 21,
        _ => u64::from(Pte1G(raw).ADDR()) << 30,
    }
}

impl<P: Probe> Walk<'_, '_, P> {
    /// The guest's page that the address is in.
    pub fn guest_walk(&mut self) -> Result<Page, Fault> {
        let (mut level, mut table) = self.guest_start();
        loop {
            let index = entry_index(self.gva.0, level);
            let gpa = Gpa(table.address + u64::from(index) * 8);
            let host = self.gpa_to_hpa(gpa, Some(level))?;
            let raw = self.read(Stage::Guest, level, index, host.hpa);
            let entry = self.guest_entry(level, raw, table.rights, gpa, &host)?;
            if entry.is_page {
                let global = self.core.regs.cr4.PGE() && Pte4K(entry.raw).G();
                let frame = frame(level, entry.raw);
                let size = PageSize::at_level(level);
                return Ok(Page { frame, size, rights: entry.rights, global });
            }
            let address = PteTable(entry.raw).ADDR() << 12;
            table = Table { address, rights: entry.rights };
            let tags = (self.core.pcid, self.core.space);
            self.core.psc.put(self.gva.0, tags, level, table);
            level -= 1;
        }
    }

    /// Where the walk begins: below the lowest cached entry, or at the root.
    fn guest_start(&mut self) -> (u8, Table) {
        let core = &mut *self.core;
        if self.cached
            && let Some((level, table)) = core.psc.find(self.gva.0, core.pcid, core.space)
        {
            core.counters.psc_hits += 1;
            self.aided = true;
            self.probe.step(Step::PscHit { stage: Stage::Guest, level, table: table.address });
            return (level - 1, table);
        }
        let root = core.regs.cr3.ADDR() << 12;
        (core.regs.levels(), Table { address: root, rights: Rights::GUEST })
    }

    /// Checks an entry and sets its flags.
    #[inline(always)]
    fn guest_entry(
        &mut self,
        level: u8,
        mut raw: u64,
        above: Rights,
        gpa: Gpa,
        host: &Host,
    ) -> Result<Entry, Fault> {
        loop {
            if !PteTable(raw).P() {
                return Err(self.page_fault(PageFaultError(0)));
            }
            let is_page = level == 1 || (level <= 3 && PteTable(raw).PS());
            if raw & (reserved(level, is_page) | self.core.reserved) != 0 {
                return Err(self.page_fault(PageFaultError(0).with_P(true).with_RSVD_BIT(true)));
            }
            let entry = PteTable(raw);
            let given = Rights::W.when(entry.RW()).with(Rights::U.when(entry.US()));
            let rights = above & given.with(Rights::X.when(!entry.XD())).with(Rights::D);
            if is_page && !self.need.met_by_guest(rights) {
                return Err(self.page_fault(PageFaultError(0).with_P(true)));
            }
            let write = is_page && self.access.kind == Kind::Write;
            let bits = if write { A | D } else { A };
            if raw & bits != bits {
                match self.set_guest(level, raw, bits, gpa, host)? {
                    Ok(new) => raw = new,
                    Err(changed) => {
                        raw = changed;
                        continue;
                    }
                }
            }
            let dirty = Rights::D.when(!is_page || raw & D != 0);
            return Ok(Entry { raw, rights: rights.without(Rights::D).with(dirty), is_page });
        }
    }

    /// Sets flags in an entry of the guest: a write to guest-physical memory, which EPT must allow.
    fn set_guest(
        &mut self,
        level: u8,
        raw: u64,
        bits: u64,
        gpa: Gpa,
        host: &Host,
    ) -> Result<Result<u64, u64>, Fault> {
        if !host.rights.has(Rights::EPT_W) {
            let attempt = EptViolation(0).with_WRITE(true);
            return Err(self.ept_violation_by(attempt, gpa, host.rights));
        }
        Ok(self.set(Stage::Guest, level, host.hpa, raw, bits))
    }

    #[cold]
    fn page_fault(&self, why: PageFaultError) -> Fault {
        let regs = &self.core.regs;
        let fetch = self.access.kind == Kind::Fetch;
        let error_code = why
            .with_W(self.access.kind == Kind::Write)
            .with_U(self.access.mode == crate::Mode::User)
            .with_I(fetch && (regs.efer.NXE() || regs.cr4.SMEP()));
        Fault::PageFault { error_code, gva: self.gva }
    }
}

/// Bits that are reserved in every entry as the core and IA32_EFER are.
pub(crate) fn reserved_everywhere(beyond: u64, nxe: bool) -> u64 {
    if nxe { beyond } else { beyond | XD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_have_one_place_in_all_entries() {
        assert_eq!([A, D, PS], [1 << 5, 1 << 6, 1 << 7]);
        assert_eq!(Pte1G(0).with_D(true).0, D);
        assert_eq!(Pte2M(0).with_G(true).0, Pte4K(0).with_G(true).0);
    }
}
