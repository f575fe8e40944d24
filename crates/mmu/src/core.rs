//! A core: its registers, its caches, and what it is running.

use std::num::NonZeroU16;

use siov_mem::{Gva, HostView, Hpa};
use siov_spec::ept::{Cr0, Cr3, Cr4, Efer, Eptp};

use crate::guest::reserved_everywhere;
use crate::rights::{Need, Needs};
use crate::tlb::{Psc, Tlb, in_page, space, vpid_of};
use crate::walk::Walk;
use crate::{
    Access, ControlRegs, Counters, EntryError, Fault, GeneralProtection, Kind, Model, Pml, Probe,
    Silent, Step, Translation, Vmcs,
};

/// A logical processor in 64-bit mode, as far as translation goes.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) model: Model,
    pub(crate) regs: ControlRegs,
    /// The registers of the host, while a guest runs.
    host: Option<ControlRegs>,
    vpid: Option<NonZeroU16>,
    pub(crate) eptp: Option<Eptp>,
    pub(crate) pml: Option<Pml>,
    // What follows from the above, made by `refresh` when it changes.
    pub(crate) pcid: u16,
    pub(crate) space: u64,
    pub(crate) gpa_space: u64,
    pub(crate) ad: bool,
    pub(crate) beyond: u64,
    pub(crate) reserved: u64,
    needs: Needs,
    // What is remembered.
    pub(crate) dtlb: Tlb,
    pub(crate) itlb: Tlb,
    pub(crate) psc: Psc,
    pub(crate) gpa_tlb: Tlb,
    pub(crate) ept_psc: Psc,
    pub(crate) counters: Counters,
}

/// A core laid open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreState {
    /// What it is made of.
    pub model: Model,
    /// The control registers, of the guest while one runs.
    pub regs: ControlRegs,
    /// The controls of the guest that runs.
    pub vmcs: Option<Vmcs>,
    /// Lines of the caches that are in use.
    pub live: Live,
    /// What was counted.
    pub counters: Counters,
}

/// Lines in use: of TLBs for pages of 4 KiB, 2 MiB and 1 GiB, of others from the page directory up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The TLB for data.
    pub dtlb: [usize; 3],
    /// The TLB for fetches.
    pub itlb: [usize; 3],
    /// Entries of the guest's tables.
    pub psc: [usize; 4],
    /// Guest-physical translations.
    pub gpa_tlb: [usize; 3],
    /// Entries of EPT.
    pub ept_psc: [usize; 4],
}

impl Core {
    /// A core that runs its host with these registers, with empty caches.
    pub fn new(model: Model, regs: ControlRegs) -> Core {
        let geometry = model.geometry;
        let mut core = Core {
            model,
            regs,
            host: None,
            vpid: None,
            eptp: None,
            pml: None,
            pcid: 0,
            space: 0,
            gpa_space: 0,
            ad: false,
            beyond: 0,
            reserved: 0,
            needs: Needs::default(),
            dtlb: Tlb::new(geometry.dtlb),
            itlb: Tlb::new(geometry.itlb),
            psc: Psc::new(geometry.psc),
            gpa_tlb: Tlb::new(geometry.gpa_tlb),
            ept_psc: Psc::new(geometry.ept_psc),
            counters: Counters::default(),
        };
        core.refresh();
        core
    }

    /// Translates the address of an access, and does to the tables what the access does to them.
    ///
    /// A [`Fault`] that is a VM exit is only told: the caller makes the exit with
    /// [`vm_exit`](Self::vm_exit), sees to the cause and enters again.
    #[inline]
    pub fn access(
        &mut self,
        view: &HostView<'_>,
        gva: Gva,
        access: Access,
    ) -> Result<Translation, Fault> {
        self.access_with(view, gva, access, &mut Silent)
    }

    /// The same, watched.
    #[inline]
    pub fn access_with<P: Probe>(
        &mut self,
        view: &HostView<'_>,
        gva: Gva,
        access: Access,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        if !self.regs.is_canonical(gva.0) {
            self.counters.not_canonical += 1;
            return Err(Fault::NotCanonical(gva));
        }
        let need = self.needs.of(access);
        let (tlb, lookups, hits) = match access.kind {
            Kind::Fetch => {
                (&mut self.itlb, &mut self.counters.itlb_lookups, &mut self.counters.itlb_hits)
            }
            Kind::Read | Kind::Write => {
                (&mut self.dtlb, &mut self.counters.dtlb_lookups, &mut self.counters.dtlb_hits)
            }
        };
        *lookups += 1;
        let found = tlb.find(gva.0, self.pcid, self.space);
        if let Some((mapping, size)) = found
            && need.met_by(mapping.rights)
        {
            *hits += 1;
            let hpa = Hpa(in_page(mapping.frame, gva.0, size));
            probe.step(Step::TlbHit { gva, hpa, size });
            return Ok(Translation { hpa, size, reads: 0 });
        }
        self.miss(view, gva, access, need, found.is_some(), probe)
    }

    /// Accesses in order, up to the first that faults; the translations go to the end of `done`.
    pub fn access_batch(
        &mut self,
        view: &HostView<'_>,
        accesses: &[(Gva, Access)],
        done: &mut Vec<Translation>,
    ) -> Result<(), Fault> {
        for (gva, access) in accesses {
            done.push(self.access(view, *gva, *access)?);
        }
        Ok(())
    }

