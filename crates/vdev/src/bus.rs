//! The machine's bus as the way to the parent's registers.

use siov_bus::{Bus, Hpa};

use crate::Mmio;

impl Mmio for Bus {
    fn read32(&self, hpa: u64) -> Option<u32> {
        let mut data = [0; 4];
        self.mmio_read(Hpa(hpa), &mut data).then(|| u32::from_le_bytes(data))
    }

    fn write32(&self, hpa: u64, value: u32) -> bool {
        self.mmio_write(Hpa(hpa), &value.to_le_bytes()).is_some()
    }
}
