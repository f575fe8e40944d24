//! The switch: who takes part, the rules, and the look-ups.

use std::collections::HashMap;

use crate::hash::Seed;
use crate::rule::{
    Action, Class, Direction, ListId, Lookup, MAX_LISTS, MAX_PORTS, MAX_RULES, Rule, RuleError,
    RuleId,
};
use crate::set::{Targets, VsiSet};
use crate::types::{DropReason, Header, Override, SwitchVsi, VSIS, VsiId};

/// The embedded switch of a device: one for each port, in one set of tables.
#[derive(Clone, Debug)]
pub struct Switch {
    vsis: Vec<Option<SwitchVsi>>,
    rules: Vec<Option<Rule>>,
    free: Vec<u16>,
    index: HashMap<Key, Slots, Seed>,
    recipes: [usize; 10],
    lists: Vec<Option<VsiSet>>,
    enabled: VsiSet,
    src_prune: VsiSet,
    rx_vlan_prune: VsiSet,
}

/// A look-up on a port, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    bits: u64,
    table: u16,
}

/// The rules of one key: for frames from the port, and for frames from VSIs.
#[derive(Clone, Copy, Debug, Default)]
struct Slots {
    rx: Option<RuleId>,
    tx: Option<RuleId>,
}

impl Slots {
    fn of(&mut self, direction: Direction) -> &mut Option<RuleId> {
        match direction {
            Direction::Rx => &mut self.rx,
            Direction::Tx => &mut self.tx,
        }
    }
}

impl Key {
    fn new(port: u8, lookup: &Lookup) -> Self {
        let address = |mac: &[u8; 6], low: u16| {
            mac.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)) << 16 | u64::from(low)
        };
        let bits = match lookup {
            Lookup::Ethertype(ethertype) => u64::from(*ethertype),
            Lookup::Mac(mac) => address(mac, 0),
            Lookup::MacVlan(mac, low) | Lookup::EthertypeMac(low, mac) => address(mac, *low),
            Lookup::Promisc(class) => *class as u64,
            Lookup::Vlan(vid) => u64::from(*vid),
            Lookup::Dflt => 0,
            Lookup::PromiscVlan(class, vid) => (*class as u64) << 16 | u64::from(*vid),
        };
        Self { bits, table: u16::from(lookup.recipe()) << 8 | u16::from(port) }
    }
}

/// Whose frame is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Port,
    Vsi { loopback: bool },
}

/// What the rules say together.
#[derive(Default)]
struct Verdict {
    drop: bool,
    matched: bool,
    lan: bool,
    /// A unicast address was known: nothing less specific decides about the port.
    exact: bool,
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
        let key = Key::new(rule.port, &rule.lookup);
        if let Some(id) = self.index.get_mut(&key).and_then(|slots| *slots.of(rule.direction)) {
            return Err(RuleError::Exists(id));
        }
        let id = self.allocate(rule).ok_or(RuleError::Full)?;
        *self.index.entry(key).or_default().of(rule.direction) = Some(id);
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
        let key = Key::new(rule.port, &rule.lookup);
        if let Some(slots) = self.index.get_mut(&key) {
            *slots.of(rule.direction) = None;
            if slots.rx.is_none() && slots.tx.is_none() {
                self.index.remove(&key);
            }
        }
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

    /// Where a frame from the port goes.
    pub fn receive(&self, port: u8, header: &Header, out: &mut Targets) {
        out.clear();
        let verdict = self.decide(port, From::Port, header, out);
        if verdict.drop {
            return drop_all(out, DropReason::Rule);
        }
        self.prune_own_source(port, header, out);
        self.prune_vlan(port, header, out);
        finish(out);
    }

