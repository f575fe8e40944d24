//! A composed virtual device behind a vfio-user socket.
//!
//! Accesses to its registers, and its interrupts, never see Python. What VFIO is asked for by maps, vectors,
//! resets and clients does: it is the host's business, and the endpoint's thread is one of Python's own.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use siov_bus::Bus;
use siov_mem::{HostMemory, Hpa, Iova, PAGE_SIZE, Perm, Region};
use siov_vdev::{DEAD, Mmio, Vdev};
use siov_vfio_user::{
    Client, Device, DeviceLayout, DmaMapped, Errno, IrqChange, IrqLayout, RegionLayout, pci,
};

use crate::bus::PyBus;
use crate::doorbells::Doorbells;
use crate::iommu::PyHostMemory;
use crate::vdev::PyVdev;

/// VFIO_REGION_INFO_FLAG_READ and _WRITE.
const READ: u32 = 1;
const WRITE: u32 = 2;
/// VFIO_IRQ_INFO_MASKABLE, _AUTOMASKED and _NORESIZE.
const MASKABLE: u32 = 2;
const AUTOMASKED: u32 = 4;
const NORESIZE: u32 = 8;

/// A virtual device to be served.
#[pyclass(frozen, module = "siov._core", name = "ServedVdev")]
pub struct PyServedVdev {
    pub served: Arc<Served>,
}

#[pymethods]
impl PyServedVdev {
    #[new]
    #[pyo3(signature = (vdev, bus, memory, user, *, regions, irqs, pages, guests_from))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn new(
        vdev: &PyVdev,
        bus: &PyBus,
        memory: &PyHostMemory,
        user: Py<PyAny>,
        regions: Vec<(u64, u32)>,
        irqs: Vec<(u32, u32)>,
        pages: HashMap<u64, u64>,
        guests_from: u64,
    ) -> PyResult<Self> {
        let region = |(size, flags): (u64, u32)| RegionLayout {
            size,
            readable: flags & READ != 0,
            writable: flags & WRITE != 0,
            mmap: None,
        };
        let irq = |(count, flags): (u32, u32)| IrqLayout {
            count,
            maskable: flags & MASKABLE != 0,
            automasked: flags & AUTOMASKED != 0,
            noresize: flags & NORESIZE != 0,
        };
        let layout = DeviceLayout {
            regions: regions.into_iter().map(region).collect(),
            irqs: irqs.into_iter().map(irq).collect(),
        };
        layout.check().map_err(|error| PyValueError::new_err(error.to_string()))?;
        let served = Served {
            vdev: Arc::clone(&vdev.vdev),
            bus: Arc::clone(&bus.bus),
            memory: Arc::clone(&memory.memory),
            user,
            layout,
            pages,
            guests_from: Hpa(guests_from),
            doorbells: RwLock::default(),
            state: Mutex::default(),
        };
        Ok(Self { served: Arc::new(served) })
    }

    /// Nothing that the client has stored into pages that it maps is left.
    fn zap(&self) {
        if let Some(doorbells) = self.served.doorbells() {
            doorbells.zap();
        }
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (files, unshared, lost) = {
            let state = self.served.lock();
            let files: Vec<_> =
                state.files.iter().map(|file| (file.at.0, file.region.len(), file.maps)).collect();
            (files, state.unshared, state.lost)
        };
        let dict = PyDict::new(py);
        dict.set_item("files", files)?;
        let direct = self.served.doorbells().is_some();
        dict.set_item("doorbells", if direct { "direct" } else { "trapped" })?;
        dict.set_item("unshared_maps", unshared)?;
        dict.set_item("lost_files", lost)?;
        Ok(dict)
    }
}

/// The device that an endpoint serves.
pub struct Served {
    vdev: Arc<Vdev>,
    bus: Arc<Bus>,
    memory: Arc<HostMemory>,
    /// Who acts for the client in the host: Python's `siov.guests.served.VfioUser`.
    user: Py<PyAny>,
    layout: DeviceLayout,
    /// Pages of BAR 0 that are the adapter's own: offset and physical address.
    pages: HashMap<u64, u64>,
    /// Clients' memory lies from here on in the host's.
    guests_from: Hpa,
    /// Pages of BAR 0 that the client maps, while there is one that does.
    doorbells: RwLock<Option<Arc<Doorbells>>>,
    /// Never held while Python is called: it may look at us.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Arc<Client>>,
    /// Maps of shared memory: last address, and where their file lies.
    maps: BTreeMap<Iova, (Iova, Hpa)>,
    files: Vec<File>,
    /// Maps that came without a file, of which no device reaches anything.
    unshared: u64,
    /// Files whose addresses can't be used again, for a device may still know them.
    lost: u64,
}

/// A client's file as a part of the host's memory.
struct File {
    region: Arc<Region>,
    at: Hpa,
    maps: usize,
}

