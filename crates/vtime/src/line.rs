//! How long frames take on an adapter's line.

use siov_lan::Line;

/// Nanoseconds × Mbit/s in a bit: an octet takes 8,000 / speed ns.
const OCTET: u64 = 8_000;

/// When an adapter may carry more. Its two directions pass side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    sent: Way,
    received: Way,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    /// When the last bit has passed, in whole nanoseconds.
    until: u64,
    /// What is left over, in nanoseconds × Mbit/s: never a whole nanosecond.
    rest: u64,
}

impl Pace {
    /// Frames go, at a moment at which nothing is on the line any more.
    pub fn carry(&mut self, line: Line, now: u64, speed: u64) {
        self.sent.carry(line.sent, now, speed);
        self.received.carry(line.received, now, speed);
    }

    /// From when on the adapter may carry the next frames.
    pub fn free_at(&self) -> u64 {
        self.sent.until.max(self.received.until)
    }
}

impl Way {
    fn carry(&mut self, octets: u64, now: u64, speed: u64) {
        if octets == 0 {
            return;
        }
        // Frames that follow each other at once lose nothing to rounding.
        let rest = if self.until == now { self.rest } else { 0 };
        let speed = speed.max(1);
        let time = octets.saturating_mul(OCTET).saturating_add(rest);
        // Never the same moment again: else a full line would carry for ever without time going on.
        let whole = time / speed;
        (self.until, self.rest) =
            (now.saturating_add(whole.max(1)), if whole == 0 { 0 } else { time % speed });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(octets: u64) -> Line {
        Line { sent: octets, received: 0 }
    }

    #[test]
    fn a_full_line_carries_as_many_bits_as_its_speed_says() {
        for speed in [10, 1_000, 25_000, 100_000] {
            let mut pace = Pace::default();
            let mut octets = 0;
            while pace.free_at() < 1_000_000 {
                pace.carry(sent(84), pace.free_at(), speed);
                octets += 84;
            }
            let exact = octets * OCTET / speed;
            assert_eq!(pace.free_at(), exact, "at {speed} Mbit/s");
        }
    }

    #[test]
    fn directions_pass_side_by_side() {
        let mut pace = Pace::default();
        pace.carry(Line { sent: 1_000, received: 3_000 }, 0, 1_000);
        assert_eq!(pace.free_at(), 24_000);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::default();
        pace.carry(sent(1), 0, 3_000); // 2.67 ns
        pace.carry(sent(1), 100, 3_000);
        assert_eq!(pace.free_at(), 102);
        pace.carry(sent(1), 102, 3_000); // 2.67 and 2.67
        assert_eq!(pace.free_at(), 105);
    }

    #[test]
    fn frames_take_time_however_fast_the_line_is() {
        let mut pace = Pace::default();
        pace.carry(sent(84), 7, u64::MAX);
        assert_eq!(pace.free_at(), 8);
        pace.carry(Line::default(), 9, 1);
        assert_eq!(pace.free_at(), 8);
    }
}
