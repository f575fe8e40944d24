//! The client's interrupts: one eventfd for each vector, and what has to wait for one.
//!
//! A vector that is triggered while it is masked or has no eventfd stays pending, like a bit in an
//! MSI-X function's PBA, and fires when it is unmasked or gets its eventfd. QEMU takes all
//! eventfds away and gives them again whenever a guest adds a vector, so what comes between must
//! not be lost. Whether MSI-X is enabled at all is in the configuration space, which is the
//! device's: it decides whether to trigger.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use thiserror::Error;

use crate::client::lock;
use crate::device::IrqChange;
use crate::request::{IrqAction, IrqData, SetIrqs};
use crate::{Device, IrqLayout};
use siov_eventfd as eventfd;

/// What became of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The eventfd was signalled.
    Signaled,
    /// The vector is masked or has no eventfd yet; it fires as soon as it can.
    Pending,
}

/// The device has no such vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the device has no vector {vector} at interrupt index {index}")]
pub struct NoSuchIrq {
    /// Interrupt index.
    pub index: u32,
    /// Vector.
    pub vector: u32,
}

/// A vector that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqState {
    /// Interrupt index.
    pub index: u32,
    /// Vector.
    pub vector: u32,
    /// Whether the client has given it an eventfd.
    pub assigned: bool,
    /// Whether the client has masked it.
    pub masked: bool,
    /// Whether it waits to be fired.
    pub pending: bool,
}

/// All interrupts of a client; every method can be called from any thread, and none blocks.
#[derive(Debug)]
pub struct Irqs {
    indexes: Vec<Index>,
    signals: AtomicU64,
}

#[derive(Debug)]
struct Index {
    layout: IrqLayout,
    vectors: Vec<Mutex<Vector>>,
}

#[derive(Debug, Default)]
struct Vector {
    eventfd: Option<OwnedFd>,
    masked: bool,
    pending: bool,
}

impl Irqs {
    pub(crate) fn new(layouts: &[IrqLayout]) -> Irqs {
        let index = |layout: &IrqLayout| Index {
            layout: *layout,
            vectors: (0..layout.count).map(|_| Mutex::default()).collect(),
        };
        Irqs { indexes: layouts.iter().map(index).collect(), signals: AtomicU64::new(0) }
    }

    /// Raises a vector.
    pub fn trigger(&self, index: u32, vector: u32) -> Result<Delivery, NoSuchIrq> {
        let (layout, slot) = self.vector(index, vector)?;
        Ok(self.fire(layout, &mut lock(slot)))
    }

    /// Whether a vector waits to be fired, as its bit in the PBA says.
    pub fn is_pending(&self, index: u32, vector: u32) -> Result<bool, NoSuchIrq> {
        self.vector(index, vector).map(|(_, slot)| lock(slot).pending)
    }

    /// Forgets that a vector waits, because its cause is gone or the function was reset.
    pub fn clear_pending(&self, index: u32, vector: u32) -> Result<(), NoSuchIrq> {
        self.vector(index, vector).map(|(_, slot)| lock(slot).pending = false)
    }

    /// The vectors that have an eventfd, a mask or something pending, in ascending order.
    pub fn state(&self) -> Vec<IrqState> {
        let mut states = Vec::new();
        for (index, entry) in (0..).zip(&self.indexes) {
            for (vector, slot) in (0..).zip(&entry.vectors) {
                let slot = lock(slot);
                let assigned = slot.eventfd.is_some();
                let Vector { masked, pending, .. } = *slot;
                if assigned || masked || pending {
                    states.push(IrqState { index, vector, assigned, masked, pending });
                }
            }
        }
        states
    }

    /// How often an eventfd was signalled.
    pub fn signals(&self) -> u64 {
        self.signals.load(Ordering::Relaxed)
    }

    pub(crate) fn layout(&self, index: u32) -> Option<IrqLayout> {
        self.index(index).map(|index| index.layout)
    }

