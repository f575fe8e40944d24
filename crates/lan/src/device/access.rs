//! What software does to the BARs.

use std::sync::Weak;

use siov_bus::Mmio;
use siov_mem::Word;
use siov_spec::e810::bar0::{self, Reg};
use siov_spec::{Change, Write};

use super::counters::{base_for, counted, shown};
use super::events::{Event, ResetKind};
use super::map::{Place, VectorRegister};
use super::{Device, Nic, NicError};
use crate::interrupt::Cause;
use crate::mailbox::{Outcome, Owner, Register};

/// One of the device's BARs on the bus, which keeps nobody alive: the device itself holds the bus.
pub(super) struct Bar {
    pub device: Weak<Device>,
    pub bar: u32,
}

impl Mmio for Bar {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match (self.device.upgrade(), u32::try_from(offset)) {
            (Some(device), Ok(offset)) => device.read_bar(self.bar, offset, data),
            _ => data.fill(0xFF),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> bool {
        let (Some(device), Ok(offset)) = (self.device.upgrade(), u32::try_from(offset)) else {
            return false;
        };
        device.write_bar(self.bar, offset, data);
        device.events.any()
    }

    fn share(&self, offset: u64, word: Option<Word>) -> bool {
        let device = self.device.upgrade().filter(|_| self.bar == 0);
        let (Some(device), Ok(offset)) = (device, u32::try_from(offset)) else { return false };
        device.share(offset, word)
    }
}

impl Nic {
    /// Reads from BAR 0 or 3, as software does; what is nowhere reads as zero.
    pub fn bar_read(&self, bar: u32, offset: u32, data: &mut [u8]) {
        self.device.read_bar(bar, offset, data);
    }

    /// Writes to BAR 0 or 3, with what comes of it.
    pub fn bar_write(&self, bar: u32, offset: u32, data: &[u8]) {
        self.device.write_bar(bar, offset, data);
    }

    /// A register by name, as hardware sees it: reading has no effect.
    pub fn register(&self, name: &str, index: u32) -> Result<u64, NicError> {
        let device = &self.device;
        let (id, bytes) = device.element(name, index)?;
        if let Some((owner, register)) = Reg::from_id(id).and_then(|id| mailbox(id, index)) {
            return Ok(device.mailboxes().read(owner, register).into());
        }
        if Reg::from_id(id) == Some(Reg::PFINT_OICR) {
            return Ok(device.vectors.other().into());
        }
        let count = Reg::from_id(id).and_then(|id| counted(&device.path, id, index));
        let base = device.regs().get(id, index);
        Ok(count.map_or(base, |count| shown(base, count, bytes)))
    }

    /// Sets a register by name, as hardware does: no mask holds it back, nothing comes of it.
    pub fn set_register(&self, name: &str, value: u64, index: u32) -> Result<(), NicError> {
        let device = &self.device;
        let (id, bytes) = device.element(name, index)?;
        let count = Reg::from_id(id).and_then(|id| counted(&device.path, id, index));
        let value = count.map_or(value, |count| base_for(value, count, bytes));
        device.regs().set(id, index, value);
        Ok(())
    }
}

impl Device {
    fn element(&self, name: &str, index: u32) -> Result<(u16, u8), NicError> {
        let regs = self.regs();
        let layout = regs.layout();
        let id = layout.id(name).ok_or_else(|| NicError::Register(name.into()))?;
        let count = layout.elements(id);
        if index >= count {
            return Err(NicError::Element { name: name.into(), count, index });
        }
        Ok((id, layout.register(id).map_or(4, |register| register.size)))
    }

    fn read_bar(&self, bar: u32, offset: u32, data: &mut [u8]) {
        data.fill(0);
        match bar {
            0 => self.read_bar0(offset, data),
            3 => self.vectors.read_bar3(offset.into(), data),
            _ => {}
        }
    }

    fn write_bar(&self, bar: u32, offset: u32, data: &[u8]) {
        match bar {
            0 => self.write_bar0(offset, data),
            3 => self.vectors.write_bar3(offset.into(), data),
            _ => {}
        }
    }

    fn read_bar0(&self, offset: u32, data: &mut [u8]) {
        for (at, part) in double_words(offset, data.len()) {
            let bytes = self.read_word(at & !3).to_le_bytes();
            let from = bytes.get((at & 3) as usize..).unwrap_or_default();
            for (to, from) in data.iter_mut().skip(part).zip(from) {
                *to = *from;
            }
        }
    }

