//! Register writes, descriptors, answers of devices and requests in any order: the unit never panics, never
//! hangs, keeps its pointers inside its queues and sends no more than it was asked to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siov_iommu::{Access, Config, PageRequest, Pasid, Request, Rid, Unit};
use siov_mem::{HostMemory, Hpa, Iova};
use siov_spec::vtd::unit;

mod input;

use input::{Input, memory};

const BYTES: u64 = 2 << 20;
/// Registers that software writes, and how long they are.
const REGISTERS: [(u32, usize); 24] = [
    (unit::GCMD::AT, 4),
    (unit::GCMD::AT, 4),
    (unit::RTADDR::AT, 8),
    (unit::CCMD::AT, 8),
    (unit::FSTS::AT, 4),
    (unit::FECTL::AT, 4),
    (unit::FEDATA::AT, 4),
    (unit::FEADDR::AT, 4),
    (unit::IQT::AT, 8),
    (unit::IQT::AT, 8),
    (unit::IQT::AT, 8),
    (unit::IQA::AT, 8),
    (unit::ICS::AT, 4),
    (unit::IECTL::AT, 4),
    (unit::IRTA::AT, 8),
    (unit::PQH::AT, 8),
    (unit::PQT::AT, 8),
    (unit::PQA::AT, 8),
    (unit::PRS::AT, 4),
    (unit::PECTL::AT, 4),
    (unit::IVA::AT, 8),
    (unit::IOTLB::AT, 8),
    (0x60C, 4),
    (0x600, 16),
];

/// A value for a register: a few bits, or all.
fn value(input: &mut Input<'_>) -> u64 {
    match input.u8() & 3 {
        0 => input.sparse(),
        1 => input.sparse() | input.sparse(),
        2 => u64::from(input.u8()) << 12 | u64::from(input.u8()) << 4,
        _ => input.u64(),
    }
}

fn read(unit: &Unit, at: u32) -> u64 {
    let mut bytes = [0; 8];
    unit.mmio_read(at, &mut bytes);
    u64::from_le_bytes(bytes)
}

fn descriptor(input: &mut Input<'_>, memory: &HostMemory) {
    let at = u64::from(input.u8()) << 12 | u64::from(input.u8()) << 4;
    let mut words = [u64::from(input.u8() & 0x3F), 0, 0, 0];
    for word in &mut words {
        *word |= match input.u8() & 3 {
            0 => 0,
            1 | 2 => input.sparse() & !0xF,
            _ => input.u64(),
        };
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let _ = memory.view().write(Hpa(at), &bytes);
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let flags = input.u8();
    let config =
        Config { scalable: flags & 1 == 0, device_tlb: flags & 2 == 0, ..Config::default() };
    let memory = memory(BYTES);
    let mut unit = Unit::new(&config);
    let mut sent = 0;
    while !input.is_empty() {
        let what = input.u8();
        let rid = Rid(u16::from(what >> 6));
        match what & 0xF {
            0..6 => {
                let (at, size) = REGISTERS[usize::from(input.u8()) % REGISTERS.len()];
                let low = value(&mut input).to_le_bytes();
                let bytes = [low, low].concat();
                unit.mmio_write(&memory.view(), at, &bytes[..size]);
            }
            6 => {
                let (at, size) =
                    (u32::from(input.u8()) << 4 | u32::from(input.u8() & 15), input.u8());
                let bytes = input.u64().to_le_bytes();
                unit.mmio_write(&memory.view(), at, &bytes[..usize::from(size % 9)]);
            }
            7 => {
                // Everything on, as a driver does it.
                for (at, word) in [
                    (unit::RTADDR::AT, 0x1000 | u64::from(flags & 4) << 8),
                    (unit::IQA::AT, 0x10_000 | u64::from(flags & 8) << 8),
                    (unit::IRTA::AT, 0x8000 | 3),
                    (unit::PQA::AT, 0x9000),
                ] {
                    unit.mmio_write(&memory.view(), at, &word.to_le_bytes());
                }
                for command in [1u32 << 30, 1 << 24, 0x8600_0000] {
                    unit.mmio_write(&memory.view(), unit::GCMD::AT, &command.to_le_bytes());
                }
            }
            8..11 => descriptor(&mut input, &memory),
            11 => unit.invalidation_done(&memory.view(), rid, input.u8() & 31),
            12 => unit.invalidation_timeout(),
            13 => {
                let addr = Iova(value(&mut input));
                let pasid = (what & 0x20 != 0).then(|| Pasid(u32::from(input.u8())));
                let access = Access { write: what & 0x10 != 0, ..Access::READ };
                let request = Request { rid, pasid, addr, access };
                let view = memory.view();
                let _ = unit.translate(&view, &request);
                let _ = unit.translation_request(&view, &request, 4, false);
                let _ = unit.translated_request(&view, &request);
            }
            14 => {
                let address = 0xFEE0_0000 | value(&mut input) & 0xF_FFFF;
                let _ = unit.remap(&memory.view(), rid, address, input.u64() as u32);
            }
            _ => {
                let request = PageRequest {
                    rid,
                    pasid: (what & 0x20 != 0).then(|| Pasid(u32::from(input.u8()))),
                    addr: Iova(value(&mut input)),
                    read: true,
                    write: what & 0x10 != 0,
                    execute: false,
                    privileged: false,
                    last: true,
                    prgi: u16::from(input.u8()),
                };
                unit.page_request(&memory.view(), &request);
            }
        }
        sent += unit.take_outbound().len();
        // Faults that were recorded carry F; what is not in use is never told by PPF alone.
        let in_use = (0..8).any(|n| read(&unit, 0x608 + 16 * n) >> 63 == 1);
        assert_eq!(read(&unit, unit::FSTS::AT) >> 1 & 1 == 1, in_use);
        assert_eq!(read(&unit, unit::IQH::AT) & !0x7FFF0, 0);
    }
    // The longest queue has 32 Ki descriptors, and each goes out at most once for every write that drains it.
    assert!(sent <= data.len() * (32 << 10) + data.len());
});
