//! Claims about the flow director.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use siov_packet::field::{Field, Level};
use siov_packet::{Parsed, parse};
use siov_switch::{
    Addr, FdSpace, Filter, FlowError, FlowTable, InSpace, Pcmd, Profile, Program, Ptypes, Space,
    VsiId,
};

fn vsi(number: u16) -> VsiId {
    VsiId::new(number).unwrap()
}

/// An IPv4 packet with a transport header's first bytes.
fn packet(protocol: u8, src: (u8, u16), dst: (u8, u16), flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0]);
    frame.extend([10, 0, 0, src.0, 10, 0, 0, dst.0]);
    frame.extend(src.1.to_be_bytes());
    frame.extend(dst.1.to_be_bytes());
    match protocol {
        17 => frame.extend([0, 20, 0, 0]),
        _ => frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]),
    }
    frame.resize(14 + 40, 0);
    frame
}

fn tcp(src: (u8, u16), dst: (u8, u16)) -> Vec<u8> {
    packet(6, src, dst, 0x10)
}

/// A TCP connection by addresses and ports.
fn four_tuple(ptypes: Ptypes, vsis: impl IntoIterator<Item = u16>) -> Profile {
    let fields = [Field::Ipv4Src, Field::Ipv4Dst, Field::TcpSrcPort, Field::TcpDstPort];
    Profile {
        fields: fields.map(|field| (Level::Innermost, field)).to_vec(),
        ptypes,
        vsis: vsis.into_iter().map(vsi).collect(),
    }
}

fn tcp_ptypes() -> Ptypes {
    Ptypes::from_iter([parse(&tcp((1, 1), (2, 2))).ptype])
}

/// Room for 4 guaranteed and 4 best-effort filters; VSIs 1 and 2 may use 2 and 3 of them.
fn table() -> FlowTable {
    let mut table = FlowTable::new(Space { guaranteed: 4, best_effort: 4 }, 9);
    assert!(table.set_profile(3, Some(four_tuple(tcp_ptypes(), [1, 2]))));
    for number in [1, 2] {
        table.set_vsi_size(vsi(number), Space { guaranteed: 2, best_effort: 3 });
    }
    table
}

fn to_queue(fd_vsi: u16, qindex: u16) -> Program {
    Program {
        fd_vsi,
        qindex,
        to_q_pri: 3,
        fd_space: FdSpace::GuaranteedThenBestEffort,
        ..Program::default()
    }
}

fn program(table: &mut FlowTable, program: &Program, frame: &[u8]) -> Result<Addr, FlowError> {
    table.program(program, frame, &parse(frame))
}

fn find<'a>(table: &'a FlowTable, number: u16, frame: &[u8]) -> Option<&'a Filter> {
    table.find(vsi(number), frame, &parse(frame))
}

fn connection(n: u16) -> Vec<u8> {
    tcp((1, 1000 + n), (2, 80))
}

#[test]
fn a_packet_goes_to_the_queue_of_its_filter() {
    let mut table = table();
    let addr = program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let filter = find(&table, 1, &connection(0)).unwrap();
    assert_eq!((filter.addr, filter.program.queue(), filter.profile()), (addr, Some((5, 0)), 3));
}

#[test]
fn every_field_of_the_profile_counts() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &tcp((1, 1000), (2, 80))).unwrap();
    let others = [
        tcp((3, 1000), (2, 80)),
        tcp((1, 1001), (2, 80)),
        tcp((1, 1000), (3, 80)),
        tcp((1, 1000), (2, 81)),
        tcp((2, 80), (1, 1000)),
        packet(17, (1, 1000), (2, 80), 0),
    ];
    for other in others {
        assert_eq!(find(&table, 1, &other), None);
    }
}

#[test]
fn a_filter_is_for_its_vsi_only() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    program(&mut table, &to_queue(2, 6), &connection(1)).unwrap();
    assert_eq!(find(&table, 2, &connection(0)), None);
    assert_eq!(find(&table, 1, &connection(1)), None);
    assert_eq!(find(&table, 3, &connection(0)), None);
}

#[test]
fn a_profile_applies_to_its_packet_types_only() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    table.set_profile(3, Some(four_tuple(Ptypes::from_iter([1]), [1, 2])));
    assert_eq!(find(&table, 1, &connection(0)), None);
    let failed = program(&mut table, &to_queue(1, 5), &connection(1));
    assert_eq!(failed, Err(FlowError::NoProfile));
    table.set_profile(3, Some(four_tuple(tcp_ptypes(), [1])));
    assert!(find(&table, 1, &connection(0)).is_some());
}

