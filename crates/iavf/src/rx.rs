//! A receive queue: buffers posted, frames taken, as the descriptors' profile tells.

use siov_spec::e810::{
    FLTSTAT, RxFlexNicQw1, RxFlexOvsQw3, RxFlexQw0, RxFlexQw2, RxLegacyQw0, RxLegacyQw1,
    RxLegacyQw2,
};

use crate::cpu::{Cpu, Doorbell, Exit};

/// Bytes of a descriptor.
const SIZE: u64 = 32;
/// Buffers that are given back together (IAVF_RX_BUFFER_WRITE).
const REFILL: u64 = 16;
/// Descriptors that are kept back: the device takes no account of a tail's low 3 bits.
const GAP: u64 = 8;
/// The longest frame, in bytes.
const MAX_FRAME: usize = 16_382;

/// How the device writes descriptors back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rxdid {
    /// Profile 1: the 32 bytes of earlier adapters.
    #[default]
    Legacy,
    /// Profile 2.
    FlexNic,
    /// Profile 22.
    FlexOvs,
}

impl Rxdid {
    /// By its number: 0 (what the device does unasked) and 1, 2, 22.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 | 1 => Some(Self::Legacy),
            2 => Some(Self::FlexNic),
            22 => Some(Self::FlexOvs),
            _ => None,
        }
    }
}

/// Where a receive queue is in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxConfig {
    /// Guest-physical address of the descriptors.
    pub ring: u64,
    /// Descriptors, a multiple of 32.
    pub entries: u16,
    /// Guest-physical address of the buffers, one for each descriptor.
    pub buffers: u64,
    /// Bytes of a buffer.
    pub buffer: u32,
    /// Guest-virtual address of the tail register.
    pub tail: u64,
    /// What the queue was configured with.
    pub rxdid: Rxdid,
}

/// What descriptors tell about a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxFrame {
    /// The packet type.
    pub ptype: u16,
    /// The RSS hash.
    pub hash: Option<u32>,
    /// The VLAN tag (TCI) that was taken out.
    pub vlan: Option<u16>,
    /// Whether all checksums are right; `None` when they weren't looked at.
    pub checksum: Option<bool>,
    /// The frame is bad (RXE).
    pub error: bool,
}

/// What a descriptor tells that was written back.
struct Done {
    len: usize,
    eof: bool,
    told: RxFrame,
}

/// A receive queue.
#[derive(Clone, Debug)]
pub struct RxRing {
    config: RxConfig,
    /// The next descriptor to look at, and the next to post, counted on and on.
    taken: u64,
    posted: u64,
    /// What the tail was written with last.
    told: u64,
    frame: Vec<u8>,
    /// The frame is given up: it became too long.
    skip: bool,
    /// Frames longer than any may be.
    pub(crate) oversize: u64,
}

impl RxRing {
    /// A queue without buffers.
    pub fn new(config: RxConfig) -> Self {
        let frame = Vec::with_capacity(2048);
        Self { config, taken: 0, posted: 0, told: 0, frame, skip: false, oversize: 0 }
    }

    /// Posts the buffers that are free; the tail is written when they are many enough.
    pub fn refill(&mut self, cpu: &mut Cpu<'_, '_>, bells: &mut Vec<Doorbell>) -> Result<(), Exit> {
        let entries = u64::from(self.config.entries);
        let upto = (self.taken + entries - GAP) / GAP * GAP;
        if upto - self.told < REFILL {
            return Ok(());
        }
        while self.posted < upto {
            let index = self.posted % entries;
            let at = self.config.ring + index * SIZE;
            // Only what tells whether it is done is cleared, as drivers do.
            cpu.store_u64(at + 8, 0)?;
            cpu.store_u64(at, self.buffer(index))?;
            self.posted += 1;
        }
        self.told = upto;
        bells.push(Doorbell { at: self.config.tail, value: (upto % entries) as u32 });
        Ok(())
    }