    /// Does what a `DEVICE_SET_IRQS` says, once `device` has agreed; either all of it or nothing.
    pub(crate) fn set(
        &self,
        request: &SetIrqs<'_>,
        fds: Vec<OwnedFd>,
        device: &dyn Device,
    ) -> Result<(), Errno> {
        let SetIrqs { data, action, index, start, count, bools } = *request;
        let entry = self.index(index).ok_or(Errno::INVAL)?;
        if data != IrqData::Eventfd && !fds.is_empty() {
            return Err(Errno::INVAL);
        }
        if action != IrqAction::Trigger && !entry.layout.maskable {
            return Err(Errno::INVAL);
        }
        if (data, action, start, count) == (IrqData::None, IrqAction::Trigger, 0, 0) {
            device.irqs_set(index, IrqChange::Disable)?;
            entry.vectors.iter().for_each(|slot| lock(slot).disable());
            return Ok(());
        }
        let end = start.checked_add(count).ok_or(Errno::INVAL)?;
        let vectors = entry.vectors.get(start as usize..end as usize).ok_or(Errno::INVAL)?;
        if vectors.is_empty() {
            return Err(Errno::INVAL);
        }
        match (data, action) {
            (IrqData::Eventfd, IrqAction::Trigger) if fds.is_empty() => {
                device.irqs_set(index, IrqChange::Release(start, count))?;
                vectors.iter().for_each(|slot| lock(slot).eventfd = None);
            }
            (IrqData::Eventfd, IrqAction::Trigger) => {
                if fds.len() != vectors.len() {
                    return Err(Errno::INVAL);
                }
                fds.iter().try_for_each(eventfd::check)?;
                device.irqs_set(index, IrqChange::Assign(start, &fds))?;
                self.assign(entry.layout, vectors, fds);
            }
            // An eventfd that the client signals to unmask a line is a shortcut for KVM's sake.
            (IrqData::Eventfd, _) => return Err(Errno::NOTSUP),
            (IrqData::None, _) => {
                vectors.iter().for_each(|slot| self.act(entry.layout, action, slot));
            }
            (IrqData::Bool, _) => vectors
                .iter()
                .zip(bools)
                .filter(|(_, on)| **on != 0)
                .for_each(|(slot, _)| self.act(entry.layout, action, slot)),
        }
        Ok(())
    }

    /// Forgets everything that waits, as the reset of a function does.
    pub(crate) fn reset(&self) {
        self.each(|vector| vector.pending = false);
    }

    /// Lets go of all eventfds.
    pub(crate) fn close(&self) {
        self.each(|vector| *vector = Vector::default());
    }

    fn assign(&self, layout: IrqLayout, vectors: &[Mutex<Vector>], fds: Vec<OwnedFd>) {
        for (slot, fd) in vectors.iter().zip(fds) {
            let mut vector = lock(slot);
            vector.eventfd = Some(fd);
            if vector.pending {
                self.fire(layout, &mut vector);
            }
        }
    }

    fn act(&self, layout: IrqLayout, action: IrqAction, slot: &Mutex<Vector>) {
        let mut vector = lock(slot);
        match action {
            IrqAction::Mask => vector.masked = true,
            IrqAction::Trigger => {
                self.fire(layout, &mut vector);
            }
            IrqAction::Unmask => {
                vector.masked = false;
                if vector.pending {
                    self.fire(layout, &mut vector);
                }
            }
        }
    }

    fn fire(&self, layout: IrqLayout, vector: &mut Vector) -> Delivery {
        match &vector.eventfd {
            Some(eventfd) if !vector.masked => {
                eventfd::signal(eventfd);
                self.signals.fetch_add(1, Ordering::Relaxed);
                vector.pending = false;
                vector.masked = layout.automasked;
                Delivery::Signaled
            }
            _ => {
                vector.pending = true;
                Delivery::Pending
            }
        }
    }

    fn each(&self, change: impl Fn(&mut Vector)) {
        for slot in self.indexes.iter().flat_map(|index| &index.vectors) {
            change(&mut lock(slot));
        }
    }

    fn index(&self, index: u32) -> Option<&Index> {
        usize::try_from(index).ok().and_then(|i| self.indexes.get(i))
    }

    fn vector(&self, index: u32, vector: u32) -> Result<(IrqLayout, &Mutex<Vector>), NoSuchIrq> {
        self.index(index)
            .and_then(|entry| Some((entry.layout, entry.vectors.get(vector as usize)?)))
            .ok_or(NoSuchIrq { index, vector })
    }
}

impl Vector {
    /// Takes the eventfd and the mask away. What is pending stays: QEMU disables all vectors
    /// whenever it is about to enable one more.
    fn disable(&mut self) {
        self.eventfd = None;
        self.masked = false;
    }
}
