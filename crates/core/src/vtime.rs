//! Guests and adapters by a virtual clock, for Python.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use siov_vtime::{Adapter, Bells, StepError, Stepper, Stop};

use crate::bus::PyBus;
use crate::eventfd::hold;
use crate::iavf::{self, PyGuestLoop, parked};
use crate::nic::PyNic;
use crate::port::PyClock;

/// Moments after which a signal is looked for, such as Ctrl-C.
const MOMENTS: u64 = 4096;

/// One thread for guests and adapters.
#[pyclass(frozen, module = "siov._core", name = "Stepper")]
pub struct PyStepper {
    stepper: Mutex<Stepper>,
}

fn error(error: StepError) -> PyErr {
    match error {
        StepError::Guests(error) => iavf::error(error),
        StepError::System(_) => PyOSError::new_err(error.to_string()),
    }
}

#[pymethods]
impl PyStepper {
    #[new]
    fn new(bus: &PyBus, clock: &PyClock, nics: Vec<(Py<PyNic>, u64)>) -> PyResult<Self> {
        if !clock.clock.is_virtual() {
            return Err(PyValueError::new_err(
                "real time passes by itself; a virtual clock is needed",
            ));
        }
        let adapter =
            |(nic, speed): (Py<PyNic>, u64)| Adapter::new(Arc::clone(&nic.get().nic), speed);
        let adapters = nics.into_iter().map(adapter).collect();
        let stepper = Stepper::new(clock.clock.clone(), Arc::clone(&bus.bus), adapters);
        Ok(Self { stepper: Mutex::new(stepper) })
    }

    #[pyo3(signature = (guests = None))]
    fn set_guests(&self, py: Python<'_>, guests: Option<&PyGuestLoop>) {
        let guests = guests.map(|guests| Arc::clone(&guests.guests));
        py.detach(|| self.lock().set_guests(guests));
    }

    fn set_bells(&self, py: Python<'_>, eventfds: Vec<RawFd>) -> PyResult<()> {
        let fds = eventfds.into_iter().map(hold).collect::<PyResult<Vec<_>>>()?;
        let bells = Bells::new(fds).map_err(|error| PyOSError::new_err(error.to_string()))?;
        py.detach(|| self.lock().set_bells(Some(bells)));
        Ok(())
    }

    #[pyo3(signature = (until, *, guests = true, once = false))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        until: u64,
        guests: bool,
        once: bool,
    ) -> PyResult<(&'static str, Vec<Bound<'py, PyDict>>)> {
        let moments = if once { 1 } else { MOMENTS };
        loop {
            let stop = py.detach(|| self.lock().run(until, moments, guests)).map_err(error)?;
            match stop {
                Stop::Time => return Ok(("time", vec![])),
                Stop::Moments if once => return Ok(("moment", vec![])),
                Stop::Moments => py.check_signals()?,
                Stop::Host => return Ok(("host", vec![])),
                Stop::Parked(guests) => return Ok(("parked", parked(py, &guests)?)),
            }
        }
    }
}

impl PyStepper {
    fn lock(&self) -> MutexGuard<'_, Stepper> {
        self.stepper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
