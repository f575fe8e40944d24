//! The guests' side: memory with rings and frames in it, and the driver that keeps them going.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use siov_bus::Target;
use siov_mem::Region;
use siov_packet::rss::KEY_LEN;
use siov_spec::e810::bar0::{self, QINT_RQCTL, QINT_TQCTL, QRX_CTRL, QRXFLXP_CNTXT};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{
    DTYPE, IIPT, L4T, RX_QUEUES, RXDID, RxFlexNicQw1, RxFlexQw0, RxQueueContext, TxDataQw1,
    TxQueueContext, pages,
};
use siov_spec::msi::{MsiAddress, RemappableAddress};

use super::machine::{Machine, Memory, VECTOR};
use super::{Failed, Load, Translation};
use crate::{Forward, Nic, RuleKey};

/// Bytes of a buffer.
const BUFFER: u64 = 2048;
/// Where the rings and the buffers are in a guest's memory.
const TX_RING: u64 = 0;
const RX_RING: u64 = 0x1_0000;
const BUFFERS: u64 = 0x3_0000;
/// Descriptors that a driver keeps back, so that a full ring differs from an empty one.
const GAP: u64 = 8;
/// How many descriptors a driver gathers before it writes a tail.
const BURST: u64 = 32;
/// GLINT_ITR in units of 2 µs.
const ITR: u32 = 25;
/// Where each frame has its number: behind the UDP header, aligned.
const STAMP: u64 = 44;
/// One frame of so many is looked at.
const SAMPLE: u64 = 16;

/// Bytes of memory that a guest needs.
pub(super) fn memory_of(load: &Load) -> u64 {
    BUFFERS + u64::from(load.entries) * BUFFER
}

/// One VSI with its guest's driver.
struct Guest {
    memory: Memory,
    /// Its number among the guests, which is also that of its queues and of its vector.
    number: u32,
    interrupts: Arc<AtomicU64>,
    /// Interrupts that the driver has answered.
    answered: u64,
}

impl Guest {
    fn new(machine: &Machine, number: u32, memory: Memory) -> Result<Self, Failed> {
        let interrupts = Arc::new(AtomicU64::new(0));
        let target = Target::Count(Arc::clone(&interrupts));
        machine.bus.cpus().connect(number, VECTOR, target).map_err(|_| Failed::Memory)?;
        Ok(Self { memory, number, interrupts, answered: 0 })
    }

    fn region(&self) -> &Region {
        &self.memory.region
    }

    fn buffer(&self, index: u64) -> u64 {
        self.memory.base + BUFFERS + index * BUFFER
    }

    /// The VSI, its switch rule, vector and receive spreading, as the PF driver asks for them.
    fn set_up(&self, nic: &Nic, translation: Translation) -> Result<(), Failed> {
        let (vsi, queue) = (self.number as u16 + 1, self.number as u16);
        let mut properties = [0; props::SIZE as usize];
        let mut put = |at: u32, bytes: &[u8]| {
            let place = properties.iter_mut().skip(at as usize).zip(bytes);
            place.for_each(|(to, from)| *to = *from);
        };
        put(props::SW_FLAGS::AT, &[props::SW_FLAGS(0).with_ALLOW_LB(true).0]);
        put(props::SW_FLAGS2::AT, &[props::SW_FLAGS2(0).with_LAN_ENA(true).0]);
        put(props::SEC_FLAGS::AT, &[props::SEC_FLAGS(0).with_ENA_MAC_ANTI_SPOOF(true).0]);
        put(props::Q_MAPPING::AT, &queue.to_le_bytes());
        put(props::Q_MAPPING::AT + 2, &1u16.to_le_bytes());
        let pasid = props::PASID_ID(0).with_VALID(true).with_PASID(u32::from(vsi));
        put(props::PASID_ID::AT, &pasid.0.to_le_bytes());
        nic.set_vsi(vsi, siov_spec::e810::VsiType::VMDQ2 as u8, &properties)?;
        let key =
            RuleKey { tx: true, lookup: 1, mac: Some(mac(self.number)), ..RuleKey::default() };
        nic.add_rule(&key, Forward::Vsi(vsi), false, true)?;
        nic.set_rss_key(vsi, &[0x6D; KEY_LEN])?;
        nic.set_rss_lut(vsi, &[0; 64])?;

        let address = if translation == Translation::None {
            MsiAddress(0).with_PREFIX(0xFEE).with_DEST(self.number as u8).0
        } else {
            let address = RemappableAddress(0).with_PREFIX(0xFEE).with_INTR_FMT(true);
            address.with_HANDLE(self.number as u16).0
        };
        let data = if translation == Translation::None { VECTOR.into() } else { 0u32 };
        for (n, word) in (0..).zip([address, 0, data, 0]) {
            nic.bar_write(3, self.number * 16 + 4 * n, &word.to_le_bytes());
        }
        write(nic, bar0::GLINT_ITR::AT + 4 * self.number, ITR);
        self.enable_vector(nic);
        Ok(())
    }

