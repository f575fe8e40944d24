//! The switch as tables: who takes part, the rules, the VSI lists.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crate::hash::Seed;
use crate::recipe;
use crate::rule::{
    Action, Direction, ListId, Lookup, MAX_LISTS, MAX_PORTS, MAX_RULES, Rule, RuleError, RuleId,
};
use crate::set::VsiSet;
use crate::types::{SwitchVsi, VSIS, VsiId};

/// The embedded switch of a device: one for each port, in one set of tables.
#[derive(Clone, Debug)]
pub struct Switch {
    vsis: Vec<Option<SwitchVsi>>,
    rules: Vec<Option<Rule>>,
    free: Vec<u16>,
    index: HashMap<Key, RuleId, Seed>,
    recipes: [usize; 10],
    /// A bit for each recipe that has a rule.
    present: u16,
    lists: Vec<Option<VsiSet>>,
    pub(crate) enabled: VsiSet,
    pub(crate) src_prune: VsiSet,
    pub(crate) rx_vlan_prune: VsiSet,
}

/// A look-up on a port, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    bits: u64,
    table: u16,
}

impl Hash for Key {
    /// One word: what a guest chooses is in `bits`, and each has few tables to be in.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.bits ^ u64::from(self.table).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

impl Key {
    #[inline]
    fn new(port: u8, direction: Direction, recipe: u8, bits: u64) -> Self {
        let tx = recipe::is_directional(recipe) && direction == Direction::Tx;
        Self { bits, table: u16::from(recipe) << 8 | u16::from(tx) << 7 | u16::from(port) }
    }

    fn of(rule: &Rule) -> Self {
        Self::new(rule.port, rule.direction, rule.lookup.recipe(), rule.lookup.bits())
    }
}

impl Switch {
    /// An empty one. The seed keeps guests from finding addresses that collide in its tables: give a random one.
    pub fn new(seed: u64) -> Self {
        Self {
            vsis: vec![None; usize::from(VSIS)],
            rules: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_hasher(Seed::new(seed)),
            recipes: [0; 10],
            present: 0,
            lists: Vec::new(),
            enabled: VsiSet::new(),
            src_prune: VsiSet::new(),
            rx_vlan_prune: VsiSet::new(),
        }
    }

    /// Adds a VSI or changes its flags.
    pub fn set_vsi(&mut self, vsi: VsiId, properties: SwitchVsi) {
        self.free_vsi(vsi);
        if let Some(slot) = self.vsis.get_mut(vsi.index()) {
            *slot = Some(properties);
        }
        self.enabled.insert(vsi);
        if properties.src_prune {
            self.src_prune.insert(vsi);
        }
        if properties.rx_vlan_prune {
            self.rx_vlan_prune.insert(vsi);
        }
    }

    /// Takes a VSI away. Rules and lists that name it stay and do not reach it.
    pub fn free_vsi(&mut self, vsi: VsiId) {
        if let Some(slot) = self.vsis.get_mut(vsi.index()) {
            *slot = None;
        }
        for set in [&mut self.enabled, &mut self.src_prune, &mut self.rx_vlan_prune] {
            set.remove(vsi);
        }
    }

    /// A VSI's flags.
    pub fn vsi(&self, vsi: VsiId) -> Option<&SwitchVsi> {
        self.vsis.get(vsi.index()).and_then(Option::as_ref)
    }

    /// Adds a rule and says its index.
    ///
    /// # Errors
    /// [`RuleError`]: one with the same look-up exists, its list does not, a number is out of range, or all are taken.
    pub fn add_rule(&mut self, rule: Rule) -> Result<RuleId, RuleError> {
        let vid_fits = match rule.lookup {
            Lookup::MacVlan(_, vid) | Lookup::Vlan(vid) | Lookup::PromiscVlan(_, vid) => vid < 4096,
            _ => true,
        };
        if !vid_fits || rule.port >= MAX_PORTS {
            return Err(RuleError::Range);
        }
        self.check_action(&rule.action)?;
        let key = Key::of(&rule);
        if let Some(id) = self.index.get(&key) {
            return Err(RuleError::Exists(*id));
        }
        let id = self.allocate(rule).ok_or(RuleError::Full)?;
        self.index.insert(key, id);
        self.count(&rule, 1);
        Ok(id)
    }

