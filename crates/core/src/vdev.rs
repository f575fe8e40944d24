//! A composed virtual device, for Python.

use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use siov_spec::Reset;
use siov_vdev::{Action, Mmio, Parts, Refused, State, Trap, Vdev};

use crate::bus::PyBus;
use crate::regfile::PyRegFile;

const EINVAL: i32 = 22;
const STATES: [(&str, State); 3] =
    [("active", State::Active), ("resetting", State::Resetting), ("disabled", State::Disabled)];

/// What a guest can reach of a virtual device that VDCM has composed.
#[pyclass(frozen, module = "siov._core", name = "Vdev")]
pub struct PyVdev {
    pub vdev: Arc<Vdev>,
}

// What may wait for an access of a guest is done with the interpreter let go.
#[pymethods]
impl PyVdev {
    #[new]
    #[pyo3(signature = (config, bus, *, bar0_size, traps, msix = None, function_reset = false, bell = None))]
    fn new(
        config: &PyRegFile,
        bus: &PyBus,
        bar0_size: u32,
        traps: Vec<Bound<'_, PyTuple>>,
        msix: Option<(u32, u32)>,
        function_reset: bool,
        bell: Option<(u32, u8)>,
    ) -> PyResult<Self> {
        let ringer = Arc::clone(&bus.bus);
        let ring = bell.map(|(cpu, vector)| {
            Box::new(move || ringer.cpus().deliver(cpu, vector)) as Box<dyn Fn() + Send + Sync>
        });
        let parts = Parts {
            config: Arc::clone(&config.shared),
            function_reset,
            bar0_size,
            traps: traps.iter().map(trap).collect::<PyResult<_>>()?,
            msix,
            mmio: Arc::clone(&bus.bus) as Arc<dyn Mmio>,
            bell: ring,
        };
        let vdev = Vdev::new(parts).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { vdev: Arc::new(vdev) })
    }

    fn region_size(&self, region: u32) -> u64 {
        self.vdev.region_size(region)
    }

    fn region_read<'py>(
        &self,
        py: Python<'py>,
        region: u32,
        offset: u64,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let count = size.min(usize::try_from(self.vdev.region_size(region)).unwrap_or(usize::MAX));
        let mut data = vec![0; count];
        if count < size {
            // Too long for the region, wherever it starts.
            let size = self.vdev.region_size(region);
            return Err(refused(Refused::Range { region, offset, count, size }));
        }
        py.detach(|| self.vdev.read(region, offset, &mut data)).map_err(refused)?;
        Ok(PyBytes::new(py, &data))
    }

    fn region_write(&self, py: Python<'_>, region: u32, offset: u64, data: &[u8]) -> PyResult<()> {
        py.detach(|| self.vdev.write(region, offset, data)).map_err(refused)
    }

    #[getter]
    fn state(&self, py: Python<'_>) -> &'static str {
        let state = py.detach(|| self.vdev.get_state());
        STATES.iter().find(|(_, known)| *known == state).map_or("", |(name, _)| name)
    }

    fn set_state(&self, py: Python<'_>, state: &str) -> PyResult<()> {
        let Some((_, state)) = STATES.iter().find(|(name, _)| *name == state) else {
            let message = format!("{state} is no state; active, resetting and disabled are");
            return Err(PyValueError::new_err(message));
        };
        py.detach(|| self.vdev.set_state(*state));
        Ok(())
    }

    fn shadow(&self, at: u32) -> PyResult<u32> {
        self.vdev.shadow(at).ok_or_else(|| no_shadow(at))
    }

    fn set_shadow(&self, at: u32, value: u32) -> PyResult<()> {
        self.vdev.set_shadow(at, value).then_some(()).ok_or_else(|| no_shadow(at))
    }

    fn or_shadow(&self, at: u32, bits: u32) -> PyResult<()> {
        self.vdev.or_shadow(at, bits).then_some(()).ok_or_else(|| no_shadow(at))
    }

    fn take_notices(&self) -> (bool, Vec<(u32, u32)>) {
        let notices = self.vdev.take_notices();
        (notices.function_reset, notices.written.into_iter().collect())
    }

    fn reset(&self) {
        self.vdev.reset();
    }

    #[pyo3(signature = (*, keep_sticky = false))]
    fn reset_config(&self, keep_sticky: bool) {
        self.vdev.reset_config(if keep_sticky { Reset::Function } else { Reset::Cold });
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let (memory, master) = self.vdev.enabled();
        let counted = self.vdev.counted();
        dict.set_item("state", self.state(py))?;
        dict.set_item("memory_space", memory)?;
        dict.set_item("bus_master", master)?;
        dict.set_item("traps", self.vdev.traps().map(|trap| u64::from(trap.count)).sum::<u64>())?;
        dict.set_item("dead_reads", counted.dead_reads)?;
        dict.set_item("dropped_writes", counted.dropped_writes)?;
        Ok(dict)
    }
}

/// A trap as Python gives it: its kind, where it is, and what that kind has.
fn trap(tuple: &Bound<'_, PyTuple>) -> PyResult<Trap> {
    let kind: String = tuple.get_item(0)?.extract()?;
    match kind.as_str() {
        "forward" => {
            let (_, at, count, stride, read, write, to): (
                String,
                u32,
                u32,
                u32,
                Option<u64>,
                Option<u64>,
                u64,
            ) = tuple.extract()?;
            Ok(Trap { at, count, stride, action: Action::Forward { read, write, stride: to } })
        }
        "rstat" => {
            let (_, at, hpa): (String, u32, u64) = tuple.extract()?;
            Ok(Trap { at, count: 1, stride: 4, action: Action::Rstat { hpa } })
        }
        "shadow" => {
            let (_, at, count, stride, reset, rw, read_clears, notify): (
                String,
                u32,
                u32,
                u32,
                u32,
                u32,
                bool,
                bool,
            ) = tuple.extract()?;
            let action = Action::Shadow { reset, rw, read_clears, notify };
            Ok(Trap { at, count, stride, action })
        }
        other => {
            let message = format!("{other} is no kind of trap; forward, rstat and shadow are");
            Err(PyValueError::new_err(message))
        }
    }
}

fn refused(error: Refused) -> PyErr {
    PyOSError::new_err((EINVAL, error.to_string()))
}

fn no_shadow(at: u32) -> PyErr {
    PyValueError::new_err(format!("there is no shadow register at {at:#x}"))
}