    /// Looks for the next frame; its bytes are in [`frame`](Self::frame) until the next call.
    pub fn poll(&mut self, cpu: &mut Cpu<'_, '_>) -> Result<Option<RxFrame>, Exit> {
        loop {
            if self.taken >= self.told {
                return Ok(None);
            }
            let index = self.taken % u64::from(self.config.entries);
            let Some(done) = self.descriptor(cpu, index)? else { return Ok(None) };
            let before = self.frame.len();
            let len = done.len.min(self.config.buffer as usize);
            if before + len > MAX_FRAME {
                self.skip = true;
            } else if !self.skip {
                self.frame.resize(before + len, 0);
                let at = self.buffer(index);
                let part = self.frame.get_mut(before..).unwrap_or_default();
                if let Err(exit) = cpu.read(at, part) {
                    self.frame.truncate(before);
                    return Err(exit);
                }
            }
            self.taken += 1;
            if done.eof {
                if !std::mem::take(&mut self.skip) {
                    return Ok(Some(done.told));
                }
                self.oversize += 1;
                self.frame.clear();
            }
        }
    }

    /// The bytes of the frame that was found.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The frame is done with; to be called after each.
    pub fn done(&mut self) {
        self.frame.clear();
    }

    fn buffer(&self, index: u64) -> u64 {
        self.config.buffers + index * u64::from(self.config.buffer)
    }

    fn descriptor(&self, cpu: &mut Cpu<'_, '_>, index: u64) -> Result<Option<Done>, Exit> {
        let at = self.config.ring + index * SIZE;
        let status = cpu.load_u64(at + 8)?;
        // DD and EOF are the same bits in every profile.
        if !RxLegacyQw1(status).DD() {
            return Ok(None);
        }
        let (first, third) = (cpu.load_u64(at)?, cpu.load_u64(at + 16)?);
        Ok(Some(match self.config.rxdid {
            Rxdid::Legacy => legacy(first, status, third),
            Rxdid::FlexNic => {
                let word = RxFlexNicQw1(status);
                flex(first, status, third, word.RSS_VALID().then_some(word.RSS_HASH()))
            }
            Rxdid::FlexOvs => {
                let valid = RxFlexNicQw1(status).RSS_VALID();
                let hash = RxFlexOvsQw3(cpu.load_u64(at + 24)?).RSS_HASH();
                flex(first, status, third, valid.then_some(hash))
            }
        }))
    }
}

fn legacy(first: u64, status: u64, third: u64) -> Done {
    let (first, status, third) = (RxLegacyQw0(first), RxLegacyQw1(status), RxLegacyQw2(third));
    let hash = status.FLTSTAT() == FLTSTAT::RSS_HASH as u8;
    let vlan = if status.L2TAG1P() {
        Some(first.L2TAG1())
    } else {
        third.L2TAG2P().then_some(third.L2TAG2_2())
    };
    let looked = status.L3L4P() && !status.IPV6EXADD() && !status.PPRS();
    let right = !status.IPE() && !status.L4E() && !status.EIPE();
    let told = RxFrame {
        ptype: status.PTYPE().into(),
        hash: hash.then_some(first.RSS()),
        vlan,
        checksum: looked.then_some(right),
        error: status.RXE(),
    };
    Done { len: status.LEN_PBUF().into(), eof: status.EOF(), told }
}

fn flex(first: u64, status: u64, third: u64, hash: Option<u32>) -> Done {
    let (first, status, third) = (RxFlexQw0(first), RxFlexNicQw1(status), RxFlexQw2(third));
    let vlan = if status.L2TAG1P() {
        Some(status.L2TAG1())
    } else {
        third.L2TAG2P().then_some(third.L2TAG2_2ND())
    };
    let looked = status.L3L4P() && !status.IPV6EXADD();
    let right = !status.IPE() && !status.L4E() && !status.EIPE() && !status.EUDPE();
    let told = RxFrame {
        ptype: first.PTYPE(),
        hash,
        vlan,
        checksum: looked.then_some(right),
        error: status.RXE(),
    };
    Done { len: first.PKT_LEN().into(), eof: status.EOF(), told }
}
