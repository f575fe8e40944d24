//! Devices behind vfio-user sockets, for Python: a thread of Python's runs each endpoint.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use siov_lan::lend;
use siov_testfn::TestFunction;
use siov_vfio_user::{BindError, Device, Endpoint, EndpointState, Limits};

use crate::regfile::PyRegFile;
use crate::served::PyServedVdev;

/// The test function of `siov.spec.testfn`.
#[pyclass(frozen, module = "siov._core", name = "TestFunction")]
pub struct PyTestFunction {
    function: Arc<TestFunction>,
}

#[pymethods]
impl PyTestFunction {
    #[new]
    fn new(config: &PyRegFile) -> PyResult<Self> {
        let function = TestFunction::new(Arc::clone(&config.shared))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { function: Arc::new(function) })
    }

    fn bar_read<'py>(
        &self,
        py: Python<'py>,
        offset: u32,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, size, |out| {
            self.function.bar_read(offset, out);
            Ok(())
        })
    }

    fn bar_write(&self, offset: u32, data: &[u8]) {
        self.function.bar_write(offset, data);
    }

    fn take_raised(&self) -> u64 {
        self.function.take_raised()
    }

    fn reset(&self, py: Python<'_>) {
        py.detach(|| self.function.reset_device());
    }
}

/// What an endpoint can serve.
#[derive(FromPyObject)]
enum AnyDevice {
    Function(Py<PyTestFunction>),
    Vdev(Py<PyServedVdev>),
}

/// Files of clients lie in the machine's physical address space, which all of them share.
fn vdev_limits() -> Limits {
    Limits { max_shared_bytes: 1 << 36, ..Limits::default() }
}

/// A device on a UNIX socket that speaks vfio-user.
#[pyclass(frozen, module = "siov._core", name = "Endpoint")]
pub struct PyEndpoint {
    endpoint: Endpoint,
}

#[pymethods]
impl PyEndpoint {
    #[new]
    fn new(path: PathBuf, device: AnyDevice) -> PyResult<Self> {
        let (device, limits): (Arc<dyn Device>, Limits) = match device {
            AnyDevice::Function(device) => {
                (Arc::clone(&device.get().function) as _, Limits::default())
            }
            AnyDevice::Vdev(device) => (Arc::clone(&device.get().served) as _, vdev_limits()),
        };
        let endpoint = Endpoint::bind_with(path, device, limits).map_err(|error| match error {
            BindError::Os { .. } => PyOSError::new_err(error.to_string()),
            other => PyValueError::new_err(other.to_string()),
        })?;
        Ok(Self { endpoint })
    }

    /// Holds no interpreter while it serves, so that Python's other threads go on. Its thread is there for
    /// one guest, which rings doorbells and goes on: so it need not wake another to do what they ask for.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| lend(|| self.endpoint.run()))
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.endpoint.stop());
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = py.detach(|| self.endpoint.inspect());
        as_dict(py, &state)
    }
}

fn as_dict<'py>(py: Python<'py>, state: &EndpointState) -> PyResult<Bound<'py, PyDict>> {
    let maps = state.maps.iter().map(|map| {
        let dict = PyDict::new(py);
        dict.set_item("iova", map.iova.0)?;
        dict.set_item("size", map.size)?;
        dict.set_item("perm", map.perm.to_string())?;
        dict.set_item("shared", map.shared)?;
        dict.set_item("poisoned", map.poisoned)?;
        Ok(dict)
    });
    let irqs = state.irqs.iter().map(|irq| {
        let dict = PyDict::new(py);
        dict.set_item("index", irq.index)?;
        dict.set_item("vector", irq.vector)?;
        dict.set_item("assigned", irq.assigned)?;
        dict.set_item("masked", irq.masked)?;
        dict.set_item("pending", irq.pending)?;
        Ok(dict)
    });
    let counters = PyDict::new(py);
    let counted = &state.counters;
    for (name, count) in [
        ("connections", counted.connections),
        ("refused", counted.refused),
        ("unknown_commands", counted.unknown_commands),
        ("errors", counted.errors),
        ("stray_replies", counted.stray_replies),
        ("lost_streams", counted.lost_streams),
        ("stalled", counted.stalled),
    ] {
        counters.set_item(name, count)?;
    }
    let commands = PyDict::new(py);
    for (name, count) in &counted.commands {
        commands.set_item(name, count)?;
    }
    counters.set_item("commands", commands)?;
    let dict = PyDict::new(py);
    dict.set_item("path", &state.path)?;
    dict.set_item("running", state.running)?;
    dict.set_item("connected", state.connected)?;
    dict.set_item("version", state.version)?;
    dict.set_item("maps", maps.collect::<PyResult<Vec<_>>>()?)?;
    dict.set_item("irqs", irqs.collect::<PyResult<Vec<_>>>()?)?;
    dict.set_item("irq_signals", state.irq_signals)?;
    dict.set_item("dma_messages", state.dma_messages)?;
    dict.set_item("counters", counters)?;
    Ok(dict)
}
