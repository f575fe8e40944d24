//! Cores, for Python.

mod tell;

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use siov_iavf::Vcpu;
use siov_mem::{Gva, HostMemory};
use siov_mmu::{ControlRegs, Core, Geometry, Model, Pml, Step, Vmcs};
use siov_spec::ept::{
    Cr0, Cr3, Cr4, Efer, Eptp, InveptDescriptor, InveptType, InvvpidDescriptor, InvvpidType,
    PmlIndex,
};

use crate::iommu::PyHostMemory;
pub use tell::fault_dict;
use tell::{access_of, counters, result, step_dict};

/// A logical processor with its caches.
#[pyclass(frozen, module = "siov._core", name = "CpuCore")]
pub struct PyCpuCore {
    state: Arc<Mutex<State>>,
    memory: Arc<HostMemory>,
}

/// The core, with what its next VM entry loads.
pub struct State {
    core: Core,
    /// The guest-state area that the next VM entry loads.
    guest: ControlRegs,
}

impl State {
    fn vm_exit(&mut self) -> Option<Vmcs> {
        let vmcs = self.core.vm_exit()?;
        self.guest = vmcs.guest;
        Some(vmcs)
    }
}

/// A guest's driver runs on it without Python.
pub struct Shared(Arc<Mutex<State>>);

impl Vcpu for Shared {
    fn with(&self, turn: &mut dyn FnMut(&mut Core)) {
        turn(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).core);
    }
}

// Python objects are made with the lock let go: making them may run Python code that waits for it.
impl PyCpuCore {
    pub fn share(&self) -> Shared {
        Shared(Arc::clone(&self.state))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyCpuCore {
    #[new]
    #[pyo3(signature = (memory, *, maxphyaddr = 46, execute_only = true, caches = true))]
    fn new(
        memory: &PyHostMemory,
        maxphyaddr: u8,
        execute_only: bool,
        caches: bool,
    ) -> PyResult<Self> {
        if !(36..=52).contains(&maxphyaddr) {
            let message = format!("MAXPHYADDR is 36 to 52, not {maxphyaddr}");
            return Err(PyValueError::new_err(message));
        }
        let geometry = if caches { Geometry::default() } else { Geometry::OFF };
        let model = Model { maxphyaddr, execute_only, geometry };
        let core = Core::new(model, ControlRegs::default());
        let state = State { core, guest: ControlRegs::default() };
        Ok(Self { state: Arc::new(Mutex::new(state)), memory: Arc::clone(&memory.memory) })
    }

    #[pyo3(signature = (*, cr0 = None, cr3 = None, cr4 = None, efer = None))]
    fn set_guest(
        &self,
        cr0: Option<u64>,
        cr3: Option<u64>,
        cr4: Option<u64>,
        efer: Option<u64>,
    ) -> PyResult<()> {
        let mut state = self.lock();
        if state.core.inspect().vmcs.is_some() {
            return Err(PyValueError::new_err("the guest runs; its state is set after a VM exit"));
        }
        let old = state.guest;
        state.guest = ControlRegs {
            cr0: cr0.map_or(old.cr0, Cr0),
            cr3: cr3.map_or(old.cr3, Cr3),
            cr4: cr4.map_or(old.cr4, Cr4),
            efer: efer.map_or(old.efer, Efer),
        };
        Ok(())
    }

    fn mov_to_cr3(&self, value: u64) -> PyResult<()> {
        let done = self.lock().core.mov_to_cr3(Cr3(value));
        done.map_err(|_| PyValueError::new_err(format!("#GP(0): {value:#x} can't be in CR3")))
    }

    #[pyo3(signature = (*, eptp = None, vpid = None, pml = None, pml_index = PmlIndex::RESET))]
    fn vm_entry(
        &self,
        eptp: Option<u64>,
        vpid: Option<u16>,
        pml: Option<u64>,
        pml_index: u16,
    ) -> PyResult<()> {
        let vpid = vpid.map(NonZeroU16::try_from).transpose();
        let vpid = vpid.map_err(|_| PyValueError::new_err("VPID 0 is that of the host"))?;
        let mut state = self.lock();
        let pml = pml.map(|address| Pml { address, index: PmlIndex(pml_index) });
        let vmcs = Vmcs { guest: state.guest, vpid, eptp: eptp.map(Eptp), pml };
        let entered = state.core.vm_entry(&vmcs);
        entered.map_err(|error| PyValueError::new_err(format!("VM entry failed: {error:?}")))
    }

    fn vm_exit<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(vmcs) = self.lock().vm_exit() else { return Ok(None) };
        let dict = PyDict::new(py);
        dict.set_item("cr3", vmcs.guest.cr3.0)?;
        dict.set_item("pml_index", vmcs.pml.map(|pml| pml.index.0))?;
        dict.set_item("logged", vmcs.pml.map_or(0, |pml| pml.logged()))?;
        Ok(Some(dict))
    }

    #[pyo3(signature = (gva, access = "r", user = false))]
    fn access<'py>(
        &self,
        py: Python<'py>,
        gva: u64,
        access: &str,
        user: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let access = access_of(access, user)?;
        let end = self.lock().core.access(&self.memory.view(), Gva(gva), access);
        result(py, &end)
    }