#[test]
fn a_training_packet_with_swap_is_seen_from_the_transmitter() {
    let mut table = table();
    let swapped = Program { swap: true, ..to_queue(1, 5) };
    program(&mut table, &swapped, &tcp((2, 80), (1, 1000))).unwrap();
    assert!(find(&table, 1, &tcp((1, 1000), (2, 80))).is_some());
    assert_eq!(find(&table, 1, &tcp((2, 80), (1, 1000))), None);
}

#[test]
fn swapping_leaves_ethernet_addresses() {
    let mut table = table();
    let fields = vec![(Level::Outer, Field::EthDst)];
    table.set_profile(3, Some(Profile { fields, ..four_tuple(Ptypes::ALL, [1]) }));
    program(&mut table, &Program { swap: true, ..to_queue(1, 5) }, &connection(0)).unwrap();
    assert!(find(&table, 1, &connection(7)).is_some());
}

#[test]
fn of_several_profiles_that_fit_the_lowest_number_makes_the_key() {
    let mut table = table();
    let fields = vec![(Level::Innermost, Field::Ipv4Src)];
    let by_source = Profile { fields, ..four_tuple(Ptypes::ALL, [1]) };
    table.set_profile(9, Some(by_source.clone()));
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    assert_eq!(find(&table, 1, &connection(1)), None);
    let udp = |port| packet(17, (1, port), (2, 80), 0);
    program(&mut table, &to_queue(1, 6), &udp(5)).unwrap();
    assert_eq!(find(&table, 1, &udp(6)).unwrap().profile(), 9);
    table.set_profile(2, Some(by_source));
    assert_eq!(find(&table, 1, &connection(0)), None);
}

#[test]
fn vsis_with_profiles_of_other_fields_for_the_same_packets_have_each_their_own_filters() {
    let mut table = table();
    assert!(table.set_profile_vsi(3, vsi(2), false));
    let fields = vec![(Level::Innermost, Field::Ipv4Src)];
    table.set_profile(0, Some(Profile { fields, ..four_tuple(tcp_ptypes(), []) }));
    assert!(table.set_profile_vsi(0, vsi(2), true));
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    program(&mut table, &to_queue(2, 6), &connection(0)).unwrap();
    let profile_of = |number, n| find(&table, number, &connection(n)).map(Filter::profile);
    assert_eq!((profile_of(1, 0), profile_of(2, 0)), (Some(3), Some(0)));
    assert_eq!((profile_of(1, 1), profile_of(2, 1)), (None, Some(0)));
}

#[test]
fn a_vsi_off_a_profile_loses_its_filters_and_no_others() {
    let mut table = table();
    for number in [1, 2] {
        program(&mut table, &to_queue(number, 5), &connection(0)).unwrap();
    }
    assert!(table.set_profile_vsi(3, vsi(1), false));
    assert_eq!(table.vsi_count(vsi(1)), Space::default());
    assert_eq!(find(&table, 1, &connection(0)), None);
    assert!(find(&table, 2, &connection(0)).is_some());
    let again = program(&mut table, &to_queue(1, 5), &connection(0));
    assert_eq!(again, Err(FlowError::NoProfile));
    assert!(!table.profile(3).unwrap().vsis.contains(vsi(1)));
    assert!(!table.set_profile_vsi(4, vsi(1), true), "there is no profile 4");
    assert!(!table.set_profile_vsi(200, vsi(1), true));
}

#[test]
fn adding_a_filter_that_is_there_changes_what_it_does() {
    let mut table = table();
    let addr = program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let count = table.count();
    let drop = Program { drop: true, fd_space: FdSpace::BestEffort, ..to_queue(1, 0) };
    assert_eq!(program(&mut table, &drop, &connection(0)), Ok(addr));
    assert_eq!(table.count(), count);
    let filter = find(&table, 1, &connection(0)).unwrap();
    assert!(filter.program.drop);
    assert_eq!((filter.program.queue(), filter.space), (None, InSpace::Guaranteed));
}

