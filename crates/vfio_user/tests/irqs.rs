//! Interrupts: eventfds that come, go, are masked and are missing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use common::{Server, VECTORS, Wire, eventually, fired, memfd, new_eventfd};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use siov_vfio_user::{Client, Command, Delivery, NoSuchIrq, pci::INTX, pci::MSIX};

const NONE: u32 = 1;
const BOOL: u32 = 2;
const EVENTFD: u32 = 4;
const MASK: u32 = 8;
const UNMASK: u32 = 16;
const TRIGGER: u32 = 32;
const EINVAL: u32 = 22;
const ENOTSUP: u32 = 95;

fn attached() -> (Server, Wire, Arc<Client>) {
    let server = Server::new();
    let wire = server.client();
    let client = server.device.client();
    (server, wire, client)
}

fn assign(wire: &Wire, index: u32, start: u32, fds: &[&OwnedFd]) -> u32 {
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    wire.set_irqs(EVENTFD | TRIGGER, index, start, fds.len() as u32, &[], &fds)
}

fn disable_all(wire: &Wire, index: u32) -> u32 {
    wire.set_irqs(NONE | TRIGGER, index, 0, 0, &[], &[])
}

#[test]
fn a_range_of_vectors_gets_eventfds_and_leaves_the_others() {
    let (_server, wire, client) = attached();
    let fds = [new_eventfd(), new_eventfd(), new_eventfd()];
    assert_eq!(assign(&wire, MSIX, 0, &[&fds[0], &fds[1]]), 0);
    assert_eq!(assign(&wire, MSIX, 4, &[&fds[2]]), 0);
    for (vector, fd) in [(0, 0), (1, 1), (4, 2)] {
        assert_eq!(client.irqs().trigger(MSIX, vector), Ok(Delivery::Signaled));
        assert_eq!(fired(&fds[fd]), 1);
    }
    assert_eq!(client.irqs().trigger(MSIX, 3), Ok(Delivery::Pending));
    assert_eq!(client.irqs().trigger(MSIX, 5), Err(NoSuchIrq { index: MSIX, vector: 5 }));
    assert_eq!(client.irqs().trigger(9, 0), Err(NoSuchIrq { index: 9, vector: 0 }));
}

#[test]
fn a_vector_triggered_before_its_eventfd_fires_once_when_it_comes() {
    let (_server, wire, client) = attached();
    assert_eq!(wire.set_irqs(EVENTFD | TRIGGER, MSIX, 0, 1, &[], &[]), 0);
    for _ in 0..3 {
        assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Pending));
    }
    assert_eq!(client.irqs().is_pending(MSIX, 0), Ok(true));
    let fd = new_eventfd();
    assign(&wire, MSIX, 0, &[&fd]);
    assert_eq!((fired(&fd), client.irqs().is_pending(MSIX, 0)), (1, Ok(false)));
}

#[test]
fn nothing_is_lost_while_qemu_gives_all_vectors_again() {
    let (_server, wire, client) = attached();
    let fds = [new_eventfd(), new_eventfd()];
    assign(&wire, MSIX, 0, &[&fds[0]]);
    assert_eq!(disable_all(&wire, MSIX), 0);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Pending));
    assign(&wire, MSIX, 0, &[&fds[0], &fds[1]]);
    assert_eq!((fired(&fds[0]), fired(&fds[1])), (1, 0));
}

#[test]
fn what_is_pending_is_forgotten_by_a_reset_and_when_its_cause_is_gone() {
    let (_server, wire, client) = attached();
    client.irqs().trigger(MSIX, 0).unwrap();
    client.irqs().trigger(MSIX, 1).unwrap();
    client.irqs().clear_pending(MSIX, 0).unwrap();
    assert_eq!(client.irqs().state().len(), 1);
    assert_eq!(wire.call(Command::Reset, &[]).errno(), 0);
    let fds = [new_eventfd(), new_eventfd()];
    assign(&wire, MSIX, 0, &[&fds[0], &fds[1]]);
    assert_eq!((fired(&fds[0]), fired(&fds[1])), (0, 0));
}

#[test]
fn a_reset_leaves_the_eventfds() {
    let (_server, wire, client) = attached();
    let fd = new_eventfd();
    assign(&wire, MSIX, 0, &[&fd]);
    wire.call(Command::Reset, &[]);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Signaled));
}

#[test]
fn no_eventfds_for_a_range_takes_those_of_the_range_away() {
    let (_server, wire, client) = attached();
    let fds = [new_eventfd(), new_eventfd(), new_eventfd()];
    assign(&wire, MSIX, 0, &[&fds[0], &fds[1], &fds[2]]);
    assert_eq!(wire.set_irqs(EVENTFD | TRIGGER, MSIX, 1, 1, &[], &[]), 0);
    let triggered: Vec<_> = (0..3).map(|v| client.irqs().trigger(MSIX, v).unwrap()).collect();
    assert_eq!(triggered, [Delivery::Signaled, Delivery::Pending, Delivery::Signaled]);
    assert_eq!(wire.set_irqs(EVENTFD | TRIGGER, MSIX, 0, VECTORS, &[], &[]), 0);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Pending));
}

#[test]
fn a_client_can_trigger_its_own_vectors() {
    let (_server, wire, _client) = attached();
    let fds = [new_eventfd(), new_eventfd(), new_eventfd()];
    assign(&wire, MSIX, 0, &[&fds[0], &fds[1], &fds[2]]);
    assert_eq!(wire.set_irqs(NONE | TRIGGER, MSIX, 1, 2, &[], &[]), 0);
    assert_eq!((fired(&fds[0]), fired(&fds[1]), fired(&fds[2])), (0, 1, 1));
    assert_eq!(wire.set_irqs(BOOL | TRIGGER, MSIX, 0, 3, &[1, 0, 255], &[]), 0);
    assert_eq!((fired(&fds[0]), fired(&fds[1]), fired(&fds[2])), (1, 0, 1));
}

