//! The flow director against a slow one: a list of filters, compared field by field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;
use siov_packet::field::{self, Field, Level};
use siov_packet::parse;
use siov_switch::{
    Addr, FdSpace, FlowError, FlowTable, InSpace, Pcmd, Profile, Program, Ptypes, Space, VsiId,
};

const VSIS: u16 = 3;
const SIZE: Space = Space { guaranteed: 4, best_effort: 5 };
const QUOTA: Space = Space { guaranteed: 2, best_effort: 3 };

#[derive(Clone, Debug)]
enum Op {
    Program(Program, Vec<u8>),
    Evict(u16),
    ClearVsi(u16),
}

struct SlowFilter {
    addr: Addr,
    vsi: u16,
    profile: u8,
    key: Vec<Vec<u8>>,
    space: InSpace,
    program: Program,
}

#[derive(Default)]
struct Slow {
    profiles: Vec<(u8, Profile)>,
    filters: Vec<SlowFilter>,
}

fn id(number: u16) -> VsiId {
    VsiId::new(number).unwrap()
}

fn reversed(field: Field) -> Field {
    match field {
        Field::Ipv4Src => Field::Ipv4Dst,
        Field::Ipv4Dst => Field::Ipv4Src,
        Field::UdpSrcPort => Field::UdpDstPort,
        Field::UdpDstPort => Field::UdpSrcPort,
        other => other,
    }
}

impl Slow {
    fn key(&self, vsi: u16, frame: &[u8], swap: bool) -> Result<(u8, Vec<Vec<u8>>), FlowError> {
        let parsed = parse(frame);
        let fits = |profile: &&(u8, Profile)| {
            profile.1.vsis.contains(id(vsi)) && profile.1.ptypes.contains(parsed.ptype)
        };
        let fitting = self.profiles.iter().filter(fits).min_by_key(|(number, _)| *number);
        let (number, profile) = fitting.ok_or(FlowError::NoProfile)?;
        let bytes = |(level, of): &(Level, Field)| {
            let of = if swap { reversed(*of) } else { *of };
            let value = field::extract(frame, &parsed, *level, of)?;
            Some(value.bytes.iter().zip(value.mask).map(|(byte, mask)| byte & mask).collect())
        };
        let key: Option<Vec<Vec<u8>>> = profile.fields.iter().map(bytes).collect();
        Ok((*number, key.ok_or(FlowError::NoKey)?))
    }

    fn position(&self, vsi: u16, profile: u8, key: &[Vec<u8>]) -> Option<usize> {
        let same = |filter: &SlowFilter| {
            filter.vsi == vsi && filter.profile == profile && filter.key == key
        };
        self.filters.iter().position(same)
    }

    fn count(&self, vsi: Option<u16>) -> Space {
        let mine = |filter: &&SlowFilter| vsi.is_none_or(|vsi| filter.vsi == vsi);
        let of = |space| {
            self.filters.iter().filter(mine).filter(|filter| filter.space == space).count() as u16
        };
        Space { guaranteed: of(InSpace::Guaranteed), best_effort: of(InSpace::BestEffort) }
    }

    fn room(&self, vsi: u16, wanted: FdSpace) -> Option<InSpace> {
        let (all, mine) = (self.count(None), self.count(Some(vsi)));
        let guaranteed = all.guaranteed < SIZE.guaranteed && mine.guaranteed < QUOTA.guaranteed;
        let best = all.best_effort < SIZE.best_effort && mine.best_effort < QUOTA.best_effort;
        let guaranteed = guaranteed.then_some(InSpace::Guaranteed);
        let best = best.then_some(InSpace::BestEffort);
        match wanted {
            FdSpace::Guaranteed => guaranteed,
            FdSpace::BestEffort => best,
            FdSpace::GuaranteedThenBestEffort => guaranteed.or(best),
            FdSpace::BestEffortThenGuaranteed => best.or(guaranteed),
        }
    }

    /// Does what the descriptor says, with the address that the table gave a new filter.
    fn program(
        &mut self,
        program: &Program,
        frame: &[u8],
        given: Option<Addr>,
    ) -> Result<Addr, FlowError> {
        let (profile, key) = self.key(program.fd_vsi, frame, program.swap)?;
        let at = self.position(program.fd_vsi, profile, &key);
        match (program.pcmd, at) {
            (Pcmd::Remove, None) => Err(FlowError::Missing),
            (Pcmd::Remove, Some(at)) => Ok(self.filters.remove(at).addr),
            (Pcmd::Add, Some(at)) => {
                self.filters[at].program = *program;
                Ok(self.filters[at].addr)
            }
            (Pcmd::Add, None) => {
                let vsi = program.fd_vsi;
                let space = self.room(vsi, program.fd_space).ok_or(FlowError::NoRoom)?;
                let addr = given.expect("there is room");
                assert!(self.filters.iter().all(|filter| filter.addr != addr), "a new address");
                let program = *program;
                self.filters.push(SlowFilter { addr, vsi, profile, key, space, program });
                Ok(addr)
            }
        }
    }

