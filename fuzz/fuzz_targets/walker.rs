//! Tables of a guest's choice, from the root on: the unit never panics, and once a request has got to the
//! stages that translate, it ends as the reference walker says, with the same marks in the tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siov_iommu::{Access, Config, Geometries, Pasid, Request, Rid, Unit};
use siov_mem::{HostMemory, Hpa, Iova};
use siov_spec::vtd::unit;

mod input;
#[path = "../../crates/iommu/tests/common/reference.rs"]
#[allow(dead_code)]
mod reference;

use input::{Input, memory};
use reference::{First, Page, Reference, Second};

const BYTES: u64 = 2 << 20;
const HAW: u32 = 40;
const RID: Rid = Rid(0);
const PASID: Pasid = Pasid(1);
// One page for each table on the way, then a pool for the two stages.
const ROOT: u64 = 0x1000;
const CONTEXT: u64 = 0x2000;
const DIRECTORY: u64 = 0x3000;
const PASID_TABLE: u64 = 0x4000;
const POOL: u64 = 0x10_000;

struct Guest {
    memory: HostMemory,
    reference: Reference,
}

impl Guest {
    fn put(&mut self, at: u64, word: u64) {
        self.memory.view().store_u64(Hpa(at), word).expect("in memory");
        self.reference.words.insert(at, word);
    }
}

/// A word of a table: flags as they come, an address that is often a table.
fn word(input: &mut Input<'_>) -> u64 {
    let (kind, flags) = (input.u8(), u64::from(input.u8()));
    let address = match kind & 7 {
        0..4 => POOL | u64::from(kind >> 3) << 12,
        4 => u64::from(input.u8()) << 21,
        5 => u64::from(input.u8()) << 30,
        6 => input.sparse() & !0xFFF,
        _ => return input.u64(),
    };
    address | flags | u64::from(kind >> 7) << 63
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let reference = Reference { words: Default::default(), memory: BYTES, haw: HAW };
    let mut guest = Guest { memory: memory(BYTES), reference };

    let (kind, flags, widths) = (input.u8(), input.u8(), input.u8());
    let scalable = kind & 3 != 0;
    let levels = (4 + u32::from(widths & 1), 3 + u32::from(widths >> 1) % 3);
    let first = First {
        root: POOL,
        levels: levels.0,
        wpe: flags & 1 != 0,
        smep: flags & 2 != 0,
        nxe: flags & 4 != 0,
        eafe: flags & 8 != 0,
    };
    let second = Second {
        root: POOL + 0x8000,
        levels: levels.1,
        legacy: !scalable,
        ssade: scalable && flags & 16 != 0,
        ssee: scalable && flags & 32 != 0,
    };
    let aw = u64::from(levels.1 - 2);
    guest.put(ROOT, CONTEXT | 1);
    if scalable {
        // PASIDE; P, PGTT, SSADE, SSEE and AW; the domain; SRE, ERE and what the first stage goes by.
        guest.put(CONTEXT, DIRECTORY | 1 << 3 | 1);
        guest.put(DIRECTORY, PASID_TABLE | 1);
        let ss = u64::from(second.ssade) << 9 | u64::from(second.ssee) << 5 | aw << 2;
        guest.put(PASID_TABLE + 64, second.root | u64::from(kind & 3) << 6 | ss | 1);
        guest.put(PASID_TABLE + 72, 5);
        let fs = u64::from(first.wpe) << 4
            | u64::from(first.nxe) << 5
            | u64::from(first.smep) << 6
            | u64::from(first.eafe) << 7
            | u64::from(levels.0 - 4) << 2;
        guest.put(PASID_TABLE + 80, first.root | fs | 3);
    } else {
        guest.put(CONTEXT, second.root | 1);
        guest.put(CONTEXT + 8, aw | 5 << 8);
    }
    // With garbage among the tables on the way, only the unit's survival is looked at.
    let garbage = kind & 0x80 != 0;
    for _ in 0..input.u8() {
        let at = input.u8();
        let slot = u64::from(input.u8());
        let word = word(&mut input);
        let page = if garbage && at & 0x40 != 0 {
            ROOT + (u64::from(at & 3) << 12)
        } else {
            POOL + (u64::from(at & 31) << 12)
        };
        let slot = if slot & 0x80 == 0 { slot & 7 } else { 511 - (slot & 7) };
        guest.put(page + slot * 8, word);
    }

    let caches = if kind & 0x40 != 0 { Geometries::OFF } else { Geometries::default() };
    let mut unit = Unit::new(&Config { haw: HAW, caches, ..Config::default() });
    let root = ROOT | u64::from(scalable) << 10;
    unit.mmio_write(&guest.memory.view(), unit::RTADDR::AT, &root.to_le_bytes());
    for command in [1u32 << 30, 1 << 31] {
        unit.mmio_write(&guest.memory.view(), unit::GCMD::AT, &command.to_le_bytes());
    }

    while !input.is_empty() {
        let how = input.u8();
        let (write, execute) = (how & 1 != 0, how & 3 == 2);
        let access =
            Access { write, execute: execute && scalable, privileged: how & 4 != 0 && scalable };
        let mut addr = u64::from(input.u8()) << 4;
        for level in 0..5 {
            let slot = u64::from(input.u8());
            addr |=
                (if slot & 0x80 == 0 { slot & 7 } else { 511 - (slot & 7) }) << (12 + 9 * level);
        }
        // The sign goes up to the top, or the address is as it comes.
        if how & 8 != 0 {
            let width = 12 + 9 * levels.0;
            addr = ((addr << (64 - width)) as i64 >> (64 - width)) as u64;
        } else if how & 16 != 0 {
            addr &= (1 << (12 + 9 * levels.1)) - 1;
        }
        let pasid = scalable.then_some(PASID);
        let request = Request { rid: RID, pasid, addr: Iova(addr), access };
        let done = unit.translate(&guest.memory.view(), &request);
        let done = done.map(|t| Page { addr: t.hpa.0, bytes: t.page }).map_err(|f| f.reason);
        if garbage {
            continue;
        }
        let reference = &mut guest.reference;
        let expected = match kind & 3 {
            _ if scalable && (0xFEE0_0000..0xFEF0_0000).contains(&addr) => {
                Err(siov_spec::vtd::FaultReason::SGN_8)
            }
            1 => reference.first_only(&first, addr, access),
            3 => reference.nested(&first, &second, addr, access),
            _ => reference.second_only(&second, addr, access),
        };
        assert_eq!(done, expected, "{request:?}");
    }
    if !garbage {
        let view = guest.memory.view();
        for (at, word) in &guest.reference.words {
            assert_eq!(view.load_u64(Hpa(*at)), Ok(*word), "{at:#x}");
        }
    }
});
