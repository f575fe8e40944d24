//! What makes a core forget: INVLPG, INVPCID, INVVPID, INVEPT, and what other causes share.

use siov_mem::Gva;
use siov_spec::ept::{
    Eptp, InveptDescriptor, InveptType, InvpcidDescriptor, InvpcidType, InvvpidDescriptor,
    InvvpidType,
};

use crate::tlb::{is_of_ept, vpid_of};
use crate::{Core, GeneralProtection};

/// VMfail: "invalid operand to INVEPT/INVVPID". Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmFail;

impl Core {
    /// INVLPG: the mappings of the address for the current PCID, global ones too, and everything that the
    /// paging-structure caches hold for that PCID (SDM 3A 4.10.4.1).
    pub fn invlpg(&mut self, gva: Gva) {
        self.counters.flushes.invlpg += 1;
        let (vpid, pcid) = (vpid_of(self.space), self.pcid);
        let doomed =
            |tag: u64, of: u16, global: bool| vpid_of(tag) == vpid && (global || of == pcid);
        self.flush_address(gva, doomed);
        self.counters.flushed_lines +=
            self.psc.drop_if(|tag, of| vpid_of(tag) == vpid && of == pcid);
    }

    /// INVPCID, for the current VPID (SDM 2, INVPCID).
    pub fn invpcid(
        &mut self,
        kind: u64,
        descriptor: InvpcidDescriptor,
    ) -> Result<(), GeneralProtection> {
        let kind = InvpcidType::from_raw(kind).ok_or(GeneralProtection)?;
        let [low, address] = descriptor.0;
        let pcid = descriptor.PCID();
        let names_pcid =
            matches!(kind, InvpcidType::INDIVIDUAL_ADDRESS | InvpcidType::SINGLE_CONTEXT);
        let bad_pcid = names_pcid && pcid != 0 && !self.regs.cr4.PCIDE();
        let bad_address =
            kind == InvpcidType::INDIVIDUAL_ADDRESS && !self.regs.is_canonical(address);
        if low != u64::from(pcid) || bad_pcid || bad_address {
            return Err(GeneralProtection);
        }
        self.counters.flushes.invpcid += 1;
        let vpid = vpid_of(self.space);
        match kind {
            InvpcidType::INDIVIDUAL_ADDRESS => {
                self.flush_address(Gva(address), |tag, of, global| {
                    vpid_of(tag) == vpid && of == pcid && !global
                });
                self.counters.flushed_lines +=
                    self.psc.drop_if(|tag, of| vpid_of(tag) == vpid && of == pcid);
            }
            InvpcidType::SINGLE_CONTEXT => self.flush_pcid(pcid),
            InvpcidType::ALL_INCLUDING_GLOBALS => self.flush_vpid(vpid),
            InvpcidType::ALL_CONTEXTS => {
                self.flush_linear(|tag, _, global| vpid_of(tag) == vpid && !global);
            }
        }
        Ok(())
    }

    /// INVVPID: linear and combined mappings, of all PCIDs and all EPT roots (SDM 3C 31.3).
    pub fn invvpid(&mut self, kind: u64, descriptor: InvvpidDescriptor) -> Result<(), VmFail> {
        let kind = InvvpidType::from_raw(kind).ok_or(VmFail)?;
        let [low, address] = descriptor.0;
        let vpid = descriptor.VPID();
        let bad_vpid = kind != InvvpidType::ALL_CONTEXTS && vpid == 0;
        let bad_address =
            kind == InvvpidType::INDIVIDUAL_ADDRESS && !self.regs.is_canonical(address);
        if low != u64::from(vpid) || bad_vpid || bad_address {
            return Err(VmFail);
        }
        self.counters.flushes.invvpid += 1;
        match kind {
            InvvpidType::INDIVIDUAL_ADDRESS => {
                self.flush_address(Gva(address), |tag, _, _| vpid_of(tag) == vpid);
                self.counters.flushed_lines += self.psc.drop_if(|tag, _| vpid_of(tag) == vpid);
            }
            InvvpidType::SINGLE_CONTEXT => self.flush_vpid(vpid),
            InvvpidType::ALL_CONTEXTS => self.flush_linear(|tag, _, _| vpid_of(tag) != 0),
            InvvpidType::SINGLE_CONTEXT_RETAINING_GLOBALS => {
                self.flush_linear(|tag, _, global| vpid_of(tag) == vpid && !global);
            }
        }
        Ok(())
    }

    /// INVEPT: guest-physical and combined mappings, of all VPIDs and PCIDs (SDM 3C 31.3).
    pub fn invept(&mut self, kind: u64, descriptor: InveptDescriptor) -> Result<(), VmFail> {
        let kind = InveptType::from_raw(kind).ok_or(VmFail)?;
        let [pointer, rest] = descriptor.0;
        if rest != 0 {
            return Err(VmFail);
        }
        let root = match kind {
            InveptType::SINGLE_CONTEXT => {
                let eptp = Some(Eptp(pointer)).filter(|eptp| self.model.accepts_eptp(*eptp));
                Some(eptp.ok_or(VmFail)?)
            }
            InveptType::GLOBAL => None,
        };
        self.counters.flushes.invept += 1;
        self.flush_linear(|tag, _, _| is_of_ept(tag, root));
        let doomed = |tag: u64| is_of_ept(tag, root);
        self.counters.flushed_lines += self.gpa_tlb.drop_if(|tag, _, _| doomed(tag));
        self.counters.flushed_lines += self.ept_psc.drop_if(|tag, _| doomed(tag));
        Ok(())
    }

    /// Forgets what translates an address in the current address space, as a fault does.
    pub(crate) fn forget_linear(&mut self, gva: Gva) {
        let (pcid, space) = (self.pcid, self.space);
        self.counters.flushed_lines += self.dtlb.drop_current(gva.0, pcid, space)
            + self.itlb.drop_current(gva.0, pcid, space)
            + self.psc.drop_current(gva.0, pcid, space);
    }

    /// All linear and combined mappings of a VPID.
    pub(crate) fn flush_vpid(&mut self, vpid: u16) {
        self.flush_linear(|tag, _, _| vpid_of(tag) == vpid);
    }

    /// The linear and combined mappings of a PCID of the current VPID, but for global ones.
    pub(crate) fn flush_pcid(&mut self, pcid: u16) {
        let vpid = vpid_of(self.space);
        self.flush_linear(|tag, of, global| vpid_of(tag) == vpid && of == pcid && !global);
    }

    /// The linear and combined mappings that `doomed` picks by tag, PCID and whether global.
    pub(crate) fn flush_linear(&mut self, doomed: impl Fn(u64, u16, bool) -> bool) {
        self.counters.flushed_lines += self.dtlb.drop_if(&doomed)
            + self.itlb.drop_if(&doomed)
            + self.psc.drop_if(|tag, pcid| doomed(tag, pcid, false));
    }

    fn flush_address(&mut self, gva: Gva, doomed: impl Fn(u64, u16, bool) -> bool) {
        self.counters.flushed_lines +=
            self.dtlb.drop_address(gva.0, &doomed) + self.itlb.drop_address(gva.0, &doomed);
    }
}
