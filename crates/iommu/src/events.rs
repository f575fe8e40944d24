//! The unit's own interrupts: faults, completed waits, page requests (VT-d 7.3, 11.4.7.2, 11.4.9.5, 11.4.11.5).

use siov_spec::vtd::{unit, unit::Reg};

use crate::unit::{Outbound, Unit};

/// The registers of one of the unit's own interrupts.
pub(crate) struct EventRegisters {
    control: Reg,
    data: Reg,
    address: Reg,
    upper: Reg,
}

pub(crate) const FAULT_EVENT: EventRegisters = EventRegisters {
    control: Reg::FECTL,
    data: Reg::FEDATA,
    address: Reg::FEADDR,
    upper: Reg::FEUADDR,
};

pub(crate) const INVALIDATION_EVENT: EventRegisters = EventRegisters {
    control: Reg::IECTL,
    data: Reg::IEDATA,
    address: Reg::IEADDR,
    upper: Reg::IEUADDR,
};

pub(crate) const PAGE_EVENT: EventRegisters = EventRegisters {
    control: Reg::PECTL,
    data: Reg::PEDATA,
    address: Reg::PEADDR,
    upper: Reg::PEUADDR,
};

impl Unit {
    /// Sends an event's interrupt, or leaves it pending while it is masked.
    pub(crate) fn raise(&mut self, event: &EventRegisters) {
        let control = unit::FECTL(self.regs.get(event.control, 0) as u32);
        if control.IM() {
            self.regs.set(event.control, 0, control.with_IP(true).0.into());
            return;
        }
        let low = self.regs.get(event.address, 0);
        let high = self.regs.get(event.upper, 0);
        let data = self.regs.get(event.data, 0) as u32;
        self.send(Outbound::Message { address: high << 32 | low, data });
    }

    /// An event that waited for its mask to go is sent.
    pub(crate) fn unmask(&mut self, event: &EventRegisters) {
        let control = unit::FECTL(self.regs.get(event.control, 0) as u32);
        if control.IP() && !control.IM() {
            self.regs.set(event.control, 0, control.with_IP(false).0.into());
            self.raise(event);
        }
    }

    /// Software has taken care of all that an event was about: one that is still held back is not sent.
    pub(crate) fn serviced(&mut self, event: &EventRegisters) {
        let control = unit::FECTL(self.regs.get(event.control, 0) as u32);
        self.regs.set(event.control, 0, control.with_IP(false).0.into());
    }

    /// Sets bits of FSTS; the fault event goes out unless software has some to take care of already.
    pub(crate) fn set_fault_status(&mut self, set: unit::FSTS) {
        let before = unit::FSTS(self.regs.get(Reg::FSTS, 0) as u32);
        self.regs.set(Reg::FSTS, 0, (before.0 | set.0).into());
        if before.0 & FAULT_CONDITIONS == 0 {
            self.raise(&FAULT_EVENT);
        }
    }

    /// After a write of FSTS or of a record: an event that is held back is over when nothing is left.
    pub(crate) fn fault_status_cleared(&mut self) {
        if self.regs.get(Reg::FSTS, 0) as u32 & FAULT_CONDITIONS == 0 {
            self.serviced(&FAULT_EVENT);
        }
    }
}

/// What software has to take care of before there is another fault event.
const FAULT_CONDITIONS: u32 =
    unit::FSTS(0).with_PFO(true).with_PPF(true).with_IQE(true).with_ICE(true).with_ITE(true).0;
