//! The descriptor of a mailbox queue, in the form of the admin queue's.

use siov_mem::Iova;

/// The longest message.
pub const MAX_DATA: usize = 4096;
/// The longest message that needs no LB flag.
const SMALL_DATA: u16 = 512;

/// Opcodes of the mailbox.
#[expect(missing_docs, reason = "the names of the driver's interface")]
pub mod opcode {
    pub const QUEUE_SHUTDOWN: u16 = 0x0003;
    pub const SEND_MSG_TO_PF: u16 = 0x0801;
    pub const SEND_MSG_TO_VF: u16 = 0x0802;
}

/// Bits of a descriptor's flags.
#[expect(missing_docs, reason = "the names of the driver's interface")]
pub mod flags {
    pub const DD: u16 = 1 << 0;
    pub const CMP: u16 = 1 << 1;
    pub const ERR: u16 = 1 << 2;
    pub const LB: u16 = 1 << 9;
    pub const RD: u16 = 1 << 10;
    pub const BUF: u16 = 1 << 12;
    pub const SI: u16 = 1 << 13;
}

/// What a descriptor completes with; the admin queue's return codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The message is in the receiver's buffer.
    Ok = 0,
    /// No such opcode here.
    Esrch = 3,
    /// No such VSI.
    Enxio = 6,
    /// Longer than a message can be, or than the receiver's buffer.
    E2big = 7,
    /// The receiver has no free buffer.
    Ebusy = 12,
    /// Data without a buffer to read it from, or a large one without LB.
    Einval = 14,
    /// The receiver's queue doesn't run.
    Enosys = 17,
}

/// A descriptor: 32 bytes, little endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// See [`flags`].
    pub flags: u16,
    /// See [`opcode`].
    pub opcode: u16,
    /// Bytes of the message, or of the buffer that is posted.
    pub datalen: u16,
    /// The [`Status`] of a sent message; who sent it in the PF's receive queue.
    pub retval: u16,
    /// The virtchnl opcode; passed on as it is.
    pub cookie_high: u32,
    /// The virtchnl status; passed on as it is.
    pub cookie_low: u32,
    /// The receiving VSI, of a message of the PF.
    pub param0: u32,
    /// Unused.
    pub param1: u32,
    /// The buffer.
    pub address: Iova,
}

impl Descriptor {
    /// Bytes in memory.
    pub const SIZE: usize = 32;

    /// Decode.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let [f0, f1, o0, o1, d0, d1, r0, r1, rest @ ..] = *bytes;
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(rest.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let [cookie_high, cookie_low, param0, param1, address_high, address_low] = words;
        Self {
            flags: u16::from_le_bytes([f0, f1]),
            opcode: u16::from_le_bytes([o0, o1]),
            datalen: u16::from_le_bytes([d0, d1]),
            retval: u16::from_le_bytes([r0, r1]),
            cookie_high,
            cookie_low,
            param0,
            param1,
            address: Iova(u64::from(address_high) << 32 | u64::from(address_low)),
        }
    }

    /// Encode.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let halves = [self.flags, self.opcode, self.datalen, self.retval];
        let address = self.address.0;
        let words = [self.cookie_high, self.cookie_low, self.param0, self.param1];
        let words = words.into_iter().chain([(address >> 32) as u32, address as u32]);
        let bytes = halves.into_iter().flat_map(u16::to_le_bytes);
        let bytes = bytes.chain(words.flat_map(u32::to_le_bytes));
        let mut out = [0; Self::SIZE];
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        out
    }

    /// Whether a message to send is well-formed.
    pub(super) fn check(&self) -> Status {
        if self.datalen == 0 {
            Status::Ok
        } else if usize::from(self.datalen) > MAX_DATA {
            Status::E2big
        } else if self.flags & (flags::BUF | flags::RD) != flags::BUF | flags::RD
            || self.datalen > SMALL_DATA && self.flags & flags::LB == 0
        {
            Status::Einval
        } else {
            Status::Ok
        }
    }

    /// Bytes of the buffer that a receive descriptor posts.
    pub(super) fn room(&self) -> u16 {
        if self.flags & flags::BUF == 0 { 0 } else { self.datalen }
    }

    /// The descriptor of a sent message, completed.
    pub(super) fn completed(mut self, status: Status) -> Self {
        self.flags |= flags::DD | flags::CMP;
        if status != Status::Ok {
            self.flags |= flags::ERR;
        }
        self.retval = status as u16;
        self
    }
}
