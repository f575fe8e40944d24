//! The adapter, for Python: accesses, and what firmware does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyOSError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyDict, PyTuple};
use siov_bus::Rid;
use siov_lan::{
    Allowed, Event, Forward, Nic, NicConfig, NicError, Point, ResetKind, RuleKey, Space, Tap,
};
use siov_port::capture::Interface;
use siov_spec::RegFile;
use siov_spec::pcie::{ats, common_header::COMMAND, msix, pasid};
use siov_switch::{DropReason, RuleError, VsiId};

use crate::bus::PyBus;
use crate::capture::{PyCapture, point};
use crate::iommu::geometry;
use crate::port::{PyClock, PyPort, unusable};
use crate::regfile::PyRegFile;

/// An E810-like adapter.
#[pyclass(frozen, module = "siov._core", name = "Nic")]
pub struct PyNic {
    pub nic: Arc<Nic>,
    config: Arc<Mutex<RegFile>>,
}

fn error(error: NicError) -> PyErr {
    let text = error.to_string();
    match error {
        NicError::Register(_) | NicError::Element { .. } => PyKeyError::new_err(text),
        NicError::Rule(RuleError::Full) => PyOverflowError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

fn reset_kind(name: &str) -> PyResult<ResetKind> {
    let found = ResetKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let known = ResetKind::ALL.map(ResetKind::name).join(", ");
        PyValueError::new_err(format!("there is no reset {name:?}; there are {known}"))
    })
}

fn mac(bytes: &[u8]) -> PyResult<[u8; 6]> {
    bytes.try_into().map_err(|_| PyValueError::new_err("a MAC address has 6 bytes"))
}

/// ("vsi", number), ("list", number), ("queue", number, log2), ("drop",), ("prune", list).
fn forward(given: &Bound<'_, PyTuple>) -> PyResult<Forward> {
    let number = |n: usize| given.get_item(n).and_then(|item| item.extract::<u16>());
    match given.get_item(0)?.extract::<String>()?.as_str() {
        "vsi" => Ok(Forward::Vsi(number(1)?)),
        "list" | "prune" => Ok(Forward::List(number(1)?)),
        "queue" => Ok(Forward::Queue(number(1)?, given.get_item(2)?.extract()?)),
        "drop" => Ok(Forward::Drop),
        other => Err(PyValueError::new_err(format!(
            "a rule forwards to vsi, list, queue, prune or drop, not {other:?}"
        ))),
    }
}