    /// Where a VSI's frame goes.
    pub fn transmit(&self, from: VsiId, header: &Header, over: Override, out: &mut Targets) {
        out.clear();
        let Some(vsi) = self.vsi(from) else { return drop_all(out, DropReason::NoSource) };
        if let Some(reason) = self.refuse(from, vsi, header, over) {
            return drop_all(out, reason);
        }
        match over {
            Override::Uplink => return to_port(vsi, out),
            Override::Vsi(number) => {
                let to = VsiId::new(number).filter(|to| self.enabled.contains(*to));
                to.map(|to| out.vsis.insert(to));
                return finish(out);
            }
            Override::None | Override::Local => {}
        }
        let verdict = self.decide(vsi.port, From::Vsi { loopback: vsi.allow_lb }, header, out);
        if verdict.drop {
            return drop_all(out, DropReason::Rule);
        }
        if (vsi.src_prune || !vsi.local_lb) && out.vsis.remove(from) {
            out.source_pruned.insert(from);
        }
        self.prune_vlan(vsi.port, header, out);
        let outside = !vsi.allow_lb || !verdict.matched || verdict.lan;
        if outside && over == Override::None {
            to_port(vsi, out);
        } else {
            finish(out);
        }
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
        if let Some(count) = self.recipes.get_mut(usize::from(rule.lookup.recipe())) {
            *count = count.saturating_add_signed(by);
        }
    }

    /// The rule of a look-up for frames from the port and the one for frames from VSIs.
    fn find(&self, port: u8, lookup: Lookup) -> [Option<&Rule>; 2] {
        if self.recipes.get(usize::from(lookup.recipe())) == Some(&0) {
            return [None, None];
        }
        let Some(slots) = self.index.get(&Key::new(port, &lookup)) else { return [None, None] };
        [slots.rx.and_then(|id| self.rule(id)), slots.tx.and_then(|id| self.rule(id))]
    }

    /// Asks every recipe and joins what their rules say.
    fn decide(&self, port: u8, from: From, header: &Header, out: &mut Targets) -> Verdict {
        let (dst, vid) = (header.dst, header.vid.unwrap_or(0));
        let class = Class::of(&dst);
        let mut verdict = Verdict::default();
        for lookup in [Lookup::MacVlan(dst, vid), Lookup::Mac(dst)] {
            let known = self.join(self.find(port, lookup), from, true, &mut verdict, out);
            if known && class == Class::Unicast {
                verdict.exact = true;
                break;
            }
        }
        for lookup in [
            Lookup::EthertypeMac(header.ethertype, dst),
            Lookup::Ethertype(header.ethertype),
            Lookup::PromiscVlan(class, vid),
            Lookup::Promisc(class),
        ] {
            self.join(self.find(port, lookup), from, false, &mut verdict, out);
        }
        if !verdict.matched && !verdict.drop {
            self.join(self.find(port, Lookup::Dflt), from, false, &mut verdict, out);
        }
        out.vsis.keep(&self.enabled);
        verdict
    }

    /// Adds what the rules of one look-up say; whether one of them forwards.
    fn join(
        &self,
        [rx, tx]: [Option<&Rule>; 2],
        from: From,
        both: bool,
        verdict: &mut Verdict,
        out: &mut Targets,
    ) -> bool {
        let rules = match from {
            From::Port => [rx, tx.filter(|_| both)],
            From::Vsi { .. } => [None, tx],
        };
        let mut forwards = false;
        for rule in rules.into_iter().flatten() {
            let local = match from {
                From::Port => true,
                From::Vsi { loopback } => loopback && rule.lb_en,
            };
            match rule.action {
                Action::Drop => verdict.drop = true,
                Action::Other => continue,
                _ => {
                    forwards = true;
                    verdict.lan |= rule.lan_en && !verdict.exact;
                }
            }
            if local {
                self.forward(rule, out);
            }
        }
        verdict.matched |= forwards;
        forwards
    }

    fn forward(&self, rule: &Rule, out: &mut Targets) {
        match rule.action {
            Action::Vsi(vsi) => {
                out.vsis.insert(vsi);
            }
            Action::VsiList(list) => {
                if let Some(list) = self.list(list) {
                    out.vsis.add_all(list);
                }
            }
            Action::Queue(queue) => {
                out.vsis.insert(queue.vsi);
                out.queue.get_or_insert(queue);
            }
            Action::Drop | Action::Other => {}
        }
    }