    /// Changes what a rule does; what it matches stays.
    ///
    /// # Errors
    /// [`RuleError::NoRule`], or the action's list does not exist.
    pub fn update_rule(
        &mut self,
        id: RuleId,
        action: Action,
        lb_en: bool,
        lan_en: bool,
    ) -> Result<(), RuleError> {
        self.check_action(&action)?;
        let rule = self.rules.get_mut(usize::from(id.0)).and_then(Option::as_mut);
        let rule = rule.ok_or(RuleError::NoRule(id))?;
        (rule.action, rule.lb_en, rule.lan_en) = (action, lb_en, lan_en);
        Ok(())
    }

    /// Removes a rule; its index is free again.
    ///
    /// # Errors
    /// [`RuleError::NoRule`].
    pub fn remove_rule(&mut self, id: RuleId) -> Result<Rule, RuleError> {
        let rule = self.rules.get_mut(usize::from(id.0)).and_then(Option::take);
        let rule = rule.ok_or(RuleError::NoRule(id))?;
        self.free.push(id.0);
        self.count(&rule, -1);
        self.index.remove(&Key::of(&rule));
        Ok(rule)
    }

    /// A rule by its index.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(usize::from(id.0)).and_then(Option::as_ref)
    }

    /// All rules in the order of their indices.
    pub fn rules(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0u16..).zip(&self.rules).filter_map(|(id, rule)| Some((RuleId(id), rule.as_ref()?)))
    }

    /// Makes a VSI list, or replaces what is in it.
    ///
    /// # Errors
    /// [`RuleError::Range`].
    pub fn set_list(&mut self, list: ListId, vsis: VsiSet) -> Result<(), RuleError> {
        if list.0 >= MAX_LISTS {
            return Err(RuleError::Range);
        }
        let at = usize::from(list.0);
        if self.lists.len() <= at {
            self.lists.resize(at + 1, None);
        }
        if let Some(slot) = self.lists.get_mut(at) {
            *slot = Some(vsis);
        }
        Ok(())
    }

    /// What is in a VSI list.
    pub fn list(&self, list: ListId) -> Option<&VsiSet> {
        self.lists.get(usize::from(list.0)).and_then(Option::as_ref)
    }

    /// What is in a VSI list, to change it; every rule that uses it follows.
    pub fn list_mut(&mut self, list: ListId) -> Option<&mut VsiSet> {
        self.lists.get_mut(usize::from(list.0)).and_then(Option::as_mut)
    }

    /// Removes a VSI list.
    ///
    /// # Errors
    /// [`RuleError::NoList`], or [`RuleError::ListInUse`] while a rule names it.
    pub fn remove_list(&mut self, list: ListId) -> Result<(), RuleError> {
        if let Some((id, _)) = self.rules().find(|(_, rule)| rule.action == Action::VsiList(list)) {
            return Err(RuleError::ListInUse(id));
        }
        let slot = self.lists.get_mut(usize::from(list.0)).and_then(Option::take);
        slot.map(drop).ok_or(RuleError::NoList(list))
    }

    fn check_action(&self, action: &Action) -> Result<(), RuleError> {
        match action {
            Action::VsiList(list) if self.list(*list).is_none() => Err(RuleError::NoList(*list)),
            _ => Ok(()),
        }
    }

    fn allocate(&mut self, rule: Rule) -> Option<RuleId> {
        if let Some(id) = self.free.pop() {
            *self.rules.get_mut(usize::from(id))? = Some(rule);
            return Some(RuleId(id));
        }
        let id = u16::try_from(self.rules.len()).ok().filter(|_| self.rules.len() < MAX_RULES)?;
        self.rules.push(Some(rule));
        Some(RuleId(id))
    }

    fn count(&mut self, rule: &Rule, by: isize) {
        let recipe = rule.lookup.recipe();
        if let Some(count) = self.recipes.get_mut(usize::from(recipe)) {
            *count = count.saturating_add_signed(by);
            self.present = self.present & !(1 << recipe) | u16::from(*count != 0) << recipe;
        }
    }

    /// Whether one of the recipes, a bit each, has a rule.
    #[inline]
    pub(crate) fn has_any(&self, recipes: u16) -> bool {
        self.present & recipes != 0
    }

    /// The rule of a recipe and its key ([`Lookup::bits`]) for frames of a direction.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        port: u8,
        direction: Direction,
        recipe: u8,
        bits: u64,
    ) -> Option<&Rule> {
        if self.present >> recipe & 1 == 0 {
            return None;
        }
        self.rule(*self.index.get(&Key::new(port, direction, recipe, bits))?)
    }
}
