//! The rings of embedded guests and their traffic, for Python.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use siov_bus::Bus;
use siov_iavf::{
    Checked, Exit, Flow, Guest, GuestConfig, GuestLoop, GuestResults, Load, LoopError, Mac, Mmio,
    PairConfig, Parked, RingCounters, RxConfig, Rxdid, SenderResults, Tag, Totals, Traffic,
    Transport, TxConfig, load_frames,
};

use crate::bus::PyBus;
use crate::eventfd::hold;
use crate::mmu::{PyCpuCore, fault_dict};
use crate::port::PyClock;

/// What is asked for most often.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// Many guests on one thread.
#[pyclass(frozen, module = "siov._core", name = "GuestLoop")]
pub struct PyGuestLoop {
    pub guests: Arc<GuestLoop>,
}

pub fn error(error: LoopError) -> PyErr {
    let text = error.to_string();
    match error {
        LoopError::NoGuest(_) => PyKeyError::new_err(text),
        LoopError::System(_) => PyOSError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

fn mac(bytes: &[u8]) -> PyResult<Mac> {
    bytes.try_into().map_err(|_| PyValueError::new_err("a MAC address has 6 bytes"))
}

fn seconds(value: f64, what: &str) -> PyResult<Duration> {
    let time = Duration::try_from_secs_f64(value);
    time.map_err(|_| PyValueError::new_err(format!("{value} s is no {what}")))
}

// The loop may hold its guests for a turn, so it is waited for with the interpreter let go.
#[pymethods]
impl PyGuestLoop {
    #[new]
    fn new(bus: &PyBus, clock: &PyClock) -> PyResult<Self> {
        let memory = Arc::clone(bus.bus.memory());
        let mmio: Arc<Bus> = Arc::clone(&bus.bus);
        let guests = GuestLoop::new(memory, mmio as Arc<dyn Mmio>, clock.clock.clone());
        Ok(Self { guests: Arc::new(guests.map_err(error)?) })
    }

    #[pyo3(signature = (cpu, mac, *, direct_map = 0, seed = 0, echo = false, vlan = None,
                        tag = None, tag_in_context = false))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn add(
        &self,
        py: Python<'_>,
        cpu: &PyCpuCore,
        mac: &[u8],
        direct_map: u64,
        seed: u64,
        echo: bool,
        vlan: Option<u16>,
        tag: Option<u16>,
        tag_in_context: bool,
    ) -> PyResult<u32> {
        let mac = self::mac(mac)?;
        let tag = tag_of(tag, tag_in_context);
        let config = GuestConfig { mac, direct_map, seed, echo, vlan, tag };
        let guest = Guest::new(Arc::new(cpu.share()), config);
        Ok(py.detach(|| self.guests.add(guest)))
    }

    fn remove<'py>(&self, py: Python<'py>, guest: u32) -> PyResult<Bound<'py, PyDict>> {
        let guest = py.detach(|| self.guests.remove(guest)).map_err(error)?;
        results(py, &guest.results())
    }

    #[pyo3(signature = (guest, *, tx_ring, tx_entries, tx_buffers, tx_tail, rx_ring, rx_entries,
                        rx_buffers, rx_tail, dyn_ctl, eventfd, buffer = 2048, rxdid = 1, itr = None))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn add_pair(
        &self,
        py: Python<'_>,
        guest: u32,
        tx_ring: u64,
        tx_entries: u16,
        tx_buffers: u64,
        tx_tail: u64,
        rx_ring: u64,
        rx_entries: u16,
        rx_buffers: u64,
        rx_tail: u64,
        dyn_ctl: u64,
        eventfd: RawFd,
        buffer: u32,
        rxdid: u8,
        itr: Option<u16>,
    ) -> PyResult<usize> {
        let rxdid = Rxdid::from_number(rxdid).ok_or_else(|| {
            PyValueError::new_err(format!("RXDID {rxdid}: 1 (or 0), 2 and 22 are known"))
        })?;
        let (ring, entries, buffers, tail) = (tx_ring, tx_entries, tx_buffers, tx_tail);
        let tx = TxConfig { ring, entries, buffers, buffer, tail };
        let (ring, entries, buffers, tail) = (rx_ring, rx_entries, rx_buffers, rx_tail);
        let rx = RxConfig { ring, entries, buffers, buffer, tail, rxdid };
        let pair = PairConfig { tx, rx, dyn_ctl, itr };
        let fd = hold(eventfd)?;
        py.detach(|| self.guests.add_pair(guest, &pair, fd)).map_err(error)
    }

    fn clear_pairs(&self, py: Python<'_>, guest: u32) -> PyResult<()> {
        py.detach(|| self.guests.clear_pairs(guest)).map_err(error)
    }

    #[pyo3(signature = (guest, kind, to, *, flows = 1, sizes = None, count = None, rate = None, burst = 32,
                        v6 = false, offload = true, ip_checksum = false, tag = None,
                        tag_in_context = false, seed = 0, depth = 1, timeout = 1.0, window = 262_144,
                        chunk = 1448, mss = None, path = None, addresses = None))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn send(
        &self,
        py: Python<'_>,
        guest: u32,
        kind: &str,
        to: &[u8],
        flows: u32,
        sizes: Option<Vec<u16>>,
        count: Option<u64>,
        rate: Option<u64>,
        burst: u32,
        v6: bool,
        offload: bool,
        ip_checksum: bool,
        tag: Option<u16>,
        tag_in_context: bool,
        seed: u64,
        depth: u32,
        timeout: f64,
        window: u32,
        chunk: u32,
        mss: Option<u16>,
        path: Option<PathBuf>,
        addresses: Option<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<usize> {
        let timeout = seconds(timeout, "timeout")?;
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let traffic = match kind {
            "generate" => Traffic::Generate,
            "request" => Traffic::Request { depth, timeout },
            "stream" => stream(window, chunk, mss, timeout)?,
            "replay" => Traffic::Replay { frames: frames(py, path, addresses)? },
            _ => {
                let message =
                    format!("traffic {kind:?}: generate, request, stream and replay are known");
                return Err(PyValueError::new_err(message));
            }
        };
        let sizes = sizes.unwrap_or_else(|| vec![1514]);
        if !(1..=60_000).contains(&flows) || sizes.is_empty() || sizes.iter().any(|n| *n > 9728) {
            let message = "1 to 60000 flows; sizes of up to 9728 bytes, one at least";
            return Err(PyValueError::new_err(message));
        }
        let load = Load {
            traffic,
            to: mac(to)?,
            flows,
            sizes,
            count,
            rate,
            burst,
            v6,
            offload,
            ip_checksum,
            tag: tag_of(tag, tag_in_context),
            seed,
        };
        let added = py.detach(|| self.guests.with(guest, |one| one.add_load(load)));
        added.map_err(error)?.ok_or_else(|| error(LoopError::Loads(guest)))
    }

    #[pyo3(signature = (guest, path, addresses = None))]
    fn expect(
        &self,
        py: Python<'_>,
        guest: u32,
        path: PathBuf,
        addresses: Option<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<()> {
        let frames = frames(py, Some(path), addresses)?;
        py.detach(|| self.guests.with(guest, |one| one.expect(frames))).map_err(error)
    }

    fn clear_loads(&self, py: Python<'_>, guest: u32) -> PyResult<()> {
        py.detach(|| self.guests.with(guest, Guest::clear_loads)).map_err(error)
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<(bool, Vec<Bound<'py, PyDict>>)> {
        let turn = py.detach(|| self.guests.step()).map_err(error)?;
        Ok((turn.worked, parked(py, &turn.parked)?))
    }

    fn run<'py>(&self, py: Python<'py>, time: f64) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let time = seconds(time, "time to run")?;
        let stopped = py.detach(|| self.guests.run(time)).map_err(error)?;
        parked(py, &stopped)
    }

    fn stop(&self) {
        self.guests.stop();
    }

    #[pyo3(signature = (guest, done = false))]
    fn resume(&self, py: Python<'_>, guest: u32, done: bool) -> PyResult<()> {
        py.detach(|| self.guests.resume(guest, done)).map_err(error)
    }

    fn results<'py>(&self, py: Python<'py>, guest: u32) -> PyResult<Bound<'py, PyDict>> {
        let found = py.detach(|| self.guests.with(guest, |one| one.results())).map_err(error)?;
        results(py, &found)
    }

    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (guest, found) in py.detach(|| self.guests.each(|one| one.totals())) {
            let Totals { tx_frames, tx_bytes, answered, rx_frames, rx_bytes, .. } = found;
            let Totals { wrong, interrupts, polls, tx_full, .. } = found;
            let counts = [
                ("tx_frames", tx_frames),
                ("tx_bytes", tx_bytes),
                ("answered", answered),
                ("rx_frames", rx_frames),
                ("rx_bytes", rx_bytes),
                ("wrong", wrong),
                ("interrupts", interrupts),
                ("polls", polls),
                ("tx_full", tx_full),
            ];
            all.set_item(guest, counted(py, &counts)?)?;
        }
        Ok(all)
    }

    fn flows<'py>(&self, py: Python<'py>, guest: u32) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let flows = py.detach(|| self.guests.with(guest, |one| one.flows())).map_err(error)?;
        flows.iter().map(|(flow, next, missing)| flow_dict(py, flow, *next, *missing)).collect()
    }
}

