//! The device's ports: what is plugged into each, and the frames of a batch on their way.

use std::sync::{Arc, MutexGuard, PoisonError, RwLock};

use siov_port::{Backend, Port};

use crate::stats::PORTS;

/// What is plugged in.
#[derive(Default)]
pub(crate) struct Ports {
    slots: RwLock<[Option<Arc<Port>>; PORTS]>,
}

impl Ports {
    /// Plugs something into a port; gives what was there before.
    pub fn set(&self, port: u8, with: Option<Arc<Port>>) -> Option<Arc<Port>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get_mut(usize::from(port))?;
        let before = std::mem::replace(slot, with);
        if let Some(before) = &before {
            before.unplug();
        }
        before
    }

    /// What is plugged into each port.
    pub fn all(&self) -> [Option<Arc<Port>>; PORTS] {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is plugged into a port.
    pub fn get(&self, port: u8) -> Option<Arc<Port>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(usize::from(port)).cloned().flatten()
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        for port in self.all().into_iter().flatten() {
            port.unplug();
        }
    }
}

/// The way out for one batch. One port is locked at a time: two workers that held one each and wanted the
/// other's would wait for ever.
pub(crate) struct WayOut<'a> {
    ports: &'a [Option<Arc<Port>>; PORTS],
    open: Option<(u8, MutexGuard<'a, Box<dyn Backend>>)>,
}

impl<'a> WayOut<'a> {
    /// Nothing locked yet.
    pub fn new(ports: &'a [Option<Arc<Port>>; PORTS]) -> Self {
        Self { ports, open: None }
    }

    /// Sends a frame; false when the port took it not.
    pub fn send(&mut self, port: u8, frame: &[u8]) -> bool {
        if self.open.as_ref().is_none_or(|(open, _)| *open != port) {
            self.close();
            let Some(Some(plug)) = self.ports.get(usize::from(port)) else { return false };
            self.open = Some((port, plug.lock()));
        }
        self.open.as_mut().is_some_and(|(_, backend)| backend.send(frame))
    }

    fn close(&mut self) {
        if let Some((_, mut backend)) = self.open.take() {
            backend.flush();
        }
    }
}

impl Drop for WayOut<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
