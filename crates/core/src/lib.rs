//! `siov._core`: what Python sees of the Rust side.

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _core {}
