//! The register file against a model that knows bytes only, over random layouts and random accesses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use siov_spec::layout::{Block, Register, Span, What};
use siov_spec::{Layout, RegFile, Reset, Write};

const NAMES: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];

/// What the model knows of one byte that belongs to a register.
#[derive(Clone, Debug)]
struct Byte {
    name: String,
    index: u32,
    lane: u32, // which byte of its register
    size: u32,
    reset: u8,
    rw: u8,
    rw1c: u8,
    sticky: u8,
    value: u8,
}

/// A register file as a map of bytes.
#[derive(Clone, Debug, Default)]
struct Model {
    bytes: BTreeMap<u32, Byte>,
}

/// What a write is expected to report: name, element, old, new, written.
type Report = (String, u32, u64, u64, u64);

impl Model {
    /// All the elements of a block, told one by one: no rows, no tree. `counts` numbers the elements.
    fn add_block(
        &mut self,
        block: &Block,
        base: u32,
        prefix: &str,
        counts: &mut BTreeMap<String, u32>,
    ) {
        for span in block.spans {
            for n in 0..span.count {
                let at = base + span.at + n * span.stride;
                match &span.what {
                    What::Register(register) => {
                        let name = format!("{prefix}{}", register.name);
                        let index = counts.entry(name.clone()).or_default();
                        self.add(&name, *index, at, register);
                        *index += 1;
                    }
                    What::Block(name, inner) => {
                        self.add_block(inner, at, &format!("{prefix}{name}_"), counts);
                    }
                }
            }
        }
    }

    fn add(&mut self, name: &str, index: u32, at: u32, register: &Register) {
        for lane in 0..u32::from(register.size) {
            let of = |mask: u64| mask.to_le_bytes()[lane as usize];
            let byte = Byte {
                name: name.to_owned(),
                index,
                lane,
                size: u32::from(register.size),
                reset: of(register.reset),
                rw: of(register.rw),
                rw1c: of(register.rw1c),
                sticky: of(register.sticky),
                value: of(register.reset),
            };
            assert!(self.bytes.insert(at + lane, byte).is_none(), "the layout overlaps");
        }
    }

    fn read(&self, at: u32, size: usize) -> Vec<u8> {
        let end = at.saturating_add(size as u32);
        let byte = |at: u32| self.bytes.get(&at).map_or(0, |byte| byte.value);
        let mut out: Vec<u8> = (at..end).map(byte).collect();
        out.resize(size, 0);
        out
    }

    fn element(&self, at: u32, lane: u32, size: u32) -> u64 {
        (0..size).map(|n| u64::from(self.bytes[&(at - lane + n)].value) << (8 * n)).sum()
    }

    fn write(&mut self, at: u32, data: &[u8]) -> Vec<Report> {
        let mut reports: Vec<Report> = vec![];
        for (n, &written) in data.iter().enumerate() {
            let Some(at) = at.checked_add(n as u32) else { break };
            let Some(byte) = self.bytes.get(&at).cloned() else { continue };
            let old = self.element(at, byte.lane, byte.size);
            let fresh = reports.last().is_none_or(|r| (&r.0, r.1) != (&byte.name, byte.index));
            if fresh {
                reports.push((byte.name.clone(), byte.index, old, old, 0));
            }
            let value = self.bytes.get_mut(&at).unwrap();
            value.value = (byte.value & !byte.rw | written & byte.rw) & !(written & byte.rw1c);
            let new = self.element(at, byte.lane, byte.size);
            let report = reports.last_mut().unwrap();
            report.3 = new;
            report.4 |= u64::from(written) << (8 * byte.lane);
        }
        reports
    }

    fn reset(&mut self, reset: Reset) {
        for byte in self.bytes.values_mut() {
            let keep = if reset == Reset::Cold { 0 } else { byte.sticky };
            byte.value = byte.reset & !keep | byte.value & keep;
        }
    }

