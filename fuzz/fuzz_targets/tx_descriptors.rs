//! Descriptors, frames, doorbells and mailbox registers of a hostile guest's choice: the device never panics and
//! comes to rest, touches no memory but the guest's, stops no queue but the guest's, and the neighbour beside it
//! loses no frame.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use siov_lan::{Event, Side};
use siov_packet::{L3, L4, Parsed, Tunnel, parse};
use siov_spec::e810::{
    DTYPE, FltrProgQw0, FltrProgQw1, RxFlexQw0, RxQueueContext, TxCtxQw0, TxCtxQw1, TxDataQw1, bar0,
};

#[path = "frames/build.rs"]
mod build;
mod input;
#[path = "tx_descriptors/machine.rs"]
mod machine;

use input::Input;
use machine::{
    BASE, Choice, GUEST, GUEST_QUEUES, Machine, NEIGHBOUR, NEIGHBOUR_QUEUE, PAGE, PAGES,
    RXDID_FLEX, SINK, SINK_QUEUE, VECTOR_PAGE, mac, rx_context,
};

// Rings and buffers in a VSI's memory.
const RINGS: [u64; 2] = [0, PAGE];
const RX_RINGS: [u64; 2] = [2 * PAGE, 4 * PAGE];
const BUFFERS: u64 = 6 * PAGE;
const MAILBOX: u64 = 16 * PAGE;
const ENTRIES: u64 = 64;
/// The page of BAR 0 with the mailbox of VSI 0.
const MAILBOX_PAGE: u32 = 0x0200_0000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (kind, flags) = (input.u8(), input.u8());
    let choice = Choice {
        ats: kind & 1 != 0,
        double: kind & 2 != 0,
        vlan: if kind & 4 != 0 { input.u8() } else { 0 },
        outer: if kind & 8 != 0 { input.u8() } else { 0 },
        flags,
    };
    MACHINE.with_borrow_mut(|machine| {
        let mut scene = Scene::new(machine, &choice);
        while !input.is_empty() {
            scene.step(&mut input);
        }
        scene.neighbour_sends();
        scene.machine.untouched();
    });
});

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine::new());
}

struct Scene<'m> {
    machine: &'m mut Machine,
    /// Where the guest's next descriptors go.
    next: [u64; 2],
    /// Whether its queues were stopped.
    stopped: [bool; 2],
    sent: u64,
    received: u64,
    posted: u64,
}

impl<'m> Scene<'m> {
    fn new(machine: &'m mut Machine, choice: &Choice) -> Self {
        machine.begin(choice);
        for (queue, ring) in GUEST_QUEUES.into_iter().zip(RINGS) {
            machine.enable_tx(GUEST, queue, BASE + ring, ENTRIES as u16, true);
        }
        machine.enable_tx(NEIGHBOUR, NEIGHBOUR_QUEUE, BASE, ENTRIES as u16, false);
        for n in 0..ENTRIES {
            let buffer = BASE + 2 * PAGE + n * 1024;
            machine.poke(SINK, 32 * n, &buffer.to_le_bytes());
        }
        machine.enable_rx(SINK_QUEUE, BASE, rx_context(64, 8, 5 * 1024), RXDID_FLEX);
        machine.accept(SINK, 0, PAGES[SINK] * PAGE);
        machine.accept(GUEST, 0, PAGES[GUEST] * PAGE);
        let mut scene =
            Self { machine, next: [0; 2], stopped: [false; 2], sent: 0, received: 0, posted: 0 };
        scene.sink();
        for which in 0..2 {
            scene.open_rx(which);
        }
        scene
    }

