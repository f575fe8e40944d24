//! `siov._core`: what Python sees of the Rust side. The stub `src/siov/_core.pyi` documents it.

mod regfile;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::regfile::PyRegFile;
}
