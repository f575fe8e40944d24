//! Interrupt messages on their way to the CPUs, and what units send.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{DATA, RID, Rig, pasid};
use rustix::event::{EventfdFlags, eventfd};
use siov_bus::{BusError, Cpus, Geometry, Iova, Pending, Rid, Target};
use siov_iommu::Config;
use siov_spec::msi::{MsiAddress, MsiData, RemappableAddress};
use siov_spec::vtd::{DescriptorType, DevTlbInvDsc, Irte, PostedIrte, unit};

fn taken(cpus: &Cpus) -> Vec<(u32, u8, u64)> {
    cpus.take(usize::MAX).iter().map(|p| (p.destination, p.vector, p.messages)).collect()
}

/// Interrupt remapping on, with a table of 32-bit destinations.
fn remapping(rig: &mut Rig) -> u64 {
    let table = rig.page();
    let irta = unit::IRTA(0).with_IRTA(table >> 12).with_EIME(true).with_S(7);
    rig.w64(unit::IRTA::AT, irta.0);
    rig.command(|c| c.with_SIRTP(true));
    rig.command(|c| c.with_IRE(true));
    table
}

fn handle(n: u16) -> u64 {
    RemappableAddress(0).with_PREFIX(0xFEE).with_INTR_FMT(true).with_HANDLE(n).0.into()
}

#[test]
fn a_message_in_compatibility_format_reaches_its_destination_s_vector() {
    let rig = Rig::new(&Config::default());
    let address = MsiAddress(0).with_PREFIX(0xFEE).with_DEST(5).0;
    rig.bus.message(RID, address.into(), MsiData(0).with_VECTOR(0x41).0);
    assert_eq!(taken(rig.bus.cpus()), [(5, 0x41, 1)]);
}

#[test]
fn a_message_is_remapped_by_its_entry_and_one_without_entry_is_a_fault() {
    let mut rig = Rig::new(&Config::default());
    let table = remapping(&mut rig);
    rig.put(table, &Irte([0; 2]).with_P(true).with_DST(0x1_0002).with_V(0x55).0);
    rig.bus.message(RID, handle(0), 0);
    assert_eq!(taken(rig.bus.cpus()), [(0x1_0002, 0x55, 1)]);
    rig.bus.message(RID, handle(1), 0);
    assert_eq!(taken(rig.bus.cpus()), []);
    assert!(rig.fault().is_some());
}

#[test]
fn a_posted_message_sets_its_bit_and_notifies_once() {
    let mut rig = Rig::new(&Config::default());
    let table = remapping(&mut rig);
    let pid = DATA;
    let entry = PostedIrte([0; 2])
        .with_P(true)
        .with_IM(true)
        .with_V(0x22)
        .with_PDAL((pid >> 6) as u32)
        .with_PDAH((pid >> 32) as u32);
    rig.put(table, &entry.0);
    rig.put(pid + 32, &[0xF2 << 16 | 3 << 32]); // NV and NDST
    rig.bus.message(RID, handle(0), 0);
    rig.bus.message(RID, handle(0), 0);
    assert_eq!(rig.get(pid), 1 << 0x22);
    assert_eq!(taken(rig.bus.cpus()), [(3, 0xF2, 1)]);
}

#[test]
fn a_vector_pends_once_however_many_messages_come() {
    let cpus = Cpus::default();
    for destination in [1, 2, 1] {
        cpus.deliver(destination, 8);
    }
    assert_eq!(cpus.take(1), [Pending { destination: 1, vector: 8, messages: 2 }]);
    cpus.deliver(1, 8);
    assert_eq!(taken(&cpus), [(2, 8, 1), (1, 8, 1)]);
    assert!(!cpus.wait(Duration::ZERO));
}

#[test]
fn more_vectors_than_may_pend_are_counted_as_lost() {
    let cpus = Cpus::default();
    (0..1 << 17).for_each(|destination| cpus.deliver(destination, 1));
    assert_eq!((cpus.counted().pending, cpus.counted().lost), (1 << 16, 1 << 16));
    assert_eq!(cpus.take(usize::MAX).len(), 1 << 16);
}

