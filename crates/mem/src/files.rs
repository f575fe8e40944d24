//! The files that one client shares, each mapped once however many maps look into it.
//!
//! A guest behind a virtual IOMMU makes thousands of small maps of the same memory, many a
//! second. With one mapping for the whole file they cost neither system calls nor page faults.
//! And a client can't use up what the process has only once for everybody: the kernel gives a
//! process 65,530 mappings, and without any left nobody can allocate memory.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::Errno;

use crate::{PAGE_SIZE, Perm, Region, RegionError};

/// Maps files for one client, within limits; every method can be called from any thread.
#[derive(Debug)]
pub struct MappedFiles {
    max_files: usize,
    max_bytes: u64,
    live: Mutex<Vec<Mapped>>,
}

#[derive(Debug)]
struct Mapped {
    /// Device and inode, if the whole file is mapped.
    file: Option<(u64, u64)>,
    region: Weak<Region>,
}

impl MappedFiles {
    /// No files yet; at most `max_files` mappings of `max_bytes` in all at a time.
    pub fn new(max_files: usize, max_bytes: u64) -> MappedFiles {
        MappedFiles { max_files, max_bytes, live: Mutex::default() }
    }

    /// A region that has `len` bytes of the file from `offset` on, and where it has them.
    ///
    /// The mapping goes when the last of those who share the region drops it.
    pub fn map(
        &self,
        fd: BorrowedFd<'_>,
        offset: u64,
        len: u64,
        perm: Perm,
    ) -> Result<(Arc<Region>, u64), RegionError> {
        let size = RegionError::Size { offset, len };
        let end =
            offset.checked_add(len).filter(|_| offset.is_multiple_of(PAGE_SIZE)).ok_or(size)?;
        let stat = fstat(fd).map_err(RegionError::Os)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let file_len = u64::try_from(stat.st_size).unwrap_or(0);
        let file = (regular && end <= file_len).then_some((stat.st_dev, stat.st_ino));

        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|mapped| mapped.region.strong_count() > 0);
        let allowed = allowed_by(fd)?;
        if let Some(region) = live.iter().find_map(|mapped| mapped.serves(file, end, perm)) {
            // The other descriptor of the file may allow more than this one does.
            return allowed.allows(perm).then_some((region, offset)).ok_or(denied());
        }
        if live.len() >= self.max_files {
            return Err(RegionError::TooMany(self.max_files));
        }
        let used: u64 = live.iter().filter_map(|m| Some(m.region.upgrade()?.len())).sum();
        let room = self.max_bytes.saturating_sub(used);
        let whole = file.filter(|_| file_len <= room && allowed.allows(perm));
        let (region, at) = match whole {
            Some(_) => {
                // A sealed file takes no writable mapping, whatever its descriptor says.
                let region = Region::map(fd, 0, file_len, allowed)
                    .or_else(|_| Region::map(fd, 0, file_len, perm))?;
                (Arc::new(region), offset)
            }
            None if len <= room => (Arc::new(Region::map(fd, offset, len, perm)?), 0),
            None => return Err(RegionError::TooLarge(self.max_bytes)),
        };
        live.push(Mapped { file: whole, region: Arc::downgrade(&region) });
        Ok((region, at))
    }
}

impl Mapped {
    fn serves(&self, file: Option<(u64, u64)>, end: u64, perm: Perm) -> Option<Arc<Region>> {
        if file.is_none() || file != self.file {
            return None;
        }
        self.region.upgrade().filter(|region| {
            region.len() >= end && region.perm().allows(perm) && !region.poisoned()
        })
    }
}

fn allowed_by(fd: BorrowedFd<'_>) -> Result<Perm, RegionError> {
    let mode = fcntl_getfl(fd).map_err(RegionError::Os)? & OFlags::RWMODE;
    match mode {
        OFlags::RDWR => Ok(Perm::READ_WRITE),
        OFlags::RDONLY => Ok(Perm::READ),
        _ => Err(denied()),
    }
}

fn denied() -> RegionError {
    RegionError::Os(Errno::ACCESS)
}
