//! A cable: bounded both ways, seen by whoever sleeps, cut when an end is gone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::{frame, readable, received};
use siov_port::{Backend, Bounds, Cable, Loopback, Port, Reason, Sink};

fn cable(frames: usize, bytes: usize) -> (Cable, Cable) {
    Cable::pair(Bounds { frames, bytes }).unwrap()
}

#[test]
fn frames_come_out_in_the_order_they_went_in() {
    let (mut a, mut b) = cable(100, 100_000);
    (0..10).for_each(|n| assert!(a.send(&frame(n, 60 + usize::from(n)))));
    a.flush();
    assert_eq!(
        received(&mut b, 4),
        (0..4).map(|n| frame(n, 60 + usize::from(n))).collect::<Vec<_>>()
    );
    (10..12).for_each(|n| assert!(a.send(&frame(n, 60))));
    a.flush();
    let rest = received(&mut b, 100);
    assert_eq!(rest.iter().map(|f| f[0]).collect::<Vec<_>>(), (4..12).collect::<Vec<_>>());
    assert_eq!((a.counters().sent, b.counters().received), (12, 12));
    assert_eq!(a.counters().sent_bytes, b.counters().received_bytes);
}

#[test]
fn a_frame_is_seen_only_after_a_flush() {
    let (mut a, mut b) = cable(4, 1000);
    assert!(a.send(&frame(1, 60)));
    assert!(received(&mut b, 4).is_empty());
    a.flush();
    assert_eq!(received(&mut b, 4).len(), 1);
}

#[test]
fn what_has_no_room_is_dropped_at_the_sender_until_the_receiver_took_something() {
    let (mut a, mut b) = cable(3, 1000);
    (0..3).for_each(|n| assert!(a.send(&frame(n, 60))));
    assert!(!a.send(&frame(3, 60)));
    a.flush();
    assert!(!a.send(&frame(4, 60)));
    assert_eq!(a.counters().dropped(Reason::Overflow), 2);
    assert_eq!(received(&mut b, 1).len(), 1);
    assert!(a.send(&frame(5, 60)));
    assert!(!a.send(&frame(6, 60)));
}

#[test]
fn bytes_are_bounded_like_frames() {
    let (mut a, mut b) = cable(100, 150);
    assert!(a.send(&frame(0, 100)));
    assert!(!a.send(&frame(1, 60)));
    assert!(a.send(&frame(2, 50)));
    a.flush();
    assert_eq!(received(&mut b, 9).len(), 2);
    assert!(a.send(&frame(3, 150)));
    assert_eq!(a.counters().dropped(Reason::Overflow), 1);
}

#[test]
fn the_fd_is_readable_from_a_flush_until_everything_was_received() {
    let (mut a, mut b) = cable(100, 10_000);
    assert!(!readable(&b));
    a.send(&frame(0, 60));
    assert!(!readable(&b));
    a.flush();
    assert!(readable(&b));
    received(&mut b, 9);
    assert!(!readable(&b));
    a.send(&frame(0, 60));
    a.flush();
    assert!(readable(&b));
}

#[test]
fn a_receiver_that_is_not_done_is_not_woken_again() {
    let (mut a, mut b) = cable(100, 10_000);
    for n in 0..2 {
        a.send(&frame(n, 60));
        a.flush();
    }
    assert_eq!(received(&mut b, 1).len(), 1);
    a.send(&frame(2, 60));
    a.flush();
    assert!(!readable(&b));
    assert_eq!(received(&mut b, 9).len(), 2);
    assert!(!readable(&b));
}

#[test]
fn either_side_takes_the_link_down_and_both_see_it() {
    let (mut a, mut b) = cable(4, 1000);
    assert!(a.link() && b.link());
    b.set_link(false);
    assert!(!a.link() && !b.link());
    assert!(readable(&a) && readable(&b));
    assert!(received(&mut a, 1).is_empty());
    assert!(!readable(&a));
    assert!(!a.send(&frame(0, 60)));
    assert_eq!(a.counters().dropped(Reason::LinkDown), 1);
    a.set_link(false);
    b.set_link(true);
    assert!(!a.link());
    a.set_link(true);
    assert!(a.link() && b.link());
}

#[test]
fn an_end_that_is_gone_is_a_link_down_but_its_frames_arrive() {
    let (mut a, mut b) = cable(4, 1000);
    a.send(&frame(7, 60));
    drop(a);
    assert!(!b.link());
    assert!(readable(&b));
    assert_eq!(received(&mut b, 4), [frame(7, 60)]);
}

#[test]
fn what_is_no_frame_by_its_length_is_dropped_everywhere() {
    let (mut a, _b) = cable(4, 1_000_000);
    for bytes in [0, 13, 65_551] {
        assert!(!a.send(&frame(0, bytes)));
        assert!(!Sink::default().send(&frame(0, bytes)));
    }
    assert!(a.send(&frame(0, 14)) && a.send(&frame(0, 65_550)));
    assert_eq!(a.counters().dropped(Reason::Length), 3);
}

#[test]
fn two_threads_lose_nothing_that_was_not_counted() {
    let (mut a, mut b) = cable(64, 64 * 60);
    let sender = std::thread::spawn(move || {
        for n in 0..20_000_u32 {
            let mut f = frame(0, 60);
            f[..4].copy_from_slice(&n.to_be_bytes());
            a.send(&f);
            if n % 7 == 0 {
                a.flush();
            }
        }
        a.flush();
        a.counters()
    });
    let (mut last, mut count) = (None, 0);
    loop {
        common::wait(&b, Duration::from_secs(60));
        let mut each = |f: &[u8]| {
            let n = u32::from_be_bytes(f[..4].try_into().unwrap());
            assert!(last < Some(n));
            (last, count) = (Some(n), count + 1);
        };
        while b.receive(16, &mut each) == 16 {}
        if !b.link() && b.receive(1, &mut each) == 0 {
            break;
        }
    }
    let counted = sender.join().unwrap();
    assert_eq!(counted.sent, count);
    assert_eq!(counted.sent + counted.dropped(Reason::Overflow), 20_000);
}

#[test]
fn a_loopback_gives_back_what_it_takes_up_to_its_room() {
    let mut plug = Loopback::new(2).unwrap();
    let taken: Vec<_> = (0..3).map(|n| plug.send(&frame(n, 60))).collect();
    assert_eq!(taken, [true, true, false]);
    plug.flush();
    assert!(readable(&plug));
    assert_eq!(received(&mut plug, 9), [frame(0, 60), frame(1, 60)]);
    assert!(!readable(&plug));
    assert_eq!(plug.counters().dropped_total(), 1);
}

#[test]
fn a_sink_counts_what_it_takes_while_its_link_is_up() {
    let mut sink = Sink::default();
    assert!(sink.send(&frame(0, 60)));
    sink.set_link(false);
    assert!(!sink.send(&frame(0, 60)));
    let counted = sink.counters();
    assert_eq!((counted.sent, counted.sent_bytes, counted.dropped(Reason::LinkDown)), (1, 60, 1));
}

#[test]
fn a_port_is_plugged_into_one_nic_at_a_time() {
    let port = Port::new(Sink::default(), 25_000).unwrap();
    assert!(port.plug().is_ok() && port.is_plugged());
    let refused = port.plug().unwrap_err().to_string();
    assert_eq!(refused, "this sink is plugged into a port already; unplug it there first");
    port.unplug();
    assert!(port.plug().is_ok());
    assert_eq!(port.speed(), 25_000);
}