#[test]
fn removing_takes_the_key_and_fails_when_it_is_not_there() {
    let mut table = table();
    let addr = program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let remove = Program { pcmd: Pcmd::Remove, ..to_queue(1, 0) };
    assert_eq!(program(&mut table, &remove, &connection(1)), Err(FlowError::Missing));
    let wrong_vsi = Program { fd_vsi: 2, ..remove };
    assert_eq!(program(&mut table, &wrong_vsi, &connection(0)), Err(FlowError::Missing));
    assert_eq!(program(&mut table, &remove, &connection(0)), Ok(addr));
    assert_eq!(program(&mut table, &remove, &connection(0)), Err(FlowError::Missing));
    assert_eq!(find(&table, 1, &connection(0)), None);
    assert_eq!((table.count(), table.vsi_count(vsi(1))), Default::default());
    assert_eq!(program(&mut table, &to_queue(2, 5), &connection(4)), Ok(addr));
}

#[test]
fn each_space_takes_as_many_as_the_vsi_may_have() {
    let cases = [
        (FdSpace::Guaranteed, 2, vec![InSpace::Guaranteed; 2]),
        (FdSpace::BestEffort, 3, vec![InSpace::BestEffort; 3]),
        (
            FdSpace::GuaranteedThenBestEffort,
            5,
            [vec![InSpace::Guaranteed; 2], vec![InSpace::BestEffort; 3]].concat(),
        ),
        (
            FdSpace::BestEffortThenGuaranteed,
            5,
            [vec![InSpace::BestEffort; 3], vec![InSpace::Guaranteed; 2]].concat(),
        ),
    ];
    for (fd_space, room, spaces) in cases {
        let mut table = table();
        let add = Program { fd_space, ..to_queue(1, 5) };
        for n in 0..room {
            program(&mut table, &add, &connection(n)).unwrap();
        }
        let failed = program(&mut table, &add, &connection(room));
        assert_eq!(failed, Err(FlowError::NoRoom));
        assert_eq!(table.filters().map(|filter| filter.space).collect::<Vec<_>>(), spaces);
        let guaranteed =
            spaces.iter().filter(|space| **space == InSpace::Guaranteed).count() as u16;
        let count = Space { guaranteed, best_effort: room - guaranteed };
        assert_eq!((table.count(), table.vsi_count(vsi(1))), (count, count));
        assert_eq!(table.vsi_count(vsi(2)), Space::default());
    }
}

#[test]
fn best_effort_space_is_everybodys() {
    let mut table = table();
    let add = |number| Program { fd_space: FdSpace::BestEffort, ..to_queue(number, 5) };
    for n in 0..3 {
        program(&mut table, &add(1), &connection(n)).unwrap();
    }
    program(&mut table, &add(2), &connection(3)).unwrap();
    assert_eq!(program(&mut table, &add(2), &connection(4)), Err(FlowError::NoRoom));
    assert_eq!(table.count().word(), 4 << 16);
}

#[test]
fn the_functions_quota_limits_too() {
    let mut table = table();
    table.set_pf_size(Space { guaranteed: 1, best_effort: 0 });
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    assert_eq!(program(&mut table, &to_queue(2, 5), &connection(1)), Err(FlowError::NoRoom));
}

#[test]
fn a_vsi_without_quota_has_no_filters() {
    let mut table = table();
    table.set_profile(3, Some(four_tuple(tcp_ptypes(), [4])));
    assert_eq!(program(&mut table, &to_queue(4, 5), &connection(0)), Err(FlowError::NoRoom));
}

#[test]
fn a_full_space_still_lets_filters_change() {
    let mut table = table();
    let add = Program { fd_space: FdSpace::Guaranteed, ..to_queue(1, 5) };
    program(&mut table, &add, &connection(0)).unwrap();
    program(&mut table, &add, &connection(1)).unwrap();
    let change = Program { qindex: 9, ..add };
    program(&mut table, &change, &connection(1)).unwrap();
    assert_eq!(find(&table, 1, &connection(1)).unwrap().program.qindex, 9);
}

#[test]
fn the_device_has_no_more_filters_than_addresses() {
    let table = FlowTable::new(Space { guaranteed: 12_000, best_effort: 30_000 }, 0);
    assert_eq!(table.size(), Space { guaranteed: 12_000, best_effort: 4_384 });
}