    fn enable_vector(&self, nic: &Nic) {
        // The timers stay as they are (ITR_INDX 3).
        let value = bar0::GLINT_DYN_CTL(0).with_INTENA(true).with_CLEARPBA(true).with_ITR_INDX(3);
        write(nic, bar0::GLINT_DYN_CTL::AT + 4 * self.number, value.0);
    }

    /// What a driver does in its interrupt's poll: the vector is enabled again.
    fn answer(&mut self, nic: &Nic) {
        let came = self.interrupts.load(Ordering::Relaxed);
        if came != self.answered {
            self.answered = came;
            self.enable_vector(nic);
        }
    }

    fn enable_tx(&self, nic: &Nic, load: &Load) -> Result<(), Failed> {
        let queue = self.number;
        let context = TxQueueContext([0; 3])
            .with_BASE((self.memory.base + TX_RING) / 128)
            .with_QLEN(load.entries)
            .with_SRC_VSI(queue as u16 + 1);
        let cause = QINT_TQCTL(0).with_MSIX_INDX(queue as u16).with_CAUSE_ENA(true);
        write(nic, QINT_TQCTL::AT + 4 * queue, cause.0);
        let bytes = context.to_bytes();
        Ok(nic.tx_enable(queue as u16, bytes.get(..22).unwrap_or_default())?)
    }

    fn enable_rx(&self, nic: &Nic, load: &Load) {
        let queue = self.number;
        let base = (self.memory.base + RX_RING) / 128;
        let context = RxQueueContext([0; 4])
            .with_BASE_LO(base as u32)
            .with_BASE_HI((base >> 32) as u32)
            .with_QLEN(load.entries)
            .with_DBUF((BUFFER / 128) as u8)
            .with_DSIZE(true)
            .with_CRCSTRIP(true)
            .with_L2TSEL(true)
            .with_RXMAX(BUFFER as u16);
        for (n, word) in (0..).zip(context.to_bytes().chunks_exact(4)) {
            nic.bar_write(0, bar0::QRX_CONTEXT::AT + 4 * (n * RX_QUEUES + queue), word);
        }
        let profile = QRXFLXP_CNTXT(0).with_RXDID_IDX(RXDID::FLEX_NIC as u8);
        write(nic, QRXFLXP_CNTXT::AT + 4 * queue, profile.0);
        let cause = QINT_RQCTL(0).with_MSIX_INDX(queue as u16).with_CAUSE_ENA(true);
        write(nic, QINT_RQCTL::AT + 4 * queue, cause.0);
        write(nic, QRX_CTRL::AT + 4 * queue, QRX_CTRL(0).with_QENA_REQ(true).0);
    }
}

fn write(nic: &Nic, offset: u32, value: u32) {
    nic.bar_write(0, offset, &value.to_le_bytes());
}