    #[pyo3(signature = (gvas, access = "r", user = false))]
    fn access_many<'py>(
        &self,
        py: Python<'py>,
        gvas: Vec<u64>,
        access: &str,
        user: bool,
    ) -> PyResult<(usize, Option<Bound<'py, PyDict>>)> {
        let access = access_of(access, user)?;
        let accesses: Vec<_> = gvas.into_iter().map(|gva| (Gva(gva), access)).collect();
        let mut done = Vec::with_capacity(accesses.len());
        let end = py.detach(|| {
            let view = self.memory.view();
            self.lock().core.access_batch(&view, &accesses, &mut done)
        });
        let fault = end.err().map(|fault| fault_dict(py, &fault)).transpose()?;
        Ok((done.len(), fault))
    }

    #[pyo3(signature = (gva, access = "r", user = false))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        gva: u64,
        access: &str,
        user: bool,
    ) -> PyResult<(Bound<'py, PyDict>, Vec<Bound<'py, PyDict>>)> {
        let access = access_of(access, user)?;
        let mut steps: Vec<Step> = Vec::new();
        let end = self.lock().core.access_with(&self.memory.view(), Gva(gva), access, &mut steps);
        let steps = steps.iter().map(|step| step_dict(py, step)).collect::<PyResult<_>>()?;
        Ok((result(py, &end)?, steps))
    }

    fn invlpg(&self, gva: u64) {
        self.lock().core.invlpg(Gva(gva));
    }

    #[pyo3(signature = (eptp = None))]
    fn invept(&self, eptp: Option<u64>) -> PyResult<()> {
        let kind = match eptp {
            Some(_) => InveptType::SINGLE_CONTEXT,
            None => InveptType::GLOBAL,
        };
        let descriptor = InveptDescriptor([eptp.unwrap_or(0), 0]);
        let done = self.lock().core.invept(kind as u64, descriptor);
        done.map_err(|_| PyValueError::new_err("VMfail: invalid operand to INVEPT"))
    }

    #[pyo3(signature = (vpid = None, gva = None))]
    fn invvpid(&self, vpid: Option<u16>, gva: Option<u64>) -> PyResult<()> {
        let kind = match (vpid, gva) {
            (None, _) => InvvpidType::ALL_CONTEXTS,
            (_, None) => InvvpidType::SINGLE_CONTEXT,
            (_, Some(_)) => InvvpidType::INDIVIDUAL_ADDRESS,
        };
        let descriptor = InvvpidDescriptor([u64::from(vpid.unwrap_or(0)), gva.unwrap_or(0)]);
        let done = self.lock().core.invvpid(kind as u64, descriptor);
        done.map_err(|_| PyValueError::new_err("VMfail: invalid operand to INVVPID"))
    }

    #[getter]
    fn counters(&self) -> Vec<(&'static str, u64)> {
        counters(self.lock().core.counters())
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.lock().core.inspect();
        let cached = PyDict::new(py);
        cached.set_item("dtlb", state.live.dtlb.iter().sum::<usize>())?;
        cached.set_item("itlb", state.live.itlb.iter().sum::<usize>())?;
        cached.set_item("psc", state.live.psc.iter().sum::<usize>())?;
        cached.set_item("gpa_tlb", state.live.gpa_tlb.iter().sum::<usize>())?;
        cached.set_item("ept_psc", state.live.ept_psc.iter().sum::<usize>())?;
        let dict = PyDict::new(py);
        dict.set_item("guest", state.vmcs.is_some())?;
        dict.set_item("cr0", state.regs.cr0.0)?;
        dict.set_item("cr3", state.regs.cr3.0)?;
        dict.set_item("cr4", state.regs.cr4.0)?;
        dict.set_item("efer", state.regs.efer.0)?;
        dict.set_item("cached", cached)?;
        Ok(dict)
    }
}
