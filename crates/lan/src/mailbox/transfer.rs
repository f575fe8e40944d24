//! Moving messages: what a doorbell sets off.

use std::collections::BTreeSet;

use siov_iommu::Pasid;
use siov_mem::Iova;
use siov_spec::e810::{AQ_DESC_BYTES, AQ_MAX_BUF, AqDesc, AqFlags, AqOpcode, AqRc, VSIS};

use super::descriptor::{buffer, check, completed, received, room};
use super::registers::{Mailbox, Queue, Register, Ring};
use super::{Memory, Owner, Unreachable};

/// A queue that stopped: CRIT is set in its LEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub queue: Queue,
    /// A DMA failed; else its head or tail is outside the ring.
    pub fault: bool,
}

/// What a register write led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whose mailbox cause to raise (VPINT_MBX_CTL, PFINT_MBX_CTL); no one twice in a row.
    pub causes: Vec<Owner>,
    /// Queues that stopped.
    pub stops: Vec<Stop>,
}

impl Outcome {
    /// Forget everything; the room stays.
    pub fn clear(&mut self) {
        self.causes.clear();
        self.stops.clear();
    }

    fn cause(&mut self, owner: Owner) {
        if self.causes.last() != Some(&owner) {
            self.causes.push(owner);
        }
    }
}

/// How far a message came.
enum Sent {
    /// To an end, good or bad: its descriptor completes.
    Done(AqRc),
    /// The PF has no buffer for it.
    Waits,
}

