//! Drivers of mailboxes: rings as iavf and ice set them up, in a memory for each address space.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part")]

use std::collections::HashMap;

use siov_iommu::Pasid;
use siov_lan::mailbox::{Mailboxes, Memory, Outcome, Owner, Queue, Register, Unreachable};
use siov_mem::Iova;
use siov_spec::e810::{AqDesc, AqFlags, AqOpcode, AqRc};

pub const PF: Owner = Owner::Pf;
pub const A: Owner = Owner::Vsi(3);
pub const B: Owner = Owner::Vsi(767);
/// Nobody's memory.
pub const NOWHERE: Iova = Iova(0x8000_0000);
pub const RING: u32 = 32;
const SPACE: usize = 0x5_0000;

pub const DONE: AqFlags = AqFlags(0).with_DD(true).with_CMP(true);

/// How a descriptor completed: done, done with an error, or not yet; and its return code.
pub fn status(descriptor: AqDesc) -> (AqFlags, u16) {
    (AqFlags(descriptor.FLAGS() & DONE.with_ERR(true).0), descriptor.RETVAL())
}

pub const OK: (AqFlags, u16) = (DONE, 0);

pub fn error(code: AqRc) -> (AqFlags, u16) {
    (DONE.with_ERR(true), code as u16)
}

/// Where a queue's ring is, in its owner's memory.
pub fn ring(queue: Queue) -> Iova {
    match queue {
        Queue::ATQ => Iova(0x0000),
        Queue::ARQ => Iova(0x1000),
    }
}

fn buffer(queue: Queue, index: u32) -> Iova {
    let first = match queue {
        Queue::ATQ => 0x2000,
        Queue::ARQ => 0x2_4000,
    };
    Iova(first + u64::from(index) * 4096)
}

/// Memory of some address spaces, each from 0 on; what is past the end is not there.
#[derive(Default)]
pub struct Spaces {
    spaces: HashMap<Option<Pasid>, Vec<u8>>,
    /// Each DMA: address space, and whether it was a write.
    pub log: Vec<(Option<Pasid>, bool)>,
}

impl Spaces {
    fn part(&mut self, pasid: Option<Pasid>, at: Iova, len: usize) -> Option<&mut [u8]> {
        let from = usize::try_from(at.0).ok()?;
        self.spaces.get_mut(&pasid)?.get_mut(from..from.checked_add(len)?)
    }
}

impl Memory for Spaces {
    fn read(&mut self, pasid: Option<Pasid>, at: Iova, to: &mut [u8]) -> Result<(), Unreachable> {
        self.log.push((pasid, false));
        to.copy_from_slice(self.part(pasid, at, to.len()).ok_or(Unreachable)?);
        Ok(())
    }

    fn write(&mut self, pasid: Option<Pasid>, at: Iova, from: &[u8]) -> Result<(), Unreachable> {
        self.log.push((pasid, true));
        self.part(pasid, at, from.len()).ok_or(Unreachable)?.copy_from_slice(from);
        Ok(())
    }
}

/// A well-formed message of some bytes; [`Guests::send`] gives it its buffer.
pub fn message(opcode: AqOpcode, datalen: u16) -> AqDesc {
    let flags = AqFlags(0).with_SI(true).with_LB(datalen > 512);
    let flags = flags.with_BUF(datalen > 0).with_RD(datalen > 0);
    let descriptor = AqDesc::default().with_FLAGS(flags.0).with_OPCODE(opcode as u16);
    descriptor.with_DATALEN(datalen).with_COOKIE_HIGH(0x0102_0304).with_COOKIE_LOW(0xA0B0_C0D0)
}

/// A descriptor with another buffer.
pub fn at(descriptor: AqDesc, address: Iova) -> AqDesc {
    descriptor.with_ADDR_HIGH((address.0 >> 32) as u32).with_ADDR_LOW(address.0 as u32)
}

/// The mailboxes and the memories of those who use them.
pub struct Guests {
    pub mailboxes: Mailboxes,
    pub memory: Spaces,
    /// Of the last register write.
    pub out: Outcome,
}

fn pasid(owner: Owner) -> Option<Pasid> {
    match owner {
        Owner::Pf => None,
        Owner::Vsi(vsi) => Some(Pasid(1000 + u32::from(vsi))),
    }
}

