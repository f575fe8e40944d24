//! What accesses to the trapped BAR 0 and to the MSI-X structures do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{BAR0, GONE, HENA, ICR, RSTAT, RSTAT_HPA, Rig, forward, trap};
use proptest::prelude::*;
use siov_vdev::{Action, DEAD, Refused, State, Trap, TrapError, region};

const DEAD64: u64 = 0xDEAD_BEEF;

#[test]
fn a_forwarded_access_reaches_the_register_of_its_element_and_no_other() {
    let rig = Rig::new();
    rig.write(region::BAR0, 0x0008, 0x77, 4);
    rig.write(region::BAR0, 0x2840, 25, 4);
    assert_eq!(rig.read(region::BAR0, 0x2840, 4), 25);
    assert_eq!(
        rig.take_log(),
        [(0x400_2000, Some(0x77)), (0x300_0008, Some(25)), (0x300_0008, None)]
    );
}

#[test]
fn a_tail_that_is_only_written_reads_as_dead_and_nothing_asks_the_parent() {
    let rig = Rig::new();
    assert_eq!(rig.read(region::BAR0, 0x0004, 4), DEAD64);
    assert_eq!(rig.take_log(), []);
}

#[test]
fn what_is_not_trapped_or_not_aligned_reads_as_dead_and_takes_no_write() {
    let rig = Rig::new();
    for (at, count) in
        [(0x0010, 4), (0x2804, 4), (0x6402, 4), (0x6400, 2), (0x6401, 1), (0xFFFC, 4)]
    {
        let expected = match count {
            4 if at % 4 == 0 => DEAD64,
            4 => 0xBEEF_DEAD,
            2 => 0xBEEF,
            _ => 0xBE,
        };
        assert_eq!(rig.read(region::BAR0, at, count), expected, "{at:#x}");
        rig.write(region::BAR0, at, u64::MAX, count);
    }
    assert_eq!(rig.take_log(), []);
    assert!(rig.vdev.counted().dropped_writes >= 6);
}

#[test]
fn eight_bytes_are_two_double_words_in_order() {
    let rig = Rig::new();
    rig.write(region::BAR0, HENA.into(), 0x1111_2222_3333_4444, 8);
    assert_eq!(rig.vdev.shadow(HENA), Some(0x3333_4444));
    assert_eq!(rig.vdev.shadow(HENA + 4), Some(0x1111_2222));
    assert_eq!(rig.read(region::BAR0, HENA.into(), 8), 0x1111_2222_3333_4444);
}

#[test]
fn where_nothing_answers_a_read_gives_all_ones() {
    let rig = Rig::new();
    assert_eq!(rig.read(region::BAR0, 0x7000, 4), u32::MAX.into());
}

#[test]
fn the_state_of_a_reset_follows_the_adapter_and_the_virtual_device() {
    let rig = Rig::new();
    let rstat = || rig.read(region::BAR0, RSTAT.into(), 4);
    assert_eq!(rstat(), 2);
    rig.vdev.set_state(State::Resetting);
    assert_eq!(rstat(), 1);
    rig.parent.regs.lock().unwrap().insert(RSTAT_HPA, 2);
    assert_eq!(rstat(), 0, "VMRD is clear");
    rig.vdev.set_state(State::Active);
    assert_eq!(rstat(), 0);
    rig.parent.regs.lock().unwrap().insert(RSTAT_HPA, 3);
    assert_eq!(rstat(), 2);
    rig.vdev.set_state(State::Disabled);
    assert_eq!(rstat(), 0);
    rig.write(region::BAR0, RSTAT.into(), 3, 4);
    rig.vdev.set_state(State::Active);
    assert_eq!(rstat(), 2, "a write is ignored");
}

#[test]
fn a_disabled_device_answers_nothing_but_the_state_of_its_reset() {
    let rig = Rig::new();
    rig.vdev.set_state(State::Disabled);
    for at in [0x0000, 0x2800, ICR, 0x5000, 0x6400, HENA] {
        assert_eq!(rig.read(region::BAR0, at.into(), 4), DEAD64, "{at:#x}");
        rig.write(region::BAR0, at.into(), 1, 4);
    }
    assert_eq!(rig.take_log(), []);
    assert!(rig.vdev.take_notices().written.is_empty());
}

#[test]
fn reading_the_causes_clears_them_and_a_guest_can_t_set_them() {
    let rig = Rig::new();
    assert!(rig.vdev.or_shadow(ICR, 1 << 30));
    assert!(rig.vdev.or_shadow(ICR, 1 << 25));
    rig.write(region::BAR0, ICR.into(), u64::MAX, 4);
    assert_eq!(rig.read(region::BAR0, ICR.into(), 4), 1 << 30 | 1 << 25);
    assert_eq!(rig.read(region::BAR0, ICR.into(), 4), 0);
}

