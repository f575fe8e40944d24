//! A VSI as the data path needs it, out of the 128 bytes of its properties.

use siov_bus::Pasid;
use siov_packet::rss::{Config, Function, KEY_LEN, Toeplitz};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{InnerVlanMode, OuterTag, OuterVlanMode, TxVlanMode, VsiType};
use siov_switch::{Space, SwitchVsi, VsiId};

/// The port of a function's VSIs: it has one.
const PORT: u8 = 0;

/// Bytes of the properties.
pub const PROPERTIES: usize = props::SIZE as usize;

/// Which of the device's Rx queues a VSI has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueMap {
    /// So many in a row from the first one on.
    Contiguous {
        /// The first.
        first: u16,
        /// How many.
        count: u16,
    },
    /// These, one by one.
    Scattered {
        /// The queues.
        queues: [u16; 16],
        /// How many of them count.
        count: u16,
    },
}

impl QueueMap {
    /// How many there are.
    pub fn count(&self) -> u16 {
        match self {
            Self::Contiguous { count, .. } | Self::Scattered { count, .. } => *count,
        }
    }

    /// The device's number of the VSI's queue `n`.
    pub fn queue(&self, n: u16) -> Option<u16> {
        match self {
            _ if n >= self.count() => None,
            Self::Contiguous { first, .. } => first.checked_add(n),
            Self::Scattered { queues, .. } => queues.get(usize::from(n)).copied(),
        }
    }
}

/// How a VSI spreads what it receives.
#[derive(Clone, Debug)]
pub struct Rss {
    /// What is hashed, and how.
    pub config: Config,
    /// The key, ready for use.
    pub key: Toeplitz,
    /// The VSI's queue for a hash, by its low bits; a power of two of entries, or none.
    pub table: Box<[u16]>,
}

impl Default for Rss {
    fn default() -> Self {
        let config = Config::default();
        Self { config, key: Toeplitz::new(&[0; KEY_LEN]), table: Box::default() }
    }
}

/// What happens to a tag of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReceipt {
    /// It is taken out and reported in the descriptor.
    Report,
    /// It is taken out, and the receiver does not hear of it: a port VLAN.
    Hide,
    /// It stays.
    #[default]
    Keep,
}

/// What is done with a VSI's VLAN tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// The kind of the outer tag in a double-VLAN switch; 0 for none.
    pub outer_tpid: u16,
    /// What happens to the outer tag on receipt.
    pub outer: OnReceipt,
    /// What happens to the inner tag (the only one without double VLANs) on receipt.
    pub inner: OnReceipt,
    /// The port's tag, that every sent frame gets.
    pub port_tag: Option<u16>,
    /// It is the outer one.
    pub port_tag_outer: bool,
    /// A descriptor may not insert a tag.
    pub block_descriptor: bool,
    /// Untagged packets may be sent.
    pub send_untagged: bool,
    /// Tagged packets may be sent.
    pub send_tagged: bool,
}

/// A virtual station interface.
#[derive(Clone, Debug)]
pub struct Vsi {
    /// Its number.
    pub id: VsiId,
    /// The address space of its queues; `None`: the function's own.
    pub pasid: Option<Pasid>,
    /// What the switch has to know.
    pub switch: SwitchVsi,
    /// Its Rx queues.
    pub queues: QueueMap,
    /// Spreading.
    pub rss: Rss,
    /// Tags.
    pub vlan: Vlan,
    /// It is the function's own, and no guest's.
    pub is_functions: bool,
    /// Flow director filters apply.
    pub flows: bool,
    /// Its descriptors may program them.
    pub programs_flows: bool,
    /// How many it may have.
    pub filters: Space,
}

impl Vsi {
    /// The device's numbers of its receive queues.
    pub fn rx_queues(&self) -> Vec<u16> {
        (0..self.queues.count()).filter_map(|n| self.queues.queue(n)).collect()
    }