    /// A receive queue of the guest, with buffers.
    fn open_rx(&mut self, which: usize) {
        for n in 0..ENTRIES {
            let buffer = BASE + BUFFERS + n % 8 * PAGE / 2;
            self.guest_writes(RX_RINGS[which] + 32 * n, &buffer.to_le_bytes());
        }
        let (queue, base) = (GUEST_QUEUES[which], BASE + RX_RINGS[which]);
        self.machine.enable_rx(queue, base, rx_context(64, 16, 9728), RXDID_FLEX);
        self.machine.rx_tail(queue, 56);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.u8();
        let which = usize::from(what >> 7);
        match what & 0x3F {
            0..32 => self.packet(which, input),
            32..37 => self.data(which, input),
            37 => self.context(which, input),
            38 => self.descriptor(which, [input.u64(), input.u64()]),
            39 => self.filter(which, input),
            40 => self.frame(input),
            41 => {
                let at = address(input).wrapping_sub(BASE);
                let bytes: Vec<u8> = (0..input.u8()).map(|_| input.u8()).collect();
                self.guest_writes(at, &bytes);
            }
            42 => {
                let tail = input.u64() as u32 >> (input.u8() & 31);
                self.machine.doorbell(GUEST_QUEUES[which], tail);
            }
            43 => {
                self.machine.doorbell(GUEST_QUEUES[which], self.next[which] as u32);
                self.pump();
            }
            44..46 => self.at_the_same_time(which),
            46 => {
                let ring = RINGS[which] + u64::from(input.u8() & 0xF) * 128;
                let base = if input.u8() == 0 { address(input) } else { BASE + ring };
                let len = [64, 64, 32, 128, 96, u16::from(input.u8())][usize::from(input.u8()) % 6];
                self.next[which] = 0;
                let queue = GUEST_QUEUES[which];
                self.machine.enable_tx(GUEST, queue, base, len, input.u8() & 7 != 0);
            }
            47 => {
                let context = if input.u8() & 1 == 0 {
                    rx_context(64, input.u8(), u16::from(input.u8()) << 6)
                } else {
                    RxQueueContext([0; 4].map(|_: u64| input.u64()))
                };
                let base = if input.u8() == 0 { address(input) } else { BASE + RX_RINGS[which] };
                self.machine.enable_rx(GUEST_QUEUES[which], base, context, input.u8() & 0x3F);
            }
            57..60 => {
                // A receive buffer that may lie anywhere.
                let at = RX_RINGS[which] + 32 * u64::from(input.u8() & 63);
                let buffer = address(input);
                self.guest_writes(at, &buffer.to_le_bytes());
            }
            48 => {
                self.machine.rx_tail(GUEST_QUEUES[which], input.u64() as u32 >> (input.u8() & 31))
            }
            49 => self.machine.write(MAILBOX_PAGE + 4 * u32::from(input.u8() % 10), {
                input.u64() as u32 >> (input.u8() & 31)
            }),
            50..53 => self.mailbox(input),
            53 => {
                let at = bar0::QINT_TQCTL::AT + 4 * u32::from(GUEST_QUEUES[which]);
                self.machine.write(at, input.u64() as u32);
            }
            54 => drop(self.machine.nic.clock().advance(input.sparse() & 0xFF_FFFF_FFFF)),
            55 => {
                let page = VECTOR_PAGE + 4096 * u32::from(input.u8() & 7);
                self.machine.write(page + 4 * u32::from(input.u8() & 3), input.u64() as u32);
            }
            56 => self.neighbour_sends(),
            _ => self.pump(),
        }
    }

    fn guest_writes(&mut self, at: u64, bytes: &[u8]) {
        if at < PAGES[GUEST] * PAGE {
            self.machine.poke(GUEST, at, bytes);
            let len = (bytes.len() as u64).min(PAGES[GUEST] * PAGE - at);
            self.machine.accept(GUEST, at, len);
        }
    }

    fn descriptor(&mut self, which: usize, words: [u64; 2]) {
        let at = RINGS[which] + self.next[which] % ENTRIES * 16;
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        self.guest_writes(at, &bytes);
        self.next[which] = (self.next[which] + 1) % ENTRIES;
    }

    /// A data descriptor, mostly like its siblings and mostly for a buffer that is there.
    fn data(&mut self, which: usize, input: &mut Input<'_>) {
        let (how, shape) = (input.u8(), input.u8());
        let word = TxDataQw1(0)
            .with_DTYPE(DTYPE::DATA as u8)
            .with_EOP(how & 3 != 0)
            .with_RS(how & 5 == 1)
            .with_IL2TAG1(how & 8 != 0)
            .with_DUMMY(how & 0xF0 == 0xF0)
            .with_IIPT(shape & 3)
            .with_L4T(shape >> 2 & 3)
            .with_MACLEN(if shape & 0x80 == 0 { 7 } else { input.u8() & 0x7F })
            .with_IPLEN(if shape & 0x40 == 0 { 5 } else { input.u8() & 0x7F })
            .with_L4LEN(if shape & 0x20 == 0 { 5 } else { input.u8() & 0xF })
            .with_L2TAG1(if how & 8 != 0 { input.u64() as u16 } else { 0 })
            .with_TX_BUF_SZ(input.sparse() as u16 & 0x3FFF | 1);
        self.descriptor(which, [address(input), word.0]);
    }

    fn context(&mut self, which: usize, input: &mut Input<'_>) {
        let tunnel = if input.u8() & 1 == 0 { 0 } else { input.u64() };
        let mss = u64::from(input.u8()) << (input.u8() & 7);
        let len = input.sparse() & 0x3FFFF;
        let command = u64::from(input.u8() & 0x7F);
        self.descriptor(which, [tunnel, mss << 50 | len << 30 | command << 4 | DTYPE::CTX as u64]);
    }

