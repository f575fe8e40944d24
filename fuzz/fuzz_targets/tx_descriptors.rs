//! Descriptors, frames, doorbells and mailbox registers of a hostile guest's choice: the device never panics and
//! comes to rest, touches no memory but the guest's, stops no queue but the guest's, and the neighbour beside it
//! loses no frame.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use siov_lan::Event;
use siov_spec::e810::{DTYPE, RxFlexQw0, RxQueueContext, TxDataQw1, bar0};

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
        for (queue, ring) in GUEST_QUEUES.into_iter().zip(RX_RINGS) {
            for n in 0..ENTRIES {
                let buffer = BASE + BUFFERS + n % 8 * PAGE / 2;
                machine.poke(GUEST, ring + 32 * n, &buffer.to_le_bytes());
            }
            machine.enable_rx(queue, BASE + ring, rx_context(64, 16, 9728), RXDID_FLEX);
            machine.rx_tail(queue, 56);
        }
        machine.enable_tx(NEIGHBOUR, NEIGHBOUR_QUEUE, BASE, ENTRIES as u16, false);
        for n in 0..ENTRIES {
            let buffer = BASE + 2 * PAGE + n * 1024;
            machine.poke(SINK, 32 * n, &buffer.to_le_bytes());
        }
        machine.enable_rx(SINK_QUEUE, BASE, rx_context(64, 8, 5 * 1024), RXDID_FLEX);
        machine.accept(SINK, 0, PAGES[SINK] * PAGE);
        machine.accept(GUEST, 0, PAGES[GUEST] * PAGE);
        let mut scene = Self { machine, next: [0; 2], sent: 0, received: 0, posted: 0 };
        scene.sink();
        scene
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.u8();
        let which = usize::from(what >> 7);
        match what & 0x1F {
            0..6 => self.data(which, input),
            6..8 => self.context(which, input),
            8 => self.descriptor(which, [input.u64(), input.u64()]),
            9 => self.filter(which, input),
            10..13 => self.frame(input),
            13 => {
                let at = address(input).wrapping_sub(BASE);
                let bytes: Vec<u8> = (0..input.u8()).map(|_| input.u8()).collect();
                self.guest_writes(at, &bytes);
            }
            14 => {
                let tail = input.u64() as u32 >> (input.u8() & 31);
                self.machine.doorbell(GUEST_QUEUES[which], tail);
            }
            15..18 => {
                self.machine.doorbell(GUEST_QUEUES[which], self.next[which] as u32);
                self.pump();
            }
            18 => self.at_the_same_time(which),
            19 => {
                let ring = RINGS[which] + u64::from(input.u8() & 0xF) * 128;
                let base = if input.u8() == 0 { address(input) } else { BASE + ring };
                let len = [64, 64, 32, 128, 96, u16::from(input.u8())][usize::from(input.u8()) % 6];
                self.next[which] = 0;
                let queue = GUEST_QUEUES[which];
                self.machine.enable_tx(GUEST, queue, base, len, input.u8() & 7 != 0);
            }
            20 => {
                let context = if input.u8() & 1 == 0 {
                    rx_context(64, input.u8(), u16::from(input.u8()) << 6)
                } else {
                    RxQueueContext([0; 4].map(|_: u64| input.u64()))
                };
                let base = if input.u8() == 0 { address(input) } else { BASE + RX_RINGS[which] };
                self.machine.enable_rx(GUEST_QUEUES[which], base, context, input.u8() & 0x3F);
            }
            21 => self.machine.rx_tail(GUEST_QUEUES[which], input.u64() as u32 >> (input.u8() & 31)),
            22 => self.machine.write(MAILBOX_PAGE + 4 * u32::from(input.u8() % 10), {
                input.u64() as u32 >> (input.u8() & 31)
            }),
            23 => self.mailbox(input),
            24 => {
                let at = bar0::QINT_TQCTL::AT + 4 * u32::from(GUEST_QUEUES[which]);
                self.machine.write(at, input.u64() as u32);
            }
            25 => drop(self.machine.nic.clock().advance(input.sparse() & 0xFF_FFFF_FFFF)),
            26 => {
                let page = VECTOR_PAGE + 4096 * u32::from(input.u8() & 7);
                self.machine.write(page + 4 * u32::from(input.u8() & 3), input.u64() as u32);
            }
            27 => self.neighbour_sends(),
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

    fn filter(&mut self, which: usize, input: &mut Input<'_>) {
        let words = [input.u64(), input.u64() & !0xF | DTYPE::FLTR_PROG as u64];
        // Mostly for the guest's own VSI.
        let own = if input.u8() & 3 != 0 { words[0] & !(0x3FF << 14) } else { words[0] };
        self.descriptor(which, [own, words[1]]);
    }

    /// A frame in a buffer, to somebody.
    fn frame(&mut self, input: &mut Input<'_>) {
        let (to, shape) = (input.u8(), input.u8());
        let dst = match to & 7 {
            0 => mac(SINK),
            1 => mac(NEIGHBOUR),
            2 => [0xFF; 6],
            3 => [1, 0, 0x5E, 0, 0, 1],
            _ => mac(GUEST),
        };
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
        bytes.extend([0, 80, 0x12, 0xB5, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, input.u8(), 1, 0, 0, 0, 0, 0]);
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
        let registers =
            [(MAILBOX_PAGE, BASE + ring), (MAILBOX_PAGE + 20, BASE + ring)];
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

    fn nobody_else_stopped(&self) {
        for event in self.machine.nic.take_events() {
            match event {
                Event::Malicious { vsi, queue, .. } => {
                    assert_eq!(vsi, GUEST as u16);
                    assert!(GUEST_QUEUES.contains(&queue));
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
