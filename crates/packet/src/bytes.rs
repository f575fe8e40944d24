//! Big-endian numbers at an offset of a frame; `None` or no effect when they leave it.

#[inline]
pub(crate) fn chunk<const N: usize>(frame: &[u8], at: usize) -> Option<&[u8; N]> {
    frame.get(at..)?.first_chunk()
}

#[inline]
pub(crate) fn u8_at(frame: &[u8], at: usize) -> Option<u8> {
    frame.get(at).copied()
}

#[inline]
pub(crate) fn be16(frame: &[u8], at: usize) -> Option<u16> {
    chunk(frame, at).map(|b| u16::from_be_bytes(*b))
}

#[inline]
pub(crate) fn put<const N: usize>(frame: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value;
    }
}