    /// A filter, mostly for the guest's own VSI.
    fn filter(&mut self, which: usize, input: &mut Input<'_>) {
        let words = [input.u64(), input.u64()];
        let own = FltrProgQw1(words[1]).with_DTYPE(DTYPE::FLTR_PROG as u8);
        let own = if input.u8() & 3 != 0 { own.with_FD_VSI(0) } else { own };
        self.descriptor(which, [words[0], own.0]);
    }

    /// A whole packet as a driver would send it, or nearly so, and the doorbell.
    fn packet(&mut self, which: usize, input: &mut Input<'_>) {
        if self.stopped[which] {
            self.next[which] = 0;
            self.stopped[which] = false;
            let queue = GUEST_QUEUES[which];
            self.machine.enable_tx(GUEST, queue, BASE + RINGS[which], ENTRIES as u16, true);
        }
        let (to, how, spoil) = (input.u8(), input.u8(), input.u8());
        let mut frame = build::frame(input);
        frame[..6].copy_from_slice(&destination(to));
        frame[6..12].copy_from_slice(&if to & 0xF8 == 8 { mac(NEIGHBOUR) } else { mac(GUEST) });
        frame.truncate(40_000);
        let parsed = parse(&frame);
        let mut words = vec![];
        if how & 0xE0 == 0xE0 {
            let q0 = FltrProgQw0(0).with_QINDEX(1).with_TO_Q_PRI(3).with_FD_SPACE(2);
            let q0 = q0.with_COMP_Q(how & 1 != 0).with_COMP_REPORT(how >> 1 & 3);
            let q1 = FltrProgQw1(0).with_DTYPE(DTYPE::FLTR_PROG as u8).with_PCMD(how & 8 != 0);
            words.push([q0.with_DROP(how & 16 != 0).0, q1.with_FDID_PRI(1).with_FDID_MDID(5).0]);
        }
        let tso = how & 3 == 1 && matches!(parsed.innermost().l4, L4::Tcp | L4::Udp);
        if tso || parsed.tunnel != Tunnel::None || how & 4 != 0 {
            let mut q1 = TxCtxQw1(0).with_DTYPE(DTYPE::CTX as u8).with_IL2TAG2(how & 4 != 0);
            if tso {
                let len = (frame.len() - parsed.payload()) as u32;
                q1 = q1.with_TSO(true).with_MSS(64 + u16::from(input.u8()) * 8).with_TSO_LEN(len);
            }
            words.push([tunnel(&parsed, how).with_L2TAG2(0x2064).0, q1.0]);
        }
        let pieces = 1 + usize::from(how >> 3 & 1) * (usize::from(spoil) & 7);
        let size = frame.len().div_ceil(pieces).min(0x3FFF);
        let count = frame.len().div_ceil(size);
        for (n, part) in frame.chunks(size).enumerate() {
            let address = BASE + BUFFERS + (n * size) as u64;
            let last = n + 1 == count;
            let word = commands(&parsed).with_IL2TAG1(how & 16 != 0).with_L2TAG1(0x64);
            let word = word.with_EOP(last).with_RS(last).with_TX_BUF_SZ(part.len() as u16);
            words.push([address, word.0]);
        }
        if spoil >= 0xC0 {
            let (at, bit) = (usize::from(input.u8()) % words.len(), input.u8());
            words[at][usize::from(bit >> 6 & 1)] ^= 1 << (bit & 63);
        }
        self.guest_writes(BUFFERS, &frame);
        for pair in words {
            self.descriptor(which, pair);
        }
        if spoil & 0x38 == 0x38 {
            self.at_the_same_time(which);
        } else if spoil & 0x38 != 0x30 {
            self.machine.doorbell(GUEST_QUEUES[which], self.next[which] as u32);
            self.pump();
        }
    }

    /// A frame in a buffer, to somebody.
    fn frame(&mut self, input: &mut Input<'_>) {
        let (to, shape) = (input.u8(), input.u8());
        let dst = destination(to);
        let src = if to & 8 != 0 { mac(NEIGHBOUR) } else { mac(GUEST) };
        let mut bytes = [dst, src].concat();
        if shape & 0xC0 == 0xC0 {
            bytes.extend([0x81, 0, 0, 0x64]);
        }
        let len = u16::from(input.u8()) << (shape >> 3 & 3);
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend((len + 40).to_be_bytes());
        let protocol = [6, 17, 132, 47, 4, 41][usize::from(shape & 7) % 6];
        bytes.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([
            0,
            80,
            0x12,
            0xB5,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            1,
            0x50,
            input.u8(),
            1,
            0,
            0,
            0,
            0,
            0,
        ]);
        bytes.extend((0..len).map(|n| n as u8));
        let at = BUFFERS + u64::from(input.u8() & 15) * PAGE / 2;
        self.guest_writes(at, &bytes);
    }

