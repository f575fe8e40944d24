//! Host memory and remapping units, for Python.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use pyo3::exceptions::{PyIndexError, PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use siov_bus::Gate;
use siov_iommu::{
    Access, CacheName, Config, Did, Fault, Filter, Geometries, Geometry, Interrupt, Observer,
    Outbound, PartitionBy, Pasid, Replacement, Request, Rid, Step, Table, Translation, Unit,
};
use siov_mem::{HostMemory, HostView, Hpa, Iova, Region};

/// Host physical memory.
#[pyclass(frozen, module = "siov._core", name = "HostMemory")]
pub struct PyHostMemory {
    pub memory: Arc<HostMemory>,
}

#[pymethods]
impl PyHostMemory {
    #[new]
    fn new(size: u64) -> Self {
        Self { memory: Arc::new(HostMemory::new(size)) }
    }

    fn place(&self, at: u64, size: u64) -> PyResult<()> {
        let region =
            Region::anonymous(size).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
        let placed = self.memory.place(Hpa(at), Arc::new(region));
        placed.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn remove(&self, at: u64) -> bool {
        self.memory.remove(Hpa(at)).is_some()
    }

    fn read<'py>(&self, py: Python<'py>, at: u64, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, size, |out| {
            let read = self.memory.view().read(Hpa(at), out);
            read.map_err(|error| PyIndexError::new_err(error.to_string()))
        })
    }

    fn write(&self, at: u64, data: &[u8]) -> PyResult<()> {
        let written = self.memory.view().write(Hpa(at), data);
        written.map_err(|error| PyIndexError::new_err(error.to_string()))
    }
}

/// A remapping unit.
#[pyclass(frozen, module = "siov._core", name = "RemappingUnit")]
pub struct PyRemappingUnit {
    pub unit: Arc<Gate<Unit>>,
    memory: Arc<HostMemory>,
}

impl PyRemappingUnit {
    /// The view of memory comes first: whoever has the unit never waits for one.
    fn with<T>(&self, work: impl FnOnce(&HostView<'_>, &mut Unit) -> T) -> T {
        let view = self.memory.view();
        work(&view, &mut self.unit.control())
    }

    fn lock(&self) -> MutexGuard<'_, Unit> {
        self.unit.control()
    }
}

/// Sets, ways, replacement, partitions, what they go by.
type SetGeometry = (u32, u32, String, u32, String);

#[pymethods]
impl PyRemappingUnit {
    #[new]
    #[pyo3(signature = (memory, *, haw = 46, levels = vec![3, 4, 5], five_level = true, scalable = true,
                        nested = true, device_tlb = true, caching_mode = false, caches = None))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn new(
        memory: &PyHostMemory,
        haw: u32,
        levels: Vec<u8>,
        five_level: bool,
        scalable: bool,
        nested: bool,
        device_tlb: bool,
        caching_mode: bool,
        caches: Option<HashMap<String, Bound<'_, PyAny>>>,
    ) -> PyResult<Self> {
        let sagaw =
            levels.iter().filter(|n| (3..=5).contains(*n)).fold(0, |bits, n| bits | 1 << (n - 2));
        let caches = geometries(caches.unwrap_or_default())?;
        let config =
            Config { haw, sagaw, five_level, scalable, nested, device_tlb, caching_mode, caches };
        Ok(Self {
            unit: Arc::new(Gate::new(Unit::new(&config))),
            memory: Arc::clone(&memory.memory),
        })
    }

    fn mmio_read<'py>(
        &self,
        py: Python<'py>,
        at: u32,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, size, |out| {
            self.lock().mmio_read(at, out);
            Ok(())
        })
    }

    fn mmio_write(&self, at: u32, data: &[u8]) {
        self.with(|view, unit| unit.mmio_write(view, at, data));
    }

    #[pyo3(signature = (rid, pasid, addr, access = "r"))]
    fn translate<'py>(
        &self,
        py: Python<'py>,
        rid: u16,
        pasid: Option<u32>,
        addr: u64,
        access: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = request(rid, pasid, addr, access)?;
        // Lock and view are let go before Python objects are made: making them may run other threads.
        let end = self.with(|view, unit| unit.translate(view, &request));
        result(py, &end)
    }

    #[pyo3(signature = (rid, pasid, addr, access = "r"))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        rid: u16,
        pasid: Option<u32>,
        addr: u64,
        access: &str,
    ) -> PyResult<(Bound<'py, PyDict>, Vec<Bound<'py, PyDict>>)> {
        let request = request(rid, pasid, addr, access)?;
        let mut recorder = Recorder::default();
        let end = self.with(|view, unit| unit.translate_observed(view, &request, &mut recorder));
        let steps = recorder.0.iter().map(|seen| seen.as_dict(py)).collect::<PyResult<_>>()?;
        Ok((result(py, &end)?, steps))
    }

    fn interrupt<'py>(
        &self,
        py: Python<'py>,
        rid: u16,
        address: u64,
        data: u32,
    ) -> PyResult<Bound<'py, PyDict>> {
        let end = self.with(|view, unit| unit.remap(view, Rid(rid), address, data));
        let dict = PyDict::new(py);
        match end {
            Err(fault) => return fault_dict(py, &fault),
            Ok(Interrupt::Remapped { destination, vector, delivery, logical, level }) => {
                dict.set_item("destination", destination)?;
                dict.set_item("vector", vector)?;
                dict.set_item("delivery", delivery)?;
                dict.set_item("logical", logical)?;
                dict.set_item("level", level)?;
            }
            Ok(Interrupt::Posted { descriptor, vector, notify }) => {
                dict.set_item("descriptor", descriptor.0)?;
                dict.set_item("vector", vector)?;
                dict.set_item("notify", notify)?;
            }
        }
        Ok(dict)
    }

    fn take_outbound<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let sent = self.lock().take_outbound();
        sent.into_iter().map(|what| outbound(py, what)).collect()
    }

    fn invalidation_done(&self, rid: u16, itag: u8) {
        self.with(|view, unit| unit.invalidation_done(view, Rid(rid), itag));
    }

    fn invalidation_timeout(&self) {
        self.lock().invalidation_timeout();
    }

    #[getter]
    fn counters(&self) -> Vec<(&'static str, u64)> {
        let mut unit = self.lock();
        unit.count_translated();
        unit.counters().all().collect()
    }

    #[pyo3(signature = (*, rid = None, domain = None, pasid = None))]
    fn add_filter(&self, rid: Option<u16>, domain: Option<u16>, pasid: Option<u32>) -> usize {
        let filter = Filter { rid: rid.map(Rid), domain: domain.map(Did), pasid: pasid.map(Pasid) };
        let mut unit = self.lock();
        unit.count_translated(); // what was before the filter is not its to count
        unit.counters_mut().add_filter(filter)
    }

    fn filtered(&self, number: usize) -> Vec<(&'static str, u64)> {
        let mut unit = self.lock();
        unit.count_translated();
        unit.counters().filtered(number).collect()
    }

    #[getter]
    fn cached(&self) -> Vec<(&'static str, usize)> {
        let unit = self.lock();
        let caches = unit.caches();
        vec![
            ("context", caches.context.len()),
            ("pasid", caches.pasid.len()),
            ("iotlb", caches.iotlb.len()),
        ]
    }
}

