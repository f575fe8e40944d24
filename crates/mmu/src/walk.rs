//! A walk: from an address that the TLB does not know to a translation or a fault.

use siov_mem::{Gpa, Gva, HostView, Hpa, Region};
use siov_spec::ept::EptViolation;

use crate::rights::{Need, Rights};
use crate::tlb::{Mapping, in_page};
use crate::{Access, Core, Fault, Kind, PageSize, Probe, Stage, Step, Translation};

/// A walk under way.
pub(crate) struct Walk<'a, 'v, P> {
    pub core: &'a mut Core,
    pub view: &'a HostView<'v>,
    pub probe: &'a mut P,
    pub gva: Gva,
    pub access: Access,
    pub need: Need,
    /// Whether caches may be asked.
    pub cached: bool,
    /// Whether a cache has answered.
    pub aided: bool,
    pub reads: u32,
    /// The region that the last entry was read from, and where it begins: the next is likely there too.
    pub near: Option<(Hpa, &'a Region)>,
}

/// A page of the guest's: the result of the first stage.
pub(crate) struct Page {
    pub frame: u64,
    pub size: PageSize,
    pub rights: Rights,
    pub global: bool,
}

impl<P: Probe> Walk<'_, '_, P> {
    /// Translates the address. A fault never comes out of a cache: a walk that met one with the help of
    /// caches is made again from the root, after they have forgotten what a fault makes them forget.
    pub fn run(&mut self) -> Result<Translation, Fault> {
        self.core.counters.walks += 1;
        let mut result = self.both_stages();
        if let Err(fault) = result
            && self.aided
            && fault != Fault::PmlFull
        {
            self.core.counters.walk_restarts += 1;
            self.probe.step(Step::Restart);
            self.forget(fault);
            self.cached = false;
            result = self.both_stages();
        }
        result.inspect_err(|fault| {
            self.forget(*fault);
            self.count(fault);
        })
    }

    fn both_stages(&mut self) -> Result<Translation, Fault> {
        let page = self.guest_walk()?;
        let gpa = in_page(page.frame, self.gva.0, page.size);
        let host = self.gpa_to_hpa(Gpa(gpa), None)?;
        let size = page.size.min(host.size);
        let frame = host.hpa.0 & !(size.bytes() - 1);
        let rights = (page.rights & Rights::GUEST).with(host.rights & Rights::EPT);
        let mapping = Mapping { frame, rights, guest_size: page.size };
        let tags = (self.core.pcid, self.core.space);
        self.core.tlb(self.access.kind).put(self.gva.0, tags, page.global, size, mapping);
        Ok(Translation { hpa: host.hpa, size, reads: self.reads })
    }

    /// Reads an entry; where nobody answers, all bits are ones.
    #[inline]
    pub fn read(&mut self, stage: Stage, level: u8, index: u16, at: Hpa) -> u64 {
        self.reads += 1;
        match stage {
            Stage::Guest => self.core.counters.guest_reads += 1,
            Stage::Ept => self.core.counters.ept_reads += 1,
        }
        let raw = self.load(at).unwrap_or_else(|| {
            self.core.counters.bus_aborts += 1;
            !0
        });
        self.probe.step(Step::Entry { stage, level, index, at, raw });
        raw
    }

    #[inline]
    fn load(&mut self, at: Hpa) -> Option<u64> {
        if let Some((base, region)) = self.near
            && let Some(offset) = at.offset_from(base)
            && let Ok(raw) = region.load_u64(offset)
        {
            return Some(raw);
        }
        self.near = self.view.region_at(at);
        let (base, region) = self.near?;
        region.load_u64(at.offset_from(base)?).ok()
    }

    /// Sets flags in an entry that was just read, in one step. `Err` is what somebody else has put there
    /// since: the entry is to be judged again.
    #[inline(never)]
    pub fn set(
        &mut self,
        stage: Stage,
        level: u8,
        at: Hpa,
        raw: u64,
        bits: u64,
    ) -> Result<u64, u64> {
        let new = raw | bits;
        // Where nobody answers, a write is lost.
        let now = self.view.compare_exchange_u64(at, raw, new).unwrap_or(new);
        if now != new {
            return Err(now);
        }
        self.probe.step(Step::Set { stage, level, at, bits: new & !raw });
        Ok(new)
    }

    /// A fault invalidates what would be used to translate the address again (SDM 3A 4.10.4.1 and, for
    /// EPT violations, 3C 29.4.3.1).
    fn forget(&mut self, fault: Fault) {
        let core = &mut *self.core;
        let linear = match fault {
            Fault::PageFault { .. } => true,
            Fault::EptViolation { gpa, qualification, .. } => {
                let space = core.gpa_space;
                core.counters.flushed_lines += core.gpa_tlb.drop_current(gpa.0, 0, space);
                core.counters.flushed_lines += core.ept_psc.drop_current(gpa.0, 0, space);
                qualification.TRANSLATED()
            }
            _ => false,
        };
        if linear {
            core.forget_linear(self.gva);
        }
    }

    fn count(&mut self, fault: &Fault) {
        let counters = &mut self.core.counters;
        match fault {
            Fault::NotCanonical(_) => counters.not_canonical += 1,
            Fault::PageFault { .. } => {
                counters.page_faults += 1;
                counters.flushes.page_fault += 1;
            }
            Fault::EptViolation { .. } => {
                counters.ept_violations += 1;
                counters.flushes.ept_violation += 1;
            }
            Fault::EptMisconfiguration { .. } => counters.ept_misconfigurations += 1,
            Fault::PmlFull => counters.pml_full += 1,
        }
    }

    /// An EPT violation by an access to a guest physical address that EPT allows `rights` for.
    #[cold]
    pub fn ept_violation(&self, gpa: Gpa, entry_level: Option<u8>, rights: Rights) -> Fault {
        let (read, write) = match entry_level {
            // With EPT's flags in use, reading a guest's entry counts as a write too (SDM 3C 29.3.5).
            Some(_) => (true, self.core.ad),
            None => (self.access.kind == Kind::Read, self.access.kind == Kind::Write),
        };
        let attempt = EptViolation(0)
            .with_READ(read)
            .with_WRITE(write)
            .with_FETCH(entry_level.is_none() && self.access.kind == Kind::Fetch)
            .with_TRANSLATED(entry_level.is_none());
        self.ept_violation_by(attempt, gpa, rights)
    }

    /// An EPT violation by the given attempt.
    pub fn ept_violation_by(&self, attempt: EptViolation, gpa: Gpa, rights: Rights) -> Fault {
        let qualification = attempt
            .with_R(rights.has(Rights::EPT_R))
            .with_W(rights.has(Rights::EPT_W))
            .with_X(rights.has(Rights::EPT_X))
            .with_GLA_VALID(true);
        Fault::EptViolation { qualification, gpa, gva: self.gva }
    }
}
