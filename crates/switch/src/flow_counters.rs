//! What filters counted, by the counter that each names.

use crate::program::Program;

const COUNTERS: usize = 1 << 13;

/// The counters that filters name with STAT_CNT (`GLSTAT_FD_CNT`). They are apart from the filters so that every
/// worker counts into its own.
#[derive(Clone, Debug)]
pub struct FlowCounters {
    counters: Vec<[u64; 2]>,
}

impl Default for FlowCounters {
    fn default() -> Self {
        Self { counters: vec![[0; 2]; COUNTERS] }
    }
}

impl FlowCounters {
    /// Counts a packet of so many bytes, as STAT_ENA of the filter that it matched says.
    pub fn count(&mut self, program: &Program, bytes: u64) {
        if let Some([packets, total]) = self.counters.get_mut(usize::from(program.stat_cnt)) {
            *packets = packets.wrapping_add(u64::from(program.stat_pkts));
            *total = total.wrapping_add(if program.stat_bytes { bytes } else { 0 });
        }
    }

    /// Packets of a counter; 0 for a number from 8,192 on.
    pub fn packets(&self, counter: u16) -> u64 {
        self.counters.get(usize::from(counter)).map_or(0, |[packets, _]| *packets)
    }

    /// Bytes of a counter; 0 for a number from 8,192 on.
    pub fn bytes(&self, counter: u16) -> u64 {
        self.counters.get(usize::from(counter)).map_or(0, |[_, bytes]| *bytes)
    }
}
