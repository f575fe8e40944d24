//! Where a vector's message goes: the MSI-X table and the slots of interrupt message storage.

use siov_spec::e810::{VECTORS, bar3, ims_slot};

use super::cause::Vector;

/// Bytes of a table entry, and of an IMS slot.
const ENTRY: u64 = 16;
/// Where BAR3 has the pending bits.
const PBA: u64 = bar3::PBA::AT as u64;
/// A message to write to the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The vector it is of.
    pub vector: Vector,
    /// Where.
    pub address: u64,
    /// What.
    pub data: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    data: u32,
    masked: bool,
    pending: bool,
}

impl Entry {
    const RESET: Self = Self { address: 0, data: 0, masked: true, pending: false };

    /// A dword, as an IMS slot has it; an MSI-X entry has no pending bit.
    fn word(&self, index: u64) -> u32 {
        let control = ims_slot::CONTROL(0).with_MASK(self.masked).with_PENDING(self.pending);
        match index {
            0 => self.address as u32,
            1 => (self.address >> 32) as u32,
            2 => self.data,
            _ => control.0,
        }
    }

    fn set_word(&mut self, index: u64, value: u32) {
        match index {
            0 => {
                let low = value & ims_slot::ADDRESS_LO::RW_MASK;
                self.address = self.address & !0xFFFF_FFFF | u64::from(low);
            }
            1 => self.address = self.address & 0xFFFF_FFFF | u64::from(value) << 32,
            2 => self.data = value,
            _ => self.masked = ims_slot::CONTROL(value).MASK(),
        }
    }
}

/// The addresses and data of all vectors, their masks, and the messages that wait behind a mask.
///
/// A message of a masked vector stays as its pending bit, and goes out when the last mask over it is gone. While
/// MSI-X is disabled its messages are lost; IMS slots don't care for MSI-X's Enable and Function Mask.
#[derive(Debug)]
pub struct Messages {
    entries: Vec<Entry>,
    enabled: bool,
    function_mask: bool,
}

impl Messages {
    /// The MSI-X table and `ims` slots, as after a reset: all masked.
    pub fn new(ims: u32) -> Self {
        let count = Vector(VECTORS.saturating_add(ims)).index();
        Self { entries: vec![Entry::RESET; count], enabled: false, function_mask: false }
    }

    /// How many vectors there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// A vector interrupts: its message, or `None` when it is pending, lost or does not exist.
    pub fn fire(&mut self, vector: Vector) -> Option<Message> {
        let msix = vector.slot().is_none();
        let (enabled, function_mask) = (self.enabled, self.function_mask);
        let entry = self.entries.get_mut(vector.index())?;
        if msix && !enabled {
            return None;
        }
        entry.pending = entry.masked || msix && function_mask;
        (!entry.pending).then_some(Message { vector, address: entry.address, data: entry.data })
    }

    /// Whether a message of the vector waits behind a mask.
    pub fn is_pending(&self, vector: Vector) -> bool {
        self.entries.get(vector.index()).is_some_and(|entry| entry.pending)
    }

    /// Forget the message that waits behind a mask (CLEARPBA).
    pub fn clear_pending(&mut self, vector: Vector) {
        if let Some(entry) = self.entries.get_mut(vector.index()) {
            entry.pending = false;
        }
    }

    /// MSI-X Enable and Function Mask of the capability; what waited for them goes to `out`.
    pub fn set_control(&mut self, enabled: bool, function_mask: bool, out: &mut Vec<Message>) {
        (self.enabled, self.function_mask) = (enabled, function_mask);
        for vector in 0..VECTORS {
            self.deliver(Vector(vector), out);
        }
    }

    /// Read BAR3: the table at 0, the pending bits at 0x8000, zero elsewhere; any width.
    pub fn read_bar3(&self, offset: u64, to: &mut [u8]) {
        to.fill(0); // an end of 64 bits is none of ours
        for (byte, at) in to.iter_mut().zip(offset..=u64::MAX) {
            *byte = match at.checked_sub(PBA) {
                None => self.byte(0, at),
                Some(at) => self.pba_byte(at),
            };
        }
    }

    /// Write BAR3: only the table takes it; what it unmasks goes to `out`. Any width.
    pub fn write_bar3(&mut self, offset: u64, from: &[u8], out: &mut Vec<Message>) {
        self.write(0, offset, from, out);
    }

    /// Read the IMS slots: ADDRESS_LO, ADDRESS_HI, DATA and CONTROL of 16 bytes each; any width.
    pub fn read_ims(&self, offset: u64, to: &mut [u8]) {
        to.fill(0); // an end of 64 bits is none of ours
        for (byte, at) in to.iter_mut().zip(offset..=u64::MAX) {
            *byte = self.byte(VECTORS, at);
        }
    }

    /// Write the IMS slots; what it unmasks goes to `out`. Any width.
    pub fn write_ims(&mut self, offset: u64, from: &[u8], out: &mut Vec<Message>) {
        self.write(VECTORS, offset, from, out);
    }

    /// Everything as after a reset of the function; MSI-X Enable and Function Mask too.
    pub fn reset(&mut self) {
        self.entries.fill(Entry::RESET);
        (self.enabled, self.function_mask) = (false, false);
    }

    fn deliver(&mut self, vector: Vector, out: &mut Vec<Message>) {
        if self.is_pending(vector)
            && let Some(message) = self.fire(vector)
        {
            out.push(message);
        }
    }

    /// The vector whose entry holds a byte of the table or the IMS; none past either one's end.
    fn vector_at(&self, first: u32, offset: u64) -> Option<Vector> {
        let vector = u64::from(first).checked_add(offset / ENTRY)?;
        let end = if first == 0 { VECTORS } else { self.count() };
        u32::try_from(vector).ok().filter(|vector| *vector < end).map(Vector)
    }

    fn byte(&self, first: u32, at: u64) -> u8 {
        let entry = self.vector_at(first, at).and_then(|vector| self.entries.get(vector.index()));
        let msix = entry.map(|entry| Entry { pending: entry.pending && first != 0, ..*entry });
        let word = msix.map_or(0, |entry| entry.word(at % ENTRY / 4));
        (word >> (at % 4 * 8)) as u8
    }

    fn pba_byte(&self, at: u64) -> u8 {
        let first = at.saturating_mul(8);
        let vectors = (first..first.saturating_add(8)).zip(0..);
        let pending = vectors.map(|(vector, bit)| {
            let vector = u32::try_from(vector).ok().and_then(Vector::msix);
            u8::from(vector.is_some_and(|vector| self.is_pending(vector))) << bit
        });
        pending.fold(0, |byte, bit| byte | bit)
    }

    fn write(&mut self, first: u32, offset: u64, mut from: &[u8], out: &mut Vec<Message>) {
        let mut at = offset;
        while !from.is_empty() {
            let Some(vector) = self.vector_at(first, at) else { return };
            let skip = (at % 4) as usize;
            let (part, rest) = from.split_at(from.len().min(4 - skip));
            if let Some(entry) = self.entries.get_mut(vector.index()) {
                let mut bytes = entry.word(at % ENTRY / 4).to_le_bytes();
                bytes.iter_mut().skip(skip).zip(part).for_each(|(to, from)| *to = *from);
                entry.set_word(at % ENTRY / 4, u32::from_le_bytes(bytes));
            }
            at = at.saturating_add(part.len() as u64);
            from = rest;
            self.deliver(vector, out); // the mask comes last in an entry
        }
    }
}
