//! A set of VSIs, and where one frame goes.

use crate::rule::QueueTarget;
use crate::types::{DropReason, VSIS, VsiId};

const WORDS: usize = VSIS as usize / 64;

/// A set of VSIs: a bitmap that knows which of its words are in use, so that small sets cost little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VsiSet {
    words: [u64; WORDS],
    used: u16,
}

impl VsiSet {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a VSI in; whether it was not there.
    #[inline]
    pub fn insert(&mut self, vsi: VsiId) -> bool {
        let (at, bit) = (vsi.index() / 64, 1 << (vsi.index() % 64));
        let Some(word) = self.words.get_mut(at) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        self.used |= 1 << at;
        new
    }

    /// Takes a VSI out; whether it was there.
    #[inline]
    pub fn remove(&mut self, vsi: VsiId) -> bool {
        let (at, bit) = (vsi.index() / 64, 1 << (vsi.index() % 64));
        let Some(word) = self.words.get_mut(at) else { return false };
        let there = *word & bit != 0;
        *word &= !bit;
        if *word == 0 {
            self.used &= !(1 << at);
        }
        there
    }

    /// Whether a VSI is in it.
    #[inline]
    pub fn contains(&self, vsi: VsiId) -> bool {
        self.words.get(vsi.index() / 64).is_some_and(|word| word >> (vsi.index() % 64) & 1 == 1)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Takes all out.
    #[inline]
    pub fn clear(&mut self) {
        for at in bits(u64::from(self.used)) {
            if let Some(word) = self.words.get_mut(at) {
                *word = 0;
            }
        }
        self.used = 0;
    }

    /// The VSIs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = VsiId> + '_ {
        bits(u64::from(self.used)).flat_map(|at| {
            let word = self.words.get(at).copied().unwrap_or(0);
            bits(word).filter_map(move |bit| VsiId::new((at * 64 + bit) as u16))
        })
    }

    /// Puts all of another set in.
    #[inline]
    pub fn add_all(&mut self, other: &Self) {
        self.each(other, |mine, theirs| mine | theirs);
    }

    /// Keeps only what is in another set too.
    #[inline]
    pub fn keep(&mut self, other: &Self) {
        for at in bits(u64::from(self.used)) {
            if let (Some(mine), Some(theirs)) = (self.words.get_mut(at), other.words.get(at)) {
                *mine &= theirs;
                self.used = self.used & !(1 << at) | u16::from(*mine != 0) << at;
            }
        }
    }

    /// Whether it shares a VSI with another set.
    #[inline]
    pub fn meets(&self, other: &Self) -> bool {
        bits(u64::from(self.used & other.used))
            .any(|at| matches!((self.words.get(at), other.words.get(at)), (Some(a), Some(b)) if a & b != 0))
    }

    /// Puts in what two other sets share.
    pub(crate) fn add_common(&mut self, one: &Self, other: &Self) {
        for at in bits(u64::from(one.used & other.used)) {
            let words = (self.words.get_mut(at), one.words.get(at), other.words.get(at));
            if let (Some(mine), Some(one), Some(other)) = words {
                *mine |= one & other;
                self.used |= u16::from(*mine != 0) << at;
            }
        }
    }

    /// Takes all of another set out.
    #[inline]
    pub fn remove_all(&mut self, other: &Self) {
        self.each(other, |mine, theirs| mine & !theirs);
    }

    fn each(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        for at in bits(u64::from(other.used)) {
            let (Some(mine), Some(theirs)) = (self.words.get_mut(at), other.words.get(at)) else {
                continue;
            };
            *mine = with(*mine, *theirs);
            self.used = self.used & !(1 << at) | u16::from(*mine != 0) << at;
        }
    }
}

impl FromIterator<VsiId> for VsiSet {
    fn from_iter<I: IntoIterator<Item = VsiId>>(vsis: I) -> Self {
        let mut set = Self::new();
        for vsi in vsis {
            set.insert(vsi);
        }
        set
    }
}

/// The numbers of a word's set bits, from the lowest on.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// Where one frame goes. The caller keeps one and hands it to every look-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub(crate) vsis: VsiSet,
    pub(crate) port: Option<u8>,
    pub(crate) queue: Option<QueueTarget>,
    pub(crate) dropped: Option<DropReason>,
    pub(crate) source_pruned: VsiSet,
    pub(crate) vlan_pruned: VsiSet,
}

impl Targets {
    /// Nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// The VSIs that get a copy.
    pub fn vsis(&self) -> &VsiSet {
        &self.vsis
    }

    /// The port that gets the frame.
    pub fn port(&self) -> Option<u8> {
        self.port
    }

    /// The queue that a rule chose for its VSI's copy, in place of flow director and RSS.
    pub fn queue(&self) -> Option<QueueTarget> {
        self.queue
    }

    /// Why nobody gets the frame; `None` when somebody does.
    pub fn dropped(&self) -> Option<DropReason> {
        self.dropped
    }

    /// The VSIs that a rule named and that lost their copy to source pruning.
    pub fn source_pruned(&self) -> &VsiSet {
        &self.source_pruned
    }

    /// The VSIs that a rule named and that lost their copy to Rx VLAN pruning.
    pub fn vlan_pruned(&self) -> &VsiSet {
        &self.vlan_pruned
    }

    pub(crate) fn clear(&mut self) {
        self.vsis.clear();
        self.source_pruned.clear();
        self.vlan_pruned.clear();
        (self.port, self.queue, self.dropped) = (None, None, None);
    }
}
