//! Sockets as QEMU frames them, and a TAP's queue: slow, broken and missing peers never stall a port.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use common::{frame, readable, received, wait};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use siov_port::{Backend, Dgram, Reason, Stream, Tap};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

/// A listening port with its peer.
fn pair(folder: &Folder, room: usize) -> (Stream, UnixStream) {
    let mut port = Stream::listen(folder.path("s"), room).unwrap();
    assert!(!port.link() && !readable(&port));
    let peer = UnixStream::connect(folder.path("s")).unwrap();
    assert!(readable(&port));
    assert!(received(&mut port, 1).is_empty());
    assert!(port.link());
    (port, peer)
}

#[test]
fn a_stream_carries_frames_behind_their_lengths_both_ways() {
    let folder = Folder::new();
    let (mut port, mut peer) = pair(&folder, 100_000);
    for n in 0..3 {
        assert!(port.send(&frame(n, 60)));
    }
    port.flush();
    let mut bytes = [0; 3 * 64];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes.to_vec(), (0..3).flat_map(|n| framed(&frame(n, 60))).collect::<Vec<_>>());
    let all = [framed(&frame(7, 65_550)), framed(&frame(8, 14))].concat();
    let writer = std::thread::spawn(move || {
        peer.write_all(&all).unwrap();
        peer
    });
    let mut came = vec![];
    while came.len() < 2 {
        assert!(wait(&port, Duration::from_secs(60)));
        came.extend(received(&mut port, 9));
    }
    assert_eq!(came, [frame(7, 65_550), frame(8, 14)]);
    let peer = writer.join().unwrap();
    received(&mut port, 1);
    assert!(!readable(&port));
    drop(peer);
}

#[test]
fn a_frame_may_come_a_byte_at_a_time() {
    let folder = Folder::new();
    let (mut port, mut peer) = pair(&folder, 100_000);
    let bytes = framed(&frame(1, 60));
    for (n, byte) in bytes.iter().enumerate() {
        assert!(received(&mut port, 9).is_empty(), "byte {n}");
        peer.write_all(&[*byte]).unwrap();
    }
    assert_eq!(received(&mut port, 9), [frame(1, 60)]);
}

#[test]
fn a_peer_that_does_not_read_costs_frames_and_no_time() {
    let folder = Folder::new();
    let (mut port, mut peer) = pair(&folder, 10_000);
    let mut taken = 0;
    while port.send(&frame(taken as u8, 1000)) {
        port.flush();
        taken += 1;
    }
    assert_eq!(port.counters().dropped(Reason::Overflow), 1);
    assert_eq!(port.counters().sent, taken);
    // What waited goes out when there is room, without another frame.
    peer.set_nonblocking(true).unwrap();
    let mut bytes = vec![];
    while bytes.len() < taken as usize * 1004 {
        let _ = peer.read_to_end(&mut bytes);
        assert!(bytes.len() == taken as usize * 1004 || wait(&port, Duration::from_secs(60)));
        received(&mut port, 1);
    }
    for (n, one) in bytes.chunks(1004).enumerate() {
        assert_eq!(one, framed(&frame(n as u8, 1000)));
    }
    assert!(!readable(&port));
    assert!(port.send(&frame(0, 1000)));
}

#[test]
fn a_peer_that_announces_too_much_is_cut_off_and_the_next_one_taken() {
    let folder = Folder::new();
    let (mut port, mut peer) = pair(&folder, 100_000);
    peer.write_all(&[&framed(&frame(1, 60))[..], &65_551u32.to_be_bytes(), &[0; 99]].concat())
        .unwrap();
    assert_eq!(received(&mut port, 9), [frame(1, 60)]);
    assert!(!port.link());
    assert_eq!(port.counters().dropped(Reason::Malformed), 1);
    assert!(port.take_event().unwrap().ends_with("the peer announced a frame of 65551 bytes"));
    let mut second = UnixStream::connect(folder.path("s")).unwrap();
    second.write_all(&framed(&frame(2, 60))).unwrap();
    assert_eq!(received(&mut port, 9), [frame(2, 60)]);
    assert!(port.link());
}

#[test]
fn a_second_peer_waits_and_wakes_nobody_until_the_first_is_gone() {
    let folder = Folder::new();
    let (mut port, first) = pair(&folder, 100_000);
    let mut second = UnixStream::connect(folder.path("s")).unwrap();
    second.write_all(&framed(&frame(2, 60))).unwrap();
    received(&mut port, 9);
    assert!(!readable(&port));
    drop(first);
    assert!(readable(&port));
    assert!(received(&mut port, 9).is_empty());
    assert!(readable(&port));
    assert_eq!(received(&mut port, 9), [frame(2, 60)]);
}

#[test]
fn what_waits_for_a_peer_that_goes_away_counts_as_dropped() {
    let folder = Folder::new();
    let (mut port, peer) = pair(&folder, 100_000);
    assert!(port.send(&frame(0, 60)));
    drop(peer);
    port.flush();
    assert!(!port.link());
    let counted = port.counters();
    assert_eq!((counted.sent, counted.sent_bytes, counted.dropped(Reason::LinkDown)), (0, 0, 1));
    assert!(!port.send(&frame(0, 60)));
    assert_eq!(port.take_event().unwrap().split(": ").last(), Some("the peer is gone"));
}