    fn write_bar0(&self, offset: u32, data: &[u8]) {
        // A write may cover plain registers and others: each goes where it belongs, a double word at a time.
        for (at, part) in double_words(offset, data.len()) {
            let len = 4 - (at & 3) as usize;
            let rest = data.get(part..).unwrap_or_default();
            let bytes = rest.get(..len).unwrap_or(rest);
            match (self.map.place(at & !3), bytes.first_chunk::<4>()) {
                (Place::Plain, _) => self.write_plain(at, bytes),
                (place, Some(bytes)) => self.write_word(place, u32::from_le_bytes(*bytes)),
                // Registers of queues and vectors take whole double words only.
                (_, None) => {}
            }
        }
    }

    fn read_word(&self, offset: u32) -> u32 {
        match self.map.place(offset) {
            Place::TxDoorbell(queue) => self.path.tx_tail(queue),
            Place::RxTail(queue) => self.path.rx_tail(queue),
            Place::Vector(vector, register) => self.vectors.read(vector, register),
            Place::Mailbox(owner, register) => self.mailboxes().read(owner, register),
            Place::Ims(at) => {
                let mut bytes = [0; 4];
                self.vectors.read_ims(at, &mut bytes);
                u32::from_le_bytes(bytes)
            }
            Place::Plain => self.read_plain(offset),
            Place::Nothing => 0,
        }
    }

    fn read_plain(&self, offset: u32) -> u32 {
        let Some((id, index)) = self.map.register(offset) else { return 0 };
        let register = Reg::from_id(id);
        match register {
            Some(Reg::PFINT_OICR) => return self.vectors.read_other(),
            Some(Reg::QTX_COMM_HEAD) => {
                let head = u16::try_from(index).ok().and_then(|queue| self.path.tx_head(queue));
                return head.unwrap_or(0);
            }
            _ => {}
        }
        if let Some(value) = register.and_then(|register| self.filters(register, index)) {
            return value;
        }
        let count = register.and_then(|register| counted(&self.path, register, index));
        let regs = self.regs();
        let Some(count) = count else { return regs.read_number(offset, 4) as u32 };
        let bytes = regs.layout().register(id).map_or(4, |register| register.size);
        let value = shown(regs.get(id, index), count, bytes);
        if bytes == 8 && offset & 4 != 0 { (value >> 32) as u32 } else { value as u32 }
    }

    fn write_word(&self, place: Place, value: u32) {
        match place {
            Place::TxDoorbell(queue) => self.path.ring(queue, value),
            Place::RxTail(queue) => self.path.set_rx_tail(queue, value),
            Place::Vector(vector, register) => {
                self.vectors.write(vector, register, value);
            }
            Place::Mailbox(owner, register) => self.write_mailbox(owner, register, value),
            Place::Ims(at) => self.vectors.write_ims(at, &value.to_le_bytes()),
            Place::Plain | Place::Nothing => {}
        }
    }

    /// Tails and throttling timers can be words of shared memory: what matters of them is their value. A
    /// register that acts on each write can't.
    fn share(&self, offset: u32, word: Option<Word>) -> bool {
        match self.map.place(offset) {
            Place::TxDoorbell(queue) => match u16::try_from(queue) {
                Ok(queue) => self.path.set_direct_tx(queue, word),
                Err(_) => return false,
            },
            Place::RxTail(queue) => match u16::try_from(queue) {
                Ok(queue) => self.path.set_direct_rx(queue, word),
                Err(_) => return false,
            },
            Place::Vector(vector, VectorRegister::Itr(timer)) => {
                self.vectors.share(vector, timer, word);
            }
            _ => return false,
        }
        true
    }

    fn write_mailbox(&self, owner: Owner, register: Register, value: u32) {
        let mut outcome = Outcome::default();
        {
            let mut mailboxes = self.mailboxes();
            let mut dma = self.mailbox_way.begin();
            mailboxes.write(owner, register, value, &mut dma, &mut outcome);
        }
        let causes: Vec<Cause> = outcome.causes.iter().map(|of| self.mailbox_cause(*of)).collect();
        self.vectors.raise(&causes);
        for stop in &outcome.stops {
            if let Owner::Vsi(vsi) = stop.owner {
                self.events.push(Event::Mailbox(vsi));
            }
        }
        if !outcome.stops.is_empty() {
            self.requester.bus().settle_batch();
        }
    }

