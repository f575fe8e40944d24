//! What a device hears that reaches memory and signals eventfds by itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::fd::AsFd;

use common::{
    Command, Errno, Server, dma_map, dma_unmap, eventually, memfd, new_eventfd, version_body,
};
use siov_vfio_user::pci::MSIX;

const EVENTFD_TRIGGER: u32 = 4 | 32;
const NONE_TRIGGER: u32 = 1 | 32;
const UNMAP_ALL: u32 = 2;

#[test]
fn the_device_hears_of_maps_with_and_without_a_file() {
    let server = Server::new();
    let wire = server.client();
    let fd = memfd(0x4000);
    let body = dma_map(3, 0x1000, 0x8000, 0x2000);
    assert_eq!(wire.call_fds(Command::DmaMap, &body, &[fd.as_fd()]).errno(), 0);
    assert_eq!(wire.call(Command::DmaMap, &dma_map(1, 0, 0xffc0_0000, 0x1000)).errno(), 0);
    let told = server.device.take_told();
    assert_eq!(told, ["map 0x8000 0x2000 rw Some(1000)", "map 0xffc00000 0x1000 r- None"]);
}

#[test]
fn a_map_that_the_device_refuses_is_none() {
    let server = Server::new();
    let wire = server.client();
    let fd = memfd(0x1000);
    *server.device.refuse.lock().unwrap() = Some(Errno::NOSPC);
    assert_eq!(wire.map(0, 0x1000, Some(fd.as_fd())), 28);
    assert!(server.endpoint.inspect().maps.is_empty());
    assert_eq!(wire.map(0, 0x1000, Some(fd.as_fd())), 0);
}

#[test]
fn a_map_that_makes_no_sense_does_not_reach_the_device() {
    let server = Server::new();
    let wire = server.client();
    let fd = memfd(0x1000);
    assert_eq!(wire.map(0, 0x2000, Some(fd.as_fd())), 22);
    assert_eq!(wire.map(0, 0x1000, Some(fd.as_fd())), 0);
    assert_eq!(wire.map(0, 0x1000, Some(fd.as_fd())), 17);
    assert_eq!(wire.unmap(0x1000, 0x1000), 2);
    assert_eq!(server.device.take_told(), ["map 0x0 0x1000 rw Some(0)"]);
}

#[test]
fn an_unmap_is_answered_once_the_device_has_heard_of_it() {
    let server = Server::new();
    let wire = server.client();
    let fd = memfd(0x3000);
    for page in 0..3 {
        let body = dma_map(3, page << 12, page << 12, 0x1000);
        assert_eq!(wire.call_fds(Command::DmaMap, &body, &[fd.as_fd()]).errno(), 0);
    }
    server.device.take_told();
    assert_eq!(wire.unmap(0, 0x1000), 0);
    assert_eq!(server.device.take_told(), ["unmap 0x0 0xfff, 2 left"]);
    assert_eq!(wire.call(Command::DmaUnmap, &dma_unmap(UNMAP_ALL, 0, 0)).errno(), 0);
    assert_eq!(server.device.take_told(), ["unmap 0x0 0xffffffffffffffff, 0 left"]);
}

#[test]
fn the_device_hears_who_is_to_be_signalled() {
    let server = Server::new();
    let wire = server.client();
    let fds = [new_eventfd(), new_eventfd()];
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    assert_eq!(wire.set_irqs(EVENTFD_TRIGGER, MSIX, 1, 2, &[], &fds), 0);
    assert_eq!(wire.set_irqs(EVENTFD_TRIGGER, MSIX, 2, 1, &[], &[]), 0);
    assert_eq!(wire.set_irqs(NONE_TRIGGER, MSIX, 0, 0, &[], &[]), 0);
    assert_eq!(server.device.take_told(), ["assign 2 1 2", "release 2 2 1", "disable 2"]);
}

#[test]
fn what_is_no_eventfd_does_not_reach_the_device_and_what_it_refuses_changes_nothing() {
    let server = Server::new();
    let wire = server.client();
    let (fd, file) = (new_eventfd(), memfd(0x1000));
    let both = [fd.as_fd(), file.as_fd()];
    assert_eq!(wire.set_irqs(EVENTFD_TRIGGER, MSIX, 0, 2, &[], &both), 22);
    assert!(server.device.take_told().is_empty());
    *server.device.refuse.lock().unwrap() = Some(Errno::BUSY);
    assert_eq!(wire.set_irqs(EVENTFD_TRIGGER, MSIX, 0, 1, &[], &both[..1]), 16);
    assert!(server.endpoint.inspect().irqs.is_empty());
}

#[test]
fn a_client_that_the_device_does_not_take_may_ask_again_and_can_do_nothing_else() {
    let server = Server::new();
    let wire = server.connect();
    *server.device.refuse.lock().unwrap() = Some(Errno::BUSY);
    let version = version_body(0, 0, b"{}");
    assert_eq!(wire.call(Command::Version, &version).errno(), 16);
    assert_eq!(wire.read(0, 0, 4).errno(), 22);
    assert_eq!(wire.call(Command::Version, &version).errno(), 0);
    assert_eq!(wire.read_u32(0, 0), 0);
    drop(wire);
    eventually("it leaves", || server.device.log() == ["refused", "attached", "detached"]);
}

#[test]
fn a_client_that_was_not_taken_does_not_leave_either() {
    let server = Server::new();
    let wire = server.connect();
    *server.device.refuse.lock().unwrap() = Some(Errno::BUSY);
    assert_eq!(wire.call(Command::Version, &version_body(0, 0, b"{}")).errno(), 16);
    drop(wire);
    eventually("the next is welcome", || server.endpoint.inspect().counters.connections == 1);
    let _next = server.client();
    assert_eq!(server.device.log(), ["refused", "attached"]);
}