    /// A VSI with these properties. What RSS was set up before stays.
    pub fn new(
        id: VsiId,
        kind: VsiType,
        properties: &[u8; PROPERTIES],
        before: Option<&Vsi>,
    ) -> Self {
        let view = View(properties);
        let [sw, sw2, sec] = [props::SW_FLAGS::AT, props::SW_FLAGS2::AT, props::SEC_FLAGS::AT];
        let switch = SwitchVsi::from_flags(PORT, view.u8(sw), view.u8(sw2), view.u8(sec));
        let pasid = props::PASID_ID(view.u32(props::PASID_ID::AT));
        let options = props::FD_OPTIONS(view.u16(props::FD_OPTIONS::AT));
        let mut rss = before.map(|vsi| vsi.rss.clone()).unwrap_or_default();
        rss.config.function = match props::Q_OPT_RSS(view.u8(props::Q_OPT_RSS::AT)).HASH() {
            1 => Function::ToeplitzSymmetric,
            2 => Function::XorSymmetric,
            _ => Function::ToeplitzAsymmetric,
        };
        Self {
            id,
            pasid: pasid.VALID().then(|| Pasid(pasid.PASID())),
            switch,
            queues: view.queues(),
            rss,
            vlan: view.vlan(),
            is_functions: kind == VsiType::PF,
            flows: options.FD_ENABLE(),
            programs_flows: options.FD_PROG_ENABLE(),
            filters: Space {
                guaranteed: view.u16(props::MAX_FD_FLTR_DEDICATED::AT),
                best_effort: view.u16(props::MAX_FD_FLTR_SHARED::AT),
            },
        }
    }
}

/// The properties, by offset.
struct View<'a>(&'a [u8; PROPERTIES]);

impl View<'_> {
    fn bytes<const N: usize>(&self, at: u32) -> [u8; N] {
        let found = self.0.get(at as usize..).and_then(|rest| rest.first_chunk());
        found.copied().unwrap_or([0; N])
    }

    fn u8(&self, at: u32) -> u8 {
        u8::from_le_bytes(self.bytes(at))
    }

    fn u16(&self, at: u32) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    /// The queues of the first traffic class, which is the only one.
    fn queues(&self) -> QueueMap {
        let mapping = |n: u32| props::Q_MAPPING(self.u16(props::Q_MAPPING::AT + 2 * n)).Q();
        let class = props::TC_MAPPING(self.u16(props::TC_MAPPING::AT));
        let in_class = 1u16 << class.Q_NUM().min(15);
        let flags = props::MAPPING_FLAGS(self.u16(props::MAPPING_FLAGS::AT));
        if flags.Q_MAP_NONCONTIG() {
            let mut queues = [0; 16];
            for (queue, n) in queues.iter_mut().zip(0..) {
                *queue = mapping(n);
            }
            return QueueMap::Scattered { queues, count: in_class.min(16) };
        }
        QueueMap::Contiguous {
            first: mapping(0).saturating_add(class.Q_OFFSET()),
            count: mapping(1).min(in_class),
        }
    }

    fn vlan(&self) -> Vlan {
        let inner = props::INNER_VLAN_FLAGS(self.u8(props::INNER_VLAN_FLAGS::AT));
        let outer = props::OUTER_VLAN_FLAGS(self.u8(props::OUTER_VLAN_FLAGS::AT));
        let mode = inner.TX_MODE();
        let port_tag = if inner.INSERT_PVID() {
            Some(self.u16(props::PORT_BASED_INNER_VLAN::AT))
        } else if outer.PORT_BASED_INSERT() {
            Some(self.u16(props::PORT_BASED_OUTER_VLAN::AT))
        } else {
            None
        };
        Vlan {
            outer_tpid: match OuterTag::from_raw(outer.TAG_TYPE().into()) {
                Some(OuterTag::STAG) => 0x88A8,
                Some(OuterTag::VLAN_8100) => 0x8100,
                Some(OuterTag::VLAN_9100) => 0x9100,
                _ => 0,
            },
            outer: match OuterVlanMode::from_raw(outer.EMODE().into()) {
                Some(OuterVlanMode::SHOW_BOTH | OuterVlanMode::SHOW_UP) => OnReceipt::Report,
                Some(OuterVlanMode::SHOW) => OnReceipt::Hide,
                _ => OnReceipt::Keep,
            },
            inner: match InnerVlanMode::from_raw(inner.EMODE().into()) {
                Some(InnerVlanMode::STR_BOTH | InnerVlanMode::STR_UP) => OnReceipt::Report,
                Some(InnerVlanMode::STR) => OnReceipt::Hide,
                _ => OnReceipt::Keep,
            },
            port_tag,
            port_tag_outer: !inner.INSERT_PVID(),
            block_descriptor: inner.BLOCK_TX_DESC() || outer.BLOCK_TX_DESC(),
            // Nobody means to send nothing at all: 0 is what a section that was never set holds.
            send_untagged: mode == 0 || mode & TxVlanMode::ACCEPTUNTAGGED as u8 != 0,
            send_tagged: mode == 0 || mode & TxVlanMode::ACCEPTTAGGED as u8 != 0,
        }
    }
}
