//! Nanoseconds of a 64-byte read and write of a device: by the device TLB, by the IOTLB, in one address space
//! and in 256. Time is the thread's processor time.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::{DATA, Rig, pasid};
use rustix::time::{ClockId, clock_gettime};
use siov_bus::{DmaPort, Geometry, Iova};
use siov_iommu::{Config, Geometries};

const ACCESSES: u32 = 4_000_000;
const BATCH: u32 = 64;
const PAGES: u32 = 256;

fn main() {
    for (name, ats, pasids) in [
        ("device TLB hit, 1 PASID", true, 1),
        ("device TLB hit, 256 PASIDs", true, 256),
        ("IOTLB hit, 1 PASID", false, 1),
        ("IOTLB hit, 256 PASIDs", false, 256),
        ("no unit", false, 0),
    ] {
        let config = Config {
            caches: Geometries {
                iotlb: Geometry::sets(128, 8),
                pasid: Geometry::sets(128, 4),
                ..Geometries::default()
            },
            ..Config::default()
        };
        let mut rig = Rig::new(&config);
        for n in 0..PAGES {
            if pasids > 0 {
                let (space, addr) = place(n, pasids);
                rig.map(space, addr, Some(DATA + u64::from(n) * 4096), true);
            }
        }
        if pasids == 0 {
            rig.bus.set_scope(0, Some(Default::default())).unwrap();
        }
        let requester = rig.requester(Geometry::sets(128, 8));
        requester.set_ats(ats);
        let port = requester.port();
        run(&port, pasids, false, PAGES);
        run(&port, pasids, true, PAGES);
        let (read, write) =
            (run(&port, pasids, false, ACCESSES), run(&port, pasids, true, ACCESSES));
        println!("{name:28} read {read:5.1} ns, write {write:5.1} ns; {:?}", requester.traffic());
    }
}

fn place(n: u32, pasids: u32) -> (u32, u64) {
    (1 + n % pasids.max(1), u64::from(n / pasids.max(1)) * 4096)
}

fn run(port: &DmaPort, pasids: u32, write: bool, accesses: u32) -> f64 {
    let mut bytes = [0; 64];
    let began = processor_time();
    for batch in 0..accesses / BATCH {
        let mut dma = port.begin();
        for n in 0..BATCH {
            let page = batch.wrapping_mul(BATCH).wrapping_add(n).wrapping_mul(101) % PAGES;
            let (space, addr) = place(page, pasids);
            let (space, at) = match pasids {
                0 => (None, Iova(DATA + u64::from(page) * 4096 + 0x40)),
                _ => (pasid(space), Iova(addr + 0x40)),
            };
            let done =
                if write { dma.write(space, at, &bytes) } else { dma.read(space, at, &mut bytes) };
            done.unwrap();
        }
    }
    std::hint::black_box(bytes);
    (processor_time() - began).as_nanos() as f64 / f64::from(accesses)
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}