    /// The guest's mailbox with a message in it, or with buffers to receive.
    fn mailbox(&mut self, input: &mut Input<'_>) {
        let ring = MAILBOX + u64::from(input.u8() & 1) * PAGE;
        let (flags, len) = (input.u64() as u16, input.sparse() as u16);
        let mut bytes = flags.to_le_bytes().to_vec();
        bytes.extend([1, 8]);
        bytes.extend(len.to_le_bytes());
        bytes.resize(24, 0);
        let buffer = address(input);
        bytes.extend(((buffer >> 32) as u32).to_le_bytes());
        bytes.extend((buffer as u32).to_le_bytes());
        self.guest_writes(ring + 32 * u64::from(input.u8() & 31), &bytes);
        let length = u32::from(input.u8()) | 1 << 31;
        let registers = [(MAILBOX_PAGE, BASE + ring), (MAILBOX_PAGE + 20, BASE + ring)];
        let (first, base) = registers[usize::from(input.u8() & 1)];
        for (n, value) in [base as u32, (base >> 32) as u32, length].into_iter().enumerate() {
            self.machine.write(first + 4 * n as u32, value);
        }
        self.machine.write(first + 16, u32::from(input.u8() & 31));
    }

    /// Both ring in one round; the neighbour's descriptor comes back as done, whatever the guest does.
    fn at_the_same_time(&mut self, which: usize) {
        self.neighbour_rings();
        self.machine.doorbell(GUEST_QUEUES[which], self.next[which] as u32);
        self.machine.pump();
        self.neighbour_is_done();
        self.sink();
        self.nobody_else_stopped();
    }

    fn pump(&mut self) {
        self.machine.pump();
        self.nobody_else_stopped();
    }

    fn nobody_else_stopped(&mut self) {
        for event in self.machine.nic.take_events() {
            match event {
                Event::Malicious { vsi, side, queue, .. } => {
                    assert_eq!(vsi, GUEST as u16);
                    let which = GUEST_QUEUES.iter().position(|other| *other == queue);
                    let which = which.expect("a queue of the guest");
                    self.stopped[which] |= side == Side::Tx;
                    if side == Side::Rx {
                        self.open_rx(which);
                    }
                }
                Event::Mailbox(vsi) => assert_eq!(vsi, GUEST as u16),
                _ => {}
            }
        }
    }

    fn frame_of_neighbour(&self) -> Vec<u8> {
        let mut bytes = [mac(SINK), mac(NEIGHBOUR)].concat();
        bytes.extend([0x88, 0xB5]);
        bytes.extend(self.sent.to_be_bytes());
        bytes.resize(100, self.sent as u8);
        bytes
    }

    fn neighbour_rings(&mut self) {
        let (slot, frame) = (self.sent % ENTRIES, self.frame_of_neighbour());
        let buffer = PAGE + slot % 16 * 128;
        self.machine.poke(NEIGHBOUR, buffer, &frame);
        let word = TxDataQw1(0)
            .with_DTYPE(DTYPE::DATA as u8)
            .with_EOP(true)
            .with_RS(true)
            .with_TX_BUF_SZ(frame.len() as u16);
        let bytes: Vec<u8> =
            [BASE + buffer, word.0].into_iter().flat_map(u64::to_le_bytes).collect();
        self.machine.poke(NEIGHBOUR, slot * 16, &bytes);
        self.machine.accept(NEIGHBOUR, 0, PAGES[NEIGHBOUR] * PAGE);
        self.machine.doorbell(NEIGHBOUR_QUEUE, ((slot + 1) % ENTRIES) as u32);
    }

    fn neighbour_is_done(&mut self) {
        let (slot, mut word) = (self.sent % ENTRIES, [0; 8]);
        self.machine.peek(NEIGHBOUR, slot * 16 + 8, &mut word);
        let done = TxDataQw1(u64::from_le_bytes(word)).DTYPE();
        assert_eq!(done, DTYPE::DESC_DONE as u8, "the neighbour's queue stands still");
        self.machine.accept(NEIGHBOUR, slot * 16 + 8, 8);
        self.sent += 1;
    }

