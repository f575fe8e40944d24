//! How faults are recorded (VT-d 7.2, 11.4.7.6).

use siov_spec::vtd::{AddressType, FaultRecordHi, FaultRecordLo, unit, unit::Reg};

use crate::types::{Fault, RequestKind};
use crate::unit::Unit;

impl Unit {
    /// Records a fault, unless a table entry forbids it.
    ///
    /// Records are used one after the other, in a circle, which is the order software takes them in.
    pub(crate) fn report(&mut self, fault: &Fault) {
        if fault.silent && fault.reason.is_qualified() {
            return;
        }
        let status = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32);
        if status.PFO() {
            return;
        }
        let index = self.next_record;
        if self.record_in_use(index) {
            self.regs.set(Reg::FSTS, 0, status.with_PFO(true).0.into());
            return;
        }
        let (low, high) = record(fault);
        self.regs.set(Reg::FRCD_LO, index, low);
        self.regs.set(Reg::FRCD_HI, index, high);
        self.next_record = (index + 1) % self.fault_records();
        if !status.PPF() {
            self.regs.set(Reg::FSTS, 0, status.with_FRI(index as u8).0.into());
            self.set_fault_status(unit::FSTS(0).with_PPF(true));
        }
    }

    /// PPF is the OR of all records' F bits; FRI stays where the first one was.
    pub(crate) fn update_pending_fault(&mut self) {
        let pending = (0..self.fault_records()).any(|index| self.record_in_use(index));
        let status = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32).with_PPF(pending);
        self.regs.set(Reg::FSTS, 0, status.0.into());
        self.fault_status_cleared();
    }

    fn record_in_use(&self, index: u32) -> bool {
        FaultRecordHi(self.regs.get(Reg::FRCD_HI, index)).F()
    }

    fn fault_records(&self) -> u32 {
        self.regs.layout().elements(Reg::FRCD_HI.into())
    }
}

/// A fault as a fault recording register holds it: low and high double word.
fn record(fault: &Fault) -> (u64, u64) {
    let page_request = fault.kind == RequestKind::PageRequest;
    let with_pasid = fault.pasid.is_some();
    let address_type = match fault.kind {
        RequestKind::TranslationRequest => AddressType::TRANSLATION_REQUEST,
        RequestKind::Translated => AddressType::TRANSLATED,
        _ => AddressType::UNTRANSLATED,
    };
    let low = FaultRecordLo(0).with_FI(fault.addr.0 >> 12);
    let high = FaultRecordHi(0)
        .with_SID(fault.rid.0)
        .with_T1(!fault.access.write && !page_request)
        .with_T2(page_request)
        .with_PRIV(with_pasid && fault.access.privileged)
        .with_EXE(with_pasid && fault.access.execute)
        .with_PP(with_pasid)
        .with_PV(fault.pasid.map_or(0, |pasid| pasid.0))
        .with_AT(address_type as u8)
        .with_FR(fault.reason as u8)
        .with_F(true);
    (low.0, high.0)
}
