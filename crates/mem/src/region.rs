//! A piece of mapped memory that others may change at any time.
#![allow(unsafe_code)] // owns a mapping, and reads and writes through its address

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::{
    FileType, MemfdFlags, SealFlags, fcntl_add_seals, fstat, fstatfs, ftruncate, memfd_create,
};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use thiserror::Error;

use crate::{Perm, copy, guard::Guarded};

/// Between two looks at the poison mark, so that a lost file costs at most this much of memory
/// nobody wants.
const STRIDE: usize = 64 * 1024;

/// `statfs` magic of file systems whose pages come from a process, which may never deliver them.
const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

/// Why memory could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegionError {
    /// Nothing to map, or more than an address space holds.
    #[error("a region of {len:#x} bytes at file offset {offset:#x} can't be mapped")]
    Size {
        /// Offset in the file, in bytes.
        offset: u64,
        /// Bytes asked for.
        len: u64,
    },
    /// No permission was asked for.
    #[error("a region needs to be readable or writable")]
    Perm,
    /// The file ends before the region does.
    #[error("the region ends at {end:#x}, the file at {file:#x}")]
    BeyondFile {
        /// End of the region in the file, in bytes.
        end: u64,
        /// Size of the file, in bytes.
        file: u64,
    },
    /// The file lives in a file system that can hold up whoever touches its pages.
    #[error("pages of a FUSE file come at the pleasure of its server")]
    Fuse,
    /// As many files are mapped as may be at a time.
    #[error("{0} mapped files are the limit")]
    TooMany(usize),
    /// Together the files would be larger than they may.
    #[error("{0:#x} bytes of mapped files are the limit")]
    TooLarge(u64),
    /// The kernel, or the limit of guarded mappings, said no.
    #[error("mmap: {0}")]
    Os(Errno),
}

/// Why an access to a region failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegionFault {
    /// The access leaves the region.
    #[error("{len:#x} bytes at {offset:#x} leave the region")]
    OutOfBounds {
        /// Offset in the region, in bytes.
        offset: u64,
        /// Bytes accessed.
        len: u64,
    },
    /// An atomic access is not naturally aligned.
    #[error("{offset:#x} is not aligned for an atomic access")]
    Misaligned {
        /// Offset in the region, in bytes.
        offset: u64,
    },
    /// The region is not readable, or not writable.
    #[error("the region does not allow the access")]
    Denied,
    /// The file behind the region lost pages; the region is of no use any more.
    #[error("the file behind the region was cut short")]
    Poisoned,
}

