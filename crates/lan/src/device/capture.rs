//! Recording of frames at the device's VSIs and ports.

use std::sync::Arc;

use siov_port::capture::Recording;

use super::{Nic, NicError};
use crate::stats::PORTS;
use crate::tap::{Point, Tap};

impl Nic {
    /// Records what passes at a VSI, whether there is one of that number yet or not, or at a port.
    ///
    /// # Errors
    /// [`NicError::Port`] for a port that no device has.
    pub fn capture(&self, point: Point, tap: Tap) -> Result<(), NicError> {
        if let Point::Port(port) = point
            && usize::from(port) >= PORTS
        {
            return Err(NicError::Port(port.into()));
        }
        self.device.path.change(|tables| tables.change_taps(|taps| taps.add(point, tap)));
        Ok(())
    }

    /// Records there no more, into this file or any; how many recordings ended. No frame comes afterwards, and
    /// those of before are in their files.
    pub fn capture_stop(&self, point: Point, from: Option<&Arc<Recording>>) -> usize {
        self.device.path.change(|tables| tables.change_taps(|taps| taps.remove(point, from)))
    }
}
