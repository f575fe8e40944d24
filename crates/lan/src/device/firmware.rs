//! What firmware does behind the admin queue: VSIs, rules, spreading, filters, links.

use std::sync::Arc;

use siov_packet::field::{Field, Level};
use siov_packet::rss::{FieldSet, Group, KEY_LEN, Toeplitz};
use siov_port::Port;
use siov_spec::e810::VsiType;
use siov_spec::e810::bar0::Reg;
use siov_switch::{
    Action, Class, Direction, ListId, Lookup, Profile, QueueTarget, Rule, RuleId, Space, VsiId,
    VsiSet,
};

use super::{Nic, NicError};
use crate::vsi::{PROPERTIES, Vsi};

/// Where a rule sends what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To a VSI.
    Vsi(u16),
    /// To a list of VSIs.
    List(u16),
    /// To a queue, or 2^n of them, by the device's number.
    Queue(u16, u8),
    /// Nowhere.
    Drop,
}

/// What a rule looks at; what its look-up type does not need is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleKey {
    /// A Tx rule; else an Rx rule.
    pub tx: bool,
    /// The look-up type.
    pub lookup: u8,
    /// The port of an Rx rule, or the VSI of a Tx rule.
    pub source: u16,
    /// A destination address.
    pub mac: Option<[u8; 6]>,
    /// A VLAN id.
    pub vlan: Option<u16>,
    /// An EtherType.
    pub ethertype: Option<u16>,
}

impl RuleKey {
    fn lookup(&self) -> Option<Lookup> {
        let class = || self.mac.map(|mac| Class::of(&mac));
        Some(match self.lookup {
            0 => Lookup::Ethertype(self.ethertype?),
            1 => Lookup::Mac(self.mac?),
            2 => Lookup::MacVlan(self.mac?, self.vlan?),
            3 => Lookup::Promisc(class()?),
            4 => Lookup::Vlan(self.vlan?),
            5 => Lookup::Dflt,
            8 => Lookup::EthertypeMac(self.ethertype?, self.mac?),
            9 => Lookup::PromiscVlan(class()?, self.vlan?),
            _ => return None,
        })
    }
}

fn vsi_id(vsi: u16) -> Result<VsiId, NicError> {
    VsiId::new(vsi).ok_or(NicError::Vsi(vsi.into()))
}

impl Nic {
    /// PFINT_FW_CTL's cause.
    pub fn raise_fw(&self) {
        let cause = self.device.cause_of(Reg::PFINT_FW_CTL, 0);
        self.device.vectors.raise(&[cause]);
    }

    /// Bits of PFINT_OICR.
    pub fn raise_oicr(&self, causes: u32) {
        self.device.vectors.raise_other(causes);
    }

    /// Makes a VSI (of kind 0 VF, 1 VMDQ2, 2 PF, 3 EMP), or changes it.
    pub fn set_vsi(&self, vsi: u16, kind: u8, properties: &[u8]) -> Result<(), NicError> {
        let id = vsi_id(vsi)?;
        let kind = VsiType::from_raw(kind.into())
            .ok_or(NicError::Value("a VSI is of a VF, a VMQ, the PF or the EMP: 0 to 3"))?;
        let properties: &[u8; PROPERTIES] = properties
            .try_into()
            .map_err(|_| NicError::Value("a VSI's properties have 128 bytes"))?;
        let device = &self.device;
        let (pasid, quota) = device.path.change(|tables| {
            let new = Vsi::new(id, kind, properties, tables.vsi(id));
            let pasid = new.pasid;
            let quota = new.filters;
            tables.set_vsi(new);
            (pasid, quota)
        });
        device.mailboxes().set_pasid(vsi, pasid);
        device.path.change_flows(|flows| flows.set_vsi_size(id, quota));
        Ok(())
    }

    /// A VSI is gone, with its queues and filters.
    pub fn free_vsi(&self, vsi: u16) -> Result<(), NicError> {
        let id = vsi_id(vsi)?;
        let device = &self.device;
        device.path.stop_queues(Some(id));
        let rx = device.path.look(|tables| tables.vsi(id).map(Vsi::rx_queues)).unwrap_or_default();
        device.path.forget_rx_tails(rx);
        device.path.change(|tables| tables.free_vsi(id));
        device.mailboxes().set_pasid(vsi, None);
        device.path.change_flows(|flows| {
            flows.clear_vsi(id);
            flows.set_vsi_size(id, Space::default());
        });
        Ok(())
    }

