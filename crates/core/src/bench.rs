//! Measurements whose inner loop must not cross into Python.

use std::path::PathBuf;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use siov_lan::bench::{Failed, Load, Translation, pumped, threaded};
use siov_vfio_user::bench;

/// Nanoseconds of each read, each posted write and each raw exchange.
type Samples = (Vec<u64>, Vec<u64>, Vec<u64>);

/// Measures an endpoint on a socket at `path`: `rounds` times `exchanges` of each kind, in turn.
#[pyfunction]
pub fn bench_endpoint(
    py: Python<'_>,
    path: PathBuf,
    rounds: usize,
    exchanges: usize,
    one_cpu: bool,
) -> PyResult<Samples> {
    py.detach(|| bench::endpoint(&path, rounds, exchanges, one_cpu))
        .map(|samples| (samples.read, samples.posted_write, samples.raw))
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// Measures the data path: frames a second, nanoseconds of the engine for each, interrupts a second.
#[pyfunction]
#[pyo3(signature = (vsis, frame, translation, frames, *, entries = 256, superpages = true, thread = true))]
#[allow(clippy::too_many_arguments)] // Python's keywords
pub fn bench_datapath(
    py: Python<'_>,
    vsis: u16,
    frame: u16,
    translation: &str,
    frames: u64,
    entries: u16,
    superpages: bool,
    thread: bool,
) -> PyResult<(f64, f64, f64)> {
    let translation = match translation {
        "none" => Translation::None,
        "unit" => Translation::Unit,
        "atc" => Translation::DeviceTlb,
        other => {
            let text = format!("translation is none, unit or atc, not {other:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let load = Load { vsis, frame, entries, translation, superpages };
    let run = if thread { threaded } else { pumped };
    let found = py.detach(|| run(&load, frames)).map_err(|error| match error {
        Failed::Load => PyValueError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    })?;
    Ok((found.frames_per_s, found.engine_ns, found.interrupts_per_s))
}
