//! `siov._core`: what Python sees of the Rust side. The stub `src/siov/_core.pyi` documents it.

mod bench;
mod bus;
mod capture;
mod doorbells;
mod endpoint;
mod eventfd;
mod iavf;
mod iommu;
mod mmu;
mod nic;
mod port;
mod regfile;
mod served;
mod vdev;
mod vtime;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::bench::{bench_datapath, bench_endpoint};
    #[pymodule_export]
    use super::bus::PyBus;
    #[pymodule_export]
    use super::capture::{PyCapture, check_capture};
    #[pymodule_export]
    use super::endpoint::{PyEndpoint, PyTestFunction};
    #[pymodule_export]
    use super::eventfd::PyEventFd;
    #[pymodule_export]
    use super::iavf::PyGuestLoop;
    #[pymodule_export]
    use super::iommu::{PyHostMemory, PyRemappingUnit, bench_translate};
    #[pymodule_export]
    use super::mmu::PyCpuCore;
    #[pymodule_export]
    use super::nic::PyNic;
    #[pymodule_export]
    use super::port::{PyClock, PyPort};
    #[pymodule_export]
    use super::regfile::PyRegFile;
    #[pymodule_export]
    use super::served::PyServedVdev;
    #[pymodule_export]
    use super::vdev::PyVdev;
    #[pymodule_export]
    use super::vtime::PyStepper;
}
