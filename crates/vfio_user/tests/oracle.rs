//! The endpoint as rust-vmm's client sees it, which knows nothing of ours.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::fd::AsRawFd;

use common::{BAR_SIZE, Server, fired, memfd, new_eventfd};
use siov_mem::Iova;
use siov_vfio_user::{Delivery, pci};
use vfio_user::Client;

#[test]
fn it_finds_the_regions_as_the_device_laid_them_out() {
    let server = Server::new();
    let client = Client::new(server.path()).unwrap();
    let bar0 = client.region(0).unwrap();
    assert_eq!((bar0.size, bar0.flags), (BAR_SIZE, 0b11));
    assert_eq!(client.region(1).unwrap().flags, 0b01, "for reading only");
    assert_eq!(client.region(pci::CONFIG).unwrap().size, 256);
    assert_eq!(client.region(pci::VGA).unwrap().size, 0);
    assert!(client.region(9).is_none());
}

#[test]
fn it_gets_the_sparse_areas_and_the_file_in_the_second_step() {
    let server = Server::new();
    let client = Client::new(server.path()).unwrap();
    let bar2 = client.region(2).unwrap();
    assert_eq!(bar2.flags, 0b1111);
    let areas: Vec<_> = bar2.sparse_areas.iter().map(|a| (a.offset, a.size)).collect();
    assert_eq!(areas, [(0x1000, 0x1000), (0x3000, 0x1000)]);
    let file = bar2.file_offset.as_ref().unwrap();
    let mut byte = [0];
    rustix::io::pwrite(&*server.device.bar2, &[0x5a], 0x1234).unwrap();
    rustix::io::pread(file.file(), &mut byte, file.start() + 0x1234).unwrap();
    assert_eq!(byte, [0x5a]);
}

#[test]
fn it_reads_back_what_it_wrote_at_every_width() {
    let server = Server::new();
    let mut client = Client::new(server.path()).unwrap();
    for len in [1, 2, 4, 8, 100, 4096] {
        let data: Vec<u8> = (0..len).map(|i| (i * 3) as u8).collect();
        client.region_write(0, 0x100, &data).unwrap();
        let mut back = vec![0; len];
        client.region_read(0, 0x100, &mut back).unwrap();
        assert_eq!(back, data);
    }
    let mut config = [0; 256];
    client.region_read(pci::CONFIG, 0, &mut config).unwrap();
    assert!(config.iter().zip(0..=255).all(|(a, b)| *a == b));
}

#[test]
fn its_memory_is_the_devices_until_it_is_unmapped() {
    let server = Server::new();
    let mut client = Client::new(server.path()).unwrap();
    let memory = memfd(0x10000);
    client.dma_map(0x1000, 0x8000_0000, 0x8000, memory.as_raw_fd()).unwrap();
    let handle = server.device.client();
    handle.dma().write(Iova(0x8000_0010), b"from the device").unwrap();
    let mut seen = [0; 15];
    rustix::io::pread(&memory, &mut seen, 0x1010).unwrap();
    assert_eq!(&seen, b"from the device");
    handle.dma().copy(Iova(0x8000_0010), Iova(0x8000_0100), 15).unwrap();
    rustix::io::pread(&memory, &mut seen, 0x1100).unwrap();
    assert_eq!(&seen, b"from the device");
    client.dma_unmap(0x8000_0000, 0x8000).unwrap();
    assert!(handle.dma().read(Iova(0x8000_0000), &mut [0]).is_err());
}

#[test]
fn its_eventfds_are_signalled() {
    let server = Server::new();
    let mut client = Client::new(server.path()).unwrap();
    let info = client.get_irq_info(pci::MSIX).unwrap();
    assert_eq!((info.count, info.flags), (5, 0b1001));
    let eventfds = [new_eventfd(), new_eventfd()];
    let raw = [eventfds[0].as_raw_fd(), eventfds[1].as_raw_fd()];
    client.set_irqs(pci::MSIX, 0x24, 0, 2, &raw).unwrap();
    let irqs = server.device.client();
    assert_eq!(irqs.irqs().trigger(pci::MSIX, 1), Ok(Delivery::Signaled));
    assert_eq!((fired(&eventfds[0]), fired(&eventfds[1])), (0, 1));
}

#[test]
fn its_reset_reaches_the_device() {
    let server = Server::new();
    let mut client = Client::new(server.path()).unwrap();
    client.region_write(0, 0, &[1; 4]).unwrap();
    client.reset().unwrap();
    let mut back = [9; 4];
    client.region_read(0, 0, &mut back).unwrap();
    assert_eq!(back, [0; 4]);
    assert_eq!(server.device.log(), ["attached", "reset"]);
}