#[test]
fn frames_that_are_none_or_come_without_a_link_are_counted() {
    let folder = Folder::new();
    let (mut port, mut peer) = pair(&folder, 100_000);
    peer.write_all(&[framed(&[]), framed(&[1; 13]), framed(&frame(3, 60))].concat()).unwrap();
    assert_eq!(received(&mut port, 9), [frame(3, 60)]);
    assert_eq!(port.counters().dropped(Reason::Length), 2);
    port.set_link(false);
    assert!(!port.link());
    peer.write_all(&framed(&frame(4, 60))).unwrap();
    assert!(received(&mut port, 9).is_empty());
    assert_eq!(port.counters().dropped(Reason::LinkDown), 1);
}

#[test]
fn a_connecting_port_finds_its_peer_when_there_is_one_and_finds_it_again() {
    let folder = Folder::new();
    let mut port = Stream::connect(folder.path("s"), 100_000).unwrap();
    assert!(!port.link() && !readable(&port));
    let listener = UnixListener::bind(folder.path("s")).unwrap();
    for _ in 0..2 {
        while !port.link() {
            assert!(wait(&port, Duration::from_secs(60)));
            received(&mut port, 1);
        }
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&framed(&frame(1, 60))).unwrap();
        assert!(wait(&port, Duration::from_secs(60)));
        let mut came = received(&mut port, 9);
        while came.is_empty() {
            came = received(&mut port, 9);
        }
        assert_eq!(came, [frame(1, 60)]);
        drop(peer);
        received(&mut port, 1);
        assert!(!port.link());
    }
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.path("s")).unwrap());
    let port = Stream::listen(folder.path("s"), 1000).unwrap();
    let error = Stream::listen(folder.path("s"), 1000).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(folder.path("s").to_str().unwrap()));
    drop(port);
    assert!(!folder.path("s").exists());
    std::fs::write(folder.path("f"), "kept").unwrap();
    assert!(Stream::listen(folder.path("f"), 1000).is_err());
    assert_eq!(std::fs::read(folder.path("f")).unwrap(), b"kept");
    assert!(Stream::connect("x".repeat(200), 1000).is_err());
}

#[test]
fn datagrams_are_frames_both_ways() {
    let folder = Folder::new();
    let mut port = Dgram::new(folder.path("a"), folder.path("b")).unwrap();
    assert!(port.link());
    assert!(!port.send(&frame(0, 60)));
    assert_eq!(port.counters().dropped(Reason::LinkDown), 1);
    let peer = UnixDatagram::bind(folder.path("b")).unwrap();
    assert!(port.send(&frame(1, 65_550)));
    let mut buffer = vec![0; 70_000];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 65_550);
    assert!(!readable(&port));
    for bytes in [60, 13, 65_551, 0, 61] {
        peer.send_to(&frame(2, bytes), folder.path("a")).unwrap();
    }
    assert!(readable(&port));
    assert_eq!(received(&mut port, 9), [frame(2, 60), frame(2, 61)]);
    assert_eq!(port.counters().dropped(Reason::Length), 3);
    assert!(!readable(&port));
}

#[test]
fn datagrams_for_a_peer_that_does_not_read_are_dropped() {
    let folder = Folder::new();
    let mut port = Dgram::new(folder.path("a"), folder.path("b")).unwrap();
    let _peer = UnixDatagram::bind(folder.path("b")).unwrap();
    let taken = (0..5000).filter(|_| port.send(&frame(0, 1000))).count() as u64;
    let counted = port.counters();
    assert!(taken < 5000);
    assert_eq!((counted.sent, counted.dropped(Reason::Overflow)), (taken, 5000 - taken));
}

/// What behaves as a TAP's queue does: each read and each write is a frame.
fn queue() -> (Tap, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Tap::new(ours, "tap9").unwrap(), theirs)
}

#[test]
fn a_tap_carries_a_frame_with_each_read_and_write() {
    let (mut tap, host) = queue();
    assert!(tap.link() && !readable(&tap));
    (0..3).for_each(|n| assert!(rustix::io::write(&host, &frame(n, 60)).is_ok()));
    rustix::io::write(&host, &[0; 10]).unwrap();
    assert!(readable(&tap));
    assert_eq!(received(&mut tap, 2), [frame(0, 60), frame(1, 60)]);
    assert_eq!(received(&mut tap, 2), [frame(2, 60)]);
    assert_eq!(tap.counters().dropped(Reason::Length), 1);
    assert!(!readable(&tap));
    assert!(tap.send(&frame(9, 60)));
    let mut buffer = [0; 100];
    assert_eq!(rustix::io::read(&host, &mut buffer).unwrap(), 60);
    while tap.send(&frame(0, 1000)) {}
    assert_eq!(tap.counters().dropped(Reason::Overflow), 1);
}

#[test]
fn a_tap_that_is_gone_is_a_link_down_and_wakes_nobody_any_more() {
    let (mut tap, host) = queue();
    drop(host);
    assert!(readable(&tap));
    assert!(received(&mut tap, 1).is_empty());
    assert!(!tap.link());
    assert_eq!(tap.take_event().unwrap().split(':').next(), Some("the TAP tap9 is gone"));
    received(&mut tap, 1);
    assert!(!readable(&tap));
    assert!(!tap.send(&frame(0, 60)));
    assert_eq!(tap.counters().dropped(Reason::LinkDown), 1);
}
