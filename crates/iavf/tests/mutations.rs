//! What is broken on purpose is found, and told apart: a byte, an order, a frame.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{BUFFER, Machine, Options, RX_BUFFERS, RX_RING, load, mac};
use siov_iavf::{Checked, Load, Traffic};

const BURST: u32 = 16;
const LEN: u16 = 300;

/// Sixteen frames of equal length wait in the receiver's buffers; they are changed, and then received.
fn changed(load: Load, change: impl FnOnce(&Machine)) -> Checked {
    let machine = Machine::new(Options::default());
    // Both guests post their buffers first.
    machine.settle();
    machine.send(load);
    while machine.guests.with(0, |guest| guest.results().rings.tx_frames).unwrap() == 0 {
        machine.guests.step().unwrap();
    }
    while machine.nic.pump() {}
    change(&machine);
    machine.settle();
    machine.guests.with(1, |guest| guest.results().checked).unwrap()
}

fn datagrams() -> Load {
    let sizes = vec![LEN];
    Load { sizes, flows: 1, burst: BURST, ..load(Traffic::Generate, BURST.into()) }
}

fn buffer(machine: &Machine, index: u64) -> Vec<u8> {
    let mut copy = vec![0; LEN.into()];
    machine.poke(
        1,
        RX_BUFFERS + index * u64::from(BUFFER),
        |bytes| copy.copy_from_slice(bytes),
        LEN.into(),
    );
    copy
}

fn set_buffer(machine: &Machine, index: u64, frame: &[u8]) {
    let at = RX_BUFFERS + index * u64::from(BUFFER);
    machine.poke(1, at, |bytes| bytes.copy_from_slice(frame), LEN.into());
}

fn expected(frames: u64) -> Checked {
    Checked { frames, bytes: frames * u64::from(LEN), in_order: frames, ..Checked::default() }
}

#[test]
fn unchanged_frames_are_all_right() {
    assert_eq!(changed(datagrams(), |_| ()), expected(16));
}

#[test]
fn every_changed_byte_of_a_frame_is_found() {
    for at in 0..usize::from(LEN) {
        let found = changed(datagrams(), |machine| {
            let mut frame = buffer(machine, 5);
            frame[at] ^= 1 << (at % 8);
            set_buffer(machine, 5, &frame);
        });
        // A frame that is not recognized any more is foreign; in any case it is not right, and one is missing.
        assert_eq!(found.corrupt + found.foreign, 1, "byte {at}");
        let rest = Checked { corrupt: 0, foreign: 0, ..found };
        assert_eq!(rest, Checked { lost: 1, ..expected(15) }, "byte {at}");
    }
}

#[test]
fn two_frames_that_changed_places_are_reordered() {
    let found = changed(datagrams(), |machine| {
        let (one, other) = (buffer(machine, 3), buffer(machine, 4));
        set_buffer(machine, 3, &other);
        set_buffer(machine, 4, &one);
    });
    assert_eq!(found, Checked { in_order: 15, reordered: 1, ..expected(16) });
}

#[test]
fn a_frame_in_the_place_of_another_came_twice_and_the_other_is_lost() {
    let found = changed(datagrams(), |machine| set_buffer(machine, 9, &buffer(machine, 8)));
    assert_eq!(found, Checked { in_order: 15, duplicated: 1, lost: 1, ..expected(16) });
}

#[test]
fn a_frame_that_is_cut_short_is_corrupt() {
    let found = changed(datagrams(), |machine| {
        let word = RX_RING + 7 * 32 + 8;
        machine.poke(
            1,
            word,
            |bytes| {
                let status = u64::from_le_bytes(bytes.try_into().unwrap()) - (1 << 38);
                bytes.copy_from_slice(&status.to_le_bytes());
            },
            8,
        );
    });
    assert_eq!(found, Checked { corrupt: 1, lost: 1, ..expected(15) });
}

#[test]
fn a_checksum_that_the_device_finds_wrong_is_told() {
    let found = changed(datagrams(), |machine| {
        machine.poke(1, RX_RING + 7 * 32 + 8, |bytes| bytes[2] |= 1 << 7, 8); // L4E
    });
    assert_eq!(found, Checked { wrong_status: 1, ..expected(16) });
}

#[test]
fn a_tag_that_nobody_expects_is_told() {
    let found = changed(datagrams(), |machine| {
        machine.poke(1, RX_RING + 7 * 32 + 8, |bytes| bytes[0] |= 1 << 2, 8); // L2TAG1P
    });
    assert_eq!(found, Checked { wrong_tag: 1, ..expected(16) });
}

#[test]
fn frames_from_somebody_elses_address_or_for_somebody_else_are_corrupt() {
    for at in [0, 6] {
        let found = changed(datagrams(), |machine| {
            let mut frame = buffer(machine, 2);
            frame[at..at + 6].copy_from_slice(&mac(7));
            set_buffer(machine, 2, &frame);
        });
        assert_eq!(found, Checked { corrupt: 1, lost: 1, ..expected(15) });
    }
}

#[test]
fn every_changed_byte_of_a_stream_is_found_but_for_what_segmentation_leaves_open() {
    let chunk = u32::from(LEN) - 54;
    let traffic = Traffic::Stream { window: 1 << 20, chunk, mss: None, timeout: 1 << 40 };
    let stream = || {
        let bytes = u64::from(BURST * chunk);
        Load { flows: 1, burst: BURST, ..load(traffic.clone(), bytes) }
    };
    for at in 0..usize::from(LEN) {
        let found = changed(stream(), |machine| {
            let mut frame = buffer(machine, 5);
            frame[at] ^= 1 << (at % 8);
            set_buffer(machine, 5, &frame);
        });
        assert_eq!(found.corrupt + found.foreign, 1, "byte {at}");
        assert_eq!(found.lost, 1, "byte {at}");
    }
    let found = changed(stream(), |machine| {
        let (one, other) = (buffer(machine, 3), buffer(machine, 4));
        set_buffer(machine, 3, &other);
        set_buffer(machine, 4, &one);
    });
    assert_eq!(found, Checked { in_order: 15, reordered: 1, ..expected(16) });
    let found = changed(stream(), |machine| set_buffer(machine, 9, &buffer(machine, 8)));
    assert_eq!(found, Checked { in_order: 15, duplicated: 1, lost: 1, ..expected(16) });
}

#[test]
fn an_answer_with_a_changed_byte_is_no_answer() {
    let machine = Machine::new(Options { echo: true, ..Options::default() });
    machine.settle();
    let load = Load {
        sizes: vec![LEN],
        flows: 1,
        ..load(Traffic::Request { depth: 1, timeout: 1 << 40 }, 1)
    };
    machine.send(load);
    while machine.guests.with(0, |guest| guest.results().rings.tx_frames).unwrap() == 0 {
        machine.guests.step().unwrap();
    }
    while machine.nic.pump() {}
    while machine.guests.with(1, |guest| guest.results().rings.tx_frames).unwrap() == 0 {
        machine.guests.step().unwrap();
    }
    while machine.nic.pump() {}
    machine.poke(0, RX_BUFFERS + 250, |bytes| bytes[0] ^= 1, 1);
    machine.settle();
    let results = machine.guests.with(0, |guest| guest.results()).unwrap();
    assert_eq!((results.checked.corrupt, results.senders[0].answered), (1, 0));
}
