//! Capture files: what is written is read again, and what can't be read says where and why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::Cursor;

use common::frame;
use proptest::prelude::*;
use siov_port::capture::{
    Capture, CaptureError, Captured, Damage, Direction, Packet, Reader, Writer,
};
use siov_port::{Backend, Clock, Reason};

type Kept = (u32, u64, Option<Direction>, Vec<u8>);

fn keep(captured: Captured<'_>) -> Kept {
    (captured.interface, captured.time, captured.direction, captured.frame.to_vec())
}

fn read(bytes: Vec<u8>) -> Result<Vec<Kept>, CaptureError> {
    let mut reader = Reader::new("x.pcapng", Cursor::new(bytes))?;
    let mut all = vec![];
    while let Some(captured) = reader.read()? {
        all.push(keep(captured));
    }
    Ok(all)
}

fn damage(bytes: Vec<u8>) -> (u64, Damage) {
    match read(bytes) {
        Err(CaptureError::Damaged { at, damage, .. }) => (at, damage),
        other => panic!("{other:?}"),
    }
}

fn packet(interface: u32, time: u64, frame: &[u8]) -> Packet<'_> {
    Packet { interface, time, direction: None, frame, comment: None }
}

/// Blocks made by hand, in either order of bytes.
struct Made(Vec<u8>, bool);

impl Made {
    fn new(big: bool) -> Self {
        let mut made = Self(vec![], big);
        let body = [made.u32(0x1A2B_3C4D), made.u16(1), made.u16(0), vec![0xFF; 8]].concat();
        made.block(0x0A0D_0D0A, &body);
        made
    }
    fn u16(&self, n: u16) -> Vec<u8> {
        if self.1 { n.to_be_bytes().into() } else { n.to_le_bytes().into() }
    }
    fn u32(&self, n: u32) -> Vec<u8> {
        if self.1 { n.to_be_bytes().into() } else { n.to_le_bytes().into() }
    }
    fn u64(&self, n: u64) -> Vec<u8> {
        if self.1 { n.to_be_bytes().into() } else { n.to_le_bytes().into() }
    }
    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = self.u32(body.len() as u32 + 12);
        let parts: [&[u8]; 4] = [&self.u32(kind), &length, body, &length];
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }
    fn interface(&mut self, link: u16, options: &[(u16, Vec<u8>)]) {
        let mut body = [self.u16(link), self.u16(0), self.u32(0)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(value.len() as u16), value.clone()].concat());
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body);
    }
    fn packet(&mut self, interface: u32, time: u64, frame: &[u8]) {
        let numbers = [interface, (time >> 32) as u32, time as u32];
        let length = self.u32(frame.len() as u32);
        let mut body = numbers.iter().flat_map(|n| self.u32(*n)).collect::<Vec<_>>();
        body.extend([&length[..], &length, frame].concat());
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(6, &body);
    }
}

