//! Numbers of the formats, and fields in either order of bytes.

pub(super) const SECTION_HEADER: u32 = 0x0A0D_0D0A;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const ENHANCED_PACKET: u32 = 6;

pub(super) const BYTE_ORDER: u32 = 0x1A2B_3C4D;
pub(super) const ETHERNET: u16 = 1;

pub(super) const OPT_ENDOFOPT: u16 = 0;
pub(super) const OPT_COMMENT: u16 = 1;
pub(super) const SHB_USERAPPL: u16 = 4;
pub(super) const IF_NAME: u16 = 2;
pub(super) const IF_DESCRIPTION: u16 = 3;
pub(super) const IF_SPEED: u16 = 8;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const IF_TSOFFSET: u16 = 14;
pub(super) const EPB_FLAGS: u16 = 2;

/// Classic pcap: microseconds, nanoseconds.
pub(super) const PCAP_MICRO: u32 = 0xA1B2_C3D4;
pub(super) const PCAP_NANO: u32 = 0xA1B2_3C4D;

pub(super) const NANO: u64 = 1_000_000_000;

/// The order of bytes of a section or file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u16::from_le_bytes(field),
            Order::Big => u16::from_be_bytes(field),
        })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(field),
            Order::Big => u32::from_be_bytes(field),
        })
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Order::Little => u64::from_le_bytes(field),
            Order::Big => u64::from_be_bytes(field),
        })
    }

    /// The options from an offset on: code and value; what makes no sense ends them.
    pub(super) fn options(self, bytes: &[u8], mut at: usize) -> impl Iterator<Item = (u16, &[u8])> {
        std::iter::from_fn(move || {
            let code = self.u16(bytes, at).filter(|code| *code != OPT_ENDOFOPT)?;
            let length = usize::from(self.u16(bytes, at.checked_add(2)?)?);
            let start = at.checked_add(4)?;
            let value = bytes.get(start..start.checked_add(length)?)?;
            at = start.checked_add(padded(length))?;
            Some((code, value))
        })
    }
}

/// A length with what follows it up to a multiple of 4.
pub(super) fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}