/// Measures translations: hits, nested walks, reads of each, legacy walks, all a second.
#[pyfunction]
pub fn bench_translate(py: Python<'_>, count: u64) -> PyResult<(f64, f64, f64, f64)> {
    let rates = py.detach(|| siov_iommu::bench::translate(count));
    let rates = rates.ok_or_else(|| PyMemoryError::new_err("no memory for the tables"))?;
    let siov_iommu::bench::Rates {
        hits_per_s,
        nested_walks_per_s,
        nested_reads_per_walk,
        legacy_walks_per_s,
    } = rates;
    Ok((hits_per_s, nested_walks_per_s, nested_reads_per_walk, legacy_walks_per_s))
}

/// Something that a walk told.
enum Seen {
    Read { table: Table, index: u32, at: u64, raw: Vec<u64> },
    Asked { cache: CacheName, hit: bool },
}

#[derive(Default)]
struct Recorder(Vec<Seen>);

impl Observer for Recorder {
    fn step(&mut self, step: Step<'_>) {
        let Step { table, index, at, raw } = step;
        self.0.push(Seen::Read { table, index, at: at.0, raw: raw.to_vec() });
    }

    fn asked(&mut self, cache: CacheName, hit: bool) {
        self.0.push(Seen::Asked { cache, hit });
    }
}

impl Seen {
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        match self {
            Self::Read { table, index, at, raw } => {
                let (name, level) = table_name(*table);
                dict.set_item("table", name)?;
                dict.set_item("level", level)?;
                dict.set_item("index", index)?;
                dict.set_item("at", at)?;
                let bytes: Vec<u8> = raw.iter().flat_map(|word| word.to_le_bytes()).collect();
                dict.set_item("raw", PyBytes::new(py, &bytes))?;
            }
            Self::Asked { cache, hit } => {
                let (name, level) = cache_name(*cache);
                dict.set_item("cache", name)?;
                dict.set_item("level", level)?;
                dict.set_item("hit", hit)?;
            }
        }
        Ok(dict)
    }
}

const fn table_name(table: Table) -> (&'static str, Option<u8>) {
    match table {
        Table::Root => ("RootEntry", None),
        Table::ScalableRoot => ("ScalableRootEntry", None),
        Table::Context => ("ContextEntry", None),
        Table::ScalableContext => ("ScalableContextEntry", None),
        Table::PasidDirectory => ("PasidDirectoryEntry", None),
        Table::PasidTable => ("PasidTableEntry", None),
        Table::FirstStage(level) => ("first-stage", Some(level)),
        Table::SecondStage(level) => ("second-stage", Some(level)),
    }
}

