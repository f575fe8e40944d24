//! What all workers look at and only control changes.

use siov_switch::{Switch, VSIS, VsiId};

use crate::stats::PORTS;
use crate::tap::Taps;
use crate::vsi::Vsi;

/// How the firmware has set a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortState {
    /// Frames may pass.
    pub up: bool,
    /// Mbit/s, as it is reported.
    pub speed: u32,
    /// Its own address.
    pub mac: [u8; 6],
    /// The longest frame it takes, in bytes without CRC.
    pub max_frame: u16,
    /// What goes out comes in again.
    pub loopback: bool,
}

impl Default for PortState {
    fn default() -> Self {
        Self { up: false, speed: 0, mac: [0; 6], max_frame: 9724, loopback: false }
    }
}

/// VSIs, switch and ports, behind one lock that a worker holds for reading through a batch.
#[derive(Debug)]
pub struct Tables {
    /// Rules and flags.
    pub switch: Switch,
    /// Two tags count, not one.
    pub double_vlan: bool,
    vsis: Box<[Option<Box<Vsi>>]>,
    ports: [PortState; PORTS],
    /// `None` when nothing is recorded, so that a batch has one thing to look at.
    taps: Option<Box<Taps>>,
}

impl Tables {
    /// Empty ones; `seed` is for the switch's hashes.
    pub fn new(seed: u64) -> Self {
        let vsis = (0..VSIS).map(|_| None).collect();
        let ports = [PortState::default(); PORTS];
        Self { switch: Switch::new(seed), double_vlan: false, vsis, ports, taps: None }
    }

    /// A VSI.
    pub fn vsi(&self, id: VsiId) -> Option<&Vsi> {
        self.vsis.get(id.index())?.as_deref()
    }

    /// A VSI, to be changed.
    pub fn vsi_mut(&mut self, id: VsiId) -> Option<&mut Vsi> {
        self.vsis.get_mut(id.index())?.as_deref_mut()
    }

    /// The VSIs that there are.
    pub fn vsis(&self) -> impl Iterator<Item = &Vsi> {
        self.vsis.iter().filter_map(Option::as_deref)
    }

    /// Puts a VSI into its place.
    pub fn set_vsi(&mut self, vsi: Vsi) {
        self.switch.set_vsi(vsi.id, vsi.switch);
        if let Some(place) = self.vsis.get_mut(vsi.id.index()) {
            *place = Some(Box::new(vsi));
        }
    }

    /// Takes a VSI away.
    pub fn free_vsi(&mut self, id: VsiId) {
        self.switch.free_vsi(id);
        if let Some(place) = self.vsis.get_mut(id.index()) {
            *place = None;
        }
    }

    /// A port; one that does not exist is down.
    pub fn port(&self, port: u8) -> PortState {
        self.ports.get(usize::from(port)).copied().unwrap_or_default()
    }

    /// What is recorded; mostly nothing.
    pub(crate) fn taps(&self) -> Option<&Taps> {
        self.taps.as_deref()
    }

    /// What is recorded, to be changed.
    pub(crate) fn change_taps<T>(&mut self, change: impl FnOnce(&mut Taps) -> T) -> T {
        let mut taps = self.taps.take().unwrap_or_default();
        let changed = change(&mut taps);
        self.taps = Some(taps).filter(|taps| !taps.is_empty());
        changed
    }

    /// A port, to be changed.
    pub fn port_mut(&mut self, port: u8) -> Option<&mut PortState> {
        self.ports.get_mut(usize::from(port))
    }
}
