//! The walk, written down plainly from the specification (VT-d 3.4 to 3.8, 9): no caches, one word after the
//! other, bits by their numbers. It changes its own copy of memory as the unit should change the real one.

use std::collections::HashMap;

use siov_iommu::Access;
use siov_spec::vtd::FaultReason::{self, *};

/// Memory and what the unit can do.
#[derive(Clone)]
pub struct Reference {
    pub words: HashMap<u64, u64>,
    /// Bytes of memory, from 0.
    pub memory: u64,
    pub haw: u32,
}

/// Where an access goes, and the bytes of the page it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub addr: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Second {
    pub root: u64,
    pub levels: u32,
    pub legacy: bool,
    pub ssade: bool,
    pub ssee: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct First {
    pub root: u64,
    pub levels: u32,
    pub wpe: bool,
    pub smep: bool,
    pub nxe: bool,
    pub eafe: bool,
}

/// What went wrong in a second stage, before it is known what it was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Beyond,
    RootUnreadable,
    Unreadable,
    NotPresent,
    Reserved,
    NotReadable,
    NotWritable,
    NotExecutable,
}

fn bit(word: u64, n: u32) -> bool {
    word >> n & 1 == 1
}

/// Bits high to low, both included.
fn mask(high: u32, low: u32) -> u64 {
    if low > high { 0 } else { (u64::MAX >> (63 - high)) & (u64::MAX << low) }
}

