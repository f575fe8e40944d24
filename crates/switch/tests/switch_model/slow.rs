//! A switch that reads all its rules for every frame.

use std::collections::{BTreeMap, BTreeSet};

use siov_switch::{
    Action, Class, Direction, DropReason, Header, ListId, Lookup, Override, QueueTarget, Rule,
    RuleError, RuleId, Switch, SwitchVsi, Targets, VsiId,
};

use crate::inputs::{Op, id};

pub type Set = BTreeSet<u16>;

#[derive(Default)]
pub struct Slow {
    vsis: BTreeMap<u16, SwitchVsi>,
    pub rules: BTreeMap<u16, Rule>,
    lists: BTreeMap<u16, Set>,
}

/// Everything that a look-up answers.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    vsis: Set,
    port: Option<u8>,
    queue: Option<QueueTarget>,
    dropped: Option<DropReason>,
    source_pruned: Set,
    vlan_pruned: Set,
}

impl Answer {
    fn dropped(reason: DropReason) -> Self {
        Self { dropped: Some(reason), ..Self::default() }
    }

    pub fn of(out: &Targets) -> Self {
        let set = |set: &siov_switch::VsiSet| set.iter().map(VsiId::number).collect();
        Self {
            vsis: set(out.vsis()),
            port: out.port(),
            queue: out.queue(),
            dropped: out.dropped(),
            source_pruned: set(out.source_pruned()),
            vlan_pruned: set(out.vlan_pruned()),
        }
    }

    fn finished(mut self) -> Self {
        self.queue = self.queue.filter(|queue| self.vsis.contains(&queue.vsi.number()));
        if self.vsis.is_empty() && self.port.is_none() && self.dropped.is_none() {
            self.dropped = Some(if !self.source_pruned.is_empty() {
                DropReason::SourcePrune
            } else if !self.vlan_pruned.is_empty() {
                DropReason::RxVlanPrune
            } else {
                DropReason::NoDestination
            });
        }
        self
    }
}

pub fn same_frames(a: &Rule, b: &Rule) -> bool {
    let directional = !matches!(a.lookup, Lookup::Mac(_) | Lookup::MacVlan(..) | Lookup::Vlan(_));
    a.port == b.port && a.lookup == b.lookup && (!directional || a.direction == b.direction)
}

impl Slow {
    fn names(&self, action: &Action) -> Set {
        match action {
            Action::Vsi(vsi) => Set::from([vsi.number()]),
            Action::Queue(queue) => Set::from([queue.vsi.number()]),
            Action::VsiList(list) => self.lists.get(&list.0).cloned().unwrap_or_default(),
            Action::Drop | Action::Other => Set::new(),
        }
    }

    fn hits(&self, port: u8, from: Direction, header: &Header) -> Vec<&Rule> {
        let vid = header.vid.unwrap_or(0);
        let class = Class::of(&header.dst);
        let all: Vec<&Rule> = self
            .rules
            .values()
            .filter(|rule| rule.port == port && rule.action != Action::Other)
            .filter(|rule| match rule.lookup {
                Lookup::Mac(mac) => mac == header.dst,
                Lookup::MacVlan(mac, on) => mac == header.dst && on == vid,
                Lookup::Vlan(_) => false,
                Lookup::Ethertype(of) => of == header.ethertype && rule.direction == from,
                Lookup::EthertypeMac(of, mac) => {
                    of == header.ethertype && mac == header.dst && rule.direction == from
                }
                Lookup::Promisc(of) => of == class && rule.direction == from,
                Lookup::PromiscVlan(of, on) => of == class && on == vid && rule.direction == from,
                Lookup::Dflt => rule.direction == from,
            })
            .collect();
        let on_vlan = class == Class::Unicast
            && all.iter().any(|rule| {
                matches!(rule.lookup, Lookup::MacVlan(..)) && rule.action != Action::Drop
            });
        let hits: Vec<&Rule> = all
            .into_iter()
            .filter(|rule| !(on_vlan && matches!(rule.lookup, Lookup::Mac(_))))
            .collect();
        let more = |rule: &&Rule| rule.lookup != Lookup::Dflt;
        let forwards =
            hits.iter().filter(|rule| more(rule)).any(|rule| rule.action != Action::Drop);
        hits.into_iter().filter(|rule| !forwards || more(rule)).collect()
    }

