//! What writes to the configuration space do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{HENA, RSTAT, Rig};
use proptest::prelude::*;
use siov_vdev::{State, region};

const DEVCTL: u64 = 0x58;
const FLR: u64 = 1 << 15;

#[test]
fn a_bar_tells_its_size_by_the_bits_that_stay() {
    let rig = Rig::new();
    rig.write(region::CONFIG, 0x10, u32::MAX.into(), 4);
    rig.write(region::CONFIG, 0x14, u32::MAX.into(), 4);
    assert_eq!(rig.read(region::CONFIG, 0x10, 8), 0xFFFF_FFFF_FFFF_000C);
}

#[test]
fn a_write_of_part_of_a_bar_is_dropped() {
    let rig = Rig::new();
    for (at, count) in [(0x10, 1), (0x10, 2), (0x12, 2), (0x11, 4), (0x0E, 4), (0x26, 4), (0x12, 8)]
    {
        rig.write(region::CONFIG, at, u64::MAX, count);
        assert_eq!(rig.read(region::CONFIG, 0x10, 8), 0xC, "{count} bytes at {at:#x}");
    }
    rig.write(region::CONFIG, 0x10, 0x1_FE00_0000, 8);
    assert_eq!(
        rig.read(region::CONFIG, 0x10, 8),
        0x1_FE00_000C,
        "both halves of a 64-bit one at once"
    );
}

#[test]
fn the_command_register_is_what_the_guest_wrote() {
    let rig = Rig::new();
    assert_eq!(rig.vdev.enabled(), (false, false));
    rig.write(region::CONFIG, 4, 6, 2);
    assert_eq!(rig.vdev.enabled(), (true, true));
}

#[test]
fn a_function_level_reset_disables_the_device_at_once_and_the_host_is_told_once() {
    let rig = Rig::new();
    rig.write(region::CONFIG, 4, 6, 2);
    rig.write(region::CONFIG, DEVCTL, FLR | 0x2910, 2);
    assert_eq!(rig.vdev.get_state(), State::Disabled);
    assert_eq!(rig.read(region::BAR0, RSTAT.into(), 4), 0);
    assert_eq!(rig.read(region::BAR0, HENA.into(), 4), 0xDEAD_BEEF);
    assert_eq!(rig.read(region::CONFIG, 4, 2), 0, "the configuration space has been reset");
    assert_eq!(rig.read(region::CONFIG, DEVCTL, 2), 0x2910, "the bit reads as zero");
    rig.write(region::CONFIG, DEVCTL, FLR, 2);
    assert_eq!(*rig.rung.lock().unwrap(), 1);
    assert!(rig.vdev.take_notices().function_reset);
    assert!(!rig.vdev.take_notices().function_reset);
}

#[test]
fn the_high_byte_of_device_control_alone_asks_for_the_reset_too() {
    let rig = Rig::new();
    rig.write(region::CONFIG, DEVCTL, 0xFF, 1);
    assert_eq!(rig.vdev.get_state(), State::Active);
    rig.write(region::CONFIG, DEVCTL + 1, 0x80, 1);
    assert_eq!(rig.vdev.get_state(), State::Disabled);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn identity_survives_any_writes_and_no_byte_changes_outside_its_mask(
        writes in proptest::collection::vec((0u64..0x110, 0usize..17, any::<[u8; 16]>()), 1..30),
    ) {
        let rig = Rig::new();
        for (at, count, data) in writes {
            let inside = at + count as u64 <= 0x100;
            prop_assert_eq!(rig.vdev.write(region::CONFIG, at, &data[..count]).is_ok(), inside);
        }
        prop_assert_eq!(rig.read(region::CONFIG, 0, 4), 0x1889_8086);
        prop_assert_eq!(rig.read(region::CONFIG, 6, 2), 0x10);
        prop_assert_eq!(rig.read(region::CONFIG, 0x10, 4) & 0xFFFF, 0xC);
        prop_assert_eq!(rig.read(region::CONFIG, 0x84, 8), 0);
    }
}