    fn elements(&self, name: &str) -> u32 {
        self.bytes.values().filter(|b| b.name == name).map(|b| b.index + 1).max().unwrap_or(0)
    }
}

fn mask(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(size))
}

/// A register of 1 to 8 bytes, 3-byte ones included; RW and RW1C never share a bit.
fn register() -> impl Strategy<Value = Register<String>> {
    (1u8..=8, any::<[u64; 4]>()).prop_map(|(size, [reset, rw, rw1c, sticky])| {
        let name = String::new();
        let all = mask(size);
        let (rw, rw1c) = (rw & all, rw1c & !rw & all);
        Register { name, size, reset: reset & all, rw, rw1c, sticky: sticky & all }
    })
}

/// A span to be: what, gap in front, count, slack between elements.
type Plan = (Option<Vec<Plan0>>, Register<String>, u32, u32, u32);
type Plan0 = (Register<String>, u32, u32, u32);

fn leaf_plan() -> impl Strategy<Value = Plan0> {
    (register(), 0u32..5, 1u32..4, 0u32..4)
}

fn plan() -> impl Strategy<Value = Vec<Plan>> {
    let inner = proptest::option::weighted(0.4, proptest::collection::vec(leaf_plan(), 0..4));
    proptest::collection::vec((inner, register(), 0u32..6, 1u32..4, 0u32..5), 1..5)
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn named(register: &Register<String>, n: usize) -> Register {
    let Register { size, reset, rw, rw1c, sticky, .. } = *register;
    Register { name: NAMES[n], size, reset, rw, rw1c, sticky }
}

fn span(at: &mut u32, size: u32, (gap, count, slack): (u32, u32, u32), what: What) -> Span {
    let start = *at + gap;
    *at = start + (size + slack) * (count - 1) + size;
    Span { at: start, count, stride: size + slack, what }
}

fn leaf_block(plans: &[Plan0], tail: u32) -> &'static Block {
    let mut at = 0;
    let spans = plans.iter().enumerate().map(|(n, (register, gap, count, slack))| {
        let what = What::Register(named(register, n));
        span(&mut at, u32::from(register.size), (*gap, *count, *slack), what)
    });
    let spans = spans.collect::<Vec<_>>().leak();
    leak(Block { name: "INNER", size: (at + tail).max(1), spans })
}

/// Blocks three deep: a row of blocks whose rows may hold rows of blocks; gaps anywhere, at the end too.
fn block() -> impl Strategy<Value = &'static Block> {
    (plan(), plan(), 0u32..4, 0u32..9).prop_map(|(outer, inner, tail, end)| {
        let middle = assemble(&inner, None, tail);
        assemble(&outer, Some(middle), end)
    })
}

fn assemble(plans: &[Plan], deep: Option<&'static Block>, tail: u32) -> &'static Block {
    let mut at = 0;
    let mut spans = vec![];
    for (n, (inner, register, gap, count, slack)) in plans.iter().enumerate() {
        let row = (*gap, *count, *slack);
        spans.push(match (inner, deep) {
            (Some(_), Some(block)) if n % 2 == 0 => {
                span(&mut at, block.size, row, What::Block(NAMES[n], block))
            }
            (Some(leaves), _) => {
                let block = leaf_block(leaves, tail);
                span(&mut at, block.size, row, What::Block(NAMES[n], block))
            }
            (None, _) => {
                let what = What::Register(named(register, n));
                span(&mut at, u32::from(register.size), row, what)
            }
        });
    }
    leak(Block { name: "BLOCK", size: at + tail, spans: spans.leak() })
}

#[derive(Clone, Debug)]
enum Step {
    Read(u32, usize),
    Write(u32, Vec<u8>),
    Set(prop::sample::Index, u64),
    Reset(bool),
}

fn step(size: u32) -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
    ];
    prop_oneof![
        4 => (0..=size + 3, 0usize..40).prop_map(|(at, n)| Step::Read(at, n)),
        6 => (0..=size + 3, bytes).prop_map(|(at, data)| Step::Write(at, data)),
        2 => (any::<prop::sample::Index>(), any::<u64>()).prop_map(|(i, v)| Step::Set(i, v)),
        1 => any::<bool>().prop_map(Step::Reset),
    ]
}