impl Served {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the host do something; what it refuses is the client's answer.
    fn ask(&self, method: &str, args: impl for<'py> PyCallArgs<'py>) -> Result<(), Errno> {
        Python::attach(|py| {
            let answer = self.user.bind(py).call_method1(method, args);
            answer.map(drop).map_err(|error| errno_of(py, error))
        })
    }

    /// Has the host open the device; gives the pages of BAR 0 that its client is to map.
    fn open(&self) -> Result<Vec<u64>, Errno> {
        Python::attach(|py| {
            let pages = self.user.bind(py).call_method0("attached");
            pages.and_then(|pages| pages.extract()).map_err(|error| errno_of(py, error))
        })
    }

    fn doorbells(&self) -> Option<Arc<Doorbells>> {
        self.doorbells.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_doorbells(&self, new: Option<Doorbells>) {
        let new = new.map(Arc::new);
        let mut place = self.doorbells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *place, new) {
            old.close();
        }
    }

    /// Memory in the place of the registers in these pages.
    fn share(&self, pages: Vec<u64>) -> Result<Doorbells, Errno> {
        let words: Vec<(u64, u64)> = pages
            .iter()
            .flat_map(|page| match self.pages.get(page) {
                Some(hpa) => vec![(*page, *hpa)],
                None => self.trapped(*page),
            })
            .collect();
        Doorbells::open(&self.bus, pages, words.into_iter())
    }

    /// The registers of a page that is trapped, by offset in BAR 0, with their physical addresses.
    fn trapped(&self, page: u64) -> Vec<(u64, u64)> {
        let (Ok(from), Ok(end)) = (u32::try_from(page), u32::try_from(page + PAGE_SIZE)) else {
            return vec![];
        };
        self.vdev.forwarded(from..end).map(|(at, hpa)| (at.into(), hpa)).collect()
    }

    /// The file's place in the host's memory, which it has from its first map to its last.
    fn take_in(&self, region: &Arc<Region>) -> Result<Hpa, Errno> {
        let mut state = self.lock();
        if let Some(file) = state.files.iter_mut().find(|file| Arc::ptr_eq(&file.region, region)) {
            file.maps += 1;
            return Ok(file.at);
        }
        let at = self.memory.place_anywhere(self.guests_from, Arc::clone(region));
        let at = at.map_err(|_| Errno::NOSPC)?;
        state.files.push(File { region: Arc::clone(region), at, maps: 1 });
        Ok(at)
    }

    /// One map of a file less; without any the file is no part of the host's memory any more.
    fn let_go(&self, at: Hpa) {
        let mut state = self.lock();
        if let Some(file) = state.files.iter_mut().find(|file| file.at == at) {
            file.maps -= 1;
        }
        state.files.retain(|file| file.maps > 0 || self.memory.remove(file.at).is_none());
    }

    /// Files stay where they are, for good: the host could not make sure that no device reaches them.
    fn lose(&self, gone: &[(Iova, Hpa)]) {
        let mut state = self.lock();
        let before = state.files.len();
        state.files.retain(|file| gone.iter().all(|(_, at)| file.at != *at));
        state.lost += (before - state.files.len()) as u64;
    }

    /// The physical address of an offset of BAR 0 in a page that is the adapter's own.
    fn own(&self, offset: u64) -> Option<u64> {
        let within = offset % PAGE_SIZE;
        self.pages.get(&(offset - within)).map(|hpa| hpa + within)
    }

    /// Writes to the registers of a page; what is no whole double word is dropped.
    fn write_registers(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let Some(hpa) = self.own(offset) else {
            return self.vdev.write(pci::BAR0, offset, data).map_err(|_| Errno::INVAL);
        };
        for (hpa, word) in (hpa..).step_by(4).zip(data.chunks(4)) {
            if let (Ok(word), 0) = (<[u8; 4]>::try_from(word), hpa % 4) {
                self.bus.write32(hpa, u32::from_le_bytes(word));
            }
        }
        Ok(())
    }

    /// Reads the registers of a page; what is no whole double word is as elsewhere in BAR 0.
    fn read_registers(&self, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let Some(hpa) = self.own(offset) else {
            return self.vdev.read(pci::BAR0, offset, data).map_err(|_| Errno::INVAL);
        };
        for (hpa, word) in (hpa..).step_by(4).zip(data.chunks_mut(4)) {
            let whole = word.len() == 4 && hpa % 4 == 0;
            let value = if whole { self.bus.read32(hpa).unwrap_or(u32::MAX) } else { DEAD };
            word.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

/// The pages that a stretch lies in: where in it each part begins, and which bytes that are.
fn by_pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset.checked_add(done as u64)?;
        let part = done..len.min(done + (PAGE_SIZE - at % PAGE_SIZE) as usize);
        done = part.end;
        (!part.is_empty()).then_some((at, part))
    })
}