fn pcap(magic: [u8; 4], big: bool, network: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let n = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    let mut all = [magic, version, n(0), n(0), n(65_535), n(network)].concat();
    for (seconds, fraction, frame) in records {
        let length = n(frame.len() as u32);
        all.extend([n(*seconds), n(*fraction), length, length].concat());
        all.extend(*frame);
    }
    all
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn frames_of_several_interfaces_come_out_as_they_went_in() {
    let dir = folder();
    let path = dir.path().join("a.pcapng");
    let mut writer = Writer::create(&path, 1 << 20).unwrap();
    let (a, b) = (writer.interface("a", 1).unwrap(), writer.interface("b", 1).unwrap());
    let mut kept = vec![];
    for n in 0..9 {
        let direction = [None, Some(Direction::Inbound), Some(Direction::Outbound)][n % 3];
        let (time, interface) = (u64::MAX / 9 * n as u64, if n % 2 == 0 { a } else { b });
        let frame = frame(n as u8, 60 + n);
        let comment = (n % 2 == 0).then_some("why it is here");
        let packet = Packet { interface, time, direction, frame: &frame, comment };
        writer.packet(&packet).unwrap();
        kept.push((interface, time, direction, frame));
    }
    drop(writer);
    assert_eq!(read(std::fs::read(path).unwrap()).unwrap(), kept);
}

#[test]
fn the_file_is_whole_after_each_flush_and_without_one_before() {
    let dir = folder();
    let path = dir.path().join("a.pcapng");
    let mut writer = Writer::create(&path, 1 << 20).unwrap();
    assert_eq!(read(std::fs::read(&path).unwrap()).unwrap(), []);
    let interface = writer.interface("a", 1).unwrap();
    for n in 1..5 {
        writer.packet(&packet(interface, 1, &frame(0, 61))).unwrap();
        assert_eq!(read(std::fs::read(&path).unwrap()).unwrap().len(), n - 1);
        writer.flush();
        assert_eq!(read(std::fs::read(&path).unwrap()).unwrap().len(), n);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), writer.size());
    }
}

#[test]
fn what_is_collected_is_bounded_and_still_whole_in_the_file() {
    let dir = folder();
    let path = dir.path().join("a.pcapng");
    let mut writer = Writer::create(&path, 1 << 30).unwrap();
    let interface = writer.interface("a", 1).unwrap();
    for _ in 0..100 {
        writer.packet(&packet(interface, 1, &frame(0, 9000))).unwrap();
        let pending = writer.size() - std::fs::metadata(&path).unwrap().len();
        assert!(pending <= 256 << 10);
        read(std::fs::read(&path).unwrap()).unwrap();
    }
}

#[test]
fn a_capture_stops_at_its_limit_and_says_so_once() {
    let dir = folder();
    let path = dir.path().join("a.pcapng");
    let mut writer = Writer::create(&path, 1000).unwrap();
    let interface = writer.interface("a", 1).unwrap();
    let clock = Clock::virtual_();
    let mut plug = Capture::new(clock, Some((writer, interface)), None).unwrap();
    let taken = (0..100).filter(|_| plug.send(&frame(0, 60))).count() as u64;
    plug.flush();
    let counted = plug.counters();
    assert_eq!((counted.sent, counted.dropped(Reason::Limit)), (taken, 100 - taken));
    assert!(plug.take_event().unwrap().ends_with("a.pcapng: the capture is full at 1000 bytes"));
    assert_eq!(plug.take_event(), None);
    let file = std::fs::read(path).unwrap();
    assert!(file.len() <= 1000 && file.len() > 900);
    assert_eq!(read(file).unwrap().len() as u64, taken);
}

#[test]
fn a_frame_for_an_interface_that_was_not_described_is_not_written() {
    let dir = folder();
    let mut writer = Writer::create(dir.path().join("a"), 1 << 20).unwrap();
    assert_eq!(writer.packet(&packet(0, 0, &frame(0, 60))), Err(Reason::Malformed));
}

#[test]
fn a_capture_goes_into_a_regular_file_only() {
    let error = Writer::create("/dev/full", 1 << 20).unwrap_err().to_string();
    assert_eq!(error, "/dev/full, byte 0: only a regular file can be a capture");
    let error = Reader::open("/").unwrap_err().to_string();
    assert_eq!(error, "/, byte 0: only a regular file can be a capture");
    assert!(matches!(Reader::open("/nowhere").unwrap_err(), CaptureError::Os { .. }));
}

#[test]
fn either_order_of_bytes_is_read_and_may_change_with_the_section() {
    let mut both = Vec::new();
    for big in [true, false, true] {
        let mut made = Made::new(big);
        made.interface(1, &[]);
        made.packet(0, 1_000_001, &frame(1, 60));
        both.extend(made.0);
    }
    assert_eq!(read(both).unwrap(), vec![(0, 1_000_001_000, None, frame(1, 60)); 3]);
}