impl Guests {
    /// Memory for the PF and these owners, their queues set up as Linux does it, all receive buffers posted.
    pub fn new(owners: &[Owner]) -> Self {
        let (mailboxes, memory) = (Mailboxes::new(), Spaces::default());
        let mut guests = Self { mailboxes, memory, out: Outcome::default() };
        guests.mailboxes.set_pasid_mode(true);
        for vsi in [3, 5, 767] {
            guests.mailboxes.set_pasid(vsi, pasid(Owner::Vsi(vsi)));
            guests.memory.spaces.insert(pasid(Owner::Vsi(vsi)), vec![0; SPACE]);
        }
        guests.memory.spaces.insert(None, vec![0; SPACE]);
        for owner in owners.iter().copied() {
            guests.start(owner);
        }
        guests.memory.log.clear();
        guests
    }

    fn start(&mut self, owner: Owner) {
        use Register::*;
        for [h, t, len, bal, bah] in
            [[ATQH, ATQT, ATQLEN, ATQBAL, ATQBAH], [ARQH, ARQT, ARQLEN, ARQBAL, ARQBAH]]
        {
            let queue = if bal == ATQBAL { Queue::ATQ } else { Queue::ARQ };
            let values = [0, 0, 0x8000_0000 | RING, ring(queue).0 as u32, 0];
            for (register, value) in [h, t, len, bal, bah].into_iter().zip(values) {
                self.set(owner, register, value);
            }
        }
        for index in 0..RING {
            self.refill(owner, index);
        }
        self.set(owner, ARQT, RING - 1);
    }

    fn refill(&mut self, owner: Owner, index: u32) {
        let flags = AqFlags(0).with_BUF(true).with_LB(true);
        let posted = AqDesc::default().with_FLAGS(flags.0).with_DATALEN(4096);
        let posted = at(posted, buffer(Queue::ARQ, index));
        self.put_descriptor(owner, Queue::ARQ, index, posted);
    }

    /// Give the receive buffer that was just read back to the device.
    pub fn post(&mut self, owner: Owner, index: u32) {
        self.refill(owner, index);
        self.set(owner, Register::ARQT, index);
    }

    pub fn set(&mut self, owner: Owner, register: Register, value: u32) {
        self.out.clear();
        self.mailboxes.write(owner, register, value, &mut self.memory, &mut self.out);
    }

    pub fn get(&self, owner: Owner, register: Register) -> u32 {
        self.mailboxes.read(owner, register)
    }

    pub fn dmas(&self) -> usize {
        self.memory.log.len()
    }

    fn memory_of(&mut self, owner: Owner, at: Iova, len: usize) -> &mut [u8] {
        self.memory.part(pasid(owner), at, len).unwrap()
    }

    pub fn put_descriptor(&mut self, owner: Owner, queue: Queue, index: u32, descriptor: AqDesc) {
        let at = Iova(ring(queue).0 + u64::from(index) * 32);
        self.memory_of(owner, at, 32).copy_from_slice(&descriptor.to_bytes());
    }

    fn descriptor(&mut self, owner: Owner, queue: Queue, index: u32) -> AqDesc {
        let at = Iova(ring(queue).0 + u64::from(index) * 32);
        AqDesc::from_bytes((&*self.memory_of(owner, at, 32)).try_into().unwrap())
    }

    pub fn sent(&mut self, owner: Owner, index: u32) -> AqDesc {
        self.descriptor(owner, Queue::ATQ, index)
    }

    pub fn received(&mut self, owner: Owner, index: u32) -> AqDesc {
        self.descriptor(owner, Queue::ARQ, index)
    }

    pub fn data(&mut self, owner: Owner, index: u32, len: usize) -> Vec<u8> {
        self.memory_of(owner, buffer(Queue::ARQ, index), len).to_vec()
    }

    /// Put a message at the tail of an owner's send queue and ring the doorbell.
    ///
    /// A descriptor without an address gets the entry's own buffer, with the data in it.
    pub fn send(&mut self, owner: Owner, mut descriptor: AqDesc, data: &[u8]) {
        let tail = self.get(owner, Register::ATQT);
        if (descriptor.ADDR_HIGH(), descriptor.ADDR_LOW()) == (0, 0) {
            descriptor = self.fill(owner, tail, descriptor, data);
        }
        self.put_descriptor(owner, Queue::ATQ, tail, descriptor);
        self.set(owner, Register::ATQT, (tail + 1) % RING);
    }

    /// Put data into the buffer of an entry of the send queue: the descriptor with that buffer.
    pub fn fill(&mut self, owner: Owner, index: u32, descriptor: AqDesc, data: &[u8]) -> AqDesc {
        let buffer = buffer(Queue::ATQ, index);
        self.memory_of(owner, buffer, data.len()).copy_from_slice(data);
        at(descriptor, buffer)
    }
}
