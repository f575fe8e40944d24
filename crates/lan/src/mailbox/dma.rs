//! How a device's mailboxes reach memory: by its requests on the bus.

use siov_bus::{Dma, Iova, Pasid};

use super::{Memory, Unreachable};

impl Memory for Dma<'_> {
    fn read(&mut self, pasid: Option<Pasid>, from: Iova, to: &mut [u8]) -> Result<(), Unreachable> {
        Dma::read(self, pasid, from, to).map_err(|_| Unreachable)
    }

    fn write(&mut self, pasid: Option<Pasid>, to: Iova, from: &[u8]) -> Result<(), Unreachable> {
        Dma::write(self, pasid, to, from).map_err(|_| Unreachable)
    }
}