fn page_bits(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

impl Reference {
    fn read(&self, addr: u64) -> Option<u64> {
        (addr < self.memory).then(|| self.words.get(&addr).copied().unwrap_or(0))
    }

    fn set(&mut self, addr: u64, bits: u64) {
        *self.words.entry(addr).or_insert(0) |= bits;
    }

    /// A request through a second stage only.
    pub fn second_only(
        &mut self,
        s: &Second,
        addr: u64,
        access: Access,
    ) -> Result<Page, FaultReason> {
        let page = self.second(s, addr, access).map_err(|wrong| of_request(s, access, wrong))?;
        self.outside_interrupts(addr, page, s.legacy)
    }

    /// A request through a first stage only.
    pub fn first_only(
        &mut self,
        f: &First,
        addr: u64,
        access: Access,
    ) -> Result<Page, FaultReason> {
        let page = self.first(f, None, addr, access)?;
        self.outside_interrupts(addr, page, false)
    }

    /// A request through both stages.
    pub fn nested(
        &mut self,
        f: &First,
        s: &Second,
        addr: u64,
        access: Access,
    ) -> Result<Page, FaultReason> {
        let guest = self.first(f, Some(s), addr, access)?;
        let host = self.second(s, guest.addr, access).map_err(|wrong| match wrong {
            Wrong::Beyond => SGN_5,
            other => of_request(s, access, other),
        })?;
        let page = Page { addr: host.addr, bytes: guest.bytes.min(host.bytes) };
        self.outside_interrupts(addr, page, false)
    }

    /// Nothing is translated to the interrupt range; of a page that has it inside, 4 KiB are known.
    fn outside_interrupts(&self, addr: u64, page: Page, legacy: bool) -> Result<Page, FaultReason> {
        if (0xFEE0_0000..0xFEF0_0000).contains(&page.addr) {
            return Err(if legacy { LGN_4 } else { SGN_8 });
        }
        let inside = |at: u64| {
            let first = at - at % page.bytes;
            first < 0xFEF0_0000 && first + (page.bytes - 1) >= 0xFEE0_0000
        };
        let bytes = if inside(page.addr) || inside(addr) { 4096 } else { page.bytes };
        Ok(Page { bytes, ..page })
    }

    fn second(&mut self, s: &Second, addr: u64, access: Access) -> Result<Page, Wrong> {
        if addr & mask(63, page_bits(s.levels + 1)) != 0 {
            return Err(Wrong::Beyond);
        }
        let mut table = s.root;
        let (mut readable, mut writable, mut executable) = (true, true, true);
        for level in (1..=s.levels).rev() {
            let place = table + (addr >> page_bits(level) & 511) * 8;
            let wrong = if level == s.levels { Wrong::RootUnreadable } else { Wrong::Unreadable };
            let entry = self.read(place).ok_or(wrong)?;
            let present = bit(entry, 0) || bit(entry, 1) || s.ssee && bit(entry, 2);
            if !present {
                return Err(Wrong::NotPresent);
            }
            let is_page = level == 1 || (level <= 3 && bit(entry, 7));
            let mut reserved = mask(51, self.haw);
            if is_page {
                // What the page's size leaves over of the address.
                reserved |= mask(page_bits(level).saturating_sub(1), 12);
            } else {
                // PS in levels that have no pages, SNP, TM.
                reserved |= 1 << 7 | 1 << 11 | 1 << 62;
            }
            if entry & reserved != 0 {
                return Err(Wrong::Reserved);
            }
            readable &= bit(entry, 0);
            writable &= bit(entry, 1);
            executable &= !s.ssee || bit(entry, 2);
            if !is_page {
                if s.ssade {
                    self.set(place, 1 << 8);
                }
                table = entry & mask(51, 12);
                continue;
            }
            if access.write && !writable {
                return Err(Wrong::NotWritable);
            }
            if !access.write && !readable {
                return Err(Wrong::NotReadable);
            }
            if access.execute && !executable {
                return Err(Wrong::NotExecutable);
            }
            if s.ssade {
                self.set(place, if access.write { 3 << 8 } else { 1 << 8 });
            }
            return Ok(page_of(entry, addr, level));
        }
        unreachable!("level 1 is always a page")
    }

    fn first(
        &mut self,
        f: &First,
        second: Option<&Second>,
        addr: u64,
        access: Access,
    ) -> Result<Page, FaultReason> {
        let sign = mask(63, page_bits(f.levels + 1) - 1);
        if addr & sign != 0 && addr & sign != sign {
            return Err(SGN_1);
        }
        let mut table = f.root;
        let (mut writable, mut user, mut executable) = (true, true, true);
        for level in (1..=f.levels).rev() {
            let guest_place = table + (addr >> page_bits(level) & 511) * 8;
            let root = level == f.levels;
            let place = match second {
                None => guest_place,
                Some(s) => self
                    .second(s, guest_place, Access::READ)
                    .map(|page| page.addr)
                    .map_err(|wrong| match wrong {
                        Wrong::NotReadable if root => SFS_6,
                        Wrong::NotReadable => SFS_7,
                        other => of_table(other),
                    })?,
            };
            let entry = self.read(place).ok_or(if root { SFS_4 } else { SFS_1 })?;
            if !bit(entry, 0) {
                return Err(SFS_2);
            }
            let is_page = level == 1 || (level <= 3 && bit(entry, 7));
            // A nested first stage has guest-physical addresses, which the second stage bounds.
            let mut reserved = if second.is_none() { mask(51, self.haw) } else { 0 };
            if !f.nxe {
                reserved |= 1 << 63;
            }
            if is_page && level > 1 {
                reserved |= mask(page_bits(level) - 1, 13); // bit 12 is PAT
            }
            if !is_page {
                reserved |= 1 << 7;
            }
            if entry & reserved != 0 {
                return Err(SFS_3);
            }
            writable &= bit(entry, 1);
            user &= bit(entry, 2);
            executable &= !bit(entry, 63);
            if is_page {
                if !user && !access.privileged {
                    return Err(SGN_2);
                }
                let write_protected = !access.privileged || f.wpe;
                if access.write && !writable && write_protected {
                    return Err(SGN_6);
                }
                let prevented = access.privileged && user && f.smep;
                if access.execute && (!executable || prevented) {
                    return Err(SGN_3);
                }
            }
            let mut marks = 1 << 5;
            if f.eafe {
                marks |= 1 << 10;
            }
            if is_page && access.write {
                marks |= 1 << 6;
            }
            if entry & marks != marks {
                if let Some(s) = second {
                    self.second(s, guest_place, Access::WRITE).map_err(|wrong| match wrong {
                        Wrong::NotWritable => SFS_8,
                        other => of_table(other),
                    })?;
                }
                self.set(place, marks);
            }
            if is_page {
                return Ok(page_of(entry, addr, level));
            }
            table = entry & mask(51, 12);
        }
        unreachable!("level 1 is always a page")
    }
}

fn page_of(entry: u64, addr: u64, level: u32) -> Page {
    let offset = mask(page_bits(level) - 1, 0);
    Page { addr: entry & mask(51, 12) & !offset | addr & offset, bytes: offset + 1 }
}

/// A second stage's answer to a request, in the words of its mode.
fn of_request(s: &Second, access: Access, wrong: Wrong) -> FaultReason {
    match (wrong, s.legacy) {
        (Wrong::Beyond, true) => LGN_1,
        (Wrong::RootUnreadable, true) => LCT_4,
        (Wrong::Unreadable, true) => LSS_1,
        (Wrong::Reserved, true) => LSS_2,
        (Wrong::NotPresent, true) if access.write => LGN_2,
        (Wrong::NotPresent | Wrong::NotReadable, true) => LGN_3,
        (Wrong::NotWritable, true) => LGN_2,
        (Wrong::Beyond, false) => SGN_4,
        (Wrong::NotWritable, false) => SGN_6,
        (Wrong::NotReadable, false) => SGN_7,
        (Wrong::NotExecutable, _) => SGN_3,
        (other, false) => of_table(other),
    }
}

/// A second stage's answer where it does not matter what the access was for.
fn of_table(wrong: Wrong) -> FaultReason {
    match wrong {
        Wrong::Beyond => SFS_5,
        Wrong::RootUnreadable => SSS_4,
        Wrong::Unreadable => SSS_1,
        Wrong::NotPresent => SSS_2,
        Wrong::Reserved => SSS_3,
        Wrong::NotReadable | Wrong::NotWritable | Wrong::NotExecutable => {
            unreachable!("its caller names it")
        }
    }
}
