//! Rules as the admin queue adds them (0x02A0): look-up, direction, action, loopback and LAN bits.

use crate::recipe;
use crate::types::VsiId;

/// How many rules a switch holds.
pub const MAX_RULES: usize = 32_768;

/// How many VSI lists there are: an action has ten bits for one.
pub const MAX_LISTS: u16 = 1024;

/// How many ports (switches) rules may belong to.
pub const MAX_PORTS: u8 = 8;

/// A rule's hardware index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

/// A VSI list's number, below [`MAX_LISTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u16);

/// Which frames a promiscuous rule means, by destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The group bit is clear.
    Unicast,
    /// The group bit is set, but not broadcast.
    Multicast,
    /// All ones.
    Broadcast,
}

impl Class {
    /// The class of a destination address.
    #[inline]
    pub fn of(dst: &[u8; 6]) -> Self {
        if *dst == [0xff; 6] {
            Self::Broadcast
        } else if dst[0] & 1 == 1 {
            Self::Multicast
        } else {
            Self::Unicast
        }
    }
}

/// What a rule matches: a built-in recipe and its key (E810 recipes 0..9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// Recipe 0: an EtherType.
    Ethertype(u16),
    /// Recipe 1: a destination address.
    Mac([u8; 6]),
    /// Recipe 2: a destination address on a VLAN.
    MacVlan([u8; 6], u16),
    /// Recipe 3: a class of destination addresses.
    Promisc(Class),
    /// Recipe 4: the members of a VLAN. It prunes and never forwards.
    Vlan(u16),
    /// Recipe 5: what nothing else matched.
    Dflt,
    /// Recipe 8: an EtherType and a destination address.
    EthertypeMac(u16, [u8; 6]),
    /// Recipe 9: a class of destination addresses on a VLAN.
    PromiscVlan(Class, u16),
}

impl Lookup {
    /// The recipe's number.
    pub fn recipe(&self) -> u8 {
        match self {
            Self::Ethertype(_) => recipe::ETHERTYPE,
            Self::Mac(_) => recipe::MAC,
            Self::MacVlan(..) => recipe::MAC_VLAN,
            Self::Promisc(_) => recipe::PROMISC,
            Self::Vlan(_) => recipe::VLAN,
            Self::Dflt => recipe::DFLT,
            Self::EthertypeMac(..) => recipe::ETHERTYPE_MAC,
            Self::PromiscVlan(..) => recipe::PROMISC_VLAN,
        }
    }

    /// Whether the recipe tells frames from the port and frames from VSIs apart: address and VLAN look-ups do not.
    pub fn is_directional(&self) -> bool {
        recipe::is_directional(self.recipe())
    }

    /// What the recipe matches, as one word.
    pub(crate) fn bits(&self) -> u64 {
        match self {
            Self::Mac(mac) => recipe::address(mac, 0),
            Self::MacVlan(mac, low) | Self::EthertypeMac(low, mac) => recipe::address(mac, *low),
            Self::Ethertype(low) | Self::Vlan(low) => u64::from(*low),
            Self::Promisc(class) => recipe::class(*class, 0),
            Self::PromiscVlan(class, vid) => recipe::class(*class, *vid),
            Self::Dflt => 0,
        }
    }
}

/// Whose frames a rule with a directional look-up is for ([`Lookup::is_directional`]); the others match both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `LKUP_RX`: frames from the port.
    Rx,
    /// `LKUP_TX`: frames from any VSI of the port's switch.
    Tx,
}

/// What becomes of a frame that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To one VSI.
    Vsi(VsiId),
    /// To the VSIs of a list.
    VsiList(ListId),
    /// To a queue (region 0) or 2^region queues from it on, of a VSI.
    Queue(QueueTarget),
    /// Nobody gets it.
    Drop,
    /// Nothing of its own (a counter, a mirror): the frame counts as matched by nothing.
    Other,
}

/// A receive queue, or a power of two of them, that a rule chose in place of RSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTarget {
    /// The VSI that owns them.
    pub vsi: VsiId,
    /// The first queue, as the rule says it.
    pub queue: u16,
    /// Binary logarithm of how many.
    pub region: u8,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The port that the rule's source (port or VSI) belongs to, below [`MAX_PORTS`].
    pub port: u8,
    /// Whose frames.
    pub direction: Direction,
    /// Which frames.
    pub lookup: Lookup,
    /// What to do.
    pub action: Action,
    /// LB_EN: a VSI's frame goes to the action's VSIs.
    pub lb_en: bool,
    /// LAN_EN: a VSI's frame goes to the port as well.
    pub lan_en: bool,
}

/// Why a rule or list was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// A rule with this look-up, direction and port exists already, with that index.
    Exists(RuleId),
    /// No rule has this index.
    NoRule(RuleId),
    /// No list has this number.
    NoList(ListId),
    /// All [`MAX_RULES`] rules are taken.
    Full,
    /// The port, VLAN or list number is out of range.
    Range,
    /// A rule still uses the list.
    ListInUse(RuleId),
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists(id) => write!(f, "rule {} matches the same frames; update that one", id.0),
            Self::NoRule(id) => write!(f, "there is no rule {}", id.0),
            Self::NoList(id) => write!(f, "there is no VSI list {}; set it first", id.0),
            Self::Full => write!(f, "all {MAX_RULES} switch rules are taken; remove one"),
            Self::Range => write!(f, "the rule's port, VLAN or list number is out of range"),
            Self::ListInUse(id) => write!(f, "rule {} still uses the VSI list", id.0),
        }
    }
}

impl std::error::Error for RuleError {}
