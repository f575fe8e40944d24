//! The MSI-X table, its pending bits, and the slots of interrupt message storage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use siov_lan::interrupt::{Message, Messages, Vector};

const PBA: u64 = 0x8000;

fn entry(address: u64, data: u32, control: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&data.to_le_bytes());
    bytes[12..].copy_from_slice(&control.to_le_bytes());
    bytes
}

/// Messages with MSI-X enabled and no vector masked that a test names.
fn messages(unmasked: &[u32]) -> Messages {
    let (mut messages, mut out) = (Messages::new(64), vec![]);
    messages.set_control(true, false, &mut out);
    for vector in unmasked.iter().copied() {
        let bytes = entry(address(vector), vector + 100, 0);
        match Vector(vector).slot() {
            None => messages.write_bar3(u64::from(vector) * 16, &bytes, &mut out),
            Some(slot) => messages.write_ims(u64::from(slot) * 16, &bytes, &mut out),
        }
    }
    assert_eq!(out, []);
    messages
}

fn address(vector: u32) -> u64 {
    0x1_FEE0_0000 + u64::from(vector) * 4
}

fn message(vector: u32) -> Message {
    Message { vector: Vector(vector), address: address(vector), data: vector + 100 }
}

fn bar3<const N: usize>(messages: &Messages, offset: u64) -> [u8; N] {
    let mut bytes = [0xEE; N];
    messages.read_bar3(offset, &mut bytes);
    bytes
}

#[test]
fn a_message_is_what_its_table_entry_or_slot_says() {
    let mut messages = messages(&[0, 2047, 2048, 2111]);
    for vector in [0, 2047, 2048, 2111] {
        assert_eq!(messages.fire(Vector(vector)), Some(message(vector)));
    }
}

#[test]
fn the_2049th_table_entry_does_not_exist() {
    let (mut messages, mut out) = (messages(&[]), vec![]);
    messages.write_bar3(2048 * 16, &entry(4, 5, 0), &mut out);
    assert_eq!(bar3::<16>(&messages, 2048 * 16), [0; 16], "the pending bits, that nobody writes");
    let mut slot = [0; 16];
    messages.read_ims(0, &mut slot);
    assert_eq!(slot, entry(0, 0, 1), "slot 0 is none of the table's");
}

#[test]
fn a_slot_past_the_last_does_not_exist() {
    let (mut messages, mut out) = (messages(&[]), vec![]);
    messages.write_ims(64 * 16, &entry(4, 5, 0), &mut out);
    messages.write_ims(u64::MAX - 8, &[0xFF; 16], &mut out);
    assert_eq!(messages.fire(Vector(2048 + 64)), None);
    let mut bytes = [0xEE; 16];
    messages.read_ims(64 * 16, &mut bytes);
    assert_eq!(bytes, [0; 16]);
}

#[test]
fn every_entry_and_slot_is_masked_after_a_reset() {
    let mut messages = messages(&[3, 2050]);
    messages.reset();
    let mut slot = [0; 16];
    messages.read_ims(2 * 16, &mut slot);
    assert_eq!((bar3::<16>(&messages, 3 * 16), slot), (entry(0, 0, 1), entry(0, 0, 1)));
    assert_eq!(messages.fire(Vector(3)), None);
    assert!(!messages.is_pending(Vector(3)), "MSI-X is disabled");
}

#[test]
fn a_masked_vector_sets_its_pending_bit_and_sends_when_unmasked() {
    let (mut messages, mut out) = (messages(&[9]), vec![]);
    messages.write_bar3(9 * 16 + 12, &[1], &mut out);
    assert_eq!(messages.fire(Vector(9)), None);
    assert_eq!(bar3::<8>(&messages, PBA), (1u64 << 9).to_le_bytes());
    assert_eq!(bar3::<4>(&messages, 9 * 16 + 12), [1, 0, 0, 0], "only a slot shows it there");
    messages.write_bar3(9 * 16 + 12, &[0, 0, 0, 0], &mut out);
    assert_eq!(out, [message(9)]);
    assert_eq!(bar3::<8>(&messages, PBA), [0; 8]);
}

#[test]
fn a_message_unmasked_in_one_write_with_its_address_goes_there() {
    let (mut messages, mut out) = (messages(&[]), vec![]);
    assert_eq!(messages.fire(Vector(7)), None);
    messages.write_bar3(7 * 16, &entry(address(7), 107, 0), &mut out);
    assert_eq!(out, [message(7)]);
}

