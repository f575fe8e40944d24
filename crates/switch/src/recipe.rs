//! The built-in recipes by number, and their keys as one word, so that a look-up handles no bytes.

use crate::rule::Class;

pub(crate) const ETHERTYPE: u8 = 0;
pub(crate) const MAC: u8 = 1;
pub(crate) const MAC_VLAN: u8 = 2;
pub(crate) const PROMISC: u8 = 3;
pub(crate) const VLAN: u8 = 4;
pub(crate) const DFLT: u8 = 5;
pub(crate) const ETHERTYPE_MAC: u8 = 8;
pub(crate) const PROMISC_VLAN: u8 = 9;

/// The recipes that add copies besides those of addresses, a bit each.
pub(crate) const BESIDES_ADDRESSES: u16 =
    1 << ETHERTYPE | 1 << PROMISC | 1 << ETHERTYPE_MAC | 1 << PROMISC_VLAN;

/// Whether rules of a recipe are for one direction.
#[inline]
pub(crate) fn is_directional(recipe: u8) -> bool {
    !matches!(recipe, MAC | MAC_VLAN | VLAN)
}

/// An address, with a VLAN or an EtherType below it.
#[inline]
pub(crate) fn address(&[a, b, c, d, e, f]: &[u8; 6], low: u16) -> u64 {
    u64::from_be_bytes([a, b, c, d, e, f, 0, 0]) | u64::from(low)
}

/// A class of addresses on a VLAN.
#[inline]
pub(crate) fn class(class: Class, vid: u16) -> u64 {
    (class as u64) << 16 | u64::from(vid)
}
