//! Tags into frames and out of them.

use crate::common::*;
use siov_packet::{Tag, insert_tag, parse, strip_tag};

const C: Tag = Tag { tpid: 0x8100, tci: 0xA123 };
const S: Tag = Tag { tpid: 0x88A8, tci: 0x0456 };

#[test]
fn a_tag_goes_next_to_the_addresses_or_behind_other_tags() {
    let mut bytes = frame(&[], IP4, UDP, b"payload");
    assert!(insert_tag(&mut bytes, 0, C) && insert_tag(&mut bytes, 0, S));
    assert_eq!(bytes, frame(&[(S.tpid, S.tci), (C.tpid, C.tci)], IP4, UDP, b"payload"));
    let mut bytes = frame(&[(S.tpid, S.tci)], IP4, UDP, b"payload");
    assert!(insert_tag(&mut bytes, 1, C));
    assert_eq!(parse(&bytes).tags(), [S, C]);
}

#[test]
fn a_frame_without_room_for_the_tag_stays_as_it_is() {
    for (len, position, done) in [(11, 0, false), (12, 0, true), (15, 1, false), (16, 1, true)] {
        let mut bytes = vec![0; len];
        assert_eq!(insert_tag(&mut bytes, position, C), done);
        assert_eq!(bytes.len(), if done { len + 4 } else { len });
    }
}

#[test]
fn a_tag_is_stripped_when_its_type_is_wanted() {
    let tags = [(S.tpid, S.tci), (C.tpid, C.tci)];
    let mut bytes = frame(&tags, IP6, TCP, b"x");
    assert_eq!(strip_tag(&mut bytes, 0, &[0x8100]), None);
    assert_eq!(strip_tag(&mut bytes, 1, &[0x8100]), Some(C));
    assert_eq!(strip_tag(&mut bytes, 0, &[0x8100, 0x88A8]), Some(S));
    assert_eq!(bytes, frame(&[], IP6, TCP, b"x"));
    assert_eq!(strip_tag(&mut bytes, 0, &[0x8100]), None);
}

#[test]
fn a_cut_off_tag_is_not_stripped() {
    let mut bytes = eth(&[], 0x8100, &[0]);
    assert_eq!(strip_tag(&mut bytes, 0, &[0x8100]), None);
    assert_eq!(bytes.len(), 15);
}