    fn find(&self, vsi: u16, frame: &[u8]) -> Option<&SlowFilter> {
        let (profile, key) = self.key(vsi, frame, false).ok()?;
        self.position(vsi, profile, &key).map(|at| &self.filters[at])
    }
}

/// UDP or another protocol over IPv4, of few addresses and ports.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let small = 1u8..4;
    let protocol = prop_oneof![4 => Just(17u8), 1 => Just(200)];
    (small.clone(), small.clone(), small.clone(), small, protocol).prop_map(|parts| {
        let (src, dst, sport, dport, protocol) = parts;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend([10, 0, 0, src, 10, 0, 0, dst]);
        frame.extend([0, sport, 0, dport, 0, 20, 0, 0]);
        frame.resize(54, 0);
        frame
    })
}

fn any_profile() -> impl Strategy<Value = (u8, Profile)> {
    let of = prop_oneof![
        Just(Field::Ipv4Src),
        Just(Field::Ipv4Dst),
        Just(Field::UdpSrcPort),
        Just(Field::UdpDstPort),
        Just(Field::Ipv4Prot),
    ];
    let ptypes = vec(any_frame().prop_map(|frame| parse(&frame).ptype), 1..3);
    (0u8..128, vec(of, 1..5), ptypes, vec(0..VSIS, 1..4)).prop_map(
        |(number, fields, ptypes, vsis)| {
            let fields = fields.into_iter().map(|of| (Level::Innermost, of)).collect();
            let vsis = vsis.into_iter().map(id).collect();
            (number, Profile { fields, ptypes: Ptypes::from_iter(ptypes), vsis })
        },
    )
}

fn any_op() -> impl Strategy<Value = Op> {
    let space = prop_oneof![
        Just(FdSpace::Guaranteed),
        Just(FdSpace::BestEffort),
        Just(FdSpace::GuaranteedThenBestEffort),
        Just(FdSpace::BestEffortThenGuaranteed),
    ];
    let pcmd = prop_oneof![3 => Just(Pcmd::Add), 1 => Just(Pcmd::Remove)];
    let program = (0..VSIS, space, pcmd, any::<u16>(), any::<bool>()).prop_map(
        |(fd_vsi, fd_space, pcmd, qindex, swap)| Program {
            fd_vsi,
            fd_space,
            pcmd,
            qindex,
            swap,
            ..Program::default()
        },
    );
    prop_oneof![
        12 => (program, any_frame()).prop_map(|(program, frame)| Op::Program(program, frame)),
        1 => (0u16..9).prop_map(Op::Evict),
        1 => (0..VSIS).prop_map(Op::ClearVsi),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn after_any_programming_every_packet_matches_what_a_slow_table_matches(
        seed: u64,
        profiles in vec(any_profile(), 1..5),
        ops in vec(any_op(), 1..60),
        frames in vec(any_frame(), 1..12),
    ) {
        let (mut table, mut slow) = (FlowTable::new(SIZE, seed), Slow::default());
        for (number, profile) in profiles {
            table.set_profile(number, Some(profile.clone()));
            slow.profiles.retain(|(other, _)| *other != number);
            slow.profiles.push((number, profile));
        }
        (0..VSIS).for_each(|vsi| table.set_vsi_size(id(vsi), QUOTA));
        for op in &ops {
            match op {
                Op::Program(program, frame) => {
                    let done = table.program(program, frame, &parse(frame));
                    prop_assert_eq!(slow.program(program, frame, done.ok()), done);
                }
                Op::Evict(addr) => {
                    let stamp = table.filter(Addr(*addr)).map_or(0, |filter| filter.stamp);
                    let before = slow.filters.len();
                    slow.filters.retain(|filter| filter.addr != Addr(*addr));
                    prop_assert_eq!(table.evict(Addr(*addr), stamp), slow.filters.len() < before);
                }
                Op::ClearVsi(vsi) => {
                    table.clear_vsi(id(*vsi));
                    slow.filters.retain(|filter| filter.vsi != *vsi);
                }
            }
            for frame in &frames {
                for vsi in 0..VSIS {
                    let found = table.find(id(vsi), frame, &parse(frame));
                    let expected = slow.find(vsi, frame);
                    prop_assert_eq!(
                        found.map(|filter| (filter.addr, filter.program, filter.space)),
                        expected.map(|filter| (filter.addr, filter.program, filter.space))
                    );
                }
            }
            prop_assert_eq!(table.count(), slow.count(None));
            for vsi in 0..VSIS {
                prop_assert_eq!(table.vsi_count(id(vsi)), slow.count(Some(vsi)));
            }
        }
    }
}