    /// Adds a switch rule, and gives its number.
    pub fn add_rule(
        &self,
        key: &RuleKey,
        forward: Forward,
        lan: bool,
        loopback: bool,
    ) -> Result<u16, NicError> {
        let lookup = key.lookup().ok_or(NicError::Value("the rule lacks what it looks at"))?;
        self.device.path.change(|tables| {
            let action = action(tables, forward)?;
            let direction = if key.tx { Direction::Tx } else { Direction::Rx };
            let port = if key.tx { 0 } else { key.source.min(u8::MAX.into()) as u8 };
            let rule = Rule { port, direction, lookup, action, lb_en: loopback, lan_en: lan };
            Ok(tables.switch.add_rule(rule)?.0)
        })
    }

    /// Changes where a rule sends.
    pub fn update_rule(
        &self,
        rule: u16,
        forward: Forward,
        lan: bool,
        loopback: bool,
    ) -> Result<(), NicError> {
        self.device.path.change(|tables| {
            let action = action(tables, forward)?;
            Ok(tables.switch.update_rule(RuleId(rule), action, loopback, lan)?)
        })
    }

    /// Removes a rule.
    pub fn remove_rule(&self, rule: u16) -> Result<(), NicError> {
        self.device.path.change(|tables| Ok(tables.switch.remove_rule(RuleId(rule)).map(drop)?))
    }

    /// What VSIs a list holds.
    pub fn set_vsi_list(&self, list: u16, vsis: &[u16]) -> Result<(), NicError> {
        let set: VsiSet = vsis.iter().map(|vsi| vsi_id(*vsi)).collect::<Result<_, _>>()?;
        self.device.path.change(|tables| Ok(tables.switch.set_list(ListId(list), set)?))
    }

    fn change_vsi(&self, vsi: u16, change: impl FnOnce(&mut Vsi)) -> Result<(), NicError> {
        let id = vsi_id(vsi)?;
        self.device.path.change(|tables| {
            let vsi = tables.vsi_mut(id).ok_or(NicError::Vsi(vsi.into()))?;
            change(vsi);
            Ok(())
        })
    }

    /// A VSI's hash key.
    pub fn set_rss_key(&self, vsi: u16, key: &[u8]) -> Result<(), NicError> {
        let key: &[u8; KEY_LEN] =
            key.try_into().map_err(|_| NicError::Value("an RSS key has 52 bytes"))?;
        let key = Toeplitz::new(key);
        self.change_vsi(vsi, |vsi| vsi.rss.key = key)
    }

    /// A VSI's look-up table: a queue of the VSI in each of 2^n entries; none switches spreading off.
    pub fn set_rss_lut(&self, vsi: u16, table: &[u8]) -> Result<(), NicError> {
        if !table.is_empty() && !table.len().is_power_of_two() {
            return Err(NicError::Value("an RSS table has a power of two of entries"));
        }
        let table = table.iter().map(|queue| u16::from(*queue)).collect();
        self.change_vsi(vsi, |vsi| vsi.rss.table = table)
    }

    /// What a VSI's frames are hashed by: a set of fields for each group of packets, at a level of headers.
    pub fn set_rss_fields(&self, vsi: u16, level: u8, groups: &[u64]) -> Result<(), NicError> {
        let level = level_of(level)?;
        self.change_vsi(vsi, |vsi| {
            for (group, bits) in Group::ALL.into_iter().zip(groups) {
                vsi.rss.config.set(level, group, field_set(*bits), false);
            }
        })
    }

    /// A flow-director profile: which packets it is for, and the fields that filters match; no field removes it.
    /// A new one is no VSI's ([`Self::set_flow_profile_vsi`]); one that is changed stays with its VSIs.
    pub fn set_flow_profile(
        &self,
        profile: u8,
        group: u8,
        level: u8,
        fields: u64,
    ) -> Result<(), NicError> {
        let level = level_of(level)?;
        let new = if fields == 0 {
            None
        } else {
            let fields = fields_of(fields).map(|field| (level, field)).collect();
            let group = Group::ALL.get(usize::from(group)).copied();
            let group = group.ok_or(NicError::Value("there is no such group of packets"))?;
            let ptypes = siov_packet::ptype::of_group(group, level).collect();
            Some(Profile { fields, ptypes, vsis: VsiSet::new() })
        };
        let set = self.device.path.change_flows(|flows| {
            let vsis = flows.profile(profile).map(|old| old.vsis.clone()).unwrap_or_default();
            flows.set_profile(profile, new.map(|new| Profile { vsis, ..new }))
        });
        if set { Ok(()) } else { Err(NicError::Value("a flow profile is 0 to 127")) }
    }