const fn cache_name(cache: CacheName) -> (&'static str, Option<u8>) {
    match cache {
        CacheName::Context => ("context-cache", None),
        CacheName::Pasid => ("PASID-cache", None),
        CacheName::Iotlb => ("IOTLB", None),
        CacheName::FirstStage(level) => ("first-stage-paging-structure cache", Some(level)),
        CacheName::SecondStage(level) => ("second-stage-paging-structure cache", Some(level)),
    }
}

fn request(rid: u16, pasid: Option<u32>, addr: u64, letters: &str) -> PyResult<Request> {
    let mut access = Access::READ;
    for letter in letters.chars() {
        match letter {
            'r' => {}
            'w' => access.write = true,
            'x' => access.execute = true,
            'p' => access.privileged = true,
            _ => {
                let message =
                    format!("access {letters:?}: r, w, x (execute) and p (privileged) are known");
                return Err(PyValueError::new_err(message));
            }
        }
    }
    if let Some(pasid) = pasid.filter(|pasid| *pasid >= Pasid::END) {
        return Err(PyValueError::new_err(format!("PASID {pasid} has more than 20 bits")));
    }
    Ok(Request { rid: Rid(rid), pasid: pasid.map(Pasid), addr: Iova(addr), access })
}

fn result<'py>(py: Python<'py>, end: &Result<Translation, Fault>) -> PyResult<Bound<'py, PyDict>> {
    let translation = match end {
        Err(fault) => return fault_dict(py, fault),
        Ok(translation) => translation,
    };
    let dict = PyDict::new(py);
    dict.set_item("hpa", translation.hpa.0)?;
    dict.set_item("page", translation.page)?;
    let rights = translation.rights;
    let letters = [(rights.read, 'r'), (rights.write, 'w'), (rights.execute, 'x')];
    let text: String = letters.map(|(has, letter)| if has { letter } else { '-' }).iter().collect();
    dict.set_item("rights", text)?;
    Ok(dict)
}

fn fault_dict<'py>(py: Python<'py>, fault: &Fault) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("fault", fault.reason as u8)?;
    dict.set_item("recorded", !(fault.silent && fault.reason.is_qualified()))?;
    Ok(dict)
}

fn outbound<'py>(py: Python<'py>, what: Outbound) -> PyResult<Bound<'py, PyTuple>> {
    match what {
        Outbound::Message { address, data } => ("message", address, data).into_pyobject(py),
        Outbound::Invalidate(d) => {
            let pasid = d.pasid.map(|pasid| pasid.0);
            ("invalidate", d.rid.0, pasid, d.global, d.addr, d.size, d.itag).into_pyobject(py)
        }
        Outbound::PageResponse { rid, pasid, prgi, code } => {
            ("page-response", rid.0, pasid.map(|pasid| pasid.0), prgi, code).into_pyobject(py)
        }
    }
}

fn geometries(given: HashMap<String, Bound<'_, PyAny>>) -> PyResult<Geometries> {
    let mut geometries = Geometries::default();
    for (name, value) in given {
        let place = match name.as_str() {
            "context" => &mut geometries.context,
            "pasid" => &mut geometries.pasid,
            "iotlb" => &mut geometries.iotlb,
            "first" => &mut geometries.first,
            "second" => &mut geometries.second,
            "interrupt" => &mut geometries.interrupt,
            _ => return Err(PyValueError::new_err(format!("there is no cache {name}"))),
        };
        *place = geometry(&value)?;
    }
    Ok(geometries)
}

pub(crate) fn geometry(value: &Bound<'_, PyAny>) -> PyResult<Geometry> {
    if let Ok(word) = value.extract::<String>() {
        return match word.as_str() {
            "off" => Ok(Geometry::Off),
            "infinite" => Ok(Geometry::Infinite),
            _ => Err(PyValueError::new_err(format!(
                "a geometry is off, infinite or a tuple, not {word}"
            ))),
        };
    }
    let (sets, ways, replacement, partitions, by): SetGeometry = value.extract()?;
    let replacement = match replacement.as_str() {
        "lru" => Replacement::Lru,
        "plru" => Replacement::Plru,
        "lfu" => Replacement::Lfu,
        "fifo" => Replacement::Fifo,
        "random" => Replacement::Random,
        _ => return Err(PyValueError::new_err(format!("there is no replacement {replacement}"))),
    };
    let by = match by.as_str() {
        "domain" => PartitionBy::Domain,
        "pasid" => PartitionBy::Pasid,
        _ => {
            return Err(PyValueError::new_err(format!(
                "partitions go by domain or pasid, not {by}"
            )));
        }
    };
    Ok(Geometry::Sets { sets, ways, replacement, partitions, by })
}
