//! Claims about program descriptors and what filters count.

use siov_switch::{CompReport, FdSpace, FlowCounters, Pcmd, Program};

fn to_queue(qindex: u16) -> Program {
    Program { qindex, to_q_pri: 3, ..Program::default() }
}

#[test]
fn marks_need_a_priority_and_the_flow_ids_metadata() {
    let mark = Program { fdid: 77, fdid_pri: 3, fdid_mdid: 5, ..Program::default() };
    assert_eq!(mark.mark(), Some(77));
    assert_eq!(Program { fdid_pri: 0, ..mark }.mark(), None);
    assert_eq!(Program { fdid_mdid: 4, ..mark }.mark(), None);
}

#[test]
fn without_a_priority_rss_chooses_the_queue() {
    assert_eq!(to_queue(5).queue(), Some((5, 0)));
    assert_eq!(Program { to_q: 3, ..to_queue(8) }.queue(), Some((8, 3)));
    assert_eq!(Program { to_q_pri: 0, ..to_queue(5) }.queue(), None);
}

#[test]
fn counters_count_what_stat_ena_asks_for() {
    let mut counters = FlowCounters::default();
    let program = |stat_pkts, stat_bytes| Program {
        stat_cnt: 8191,
        stat_pkts,
        stat_bytes,
        ..Program::default()
    };
    counters.count(&program(true, false), 100);
    counters.count(&program(false, true), 200);
    counters.count(&program(true, true), 300);
    counters.count(&program(false, false), 400);
    assert_eq!((counters.packets(8191), counters.bytes(8191)), (2, 500));
    assert_eq!((counters.packets(8192), counters.bytes(0)), (0, 0));
}

#[test]
fn the_descriptors_fields_are_where_the_data_sheet_has_them() {
    let ones = Program::from_qwords(u64::MAX, u64::MAX);
    let program = Program {
        qindex: 0x7ff,
        comp_q: true,
        comp_report: CompReport::Always,
        fd_space: FdSpace::BestEffortThenGuaranteed,
        stat_cnt: 0x1fff,
        stat_pkts: true,
        stat_bytes: true,
        evict: true,
        to_q: 7,
        to_q_pri: 7,
        dpu_recipe: 3,
        drop: true,
        flex_pri: 7,
        flex_mdid: 15,
        flex_val: 0xffff,
        pcmd: Pcmd::Remove,
        prof_pri: 7,
        prof: 63,
        fd_vsi: 1023,
        swap: true,
        fdid_pri: 7,
        fdid_mdid: 15,
        fdid: u32::MAX,
    };
    assert_eq!(ones, program);
    let q0 = 5 | 1 << 12 | 2 << 14 | 9 << 16 | 1 << 29 | 2 << 32 | 3 << 35 | 0xabcd << 48;
    let q1 = 8 | 3 << 5 | 1 << 8 | 300 << 14 | 3 << 25 | 5 << 28 | 0x1234_5678 << 32;
    let program = Program {
        qindex: 5,
        comp_report: CompReport::OnFail,
        fd_space: FdSpace::GuaranteedThenBestEffort,
        stat_cnt: 9,
        stat_pkts: true,
        to_q: 2,
        to_q_pri: 3,
        flex_val: 0xabcd,
        prof_pri: 3,
        prof: 1,
        fd_vsi: 300,
        fdid_pri: 3,
        fdid_mdid: 5,
        fdid: 0x1234_5678,
        ..Program::default()
    };
    assert_eq!(Program::from_qwords(q0, q1), program);
}
