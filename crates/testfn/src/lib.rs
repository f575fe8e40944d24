//! The test function: a small device that exercises the way in from a guest.
//!
//! Its registers are in `src/siov/spec/testfn.py`. The configuration space is composed elsewhere and
//! shared; here are the side effects: doorbells raise vectors, the copy engine moves memory by DMA on a
//! thread of its own, a function-level reset brings everything back.

mod config;
mod engine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use siov_spec::testfn::{bar0, bar0::Reg};
use siov_spec::{Change, Layout, RegFile, Reset, Write};
use siov_vfio_user::{Client, Device, DeviceLayout, Errno, IrqLayout, RegionLayout, pci};

pub use config::{MissingRegister, SharedConfig};
use engine::{Engine, Job};

/// How many MSI-X vectors the function has.
pub const VECTORS: u32 = 16;

/// The function, to be served by an endpoint or to be reached through its methods.
#[derive(Debug)]
pub struct TestFunction {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

/// What the thread that handles accesses and the copy engine's thread share.
#[derive(Debug)]
struct Shared {
    config: SharedConfig,
    engine: Engine,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    regs: RegFile,
    client: Option<Arc<Client>>,
    /// Vectors raised with no client to take them, one bit each.
    raised: u64,
}

impl TestFunction {
    /// A function with this configuration space; an error names a register that it lacks.
    pub fn new(config: Arc<Mutex<RegFile>>) -> Result<Self, MissingRegister> {
        let regs = RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)));
        let shared = Arc::new(Shared {
            config: SharedConfig::new(config)?,
            engine: Engine::default(),
            state: Mutex::new(State { regs, client: None, raised: 0 }),
        });
        let worker = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("testfn-copy".into()).spawn(move || shared.copy_loop())
        };
        Ok(Self { shared, worker: worker.ok() })
    }

    /// Reads from BAR 0; what is past its end reads as zero.
    pub fn bar_read(&self, offset: u32, data: &mut [u8]) {
        self.shared.lock().regs.read(offset, data);
    }

    /// Writes to BAR 0, side effects included.
    pub fn bar_write(&self, offset: u32, data: &[u8]) {
        let mut write = Write::new(offset, data);
        let mut state = self.shared.lock();
        while let Some(change) = state.regs.step(&mut write) {
            self.shared.bar_written(&mut state, change);
        }
    }

    /// The vectors raised since the last call while no client was attached, one bit each.
    pub fn take_raised(&self) -> u64 {
        std::mem::take(&mut self.shared.lock().raised)
    }

    /// Brings the registers of BAR 0 back, ends a copy and forgets what is pending; no DMA of before is
    /// under way afterwards.
    pub fn reset_device(&self) {
        let client = {
            let mut state = self.shared.lock();
            self.shared.engine.cancel();
            state.regs.reset(Reset::Cold);
            state.raised = 0;
            state.client.clone()
        };
        if let Some(client) = client {
            client.dma().fence();
            for vector in 0..VECTORS {
                // The layout has all the vectors, so there is no error to tell.
                let _ = client.irqs().clear_pending(pci::MSIX, vector);
            }
        }
    }
}