    #[inline(never)]
    fn miss<P: Probe>(
        &mut self,
        view: &HostView<'_>,
        gva: Gva,
        access: Access,
        need: Need,
        insufficient: bool,
        probe: &mut P,
    ) -> Result<Translation, Fault> {
        if insufficient {
            // A mapping that does not suffice is not believed: the tables may allow more by now.
            let (pcid, space) = (self.pcid, self.space);
            self.tlb(access.kind).drop_current(gva.0, pcid, space);
        }
        let core = self;
        let (cached, aided, reads, near) = (true, false, 0, None);
        Walk { core, view, probe, gva, access, need, cached, aided, reads, near }.run()
    }

    pub(crate) fn tlb(&mut self, kind: Kind) -> &mut Tlb {
        match kind {
            Kind::Fetch => &mut self.itlb,
            Kind::Read | Kind::Write => &mut self.dtlb,
        }
    }

    /// Enters a guest (SDM 3C 27). Without a VPID the mappings of VPID 0 are forgotten.
    pub fn vm_entry(&mut self, vmcs: &Vmcs) -> Result<(), EntryError> {
        if self.host.is_some() {
            return Err(EntryError::NonRoot);
        }
        self.model.check(vmcs)?;
        self.host = Some(std::mem::replace(&mut self.regs, vmcs.guest));
        (self.vpid, self.eptp, self.pml) = (vmcs.vpid, vmcs.eptp, vmcs.pml);
        self.counters.vm_entries += 1;
        if self.vpid.is_none() {
            self.counters.flushes.vm_entry += 1;
            self.flush_vpid(0);
        }
        self.refresh();
        Ok(())
    }

    /// Leaves the guest, with what changed while it ran; `None` when none runs.
    pub fn vm_exit(&mut self) -> Option<Vmcs> {
        let host = self.host.take()?;
        let guest = std::mem::replace(&mut self.regs, host);
        let vmcs = Vmcs { guest, vpid: self.vpid, eptp: self.eptp, pml: self.pml };
        self.counters.vm_exits += 1;
        if self.vpid.is_none() {
            self.counters.flushes.vm_exit += 1;
            self.flush_vpid(0);
        }
        (self.vpid, self.eptp, self.pml) = (None, None, None);
        self.refresh();
        Some(vmcs)
    }

    /// Whether a guest runs.
    #[inline]
    pub fn in_guest(&self) -> bool {
        self.host.is_some()
    }

    /// MOV to CR3 (SDM 3A 4.10.4.1): the mappings of the new PCID are forgotten, but for global ones, unless
    /// bit 63 says to keep them. This is what a switch of process does, and a switch of thread does not.
    pub fn mov_to_cr3(&mut self, value: Cr3) -> Result<(), GeneralProtection> {
        let keep = value.NOFLUSH();
        let cr3 = value.with_NOFLUSH(false);
        if keep && !self.regs.cr4.PCIDE() || !self.model.accepts_cr3(cr3) {
            return Err(GeneralProtection);
        }
        self.regs.cr3 = cr3;
        self.refresh();
        if keep {
            self.counters.mov_cr3_noflush += 1;
        } else {
            self.counters.flushes.mov_cr3 += 1;
            self.flush_pcid(self.pcid);
        }
        Ok(())
    }

    /// MOV to CR4 (SDM 3A 4.10.4.1).
    pub fn mov_to_cr4(&mut self, value: Cr4) -> Result<(), GeneralProtection> {
        let old = self.regs.cr4;
        let pcids_begin = value.PCIDE() && !old.PCIDE();
        if value.LA57() != old.LA57() || pcids_begin && self.regs.cr3.PCID() != 0 {
            return Err(GeneralProtection);
        }
        self.regs.cr4 = value;
        let vpid = vpid_of(self.space);
        if value.PGE() != old.PGE() || old.PCIDE() && !value.PCIDE() {
            self.counters.flushes.mov_cr4 += 1;
            self.flush_vpid(vpid);
        } else if value.SMEP() && !old.SMEP() {
            self.counters.flushes.mov_cr4 += 1;
            let pcid = self.pcid;
            self.flush_linear(|tag, of, global| vpid_of(tag) == vpid && (global || of == pcid));
        }
        self.refresh();
        Ok(())
    }

    /// MOV to CR0, with paging kept on; WP counts from the next access on.
    pub fn mov_to_cr0(&mut self, value: Cr0) {
        self.regs.cr0 = value;
        self.refresh();
    }

    /// WRMSR to IA32_EFER; NXE counts from the next walk on.
    pub fn wrmsr_efer(&mut self, value: Efer) {
        self.regs.efer = value;
        self.refresh();
    }

    /// The control registers: of the guest while one runs.
    pub fn regs(&self) -> &ControlRegs {
        &self.regs
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Everything there is to see.
    pub fn inspect(&self) -> CoreState {
        let vmcs = Vmcs { guest: self.regs, vpid: self.vpid, eptp: self.eptp, pml: self.pml };
        let live = Live {
            dtlb: self.dtlb.live(),
            itlb: self.itlb.live(),
            psc: self.psc.live(),
            gpa_tlb: self.gpa_tlb.live(),
            ept_psc: self.ept_psc.live(),
        };
        CoreState {
            model: self.model,
            regs: self.regs,
            vmcs: self.host.map(|_| vmcs),
            live,
            counters: self.counters,
        }
    }

    fn refresh(&mut self) {
        let vpid = self.vpid.map_or(0, NonZeroU16::get);
        self.pcid = self.regs.pcid();
        self.space = space(vpid, self.eptp);
        self.gpa_space = space(0, self.eptp);
        self.ad = self.eptp.is_some_and(Eptp::AD);
        self.beyond = self.model.beyond();
        self.reserved = reserved_everywhere(self.beyond, self.regs.efer.NXE());
        self.needs = Needs::new(&self.regs);
    }
}
