//! A register file: the values of a layout's registers, with widths, partial accesses, masks and W1C done,
//! so that a device's code holds side effects only.

use std::sync::Arc;

use crate::layout::{Element, Layout};

/// How far a reset goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Power was off: every bit takes its reset value.
    Cold,
    /// A hot or function-level reset: sticky bits keep their value.
    Function,
}

/// What a write did to one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Id of the register: `Reg::from_id` of the block's module names it.
    pub id: u16,
    /// Which element of its row.
    pub index: u32,
    /// The value before.
    pub old: u64,
    /// The value now.
    pub new: u64,
    /// What was written, in place; bits of bytes that were not written are zero.
    pub written: u64,
}

/// A write on its way through the registers it touches.
#[derive(Debug)]
pub struct Write<'a> {
    at: u32,
    data: &'a [u8],
}

impl<'a> Write<'a> {
    /// A write of these bytes at this offset.
    pub fn new(at: u32, data: &'a [u8]) -> Self {
        Self { at, data }
    }
}

/// The values of a layout's registers. Bytes that belong to no register read as zero.
#[derive(Clone, Debug)]
pub struct RegFile {
    layout: Arc<Layout>,
    bytes: Box<[u8]>,
}

impl RegFile {
    /// Registers as they are after a cold reset.
    pub fn new(layout: Arc<Layout>) -> Self {
        let bytes = vec![0; layout.stored()].into_boxed_slice();
        let mut file = Self { layout, bytes };
        file.reset(Reset::Cold);
        file
    }

    /// Where the registers lie.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Read bytes at an offset, as software does; what is past the end reads as zero.
    pub fn read(&self, at: u32, out: &mut [u8]) {
        out.fill(0);
        let end = end_of(at, out.len());
        let mut from = at;
        while let Some(element) = self.layout.next_element(from, end) {
            from = element.at + element.size;
            for (n, byte) in self.stored(&element).iter().enumerate() {
                let offset = element.at as usize + n;
                let place = offset.checked_sub(at as usize).and_then(|i| out.get_mut(i));
                if let Some(place) = place {
                    *place = *byte;
                }
            }
        }
    }

    /// Read a register of software's width (1 to 8 bytes) as a number.
    pub fn read_number(&self, at: u32, size: usize) -> u64 {
        let mut bytes = [0; 8];
        if let Some(out) = bytes.get_mut(..size) {
            self.read(at, out);
        }
        u64::from_le_bytes(bytes)
    }

    /// Take a write, as software does it, to the next register: what changed there, `None` at the end.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use siov_spec::{Layout, RegFile, Write, pcie::type0};
    /// # let mut regs = RegFile::new(Arc::new(Layout::of(&type0::BLOCK)));
    /// let mut write = Write::new(type0::COMMAND::AT, &[0x06, 0x00]);
    /// while let Some(change) = regs.step(&mut write) {
    ///     match type0::Reg::from_id(change.id) {
    ///         Some(type0::Reg::COMMAND) => assert!(type0::COMMAND(change.new as u16).BME()),
    ///         _ => unreachable!("nothing else was written"),
    ///     }
    /// }
    /// ```
    pub fn step(&mut self, write: &mut Write<'_>) -> Option<Change> {
        if write.data.is_empty() {
            return None; // not even the register it points into
        }
        let end = end_of(write.at, write.data.len());
        let element = self.layout.next_element(write.at, end)?;
        let mut written = [0; 8];
        let mut enable = [0; 8];
        for n in 0..element.size {
            let offset = element.at + n;
            let byte = offset.checked_sub(write.at).and_then(|i| write.data.get(i as usize));
            let place = (written.get_mut(n as usize), enable.get_mut(n as usize), byte);
            if let (Some(to), Some(mask), Some(byte)) = place {
                (*to, *mask) = (*byte, 0xFF);
            }
        }
        let past = (element.at + element.size).saturating_sub(write.at) as usize;
        write.data = write.data.get(past..).unwrap_or_default();
        write.at = element.at + element.size;

        let (written, enable) = (u64::from_le_bytes(written), u64::from_le_bytes(enable));
        let old = self.get_at(&element);
        let masks = self.layout.register(element.id)?;
        let stored = masks.rw & enable;
        let new = (old & !stored | written & stored) & !(written & masks.rw1c);
        self.put_at(&element, new);
        Some(Change { id: element.id, index: element.index, old, new, written })
    }

    /// Take a whole write of software for which no register has a side effect.
    pub fn write(&mut self, at: u32, data: &[u8]) {
        let mut write = Write::new(at, data);
        while self.step(&mut write).is_some() {}
    }

    /// A register's value, as hardware reads it; zero when there is no such element.
    pub fn get(&self, id: impl Into<u16>, index: u32) -> u64 {
        let bytes =
            self.layout.slot(id.into(), index).and_then(|(at, n)| self.bytes.get(at..at + n));
        bytes.map_or(0, number)
    }

    /// Set a register's value, as hardware does: no mask holds it back. Bits past its width are dropped.
    pub fn set(&mut self, id: impl Into<u16>, index: u32, value: u64) {
        if let Some((at, n)) = self.layout.slot(id.into(), index)
            && let Some(bytes) = self.bytes.get_mut(at..at + n)
        {
            for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
                *to = from;
            }
        }
    }

    /// Bring every register to its reset value; a function reset spares the sticky bits.
    pub fn reset(&mut self, reset: Reset) {
        let layout = Arc::clone(&self.layout);
        for (id, register) in (0..).zip(layout.registers()) {
            let keep = if reset == Reset::Cold { 0 } else { register.sticky };
            for index in 0..layout.elements(id) {
                let old = self.get(id, index);
                self.set(id, index, register.reset & !keep | old & keep);
            }
        }
    }

    fn stored(&self, element: &Element) -> &[u8] {
        self.bytes.get(element.stored..element.stored + element.size as usize).unwrap_or_default()
    }

    fn get_at(&self, element: &Element) -> u64 {
        number(self.stored(element))
    }

    fn put_at(&mut self, element: &Element, value: u64) {
        self.set(element.id, element.index, value);
    }
}

fn end_of(at: u32, len: usize) -> u32 {
    at.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}

fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(whole)
}
