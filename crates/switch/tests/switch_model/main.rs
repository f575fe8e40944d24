//! The switch against a slow one: a list of rules, read from end to end for every frame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod inputs;
mod slow;

use proptest::collection::vec;
use proptest::prelude::*;
use siov_switch::{Rule, Switch, Targets};

use inputs::{Probe, any_op, any_probe, id};
use slow::{Answer, Slow};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn after_any_changes_every_frame_goes_where_a_slow_switch_sends_it(
        seed: u64,
        ops in vec(any_op(), 1..60),
        probes in vec(any_probe(), 1..30),
    ) {
        let (mut switch, mut slow) = (Switch::new(seed), Slow::default());
        let mut out = Targets::new();
        for op in &ops {
            slow.apply(&mut switch, op);
            for probe in &probes {
                let expected = match probe {
                    Probe::Receive(port, header) => {
                        switch.receive(*port, header, &mut out);
                        slow.receive(*port, header)
                    }
                    Probe::Transmit(from, header, over) => {
                        switch.transmit(id(*from), header, *over, &mut out);
                        slow.transmit(*from, header, *over)
                    }
                };
                prop_assert_eq!(Answer::of(&out), expected, "{:?}", probe);
            }
        }
        let rules: Vec<(u16, Rule)> = switch.rules().map(|(id, rule)| (id.0, *rule)).collect();
        prop_assert_eq!(rules, slow.rules.into_iter().collect::<Vec<_>>());
    }
}