    /// Why a VSI may not send this.
    fn refuse(
        &self,
        from: VsiId,
        vsi: &SwitchVsi,
        header: &Header,
        over: Override,
    ) -> Option<DropReason> {
        if vsi.mac_anti_spoof && !self.owners(vsi.port, header).any(|rule| self.names(rule, from)) {
            Some(DropReason::AntiSpoof)
        } else if vsi.tx_vlan_prune
            && !self.members(vsi.port, header).any(|rule| self.names(rule, from))
        {
            Some(DropReason::TxVlanPrune)
        } else if over != Override::None && !vsi.allow_dest_ovrd {
            Some(DropReason::Override)
        } else {
            None
        }
    }

    /// The rules that make the source address somebody's own.
    fn owners(&self, port: u8, header: &Header) -> impl Iterator<Item = &Rule> {
        let vid = header.vid.unwrap_or(0);
        let exact = self.find(port, Lookup::MacVlan(header.src, vid));
        exact.into_iter().chain(self.find(port, Lookup::Mac(header.src))).flatten()
    }

    /// The rules that list the members of the frame's VLAN; an untagged frame is on VLAN 0.
    fn members(&self, port: u8, header: &Header) -> impl Iterator<Item = &Rule> {
        self.find(port, Lookup::Vlan(header.vid.unwrap_or(0))).into_iter().flatten()
    }

    /// Whether a rule's action names a VSI.
    fn names(&self, rule: &Rule, vsi: VsiId) -> bool {
        match rule.action {
            Action::Vsi(one) => one == vsi,
            Action::VsiList(list) => self.list(list).is_some_and(|list| list.contains(vsi)),
            Action::Queue(queue) => queue.vsi == vsi,
            Action::Drop | Action::Other => false,
        }
    }

    fn prune_own_source(&self, port: u8, header: &Header, out: &mut Targets) {
        if !out.vsis.meets(&self.src_prune) {
            return;
        }
        for rule in self.owners(port, header) {
            self.add_named(rule, &mut out.source_pruned);
        }
        if out.source_pruned.is_empty() {
            return;
        }
        out.source_pruned.keep(&self.src_prune);
        out.source_pruned.keep(&out.vsis);
        out.vsis.remove_all(&out.source_pruned);
    }

    fn prune_vlan(&self, port: u8, header: &Header, out: &mut Targets) {
        if !out.vsis.meets(&self.rx_vlan_prune) {
            return;
        }
        let mut members = VsiSet::new();
        for rule in self.members(port, header) {
            self.add_named(rule, &mut members);
        }
        out.vlan_pruned.add_all(&out.vsis);
        out.vlan_pruned.keep(&self.rx_vlan_prune);
        out.vlan_pruned.remove_all(&members);
        out.vsis.remove_all(&out.vlan_pruned);
    }

    fn add_named(&self, rule: &Rule, set: &mut VsiSet) {
        match rule.action {
            Action::Vsi(vsi) => {
                set.insert(vsi);
            }
            Action::VsiList(list) => {
                if let Some(list) = self.list(list) {
                    set.add_all(list);
                }
            }
            Action::Queue(queue) => {
                set.insert(queue.vsi);
            }
            Action::Drop | Action::Other => {}
        }
    }
}

fn drop_all(out: &mut Targets, reason: DropReason) {
    out.clear();
    out.dropped = Some(reason);
}

fn to_port(vsi: &SwitchVsi, out: &mut Targets) {
    if vsi.lan_ena {
        out.port = Some(vsi.port);
    } else if out.vsis.is_empty() {
        out.dropped = Some(DropReason::LanDisabled);
    }
    finish(out);
}

/// Says why when nobody is left, and forgets a queue whose VSI gets nothing.
fn finish(out: &mut Targets) {
    out.queue = out.queue.filter(|queue| out.vsis.contains(queue.vsi));
    if out.vsis.is_empty() && out.port.is_none() {
        let reason = match () {
            () if !out.source_pruned.is_empty() => DropReason::SourcePrune,
            () if !out.vlan_pruned.is_empty() => DropReason::RxVlanPrune,
            () => DropReason::NoDestination,
        };
        out.dropped.get_or_insert(reason);
    }
}