/// Mapped memory, anonymous or of a file, unmapped when dropped.
///
/// Accesses are atomic by naturally aligned words of at most 8 bytes, with no order among them;
/// the `load` and `store` methods order as acquire and release.
pub struct Region {
    base: NonNull<u8>,
    len: usize,
    perm: Perm,
    /// Of file mappings only: anonymous memory can't get lost.
    guard: Option<Guarded>,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Region {}
// SAFETY: every access through `&self` is atomic.
unsafe impl Sync for Region {}

impl Region {
    /// `len` bytes of zeroed memory of our own.
    pub fn anonymous(len: u64) -> Result<Region, RegionError> {
        let size = RegionError::Size { offset: 0, len };
        let mapped = usize::try_from(len).ok().filter(|&len| len > 0).ok_or(size)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), mapped, prot, flags) };
        Self::own(base, mapped, Perm::READ_WRITE)
    }

    /// `len` bytes of zeroed memory, and a file of that name for others to map it; they can't change its size.
    pub fn shared(name: &str, len: u64) -> Result<(Region, OwnedFd), RegionError> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create(name, flags).map_err(RegionError::Os)?;
        ftruncate(&file, len).map_err(RegionError::Os)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(RegionError::Os)?;
        Ok((Self::map(file.as_fd(), 0, len, Perm::READ_WRITE)?, file))
    }

    /// `len` bytes of the file `fd` from `offset`, shared with whoever else maps it.
    ///
    /// A regular file has to be long enough now; if it is cut short later, the region is poisoned.
    pub fn map(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: u64,
        perm: Perm,
    ) -> Result<Region, RegionError> {
        let size = RegionError::Size { offset, len };
        let end = offset.checked_add(len).filter(|&end| end <= i64::MAX as u64).ok_or(size)?;
        let mapped = usize::try_from(len).ok().filter(|&len| len > 0).ok_or(size)?;
        if perm.is_none() {
            return Err(RegionError::Perm);
        }
        check_file(fd, offset, len, end)?;
        let mut prot = ProtFlags::empty();
        prot.set(ProtFlags::READ, perm.allows(Perm::READ));
        prot.set(ProtFlags::WRITE, perm.allows(Perm::WRITE));
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap(ptr::null_mut(), mapped, prot, MapFlags::SHARED, fd, offset) };
        let mut region = Self::own(base, mapped, perm)?;
        let guarded = mapped.next_multiple_of(rustix::param::page_size());
        let guard = Guarded::new(region.base.addr().get(), guarded)
            .map_err(|e| RegionError::Os(Errno::from_io_error(&e).unwrap_or(Errno::NOMEM)))?;
        region.guard = Some(guard);
        Ok(region)
    }

    fn own(
        base: Result<*mut std::ffi::c_void, Errno>,
        len: usize,
        perm: Perm,
    ) -> Result<Region, RegionError> {
        let base = NonNull::new(base.map_err(RegionError::Os)?.cast::<u8>());
        base.map(|base| Region { base, len, perm, guard: None })
            .ok_or(RegionError::Os(Errno::NOMEM))
    }

    /// Bytes in the region.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Never: a region has at least one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What may be done to the region.
    pub fn perm(&self) -> Perm {
        self.perm
    }

    /// Whether the file behind the region lost pages; every access is a fault from then on.
    #[inline]
    pub fn poisoned(&self) -> bool {
        self.guard.as_ref().is_some_and(Guarded::poisoned)
    }

    /// Fills `to` from `offset` on.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), RegionFault> {
        let mut at = self.check(offset, to.len(), Perm::READ)?;
        for part in to.chunks_mut(STRIDE) {
            // SAFETY: `check` found all of it inside the mapping, and readable.
            unsafe { copy::load(at, part) };
            self.check_poison()?;
            at = at.wrapping_add(part.len());
        }
        Ok(())
    }

    /// Puts `from` at `offset`.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), RegionFault> {
        let mut at = self.check(offset, from.len(), Perm::WRITE)?;
        for part in from.chunks(STRIDE) {
            // SAFETY: `check` found all of it inside the mapping, and writable.
            unsafe { copy::store(at, part) };
            self.check_poison()?;
            at = at.wrapping_add(part.len());
        }
        Ok(())
    }

    /// Copies `len` bytes from `offset` to `to_offset` of `to`, in ascending order.
    pub fn copy_to(
        &self,
        offset: u64,
        to: &Region,
        to_offset: u64,
        len: u64,
    ) -> Result<(), RegionFault> {
        let size = usize::try_from(len).map_err(|_| RegionFault::OutOfBounds { offset, len })?;
        self.check(offset, size, Perm::READ)?;
        to.check(to_offset, size, Perm::WRITE)?;
        let mut bounce = vec![0; size.min(STRIDE)];
        for done in (0..size).step_by(STRIDE) {
            let part = bounce.get_mut(..STRIDE.min(size - done)).unwrap_or_default();
            self.read(offset + done as u64, part)?;
            to.write(to_offset + done as u64, part)?;
        }
        Ok(())
    }

    /// The aligned 32-bit word at `offset`, with acquire order.
    pub fn load_u32(&self, offset: u64) -> Result<u32, RegionFault> {
        let at = self.check_word(offset, size_of::<u32>(), Perm::READ)?;
        // SAFETY: inside the mapping, aligned, and accessed through atomics only.
        let value = unsafe { AtomicU32::from_ptr(at.cast()) }.load(Ordering::Acquire);
        self.check_poison().map(|()| value)
    }

    /// The aligned 64-bit word at `offset`, with acquire order.
    #[inline]
    pub fn load_u64(&self, offset: u64) -> Result<u64, RegionFault> {
        let at = self.check_word(offset, size_of::<u64>(), Perm::READ)?;
        // SAFETY: inside the mapping, aligned, and accessed through atomics only.
        let value = unsafe { AtomicU64::from_ptr(at.cast()) }.load(Ordering::Acquire);
        self.check_poison().map(|()| value)
    }

    /// Sets the aligned 32-bit word at `offset`, with release order.
    pub fn store_u32(&self, offset: u64, value: u32) -> Result<(), RegionFault> {
        let at = self.check_word(offset, size_of::<u32>(), Perm::WRITE)?;
        // SAFETY: inside the mapping, aligned, and accessed through atomics only.
        unsafe { AtomicU32::from_ptr(at.cast()) }.store(value, Ordering::Release);
        self.check_poison()
    }

    /// Sets the aligned 64-bit word at `offset`, with release order.
    pub fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionFault> {
        let at = self.check_word(offset, size_of::<u64>(), Perm::WRITE)?;
        // SAFETY: inside the mapping, aligned, and accessed through atomics only.
        unsafe { AtomicU64::from_ptr(at.cast()) }.store(value, Ordering::Release);
        self.check_poison()
    }

    /// Sets the aligned 64-bit word at `offset` to `new` if it is `expected`, in one step.
    ///
    /// Gives the value that is there afterwards: `new`, or what somebody else has put there.
    pub fn compare_exchange_u64(
        &self,
        offset: u64,
        expected: u64,
        new: u64,
    ) -> Result<u64, RegionFault> {
        let at = self.check_word(offset, size_of::<u64>(), Perm::READ_WRITE)?;
        // SAFETY: inside the mapping, aligned, and accessed through atomics only.
        let word = unsafe { AtomicU64::from_ptr(at.cast()) };
        let found = word.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire);
        self.check_poison().map(|()| found.map_or_else(|current| current, |_| new))
    }

    /// A mapping begins at a page, so a word's alignment is that of its offset.
    #[inline]
    fn check_word(&self, offset: u64, len: usize, access: Perm) -> Result<*mut u8, RegionFault> {
        let inside = self.len >= len && offset <= (self.len - len) as u64;
        if inside && offset & (len as u64 - 1) == 0 && self.perm.allows(access) {
            return Ok(self.base.as_ptr().wrapping_add(offset as usize));
        }
        self.check(offset, len, access)?;
        Err(RegionFault::Misaligned { offset })
    }

    #[inline]
    fn check(&self, offset: u64, len: usize, access: Perm) -> Result<*mut u8, RegionFault> {
        let outside = RegionFault::OutOfBounds { offset, len: len as u64 };
        let start = usize::try_from(offset).map_err(|_| outside)?;
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(outside);
        }
        if !self.perm.allows(access) {
            return Err(RegionFault::Denied);
        }
        self.check_poison()?;
        Ok(self.base.as_ptr().wrapping_add(start))
    }

    #[inline]
    fn check_poison(&self) -> Result<(), RegionFault> {
        if self.poisoned() { Err(RegionFault::Poisoned) } else { Ok(()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // First, so that the handler never maps over an address that has found a new owner.
        self.guard = None;
        // SAFETY: the mapping is ours, and `&mut self` says that nobody accesses it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("len", &self.len)
            .field("perm", &self.perm)
            .field("poisoned", &self.poisoned())
            .finish()
    }
}

fn check_file(fd: BorrowedFd<'_>, offset: u64, len: u64, end: u64) -> Result<(), RegionError> {
    let stat = fstat(fd).map_err(RegionError::Os)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let file = u64::try_from(stat.st_size).unwrap_or(0);
    if end > file {
        return Err(RegionError::BeyondFile { end, file });
    }
    let magic = fstatfs(fd).map_err(RegionError::Os)?.f_type as u64;
    let page = u64::try_from(stat.st_blksize).unwrap_or(0);
    match magic {
        FUSE_SUPER_MAGIC => Err(RegionError::Fuse),
        // A part of a huge page could not be unmapped again.
        HUGETLBFS_MAGIC
            if page == 0 || !offset.is_multiple_of(page) || !len.is_multiple_of(page) =>
        {
            Err(RegionError::Size { offset, len })
        }
        _ => Ok(()),
    }
}
