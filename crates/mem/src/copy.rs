//! Copying to and from memory that others write at the same time.
//!
//! Every load and store is atomic and naturally aligned, at most 8 bytes wide. So a race gives old
//! or new words, never undefined behaviour, and a descriptor field that is aligned never tears.
#![allow(unsafe_code)] // raw loads and stores are what this module is for

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// Bytes from `at` to the next multiple of a word, at most `len`.
fn head_len(at: *const u8, len: usize) -> usize {
    (at.addr().wrapping_neg() & (WORD - 1)).min(len)
}

/// The widest access of at most 4 bytes that `at` is aligned to and `len` has room for.
fn narrow_width(at: *const u8, len: usize) -> usize {
    match at.addr() {
        a if a % 4 == 0 && len >= 4 => 4,
        a if a % 2 == 0 && len >= 2 => 2,
        _ => 1,
    }
}

/// Fills `to` from the `to.len()` bytes at `from`.
///
/// # Safety
/// The bytes must be mapped readable for the whole call, and be touched by Rust code through
/// atomics only.
pub(crate) unsafe fn load(from: *const u8, to: &mut [u8]) {
    let (head, rest) = to.split_at_mut(head_len(from, to.len()));
    // SAFETY: `head` is a prefix of what the caller vouches for.
    unsafe { load_narrow(from, head) };
    let mut at = from.wrapping_add(head.len());
    let mut words = rest.chunks_exact_mut(WORD);
    for word in &mut words {
        // SAFETY: inside the caller's bytes, and aligned: `at` starts at a multiple of a word.
        let value = unsafe { AtomicU64::from_ptr(at.cast_mut().cast()) }.load(Relaxed);
        word.copy_from_slice(&value.to_ne_bytes());
        at = at.wrapping_add(WORD);
    }
    // SAFETY: the remainder is the last part of the caller's bytes.
    unsafe { load_narrow(at, words.into_remainder()) };
}

/// # Safety
/// As [`load`].
unsafe fn load_narrow(from: *const u8, to: &mut [u8]) {
    let mut at = from.cast_mut();
    let mut rest = to;
    while !rest.is_empty() {
        let (now, later) = rest.split_at_mut(narrow_width(at, rest.len()));
        // SAFETY: inside the caller's bytes; `narrow_width` checked the alignment.
        unsafe {
            match now.len() {
                4 => {
                    now.copy_from_slice(&AtomicU32::from_ptr(at.cast()).load(Relaxed).to_ne_bytes())
                }
                2 => {
                    now.copy_from_slice(&AtomicU16::from_ptr(at.cast()).load(Relaxed).to_ne_bytes())
                }
                _ => now.fill(AtomicU8::from_ptr(at).load(Relaxed)),
            }
        }
        at = at.wrapping_add(now.len());
        rest = later;
    }
}

/// Puts `from` into the `from.len()` bytes at `to`.
///
/// # Safety
/// As [`load`], with the bytes mapped writable.
pub(crate) unsafe fn store(to: *mut u8, from: &[u8]) {
    let (head, rest) = from.split_at(head_len(to, from.len()));
    // SAFETY: `head` is a prefix of what the caller vouches for.
    unsafe { store_narrow(to, head) };
    let mut at = to.wrapping_add(head.len());
    let words = rest.chunks_exact(WORD);
    let tail = words.remainder();
    for word in words {
        let value = word.try_into().map_or(0, u64::from_ne_bytes);
        // SAFETY: inside the caller's bytes, and aligned: `at` starts at a multiple of a word.
        unsafe { AtomicU64::from_ptr(at.cast()) }.store(value, Relaxed);
        at = at.wrapping_add(WORD);
    }
    // SAFETY: the remainder is the last part of the caller's bytes.
    unsafe { store_narrow(at, tail) };
}

/// # Safety
/// As [`store`].
unsafe fn store_narrow(to: *mut u8, from: &[u8]) {
    let mut at = to;
    let mut rest = from;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(narrow_width(at, rest.len()));
        // SAFETY: inside the caller's bytes; `narrow_width` checked the alignment.
        unsafe {
            match *now {
                [a, b, c, d] => {
                    AtomicU32::from_ptr(at.cast()).store(u32::from_ne_bytes([a, b, c, d]), Relaxed)
                }
                [a, b] => {
                    AtomicU16::from_ptr(at.cast()).store(u16::from_ne_bytes([a, b]), Relaxed);
                }
                [a, ..] => AtomicU8::from_ptr(at).store(a, Relaxed),
                [] => {}
            }
        }
        at = at.wrapping_add(now.len());
        rest = later;
    }
}
