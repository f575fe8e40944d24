//! VLAN tags: into a frame and out of it.

use crate::bytes::{be16, put};

/// A VLAN tag: its type, and priority, DEI and VLAN id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// The tag protocol identifier: 0x8100, 0x88A8 or 0x9100.
    pub tpid: u16,
    /// PCP 15:13, DEI 12, VLAN id 11:0.
    pub tci: u16,
}

impl Tag {
    /// The VLAN id, 0 to 4095.
    #[must_use]
    pub fn vid(self) -> u16 {
        self.tci & 0x0FFF
    }

    /// The priority, 0 to 7.
    #[must_use]
    pub fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }
}

/// Whether `ethertype` announces a VLAN tag.
#[must_use]
#[inline]
pub fn is_tpid(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88A8 | 0x9100)
}

/// Both MAC addresses: where the first tag stands.
const ADDRESSES: usize = 12;

/// Puts `tag` inside the first `position` tags (0: outermost); false, and no change, when the frame
/// has not that many bytes.
pub fn insert_tag(frame: &mut Vec<u8>, position: usize, tag: Tag) -> bool {
    let at = ADDRESSES + 4 * position.min(2);
    let Some(tail) = frame.len().checked_sub(at) else {
        return false;
    };
    frame.resize(at + tail + 4, 0);
    frame.copy_within(at..at + tail, at + 4);
    put(frame, at, tag.tpid.to_be_bytes());
    put(frame, at + 2, tag.tci.to_be_bytes());
    true
}

/// Takes out the tag behind the first `position` tags, if its type is one of `tpids`.
pub fn strip_tag(frame: &mut Vec<u8>, position: usize, tpids: &[u16]) -> Option<Tag> {
    let at = ADDRESSES + 4 * position.min(2);
    let tag = Tag { tpid: be16(frame, at)?, tci: be16(frame, at + 2)? };
    if !tpids.contains(&tag.tpid) {
        return None;
    }
    frame.drain(at..at + 4);
    Some(tag)
}