fn mac(guest: u32) -> [u8; 6] {
    let [_, _, high, low] = guest.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

/// A UDP datagram from one guest to another, without the UDP checksum's payload part: the device adds it.
fn frame(from: u32, to: u32, len: u16) -> Vec<u8> {
    let [_, _, a, b] = from.to_be_bytes();
    let [_, _, c, d] = to.to_be_bytes();
    let mut ip = vec![0x45, 0];
    ip.extend((len - 14).to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, a, b, 10, 0, c, d]);
    let sum = !ones_sum(&ip);
    let udp_len = (len - 34).to_be_bytes();
    let mut pseudo = vec![10, 0, a, b, 10, 0, c, d, 0, 17];
    pseudo.extend(udp_len);
    let mut bytes = vec![];
    bytes.extend(mac(to));
    bytes.extend(mac(from));
    bytes.extend([8, 0]);
    bytes.extend(ip.get(..10).unwrap_or_default());
    bytes.extend(sum.to_be_bytes());
    bytes.extend(ip.get(12..).unwrap_or_default());
    bytes.extend([0x10, 0, 0x10, 1]);
    bytes.extend(udp_len);
    bytes.extend(ones_sum(&pseudo).to_be_bytes());
    bytes.resize(len.into(), 0xA5);
    bytes
}

fn ones_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// One guest that sends to another.
struct Pair {
    from: Guest,
    to: Guest,
    /// Frames that the sender has put into its ring, and those that the device has reported as sent.
    sent: u64,
    cleaned: u64,
    /// Buffers that the receiver has put into its ring, and those that came back with a frame.
    posted: u64,
    received: u64,
}

/// All guests, and what is common to them.
pub(super) struct Driver {
    pairs: Vec<Pair>,
    entries: u64,
    frame: u16,
    /// The second quadword of every transmit descriptor.
    ask: u64,
}

impl Driver {
    /// Sets up the machine's VSIs, queues, rings and frames: every other guest sends to the next one.
    pub fn new(machine: &mut Machine, load: &Load) -> Result<Self, Failed> {
        let memories = std::mem::take(&mut machine.memories);
        let mut pairs = vec![];
        let mut memories = (0..).zip(memories);
        while let (Some((a, one)), Some((b, other))) = (memories.next(), memories.next()) {
            let from = Guest::new(machine, a, one)?;
            let to = Guest::new(machine, b, other)?;
            from.set_up(&machine.nic, load.translation)?;
            to.set_up(&machine.nic, load.translation)?;
            from.enable_tx(&machine.nic, load)?;
            to.enable_rx(&machine.nic, load);
            pairs.push(Pair { from, to, sent: 0, cleaned: 0, posted: 0, received: 0 });
        }
        let ask = TxDataQw1(0)
            .with_DTYPE(DTYPE::DATA as u8)
            .with_EOP(true)
            .with_RS(true)
            .with_IIPT(IIPT::IPV4 as u8)
            .with_L4T(L4T::UDP as u8)
            .with_MACLEN(7)
            .with_IPLEN(5)
            .with_L4LEN(2)
            .with_TX_BUF_SZ(load.frame);
        let entries = u64::from(load.entries);
        let driver = Self { pairs, entries, frame: load.frame, ask: ask.0 };
        for Pair { from, to, .. } in &driver.pairs {
            let mut bytes = frame(from.number, to.number, load.frame);
            for index in 0..entries {
                let stamp = bytes.iter_mut().skip(STAMP as usize);
                stamp.zip((index as u32).to_le_bytes()).for_each(|(to, from)| *to = from);
                from.region()
                    .write(BUFFERS + index * BUFFER, &bytes)
                    .map_err(|_| Failed::Memory)?;
                to.region()
                    .store_u64(RX_RING + index * 32, to.buffer(index))
                    .map_err(|_| Failed::Memory)?;
            }
        }
        Ok(driver)
    }

    /// Every guest's driver has a turn; gives how many frames were received.
    pub fn turn(&mut self, nic: &Nic, send: bool) -> Result<u64, Failed> {
        let mut received = 0;
        for pair in &mut self.pairs {
            let before = pair.received;
            pair.receive(self.entries, self.frame)?;
            pair.post(nic, self.entries);
            pair.clean(self.entries)?;
            if send {
                pair.send(nic, self.entries, self.ask)?;
            }
            pair.from.answer(nic);
            pair.to.answer(nic);
            received += pair.received - before;
        }
        Ok(received)
    }