fn script() -> impl Strategy<Value = (&'static Block, Vec<Step>)> {
    block().prop_flat_map(|block| (Just(block), proptest::collection::vec(step(block.size), 1..24)))
}

fn take(file: &mut RegFile, at: u32, data: &[u8]) -> Vec<Report> {
    let mut reports = vec![];
    let mut write = Write::new(at, data);
    while let Some(change) = file.step(&mut write) {
        let name = file.layout().register(change.id).unwrap().name.clone();
        reports.push((name, change.index, change.old, change.new, change.written));
    }
    reports
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_access_to_a_random_layout_agrees_with_a_model_of_bytes((block, steps) in script()) {
        let mut model = Model::default();
        model.add_block(block, 0, "", &mut BTreeMap::new());
        let mut file = RegFile::new(Arc::new(Layout::of(block)));
        let names: Vec<_> = file.layout().registers().map(|r| r.name.clone()).collect();
        prop_assert_eq!(file.layout().size(), block.size);
        for step in steps {
            match step {
                Step::Read(at, size) => {
                    let mut out = vec![0xA5; size];
                    file.read(at, &mut out);
                    prop_assert_eq!(out, model.read(at, size), "read of {} at {}", size, at);
                }
                Step::Write(at, data) => {
                    let reports = take(&mut file, at, &data);
                    prop_assert_eq!(reports, model.write(at, &data), "write at {}", at);
                }
                Step::Set(which, value) if !names.is_empty() => {
                    let id = which.index(names.len()) as u16;
                    let name = &names[usize::from(id)];
                    let elements = file.layout().elements(id);
                    prop_assert_eq!(elements, model.elements(name));
                    let index = (value % u64::from(elements)) as u32;
                    file.set(id, index, value);
                    for byte in model.bytes.values_mut().filter(|b| b.name == *name && b.index == index) {
                        byte.value = value.to_le_bytes()[byte.lane as usize];
                    }
                    let size = file.layout().register(id).unwrap().size;
                    prop_assert_eq!(file.get(id, index), value & mask(size));
                }
                Step::Set(..) => {}
                Step::Reset(cold) => {
                    let reset = if cold { Reset::Cold } else { Reset::Function };
                    file.reset(reset);
                    model.reset(reset);
                }
            }
            let mut whole = vec![0; block.size as usize];
            file.read(0, &mut whole);
            prop_assert_eq!(whole, model.read(0, block.size as usize));
        }
    }

    #[test]
    fn a_layout_of_single_registers_in_any_order_is_the_same_as_the_block(
        plans in proptest::collection::vec(leaf_plan(), 1..8),
        seed in any::<u64>(),
        writes in proptest::collection::vec((0u32..80, any::<[u8; 7]>()), 1..12),
    ) {
        let mut at = 0;
        let mut registers = vec![];
        for (n, (register, gap, ..)) in plans.iter().enumerate() {
            let mut register = register.clone();
            register.name = NAMES[n].to_owned();
            at += gap;
            registers.push((at, register.clone()));
            at += u32::from(register.size);
        }
        let mut model = Model::default();
        for (at, register) in &registers {
            let n = NAMES.iter().position(|name| *name == register.name).unwrap();
            model.add(&register.name, 0, *at, &named(register, n));
        }
        let turn = seed as usize % registers.len();
        registers.rotate_left(turn);
        if seed & 1 << 40 != 0 {
            registers.reverse();
        }
        let mut file = RegFile::new(Arc::new(Layout::from_registers(at, registers).unwrap()));
        for (at, data) in writes {
            prop_assert_eq!(take(&mut file, at, &data), model.write(at, &data));
            let mut whole = vec![0; 100];
            file.read(0, &mut whole);
            prop_assert_eq!(whole, model.read(0, 100));
        }
    }
}
