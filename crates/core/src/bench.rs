//! Measurements whose inner loop must not cross into Python.

use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
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