    /// Whether everything that was sent has arrived and been reported.
    pub fn is_quiet(&self) -> bool {
        self.pairs.iter().all(|pair| pair.received == pair.sent && pair.cleaned == pair.sent)
    }

    /// Frames received by whoever received least.
    pub fn least(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.received).min().unwrap_or(0)
    }

    /// Interrupts that came.
    pub fn interrupts(&self) -> u64 {
        let of = |guest: &Guest| guest.interrupts.load(Ordering::Relaxed);
        self.pairs.iter().map(|pair| of(&pair.from) + of(&pair.to)).sum()
    }
}

impl Pair {
    /// Takes what was received, and puts the buffers back into their descriptors.
    fn receive(&mut self, entries: u64, frame: u16) -> Result<(), Failed> {
        let region = &self.to.memory.region;
        while self.received < self.posted {
            let index = self.received % entries;
            let at = RX_RING + index * 32;
            let status = RxFlexNicQw1(region.load_u64(at + 8).map_err(|_| Failed::Memory)?);
            if !status.DD() {
                break;
            }
            let right = status.EOF() && status.L3L4P() && !status.IPE() && !status.L4E();
            if !right {
                return Err(Failed::Frame("a status that tells of a fault"));
            }
            if index.is_multiple_of(SAMPLE) {
                let head = RxFlexQw0(region.load_u64(at).map_err(|_| Failed::Memory)?);
                if head.PKT_LEN() != frame {
                    return Err(Failed::Frame("another length than was sent"));
                }
                let stamp = region.load_u32(BUFFERS + index * BUFFER + STAMP);
                if stamp != Ok(index as u32) {
                    return Err(Failed::Frame("another number than was due"));
                }
            }
            region.store_u64(at, self.to.buffer(index)).map_err(|_| Failed::Memory)?;
            region.store_u64(at + 8, 0).map_err(|_| Failed::Memory)?;
            self.received += 1;
        }
        Ok(())
    }

    fn post(&mut self, nic: &Nic, entries: u64) {
        // The device takes no account of the tail's low bits.
        let upto = (self.received + entries - GAP) / GAP * GAP;
        if upto - self.posted >= BURST {
            self.posted = upto;
            let tail = pages::QRX_TAIL_PAGE::AT + 4096 * self.to.number;
            write(nic, tail, (upto % entries) as u32);
        }
    }

    /// Takes descriptors back that are reported as done.
    fn clean(&mut self, entries: u64) -> Result<(), Failed> {
        let region = &self.from.memory.region;
        while self.cleaned < self.sent {
            let at = TX_RING + self.cleaned % entries * 16;
            let word = region.load_u64(at + 8).map_err(|_| Failed::Memory)?;
            if u64::from(TxDataQw1(word).DTYPE()) != DTYPE::DESC_DONE as u64 {
                break;
            }
            self.cleaned += 1;
        }
        Ok(())
    }

    /// Sends as much as there is room for, at the receiver too: nothing is to be lost.
    fn send(&mut self, nic: &Nic, entries: u64, ask: u64) -> Result<(), Failed> {
        let room = (self.cleaned + entries - GAP).min(self.posted) - self.sent;
        if room < BURST {
            return Ok(());
        }
        let region = &self.from.memory.region;
        for n in self.sent..self.sent + room {
            let at = TX_RING + n % entries * 16;
            region.store_u64(at, self.from.buffer(n % entries)).map_err(|_| Failed::Memory)?;
            region.store_u64(at + 8, ask).map_err(|_| Failed::Memory)?;
        }
        self.sent += room;
        let doorbell = pages::QTX_COMM_DBELL_PAGE::AT + 4096 * self.from.number;
        write(nic, doorbell, (self.sent % entries) as u32);
        Ok(())
    }
}
