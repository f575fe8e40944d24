//! The words of the switch: VSIs, frames as it sees them, where a frame goes and why it does not.

/// How many VSIs a device has (E810: `ICE_MAX_VSI`).
pub const VSIS: u16 = 768;

/// A VSI's number, below [`VSIS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VsiId(u16);

impl VsiId {
    /// A VSI's number; `None` from [`VSIS`] on.
    pub fn new(number: u16) -> Option<Self> {
        (number < VSIS).then_some(Self(number))
    }

    /// The number, for an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The number, as registers and descriptors carry it.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// What the switch looks at in a frame. A tag that a transmit descriptor inserts counts as part of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Destination address.
    pub dst: [u8; 6],
    /// Source address.
    pub src: [u8; 6],
    /// The outermost VLAN tag's identifier, 12 bits; `None` when untagged.
    pub vid: Option<u16>,
    /// The outermost VLAN tag's priority, 3 bits; 0 when untagged.
    pub pcp: u8,
    /// The EtherType behind the tags.
    pub ethertype: u16,
}

/// What a context descriptor says about the destination: `SWITCH` (E810 Tx context descriptor, bits 10:8 of qword 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Override {
    /// The rules decide.
    #[default]
    None,
    /// To the port, whatever the rules say.
    Uplink,
    /// By the rules, but never to the port.
    Local,
    /// To one VSI by its number, which may be anything.
    Vsi(u16),
}

/// Why a frame, or one VSI's copy of it, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The sender is no VSI of this switch, or is switched off.
    NoSource,
    /// `MAC_ANTI_SPOOF`: the source address is none of the sender's.
    AntiSpoof,
    /// Tx VLAN pruning: the sender is no member of the frame's VLAN.
    TxVlanPrune,
    /// The sender used the destination override without `ALLOW_DEST_OVRD`.
    Override,
    /// A rule says drop.
    Rule,
    /// It came back to the VSI that sent it.
    SourcePrune,
    /// Rx VLAN pruning: the receiver is no member of the frame's VLAN.
    RxVlanPrune,
    /// The only way is the port, and the sender lacks `LAN_ENA`.
    LanDisabled,
    /// No rule and no default takes it.
    NoDestination,
}

impl DropReason {
    /// Every reason, in the order of [`DropReason::index`].
    pub const ALL: [Self; 9] = [
        Self::NoSource,
        Self::AntiSpoof,
        Self::TxVlanPrune,
        Self::Override,
        Self::Rule,
        Self::SourcePrune,
        Self::RxVlanPrune,
        Self::LanDisabled,
        Self::NoDestination,
    ];

    /// A number from 0 on, for a row of counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in counters and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSource => "no_source",
            Self::AntiSpoof => "anti_spoof",
            Self::TxVlanPrune => "tx_vlan_prune",
            Self::Override => "override",
            Self::Rule => "rule",
            Self::SourcePrune => "source_prune",
            Self::RxVlanPrune => "rx_vlan_prune",
            Self::LanDisabled => "lan_disabled",
            Self::NoDestination => "no_destination",
        }
    }
}

/// How a VSI takes part: the port that its traffic uses and its switch and security flags (E810 VSI properties).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchVsi {
    /// The physical port; VSIs of one port are one switch.
    pub port: u8,
    /// `sw_flags` bit 5, ALLOW_LB: its frames may reach other VSIs inside (VEB); clear is VEPA.
    pub allow_lb: bool,
    /// `sw_flags` bit 6, LOCAL_LB: its frames may reach itself.
    pub local_lb: bool,
    /// `sw_flags` bit 7, SRC_PRUNE: it never receives a frame of its own.
    pub src_prune: bool,
    /// `sw_flags2` bit 0, RX_VLAN_PRUNE: it receives only frames of its VLANs.
    pub rx_vlan_prune: bool,
    /// `sw_flags2` bit 3, RX_PASS_PRUNE: kept, without effect here (see [`crate::Switch`]).
    pub rx_pass_prune: bool,
    /// `sw_flags2` bit 4, LAN_ENA: it may send to the port.
    pub lan_ena: bool,
    /// `sec_flags` bit 0, ALLOW_DEST_OVRD: its descriptors may choose the destination.
    pub allow_dest_ovrd: bool,
    /// `sec_flags` bit 2, MAC_ANTI_SPOOF: it may send only from its own addresses.
    pub mac_anti_spoof: bool,
    /// `sec_flags` bit 4, Tx VLAN pruning: it may send only on its VLANs.
    pub tx_vlan_prune: bool,
}

impl SwitchVsi {
    /// Out of the three flag bytes of the VSI properties.
    pub fn from_flags(port: u8, sw_flags: u8, sw_flags2: u8, sec_flags: u8) -> Self {
        let bit = |byte: u8, at: u32| byte >> at & 1 == 1;
        Self {
            port,
            allow_lb: bit(sw_flags, 5),
            local_lb: bit(sw_flags, 6),
            src_prune: bit(sw_flags, 7),
            rx_vlan_prune: bit(sw_flags2, 0),
            rx_pass_prune: bit(sw_flags2, 3),
            lan_ena: bit(sw_flags2, 4),
            allow_dest_ovrd: bit(sec_flags, 0),
            mac_anti_spoof: bit(sec_flags, 2),
            tx_vlan_prune: bit(sec_flags, 4),
        }
    }
}
