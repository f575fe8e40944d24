//! A transmit queue: frames put into buffers and descriptors, and taken back when they are reported.

use std::collections::VecDeque;

use siov_spec::e810::{DTYPE, IIPT, L4T, TxCtxQw0, TxCtxQw1, TxDataQw1};

use crate::cpu::{Cpu, Doorbell, Exit};

/// Bytes of a descriptor.
const SIZE: u64 = 16;

/// Where a transmit queue is in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxConfig {
    /// Guest-physical address of the descriptors.
    pub ring: u64,
    /// Descriptors, a multiple of 32.
    pub entries: u16,
    /// Guest-physical address of the buffers, one for each descriptor.
    pub buffers: u64,
    /// Bytes of a buffer: a longer frame takes several.
    pub buffer: u32,
    /// Guest-virtual address of the tail register.
    pub tail: u64,
}

/// The transport whose checksum is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// A header of 20 bytes.
    Tcp,
    /// UDP.
    Udp,
}

/// Where a tag to insert is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// In the data descriptors.
    L2tag1(u16),
    /// In a context descriptor.
    L2tag2(u16),
}

/// Segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tso {
    /// Bytes of payload in a segment.
    pub mss: u16,
    /// Bytes of all headers.
    pub headers: u16,
}

/// What a frame's descriptors ask of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Bytes of the IP header, 20 or 40: the kind of IP follows; 0 for no checksums.
    pub ip: u8,
    /// The device makes the IPv4 header's checksum.
    pub ip_checksum: bool,
    /// The device makes the transport's checksum.
    pub l4: Option<L4>,
    /// The frame is cut into segments.
    pub tso: Option<Tso>,
    /// A VLAN tag is inserted.
    pub tag: Option<Tag>,
}

impl Ask {
    fn data(&self) -> TxDataQw1 {
        let mut word = TxDataQw1(0).with_DTYPE(DTYPE::DATA as u8).with_ICRC(true);
        if self.ip != 0 {
            let kind = match (self.ip, self.ip_checksum) {
                (40, _) => IIPT::IPV6,
                (_, true) => IIPT::IPV4_CSUM,
                (_, false) => IIPT::IPV4,
            };
            word = word.with_IIPT(kind as u8).with_MACLEN(7).with_IPLEN(self.ip / 4);
            word = match self.l4 {
                None => word,
                Some(L4::Tcp) => word.with_L4T(L4T::TCP as u8).with_L4LEN(5),
                Some(L4::Udp) => word.with_L4T(L4T::UDP as u8).with_L4LEN(2),
            };
        }
        match self.tag {
            Some(Tag::L2tag1(tag)) => word.with_IL2TAG1(true).with_L2TAG1(tag),
            _ => word,
        }
    }

    fn context(&self, len: usize) -> Option<(TxCtxQw0, TxCtxQw1)> {
        let (mut first, mut second) = (TxCtxQw0(0), TxCtxQw1(0).with_DTYPE(DTYPE::CTX as u8));
        if let Some(Tso { mss, headers }) = self.tso {
            let payload = len.saturating_sub(headers.into()) as u32;
            second = second.with_TSO(true).with_MSS(mss).with_TSO_LEN(payload);
        }
        if let Some(Tag::L2tag2(tag)) = self.tag {
            (first, second) = (first.with_L2TAG2(tag), second.with_IL2TAG2(true));
        }
        let needed = self.tso.is_some() || matches!(self.tag, Some(Tag::L2tag2(_)));
        needed.then_some((first, second))
    }
}

/// A transmit queue.
#[derive(Clone, Debug)]
pub struct TxRing {
    config: TxConfig,
    /// The next free descriptor, counted on and on; and what the tail was written with.
    used: u64,
    told: u64,
    /// The first descriptor that is not taken back, and where each frame under way ends.
    cleaned: u64,
    ends: VecDeque<u64>,
    /// Reports of another type than "done".
    pub(crate) strange: u64,
}

impl TxRing {
    /// An empty queue.
    pub fn new(config: TxConfig) -> Self {
        Self { config, used: 0, told: 0, cleaned: 0, ends: VecDeque::new(), strange: 0 }
    }

    /// Descriptors that are free.
    pub fn room(&self) -> u64 {
        u64::from(self.config.entries) - 1 - (self.used - self.cleaned)
    }

    /// Frames that were not reported yet.
    pub fn under_way(&self) -> usize {
        self.ends.len()
    }

    /// How many descriptors a frame takes.
    pub fn needed(&self, len: usize, ask: &Ask) -> u64 {
        let data = len.div_ceil(self.config.buffer.max(1) as usize) as u64;
        data + u64::from(ask.context(len).is_some())
    }

    /// Puts a frame into the queue; `false` when there is no room. The tail is [`tell`](Self::tell)'s.
    pub fn send(&mut self, cpu: &mut Cpu<'_, '_>, frame: &[u8], ask: &Ask) -> Result<bool, Exit> {
        if frame.is_empty() || self.needed(frame.len(), ask) > self.room() {
            return Ok(false);
        }
        let mut next = self.used;
        if let Some((first, second)) = ask.context(frame.len()) {
            self.descriptor(cpu, next, first.0, second.0)?;
            next += 1;
        }
        let word = ask.data();
        let size = self.config.buffer as usize;
        let mut left = frame.len();
        for piece in frame.chunks(size) {
            left -= piece.len();
            let at = self.config.buffers + self.index(next) * size as u64;
            cpu.write(at, piece)?;
            let word = word.with_TX_BUF_SZ(piece.len() as u16);
            // Only the last one ends the packet, and is reported.
            let word = if left == 0 { word.with_EOP(true).with_RS(true) } else { word };
            self.descriptor(cpu, next, at, word.0)?;
            next += 1;
        }
        self.used = next;
        self.ends.push_back(next);
        Ok(true)
    }

    /// Writes the tail if there is something new.
    pub fn tell(&mut self, bells: &mut Vec<Doorbell>) {
        if self.told != self.used {
            self.told = self.used;
            bells.push(Doorbell { at: self.config.tail, value: self.index(self.used) as u32 });
        }
    }

    /// Takes back what is reported, in order; how many frames.
    pub fn clean(&mut self, cpu: &mut Cpu<'_, '_>) -> Result<u64, Exit> {
        let mut frames = 0;
        while let Some(end) = self.ends.front().copied() {
            let at = self.config.ring + self.index(end - 1) * SIZE;
            let word = TxDataQw1(cpu.load_u64(at + 8)?);
            let kind = u64::from(word.DTYPE());
            if kind != DTYPE::DESC_DONE as u64 {
                self.strange += u64::from(kind != DTYPE::DATA as u64);
                break;
            }
            self.ends.pop_front();
            self.cleaned = end;
            frames += 1;
        }
        Ok(frames)
    }

    fn index(&self, number: u64) -> u64 {
        number % u64::from(self.config.entries)
    }

    fn descriptor(
        &self,
        cpu: &mut Cpu<'_, '_>,
        number: u64,
        first: u64,
        second: u64,
    ) -> Result<(), Exit> {
        let at = self.config.ring + self.index(number) * SIZE;
        cpu.store_u64(at, first)?;
        cpu.store_u64(at + 8, second)
    }
}
