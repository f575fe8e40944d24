//! The CPU's side of memory-mapped registers: which function answers at a physical address.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use siov_mem::{Hpa, Word};

/// The registers of a function behind one of its BARs.
pub trait Mmio: Send + Sync {
    /// Reads as software does; what is nowhere reads as zero.
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Writes as software does; whether the function's firmware has something to do now.
    fn write(&self, offset: u64, data: &[u8]) -> bool;

    /// Has a register be a word of shared memory, which software stores into without the function being told,
    /// until it is given another or none; false for a register that can't be, which is most.
    fn share(&self, _offset: u64, _word: Option<Word>) -> bool {
        false
    }
}

/// A range of physical addresses, and who answers there.
#[derive(Clone)]
pub struct Claim {
    /// First address.
    pub start: Hpa,
    /// Bytes.
    pub size: u64,
    /// Who answers.
    pub target: Arc<dyn Mmio>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("start", &self.start).field("size", &self.size).finish()
    }
}

impl Claim {
    fn end(&self) -> u64 {
        self.start.0.saturating_add(self.size)
    }
}

/// All claims, by address; as the machine's ports and BARs are set up now.
#[derive(Debug, Default)]
pub(crate) struct Claims(RwLock<Vec<Claim>>);

impl Claims {
    /// Takes the place of all claims; gives back the first that overlaps the one before it.
    pub fn set(&self, mut claims: Vec<Claim>) -> Result<(), Claim> {
        claims.sort_by_key(|claim| claim.start.0);
        let overlap = claims.windows(2).find_map(|pair| match pair {
            [one, next] if next.start.0 < one.end() => Some(next.clone()),
            _ => None,
        });
        if let Some(claim) = overlap {
            return Err(claim);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = claims;
        Ok(())
    }

    /// Who answers to all of `len` bytes, and at which offset. No lock is held by then: an access may have
    /// any effect.
    pub fn find(&self, at: Hpa, len: usize) -> Option<(Arc<dyn Mmio>, u64)> {
        let claims = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let after = claims.partition_point(|claim| claim.start.0 <= at.0);
        let claim = claims.get(after.checked_sub(1)?)?;
        let end = at.0.checked_add(u64::try_from(len).ok()?)?;
        (end <= claim.end()).then(|| (Arc::clone(&claim.target), at.0 - claim.start.0))
    }
}