#[test]
fn what_fails_says_whether_the_profile_failed() {
    let mut table = table();
    let udp = packet(17, (1, 1), (2, 2), 0);
    assert_eq!(program(&mut table, &to_queue(1, 5), &udp), Err(FlowError::NoProfile));
    assert_eq!(program(&mut table, &to_queue(800, 5), &connection(0)), Err(FlowError::NoVsi));
    table.set_profile(3, Some(four_tuple(Ptypes::ALL, [1])));
    assert_eq!(program(&mut table, &to_queue(1, 5), &udp), Err(FlowError::NoKey));
    assert_eq!(program(&mut table, &to_queue(1, 5), &[]), Err(FlowError::NoKey));
    assert!(FlowError::NoProfile.is_profile() && FlowError::NoKey.is_profile());
    assert!(!FlowError::NoRoom.is_profile() && !FlowError::Missing.is_profile());
}

#[test]
fn a_key_that_is_too_long_fails() {
    let mut table = table();
    let fields = vec![(Level::Outer, Field::EthSrc); 9];
    table.set_profile(3, Some(Profile { fields, ..four_tuple(Ptypes::ALL, [1]) }));
    assert_eq!(program(&mut table, &to_queue(1, 5), &connection(0)), Err(FlowError::NoKey));
    assert_eq!(find(&table, 1, &connection(0)), None);
}

#[test]
fn switched_off_nothing_matches_and_nothing_is_programmed() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    table.set_enabled(false);
    assert_eq!(find(&table, 1, &connection(0)), None);
    assert_eq!(program(&mut table, &to_queue(1, 5), &connection(1)), Err(FlowError::Disabled));
    table.set_enabled(true);
    assert!(find(&table, 1, &connection(0)).is_some());
}

#[test]
fn a_profile_of_other_fields_takes_the_old_ones_filters_away() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let fields = vec![(Level::Innermost, Field::TcpDstPort)];
    table.set_profile(3, Some(Profile { fields, ..four_tuple(tcp_ptypes(), [1]) }));
    assert_eq!((table.filters().count(), table.count()), (0, Space::default()));
    assert!(!table.set_profile(128, None));
}

#[test]
fn clearing_a_vsi_leaves_the_others() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    program(&mut table, &to_queue(2, 6), &connection(0)).unwrap();
    table.clear_vsi(vsi(1));
    assert_eq!(find(&table, 1, &connection(0)), None);
    assert!(find(&table, 2, &connection(0)).is_some());
    assert_eq!(table.vsi_count(vsi(1)), Space::default());
    table.clear();
    assert_eq!((table.filters().count(), table.count()), (0, Space::default()));
}

#[test]
fn a_filter_with_evict_goes_with_fin_or_rst() {
    let mut table = table();
    let parsed = |frame: &[u8]| -> Parsed { parse(frame) };
    for (evict, flags, due) in
        [(true, 0x10, false), (true, 0x11, true), (true, 0x04, true), (false, 0x11, false)]
    {
        let add = Program { evict, ..to_queue(1, 5) };
        program(&mut table, &add, &connection(0)).unwrap();
        let last = packet(6, (1, 1000), (2, 80), flags);
        let filter = find(&table, 1, &last).unwrap();
        assert_eq!(filter.evicts_on(&last, &parsed(&last)), due);
    }
}

#[test]
fn an_eviction_spares_a_filter_that_was_programmed_anew() {
    let mut table = table();
    let addr = program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let old = table.filter(addr).unwrap().stamp;
    program(&mut table, &to_queue(1, 6), &connection(0)).unwrap();
    assert!(!table.evict(addr, old));
    let new = table.filter(addr).unwrap().stamp;
    assert!(table.evict(addr, new));
    assert!(!table.evict(addr, new));
    assert_eq!(table.count(), Space::default());
}

#[test]
fn a_clone_is_a_table_of_its_own() {
    let mut table = table();
    program(&mut table, &to_queue(1, 5), &connection(0)).unwrap();
    let before = table.clone();
    table.clear();
    program(&mut table, &to_queue(1, 6), &connection(1)).unwrap();
    assert!(find(&before, 1, &connection(0)).is_some());
    assert_eq!(find(&before, 1, &connection(1)), None);
}

#[test]
fn bits_of_other_fields_do_not_count() {
    let mut table = table();
    let fields = vec![(Level::Innermost, Field::Ipv4Dscp)];
    table.set_profile(3, Some(Profile { fields, ..four_tuple(tcp_ptypes(), [1]) }));
    let with_tos = |tos| {
        let mut frame = connection(0);
        frame[15] = tos;
        frame
    };
    program(&mut table, &to_queue(1, 5), &with_tos(0b1010_0000)).unwrap();
    assert!(find(&table, 1, &with_tos(0b1010_0011)).is_some());
    assert_eq!(find(&table, 1, &with_tos(0b1010_0100)), None);
}