    /// Whether a VSI's packets and filters use a flow-director profile; the filters of one that it leaves go.
    pub fn set_flow_profile_vsi(&self, profile: u8, vsi: u16, on: bool) -> Result<(), NicError> {
        let vsi = vsi_id(vsi)?;
        let set = self.device.path.change_flows(|flows| flows.set_profile_vsi(profile, vsi, on));
        if set { Ok(()) } else { Err(NicError::Value("there is no such flow profile")) }
    }

    /// The filters of a VSI, or of all, go.
    pub fn clear_filters(&self, vsi: Option<u16>) -> Result<(), NicError> {
        let vsi = vsi.map(vsi_id).transpose()?;
        self.device.path.change_flows(|flows| match vsi {
            Some(vsi) => flows.clear_vsi(vsi),
            None => flows.clear(),
        });
        Ok(())
    }

    /// Two tags count, or one.
    pub fn set_vlan_mode(&self, double: bool) {
        self.device.path.change(|tables| tables.double_vlan = double);
    }

    /// Whether a port carries frames, and its speed in Mbit/s.
    pub fn set_link(&self, port: u8, up: bool, speed: u32) -> Result<(), NicError> {
        self.change_port(port, |state| (state.up, state.speed) = (up, speed))
    }

    /// A port's own address.
    pub fn set_mac(&self, port: u8, mac: [u8; 6]) -> Result<(), NicError> {
        self.change_port(port, |state| state.mac = mac)
    }

    /// The longest frame that a port takes, in bytes without CRC.
    pub fn set_max_frame(&self, port: u8, bytes: u16) -> Result<(), NicError> {
        self.change_port(port, |state| state.max_frame = bytes)
    }

    /// Whether what goes out at a port comes in again.
    pub fn set_loopback(&self, port: u8, on: bool) -> Result<(), NicError> {
        self.change_port(port, |state| state.loopback = on)
    }

    fn change_port(
        &self,
        port: u8,
        change: impl FnOnce(&mut crate::tables::PortState),
    ) -> Result<(), NicError> {
        self.device.path.change(|tables| {
            let state = tables.port_mut(port).ok_or(NicError::Port(port.into()))?;
            change(state);
            Ok(())
        })
    }

    /// Whether what a port is plugged into has a link.
    pub fn link_present(&self, port: u8) -> bool {
        self.device.path.port(port).is_some_and(|port| port.link())
    }

    /// Plugs a port in, or out.
    pub fn attach_port(&self, number: u8, port: Option<Arc<Port>>) -> Result<(), NicError> {
        if u32::from(number) >= siov_spec::e810::PORTS {
            return Err(NicError::Port(number.into()));
        }
        let plugged = self.device.path.plug(number, port);
        plugged.map_err(|_| NicError::Value("another NIC has the port; unplug it there first"))?;
        self.device.look_at_links();
        Ok(())
    }
}

fn action(tables: &crate::tables::Tables, forward: Forward) -> Result<Action, NicError> {
    Ok(match forward {
        Forward::Vsi(vsi) => Action::Vsi(vsi_id(vsi)?),
        Forward::List(list) => Action::VsiList(ListId(list)),
        Forward::Drop => Action::Drop,
        Forward::Queue(queue, region) => {
            let within =
                |vsi: &Vsi| (0..vsi.queues.count()).find(|n| vsi.queues.queue(*n) == Some(queue));
            let found = tables.vsis().find_map(|vsi| Some((vsi.id, within(vsi)?)));
            let (vsi, queue) = found.ok_or(NicError::Queue(queue.into()))?;
            Action::Queue(QueueTarget { vsi, queue, region })
        }
    })
}

fn level_of(number: u8) -> Result<Level, NicError> {
    match number {
        0 => Ok(Level::Outer),
        1 => Ok(Level::Inner),
        2 => Ok(Level::Innermost),
        _ => Err(NicError::Value("a header level is 0 outer, 1 inner or 2 innermost")),
    }
}

fn fields_of(bits: u64) -> impl Iterator<Item = Field> {
    Field::ALL.iter().copied().filter(move |field| bits >> (*field as u32) & 1 == 1)
}

fn field_set(bits: u64) -> FieldSet {
    FieldSet::of(&fields_of(bits).collect::<Vec<_>>())
}