#[test]
fn the_function_mask_holds_back_all_of_msi_x_and_no_slot() {
    let (mut messages, mut out) = (messages(&[0, 9, 2048]), vec![]);
    messages.set_control(true, true, &mut out);
    assert_eq!(messages.fire(Vector(9)), None);
    assert_eq!(messages.fire(Vector(0)), None);
    assert_eq!(messages.fire(Vector(2048)), Some(message(2048)));
    messages.set_control(true, false, &mut out);
    assert_eq!(out, [message(0), message(9)]);
}

#[test]
fn without_msi_x_its_messages_are_lost_and_those_of_slots_are_not() {
    let (mut messages, mut out) = (messages(&[9, 2048]), vec![]);
    messages.set_control(false, false, &mut out);
    assert_eq!(messages.fire(Vector(9)), None);
    assert_eq!(messages.fire(Vector(2048)), Some(message(2048)));
    messages.set_control(true, false, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_masked_slot_shows_its_pending_bit_and_sends_when_unmasked() {
    let (mut messages, mut out) = (messages(&[2051]), vec![]);
    messages.write_ims(3 * 16 + 12, &[1], &mut out);
    assert_eq!(messages.fire(Vector(2051)), None);
    let mut control = [0; 4];
    messages.read_ims(3 * 16 + 12, &mut control);
    assert_eq!(control, [3, 0, 0, 0]);
    messages.write_ims(3 * 16 + 12, &[3], &mut out);
    assert_eq!(out, [], "the pending bit is read-only, and it stays masked");
    messages.write_ims(3 * 16 + 12, &[0], &mut out);
    assert_eq!(out, [message(2051)]);
}

#[test]
fn a_cleared_pending_bit_sends_nothing() {
    let (mut messages, mut out) = (messages(&[]), vec![]);
    assert_eq!(messages.fire(Vector(9)), None);
    messages.clear_pending(Vector(9));
    messages.write_bar3(9 * 16 + 12, &[0], &mut out);
    assert_eq!(out, []);
}

#[test]
fn the_pending_bits_take_no_write() {
    let (mut messages, mut out) = (messages(&[]), vec![]);
    messages.write_bar3(PBA, &[0xFF; 256], &mut out);
    assert_eq!(bar3::<256>(&messages, PBA), [0; 256]);
    assert_eq!(out, []);
}

#[test]
fn the_last_pending_bit_is_that_of_vector_2047() {
    let mut messages = messages(&[]);
    assert_eq!(messages.fire(Vector(2047)), None);
    assert_eq!(messages.fire(Vector(2048)), None);
    assert_eq!(bar3::<4>(&messages, PBA + 254), [0, 0x80, 0, 0]);
}

#[test]
fn any_width_and_alignment_reads_and_writes_the_table() {
    let mut messages = messages(&[]);
    let mut plain = vec![0u8; 64];
    for n in 0..4 {
        plain[n * 16 + 12] = 1;
    }
    for (at, len) in [(0, 1), (1, 1), (3, 2), (4, 8), (7, 9), (14, 4), (9, 1), (27, 20), (5, 59)] {
        let bytes: Vec<u8> = (0..len).map(|n| (at * 31 + n * 7) as u8 | 1).collect();
        messages.write_bar3(at as u64, &bytes, &mut vec![]);
        plain[at..at + len].copy_from_slice(&bytes);
        for entry in plain.chunks_mut(16) {
            entry[0] &= !3; // the address is that of a dword
            (entry[12], entry[13], entry[14], entry[15]) = (entry[12] & 1, 0, 0, 0);
        }
        assert_eq!(bar3::<64>(&messages, 0).as_slice(), plain, "after {len} bytes at {at}");
    }
    let mut odd = [0; 33];
    messages.read_bar3(13, &mut odd);
    assert_eq!(odd, plain[13..46]);
}

#[test]
fn bar3_reads_0_outside_of_table_and_pending_bits() {
    let messages = messages(&[]);
    assert_eq!(bar3::<8>(&messages, PBA + 256), [0; 8]);
    assert_eq!(bar3::<8>(&messages, 0xFFF8), [0; 8]);
    assert_eq!(bar3::<8>(&messages, u64::MAX - 3), [0; 8]);
}
