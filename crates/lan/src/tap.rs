//! Recording of frames as a VSI or a port has them.

use std::collections::HashMap;
use std::sync::Arc;

use siov_port::capture::{Direction, Recording};
use siov_switch::VsiId;

/// Where frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// What a VSI sends, with its offloads done, as it goes into the switch; and what it receives, as it comes
    /// out of the switch, with its tags.
    Vsi(VsiId),
    /// What a port sends and receives.
    Port(u8),
}

/// An interface of a file, for the frames of a point.
#[derive(Clone, Debug)]
pub struct Tap {
    /// The file.
    pub recording: Arc<Recording>,
    /// What [`Recording::interface`] gave.
    pub interface: u32,
    /// What is said about each frame.
    pub comment: Option<Arc<str>>,
    /// Also frames that did not pass, with the reason; else as many are recorded as counters count.
    pub drops: bool,
}

impl Tap {
    fn record(&self, direction: Direction, frame: &[u8], why: Option<&str>) {
        let both;
        let comment = match (self.comment.as_deref(), why) {
            (Some(comment), Some(why)) => {
                both = format!("{comment}; {why}");
                Some(both.as_str())
            }
            (comment, why) => comment.or(why),
        };
        self.recording.record(self.interface, direction, frame, comment);
    }
}

/// All that are recorded, by where.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    points: HashMap<Point, Vec<Tap>>,
    /// Each file once.
    recordings: Vec<Arc<Recording>>,
}

impl Taps {
    /// Records what passes there from now on.
    pub fn add(&mut self, point: Point, tap: Tap) {
        self.points.entry(point).or_default().push(tap);
        self.collect();
    }

    /// Records it no more, into this file or any; how many taps went.
    pub fn remove(&mut self, point: Point, from: Option<&Arc<Recording>>) -> usize {
        let Some(taps) = self.points.get_mut(&point) else { return 0 };
        let before = taps.len();
        taps.retain(|tap| from.is_some_and(|from| !Arc::ptr_eq(from, &tap.recording)));
        let gone = before - taps.len();
        if taps.is_empty() {
            self.points.remove(&point);
        }
        self.collect();
        gone
    }

    fn collect(&mut self) {
        self.recordings.clear();
        for tap in self.points.values().flatten() {
            if !self.recordings.iter().any(|known| Arc::ptr_eq(known, &tap.recording)) {
                self.recordings.push(Arc::clone(&tap.recording));
            }
        }
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// A frame has passed; `why` it goes no further, if it does not.
    #[cold]
    pub fn passed(&self, point: Point, direction: Direction, frame: &[u8], why: Option<&str>) {
        for tap in self.points.get(&point).into_iter().flatten() {
            tap.record(direction, frame, why);
        }
    }

    /// A frame has not passed.
    #[cold]
    pub fn missed(&self, point: Point, direction: Direction, frame: &[u8], why: &str) {
        for tap in self.points.get(&point).into_iter().flatten().filter(|tap| tap.drops) {
            tap.record(direction, frame, Some(why));
        }
    }

    /// The batch ends: its frames go into the files.
    #[cold]
    pub fn flush(&self) {
        self.recordings.iter().for_each(|recording| recording.flush());
    }
}
