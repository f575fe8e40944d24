//! The look-ups: where a frame goes.
//!
//! The built-in recipes and their rules are the admin queue's; how hardware joins the results of the recipes that
//! hit is not public beyond the fields of a recipe (`act_ctrl_fwd_priority`, `act_ctrl_join_priority`) and what
//! the `ice` driver relies on. From the driver: address and VLAN look-ups are not directional, the others are
//! (`ice_fill_sw_info`); the source VSI is no part of a key (one Tx rule of the PF drops everybody's PAUSE and LLDP
//! frames, `ice_vsi_setup`); a VLAN rule is a prune list for both ways and forwards nothing (`ice_fill_sw_rule`);
//! loopback of one's own frames takes LOCAL_LB without SRC_PRUNE (`ice_vsi_config_prune`). Decided here:
//!
//! - A rule with the action *drop* wins over everything, whatever recipe it belongs to.
//! - Otherwise the copies add up: addresses, EtherTypes and promiscuous VSIs. For unicast, an address on its VLAN
//!   (recipe 2) hides the same address alone (recipe 1).
//! - The default (recipe 5) counts only when nothing else forwarded.
//! - A VSI's frame goes to the port when no rule matched, or one with LAN_EN did. A known unicast address alone
//!   decides that, so a promiscuous VSI does not make local traffic leave.
//! - ALLOW_LB clear (VEPA) sends everything to the port and nothing inside; drop rules still hold.
//! - An untagged or priority-tagged frame is on VLAN 0, as the driver's VLAN 0 filters expect.
//! - The destination override goes past the rules, pruning included, but not past anti-spoofing and the sender's
//!   VLANs; without ALLOW_DEST_OVRD the frame is dropped, for the device to report.
//! - RX_PASS_PRUNE prunes by recipes with NEED_PASS_L2, which the built-in ones lack: without effect.

use crate::recipe;
use crate::rule::{Action, Class, Direction, QueueTarget, Rule};
use crate::set::{Targets, VsiSet};
use crate::switch::Switch;
use crate::types::{DropReason, Header, Override, SwitchVsi, VsiId};

/// A look-up under way: whose frame it is, and what the rules said so far.
struct Decision<'a> {
    switch: &'a Switch,
    port: u8,
    from: Direction,
    /// Whether rules may put the frame into VSIs; a VSI's frame needs LB_EN of the rule besides.
    local: bool,
    dropped: bool,
    matched: bool,
    lan: bool,
    /// A unicast address was known: nothing less specific decides about the port.
    exact: bool,
}

impl Switch {
    /// Where a frame from the port goes.
    pub fn receive(&self, port: u8, header: &Header, out: &mut Targets) {
        out.clear();
        let mut decision = Decision::new(self, port, Direction::Rx, true);
        decision.decide(header, out);
        if decision.dropped {
            return out.drop_all(DropReason::Rule);
        }
        self.prune_own_source(port, header, out);
        self.prune_vlan(port, header, out);
        out.finish();
    }

    /// Where a VSI's frame goes.
    pub fn transmit(&self, from: VsiId, header: &Header, over: Override, out: &mut Targets) {
        out.clear();
        let Some(vsi) = self.vsi(from) else { return out.drop_all(DropReason::NoSource) };
        if let Some(reason) = self.refuse(from, vsi, header, over) {
            return out.drop_all(reason);
        }
        match over {
            Override::Uplink => return out.finish_with_port(vsi),
            Override::Vsi(number) => {
                let to = VsiId::new(number).filter(|to| self.enabled.contains(*to));
                to.map(|to| out.vsis.insert(to));
                return out.finish();
            }
            Override::None | Override::Local => {}
        }
        let mut decision = Decision::new(self, vsi.port, Direction::Tx, vsi.allow_lb);
        decision.decide(header, out);
        if decision.dropped {
            return out.drop_all(DropReason::Rule);
        }
        if (vsi.src_prune || !vsi.local_lb) && out.vsis.remove(from) {
            out.source_pruned.insert(from);
        }
        self.prune_vlan(vsi.port, header, out);
        let outside = !vsi.allow_lb || !decision.matched || decision.lan;
        if outside && over == Override::None {
            out.finish_with_port(vsi);
        } else {
            out.finish();
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
        let owns = || self.owners(vsi.port, header).any(|rule| self.names(rule, from));
        let member = || self.members(vsi.port, header).is_some_and(|rule| self.names(rule, from));
        if vsi.mac_anti_spoof && !owns() {
            Some(DropReason::AntiSpoof)
        } else if vsi.tx_vlan_prune && !member() {
            Some(DropReason::TxVlanPrune)
        } else if over != Override::None && !vsi.allow_dest_ovrd {
            Some(DropReason::Override)
        } else {
            None
        }
    }

    /// The rules that make the source address somebody's own.
    #[inline]
    fn owners(&self, port: u8, header: &Header) -> impl Iterator<Item = &Rule> {
        let src = recipe::address(&header.src, 0);
        let on_vlan = src | u64::from(header.vlan());
        let on_vlan = self.find(port, Direction::Tx, recipe::MAC_VLAN, on_vlan);
        on_vlan.into_iter().chain(self.find(port, Direction::Tx, recipe::MAC, src))
    }

    /// The rule that lists the members of the frame's VLAN.
    fn members(&self, port: u8, header: &Header) -> Option<&Rule> {
        self.find(port, Direction::Rx, recipe::VLAN, u64::from(header.vlan()))
    }

    /// Whether a rule's action names a VSI.
    fn names(&self, rule: &Rule, vsi: VsiId) -> bool {
        match rule.action {
            Action::Vsi(one) | Action::Queue(QueueTarget { vsi: one, .. }) => one == vsi,
            Action::VsiList(list) => self.list(list).is_some_and(|list| list.contains(vsi)),
            Action::Drop | Action::Other => false,
        }
    }

    /// Adds the VSIs that a rule's action names, if they are in a set.
    #[inline]
    fn add_named(&self, rule: &Rule, among: &VsiSet, set: &mut VsiSet) {
        match rule.action {
            Action::Vsi(vsi) | Action::Queue(QueueTarget { vsi, .. }) => {
                if among.contains(vsi) {
                    set.insert(vsi);
                }
            }
            Action::VsiList(list) => {
                if let Some(list) = self.list(list) {
                    set.add_common(list, among);
                }
            }
            Action::Drop | Action::Other => {}
        }
    }

    /// Takes out the VSIs that own the source address: the adjacent bridge reflected their own frame.
    #[inline]
    fn prune_own_source(&self, port: u8, header: &Header, out: &mut Targets) {
        if !out.vsis.meets(&self.src_prune) {
            return;
        }
        for rule in self.owners(port, header) {
            self.add_named(rule, &self.src_prune, &mut out.source_pruned);
        }
        if !out.source_pruned.is_empty() {
            out.source_pruned.keep(&out.vsis);
            out.vsis.remove_all(&out.source_pruned);
        }
    }

    /// Takes out the VSIs that prune by VLAN and are no member of the frame's.
    #[inline]
    fn prune_vlan(&self, port: u8, header: &Header, out: &mut Targets) {
        if !out.vsis.meets(&self.rx_vlan_prune) {
            return;
        }
        out.vlan_pruned.add_common(&out.vsis, &self.rx_vlan_prune);
        match self.members(port, header).map(|rule| rule.action) {
            Some(Action::Vsi(vsi) | Action::Queue(QueueTarget { vsi, .. })) => {
                out.vlan_pruned.remove(vsi);
            }
            Some(Action::VsiList(list)) => {
                self.list(list).into_iter().for_each(|list| out.vlan_pruned.remove_all(list));
            }
            Some(Action::Drop | Action::Other) | None => {}
        }
        out.vsis.remove_all(&out.vlan_pruned);
    }
}

impl<'a> Decision<'a> {
    fn new(switch: &'a Switch, port: u8, from: Direction, local: bool) -> Self {
        let (dropped, matched, lan, exact) = (false, false, false, false);
        Self { switch, port, from, local, dropped, matched, lan, exact }
    }

