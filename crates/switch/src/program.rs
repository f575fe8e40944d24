//! What a filter-program descriptor says (E810 Tx descriptor, DTYPE 8), and what comes of it.

/// Which of the two spaces a filter may take: `FD_SPACE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FdSpace {
    /// The VSI's own share.
    #[default]
    Guaranteed,
    /// The share of everybody.
    BestEffort,
    /// Its own, else everybody's.
    GuaranteedThenBestEffort,
    /// Everybody's, else its own.
    BestEffortThenGuaranteed,
}

/// Add or remove: `PCMD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pcmd {
    /// Add the filter, or change what it does when it is there.
    #[default]
    Add,
    /// Remove the filter.
    Remove,
}

/// When a write-back reports the outcome: `COMP_REPORT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompReport {
    /// Never.
    #[default]
    None,
    /// When it failed.
    OnFail,
    /// Always.
    Always,
}

/// A filter-program descriptor. The fields bear the descriptor's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The queue, or the first of a group, counted within the VSI.
    pub qindex: u16,
    /// The completion goes to QINDEX's queue instead of queue 0.
    pub comp_q: bool,
    /// Whether to report.
    pub comp_report: CompReport,
    /// Which space it may take.
    pub fd_space: FdSpace,
    /// The counter's number, 13 bits.
    pub stat_cnt: u16,
    /// Count packets.
    pub stat_pkts: bool,
    /// Count bytes.
    pub stat_bytes: bool,
    /// EVICT_ENA: the filter goes with the connection (FIN or RST).
    pub evict: bool,
    /// Binary logarithm of the queue group's size; 0 is QINDEX itself.
    pub to_q: u8,
    /// Priority of the queue; 0 chooses none.
    pub to_q_pri: u8,
    /// DPU_RECIPE, kept.
    pub dpu_recipe: u8,
    /// The packet is dropped.
    pub drop: bool,
    /// Priority of FLEX_VAL; 0 reports none.
    pub flex_pri: u8,
    /// Where FLEX_VAL goes in the metadata.
    pub flex_mdid: u8,
    /// A value for a flex descriptor.
    pub flex_val: u16,
    /// Add or remove.
    pub pcmd: Pcmd,
    /// PROF_PRI, kept: which profile applies is the packet's and the VSI's.
    pub prof_pri: u8,
    /// PROF, kept.
    pub prof: u8,
    /// The VSI whose packets it is for, 10 bits.
    pub fd_vsi: u16,
    /// SWAP: the training packet is seen from the transmitter, as the `ice` driver sends it.
    pub swap: bool,
    /// Priority of FDID; 0 reports none.
    pub fdid_pri: u8,
    /// Where FDID goes in the metadata; 5 is the descriptor's flow id.
    pub fdid_mdid: u8,
    /// The mark.
    pub fdid: u32,
}

impl Program {
    /// Out of the descriptor's two quadwords.
    pub fn from_qwords(q0: u64, q1: u64) -> Self {
        let field = |word: u64, at: u32, width: u32| word >> at & ((1 << width) - 1);
        let bit = |word: u64, at: u32| word >> at & 1 == 1;
        Self {
            qindex: field(q0, 0, 11) as u16,
            comp_q: bit(q0, 11),
            comp_report: match field(q0, 12, 2) {
                0 => CompReport::None,
                1 => CompReport::OnFail,
                _ => CompReport::Always,
            },
            fd_space: match field(q0, 14, 2) {
                0 => FdSpace::Guaranteed,
                1 => FdSpace::BestEffort,
                2 => FdSpace::GuaranteedThenBestEffort,
                _ => FdSpace::BestEffortThenGuaranteed,
            },
            stat_cnt: field(q0, 16, 13) as u16,
            stat_pkts: bit(q0, 29),
            stat_bytes: bit(q0, 30),
            evict: bit(q0, 31),
            to_q: field(q0, 32, 3) as u8,
            to_q_pri: field(q0, 35, 3) as u8,
            dpu_recipe: field(q0, 38, 2) as u8,
            drop: bit(q0, 40),
            flex_pri: field(q0, 41, 3) as u8,
            flex_mdid: field(q0, 44, 4) as u8,
            flex_val: field(q0, 48, 16) as u16,
            pcmd: if bit(q1, 4) { Pcmd::Remove } else { Pcmd::Add },
            prof_pri: field(q1, 5, 3) as u8,
            prof: field(q1, 8, 6) as u8,
            fd_vsi: field(q1, 14, 10) as u16,
            swap: bit(q1, 24),
            fdid_pri: field(q1, 25, 3) as u8,
            fdid_mdid: field(q1, 28, 4) as u8,
            fdid: field(q1, 32, 32) as u32,
        }
    }

    /// The queue, or the first of 2^n queues and n, that packets go to; `None` leaves it to RSS.
    pub fn queue(&self) -> Option<(u16, u8)> {
        (self.to_q_pri != 0 && !self.drop).then_some((self.qindex, self.to_q))
    }

    /// The flow id for the receive descriptor.
    pub fn mark(&self) -> Option<u32> {
        (self.fdid_pri != 0 && self.fdid_mdid == FDID_MDID_FD).then_some(self.fdid)
    }
}

/// The metadata that receive descriptors show as flow id.
const FDID_MDID_FD: u8 = 5;

/// Where a filter is in the table: the filter address of a write-back, 14 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addr(pub u16);

/// Why a program descriptor failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowError {
    /// The flow director is off (`PFQF_FD_ENA`).
    Disabled,
    /// FD_VSI is no VSI.
    NoVsi,
    /// No profile of the VSI fits the training packet's type.
    NoProfile,
    /// The training packet lacks a field of the profile, or the key is too long.
    NoKey,
    /// No space is left: the VSI's quota, the function's or the device's.
    NoRoom,
    /// The filter to remove is not there.
    Missing,
}

impl FlowError {
    /// Whether the write-back says FAIL_PROF besides FAIL.
    pub fn is_profile(self) -> bool {
        matches!(self, Self::NoProfile | Self::NoKey)
    }
}

impl std::fmt::Display for FlowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disabled => "the flow director is off; set PFQF_FD_ENA",
            Self::NoVsi => "FD_VSI is no VSI of this device",
            Self::NoProfile => "no profile of the VSI fits the training packet; map one first",
            Self::NoKey => "the training packet lacks a field of its profile",
            Self::NoRoom => "no filter space is left for this VSI",
            Self::Missing => "there is no such filter to remove",
        })
    }
}

impl std::error::Error for FlowError {}
