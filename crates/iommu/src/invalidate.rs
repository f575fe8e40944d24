//! What an invalidation drops (VT-d 6.5).
//!
//! More may be dropped than was asked for; nothing that was asked for may stay.

use crate::caches::{Caches, PageKey, PasidKey};
use crate::tables::{ContextInfo, Next, PasidInfo};
use crate::types::{Did, Pasid, Rid};

/// Pages from an address on, `2^mask` of them; what was invalidated as a leaf only keeps the tables above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// First address, aligned to the size.
    pub first: u64,
    /// Bytes; `u64::MAX` for every address.
    pub size: u64,
    /// Only leaf entries have changed (IH).
    pub leaf_only: bool,
}

impl Pages {
    /// Out of a descriptor's fields: the page number, the address mask, the hint.
    pub fn of(page: u64, mask: u8, leaf_only: bool) -> Self {
        match 1u64.checked_shl(12 + u32::from(mask)) {
            Some(size) => Self { first: page << 12 & !(size - 1), size, leaf_only },
            None => Self { first: 0, size: u64::MAX, leaf_only },
        }
    }

    fn meet(&self, key: &PageKey) -> bool {
        key.meets(self.first, self.size)
    }
}

impl Caches {
    /// Context-cache, by domain: entries that have it, and in scalable mode all, as they have none.
    pub fn drop_contexts_of_domain(&mut self, did: Did) {
        self.context.retain(|_, info| domain_of(info).is_some_and(|have| have != did));
    }

    /// Context-cache, by device: those whose function number differs in masked bits only.
    pub fn drop_contexts_of_device(&mut self, rid: Rid, function_mask: u8) {
        // FM 1 masks bit 2, 2 bits 2:1, 3 bits 2:0 of the function number (VT-d 6.5.2.1).
        let ignored = match function_mask & 3 {
            0 => 0,
            1 => 0b100,
            2 => 0b110,
            _ => 0b111,
        };
        self.context.retain(|have, _| (have.0 ^ rid.0) & !ignored != 0);
    }

    /// PASID-cache, by domain.
    pub fn drop_pasids_of_domain(&mut self, did: Did) {
        self.pasid.retain(|_, info: &PasidInfo| info.did != did);
    }

    /// PASID-cache, by PASID in a domain.
    pub fn drop_pasid(&mut self, did: Did, pasid: Pasid) {
        self.pasid.retain(|key: &PasidKey, info| info.did != did || key.pasid != pasid);
    }

    /// IOTLB and paging-structure caches, by domain.
    pub fn drop_domain(&mut self, did: Did) {
        self.iotlb.retain(|key, _| key.tag().did != did);
        self.first.retain(|key, _| key.tag().did != did);
        self.second.retain(|key, _| key.tag().did != did);
    }

    /// IOTLB and paging-structure caches, by second-stage pages of a domain.
    ///
    /// What came out of both stages is tagged with first-stage addresses, so all of that goes.
    pub fn drop_domain_pages(&mut self, did: Did, pages: Pages) {
        self.iotlb.retain(|key, entry| {
            let tag = key.tag();
            tag.did != did
                || (tag.pasid.is_some() && !entry.nested)
                || (tag.pasid.is_none() && !pages.meet(key))
        });
        if !pages.leaf_only {
            self.second.retain(|key, _| key.tag().did != did || !pages.meet(key));
        }
    }

    /// IOTLB and paging-structure caches, by PASID in a domain.
    pub fn drop_pasid_translations(&mut self, did: Did, pasid: Pasid) {
        let other = |key: &PageKey| key.tag().did != did || key.tag().pasid != Some(pasid);
        self.iotlb.retain(|key, _| other(key));
        self.first.retain(|key, _| other(key));
    }

    /// IOTLB and paging-structure caches, by first-stage pages of a PASID in a domain.
    pub fn drop_pasid_pages(&mut self, did: Did, pasid: Pasid, pages: Pages) {
        let other = |key: &PageKey| {
            key.tag().did != did || key.tag().pasid != Some(pasid) || !pages.meet(key)
        };
        self.iotlb.retain(|key, _| other(key));
        if !pages.leaf_only {
            self.first.retain(|key, _| other(key));
        }
    }
}

fn domain_of(info: &ContextInfo) -> Option<Did> {
    match info.next {
        Next::PassThrough(did) => Some(did),
        Next::Second(stage) => Some(stage.did),
        Next::Directory(_) => None,
    }
}