impl From<AqRc> for Sent {
    fn from(status: AqRc) -> Self {
        Self::Done(status)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Guest {
    mailbox: Mailbox,
    pasid: Option<Pasid>,
}

/// All mailboxes of a device.
///
/// A write moves what it can before it returns, at most a ring of messages for each VSI that waits.
#[derive(Debug)]
pub struct Mailboxes {
    pf: Mailbox,
    guests: Vec<Guest>,
    pasid_mode: bool,
    /// VSIs with messages for which the PF had no buffer.
    waiting: BTreeSet<u16>,
    /// Whose turn it is.
    turn: u16,
}

impl Default for Mailboxes {
    fn default() -> Self {
        Self::new()
    }
}

impl Mailboxes {
    /// Mailboxes as after a core reset.
    pub fn new() -> Self {
        Self {
            pf: Mailbox::default(),
            guests: vec![Guest::default(); VSIS as usize],
            pasid_mode: false,
            waiting: BTreeSet::new(),
            turn: 0,
        }
    }

    /// A register as software reads it; 0 for a VSI that does not exist.
    pub fn read(&self, owner: Owner, register: Register) -> u32 {
        match owner {
            Owner::Pf => self.pf.read(register),
            Owner::Vsi(vsi) => {
                self.guests.get(usize::from(vsi)).map_or(0, |guest| guest.mailbox.read(register))
            }
        }
    }

    /// A register write of software, and the messages that move for it.
    pub fn write(
        &mut self,
        owner: Owner,
        register: Register,
        value: u32,
        memory: &mut impl Memory,
        out: &mut Outcome,
    ) {
        let Some(mailbox) = self.mailbox(owner) else { return };
        mailbox.write(register, value);
        match (owner, register) {
            (Owner::Pf, Register::ATQT) => self.drain(owner, memory, out),
            (Owner::Pf, Register::ARQT) => self.serve_waiting(memory, out),
            (Owner::Vsi(vsi), Register::ATQT) => {
                self.waiting.remove(&vsi);
                self.drain(owner, memory, out);
            }
            // A ring that is set up anew has no old message in it.
            (Owner::Vsi(vsi), Register::ATQLEN | Register::ATQH) => {
                self.waiting.remove(&vsi);
            }
            _ => {}
        }
    }

    /// GL_MBX_PASID.PASID_MODE: the DMA of VSIs carries their PASIDs.
    pub fn set_pasid_mode(&mut self, on: bool) {
        self.pasid_mode = on;
    }

    /// The PASID of a VSI's properties, `None` when it is not valid.
    pub fn set_pasid(&mut self, vsi: u16, pasid: Option<Pasid>) {
        if let Some(guest) = self.guests.get_mut(usize::from(vsi)) {
            guest.pasid = pasid;
        }
    }

    /// Reset of a VSI: its queues stop (LEN is 0), its other registers stay.
    pub fn reset_vsi(&mut self, vsi: u16) {
        if let Some(guest) = self.guests.get_mut(usize::from(vsi)) {
            guest.mailbox.stop();
        }
        self.waiting.remove(&vsi);
    }

    /// Reset of the PF: all queues stop (LEN is 0), the other registers stay.
    pub fn reset_pf(&mut self) {
        self.pf.stop();
        self.guests.iter_mut().for_each(|guest| guest.mailbox.stop());
        self.waiting.clear();
    }

    /// A core reset: everything as new, PASIDs too.
    pub fn reset_core(&mut self) {
        *self = Self::new();
    }

    fn mailbox(&mut self, owner: Owner) -> Option<&mut Mailbox> {
        match owner {
            Owner::Pf => Some(&mut self.pf),
            Owner::Vsi(vsi) => {
                self.guests.get_mut(usize::from(vsi)).map(|guest| &mut guest.mailbox)
            }
        }
    }

    fn ring(&mut self, owner: Owner, queue: Queue) -> Option<&mut Ring> {
        self.mailbox(owner).map(|mailbox| mailbox.ring(queue))
    }

    /// The address space of an owner's rings and buffers.
    fn space(&self, owner: Owner) -> Result<Option<Pasid>, Unreachable> {
        match owner {
            Owner::Vsi(vsi) if self.pasid_mode => {
                let guest = self.guests.get(usize::from(vsi)).ok_or(Unreachable)?;
                guest.pasid.map(Some).ok_or(Unreachable)
            }
            _ => Ok(None),
        }
    }

    /// The running queue's next descriptor and where it is; `None` when there is none, or the queue stops.
    fn fetch(
        &mut self,
        owner: Owner,
        queue: Queue,
        memory: &mut impl Memory,
        out: &mut Outcome,
    ) -> Option<(Iova, AqDesc)> {
        let ring = *self.ring(owner, queue)?;
        if !ring.runs() || ring.is_empty() {
            return None;
        }
        let Some(at) = ring.head_at(AQ_DESC_BYTES.into()) else {
            self.stop(Stop { owner, queue, fault: false }, out);
            return None;
        };
        let mut bytes = [0; AQ_DESC_BYTES as usize];
        let read = self.space(owner).and_then(|pasid| memory.read(pasid, at, &mut bytes));
        self.reached(read, owner, queue, out)?;
        Some((at, AqDesc::from_bytes(&bytes)))
    }

    /// `None` when a DMA failed, which stops the queue.
    fn reached(
        &mut self,
        result: Result<(), Unreachable>,
        owner: Owner,
        queue: Queue,
        out: &mut Outcome,
    ) -> Option<()> {
        if result.is_err() {
            self.stop(Stop { owner, queue, fault: true }, out);
        }
        result.ok()
    }

    fn stop(&mut self, stop: Stop, out: &mut Outcome) {
        if let Some(ring) = self.ring(stop.owner, stop.queue) {
            ring.len = ring.len.with_CRIT(true);
        }
        if stop.owner != Owner::Pf {
            let ring = self.pf.ring(stop.queue);
            ring.len = ring.len.with_VFE(true);
            out.cause(Owner::Pf);
        }
        out.stops.push(stop);
    }

    fn drain(&mut self, owner: Owner, memory: &mut impl Memory, out: &mut Outcome) {
        while self.step(owner, memory, out).is_some() {}
    }

    /// One message of each waiting VSI in turn, until the PF's queue is full or nobody waits.
    fn serve_waiting(&mut self, memory: &mut impl Memory, out: &mut Outcome) {
        while self.pf.arq.runs() && !self.pf.arq.is_empty() {
            let next = self.waiting.range(self.turn..).next().or(self.waiting.first());
            let Some(vsi) = next.copied() else { return };
            self.turn = vsi.saturating_add(1);
            self.waiting.remove(&vsi);
            if self.step(Owner::Vsi(vsi), memory, out).is_some() {
                self.waiting.insert(vsi);
            }
        }
    }

    /// Send an owner's next message; `None` when there is none, or it has to wait, or its queue has stopped.
    fn step(&mut self, owner: Owner, memory: &mut impl Memory, out: &mut Outcome) -> Option<()> {
        let (at, sent) = self.fetch(owner, Queue::ATQ, memory, out)?;
        let Sent::Done(status) = self.send(owner, sent, memory, out)? else {
            if let Owner::Vsi(vsi) = owner {
                self.waiting.insert(vsi);
            }
            return None;
        };
        let bytes = completed(sent, status).to_bytes();
        let written = self.space(owner).and_then(|pasid| memory.write(pasid, at, &bytes));
        self.reached(written, owner, Queue::ATQ, out)?;
        self.ring(owner, Queue::ATQ)?.advance();
        if !AqFlags(sent.FLAGS()).SI() {
            out.cause(owner);
        }
        Some(())
    }

    /// What a descriptor asks for; `None` when its buffer can't be reached.
    fn send(
        &mut self,
        from: Owner,
        sent: AqDesc,
        memory: &mut impl Memory,
        out: &mut Outcome,
    ) -> Option<Sent> {
        let (to, sender) = match (from, AqOpcode::from_raw(sent.OPCODE().into())) {
            (_, Some(AqOpcode::Q_SHUTDOWN)) => return Some(AqRc::OK.into()),
            (Owner::Vsi(vsi), Some(AqOpcode::SEND_MSG_TO_PF)) => (Owner::Pf, vsi),
            (Owner::Pf, Some(AqOpcode::SEND_MSG_TO_VF)) => match u16::try_from(sent.PARAM0()) {
                Ok(vsi) if u32::from(vsi) < VSIS => (Owner::Vsi(vsi), 0),
                _ => return Some(AqRc::ENXIO.into()),
            },
            _ => return Some(AqRc::ESRCH.into()),
        };
        let checked = check(sent);
        if checked != AqRc::OK {
            return Some(checked.into());
        }
        if to == Owner::Pf && self.pf.arq.is_full() {
            return Some(Sent::Waits);
        }
        let mut bytes = [0; AQ_MAX_BUF as usize];
        let data = bytes.get_mut(..sent.DATALEN().into())?;
        if !data.is_empty() {
            let read = self.space(from).and_then(|pasid| memory.read(pasid, buffer(sent), data));
            self.reached(read, from, Queue::ATQ, out)?;
        }
        Some(self.deliver(to, sent, sender, data, memory, out).into())
    }

    /// Put a message into the receiver's next buffer.
    fn deliver(
        &mut self,
        to: Owner,
        sent: AqDesc,
        sender: u16,
        data: &[u8],
        memory: &mut impl Memory,
        out: &mut Outcome,
    ) -> AqRc {
        let Some(arq) = self.ring(to, Queue::ARQ).filter(|arq| arq.runs()) else {
            return AqRc::ENOSYS;
        };
        if arq.is_empty() {
            arq.len = arq.len.with_OVFL(true);
            return AqRc::EBUSY;
        }
        let Some((at, posted)) = self.fetch(to, Queue::ARQ, memory, out) else {
            return AqRc::ENOSYS;
        };
        if sent.DATALEN() > room(posted) {
            return AqRc::E2BIG;
        }
        let event = received(sent, sender, posted).to_bytes();
        let written = self.space(to).and_then(|pasid| {
            if !data.is_empty() {
                memory.write(pasid, buffer(posted), data)?;
            }
            memory.write(pasid, at, &event)
        });
        if self.reached(written, to, Queue::ARQ, out).is_none() {
            return AqRc::ENOSYS;
        }
        if let Some(arq) = self.ring(to, Queue::ARQ) {
            arq.advance();
        }
        out.cause(to);
        AqRc::OK
    }
}