    /// A frame from the neighbour to the sink, which has room for it: it arrives as it was sent.
    fn neighbour_sends(&mut self) {
        self.pump();
        self.sink();
        let frame = self.frame_of_neighbour();
        self.neighbour_rings();
        self.pump();
        self.neighbour_is_done();
        assert_eq!(self.sink(), Some(frame), "the neighbour's frame is lost");
    }

    /// The sink takes what came, and posts all its buffers; gives the frame that came last.
    fn sink(&mut self) -> Option<Vec<u8>> {
        let (mut last, mut frame) = (None, vec![]);
        while self.received < self.posted {
            let slot = self.received % ENTRIES;
            let mut bytes = [0; 16];
            self.machine.peek(SINK, 32 * slot, &mut bytes);
            if bytes[8] & 1 == 0 {
                break;
            }
            let head = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
            let mut part = vec![0; usize::from(RxFlexQw0(head).PKT_LEN())];
            self.machine.peek(SINK, 2 * PAGE + slot * 1024, &mut part);
            frame.extend(part);
            if bytes[8] & 2 != 0 {
                last = Some(std::mem::take(&mut frame));
            }
            self.received += 1;
        }
        assert!(frame.is_empty(), "a frame without its end");
        let upto = (self.received + ENTRIES - 8) / 8 * 8;
        for n in self.posted..upto {
            let slot = n % ENTRIES;
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(BASE + 2 * PAGE + slot * 1024).to_le_bytes());
            self.machine.poke(SINK, 32 * slot, &bytes);
        }
        self.posted = upto;
        // The sink's ring and buffers are the device's to write; its last pages are not.
        self.machine.accept(SINK, 0, 2 * PAGE + ENTRIES * 1024);
        self.machine.rx_tail(SINK_QUEUE, (upto % ENTRIES) as u32);
        last
    }
}

/// An address that is mostly the guest's, mostly of a page it may use.
fn address(input: &mut Input<'_>) -> u64 {
    let (kind, at) = (input.u8(), u64::from(input.u8()) * 8);
    match kind {
        0..0xC0 => BASE + BUFFERS + u64::from(kind % 16) * PAGE / 2 + at % 64,
        0xC0..0xE0 => BASE + u64::from(kind % 32) * PAGE + at,
        0xE0..0xF0 => BASE + (u64::from(kind % 16) + 16) * PAGE - at,
        0xF0..0xF8 => u64::from(kind % 8) << 12 | at,
        0xF8..0xFC => (!0 << 12 | at) << (kind % 4),
        _ => input.u64(),
    }
}

fn destination(to: u8) -> [u8; 6] {
    match to & 7 {
        0 => mac(SINK),
        1 => mac(NEIGHBOUR),
        2 => [0xFF; 6],
        3 => [1, 0, 0x5E, 0, 0, 1],
        4 => [2, 0, 0, 0, 0, 0x99],
        _ => mac(GUEST),
    }
}

/// A data descriptor for the headers that were found.
fn commands(parsed: &Parsed) -> TxDataQw1 {
    let (outer, inner) = (&parsed.outer, parsed.innermost());
    let word = TxDataQw1(0).with_DTYPE(DTYPE::DATA as u8);
    let (iipt, l4t) = match (inner.l3, inner.l4) {
        (L3::None, _) => return word,
        (L3::V4, l4) => (3, l4),
        (L3::V6, l4) => (1, l4),
    };
    let l4t = match l4t {
        L4::Tcp => 1,
        L4::Sctp => 2,
        L4::Udp => 3,
        L4::None | L4::Icmp => 0,
    };
    word.with_IIPT(iipt)
        .with_L4T(l4t)
        .with_MACLEN((outer.l3_offset / 2) as u8)
        .with_IPLEN((inner.l3_len / 4) as u8)
        .with_L4LEN((inner.l4_len / 4) as u8)
}

/// The tunneling part of a context descriptor.
fn tunnel(parsed: &Parsed, how: u8) -> TxCtxQw0 {
    let (outer, inner) = (&parsed.outer, &parsed.inner);
    let l4tunt = match parsed.tunnel {
        Tunnel::None => return TxCtxQw0(0),
        Tunnel::IpIp => 0,
        Tunnel::Vxlan | Tunnel::Geneve => 1,
        Tunnel::Gre => 2,
    };
    TxCtxQw0(0)
        .with_EIPT(if outer.l3 == L3::V4 { 3 } else { 1 })
        .with_EIPLEN((outer.l3_len / 4) as u8)
        .with_L4TUNT(l4tunt)
        .with_NATLEN((inner.l3_offset.saturating_sub(outer.l4_offset) / 2) as u8)
        .with_EIP_NOINC(how & 32 != 0)
        .with_L4T_CS(how & 64 != 0 && l4tunt == 1)
}