#[test]
fn a_level_line_masks_itself_and_fires_again_after_the_unmask() {
    let (_server, wire, client) = attached();
    let fd = new_eventfd();
    assign(&wire, INTX, 0, &[&fd]);
    assert_eq!(client.irqs().trigger(INTX, 0), Ok(Delivery::Signaled));
    assert_eq!(client.irqs().trigger(INTX, 0), Ok(Delivery::Pending));
    assert_eq!(fired(&fd), 1);
    assert_eq!(wire.set_irqs(NONE | UNMASK, INTX, 0, 1, &[], &[]), 0);
    assert_eq!(fired(&fd), 1);
    assert_eq!(wire.set_irqs(BOOL | UNMASK, INTX, 0, 1, &[1], &[]), 0);
    assert_eq!(wire.set_irqs(BOOL | MASK, INTX, 0, 1, &[1], &[]), 0);
    assert_eq!(client.irqs().trigger(INTX, 0), Ok(Delivery::Pending));
    assert_eq!(wire.set_irqs(BOOL | UNMASK, INTX, 0, 1, &[0], &[]), 0);
    assert_eq!(fired(&fd), 0, "the bool says not to");
    assert_eq!(wire.set_irqs(NONE | UNMASK, INTX, 0, 1, &[], &[]), 0);
    assert_eq!(fired(&fd), 1);
}

#[test]
fn requests_that_make_no_sense_are_invalid_and_change_nothing() {
    let (_server, wire, client) = attached();
    let fd = new_eventfd();
    assign(&wire, MSIX, 0, &[&fd]);
    let two = [fd.as_fd(), fd.as_fd()];
    for (flags, index, start, count, fds) in [
        (EVENTFD | TRIGGER, MSIX, 0, 1, &two[..]),
        (EVENTFD | TRIGGER, MSIX, 4, 2, &two),
        (EVENTFD | TRIGGER, MSIX, u32::MAX, 2, &two),
        (EVENTFD | TRIGGER, 9, 0, 2, &two),
        (EVENTFD | TRIGGER, MSIX, 0, 0, &[]),
        (NONE | TRIGGER, MSIX, 0, 1, &two[..1]),
        (NONE | TRIGGER, MSIX, 5, 1, &[]),
        (NONE | TRIGGER, MSIX, 1, 0, &[]),
        (NONE | TRIGGER, 9, 0, 0, &[]),
        (NONE | MASK, MSIX, 0, 1, &[]),
        (NONE | UNMASK, INTX, 0, 0, &[]),
        (NONE | BOOL | TRIGGER, MSIX, 0, 1, &[]),
        (NONE | MASK | TRIGGER, MSIX, 0, 1, &[]),
        (NONE, MSIX, 0, 1, &[]),
        (TRIGGER, MSIX, 0, 1, &[]),
        (64 | NONE | TRIGGER, MSIX, 0, 1, &[]),
        (BOOL | TRIGGER, MSIX, 0, 1, &[]),
    ] {
        let errno = wire.set_irqs(flags, index, start, count, &[], fds);
        assert_eq!(errno, EINVAL, "{flags:#x} {index} {start} {count}");
    }
    assert_eq!(wire.set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &[], &two[..1]), ENOTSUP);
    assert_eq!(fired(&fd), 0);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Signaled));
    assert_eq!(fired(&fd), 1);
}

#[test]
fn what_is_no_eventfd_is_refused_and_the_others_with_it() {
    let (_server, wire, client) = attached();
    let (_reader, pipe) = rustix::pipe::pipe().unwrap();
    let good = new_eventfd();
    let file = memfd(0x1000);
    let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    for bad in [&pipe, &file, &epoll] {
        assert_eq!(assign(&wire, MSIX, 0, &[&good, bad]), EINVAL);
    }
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Pending));
}

#[test]
fn a_full_blocking_eventfd_does_not_hold_up_the_device() {
    let (_server, wire, client) = attached();
    let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    assign(&wire, MSIX, 0, &[&fd]);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Signaled), "it is readable already");
    let flags = fcntl_getfl(&fd).unwrap();
    fcntl_setfl(&fd, flags - OFlags::NONBLOCK).unwrap();
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Signaled), "also when it blocks again");
    assert!(fired(&fd) >= u64::MAX - 1, "and stays full");
}

#[test]
fn the_eventfds_of_a_dead_client_are_closed_and_its_state_is_gone() {
    let (server, wire, client) = attached();
    let fd = new_eventfd();
    assign(&wire, MSIX, 0, &[&fd]);
    assert_eq!(server.endpoint.inspect().irqs.len(), 1);
    drop(wire);
    eventually("the client is gone", || !server.endpoint.inspect().connected);
    assert_eq!(client.irqs().trigger(MSIX, 0), Ok(Delivery::Pending));
    assert_eq!(fired(&fd), 0);
    let _next = server.client();
    assert_eq!(server.endpoint.inspect().irqs, []);
}

#[test]
fn triggers_from_many_threads_all_arrive() {
    let (server, wire, client) = attached();
    let fd = new_eventfd();
    assign(&wire, MSIX, 2, &[&fd]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    client.irqs().trigger(MSIX, 2).unwrap();
                }
            });
        }
    });
    assert_eq!((fired(&fd), server.endpoint.inspect().irq_signals), (4000, 4000));
}