#[test]
fn timestamps_follow_the_resolution_and_the_offset_of_their_interface() {
    for big in [false, true] {
        let mut made = Made::new(big);
        let offset = made.u64(5);
        made.interface(1, &[]);
        made.interface(1, &[(9, vec![9])]);
        made.interface(1, &[(9, vec![0x80 | 10]), (14, offset)]);
        made.interface(1, &[(9, vec![127])]);
        (0..4).for_each(|n| made.packet(n, 1024, &frame(0, 60)));
        let times: Vec<_> = read(made.0).unwrap().iter().map(|kept| kept.1).collect();
        assert_eq!(times, [1_024_000, 1024, 6_000_000_000, 0]);
    }
}

#[test]
fn simple_and_old_packet_blocks_are_read_and_unknown_blocks_passed_over() {
    let mut made = Made::new(true);
    made.interface(1, &[]);
    made.block(0xBAD, &[7; 400]);
    let head = [&[0, 0, 0, 9][..], &[0; 4], &[0, 0, 0, 2], &[0, 0, 0, 60], &[0, 0, 0, 60]].concat();
    made.block(2, &[head, frame(1, 60)].concat());
    made.block(3, &[&[0, 0, 0, 60][..], &frame(2, 60)].concat());
    let all = read(made.0).unwrap();
    assert_eq!(all, [(0, 2000, None, frame(1, 60)), (0, 2000, None, frame(2, 60))]);
}

#[test]
fn classic_files_are_read_in_both_orders_and_resolutions() {
    let frame = frame(3, 60);
    for (magic, big, time) in [
        ([0xd4, 0xc3, 0xb2, 0xa1], false, 7_000_009_000),
        ([0xa1, 0xb2, 0xc3, 0xd4], true, 7_000_009_000),
        ([0x4d, 0x3c, 0xb2, 0xa1], false, 7_000_000_009),
        ([0xa1, 0xb2, 0x3c, 0x4d], true, 7_000_000_009),
    ] {
        let file = pcap(magic, big, 1, &[(7, 9, &frame)]);
        assert_eq!(read(file).unwrap(), [(0, time, None, frame.clone())]);
        let (at, why) = damage(pcap(magic, big, 101, &[]));
        assert_eq!((at, why), (0, Damage::LinkType(101)));
    }
}

#[test]
fn a_file_that_ends_too_early_says_where() {
    let mut made = Made::new(false);
    made.interface(1, &[]);
    let at = made.0.len() as u64;
    made.packet(0, 1, &frame(0, 60));
    for cut in at as usize + 1..made.0.len() {
        assert_eq!(damage(made.0[..cut].to_vec()), (at, Damage::Truncated));
    }
    let mut file = pcap([0xd4, 0xc3, 0xb2, 0xa1], false, 1, &[(0, 0, &frame(0, 60))]);
    file.pop();
    assert_eq!(damage(file), (24, Damage::Truncated));
}

