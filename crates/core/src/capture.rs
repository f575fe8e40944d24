//! Capture files that a NIC's VSIs and ports are recorded into, for Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use siov_iavf::load_frames;
use siov_lan::Point;
use siov_port::capture::{Reader, Recording};
use siov_spec::e810::PORTS;
use siov_switch::VsiId;

use crate::port::{PyClock, unusable};

/// A pcapng file of several interfaces.
#[pyclass(frozen, module = "siov._core", name = "Capture")]
pub struct PyCapture {
    pub recording: Arc<Recording>,
}

/// ("vsi", number) or ("port", number).
pub fn point(given: &Bound<'_, PyTuple>) -> PyResult<Point> {
    let (kind, number): (String, u16) = given.extract()?;
    let found = match kind.as_str() {
        "vsi" => VsiId::new(number).map(Point::Vsi),
        "port" => u8::try_from(number).ok().filter(|n| u32::from(*n) < PORTS).map(Point::Port),
        other => {
            let message = format!("frames are captured at a vsi or a port, not at a {other:?}");
            return Err(PyValueError::new_err(message));
        }
    };
    found.ok_or_else(|| PyValueError::new_err(format!("there is no {kind} {number}")))
}

#[pymethods]
impl PyCapture {
    #[new]
    #[pyo3(signature = (path, clock, *, limit = 1 << 30, comment = None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        clock: &PyClock,
        limit: u64,
        comment: Option<&str>,
    ) -> PyResult<Self> {
        let clock = clock.clock.clone();
        let made = py.detach(|| Recording::create(path, clock, limit, comment));
        Ok(Self { recording: Arc::new(made.map_err(unusable)?) })
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.recording.path().to_owned()
    }

    fn flush(&self, py: Python<'_>) {
        py.detach(|| self.recording.flush());
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = py.detach(|| self.recording.totals());
        let interfaces = PyDict::new(py);
        for (number, row) in totals.interfaces.iter().enumerate() {
            let counts = PyDict::new(py);
            counts.set_item("name", &row.name)?;
            counts.set_item("inbound", row.inbound)?;
            counts.set_item("outbound", row.outbound)?;
            counts.set_item("dropped", row.dropped)?;
            interfaces.set_item(number, counts)?;
        }
        let dict = PyDict::new(py);
        dict.set_item("path", self.path())?;
        dict.set_item("size", totals.size)?;
        dict.set_item("limit", totals.limit)?;
        dict.set_item("lost", totals.lost)?;
        dict.set_item("interfaces", interfaces)?;
        dict.set_item("trouble", totals.trouble)?;
        Ok(dict)
    }
}

/// Reads a capture to its end, to know before anybody depends on it: how many frames it has.
#[pyfunction]
#[pyo3(signature = (path, *, replay = false))]
pub fn check_capture(py: Python<'_>, path: PathBuf, replay: bool) -> PyResult<usize> {
    py.detach(|| {
        if replay {
            let frames = load_frames(path, None).map_err(|error| error.to_string());
            return frames.map(|frames| frames.len()).map_err(PyValueError::new_err);
        }
        let mut reader = Reader::open(path).map_err(unusable)?;
        let mut frames = 0;
        while reader.read().map_err(unusable)?.is_some() {
            frames += 1;
        }
        Ok(frames)
    })
}
