//! Addresses as types, one for each space, so that they can't be mixed up.

use std::fmt;

/// Bytes in a page of every address space here (VT-d and EPT: 4 KiB).
pub const PAGE_SIZE: u64 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` further up, or `None` past the end of the space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The address `bytes` further down, or `None` below 0.
            pub const fn checked_sub(self, bytes: u64) -> Option<Self> {
                match self.0.checked_sub(bytes) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// Bytes from `base` up to here, or `None` if `base` is higher.
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }

            /// The last address of `size` bytes from here; `None` if `size` is 0 or they wrap.
            pub const fn last_of(self, size: u64) -> Option<Self> {
                match size.checked_sub(1) {
                    Some(rest) => self.checked_add(rest),
                    None => None,
                }
            }

            /// Whether the address is the first of a page.
            pub const fn is_page_aligned(self) -> bool {
                self.0.is_multiple_of(PAGE_SIZE)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        }
    };
}

address! {
    /// A guest virtual address: what a guest's instruction names (the SDM's linear address).
    Gva
}
address! {
    /// A guest physical address.
    Gpa
}
address! {
    /// An I/O virtual address: what a device puts on the bus.
    Iova
}
address! {
    /// A host physical address.
    Hpa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_past_the_end_of_the_space_is_none() {
        assert_eq!(Iova(u64::MAX).checked_add(1), None);
        assert_eq!(Iova(0).checked_sub(1), None);
        assert_eq!(Iova(u64::MAX - 0xfff).last_of(0x1000), Some(Iova(u64::MAX)));
        assert_eq!(Iova(u64::MAX - 0xfff).last_of(0x1001), None);
        assert_eq!(Iova(0).last_of(0), None);
    }

    #[test]
    fn an_address_prints_as_hex_and_debugs_with_its_space() {
        assert_eq!(Gpa(0x1000).to_string(), "0x1000");
        assert_eq!(format!("{:?}", Hpa(0x20)), "Hpa(0x20)");
    }
}