#[test]
fn a_shadow_keeps_the_bits_of_its_mask() {
    let rig = Rig::new();
    rig.write(region::BAR0, 0x5000, u32::MAX.into(), 4);
    assert_eq!(rig.read(region::BAR0, 0x5000, 4), 0xC000_0000);
    assert_eq!(*rig.rung.lock().unwrap(), 0, "nobody is told of this one");
}

#[test]
fn the_bell_rings_once_until_the_notices_are_taken_and_each_register_is_told_once() {
    let rig = Rig::new();
    for value in 0..100u64 {
        rig.write(region::BAR0, HENA.into(), value, 4);
        rig.write(region::BAR0, u64::from(HENA) + 4, value, 4);
    }
    assert_eq!(*rig.rung.lock().unwrap(), 1);
    let notices = rig.vdev.take_notices();
    assert_eq!(notices.written.into_iter().collect::<Vec<_>>(), [(HENA, 99), (HENA + 4, 99)]);
    rig.write(region::BAR0, HENA.into(), 5, 4);
    assert_eq!(*rig.rung.lock().unwrap(), 2);
}

#[test]
fn a_reset_brings_shadows_back_and_forgets_notices() {
    let rig = Rig::new();
    rig.write(region::BAR0, HENA.into(), 1, 4);
    rig.write(region::MSIX, 0x10, 0xFEE0_0000, 4);
    rig.vdev.reset();
    assert_eq!(rig.vdev.shadow(HENA), Some(7));
    assert!(rig.vdev.take_notices().written.is_empty());
    assert_eq!(rig.read(region::MSIX, 0x10, 4), 0);
}

#[test]
fn the_msix_table_keeps_entries_and_masks_vectors_at_first() {
    let rig = Rig::new();
    assert_eq!(rig.read(region::MSIX, 0x0C, 4), 1);
    rig.write(region::MSIX, 0x40, u64::MAX, 8);
    rig.write(region::MSIX, 0x48, u64::MAX, 8);
    assert_eq!(rig.read(region::MSIX, 0x40, 8), 0xFFFF_FFFF_FFFF_FFFC);
    assert_eq!(rig.read(region::MSIX, 0x48, 8), 0x1_FFFF_FFFF);
    rig.write(region::MSIX, 0x50, u64::MAX, 8);
    rig.write(region::MSIX, 0x2000, u64::MAX, 8);
    assert_eq!(rig.read(region::MSIX, 0x50, 8), 0, "there are five entries");
    assert_eq!(rig.read(region::MSIX, 0x2000, 8), 0, "pending bits are not written");
}

#[test]
fn a_range_that_leaves_its_region_is_refused_whole() {
    let rig = Rig::new();
    let mut data = [0; 8];
    for offset in [u64::from(BAR0) - 4, BAR0.into(), u64::MAX - 3, u64::MAX, 1 << 32] {
        let refused = rig.vdev.read(region::BAR0, offset, &mut data);
        assert!(matches!(refused, Err(Refused::Range { .. })), "{offset:#x}");
        assert!(rig.vdev.write(region::BAR0, offset, &data).is_err());
    }
    assert_eq!(rig.vdev.read(1, 0, &mut data), Err(Refused::Region(1)));
    assert_eq!(rig.vdev.write(u32::MAX, 0, &data), Err(Refused::Region(u32::MAX)));
    assert_eq!(rig.take_log(), []);
}

#[test]
fn no_forwarded_access_is_under_way_once_the_state_has_been_changed() {
    let rig = Arc::new(Rig::new());
    let stop = Arc::new(AtomicBool::new(false));
    let guests: Vec<_> = (0..2)
        .map(|_| {
            let (rig, stop) = (Arc::clone(&rig), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    rig.write(region::BAR0, 0x0000, 1, 4);
                    rig.read(region::BAR0, 0x6400, 4);
                }
            })
        })
        .collect();
    for _ in 0..50 {
        while rig.take_log().is_empty() {
            std::thread::yield_now();
        }
        rig.vdev.set_state(State::Disabled);
        rig.take_log();
        for _ in 0..20 {
            std::thread::yield_now();
            assert_eq!(rig.take_log(), []);
        }
        rig.vdev.set_state(State::Active);
    }
    stop.store(true, Ordering::Relaxed);
    guests.into_iter().for_each(|guest| guest.join().unwrap());
}

