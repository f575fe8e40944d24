//! Recording at the ports of a device: as many frames as its counters count, and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::Arc;

use siov_bus::{Bus, Rid};
use siov_lan::{Clock, Nic, NicConfig, NicError, Point, Tap};
use siov_mem::HostMemory;
use siov_port::capture::{Direction, Interface, Reader, Recording};
use siov_port::{Bounds, Cable, Port};

const PORT: Point = Point::Port(0);

struct Bench {
    nic: Nic,
    far: Port,
    dir: PathBuf,
}

impl Bench {
    /// A device whose port 0 has a cable to `far`.
    fn new(name: &str) -> Self {
        let bus = Bus::new(Arc::new(HostMemory::new(1 << 30)));
        let nic = Nic::new(bus, Rid(0x100), Clock::virtual_(), &NicConfig::default()).unwrap();
        let (near, far) = Cable::pair(Bounds::default()).unwrap();
        nic.attach_port(0, Some(Arc::new(Port::new(near, 100_000).unwrap()))).unwrap();
        nic.set_link(0, true, 100_000).unwrap();
        let dir = std::env::temp_dir().join(format!("siov-lan-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { nic, far: Port::new(far, 100_000).unwrap(), dir }
    }

    fn recording(&self, name: &str) -> Arc<Recording> {
        let path = self.dir.join(name);
        Arc::new(Recording::create(path, self.nic.clock().clone(), 1 << 20, None).unwrap())
    }

    fn tap(recording: &Arc<Recording>, drops: bool) -> Tap {
        let given = Interface { name: "port0", ..Interface::default() };
        let interface = recording.interface(&given).unwrap();
        Tap { recording: Arc::clone(recording), interface, comment: None, drops }
    }

    /// Frames come in, one a batch.
    fn arrive(&self, frames: usize, length: usize) {
        for _ in 0..frames {
            let mut backend = self.far.lock();
            assert!(backend.send(&vec![2; length]));
            backend.flush();
            drop(backend);
            while self.nic.pump() {}
        }
    }

    fn received(&self) -> usize {
        self.nic.path().port_counters(0).rx.frames() as usize
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The directions of the frames in a file as it is now.
fn frames(recording: &Recording) -> Vec<Direction> {
    let mut reader = Reader::open(recording.path()).unwrap();
    let mut found = vec![];
    while let Some(captured) = reader.read().unwrap() {
        found.push(captured.direction.unwrap());
    }
    found
}

#[test]
fn each_frame_that_a_port_counts_is_in_the_file_when_its_batch_ends() {
    let bench = Bench::new("counts");
    bench.arrive(2, 60);
    let recording = bench.recording("a.pcapng");
    bench.nic.capture(PORT, Bench::tap(&recording, false)).unwrap();
    bench.arrive(5, 60);
    assert_eq!(frames(&recording), [Direction::Inbound; 5]);
    assert_eq!(bench.received(), 7);
}

#[test]
fn what_did_not_pass_is_recorded_only_if_that_is_asked_for() {
    let bench = Bench::new("drops");
    let (passed, all) = (bench.recording("passed.pcapng"), bench.recording("all.pcapng"));
    bench.nic.capture(PORT, Bench::tap(&passed, false)).unwrap();
    bench.nic.capture(PORT, Bench::tap(&all, true)).unwrap();
    bench.arrive(1, 60);
    bench.nic.set_max_frame(0, 100).unwrap();
    bench.arrive(1, 101);
    bench.nic.set_link(0, false, 0).unwrap();
    bench.arrive(1, 60);
    assert_eq!((frames(&passed).len(), bench.received()), (1, 1));
    assert_eq!(frames(&all).len(), 3);
}

#[test]
fn nothing_is_recorded_once_a_capture_has_ended_and_the_other_goes_on() {
    let bench = Bench::new("stop");
    let (one, two) = (bench.recording("one.pcapng"), bench.recording("two.pcapng"));
    bench.nic.capture(PORT, Bench::tap(&one, false)).unwrap();
    bench.nic.capture(PORT, Bench::tap(&two, false)).unwrap();
    bench.arrive(1, 60);
    assert_eq!(bench.nic.capture_stop(PORT, Some(&one)), 1);
    assert_eq!(Arc::strong_count(&one), 1, "the device has let go of the file");
    bench.arrive(1, 60);
    assert_eq!(bench.nic.capture_stop(PORT, None), 1);
    assert_eq!(bench.nic.capture_stop(PORT, None), 0);
    bench.arrive(1, 60);
    assert_eq!((frames(&one).len(), frames(&two).len(), bench.received()), (1, 2, 3));
}

#[test]
fn there_is_no_capture_at_a_port_that_no_device_has() {
    let bench = Bench::new("none");
    let recording = bench.recording("a.pcapng");
    let refused = bench.nic.capture(Point::Port(8), Bench::tap(&recording, false));
    assert_eq!(refused, Err(NicError::Port(8)));
}