#[test]
fn a_connected_vector_signals_its_target_and_does_not_pend() {
    let cpus = Cpus::default();
    let file = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    cpus.connect(0, 1, Target::Eventfd(file.try_clone().unwrap().into())).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    cpus.connect(0, 2, Target::Count(Arc::clone(&count))).unwrap();
    for vector in [1, 2, 3, 1, 2, 3, 1, 2, 3] {
        cpus.deliver(0, vector);
    }
    let mut bytes = [0; 8];
    rustix::io::read(&file, &mut bytes).unwrap();
    assert_eq!((u64::from_ne_bytes(bytes), count.load(Ordering::Relaxed)), (3, 3));
    assert_eq!(taken(&cpus), [(0, 3, 3)]);
    assert!(cpus.disconnect(0, 1) && !cpus.disconnect(0, 1));
    cpus.deliver(0, 1);
    assert_eq!(taken(&cpus), [(0, 1, 1)]);
}

#[test]
fn a_full_eventfd_holds_nobody_up_and_another_file_is_refused() {
    let cpus = Cpus::default();
    let full = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    cpus.connect(0, 1, Target::Eventfd(full.into())).unwrap();
    (0..10).for_each(|_| cpus.deliver(0, 1));
    let other = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(
        cpus.connect(0, 2, Target::Eventfd(OwnedFd::from(other).into())),
        Err(BusError::NotAnEventfd)
    );
}

#[test]
fn a_waiting_thread_hears_of_a_vector() {
    let cpus = Cpus::default();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cpus.wait(Duration::from_secs(60)));
        cpus.deliver(0, 1);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_fault_s_interrupt_is_out_when_the_batch_is_settled() {
    let rig = Rig::new(&Config::default());
    rig.w32(unit::FEDATA::AT, 0x30);
    rig.w32(unit::FEADDR::AT, 0xFEE0_7000);
    rig.w32(unit::FEUADDR::AT, 0x100);
    rig.w32(unit::FECTL::AT, 0);
    let requester = rig.requester(Geometry::Off);
    requester.set_ats(false);
    let port = requester.port();
    assert!(port.begin().write(pasid(9), Iova(0), &[1]).is_err());
    assert!(rig.bus.has_work());
    rig.bus.settle_batch();
    assert_eq!(taken(rig.bus.cpus()), [(0x107, 0x30, 1)]);
    assert!(!rig.bus.has_work());
}

#[test]
fn a_function_without_bus_master_enable_sends_no_message() {
    let rig = Rig::new(&Config::default());
    let requester = rig.requester(Geometry::Off);
    requester.set_bus_master(false);
    requester.message(0xFEE0_0000, 1);
    assert_eq!(taken(rig.bus.cpus()), []);
    requester.set_bus_master(true);
    requester.message(0xFEE0_0000, 1);
    assert_eq!(taken(rig.bus.cpus()), [(0, 1, 1)]);
}

#[test]
fn an_invalidation_of_a_function_that_nobody_is_waits_for_the_answer_in_its_place() {
    let mut rig = Rig::new(&Config::default());
    let forget = DevTlbInvDsc([0; 4]).with_TYPE(DescriptorType::DEVICE_TLB as u8).with_SID(77);
    rig.submit(forget.0);
    assert!(!rig.wait());
    let unanswered = rig.bus.take_unanswered();
    assert_eq!(unanswered.iter().map(|one| one.what.rid).collect::<Vec<_>>(), [Rid(77)]);
    unanswered.iter().for_each(|one| rig.bus.answer(one));
    assert!(rig.wait());
    rig.submit(forget.0);
    assert!(!rig.wait());
    rig.bus.time_out(0);
    let mut status = [0; 4];
    rig.unit.control().mmio_read(unit::FSTS::AT, &mut status);
    assert!(unit::FSTS(u32::from_le_bytes(status)).ITE());
}