#[test]
fn each_damage_has_its_sentence() {
    let mut foreign = Made::new(false);
    foreign.interface(113, &[]);
    let error = read(foreign.0).unwrap_err().to_string();
    assert_eq!(error, "x.pcapng, byte 28: link type 113 is not Ethernet, which is 1");

    let mut unknown = Made::new(false);
    unknown.packet(3, 0, &frame(0, 60));
    assert_eq!(damage(unknown.0), (28, Damage::Interface(3)));

    let mut forgotten = Made::new(false);
    forgotten.interface(1, &[]);
    let at = forgotten.0.len() as u64;
    let mut second = Made::new(false);
    second.packet(0, 0, &frame(0, 60));
    forgotten.0.extend(second.0);
    assert_eq!(damage(forgotten.0), (at + 28, Damage::Interface(0)));

    let mut trailer = Made::new(false);
    *trailer.0.last_mut().unwrap() = 1;
    assert_eq!(damage(trailer.0), (0, Damage::Trailer(28, 28 + (1 << 24))));

    let mut version = Made::new(false);
    version.0[12] = 2;
    assert_eq!(damage(version.0), (0, Damage::Version(2)));

    let mut order = Made::new(false);
    order.0[8] = 0;
    assert_eq!(damage(order.0), (0, Damage::ByteOrder(0x1A2B_3C00)));

    let mut long = Made::new(false);
    long.0.extend([6u32, 1 << 30].map(u32::to_le_bytes).concat());
    assert_eq!(damage(long.0), (28, Damage::Length(1 << 30)));

    let mut captured = Made::new(false);
    captured.interface(1, &[]);
    let at = captured.0.len();
    captured.packet(0, 0, &frame(0, 60));
    captured.0[at + 20] = 200;
    assert_eq!(damage(captured.0).1, Damage::Length(92));

    assert_eq!(damage(b"GIF89a".to_vec()), (0, Damage::Foreign));
    assert_eq!(damage(vec![]), (0, Damage::Foreign));
}

#[test]
fn a_damaged_file_gives_nothing_after_its_error() {
    let mut made = Made::new(false);
    made.packet(3, 0, &frame(0, 60));
    made.interface(1, &[]);
    made.packet(0, 0, &frame(0, 60));
    let mut reader = Reader::new("x", Cursor::new(made.0)).unwrap();
    assert!(reader.read().is_err());
    assert!(reader.read().unwrap().is_none());
}

fn some_direction() -> impl Strategy<Value = Option<Direction>> {
    prop_oneof![Just(None), Just(Some(Direction::Inbound)), Just(Some(Direction::Outbound))]
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(
        frames in prop::collection::vec(
            (0..3u32, any::<u64>(), some_direction(), prop::collection::vec(any::<u8>(), 0..300),
             prop::option::of(".{0,40}")), 0..40),
        flush_at in 0..40usize,
    ) {
        let dir = folder();
        let path = dir.path().join("a");
        let mut writer = Writer::create(&path, 1 << 20).unwrap();
        for name in ["a", "", "a name with more than one word"] {
            writer.interface(name, 1).unwrap();
        }
        for (n, (interface, time, direction, frame, comment)) in frames.iter().enumerate() {
            let (interface, time, direction) = (*interface, *time, *direction);
            let comment = comment.as_deref();
            writer.packet(&Packet { interface, time, direction, frame, comment }).unwrap();
            if n == flush_at { writer.flush(); }
        }
        drop(writer);
        let kept: Vec<Kept> = frames.into_iter().map(|f| (f.0, f.1, f.2, f.3)).collect();
        prop_assert_eq!(read(std::fs::read(path).unwrap()).unwrap(), kept);
    }

    #[test]
    fn any_bytes_are_frames_or_a_typed_error(
        magic in prop::sample::select(vec![0x0A0D_0D0Au32, 0xA1B2_C3D4, 0xD4C3_B2A1, 0xA1B2_3C4D]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let _ = read([&magic.to_le_bytes()[..], &bytes].concat());
    }

    #[test]
    fn a_good_file_with_changed_bytes_is_frames_or_a_typed_error(
        big in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut made = Made::new(big);
        let offset = made.u64(u64::MAX);
        made.interface(1, &[(9, vec![9]), (14, offset)]);
        made.packet(0, u64::MAX, &frame(1, 61));
        made.block(0xBAD, &[7; 40]);
        let sixty = made.u32(60);
        made.block(3, &[&sixty[..], &frame(2, 60)].concat());
        for (at, value) in changes {
            let at = at.index(made.0.len());
            made.0[at] = value;
        }
        made.0.truncate(made.0.len() - cut.index(made.0.len()) / 4);
        for kept in read(made.0).unwrap_or_default() {
            prop_assert!(kept.3.len() < 1 << 20);
        }
    }
}
