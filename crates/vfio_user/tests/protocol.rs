//! Rules of the protocol that its messages share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::fd::AsFd;

use common::{
    NO_REPLY, Server, Wire, access, dma_map, dma_unmap, memfd, message, new_eventfd, version_body,
    words,
};
use proptest::prelude::*;
use siov_mem::{Iova, Perm};
use siov_vfio_user::{Command, HEADER_SIZE, Header, Request};

const EPERM_FREE: u32 = 0;
const ENOENT: u32 = 2;
const EIO: u32 = 5;
const EEXIST: u32 = 17;
const EINVAL: u32 = 22;
const ENOTSUP: u32 = 95;

#[test]
fn the_version_reply_fits_into_the_request_and_ends_with_nul() {
    let server = Server::new();
    let wire = server.connect();
    let json = br#"{"capabilities":{"max_msg_fds":8,"write_multiple":true,"max_dma_maps":9}}"#;
    let body = version_body(0, 7, json);
    let reply = wire.call(Command::Version, &body);
    assert_eq!(reply.errno(), EPERM_FREE);
    assert!(reply.body.len() <= body.len());
    assert_eq!((&reply.body[..4], reply.body.last()), (&[0; 4][..], Some(&0)));
    let said = String::from_utf8(reply.body[4..].to_vec()).unwrap();
    assert!(said.contains(r#""write_multiple":true"#) && said.contains(r#""max_msg_fds":16"#));
    assert_eq!(server.endpoint.inspect().version, Some((0, 0)));
}

#[test]
fn a_version_without_capabilities_is_answered_without() {
    let server = Server::new();
    let reply = server.connect().call(Command::Version, &[0; 4]);
    assert_eq!((reply.errno(), reply.body.len()), (0, 4));
}

#[test]
fn nothing_works_before_the_version_and_the_device_knows_nobody() {
    let server = Server::new();
    let wire = server.connect();
    assert_eq!(wire.read(0, 0, 4).errno(), EINVAL);
    assert_eq!(wire.call(Command::Reset, &[]).errno(), EINVAL);
    assert_eq!(server.device.log(), Vec::<String>::new());
    wire.version();
    assert_eq!(wire.read(0, 0, 4).errno(), 0);
    assert_eq!(server.device.log(), ["attached"]);
}

#[test]
fn a_refused_version_can_be_tried_again_but_an_agreed_one_stays() {
    let server = Server::new();
    let wire = server.connect();
    assert_eq!(wire.call(Command::Version, &version_body(1, 0, b"{}")).errno(), ENOTSUP);
    assert_eq!(wire.call(Command::Version, &version_body(0, 0, b"{")).errno(), EINVAL);
    assert_eq!(wire.call(Command::Version, &[0; 3]).errno(), EINVAL);
    wire.version();
    assert_eq!(wire.call(Command::Version, &version_body(0, 0, b"{}")).errno(), EINVAL);
    assert_eq!(wire.read(0, 0, 4).errno(), 0);
}

#[test]
fn a_command_that_is_not_offered_says_so_and_an_unknown_one_is_invalid() {
    let server = Server::new();
    let wire = server.client();
    for command in
        [Command::DirtyPages, Command::DeviceFeature, Command::MigDataRead, Command::MigDataWrite]
    {
        assert_eq!(wire.call(command, &[0; 24]).errno(), ENOTSUP);
    }
    for command in [0, 19, 0xffff, Command::DmaRead as u16, Command::DmaWrite as u16] {
        wire.send_bytes(&message(3, command, 0, &[0; 16]));
        let reply = wire.receive();
        assert_eq!((reply.header.id, reply.header.command, reply.errno()), (3, command, EINVAL));
    }
    assert_eq!(server.endpoint.inspect().counters.unknown_commands, 3);
}

#[test]
fn no_reply_is_honoured_for_success_and_failure() {
    let server = Server::new();
    let wire = server.client();
    let posted = |command: u16, body: &[u8]| {
        wire.send_bytes(&message(1, command, NO_REPLY, body));
    };
    posted(Command::RegionWrite as u16, &access(0, 8, 4, &[7; 4]));
    posted(Command::RegionWrite as u16, &access(99, 8, 4, &[7; 4]));
    posted(Command::GetInfo as u16, &words(&[16, 0, 0, 0]));
    posted(Command::Reset as u16, &[1]);
    posted(999, &[]);
    assert_eq!(wire.read_u32(0, 8), 0x0707_0707, "the reply to the read is the first there is");
    assert_eq!(server.endpoint.inspect().counters.errors, 3);
}

#[test]
fn many_requests_at_once_are_answered_in_their_order() {
    let server = Server::new();
    let wire = server.client();
    let requests: Vec<u8> = (0..500)
        .flat_map(|id| message(id, Command::RegionRead as u16, 0, &access(7, 0, 1, &[])))
        .collect();
    wire.send_bytes(&requests);
    for id in 0..500 {
        let reply = wire.receive();
        assert_eq!((reply.header.id, reply.errno()), (id, 0));
    }
}

#[test]
fn an_access_that_leaves_its_region_is_invalid() {
    let server = Server::new();
    let wire = server.client();
    for (region, offset, count) in [
        (0, 0xfffd, 4),
        (0, u64::MAX, 4),
        (0, u64::MAX - 3, 4),
        (3, 0, 1),
        (9, 0, 4),
        (u32::MAX, 0, 4),
        (0, 0, (1 << 20) + 1),
    ] {
        assert_eq!(wire.read(region, offset, count).errno(), EINVAL, "{region} {offset} {count}");
    }
    assert_eq!(wire.read(0, 0xfffc, 4).errno(), 0);
    assert_eq!(wire.read(0, 0x10000, 0).errno(), 0);
    assert_eq!(wire.write(0, 0xfffd, &[1; 4]), EINVAL);
    assert_eq!(wire.write(1, 0, &[1; 4]), EINVAL, "a read-only region");
}

#[test]
fn an_errno_of_the_device_reaches_the_client() {
    let server = Server::new();
    let wire = server.client();
    assert_eq!(wire.read(0, 0xbad0, 4).errno(), EIO);
    assert_eq!(wire.write(0, 0xbad0, &[0; 4]), EIO);
}

#[test]
fn many_writes_in_one_message_are_done_in_order_up_to_the_first_that_fails() {
    let server = Server::new();
    let wire = server.client();
    let multi = |entries: &[(u64, u32, &[u8])]| {
        let mut body = (entries.len() as u64).to_ne_bytes().to_vec();
        for (offset, region, data) in entries {
            let mut padded = [0; 8];
            padded[..data.len()].copy_from_slice(data);
            body.extend(access(*region, *offset, data.len() as u32, &padded));
        }
        wire.call(Command::WriteMulti, &body)
    };
    let reply = multi(&[(0, 0, &[1; 4]), (0, 0, &[2; 2]), (16, 0, &[3; 8])]);
    assert_eq!((reply.errno(), &reply.body[..]), (0, &3u64.to_ne_bytes()[..]));
    assert_eq!((wire.read_u32(0, 0), wire.read_u32(0, 20)), (0x0101_0202, 0x0303_0303));
    let reply = multi(&[(0, 0, &[9; 4]), (0xbad0, 0, &[1]), (4, 0, &[9; 4])]);
    assert_eq!(&reply.body[..], &1u64.to_ne_bytes()[..]);
    assert_eq!((wire.read_u32(0, 0), wire.read_u32(0, 4)), (0x0909_0909, 0));
    assert_eq!(multi(&[(0, 99, &[1])]).errno(), EINVAL);
    assert_eq!(wire.call(Command::WriteMulti, &u64::MAX.to_ne_bytes()).errno(), EINVAL);
    let too_long = [&1u64.to_ne_bytes()[..], &access(0, 0, 9, &[0; 8])].concat();
    assert_eq!(wire.call(Command::WriteMulti, &too_long).errno(), EINVAL);
}

#[test]
fn region_info_tells_the_room_it_needs_and_sends_the_file_only_with_it() {
    let server = Server::new();
    let wire = server.client();
    let ask = |argsz: u32, index: u32| {
        wire.call(Command::GetRegionInfo, &words(&[argsz, 0, index, 0, 0, 0, 0, 0]))
    };
    let small = ask(32, 2);
    assert_eq!(small.body.len(), 32);
    assert_eq!(&small.body[..16], &words(&[80, 0b1111, 2, 32])[..], "cap_offset is never 0");
    let full = ask(80, 2);
    assert_eq!(full.body.len(), 80);
    assert_eq!(&full.body[32..48], &words(&[0x0001_0001, 0, 2, 0])[..]);
    assert_eq!(ask(31, 2).errno(), EINVAL);
    assert_eq!(ask(32, 9).errno(), EINVAL);
}

#[test]
fn io_fds_are_none_for_every_region_there_is() {
    let server = Server::new();
    let wire = server.client();
    let ask = |fields: [u32; 4]| wire.call(Command::GetRegionIoFds, &words(&fields));
    assert_eq!(ask([1000, 0, 2, 0]).body, words(&[16, 0, 2, 0]));
    assert_eq!(ask([16, 0, 9, 0]).errno(), EINVAL);
    assert_eq!(ask([16, 1, 0, 0]).errno(), EINVAL);
    assert_eq!(ask([15, 0, 0, 0]).errno(), EINVAL);
}

#[test]
fn maps_obey_the_rules_of_the_table() {
    let server = Server::new();
    let wire = server.client();
    let memory = memfd(0x4000);
    assert_eq!(wire.map(0x1000, 0x4000, Some(memory.as_fd())), 0);
    assert_eq!(wire.map(0x4000, 0x1000, None), EEXIST);
    assert_eq!(wire.map(0x8001, 0x1000, None), EINVAL);
    assert_eq!(wire.map(0x8000, 0, None), EINVAL);
    assert_eq!(wire.map(u64::MAX - 0xfff, 0x2000, None), EINVAL);
    assert_eq!(wire.map(0x10000, 0x5000, Some(memory.as_fd())), EINVAL, "longer than its file");
    assert_eq!(wire.unmap(0x1000, 0x1000), EINVAL);
    assert_eq!(wire.unmap(0x9000, 0x1000), ENOENT);
    assert_eq!(wire.unmap(0x1000, 0x4000), 0);
    assert_eq!(server.endpoint.inspect().maps, []);
}

#[test]
fn an_unmap_of_all_takes_all_and_needs_no_range() {
    let server = Server::new();
    let wire = server.client();
    wire.map(0, 0x1000, None);
    wire.map(0x10000, 0x1000, None);
    let all = |iova, size| wire.call(Command::DmaUnmap, &dma_unmap(2, iova, size)).errno();
    assert_eq!(all(0, 0x1000), EINVAL);
    assert_eq!(server.endpoint.inspect().maps.len(), 2);
    assert_eq!(all(0, 0), 0);
    assert_eq!(server.endpoint.inspect().maps, []);
    assert_eq!(wire.call(Command::DmaUnmap, &dma_unmap(1, 0, 0x1000)).errno(), ENOTSUP);
    assert_eq!(wire.call(Command::DmaUnmap, &dma_unmap(4, 0, 0x1000)).errno(), EINVAL);
}

#[test]
fn descriptors_on_a_message_that_takes_none_are_invalid_and_closed() {
    let server = Server::new();
    let wire = server.client();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let body = access(0, 0, 4, &[]);
    assert_eq!(wire.call_fds(Command::RegionRead, &body, &[writer.as_fd()]).errno(), EINVAL);
    assert_eq!(
        wire.call_fds(Command::DmaMap, &dma_map(3, 0, 0, 0x1000), &[writer.as_fd(); 2]).errno(),
        EINVAL
    );
    let many = [writer.as_fd(); 17];
    let body = words(&[20, 0x24, 2, 0, 5]);
    assert_eq!(wire.call_fds(Command::SetIrqs, &body, &many).errno(), EINVAL);
    drop(writer);
    assert_eq!(rustix::io::read(&reader, &mut [0]), Ok(0), "no writer is left in the server");
}

#[test]
fn descriptors_go_to_their_own_message_however_the_stream_is_cut() {
    let first = memfd(0x1000);
    let second = memfd(0x1000);
    rustix::io::pwrite(&first, b"1", 0).unwrap();
    rustix::io::pwrite(&second, b"2", 0).unwrap();
    let reset = message(1, Command::Reset as u16, 0, &[]);
    let read = message(1, Command::RegionRead as u16, 0, &access(0, 0, 4, &[]));
    let write = message(1, Command::RegionWrite as u16, 0, &access(0, 0, 4, &[0; 4]));
    for between in
        [&[][..], &[&reset][..], &[&read], &[&write], &[&reset, &reset], &[&read, &reset]]
    {
        let server = Server::new();
        let wire = server.client();
        let plain = between.iter().copied().flatten().copied().collect::<Vec<u8>>();
        let map = |iova| message(1, Command::DmaMap as u16, 0, &dma_map(3, 0, iova, 0x1000));
        wire.send_bytes(&plain);
        wire.send_fds(&map(0x1000), &[first.as_fd()]);
        wire.send_bytes(&plain);
        // What follows the message in the same write is not what the descriptor is for.
        wire.send_fds(&[map(0x2000), plain.clone()].concat(), &[second.as_fd()]);
        // The header on its own, the body later.
        wire.send_fds(&map(0x3000)[..1], &[first.as_fd()]);
        wire.send_bytes(&map(0x3000)[1..]);
        wire.send_bytes(&map(0x4000));
        for _ in 0..4 + 3 * between.len() {
            assert_eq!(wire.receive().errno(), 0);
        }
        let shared: Vec<bool> = server.endpoint.inspect().maps.iter().map(|m| m.shared).collect();
        assert_eq!(shared, [true, true, true, false]);
        let dma = server.device.client();
        for (iova, byte) in [(0x1000, b'1'), (0x2000, b'2'), (0x3000, b'1')] {
            let mut seen = [0];
            dma.dma().read(Iova(iova), &mut seen).unwrap();
            assert_eq!(seen, [byte]);
        }
    }
}

#[test]
fn a_map_for_reading_is_not_written() {
    let server = Server::new();
    let wire = server.client();
    let memory = memfd(0x1000);
    let body = dma_map(1, 0, 0, 0x1000);
    assert_eq!(wire.call_fds(Command::DmaMap, &body, &[memory.as_fd()]).errno(), 0);
    assert_eq!(server.endpoint.inspect().maps[0].perm, Perm::READ);
    assert!(server.device.client().dma().write(Iova(0), &[1]).is_err());
    for flags in [0, 4, 8, 0x8000_0003] {
        let body = dma_map(flags, 0, 0x10000, 0x1000);
        assert_eq!(wire.call(Command::DmaMap, &body).errno(), EINVAL);
    }
}

#[test]
fn a_message_of_an_unknown_type_is_invalid() {
    let server = Server::new();
    let wire = server.client();
    wire.send_bytes(&message(9, Command::Reset as u16, 2, &[]));
    assert_eq!(wire.receive().errno(), EINVAL);
    assert_eq!(wire.read(0, 0, 4).errno(), 0);
}

#[test]
fn a_reply_to_nothing_is_counted_and_ignored() {
    let server = Server::new();
    let wire = server.client();
    wire.send_bytes(&message(9, Command::DmaRead as u16, 1, &[0; 24]));
    assert_eq!(wire.read(0, 0, 4).errno(), 0);
    assert_eq!(server.endpoint.inspect().counters.stray_replies, 1);
}

fn commands_and_bodies() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let size = prop_oneof![0..64usize, Just(16), Just(20), Just(24), Just(32)];
    let small = prop_oneof![Just(0u8), Just(1), Just(4), Just(16), Just(32), any::<u8>()];
    (0..20u16, size.prop_flat_map(move |n| prop::collection::vec(small.clone(), n)))
}

proptest! {
    #[test]
    fn no_body_panics_the_parser((command, body) in commands_and_bodies()) {
        if let Ok(Request::WriteMulti(multi)) = Request::parse(command, &body) {
            prop_assert!(multi.writes().all(|(access, data)| access.count as usize == data.len()));
        }
    }

    #[test]
    fn a_header_survives_the_wire(id: u16, command: u16, size: u32, flags: u32, error: u32) {
        let header = Header { id, command, size, flags, error };
        prop_assert_eq!(Header::parse(&header.encode()), Some(header));
        prop_assert_eq!(Header::parse(&header.encode()[..HEADER_SIZE - 1]), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn no_sequence_of_messages_ends_the_server(messages in prop::collection::vec(
        (commands_and_bodies(), any::<bool>(), any::<bool>()), 1..60))
    {
        let server = Server::new();
        let wire = server.client();
        let eventfd = new_eventfd();
        for ((command, body), posted, fd) in messages {
            let flags = if posted { NO_REPLY } else { 0 };
            let bytes = message(5, command, flags, &body);
            if fd { wire.send_fds(&bytes, &[eventfd.as_fd()]) } else { wire.send_bytes(&bytes) }
            if !posted {
                prop_assert_eq!(wire.receive().header.id, 5);
            }
        }
        prop_assert_eq!(wire.read(0, 0, 4).errno(), 0);
        drop(wire);
        let next: Wire = server.client();
        prop_assert_eq!(next.read(0, 0, 4).errno(), 0);
    }
}