fn tag_of(tag: Option<u16>, in_context: bool) -> Option<Tag> {
    tag.map(|tag| if in_context { Tag::L2tag2(tag) } else { Tag::L2tag1(tag) })
}

fn stream(window: u32, chunk: u32, mss: Option<u16>, timeout: u64) -> PyResult<Traffic> {
    let most = if mss.is_some() { 65_000 } else { 9_650 };
    let right = (64..=most).contains(&chunk)
        && chunk <= window
        && mss.is_none_or(|mss| (64..=9_650).contains(&mss));
    if !right {
        let message = "a chunk has 64 to 9650 bytes, or with mss (64 to 9650) up to 65000, and fits the window";
        return Err(PyValueError::new_err(message));
    }
    Ok(Traffic::Stream { window, chunk, mss, timeout })
}

fn frames(
    py: Python<'_>,
    path: Option<PathBuf>,
    addresses: Option<(Vec<u8>, Vec<u8>)>,
) -> PyResult<Arc<[Vec<u8>]>> {
    let path = path.ok_or_else(|| PyValueError::new_err("a replay needs the path of a capture"))?;
    let addresses = addresses.map(|(from, to)| Ok::<_, PyErr>((mac(&from)?, mac(&to)?)));
    let addresses = addresses.transpose()?;
    let frames = py.detach(|| load_frames(path, addresses));
    frames.map(Arc::from).map_err(|error| PyValueError::new_err(error.to_string()))
}