    /// Asks every recipe and joins what their rules say.
    #[inline]
    fn decide(&mut self, header: &Header, out: &mut Targets) {
        let (dst, vid) = (recipe::address(&header.dst, 0), header.vlan());
        let (on_vlan, of_type) = (dst | u64::from(vid), dst | u64::from(header.ethertype));
        let class = Class::of(&header.dst);
        let known = self.join(recipe::MAC_VLAN, on_vlan, out);
        self.exact = known && class == Class::Unicast;
        if !self.exact {
            let known = self.join(recipe::MAC, dst, out);
            self.exact = known && class == Class::Unicast;
        }
        if self.switch.has_any(recipe::BESIDES_ADDRESSES) {
            self.join(recipe::ETHERTYPE_MAC, of_type, out);
            self.join(recipe::ETHERTYPE, u64::from(header.ethertype), out);
            self.join(recipe::PROMISC_VLAN, recipe::class(class, vid), out);
            self.join(recipe::PROMISC, recipe::class(class, 0), out);
        }
        if !self.matched {
            self.join(recipe::DFLT, 0, out);
        }
    }

    /// Adds what the rule of one look-up says; whether it forwards.
    #[inline(always)]
    fn join(&mut self, recipe: u8, bits: u64, out: &mut Targets) -> bool {
        let Some(rule) = self.switch.find(self.port, self.from, recipe, bits) else { return false };
        match rule.action {
            Action::Other => return false,
            Action::Drop => {
                self.dropped = true;
                return false;
            }
            Action::Vsi(_) | Action::VsiList(_) | Action::Queue(_) => {}
        }
        self.matched = true;
        self.lan |= rule.lan_en && !self.exact;
        if self.local && (self.from == Direction::Rx || rule.lb_en) {
            self.switch.add_named(rule, &self.switch.enabled, &mut out.vsis);
            if let Action::Queue(queue) = rule.action {
                out.queue.get_or_insert(queue);
            }
        }
        true
    }
}

impl Header {
    /// The VLAN that rules see: 0 when untagged.
    fn vlan(&self) -> u16 {
        self.vid.unwrap_or(0)
    }
}

impl Targets {
    fn drop_all(&mut self, reason: DropReason) {
        self.clear();
        self.dropped = Some(reason);
    }

    /// Adds the port if the sender may use it.
    fn finish_with_port(&mut self, vsi: &SwitchVsi) {
        if vsi.lan_ena {
            self.port = Some(vsi.port);
        } else if self.vsis.is_empty() {
            self.dropped = Some(DropReason::LanDisabled);
        }
        self.finish();
    }

    /// Says why when nobody is left, and forgets a queue whose VSI gets nothing.
    fn finish(&mut self) {
        self.queue = self.queue.filter(|queue| self.vsis.contains(queue.vsi));
        if !self.vsis.is_empty() || self.port.is_some() {
            return;
        }
        let reason = if !self.source_pruned.is_empty() {
            DropReason::SourcePrune
        } else if !self.vlan_pruned.is_empty() {
            DropReason::RxVlanPrune
        } else {
            DropReason::NoDestination
        };
        self.dropped.get_or_insert(reason);
    }
}
