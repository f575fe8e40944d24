//! The CPU's accesses reach the function that claims the address, whole, and nobody else.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use siov_bus::{Bus, BusError, Claim, Hpa, Mmio};
use siov_mem::HostMemory;

/// Remembers what is written; reads as the offset.
#[derive(Default)]
struct Registers {
    written: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Mmio for Registers {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let bytes = offset.to_le_bytes();
        data.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }

    fn write(&self, offset: u64, data: &[u8]) -> bool {
        self.written.lock().unwrap().push((offset, data.to_vec()));
        offset == 0x20
    }
}

fn claim(start: u64, size: u64, target: &Arc<Registers>) -> Claim {
    Claim { start: Hpa(start), size, target: Arc::<Registers>::clone(target) }
}

fn bus() -> Arc<Bus> {
    Bus::new(Arc::new(HostMemory::new(1 << 30)))
}

#[test]
fn an_access_reaches_the_function_that_claims_it_at_the_offset_in_its_range() {
    let (bus, one, other) = (bus(), Arc::default(), Arc::default());
    bus.map_mmio(vec![claim(0x9000, 0x1000, &other), claim(0x4000, 0x1000, &one)]).unwrap();
    assert_eq!(bus.mmio_read32(Hpa(0x4010)), 0x10);
    assert_eq!(bus.mmio_read32(Hpa(0x9FFC)), 0xFFC);
    assert_eq!(bus.mmio_write(Hpa(0x9020), &[1, 2, 3, 4]), Some(true));
    assert_eq!(bus.mmio_write(Hpa(0x9024), &[5]), Some(false));
    assert_eq!(*other.written.lock().unwrap(), [(0x20, vec![1, 2, 3, 4]), (0x24, vec![5])]);
    assert!(one.written.lock().unwrap().is_empty());
}

#[test]
fn outside_of_every_claim_and_across_its_end_nobody_answers() {
    let (bus, one) = (bus(), Arc::default());
    bus.map_mmio(vec![claim(0x4000, 0x1000, &one)]).unwrap();
    for at in [0, 0x3FFE, 0x4FFE, 0x5000, u64::MAX - 1] {
        assert_eq!(bus.mmio_read32(Hpa(at)), u32::MAX, "{at:#x}");
        assert_eq!(bus.mmio_write(Hpa(at), &[0; 4]), None, "{at:#x}");
    }
    assert!(one.written.lock().unwrap().is_empty());
}

#[test]
fn new_claims_take_the_place_of_all_before_and_overlapping_ones_change_nothing() {
    let (bus, one, other) = (bus(), Arc::default(), Arc::default());
    bus.map_mmio(vec![claim(0x4000, 0x1000, &one)]).unwrap();
    let overlap = vec![claim(0x4000, 0x1000, &one), claim(0x4FFF, 2, &other)];
    assert_eq!(bus.map_mmio(overlap), Err(BusError::Overlap(0x4FFF)));
    assert_eq!(bus.mmio_read32(Hpa(0x4004)), 4);
    bus.map_mmio(vec![claim(0x8000, 0x1000, &other)]).unwrap();
    assert_eq!((bus.mmio_read32(Hpa(0x4004)), bus.mmio_read32(Hpa(0x8004))), (u32::MAX, 4));
}