pub fn parked<'py>(py: Python<'py>, parked: &[Parked]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let each = parked.iter().map(|one| {
        let dict = match one.exit {
            Exit::NotRunning => {
                let dict = PyDict::new(py);
                dict.set_item("fault", "not-running")?;
                dict.set_item("exit_reason", py.None())?;
                dict
            }
            Exit::Fault { fault, value } => {
                let dict = fault_dict(py, &fault)?;
                dict.set_item("value", value)?;
                dict
            }
        };
        dict.set_item("guest", one.guest)?;
        Ok(dict)
    });
    each.collect()
}

fn flow_dict<'py>(
    py: Python<'py>,
    flow: &Flow,
    next: u64,
    missing: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("src", PyBytes::new(py, &flow.src))?;
    dict.set_item("dst", PyBytes::new(py, &flow.dst))?;
    dict.set_item("flow", flow.id)?;
    dict.set_item("ip", if flow.v6 { 6 } else { 4 })?;
    let kind = match flow.transport {
        Transport::Tcp => "stream",
        Transport::Udp { echo: true } => "request",
        Transport::Udp { echo: false } => "generate",
    };
    dict.set_item("kind", kind)?;
    dict.set_item("next", next)?;
    dict.set_item("missing", missing)?;
    Ok(dict)
}

fn results<'py>(py: Python<'py>, found: &GuestResults) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("checked", checked(py, &found.checked)?)?;
    dict.set_item("rings", rings(py, &found.rings)?)?;
    let senders = found.senders.iter().zip(&found.done);
    let senders =
        senders.map(|(one, done)| sender(py, one, *done)).collect::<PyResult<Vec<_>>>()?;
    dict.set_item("senders", senders)?;
    dict.set_item("answers_dropped", found.answers_dropped)?;
    dict.set_item("under_way", found.under_way)?;
    dict.set_item("exits", found.exits)?;
    Ok(dict)
}

fn counted<'py>(py: Python<'py>, counts: &[(&str, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    counts.iter().try_for_each(|(name, count)| dict.set_item(name, count))?;
    Ok(dict)
}

fn checked<'py>(py: Python<'py>, found: &Checked) -> PyResult<Bound<'py, PyDict>> {
    let Checked {
        frames,
        bytes,
        in_order,
        lost,
        duplicated,
        reordered,
        corrupt,
        foreign,
        wrong_tag,
        wrong_status,
        untracked,
    } = *found;
    counted(
        py,
        &[
            ("frames", frames),
            ("bytes", bytes),
            ("in_order", in_order),
            ("lost", lost),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("corrupt", corrupt),
            ("foreign", foreign),
            ("wrong_tag", wrong_tag),
            ("wrong_status", wrong_status),
            ("untracked", untracked),
        ],
    )
}

fn rings<'py>(py: Python<'py>, found: &RingCounters) -> PyResult<Bound<'py, PyDict>> {
    let RingCounters {
        interrupts,
        polls,
        exhausted,
        rx_frames,
        rx_oversize,
        tx_frames,
        tx_done,
        tx_full,
        tx_strange,
        doorbells,
    } = *found;
    counted(
        py,
        &[
            ("interrupts", interrupts),
            ("polls", polls),
            ("exhausted", exhausted),
            ("rx_frames", rx_frames),
            ("rx_oversize", rx_oversize),
            ("tx_frames", tx_frames),
            ("tx_done", tx_done),
            ("tx_full", tx_full),
            ("tx_strange", tx_strange),
            ("doorbells", doorbells),
        ],
    )
}

fn sender<'py>(py: Python<'py>, one: &SenderResults, done: bool) -> PyResult<Bound<'py, PyDict>> {
    let SenderResults { frames, bytes, answered, timeouts, unasked, latency } = one;
    let dict = counted(
        py,
        &[
            ("frames", *frames),
            ("bytes", *bytes),
            ("answered", *answered),
            ("timeouts", *timeouts),
            ("unasked", *unasked),
        ],
    )?;
    dict.set_item("done", done)?;
    let times =
        counted(py, &[("count", latency.count()), ("min", latency.min()), ("max", latency.max())])?;
    times.set_item("mean", latency.mean())?;
    for (name, part) in QUANTILES {
        times.set_item(name, latency.quantile(part))?;
    }
    times.set_item("histogram", latency.histogram())?;
    dict.set_item("latency", times)?;
    Ok(dict)
}
