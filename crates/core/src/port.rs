//! What a port of a NIC can be plugged into, and the clock, for Python.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use siov_port::capture::{Capture, CaptureError, Pace, Replay, Writer};
use siov_port::{
    Backend, Bounds, Bridge, BridgeConfig, Cable, Clock, Counters, Dgram, Loopback, Port, Reason,
    Sink, Stream, Tap,
};

/// Mbit/s, when nobody says.
const SPEED: u32 = 100_000;

/// A clock that the devices of a machine share.
#[pyclass(frozen, module = "siov._core", name = "Clock")]
pub struct PyClock {
    pub clock: Clock,
}

#[pymethods]
impl PyClock {
    #[new]
    #[pyo3(signature = (*, r#virtual = false))]
    fn new(r#virtual: bool) -> Self {
        Self { clock: if r#virtual { Clock::virtual_() } else { Clock::real() } }
    }

    #[getter]
    fn r#virtual(&self) -> bool {
        self.clock.is_virtual()
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn advance(&self, by: u64) -> PyResult<u64> {
        if self.clock.is_virtual() {
            Ok(self.clock.advance(by))
        } else {
            Err(PyValueError::new_err("real time can't be advanced; make a Clock(virtual=True)"))
        }
    }
}

/// A backend that a NIC's port can be plugged into.
#[pyclass(frozen, module = "siov._core", name = "Port")]
pub struct PyPort {
    pub port: Arc<Port>,
}

impl PyPort {
    fn made<B: Backend + 'static>(backend: io::Result<B>, speed: u32) -> PyResult<Self> {
        let port = backend.and_then(|backend| Port::new(backend, speed));
        Ok(Self { port: Arc::new(port.map_err(system)?) })
    }

    /// Frames of a port that a NIC has are the NIC's.
    fn own(&self) -> PyResult<()> {
        if self.port.is_plugged() {
            let message =
                format!("this {} is plugged into a NIC; unplug it there", self.port.kind());
            return Err(PyRuntimeError::new_err(message));
        }
        Ok(())
    }
}

#[pymethods]
impl PyPort {
    #[staticmethod]
    #[pyo3(signature = (*, speed = SPEED))]
    fn sink(speed: u32) -> PyResult<Self> {
        Self::made(Ok(Sink::default()), speed)
    }

    #[staticmethod]
    #[pyo3(signature = (frames = 1024, *, speed = SPEED))]
    fn loopback(frames: usize, speed: u32) -> PyResult<Self> {
        Self::made(Loopback::new(frames), speed)
    }

    #[staticmethod]
    #[pyo3(signature = (*, frames = 1024, size = 2 << 20, speed = SPEED))]
    fn cable(frames: usize, size: usize, speed: u32) -> PyResult<(Self, Self)> {
        let (a, b) = Cable::pair(Bounds { frames, bytes: size }).map_err(system)?;
        Ok((Self::made(Ok(a), speed)?, Self::made(Ok(b), speed)?))
    }

