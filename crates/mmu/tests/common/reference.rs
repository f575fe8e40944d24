//! The plain way to translate: no caches, one word of memory after the other, numbers as in the SDM.

/// What the reference says about an access; the numbers are error codes and exit qualifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Reached { hpa: u64, size: u64, reads: u32 },
    NotCanonical,
    PageFault { error_code: u32 },
    EptViolation { qualification: u64, gpa: u64 },
    EptMisconfiguration { gpa: u64 },
    PmlFull,
}

use Outcome::{EptMisconfiguration, EptViolation, NotCanonical, PageFault, PmlFull, Reached};

/// A machine with one register file and all memory as words; addresses beyond it are holes.
#[derive(Clone)]
pub struct Reference {
    pub words: Vec<u64>,
    pub maxphyaddr: u32,
    pub execute_only: bool,
    pub cr3: u64,
    pub levels: u32,
    pub wp: bool,
    pub nxe: bool,
    pub smep: bool,
    pub smap: bool,
    /// Root, levels, and whether flags are set.
    pub ept: Option<(u64, u32, bool)>,
    /// Address of the log, and the next index.
    pub pml: Option<(u64, u16)>,
    /// What was logged.
    pub logged: Vec<u64>,
    pub reads: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Do {
    Read,
    Write,
    Fetch,
}

#[derive(Clone, Copy)]
pub struct Request {
    pub gva: u64,
    pub what: Do,
    pub user: bool,
    pub ac: bool,
}

/// A guest physical address that EPT was asked for, on behalf of what.
#[derive(Clone, Copy, PartialEq)]
enum For {
    Entry,
    Final(Do),
}

impl Reference {
    fn get(&mut self, at: u64) -> u64 {
        self.reads += 1;
        self.words.get((at / 8) as usize).copied().unwrap_or(!0)
    }

    fn or(&mut self, at: u64, bits: u64) {
        if let Some(word) = self.words.get_mut((at / 8) as usize) {
            *word |= bits;
        }
    }

    fn too_high(&self) -> u64 {
        ((1 << 52) - 1) & !((1 << self.maxphyaddr) - 1)
    }

    pub fn access(&mut self, request: Request) -> Outcome {
        self.reads = 0;
        self.try_access(request).unwrap_or_else(|stopped| stopped)
    }

    fn try_access(&mut self, request: Request) -> Result<Outcome, Outcome> {
        let gva = request.gva;
        let width = 12 + 9 * self.levels;
        let upper = gva >> (width - 1);
        if upper != 0 && upper != !0 >> (width - 1) {
            return Err(NotCanonical);
        }
        let mut table = self.cr3 & 0x000f_ffff_ffff_f000;
        let (mut all_rw, mut all_us, mut any_xd) = (true, true, false);
        for level in (1..=self.levels).rev() {
            let shift = 3 + 9 * level;
            let entry_gpa = table + (gva >> shift & 0x1ff) * 8;
            let (entry_hpa, _, writable) = self.through_ept(entry_gpa, For::Entry)?;
            let entry = self.get(entry_hpa);
            if entry & 1 == 0 {
                return Err(self.page_fault(request, 0));
            }
            let leaf = level == 1 || level <= 3 && entry & 0x80 != 0;
            let mut reserved = self.too_high();
            if !self.nxe {
                reserved |= 1 << 63;
            }
            match level {
                5 | 4 => reserved |= 0x80,
                3 if leaf => reserved |= 0x3fff_e000,
                2 if leaf => reserved |= 0x001f_e000,
                _ => {}
            }
            if entry & reserved != 0 {
                return Err(self.page_fault(request, 0b1001));
            }
            all_rw &= entry & 2 != 0;
            all_us &= entry & 4 != 0;
            any_xd |= entry >> 63 != 0;
            if leaf && !self.permits(request, all_rw, all_us, any_xd) {
                return Err(self.page_fault(request, 0b0001));
            }
            let flags = if leaf && request.what == Do::Write { 0x60 } else { 0x20 };
            if entry & flags != flags {
                if let Err(rights) = writable {
                    let qualification = 0b10 | rights << 3 | 1 << 7;
                    return Err(EptViolation { qualification, gpa: entry_gpa });
                }
                self.or(entry_hpa, flags);
            }
            if leaf {
                let size = 1_u64 << shift;
                let frame = entry & 0x000f_ffff_ffff_f000 & !(size - 1);
                let gpa = frame | gva & (size - 1);
                let (hpa, ept_size, _) = self.through_ept(gpa, For::Final(request.what))?;
                return Ok(Reached { hpa, size: size.min(ept_size), reads: self.reads });
            }
            table = entry & 0x000f_ffff_ffff_f000;
        }
        unreachable!("level 1 is a leaf")
    }