    fn recipe_order(rule: &Rule) -> usize {
        let order = [2, 1, 8, 0, 9, 3, 5];
        order.iter().position(|recipe| *recipe == rule.lookup.recipe()).unwrap()
    }

    fn queue(hits: &[&Rule], local: impl Fn(&Rule) -> bool) -> Option<QueueTarget> {
        let mut hits: Vec<&&Rule> = hits.iter().filter(|rule| local(rule)).collect();
        hits.sort_by_key(|rule| Self::recipe_order(rule));
        hits.into_iter().find_map(|rule| match rule.action {
            Action::Queue(queue) => Some(queue),
            _ => None,
        })
    }

    fn copies(&self, hits: &[&Rule], local: impl Fn(&Rule) -> bool) -> Set {
        let hits = hits.iter().filter(|rule| local(rule));
        let all: Set = hits.flat_map(|rule| self.names(&rule.action)).collect();
        all.into_iter().filter(|vsi| self.vsis.contains_key(vsi)).collect()
    }

    fn owns(&self, port: u8, header: &Header, vsi: u16) -> bool {
        let vid = header.vid.unwrap_or(0);
        let own = |rule: &&Rule| {
            rule.port == port
                && (rule.lookup == Lookup::Mac(header.src)
                    || rule.lookup == Lookup::MacVlan(header.src, vid))
        };
        self.rules.values().filter(own).any(|rule| self.names(&rule.action).contains(&vsi))
    }

    fn member(&self, port: u8, header: &Header, vsi: u16) -> bool {
        let lookup = Lookup::Vlan(header.vid.unwrap_or(0));
        let mine = |rule: &&Rule| rule.port == port && rule.lookup == lookup;
        self.rules.values().filter(mine).any(|rule| self.names(&rule.action).contains(&vsi))
    }

    fn split(set: Set, out: impl Fn(&u16) -> bool) -> (Set, Set) {
        set.into_iter().partition(|vsi| !out(vsi))
    }

    fn prune_vlan(&self, port: u8, header: &Header, answer: &mut Answer) {
        let pruned = |vsi: &u16| self.vsis[vsi].rx_vlan_prune && !self.member(port, header, *vsi);
        (answer.vsis, answer.vlan_pruned) = Self::split(std::mem::take(&mut answer.vsis), pruned);
    }

    pub fn receive(&self, port: u8, header: &Header) -> Answer {
        let hits = self.hits(port, Direction::Rx, header);
        if hits.iter().any(|rule| rule.action == Action::Drop) {
            return Answer::dropped(DropReason::Rule);
        }
        let own = |vsi: &u16| self.vsis[vsi].src_prune && self.owns(port, header, *vsi);
        let (vsis, source_pruned) = Self::split(self.copies(&hits, |_| true), own);
        let queue = Self::queue(&hits, |_| true);
        let mut answer = Answer { vsis, source_pruned, queue, ..Answer::default() };
        self.prune_vlan(port, header, &mut answer);
        answer.finished()
    }