// What waits for a worker's batch is done with the interpreter let go.
#[pymethods]
impl PyNic {
    #[new]
    #[pyo3(signature = (config, bus, clock, *, ims = 0, workers = 1, atc = None,
                        flows = (2048, 14336), seed = 0))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn new(
        config: &PyRegFile,
        bus: &PyBus,
        clock: &PyClock,
        ims: u32,
        workers: usize,
        atc: Option<&Bound<'_, PyAny>>,
        flows: (u16, u16),
        seed: u64,
    ) -> PyResult<Self> {
        if !(1..=64).contains(&workers) {
            return Err(PyValueError::new_err(format!("{workers} workers; a device has 1 to 64")));
        }
        let flows = Space { guaranteed: flows.0, best_effort: flows.1 };
        let mut given = NicConfig { ims, workers, flows, seed, ..NicConfig::default() };
        if let Some(atc) = atc {
            given.atc = geometry(atc)?;
        }
        let nic = Nic::new(Arc::clone(&bus.bus), Rid(0), clock.clock.clone(), &given);
        let nic = Arc::new(nic.map_err(error)?);
        let new = Self { nic, config: Arc::clone(&config.shared) };
        new.names()?;
        Ok(new)
    }

    fn bar_read<'py>(
        &self,
        py: Python<'py>,
        bar: u32,
        offset: u32,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut data = vec![0; size];
        py.detach(|| self.nic.bar_read(bar, offset, &mut data));
        Ok(PyBytes::new(py, &data))
    }

    fn bar_write(&self, py: Python<'_>, bar: u32, offset: u32, data: Vec<u8>) {
        py.detach(|| self.nic.bar_write(bar, offset, &data));
    }

    fn config_changed(&self, py: Python<'_>, rid: u16) -> PyResult<()> {
        let [command, ats, pasid, msix] = self.names()?;
        let allowed = {
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            let msix = msix::CONTROL(config.get(msix, 0) as u16);
            Allowed {
                bus_master: COMMAND(config.get(command, 0) as u16).BME(),
                ats: ats::CTL(config.get(ats, 0) as u16).E(),
                pasid: pasid::CTL(config.get(pasid, 0) as u16).E(),
                msix: msix.EN(),
                msix_mask: msix.MASK(),
            }
        };
        py.detach(|| self.nic.configure(Rid(rid), &allowed));
        Ok(())
    }

    #[pyo3(signature = (name, index = 0))]
    fn get(&self, py: Python<'_>, name: &str, index: u32) -> PyResult<u64> {
        py.detach(|| self.nic.register(name, index)).map_err(error)
    }

    #[pyo3(signature = (name, value, index = 0))]
    fn set(&self, py: Python<'_>, name: &str, value: u64, index: u32) -> PyResult<()> {
        py.detach(|| self.nic.set_register(name, value, index)).map_err(error)
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.nic.take_events().into_iter().map(|event| told(py, event)).collect()
    }

    fn wait_events(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(py.detach(|| self.nic.wait_events(timeout)))
    }

    fn raise_fw(&self, py: Python<'_>) {
        py.detach(|| self.nic.raise_fw());
    }

    fn raise_oicr(&self, py: Python<'_>, causes: u32) {
        py.detach(|| self.nic.raise_oicr(causes));
    }

    fn reset(&self, py: Python<'_>, kind: &str) -> PyResult<()> {
        let kind = reset_kind(kind)?;
        py.detach(|| self.nic.reset(kind));
        Ok(())
    }

    fn reset_vsi(&self, py: Python<'_>, vsi: u16) -> PyResult<()> {
        py.detach(|| self.nic.reset_vsi(vsi)).map_err(error)
    }

    fn set_vsi(&self, py: Python<'_>, vsi: u16, kind: u8, properties: &[u8]) -> PyResult<()> {
        py.detach(|| self.nic.set_vsi(vsi, kind, properties)).map_err(error)
    }

    fn free_vsi(&self, py: Python<'_>, vsi: u16) -> PyResult<()> {
        py.detach(|| self.nic.free_vsi(vsi)).map_err(error)
    }

    fn tx_enable(&self, py: Python<'_>, queue: u16, context: &[u8]) -> PyResult<()> {
        py.detach(|| self.nic.tx_enable(queue, context)).map_err(error)
    }

    fn tx_disable(&self, py: Python<'_>, queue: u16) {
        py.detach(|| self.nic.tx_disable(queue));
    }

    #[pyo3(signature = (*, tx, lookup, source, mac, vlan, ethertype, forward, lan, loopback))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn add_rule(
        &self,
        py: Python<'_>,
        tx: bool,
        lookup: u8,
        source: u16,
        mac: Option<&[u8]>,
        vlan: Option<u16>,
        ethertype: Option<u16>,
        forward: &Bound<'_, PyTuple>,
        lan: bool,
        loopback: bool,
    ) -> PyResult<u16> {
        let mac = mac.map(self::mac).transpose()?;
        let key = RuleKey { tx, lookup, source, mac, vlan, ethertype };
        let to = self::forward(forward)?;
        py.detach(|| self.nic.add_rule(&key, to, lan, loopback)).map_err(error)
    }

    #[pyo3(signature = (rule, *, forward, lan, loopback))]
    fn update_rule(
        &self,
        py: Python<'_>,
        rule: u16,
        forward: &Bound<'_, PyTuple>,
        lan: bool,
        loopback: bool,
    ) -> PyResult<()> {
        let to = self::forward(forward)?;
        py.detach(|| self.nic.update_rule(rule, to, lan, loopback)).map_err(error)
    }

    fn remove_rule(&self, py: Python<'_>, rule: u16) -> PyResult<()> {
        py.detach(|| self.nic.remove_rule(rule)).map_err(error)
    }

    fn set_vsi_list(&self, py: Python<'_>, number: u16, vsis: Vec<u16>) -> PyResult<()> {
        py.detach(|| self.nic.set_vsi_list(number, &vsis)).map_err(error)
    }

    fn set_rss_key(&self, py: Python<'_>, vsi: u16, key: &[u8]) -> PyResult<()> {
        py.detach(|| self.nic.set_rss_key(vsi, key)).map_err(error)
    }

    fn set_rss_lut(&self, py: Python<'_>, vsi: u16, table: &[u8]) -> PyResult<()> {
        py.detach(|| self.nic.set_rss_lut(vsi, table)).map_err(error)
    }

    fn set_rss_fields(
        &self,
        py: Python<'_>,
        vsi: u16,
        level: u8,
        groups: Vec<u64>,
    ) -> PyResult<()> {
        py.detach(|| self.nic.set_rss_fields(vsi, level, &groups)).map_err(error)
    }

    fn set_flow_profile(
        &self,
        py: Python<'_>,
        profile: u8,
        group: u8,
        level: u8,
        fields: u64,
    ) -> PyResult<()> {
        py.detach(|| self.nic.set_flow_profile(profile, group, level, fields)).map_err(error)
    }

    fn set_flow_profile_vsi(
        &self,
        py: Python<'_>,
        profile: u8,
        vsi: u16,
        on: bool,
    ) -> PyResult<()> {
        py.detach(|| self.nic.set_flow_profile_vsi(profile, vsi, on)).map_err(error)
    }

    #[pyo3(signature = (vsi = None))]
    fn clear_filters(&self, py: Python<'_>, vsi: Option<u16>) -> PyResult<()> {
        py.detach(|| self.nic.clear_filters(vsi)).map_err(error)
    }

    fn set_vlan_mode(&self, py: Python<'_>, double: bool) {
        py.detach(|| self.nic.set_vlan_mode(double));
    }

    fn set_link(&self, py: Python<'_>, port: u8, up: bool, speed: u32) -> PyResult<()> {
        py.detach(|| self.nic.set_link(port, up, speed)).map_err(error)
    }

    fn set_loopback(&self, py: Python<'_>, port: u8, on: bool) -> PyResult<()> {
        py.detach(|| self.nic.set_loopback(port, on)).map_err(error)
    }

    fn link_present(&self, py: Python<'_>, port: u8) -> bool {
        py.detach(|| self.nic.link_present(port))
    }

    fn set_mac(&self, py: Python<'_>, port: u8, mac: &[u8]) -> PyResult<()> {
        let mac = self::mac(mac)?;
        py.detach(|| self.nic.set_mac(port, mac)).map_err(error)
    }

    fn set_max_frame(&self, py: Python<'_>, port: u8, size: u16) -> PyResult<()> {
        py.detach(|| self.nic.set_max_frame(port, size)).map_err(error)
    }

    #[pyo3(signature = (number, port))]
    fn attach_port(&self, py: Python<'_>, number: u8, port: Option<&PyPort>) -> PyResult<()> {
        let port = port.map(|port| Arc::clone(&port.port));
        py.detach(|| self.nic.attach_port(number, port)).map_err(error)
    }

    #[pyo3(signature = (target, writer, *, name = None, description = None, comment = None,
                        drops = false))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn capture(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyTuple>,
        writer: &PyCapture,
        name: Option<&str>,
        description: Option<&str>,
        comment: Option<&str>,
        drops: bool,
    ) -> PyResult<()> {
        let point = point(target)?;
        let (called, port) = match point {
            Point::Vsi(vsi) => (format!("vsi{}", vsi.number()), None),
            Point::Port(port) => (format!("port{port}"), self.nic.path().port(port)),
        };
        let interface = Interface {
            name: name.unwrap_or(&called),
            mbps: port.map_or(0, |port| port.speed()),
            description,
        };
        let recording = Arc::clone(&writer.recording);
        py.detach(|| {
            let interface = recording.interface(&interface).map_err(unusable)?;
            let tap = Tap { recording, interface, comment: comment.map(Arc::from), drops };
            self.nic.capture(point, tap).map_err(error)
        })
    }

    #[pyo3(signature = (target, writer = None))]
    fn capture_stop(
        &self,
        py: Python<'_>,
        target: &Bound<'_, PyTuple>,
        writer: Option<&PyCapture>,
    ) -> PyResult<usize> {
        let point = point(target)?;
        let from = writer.map(|writer| &writer.recording);
        Ok(py.detach(|| self.nic.capture_stop(point, from)))
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.nic.start()).map_err(|error| PyOSError::new_err(error.to_string()))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.nic.stop());
    }

    fn pump(&self, py: Python<'_>) -> bool {
        py.detach(|| self.nic.pump())
    }

    fn next_deadline(&self, py: Python<'_>) -> Option<u64> {
        py.detach(|| self.nic.next_deadline())
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let path = self.nic.path();
        let vsis = py.detach(|| {
            let ids = path.look(|t| t.vsis().map(|v| (v.id, v.pasid)).collect::<Vec<_>>());
            ids.into_iter()
                .map(|(id, pasid)| (id, pasid, path.vsi_counters(id)))
                .collect::<Vec<_>>()
        });
        let (rules, drops) = py.detach(|| (path.look(|t| t.switch.rules().count()), path.drops()));
        let filters = py.detach(|| path.look_flows(|flows| flows.filters().count()));
        let traffic = py.detach(|| self.nic.requester().traffic());
        let of_vsis = PyDict::new(py);
        for (id, pasid, counters) in vsis {
            let row = PyDict::new(py);
            row.set_item("pasid", pasid.map(|pasid| pasid.0))?;
            row.set_item("rx_frames", counters.rx.frames())?;
            row.set_item("rx_bytes", counters.rx.bytes)?;
            row.set_item("rx_no_desc", counters.rx_no_desc)?;
            row.set_item("rx_errors", counters.rx_errors)?;
            row.set_item("rx_filtered", counters.rx_filtered)?;
            row.set_item("tx_frames", counters.tx.frames())?;
            row.set_item("tx_bytes", counters.tx.bytes)?;
            row.set_item("tx_errors", counters.tx_errors)?;
            of_vsis.set_item(VsiId::number(id), row)?;
        }
        let dropped = PyDict::new(py);
        for (reason, count) in DropReason::ALL.iter().zip(drops).filter(|(_, count)| *count != 0) {
            dropped.set_item(reason.name(), count)?;
        }
        let atc = PyDict::new(py);
        atc.set_item("lookups", traffic.atc.lookups)?;
        atc.set_item("hits", traffic.atc.hits)?;
        atc.set_item("requests", traffic.atc.requests)?;
        atc.set_item("invalidations", traffic.atc.invalidations)?;
        atc.set_item("held", traffic.held)?;
        let port = py.detach(|| path.port_counters(0));
        let counters = PyDict::new(py);
        counters.set_item("sent", port.tx.frames())?;
        counters.set_item("sent_bytes", port.tx.bytes)?;
        counters.set_item("received", port.rx.frames())?;
        counters.set_item("received_bytes", port.rx.bytes)?;
        counters.set_item("dropped_link_down", port.tx_down + port.rx_down)?;
        counters.set_item("dropped_length", port.rx_short + port.rx_long)?;
        let moderated = py.detach(|| self.nic.moderated());
        let interrupts = PyDict::new(py);
        interrupts.set_item("events", moderated.events)?;
        interrupts.set_item("interrupts", moderated.interrupts)?;
        interrupts.set_item("delayed", moderated.delayed)?;
        interrupts.set_item("disabled", moderated.disabled)?;
        let dict = PyDict::new(py);
        dict.set_item("vsis", of_vsis)?;
        dict.set_item("rules", rules)?;
        dict.set_item("filters", filters)?;
        dict.set_item("dropped", dropped)?;
        dict.set_item("atc", atc)?;
        dict.set_item("interrupts", interrupts)?;
        let ports = [("port0", [("counters", counters)].into_py_dict(py)?)].into_py_dict(py)?;
        dict.set_item("ports", ports)?;
        Ok(dict)
    }
}

impl PyNic {
    /// The ids of the registers that say what the function may do.
    fn names(&self) -> PyResult<[u16; 4]> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let id = |name: &str| {
            let found = config.layout().id(name);
            found.ok_or_else(|| {
                PyValueError::new_err(format!("the configuration space has no register {name}"))
            })
        };
        Ok([id("COMMAND")?, id("Ats.CTL")?, id("Pasid.CTL")?, id("Msix.CONTROL")?])
    }
}

fn told(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::AdminQueue => ("admin-queue",).into_pyobject(py),
        Event::Reset(kind) => ("reset", kind.name()).into_pyobject(py),
        Event::VsiReset(vsi) => ("vsi-reset", vsi).into_pyobject(py),
        Event::Malicious { vsi, queue, malice, .. } => {
            ("malicious", vsi, queue, malice.name()).into_pyobject(py)
        }
        Event::Mailbox(vsi) => ("malicious", vsi, py.None(), "mailbox").into_pyobject(py),
        Event::Link { port, up } => ("link", port, up).into_pyobject(py),
    }
}