    /// SDM 3A 4.6.1, sentence by sentence.
    fn permits(&self, request: Request, all_rw: bool, all_us: bool, any_xd: bool) -> bool {
        let user_address = all_us;
        if request.user {
            return user_address
                && match request.what {
                    Do::Read => true,
                    Do::Write => all_rw,
                    Do::Fetch => !any_xd,
                };
        }
        match request.what {
            Do::Read => !user_address || !self.smap || request.ac,
            Do::Write => {
                let smap_allows = !user_address || !self.smap || request.ac;
                smap_allows && (!self.wp || all_rw)
            }
            Do::Fetch => {
                let smep_allows = !user_address || !self.smep;
                smep_allows && !any_xd
            }
        }
    }

    fn page_fault(&self, request: Request, low: u32) -> Outcome {
        let mut error_code = low;
        if request.what == Do::Write {
            error_code |= 1 << 1;
        }
        if request.user {
            error_code |= 1 << 2;
        }
        if request.what == Do::Fetch && (self.nxe || self.smep) {
            error_code |= 1 << 4;
        }
        PageFault { error_code }
    }

    /// HPA, size of EPT's page, and whether writes are allowed (if not, what is: bits 2:0).
    #[allow(clippy::type_complexity)]
    fn through_ept(&mut self, gpa: u64, by: For) -> Result<(u64, u64, Result<(), u64>), Outcome> {
        let Some((root, levels, flags)) = self.ept else { return Ok((gpa, 1 << 30, Ok(()))) };
        let attempt = match by {
            For::Entry if flags => 0b011,
            For::Entry | For::Final(Do::Read) => 0b001,
            For::Final(Do::Write) => 0b010,
            For::Final(Do::Fetch) => 0b100,
        };
        let is_final = if by == For::Entry { 0 } else { 1 << 8 };
        let violation = |rights: u64| EptViolation {
            qualification: attempt | rights << 3 | 1 << 7 | is_final,
            gpa,
        };
        if gpa >> (12 + 9 * levels) != 0 {
            return Err(violation(0));
        }
        let mut table = root;
        let mut rights = 7;
        for level in (1..=levels).rev() {
            let shift = 3 + 9 * level;
            let at = table + (gpa >> shift & 0x1ff) * 8;
            let entry = self.get(at);
            if entry & 7 == 0 {
                return Err(violation(0));
            }
            let leaf = level == 1 || level <= 3 && entry & 0x80 != 0;
            let mut reserved = self.too_high();
            match level {
                5 | 4 => reserved |= 0xf8,
                3 | 2 if !leaf => reserved |= 0x78,
                3 => reserved |= 0x3fff_f000,
                2 => reserved |= 0x001f_f000,
                _ => {}
            }
            let write_only = entry & 3 == 2;
            let execute_only = entry & 7 == 4 && !self.execute_only;
            let bad_type = leaf && matches!(entry >> 3 & 7, 2 | 3 | 7);
            if entry & reserved != 0 || write_only || execute_only || bad_type {
                return Err(EptMisconfiguration { gpa });
            }
            rights &= entry & 7;
            if leaf && rights & attempt & if attempt & 2 != 0 { 2 } else { 7 } == 0 {
                return Err(violation(rights));
            }
            if flags {
                let wanted = if leaf && attempt & 2 != 0 { 0x300 } else { 0x100 };
                if entry & wanted != wanted {
                    self.set_ept_flags(at, entry, wanted, gpa)?;
                }
            }
            if leaf {
                let size = 1_u64 << shift;
                let frame = entry & 0x000f_ffff_ffff_f000 & !(size - 1);
                let writable = if rights & 2 != 0 { Ok(()) } else { Err(rights) };
                return Ok((frame | gpa & (size - 1), size, writable));
            }
            table = entry & 0x000f_ffff_ffff_f000;
        }
        unreachable!("level 1 is a leaf")
    }

    fn set_ept_flags(&mut self, at: u64, entry: u64, flags: u64, gpa: u64) -> Result<(), Outcome> {
        if self.pml.is_some_and(|(_, index)| index > 511) {
            return Err(PmlFull);
        }
        self.or(at, flags);
        if flags & 0x200 != 0
            && entry & 0x200 == 0
            && let Some((log, index)) = self.pml
        {
            if let Some(word) = self.words.get_mut((log / 8) as usize + usize::from(index)) {
                *word = gpa & !0xfff;
            }
            self.logged.push(gpa & !0xfff);
            self.pml = Some((log, index.wrapping_sub(1)));
        }
        Ok(())
    }
}
