//! The unit against the reference walker: same translation, same fault, same marks in the tables.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config as Proptest, TestRunner};
use siov_spec::vtd::FaultReason;

use crate::world::{Shape, World};

const SHAPES: [Shape; 14] = [
    Shape::Legacy(3),
    Shape::Legacy(4),
    Shape::Legacy(5),
    Shape::First(4),
    Shape::First(5),
    Shape::Second(3),
    Shape::Second(4),
    Shape::Second(5),
    Shape::Nested(4, 3),
    Shape::Nested(4, 4),
    Shape::Nested(4, 5),
    Shape::Nested(5, 3),
    Shape::Nested(5, 4),
    Shape::Nested(5, 5),
];

const REQUESTS: u32 = 100;

/// How often each outcome came up.
type Outcomes = HashMap<Option<FaultReason>, u32>;

fn compare(shape: Shape, worlds: u32) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let config = Proptest { cases: worlds, max_shrink_iters: 0, ..Proptest::default() };
    let config = Proptest { failure_persistence: None, ..config };
    let seen = std::cell::RefCell::new(&mut outcomes);
    let run = |seed: u64| {
        let (mut world, mut rng) = World::new(shape, seed);
        for n in 0..REQUESTS {
            let ask = world.ask(&mut rng);
            let (unit, reference) = (world.by_unit(&ask), world.by_reference(&ask));
            prop_assert_eq!(unit, reference, "{:?} {:?}, request {}", shape, ask, n);
            *seen.borrow_mut().entry(reference.err()).or_default() += 1;
            if n % 10 == 9 {
                prop_assert_eq!(world.difference(), None, "{:?} {:?}, request {}", shape, ask, n);
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&any::<u64>(), run).unwrap();
    outcomes
}

/// Random tables are worth something only if all that can happen does.
fn assert_varied(shape: Shape, outcomes: &Outcomes) {
    use FaultReason::*;
    let expected: &[FaultReason] = match shape {
        Shape::Legacy(_) => &[LCT_4, LSS_1, LSS_2, LGN_1, LGN_2, LGN_3, LGN_4],
        Shape::First(_) => &[SFS_1, SFS_2, SFS_3, SGN_1, SGN_2, SGN_3, SGN_6, SGN_8],
        Shape::Second(_) => &[SSS_1, SSS_2, SSS_3, SSS_4, SGN_3, SGN_4, SGN_6, SGN_7, SGN_8],
        Shape::Nested(..) => {
            &[SFS_2, SFS_3, SFS_6, SFS_7, SFS_8, SSS_2, SSS_3, SSS_4, SGN_1, SGN_2, SGN_6]
        }
    };
    for reason in expected {
        assert!(outcomes.contains_key(&Some(*reason)), "{shape:?} never faults with {reason:?}");
    }
    let all: u32 = outcomes.values().sum();
    let translated = outcomes.get(&None).copied().unwrap_or(0);
    assert!(translated * 40 > all, "{shape:?}: only {translated} of {all} are translated");
}

#[test]
fn the_unit_walks_random_tables_as_the_reference_does() {
    for shape in SHAPES {
        assert_varied(shape, &compare(shape, 250));
    }
}

#[test]
#[ignore = "the same with 100,000 translations for each shape"]
fn the_unit_walks_many_random_tables_as_the_reference_does() {
    for shape in SHAPES {
        let outcomes = compare(shape, 1_000);
        assert_varied(shape, &outcomes);
        let all: u32 = outcomes.values().sum();
        let translated = outcomes.get(&None).copied().unwrap_or(0);
        println!("{shape:?}: {all} requests, {translated} translated, {} outcomes", outcomes.len());
    }
}