#[test]
fn traps_that_contradict_each_other_are_refused() {
    let make = |traps: &[Trap]| {
        let rig = Rig::new();
        let parts = siov_vdev::Parts {
            config: common::config(),
            function_reset: false,
            bar0_size: BAR0,
            traps: traps.to_vec(),
            msix: None,
            mmio: Arc::clone(&rig.parent) as Arc<dyn siov_vdev::Mmio>,
            bell: None,
        };
        siov_vdev::Vdev::new(parts).err()
    };
    let plain = forward(Some(0), Some(0), 4);
    assert_eq!(make(&[trap(0, 4, 4, plain), trap(0x10, 1, 4, plain)]), None);
    assert_eq!(
        make(&[trap(0, 4, 4, plain), trap(0xC, 1, 4, plain)]),
        Some(TrapError::Overlap(0xC))
    );
    assert_eq!(make(&[trap(2, 1, 4, plain)]), Some(TrapError::Alignment(2)));
    assert_eq!(make(&[trap(0, 2, 0, plain)]), Some(TrapError::Alignment(0)));
    for bad in [
        trap(0, 0, 4, plain),
        trap(BAR0 - 4, 2, 4, plain),
        trap(0, u32::MAX, 0x1000, plain),
        trap(0, 2, 4, forward(Some(u64::MAX - 3), None, 4)),
        trap(0, 2, 4, forward(None, Some(8), u64::MAX)),
    ] {
        assert_eq!(make(&[bad]), Some(TrapError::Range(bad.at)));
    }
}

/// What a double word of the rig's BAR does, said again in the plainest way.
fn expected(at: u32) -> Option<(Option<u64>, Option<u64>)> {
    match at {
        0x0 | 0x4 | 0x8 | 0xC => Some((None, Some(0x400_0000 + u64::from(at) / 4 * 0x1000))),
        0x2800 | 0x2840 | 0x2880 => {
            let hpa = 0x300_0004 + u64::from(at - 0x2800) / 64 * 4;
            Some((Some(hpa), Some(hpa)))
        }
        0x6400 => Some((Some(0x200_000C), Some(0x200_000C))),
        0x7000 => Some((Some(GONE), Some(GONE))),
        RSTAT => Some((Some(RSTAT_HPA), None)),
        _ => None,
    }
}

fn interesting() -> impl Strategy<Value = u64> {
    let bases: Vec<u32> = common::traps().iter().map(|trap| trap.at).collect();
    prop_oneof![
        (proptest::sample::select(bases), -8i64..0x90)
            .prop_map(|(at, by)| (i64::from(at) + by).max(0) as u64),
        0..u64::from(BAR0) + 16,
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_access_reaches_what_the_table_says_and_nothing_else(
        at in interesting(), count in 0usize..13, write: bool, value: [u8; 13],
    ) {
        let rig = Rig::new();
        let mut data = value[..count].to_vec();
        let done = if write { rig.vdev.write(region::BAR0, at, &data) } else { rig.vdev.read(region::BAR0, at, &mut data) };
        let inside = at.checked_add(count as u64).is_some_and(|end| end <= BAR0.into());
        prop_assert_eq!(done.is_ok(), inside);
        let mut reached = vec![];
        for word in (at..at.saturating_add(count as u64)).filter(|word| inside && word % 4 == 0) {
            if word + 4 > at + count as u64 {
                continue;
            }
            match (expected(word as u32), write) {
                (Some((Some(hpa), _)), false) => reached.push((hpa, None)),
                (Some((_, Some(hpa))), true) => {
                    let from = (word - at) as usize;
                    let bytes = value[from..from + 4].try_into().unwrap();
                    reached.push((hpa, Some(u32::from_le_bytes(bytes))));
                }
                _ => {}
            }
        }
        prop_assert_eq!(rig.take_log(), reached);
    }

    #[test]
    fn a_shadow_is_what_a_variable_with_a_mask_would_be(
        writes in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 1..20),
        reset: u32, rw: u32, read_clears: bool,
    ) {
        let rig = Rig::new();
        let parts = siov_vdev::Parts {
            config: common::config(), function_reset: false, bar0_size: BAR0, msix: None, bell: None,
            mmio: Arc::clone(&rig.parent) as Arc<dyn siov_vdev::Mmio>,
            traps: vec![trap(0x100, 1, 4, Action::Shadow { reset, rw, read_clears, notify: true })],
        };
        let vdev = siov_vdev::Vdev::new(parts).unwrap();
        let mut model = reset;
        for (written, bits, read) in writes {
            vdev.write(region::BAR0, 0x100, &written.to_le_bytes()).unwrap();
            model = model & !rw | written & rw;
            let told = vdev.take_notices().written;
            prop_assert_eq!(told.get(&0x100), Some(&model));
            vdev.or_shadow(0x100, bits);
            model |= bits;
            if read {
                let mut data = [0; 4];
                vdev.read(region::BAR0, 0x100, &mut data).unwrap();
                prop_assert_eq!(u32::from_le_bytes(data), model);
                if read_clears {
                    model = 0;
                }
            }
        }
        prop_assert_eq!(vdev.shadow(0x100), Some(model));
        prop_assert_eq!(vdev.shadow(0x104), None);
        let mut dead = [0; 4];
        vdev.read(region::BAR0, 0x104, &mut dead).unwrap();
        prop_assert_eq!(u32::from_le_bytes(dead), DEAD);
    }
}
