//! The register file and its layout, for Python.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use siov_spec::layout::Register;
use siov_spec::{Layout, Reset, Write};

/// A register for a layout: name, offset, size in bytes, reset value, masks RW, RW1C and sticky.
type Declared = (String, u32, u8, u64, u64, u64, u64);

/// What a write changed: name, element, value before, value now, what was written.
type Changed = (String, u32, u64, u64, u64);

/// Registers at byte offsets with masks and W1C done; shared with the device that is given it.
#[pyclass(frozen, module = "siov._core", name = "RegFile")]
pub struct PyRegFile {
    pub shared: Arc<Mutex<siov_spec::RegFile>>,
}

impl PyRegFile {
    fn lock(&self) -> MutexGuard<'_, siov_spec::RegFile> {
        // A panic elsewhere leaves plain values behind, never half a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(file: &siov_spec::RegFile, name: &str, index: u32) -> PyResult<u16> {
        let layout = file.layout();
        let id = layout
            .id(name)
            .ok_or_else(|| PyKeyError::new_err(format!("there is no register {name}")))?;
        let elements = layout.elements(id);
        if index >= elements {
            let message = format!("{name} has {elements} elements; there is no element {index}");
            return Err(PyKeyError::new_err(message));
        }
        Ok(id)
    }
}

#[pymethods]
impl PyRegFile {
    #[new]
    fn new(size: u32, registers: Vec<Declared>) -> PyResult<Self> {
        let named = registers.into_iter().map(|(name, at, size, reset, rw, rw1c, sticky)| {
            (at, Register { name, size, reset, rw, rw1c, sticky })
        });
        let layout = Layout::from_registers(size, named)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let shared = Arc::new(Mutex::new(siov_spec::RegFile::new(Arc::new(layout))));
        Ok(Self { shared })
    }

    #[getter]
    fn size(&self) -> u32 {
        self.lock().layout().size()
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.lock().layout().registers().map(|register| register.name.clone()).collect()
    }

    fn read<'py>(&self, py: Python<'py>, at: u32, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, size, |out| {
            self.lock().read(at, out);
            Ok(())
        })
    }

    fn write(&self, at: u32, data: &[u8]) -> Vec<Changed> {
        let mut file = self.lock();
        let mut write = Write::new(at, data);
        let mut changed = vec![];
        while let Some(change) = file.step(&mut write) {
            let name = file.layout().register(change.id).map_or("", |register| &register.name);
            let name = name.to_owned();
            changed.push((name, change.index, change.old, change.new, change.written));
        }
        changed
    }

    #[pyo3(signature = (name, index = 0))]
    fn get(&self, name: &str, index: u32) -> PyResult<u64> {
        let file = self.lock();
        let id = Self::id(&file, name, index)?;
        Ok(file.get(id, index))
    }

    #[pyo3(signature = (name, value, index = 0))]
    fn set(&self, name: &str, value: u64, index: u32) -> PyResult<()> {
        let mut file = self.lock();
        let id = Self::id(&file, name, index)?;
        file.set(id, index, value);
        Ok(())
    }

    #[pyo3(signature = (*, keep_sticky = false))]
    fn reset(&self, keep_sticky: bool) {
        let reset = if keep_sticky { Reset::Function } else { Reset::Cold };
        self.lock().reset(reset);
    }
}