    #[staticmethod]
    #[pyo3(signature = (clock, *, write = None, read = None, name = "port", paced = false,
                        repeat = false, limit = 1 << 30, speed = SPEED))]
    #[expect(clippy::too_many_arguments)] // keywords, in Python
    fn pcap(
        py: Python<'_>,
        clock: &PyClock,
        write: Option<PathBuf>,
        read: Option<PathBuf>,
        name: &str,
        paced: bool,
        repeat: bool,
        limit: u64,
        speed: u32,
    ) -> PyResult<Self> {
        let clock = clock.clock.clone();
        py.detach(|| {
            let pace = if paced { Pace::Timestamps } else { Pace::AtOnce };
            let replay = read.map(|path| Replay::open(path, pace, repeat));
            let replay = replay.transpose().map_err(unusable)?;
            let begun = |path| {
                let mut writer = Writer::create(path, limit)?;
                let interface = writer.interface(name, speed)?;
                Ok((writer, interface))
            };
            let writer = write.map(begun).transpose().map_err(unusable)?;
            Self::made(Capture::new(clock, writer, replay), speed)
        })
    }

    #[staticmethod]
    #[pyo3(signature = (fd, name, *, speed = SPEED))]
    fn tap(fd: i32, name: String, speed: u32) -> PyResult<Self> {
        // Duplicates a number of ours without trusting that it is a descriptor.
        let ourselves = pidfd_open(getpid(), PidfdFlags::empty());
        let queue = ourselves.and_then(|pid| pidfd_getfd(pid, fd, PidfdGetfdFlags::empty()));
        let tap = queue.map_err(io::Error::from).and_then(|queue| Tap::new(queue, name));
        Self::made(tap, speed)
    }

    #[staticmethod]
    #[pyo3(signature = (path, *, listen = false, size = 256 << 10, speed = SPEED))]
    fn stream(path: PathBuf, listen: bool, size: usize, speed: u32) -> PyResult<Self> {
        let made = if listen { Stream::listen(path, size) } else { Stream::connect(path, size) };
        Self::made(made, speed)
    }

    #[staticmethod]
    #[pyo3(signature = (path, peer, *, speed = SPEED))]
    fn dgram(path: PathBuf, peer: PathBuf, speed: u32) -> PyResult<Self> {
        Self::made(Dgram::new(path, peer), speed)
    }

    #[staticmethod]
    #[pyo3(signature = (ports, clock, *, reflective_relay = false, stations = 4096,
                        aging = 300_000_000_000, frames = 1024, speed = SPEED))]
    fn bridge(
        ports: usize,
        clock: &PyClock,
        reflective_relay: bool,
        stations: usize,
        aging: u64,
        frames: usize,
        speed: u32,
    ) -> PyResult<Vec<Self>> {
        let bounds = Bounds { frames, ..Bounds::default() };
        let config = BridgeConfig { ports, reflective_relay, stations, aging, bounds };
        let ports = Bridge::ports(config, clock.clock.clone()).map_err(system)?;
        ports.into_iter().map(|port| Self::made(Ok(port), speed)).collect()
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.port.kind()
    }

    #[getter]
    fn link(&self, py: Python<'_>) -> bool {
        py.detach(|| self.port.link())
    }

    fn set_link(&self, py: Python<'_>, up: bool) {
        py.detach(|| self.port.set_link(up));
    }

    #[getter]
    fn speed(&self) -> u32 {
        self.port.speed()
    }

    fn send(&self, py: Python<'_>, frame: &[u8]) -> PyResult<bool> {
        self.own()?;
        Ok(py.detach(|| {
            let mut backend = self.port.lock();
            let taken = backend.send(frame);
            backend.flush();
            taken
        }))
    }

    #[pyo3(signature = (limit = 64))]
    fn receive<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        self.own()?;
        let mut frames: Vec<Vec<u8>> = vec![];
        py.detach(|| self.port.lock().receive(limit, &mut |frame| frames.push(frame.to_vec())));
        Ok(frames.iter().map(|frame| PyBytes::new(py, frame)).collect())
    }

    fn set_reflective_relay(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        if py.detach(|| self.port.lock().set_reflective_relay(on)) {
            return Ok(());
        }
        let message =
            format!("a {} has no reflective relay; a bridge's port has", self.port.kind());
        Err(PyValueError::new_err(message))
    }

    fn take_event(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.port.lock().take_event())
    }

    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = py.detach(|| self.port.counters());
        as_dict(py, &counters)
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (link, state, counters) = py.detach(|| {
            let backend = self.port.lock();
            (backend.link(), backend.inspect(), backend.counters())
        });
        let dict = PyDict::new(py);
        dict.set_item("kind", self.port.kind())?;
        dict.set_item("link", link)?;
        dict.set_item("speed", self.port.speed())?;
        dict.set_item("plugged", self.port.is_plugged())?;
        dict.set_item("state", state)?;
        dict.set_item("counters", as_dict(py, &counters)?)?;
        Ok(dict)
    }
}

fn as_dict<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, count) in [
        ("sent", counters.sent),
        ("sent_bytes", counters.sent_bytes),
        ("received", counters.received),
        ("received_bytes", counters.received_bytes),
    ] {
        dict.set_item(name, count)?;
    }
    for reason in Reason::ALL {
        dict.set_item(format!("dropped_{}", reason.name()), counters.dropped(reason))?;
    }
    Ok(dict)
}

/// The subclass of `OSError` that the errno has, where there is one.
fn system(error: io::Error) -> PyErr {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, text)),
        None => PyOSError::new_err(text),
    }
}

pub(crate) fn unusable(error: CaptureError) -> PyErr {
    match error {
        CaptureError::Os { .. } => PyOSError::new_err(error.to_string()),
        CaptureError::Damaged { .. } => PyValueError::new_err(error.to_string()),
    }
}
