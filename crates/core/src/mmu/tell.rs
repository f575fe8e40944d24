//! What a core takes from Python and tells it: accesses, outcomes, steps, counters.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use siov_mmu::{Access, Fault, Kind, Mode, Stage, Step, Translation};

pub(super) fn access_of(letter: &str, user: bool) -> PyResult<Access> {
    let kind = match letter {
        "r" => Kind::Read,
        "w" => Kind::Write,
        "x" => Kind::Fetch,
        _ => {
            let message = format!("access {letter:?}: one of r, w and x (fetch) is known");
            return Err(PyValueError::new_err(message));
        }
    };
    Ok(Access { kind, mode: if user { Mode::User } else { Mode::Supervisor } })
}

pub(super) fn result<'py>(
    py: Python<'py>,
    end: &Result<Translation, Fault>,
) -> PyResult<Bound<'py, PyDict>> {
    let Translation { hpa, size, reads } = match end {
        Err(fault) => return fault_dict(py, fault),
        Ok(translation) => translation,
    };
    let dict = PyDict::new(py);
    dict.set_item("hpa", hpa.0)?;
    dict.set_item("page", size.bytes())?;
    dict.set_item("reads", reads)?;
    Ok(dict)
}

pub fn fault_dict<'py>(py: Python<'py>, fault: &Fault) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let name = match fault {
        Fault::NotCanonical(gva) => {
            dict.set_item("gva", gva.0)?;
            "not-canonical"
        }
        Fault::PageFault { error_code, gva } => {
            dict.set_item("error_code", error_code.0)?;
            dict.set_item("gva", gva.0)?;
            "page-fault"
        }
        Fault::EptViolation { qualification, gpa, gva } => {
            dict.set_item("qualification", qualification.0)?;
            dict.set_item("gpa", gpa.0)?;
            dict.set_item("gva", gva.0)?;
            "ept-violation"
        }
        Fault::EptMisconfiguration { gpa } => {
            dict.set_item("gpa", gpa.0)?;
            "ept-misconfiguration"
        }
        Fault::PmlFull => "pml-full",
    };
    dict.set_item("fault", name)?;
    dict.set_item("exit_reason", fault.exit_reason().map(|reason| reason as u64))?;
    Ok(dict)
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Guest => "guest",
        Stage::Ept => "ept",
    }
}

pub(super) fn step_dict<'py>(py: Python<'py>, step: &Step) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let name = match *step {
        Step::TlbHit { gva, hpa, size } => {
            dict.set_item("gva", gva.0)?;
            dict.set_item("hpa", hpa.0)?;
            dict.set_item("page", size.bytes())?;
            "tlb-hit"
        }
        Step::PscHit { stage, level, table } => {
            dict.set_item("stage", stage_name(stage))?;
            dict.set_item("level", level)?;
            dict.set_item("table", table)?;
            "psc-hit"
        }
        Step::Gpa { gpa, entry_level } => {
            dict.set_item("gpa", gpa.0)?;
            dict.set_item("entry_level", entry_level)?;
            "gpa"
        }
        Step::GpaTlbHit { gpa } => {
            dict.set_item("gpa", gpa.0)?;
            "gpa-tlb-hit"
        }
        Step::Hpa { hpa } => {
            dict.set_item("hpa", hpa.0)?;
            "hpa"
        }
        Step::Entry { stage, level, index, at, raw } => {
            dict.set_item("stage", stage_name(stage))?;
            dict.set_item("level", level)?;
            dict.set_item("index", index)?;
            dict.set_item("at", at.0)?;
            dict.set_item("raw", raw)?;
            "entry"
        }
        Step::Set { stage, level, at, bits } => {
            dict.set_item("stage", stage_name(stage))?;
            dict.set_item("level", level)?;
            dict.set_item("at", at.0)?;
            dict.set_item("bits", bits)?;
            "set"
        }
        Step::Pml { gpa, index } => {
            dict.set_item("gpa", gpa.0)?;
            dict.set_item("index", index)?;
            "pml"
        }
        Step::Restart => "restart",
    };
    dict.set_item("step", name)?;
    Ok(dict)
}

pub(super) fn counters(counters: &siov_mmu::Counters) -> Vec<(&'static str, u64)> {
    let siov_mmu::Counters {
        dtlb_lookups,
        dtlb_hits,
        itlb_lookups,
        itlb_hits,
        walks,
        walk_restarts,
        guest_reads,
        ept_reads,
        psc_hits,
        gpa_tlb_lookups,
        gpa_tlb_hits,
        ept_psc_hits,
        bus_aborts,
        not_canonical,
        page_faults,
        ept_violations,
        ept_misconfigurations,
        pml_entries,
        pml_full,
        vm_entries,
        vm_exits,
        mov_cr3_noflush,
        flushes,
        flushed_lines,
    } = *counters;
    let siov_mmu::Flushes {
        mov_cr3,
        mov_cr4,
        invlpg,
        invpcid,
        invvpid,
        invept,
        vm_entry,
        vm_exit,
        page_fault,
        ept_violation,
    } = flushes;
    vec![
        ("dtlb_lookups", dtlb_lookups),
        ("dtlb_hits", dtlb_hits),
        ("itlb_lookups", itlb_lookups),
        ("itlb_hits", itlb_hits),
        ("walks", walks),
        ("walk_restarts", walk_restarts),
        ("guest_reads", guest_reads),
        ("ept_reads", ept_reads),
        ("psc_hits", psc_hits),
        ("gpa_tlb_lookups", gpa_tlb_lookups),
        ("gpa_tlb_hits", gpa_tlb_hits),
        ("ept_psc_hits", ept_psc_hits),
        ("bus_aborts", bus_aborts),
        ("not_canonical", not_canonical),
        ("page_faults", page_faults),
        ("ept_violations", ept_violations),
        ("ept_misconfigurations", ept_misconfigurations),
        ("pml_entries", pml_entries),
        ("pml_full", pml_full),
        ("vm_entries", vm_entries),
        ("vm_exits", vm_exits),
        ("mov_cr3_noflush", mov_cr3_noflush),
        ("flush_mov_cr3", mov_cr3),
        ("flush_mov_cr4", mov_cr4),
        ("flush_invlpg", invlpg),
        ("flush_invpcid", invpcid),
        ("flush_invvpid", invvpid),
        ("flush_invept", invept),
        ("flush_vm_entry", vm_entry),
        ("flush_vm_exit", vm_exit),
        ("flush_page_fault", page_fault),
        ("flush_ept_violation", ept_violation),
        ("flushed_lines", flushed_lines),
    ]
}