    fn write_plain(&self, at: u32, data: &[u8]) {
        let mut write = Write::new(at, data);
        loop {
            // The lock is let go before the side effect, which may take others.
            let Some(change) = self.regs().step(&mut write) else { break };
            if let Some(register) = Reg::from_id(change.id) {
                self.written(register, &change);
            }
        }
    }

    fn written(&self, register: Reg, change: &Change) {
        let (index, new) = (change.index, change.new as u32);
        let rises = |bit: fn(u32) -> bool| bit(new) && !bit(change.old as u32);
        match register {
            Reg::QRX_CTRL => self.rx_control(index, bar0::QRX_CTRL(new)),
            Reg::QINT_TQCTL | Reg::QINT_RQCTL => self.queue_cause(register, index, new),
            Reg::PFINT_OICR => self.vectors.raise_other(change.written as u32),
            Reg::PFINT_OICR_ENA => self.vectors.enable_other(new),
            Reg::PFINT_OICR_CTL => self.vectors.set_other(Cause::from_register(new)),
            Reg::GLINT_CTL => self.vectors.set_automask(!bar0::GLINT_CTL(new).DIS_AUTOMASK()),
            Reg::GL_MBX_PASID => {
                self.mailboxes().set_pasid_mode(bar0::GL_MBX_PASID(new).PASID_MODE());
            }
            Reg::PFQF_FD_ENA => {
                let on = bar0::PFQF_FD_ENA(new).FD_ENA();
                self.path.change_flows(|flows| flows.set_enabled(on));
            }
            Reg::PF_FW_ATQT | Reg::PF_FW_ARQT | Reg::PF_FW_ATQLEN | Reg::PF_FW_ARQLEN => {
                self.events.push(Event::AdminQueue);
            }
            Reg::PFGEN_CTRL if rises(|word| bar0::PFGEN_CTRL(word).PFSWR()) => {
                self.events.push(Event::Reset(ResetKind::PFR));
            }
            Reg::GLGEN_RTRIG => {
                let trigger = bar0::GLGEN_RTRIG(change.written as u32);
                let asked = [
                    (trigger.EMPFWR(), ResetKind::EMPR),
                    (trigger.GLOBR(), ResetKind::GLOBR),
                    (trigger.CORER(), ResetKind::CORER),
                ];
                // The greater reset has the smaller one in it.
                if let Some((_, kind)) = asked.iter().find(|(asked, _)| *asked) {
                    self.events.push(Event::Reset(*kind));
                }
            }
            Reg::VSIGEN_RTRIG if rises(|word| bar0::VSIGEN_RTRIG(word).VMSWR()) => {
                if let Ok(vsi) = u16::try_from(index) {
                    self.events.push(Event::VsiReset(vsi));
                }
            }
            _ => {}
        }
    }

    /// Registers that the flow director counts in.
    fn filters(&self, register: Reg, index: u32) -> Option<u32> {
        let vsi = || siov_switch::VsiId::new(u16::try_from(index).ok()?);
        self.path.look_flows(|flows| {
            Some(match register {
                Reg::GLQF_FD_SIZE => flows.size().word(),
                Reg::GLQF_FD_CNT | Reg::PFQF_FD_CNT => flows.count().word(),
                Reg::PFQF_FD_SIZE => flows.pf_size().word(),
                Reg::VSIQF_FD_SIZE => flows.vsi_size(vsi()?).word(),
                Reg::VSIQF_FD_CNT => flows.vsi_count(vsi()?).word(),
                _ => return None,
            })
        })
    }
}

/// The double words that a stretch touches: where in it each begins, and its place in the data.
fn double_words(offset: u32, len: usize) -> impl Iterator<Item = (u32, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset.checked_add(u32::try_from(done).ok()?)?;
        let part = done;
        done += 4 - (at & 3) as usize;
        (part < len).then_some((at, part))
    })
}

/// Whose mailbox a register belongs to.
fn mailbox(register: Reg, index: u32) -> Option<(Owner, Register)> {
    match super::map::mailbox(register, index) {
        Place::Mailbox(owner, register) => Some((owner, register)),
        _ => None,
    }
}
