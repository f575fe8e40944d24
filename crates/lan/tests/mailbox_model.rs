//! Mailboxes against a reference of plain queues, and registers full of anything.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod mailbox_common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mailbox_common::{A, B, Guests, PF, RING, message};
use proptest::collection::vec;
use proptest::prelude::*;
use siov_iommu::Pasid;
use siov_lan::mailbox::{Mailboxes, Memory, Outcome, Owner, Queue, Register, Unreachable};
use siov_mem::Iova;
use siov_spec::e810::{AqDesc, AqOpcode};

const C: Owner = Owner::Vsi(5);
const OWNERS: [Owner; 4] = [PF, A, B, C];

#[derive(Clone, Debug)]
enum Step {
    /// Put a message of some bytes at the end of a ring; the PF's goes to the VSI that is named.
    Queue(Owner, Owner, u16),
    Doorbell(Owner),
    /// Read the oldest message and give its buffer back.
    Read(Owner),
}

fn step() -> impl Strategy<Value = Step> {
    let owner = || (0..4usize).prop_map(|n| OWNERS[n]);
    let vsi = (1..4usize).prop_map(|n| OWNERS[n]);
    let len = prop_oneof![Just(0u16), 1..=512u16, 513..=4096u16];
    prop_oneof![
        6 => (owner(), vsi, len).prop_map(|(from, to, len)| Step::Queue(from, to, len)),
        3 => owner().prop_map(Step::Doorbell),
        3 => owner().prop_map(Step::Read),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Letter {
    to: Owner,
    id: u32,
    len: u16,
}

/// The rules of the module's documentation, on queues.
#[derive(Default)]
struct Reference {
    written: BTreeMap<Owner, VecDeque<Letter>>,
    /// Of those, how many the doorbell has told of.
    told: BTreeMap<Owner, usize>,
    inbox: BTreeMap<Owner, VecDeque<(Owner, Letter)>>,
    /// Messages that a full VSI queue refused.
    refused: Vec<u32>,
    waiting: BTreeSet<u16>,
    turn: u16,
}

impl Reference {
    fn free(&self, owner: Owner) -> bool {
        self.inbox.get(&owner).map_or(0, VecDeque::len) < RING as usize - 1
    }

    /// False when nothing is told or it has to wait.
    fn send_one(&mut self, from: Owner) -> bool {
        if self.told.get(&from).copied().unwrap_or(0) == 0 {
            return false;
        }
        let to = self.written[&from][0].to;
        let free = self.free(to);
        if let (Owner::Vsi(vsi), false) = (from, free) {
            self.waiting.insert(vsi);
            return false;
        }
        let letter = self.written.get_mut(&from).unwrap().pop_front().unwrap();
        *self.told.get_mut(&from).unwrap() -= 1;
        if free {
            self.inbox.entry(to).or_default().push_back((from, letter));
        } else {
            self.refused.push(letter.id);
        }
        true
    }

    fn doorbell(&mut self, owner: Owner) {
        let written = self.written.get(&owner).map_or(0, VecDeque::len);
        self.told.insert(owner, written);
        if let Owner::Vsi(vsi) = owner {
            self.waiting.remove(&vsi);
        }
        while self.send_one(owner) {}
    }

    fn post(&mut self, owner: Owner) {
        while owner == PF && self.free(PF) && !self.waiting.is_empty() {
            let next = self.waiting.iter().find(|vsi| **vsi >= self.turn);
            let vsi = *next.unwrap_or(self.waiting.first().unwrap());
            self.turn = vsi + 1;
            self.waiting.remove(&vsi);
            if self.send_one(Owner::Vsi(vsi)) {
                self.waiting.insert(vsi);
            }
        }
    }
}

fn data(letter: &Letter) -> Vec<u8> {
    (0..u32::from(letter.len)).map(|n| (letter.id.wrapping_mul(31) ^ n) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn messages_arrive_once_in_order_and_whole(steps in vec(step(), 1..300)) {
        let mut guests = Guests::new(&OWNERS);
        let mut reference = Reference::default();
        let (mut tails, mut reads) = (BTreeMap::new(), BTreeMap::new());
        for (id, step) in (0..).zip(steps) {
            match step {
                Step::Queue(from, vsi, len) => {
                    let written = reference.written.entry(from).or_default();
                    if written.len() == RING as usize - 1 {
                        continue;
                    }
                    let to = if from == PF { vsi } else { PF };
                    let letter = Letter { to, id, len };
                    let descriptor = match to {
                        Owner::Vsi(vsi) => message(AqOpcode::SEND_MSG_TO_VF, len).with_PARAM0(vsi.into()),
                        Owner::Pf => message(AqOpcode::SEND_MSG_TO_PF, len),
                    };
                    let tail = tails.entry(from).or_insert(0);
                    let descriptor = descriptor.with_COOKIE_LOW(id);
                    let descriptor = guests.fill(from, *tail, descriptor, &data(&letter));
                    guests.put_descriptor(from, Queue::ATQ, *tail, descriptor);
                    *tail = (*tail + 1) % RING;
                    written.push_back(letter);
                }
                Step::Doorbell(owner) => {
                    guests.set(owner, Register::ATQT, tails.get(&owner).copied().unwrap_or(0));
                    reference.doorbell(owner);
                }
                Step::Read(owner) => {
                    let Some((from, letter)) = reference.inbox.entry(owner).or_default().pop_front() else {
                        continue;
                    };
                    let index = reads.entry(owner).or_insert(0);
                    let got = guests.received(owner, *index);
                    let sender = if let Owner::Vsi(vsi) = from { vsi } else { 0 };
                    prop_assert_eq!((got.COOKIE_LOW(), got.DATALEN(), got.RETVAL()), (letter.id, letter.len, sender));
                    prop_assert_eq!(guests.data(owner, *index, letter.len.into()), data(&letter));
                    guests.post(owner, *index);
                    *index = (*index + 1) % RING;
                    reference.post(owner);
                }
            }
            prop_assert_eq!(&guests.out.stops, &[]);
            for owner in OWNERS {
                let arrived = reads.get(&owner).copied().unwrap_or(0) as usize
                    + reference.inbox.get(&owner).map_or(0, VecDeque::len);
                prop_assert_eq!(guests.get(owner, Register::ARQH) as usize, arrived % RING as usize);
                let left = reference.written.get(&owner).map_or(0, VecDeque::len) as u32;
                let head = (tails.get(&owner).copied().unwrap_or(0) + RING - left) % RING;
                prop_assert_eq!(guests.get(owner, Register::ATQH), head);
            }
        }
    }

    #[test]
    fn registers_and_descriptors_full_of_anything_do_no_harm(
        writes in vec((0..4usize, 0..10usize, register_value()), 1..80),
        seed in any::<u64>(),
    ) {
        let mut mailboxes = Mailboxes::new();
        mailboxes.set_pasid_mode(true);
        mailboxes.set_pasid(3, Some(Pasid(1)));
        mailboxes.set_pasid(767, Some(Pasid(2)));
        let mut memory = Noise { seed, budget: 0 };
        let mut out = Outcome::default();
        for (owner, register, value) in writes {
            out.clear();
            // A doorbell moves at most a ring of each VSI: six accesses a message.
            memory.budget = 4 * 1024 * 6;
            mailboxes.write(OWNERS[owner], Register::ALL[register], value, &mut memory, &mut out);
            prop_assert!(out.causes.len() <= 4 * 1024 * 2 && out.stops.len() <= 8);
        }
    }
}

fn register_value() -> impl Strategy<Value = u32> {
    prop_oneof![0..40u32, (0..40u32).prop_map(|len| len | 1 << 31), any::<u32>()]
}

/// Memory in which anything may stand, mostly what looks like messages, and part of which is not there.
struct Noise {
    seed: u64,
    budget: usize,
}

impl Noise {
    fn next(&mut self) -> Result<u64, Unreachable> {
        self.budget =
            self.budget.checked_sub(1).expect("a write of a register does not go on for ever");
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = self.seed >> 33;
        if number.is_multiple_of(97) { Err(Unreachable) } else { Ok(number) }
    }
}

impl Memory for Noise {
    fn read(&mut self, _: Option<Pasid>, _: Iova, to: &mut [u8]) -> Result<(), Unreachable> {
        let noise = self.next()?;
        to.fill(noise as u8);
        if let Ok(bytes) = <&mut [u8; 32]>::try_from(to)
            && !noise.is_multiple_of(5)
        {
            let opcode = [0x0801, 0x0802, 0x0003, 0x0B02][noise as usize % 4];
            let vsi = [3, 5, 767, 768][noise as usize / 4 % 4];
            let descriptor =
                AqDesc::default().with_OPCODE(opcode).with_FLAGS((noise >> 8) as u16 | 0x1600);
            *bytes =
                descriptor.with_DATALEN((noise >> 16) as u16 & 0x1FFF).with_PARAM0(vsi).to_bytes();
        }
        Ok(())
    }

    fn write(&mut self, _: Option<Pasid>, _: Iova, _: &[u8]) -> Result<(), Unreachable> {
        self.next().map(|_| ())
    }
}