    pub fn transmit(&self, from: u16, header: &Header, over: Override) -> Answer {
        let Some(vsi) = self.vsis.get(&from) else { return Answer::dropped(DropReason::NoSource) };
        if vsi.mac_anti_spoof && !self.owns(vsi.port, header, from) {
            return Answer::dropped(DropReason::AntiSpoof);
        }
        if vsi.tx_vlan_prune && !self.member(vsi.port, header, from) {
            return Answer::dropped(DropReason::TxVlanPrune);
        }
        if over != Override::None && !vsi.allow_dest_ovrd {
            return Answer::dropped(DropReason::Override);
        }
        let mut answer = Answer::default();
        let mut outside = over == Override::Uplink;
        if let Override::Vsi(to) = over {
            answer.vsis = self.vsis.keys().copied().filter(|vsi| *vsi == to).collect();
        } else if over != Override::Uplink {
            let hits = self.hits(vsi.port, Direction::Tx, header);
            if hits.iter().any(|rule| rule.action == Action::Drop) {
                return Answer::dropped(DropReason::Rule);
            }
            let local = |rule: &Rule| vsi.allow_lb && rule.lb_en;
            let mine = |to: &u16| *to == from && (vsi.src_prune || !vsi.local_lb);
            (answer.vsis, answer.source_pruned) = Self::split(self.copies(&hits, local), mine);
            answer.queue = Self::queue(&hits, local);
            self.prune_vlan(vsi.port, header, &mut answer);
            let of_address =
                |rule: &&&Rule| matches!(rule.lookup, Lookup::Mac(_) | Lookup::MacVlan(..));
            let known = hits.iter().filter(of_address).count() > 0;
            let decides = |rule: &&&Rule| {
                !(known && Class::of(&header.dst) == Class::Unicast) || of_address(rule)
            };
            let lan = hits.iter().filter(decides).any(|rule| rule.lan_en);
            outside = over == Override::None && (!vsi.allow_lb || hits.is_empty() || lan);
        }
        if outside && vsi.lan_ena {
            answer.port = Some(vsi.port);
        } else if outside && answer.vsis.is_empty() {
            answer.dropped = Some(DropReason::LanDisabled);
        }
        answer.finished()
    }

    /// Does the same to both, and compares what they say.
    pub fn apply(&mut self, switch: &mut Switch, op: &Op) {
        match op {
            Op::SetVsi(vsi, properties) => {
                switch.set_vsi(id(*vsi), *properties);
                self.vsis.insert(*vsi, *properties);
            }
            Op::FreeVsi(vsi) => {
                switch.free_vsi(id(*vsi));
                self.vsis.remove(vsi);
            }
            Op::Add(rule) => self.add(switch, rule),
            Op::Update(number, action, lb_en, lan_en) => {
                let done = switch.update_rule(RuleId(*number), *action, *lb_en, *lan_en);
                let there = self.rules.contains_key(number);
                assert_eq!(done.is_ok(), there && self.has_list(action));
                if done.is_ok() {
                    let rule = self.rules.get_mut(number).unwrap();
                    (rule.action, rule.lb_en, rule.lan_en) = (*action, *lb_en, *lan_en);
                }
            }
            Op::Remove(number) => {
                assert_eq!(switch.remove_rule(RuleId(*number)).ok(), self.rules.remove(number));
            }
            Op::SetList(list, vsis) => {
                let set = vsis.iter().map(|vsi| id(*vsi)).collect();
                switch.set_list(ListId(*list), set).unwrap();
                self.lists.insert(*list, vsis.clone());
            }
            Op::Toggle(list, vsi) => {
                let (set, slow) = (switch.list_mut(ListId(*list)), self.lists.get_mut(list));
                assert_eq!(set.is_some(), slow.is_some());
                if let (Some(set), Some(slow)) = (set, slow) {
                    let removed = set.remove(id(*vsi)) || !set.insert(id(*vsi));
                    assert_eq!(removed, slow.remove(vsi) || !slow.insert(*vsi));
                }
            }
            Op::RemoveList(list) => {
                let used = self.rules.values().any(|r| r.action == Action::VsiList(ListId(*list)));
                let there = self.lists.contains_key(list);
                assert_eq!(switch.remove_list(ListId(*list)).is_ok(), there && !used);
                if !used {
                    self.lists.remove(list);
                }
            }
        }
    }

    fn has_list(&self, action: &Action) -> bool {
        !matches!(action, Action::VsiList(list) if !self.lists.contains_key(&list.0))
    }

    fn add(&mut self, switch: &mut Switch, rule: &Rule) {
        let same = self.rules.iter().find(|(_, other)| same_frames(rule, other));
        match switch.add_rule(*rule) {
            Ok(number) => {
                assert!(same.is_none() && self.has_list(&rule.action));
                assert_eq!(self.rules.insert(number.0, *rule), None);
            }
            Err(RuleError::Exists(number)) => assert_eq!(same.map(|(n, _)| *n), Some(number.0)),
            Err(RuleError::NoList(_)) => assert!(!self.has_list(&rule.action)),
            Err(error) => panic!("{error}"),
        }
    }
}
