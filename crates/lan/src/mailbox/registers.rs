//! The ten registers of a mailbox.

use siov_mem::Iova;
use siov_spec::e810::vsi_mailbox as words;
use siov_spec::e810::vsi_mailbox::ATQLEN;

/// A queue of a mailbox, as seen by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The send queue.
    ATQ,
    /// The receive queue.
    ARQ,
}

/// A register of a mailbox: VSI_MBX_* on a VSI's page, PF_MBX_* on the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's names: base low and high, length, head, tail")]
pub enum Register {
    ATQBAL,
    ATQBAH,
    ATQLEN,
    ATQH,
    ATQT,
    ARQBAL,
    ARQBAH,
    ARQLEN,
    ARQH,
    ARQT,
}

impl Register {
    /// All, in the order of the page.
    pub const ALL: [Self; 10] = [
        Self::ATQBAL,
        Self::ATQBAH,
        Self::ATQLEN,
        Self::ATQH,
        Self::ATQT,
        Self::ARQBAL,
        Self::ARQBAH,
        Self::ARQLEN,
        Self::ARQH,
        Self::ARQT,
    ];

    /// The register at an offset of a VSI's page (a multiple of 4).
    pub fn at(offset: u64) -> Option<Self> {
        let index = usize::try_from(offset / 4).ok().filter(|_| offset.is_multiple_of(4))?;
        Self::ALL.get(index).copied()
    }

    fn queue(self) -> Queue {
        if (self as usize) < Self::ARQBAL as usize { Queue::ATQ } else { Queue::ARQ }
    }

    fn part(self) -> Part {
        match self {
            Self::ATQBAL | Self::ARQBAL => Part::Bal,
            Self::ATQBAH | Self::ARQBAH => Part::Bah,
            Self::ATQLEN | Self::ARQLEN => Part::Len,
            Self::ATQH | Self::ARQH => Part::Head,
            Self::ATQT | Self::ARQT => Part::Tail,
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Bal,
    Bah,
    Len,
    Head,
    Tail,
}

/// Base, length, head and tail of one queue; both queues have the same fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    bal: u32,
    bah: u32,
    pub len: ATQLEN,
    head: u32,
    tail: u32,
}

impl Ring {
    pub fn runs(&self) -> bool {
        self.len.ENABLE() && !self.len.CRIT()
    }

    /// Whether no entry belongs to the device.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Whether a receive queue runs and has no buffer posted.
    pub fn is_full(&self) -> bool {
        self.runs() && self.is_empty()
    }

    /// Where the head's descriptor is; `None` when head or tail are outside the ring.
    pub fn head_at(&self, size: u64) -> Option<Iova> {
        let len = u32::from(self.len.LEN());
        let base = u64::from(self.bah) << 32 | u64::from(self.bal);
        let inside = self.head < len && self.tail < len;
        let offset = inside.then_some(u64::from(self.head) * size)?;
        Iova(base).checked_add(offset)
    }

    pub fn advance(&mut self) {
        let next = self.head.saturating_add(1);
        self.head = if next >= self.len.LEN().into() { 0 } else { next };
    }

    fn part(&mut self, part: Part) -> (&mut u32, u32) {
        match part {
            Part::Bal => (&mut self.bal, words::ATQBAL::RW_MASK),
            Part::Bah => (&mut self.bah, words::ATQBAH::RW_MASK),
            Part::Len => (&mut self.len.0, ATQLEN::RW_MASK),
            Part::Head => (&mut self.head, words::ATQH::RW_MASK),
            Part::Tail => (&mut self.tail, words::ATQT::RW_MASK),
        }
    }
}

/// Both queues of an owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mailbox {
    pub atq: Ring,
    pub arq: Ring,
}

impl Mailbox {
    pub fn ring(&mut self, queue: Queue) -> &mut Ring {
        match queue {
            Queue::ATQ => &mut self.atq,
            Queue::ARQ => &mut self.arq,
        }
    }

    pub fn read(mut self, register: Register) -> u32 {
        *self.ring(register.queue()).part(register.part()).0
    }

    pub fn write(&mut self, register: Register, value: u32) {
        let (place, mask) = self.ring(register.queue()).part(register.part());
        *place = value & mask;
    }

    /// What a reset of the VSI or the PF clears: the LEN registers.
    pub fn stop(&mut self) {
        (self.atq.len, self.arq.len) = (ATQLEN(0), ATQLEN(0));
    }
}