impl Device for Served {
    fn layout(&self) -> DeviceLayout {
        let mut layout = self.layout.clone();
        if let Some(region) = layout.regions.get_mut(pci::BAR0 as usize) {
            region.mmap = self.doorbells().map(|doorbells| doorbells.mmap());
        }
        layout
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if region != pci::BAR0 {
            return self.vdev.read(region, offset, data).map_err(|_| Errno::INVAL);
        }
        let doorbells = self.doorbells();
        by_pages(offset, data.len()).try_for_each(|(at, part)| {
            let data = data.get_mut(part).unwrap_or_default();
            match doorbells.as_ref().filter(|doorbells| doorbells.has(at)) {
                Some(doorbells) => doorbells.read(at, data),
                None => self.read_registers(at, data),
            }
        })
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if region != pci::BAR0 {
            return self.vdev.write(region, offset, data).map_err(|_| Errno::INVAL);
        }
        let doorbells = self.doorbells();
        by_pages(offset, data.len()).try_for_each(|(at, part)| {
            let data = data.get(part).unwrap_or_default();
            if let Some(doorbells) = doorbells.as_ref().filter(|doorbells| doorbells.has(at)) {
                doorbells.write(at, data)?;
            }
            // Also of a page that is mapped: who is told need not look.
            self.write_registers(at, data)
        })
    }

    fn reset(&self) {
        // A client of a device that could not be reset must not believe that it was.
        if self.ask("reset", ()).is_err()
            && let Some(client) = self.lock().client.clone()
        {
            client.disconnect();
        }
    }

    fn attached(&self, client: Arc<Client>) -> Result<(), Errno> {
        let pages = self.open()?;
        if !pages.is_empty() {
            match self.share(pages) {
                Ok(doorbells) => self.set_doorbells(Some(doorbells)),
                // The adapter does not answer now: its pages are trapped for this client.
                Err(Errno::BUSY) => {}
                Err(errno) => {
                    let _ = self.ask("detached", ());
                    return Err(errno);
                }
            }
        }
        self.lock().client = Some(client);
        Ok(())
    }

    fn detached(&self) {
        self.set_doorbells(None);
        let closed = self.ask("detached", ());
        let (maps, files) = {
            let mut state = self.lock();
            state.client = None;
            state.unshared = 0;
            let maps: Vec<_> = std::mem::take(&mut state.maps).into_iter().collect();
            let files: Vec<_> = state.files.iter().map(|file| (Iova(0), file.at)).collect();
            (maps, files)
        };
        if closed.is_err() {
            return self.lose(&files);
        }
        maps.into_iter().for_each(|(_, (_, at))| self.let_go(at));
    }

    fn dma_mapped(&self, map: &DmaMapped<'_>) -> Result<(), Errno> {
        let Some((region, offset)) = map.shared else {
            self.lock().unshared += 1;
            return Ok(());
        };
        let at = self.take_in(region)?;
        let prot =
            u8::from(map.perm.allows(Perm::READ)) | u8::from(map.perm.allows(Perm::WRITE)) << 1;
        let mapped = self.ask("dma_map", (map.iova.0, at.0 + offset, map.size, prot));
        if mapped.is_ok() {
            let last = Iova(map.iova.0.saturating_add(map.size - 1));
            self.lock().maps.insert(map.iova, (last, at));
        } else {
            self.let_go(at);
        }
        mapped
    }

    fn dma_unmapped(&self, first: Iova, last: Iova) -> Result<(), Errno> {
        let gone: Vec<(Iova, Hpa)> = {
            let mut state = self.lock();
            let starts: Vec<Iova> =
                state.maps.range(first..=last).map(|(start, _)| *start).collect();
            starts.into_iter().filter_map(|start| state.maps.remove(&start)).collect()
        };
        // The host knows only maps of shared memory.
        let Some((end, _)) = gone.last() else { return Ok(()) };
        let size = end.0 - first.0 + 1;
        if let Err(errno) = self.ask("dma_unmap", (first.0, size)) {
            self.lose(&gone);
            return Err(errno);
        }
        gone.into_iter().for_each(|(_, at)| self.let_go(at));
        Ok(())
    }

    fn irqs_set(&self, index: u32, change: IrqChange<'_>) -> Result<(), Errno> {
        if index != pci::MSIX {
            return Ok(()); // notices that are never given
        }
        match change {
            IrqChange::Disable => self.ask("disable_irqs", ()),
            IrqChange::Assign(start, fds) => {
                let fds: Vec<Option<i32>> = fds.iter().map(|fd| Some(fd.as_raw_fd())).collect();
                self.ask("set_irqs", (start, fds))
            }
            IrqChange::Release(start, count) => {
                self.ask("set_irqs", (start, vec![None::<i32>; count as usize]))
            }
        }
    }
}

/// The errno that an error of the host's carries; one without is a bug of ours, and is told.
fn errno_of(py: Python<'_>, error: PyErr) -> Errno {
    let errno = error.value(py).getattr("errno").and_then(|errno| errno.extract::<i32>());
    match errno {
        Ok(errno) if errno > 0 => Errno::from_raw_os_error(errno),
        _ => {
            error.write_unraisable(py, None);
            Errno::IO
        }
    }
}
