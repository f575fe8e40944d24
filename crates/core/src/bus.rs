//! The bus of a machine's devices, for Python.

use std::collections::HashSet;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use siov_bus::{Bus, BusError, Claim, Hpa, Target, Unanswered};
use siov_iommu::{DeviceInvalidation, Rid};

use crate::eventfd::hold;
use crate::iommu::{PyHostMemory, PyRemappingUnit};
use crate::nic::PyNic;

/// Host memory, remapping units, and the CPUs' side of interrupts.
#[pyclass(frozen, module = "siov._core", name = "Bus")]
pub struct PyBus {
    pub bus: Arc<Bus>,
}

// What may wait for a worker's batch is done with the interpreter let go.
#[pymethods]
impl PyBus {
    #[new]
    fn new(memory: &PyHostMemory) -> Self {
        Self { bus: Bus::new(Arc::clone(&memory.memory)) }
    }

    #[pyo3(signature = (unit, scope = None))]
    fn add_unit(
        &self,
        py: Python<'_>,
        unit: &PyRemappingUnit,
        scope: Option<HashSet<u16>>,
    ) -> PyResult<usize> {
        let unit = Arc::clone(&unit.unit);
        py.detach(|| self.bus.add_unit(unit, rids(scope))).map_err(error)
    }

    fn set_scope(&self, py: Python<'_>, unit: usize, scope: Option<HashSet<u16>>) -> PyResult<()> {
        py.detach(|| self.bus.set_scope(unit, rids(scope))).map_err(error)
    }

    fn map_mmio(&self, claims: Vec<(u64, u64, Py<PyNic>, u32)>) -> PyResult<()> {
        let claim = |(start, size, nic, bar): (u64, u64, Py<PyNic>, u32)| Claim {
            start: Hpa(start),
            size,
            target: nic.get().nic.behind_bar(bar),
        };
        self.bus.map_mmio(claims.into_iter().map(claim).collect()).map_err(error)
    }

    fn mmio_read<'py>(&self, py: Python<'py>, at: u64, size: usize) -> Option<Bound<'py, PyBytes>> {
        let mut data = [0; 8];
        let data = data.get_mut(..size)?;
        py.detach(|| self.bus.mmio_read(Hpa(at), data)).then(|| PyBytes::new(py, data))
    }

    fn mmio_write(&self, py: Python<'_>, at: u64, data: &[u8]) -> Option<bool> {
        if data.len() > 8 {
            return None;
        }
        py.detach(|| self.bus.mmio_write(Hpa(at), data))
    }

    fn message(&self, py: Python<'_>, rid: u16, address: u64, data: u32) {
        py.detach(|| self.bus.message(Rid(rid), address, data));
    }

    #[getter]
    fn busy(&self) -> bool {
        self.bus.has_work()
    }

    fn settle(&self, py: Python<'_>) -> Vec<(usize, u16, u8)> {
        py.detach(|| self.bus.settle());
        let unanswered = self.bus.take_unanswered();
        unanswered.iter().map(|one| (one.unit, one.what.rid.0, one.what.itag)).collect()
    }

    fn answer(&self, py: Python<'_>, unit: usize, rid: u16, itag: u8) {
        let what = DeviceInvalidation { rid: Rid(rid), itag, ..DeviceInvalidation::default() };
        py.detach(|| self.bus.answer(&Unanswered { unit, what }));
    }

    fn time_out(&self, py: Python<'_>, unit: usize) {
        py.detach(|| self.bus.time_out(unit));
    }

    fn connect(&self, destination: u32, vector: u8, fd: RawFd) -> PyResult<()> {
        let ours = hold(fd)?;
        self.bus.cpus().connect(destination, vector, Target::Eventfd(ours)).map_err(error)
    }

    fn disconnect(&self, destination: u32, vector: u8) -> bool {
        self.bus.cpus().disconnect(destination, vector)
    }

    #[pyo3(signature = (limit = 4096))]
    fn take(&self, limit: usize) -> Vec<(u32, u8, u64)> {
        let pending = self.bus.cpus().take(limit);
        pending.iter().map(|one| (one.destination, one.vector, one.messages)).collect()
    }

    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout)
            .map_err(|_| PyValueError::new_err(format!("{timeout} s is no time to wait")))?;
        Ok(py.detach(|| self.bus.cpus().wait(timeout)))
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let counted = self.bus.cpus().counted();
        dict.set_item("connected", counted.connected)?;
        dict.set_item("pending", counted.pending)?;
        dict.set_item("lost", counted.lost)?;
        Ok(dict)
    }
}

fn rids(scope: Option<HashSet<u16>>) -> Option<HashSet<Rid>> {
    scope.map(|scope| scope.into_iter().map(Rid).collect())
}

fn error(error: BusError) -> PyErr {
    match error {
        BusError::NoUnit(_) => PyIndexError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}