impl Drop for TestFunction {
    fn drop(&mut self) {
        self.shared.engine.quit();
        if let Some(worker) = self.worker.take() {
            // A panic of the thread has been printed already; there is nobody to hand it to.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain values behind, never half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar_written(&self, state: &mut State, change: Change) {
        match Reg::from_id(change.id) {
            Some(Reg::DOORBELL) => {
                let count = state.regs.get(Reg::DOORBELL_COUNT, 0);
                state.regs.set(Reg::DOORBELL_COUNT, 0, count.wrapping_add(1));
                self.raise(state, bar0::DOORBELL(change.written as u32).VECTOR());
            }
            Some(Reg::COPY_CTL) if bar0::COPY_CTL(change.written as u32).START() => {
                self.start_copy(state);
            }
            _ => {}
        }
    }

    fn start_copy(&self, state: &mut State) {
        let status = bar0::COPY_STATUS(state.regs.get(Reg::COPY_STATUS, 0) as u32);
        if status.BUSY() {
            return;
        }
        state.regs.set(Reg::COPY_STATUS, 0, status.with_BUSY(true).0.into());
        self.engine.start(Job {
            src: state.regs.get(Reg::COPY_SRC, 0),
            dst: state.regs.get(Reg::COPY_DST, 0),
            len: state.regs.get(Reg::COPY_LEN, 0),
            client: state.client.clone().filter(|_| self.config.bus_master()),
        });
    }

    /// Runs copies until the function is dropped.
    fn copy_loop(&self) {
        while let Some((job, ticket)) = self.engine.next() {
            let end = self.engine.copy(&job, ticket, || self.config.bus_master());
            let mut state = self.lock();
            if !self.engine.is_current(ticket) {
                continue; // reset meanwhile: the registers speak of nothing any more
            }
            let status = bar0::COPY_STATUS(state.regs.get(Reg::COPY_STATUS, 0) as u32);
            let status = status.with_BUSY(false);
            let status = match end {
                Ok(()) => status.with_DONE(true),
                Err(at) => {
                    state.regs.set(Reg::COPY_FAULT, 0, at);
                    status.with_ERROR(true)
                }
            };
            state.regs.set(Reg::COPY_STATUS, 0, status.0.into());
            let control = bar0::COPY_CTL(state.regs.get(Reg::COPY_CTL, 0) as u32);
            if control.IE() {
                self.raise(&mut state, control.VECTOR().into());
            }
        }
    }

    /// Raises a vector, if MSI-X is on and has it: to the client, or noted for whoever asks.
    ///
    /// The client keeps the table, and so the vectors' masks; the function mask is in the configuration
    /// space and is kept here.
    fn raise(&self, state: &mut State, vector: u32) {
        if vector >= VECTORS || !self.config.msix().EN() {
            return;
        }
        match &state.client {
            Some(_) if self.config.msix().MASK() => {
                let pending = state.regs.get(Reg::MSIX_PBA, 0) | 1 << vector;
                state.regs.set(Reg::MSIX_PBA, 0, pending);
            }
            // The layout has all the vectors, so there is no error to tell.
            Some(client) => drop(client.irqs().trigger(pci::MSIX, vector)),
            None => state.raised |= 1 << vector,
        }
    }

    /// Sends what waited for the function mask to go.
    fn deliver_pending(&self, state: &mut State) {
        let control = self.config.msix();
        if !control.EN() || control.MASK() {
            return;
        }
        let pending = state.regs.get(Reg::MSIX_PBA, 0);
        state.regs.set(Reg::MSIX_PBA, 0, 0);
        for vector in (0..VECTORS).filter(|vector| pending >> vector & 1 == 1) {
            self.raise(state, vector);
        }
    }
}

impl Device for TestFunction {
    fn layout(&self) -> DeviceLayout {
        let mut regions = vec![RegionLayout::default(); pci::NUM_REGIONS];
        let sizes = [(pci::BAR0, bar0::SIZE), (pci::CONFIG, self.shared.config.size())];
        for (index, size) in sizes {
            if let Some(region) = regions.get_mut(index as usize) {
                *region = RegionLayout::trapped(size.into());
            }
        }
        let mut irqs = vec![IrqLayout::default(); pci::NUM_IRQS];
        // A client that finds no error notice complains of it (QEMU).
        for (index, count) in [(pci::MSIX, VECTORS), (pci::ERR, 1), (pci::REQ, 1)] {
            if let Some(irq) = irqs.get_mut(index as usize) {
                irq.count = count;
            }
        }
        DeviceLayout { regions, irqs }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let offset = u32::try_from(offset).map_err(|_| Errno::INVAL)?;
        match region {
            pci::BAR0 => self.bar_read(offset, data),
            pci::CONFIG => self.shared.config.read(offset, data),
            _ => return Err(Errno::INVAL),
        }
        Ok(())
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let offset = u32::try_from(offset).map_err(|_| Errno::INVAL)?;
        match region {
            pci::BAR0 => self.bar_write(offset, data),
            pci::CONFIG => {
                let effects = self.shared.config.write(offset, data);
                if effects.function_reset {
                    self.reset_device();
                    self.shared.config.reset();
                } else if effects.bus_master_off {
                    let client = self.shared.lock().client.clone();
                    client.iter().for_each(|client| client.dma().fence());
                }
                self.shared.deliver_pending(&mut self.shared.lock());
            }
            _ => return Err(Errno::INVAL),
        }
        Ok(())
    }

    fn reset(&self) {
        self.reset_device();
        self.shared.config.reset();
    }

    fn attached(&self, client: Arc<Client>) -> Result<(), Errno> {
        self.shared.lock().client = Some(client);
        Ok(())
    }

    fn detached(&self) {
        self.shared.lock().client = None;
        self.reset();
    }
}
