//! The mailboxes, rule by rule, as the drivers of both sides see them.

mod common;

use common::{Guests, PF, message};
use siov_iommu::Pasid;
use siov_lan::mailbox::{Descriptor, Owner, Queue, Register, Status, Stop, flags, opcode};
use siov_mem::Iova;

const A: Owner = Owner::Vsi(3);
const B: Owner = Owner::Vsi(767);
const DONE: u16 = flags::DD | flags::CMP;

fn status(descriptor: Descriptor) -> (u16, u16) {
    (descriptor.flags & (DONE | flags::ERR), descriptor.retval)
}

const OK: (u16, u16) = (DONE, 0);

fn error(status: Status) -> (u16, u16) {
    (DONE | flags::ERR, status as u16)
}

#[test]
fn a_message_of_a_vsi_arrives_in_the_pfs_queue_with_the_number_of_the_vsi() {
    let mut guests = Guests::new(&[PF, A]);
    let sent = message(opcode::SEND_MSG_TO_PF, 40);
    guests.send(A, sent, &[7; 40]);
    let received = guests.received(PF, 0);
    assert_eq!(received.flags & (DONE | flags::ERR), DONE);
    assert_eq!((received.opcode, received.datalen, received.retval), (0x0801, 40, 3));
    assert_eq!((received.cookie_high, received.cookie_low), (sent.cookie_high, sent.cookie_low));
    assert_eq!(guests.data(PF, 0, 41), [[7; 40].as_slice(), &[0]].concat());
    assert_eq!(guests.get(PF, Register::ARQH), 1);
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 0))), (1, OK));
    assert_eq!(guests.out.causes, [PF], "SI is set: nobody hears of the completion");
    assert_eq!(guests.out.stops, []);
}

#[test]
fn a_message_of_the_pf_arrives_in_the_queue_of_the_vsi_that_it_names() {
    let mut guests = Guests::new(&[PF, A, B]);
    let sent = Descriptor { param0: 767, ..message(opcode::SEND_MSG_TO_VF, 600) };
    guests.send(PF, sent, &[9; 600]);
    let received = guests.received(B, 0);
    assert_eq!(received.flags & (DONE | flags::ERR), DONE);
    assert_eq!((received.opcode, received.datalen, received.retval), (0x0802, 600, 0));
    assert_eq!((received.cookie_high, received.cookie_low), (sent.cookie_high, sent.cookie_low));
    assert_eq!(guests.data(B, 0, 600), [9; 600]);
    assert_eq!((guests.get(B, Register::ARQH), guests.get(A, Register::ARQH)), (1, 0));
    assert_eq!(status(guests.sent(PF, 0)), OK);
    assert_eq!(guests.out.causes, [B]);
}

#[test]
fn a_message_without_data_needs_no_buffer() {
    let mut guests = Guests::new(&[PF, A]);
    let sent = Descriptor { flags: flags::SI, datalen: 0, ..message(opcode::SEND_MSG_TO_PF, 0) };
    guests.send(A, Descriptor { address: Iova(u64::MAX), ..sent }, &[]);
    assert_eq!((guests.received(PF, 0).datalen, status(guests.sent(A, 0))), (0, OK));
}

#[test]
fn nothing_is_fetched_before_the_tail_is_written() {
    let mut guests = Guests::new(&[PF]);
    guests.put_descriptor(A, Queue::ATQ, 0, message(opcode::SEND_MSG_TO_PF, 0));
    guests.set(A, Register::ATQLEN, 0x8000_0020);
    guests.set(A, Register::ATQBAL, common::ring(Queue::ATQ).0 as u32);
    guests.set(A, Register::ATQBAH, 0);
    assert_eq!(guests.dmas(), 0);
    guests.set(A, Register::ATQT, 1);
    assert_eq!(guests.get(A, Register::ATQH), 1);
}

#[test]
fn a_queue_that_is_not_enabled_fetches_nothing() {
    let mut guests = Guests::new(&[PF, A]);
    guests.set(A, Register::ATQLEN, 32);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!((guests.dmas(), guests.get(A, Register::ATQH)), (0, 0));
}

#[test]
fn registers_keep_their_bits_and_no_others() {
    let mut guests = Guests::new(&[]);
    for owner in [PF, A] {
        for register in Register::ALL {
            guests.set(owner, register, u32::MAX);
        }
        let values = Register::ALL.map(|register| guests.get(owner, register));
        let [low, high, len, head, tail] = [0xFFFF_FFC0, u32::MAX, 0xF000_03FF, 0x3FF, 0x3FF];
        assert_eq!(values, [low, high, len, head, tail, low, high, len, head, tail]);
        assert_eq!(guests.get(B, Register::ATQBAL), 0, "each has its own");
    }
}

#[test]
fn registers_lie_on_the_page_as_in_siov_regs() {
    assert_eq!(Register::at(0x10), Some(Register::ATQT));
    assert_eq!(Register::at(0x1C), Some(Register::ARQLEN));
    assert_eq!(Register::at(0x24), Some(Register::ARQT));
    assert_eq!(
        (Register::at(0x28), Register::at(0x11), Register::at(u64::MAX)),
        (None, None, None)
    );
}

#[test]
fn a_vsi_that_does_not_exist_has_no_mailbox() {
    let mut guests = Guests::new(&[PF]);
    for register in Register::ALL {
        guests.set(Owner::Vsi(768), register, u32::MAX);
        assert_eq!(guests.get(Owner::Vsi(768), register), 0);
    }
    assert_eq!(guests.dmas(), 0);
}

#[test]
fn all_entries_but_one_can_be_used_and_the_ring_wraps() {
    let mut guests = Guests::new(&[PF, A]);
    for round in 0..100u32 {
        let sent = Descriptor { cookie_low: round, ..message(opcode::SEND_MSG_TO_PF, 4) };
        guests.send(A, sent, &round.to_le_bytes());
        let index = round % 32;
        assert_eq!(guests.received(PF, index).cookie_low, round);
        assert_eq!(guests.data(PF, index, 4), round.to_le_bytes());
        assert_eq!(guests.get(A, Register::ATQH), (round + 1) % 32);
        guests.post(PF, index);
    }
}

#[test]
fn to_a_full_pf_queue_a_message_waits_in_its_own_ring() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..31 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    assert_eq!(guests.get(PF, Register::ARQH), 31, "31 of 32 entries are the device's");
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 5), b"later");
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 31)).0), (31, 0));
    assert_eq!(guests.get(PF, Register::ARQLEN), 0x8000_0020, "no overflow: nothing is lost");
    guests.post(PF, 0);
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 31))), (0, OK));
    assert_eq!(guests.data(PF, 31, 5), b"later");
}

#[test]
fn vsis_that_wait_take_turns() {
    let mut guests = Guests::new(&[PF, A, B]);
    for _ in 0..31 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    for _ in 0..4 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
        guests.send(B, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    let mut senders = vec![];
    for index in 0..6 {
        guests.post(PF, index);
        senders.push(guests.received(PF, (31 + index) % 32).retval);
    }
    assert_eq!(senders, [3, 767, 3, 767, 3, 767]);
}

#[test]
fn a_waiting_message_is_forgotten_when_its_ring_is_set_up_anew() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..32 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    guests.set(A, Register::ATQH, 0);
    guests.post(PF, 0);
    assert_eq!(guests.get(PF, Register::ARQH), 31);
}

#[test]
fn to_a_full_vsi_queue_the_pfs_message_fails_and_sets_ovfl_there() {
    let mut guests = Guests::new(&[PF, A, B]);
    let to = |vsi| Descriptor { param0: vsi, ..message(opcode::SEND_MSG_TO_VF, 0) };
    for _ in 0..31 {
        guests.send(PF, to(3), &[]);
    }
    assert_eq!(guests.get(A, Register::ARQLEN), 0x8000_0020);
    guests.send(PF, to(3), &[]);
    assert_eq!(status(guests.sent(PF, 31)), error(Status::Ebusy));
    assert_eq!(guests.get(A, Register::ARQLEN), 0xA000_0020);
    guests.send(PF, to(767), &[]);
    assert_eq!(status(guests.sent(PF, 0)), OK, "the other guest gets its message");
    guests.post(A, 0);
    guests.send(PF, to(3), &[]);
    assert_eq!(status(guests.sent(PF, 1)), OK);
}

#[test]
fn to_a_receiver_whose_queue_does_not_run_a_message_fails() {
    let mut guests = Guests::new(&[PF, A]);
    guests.send(PF, Descriptor { param0: 9, ..message(opcode::SEND_MSG_TO_VF, 0) }, &[]);
    assert_eq!(status(guests.sent(PF, 0)), error(Status::Enosys));
    guests.set(PF, Register::ARQLEN, 0);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(status(guests.sent(A, 0)), error(Status::Enosys));
}

#[test]
fn a_malformed_descriptor_completes_with_its_error_and_moves_nothing() {
    let good = message(opcode::SEND_MSG_TO_PF, 600);
    let cases = [
        (Descriptor { opcode: 0x0B02, ..good }, Status::Esrch),
        (Descriptor { opcode: opcode::SEND_MSG_TO_VF, ..good }, Status::Esrch),
        (Descriptor { datalen: 4097, ..good }, Status::E2big),
        (Descriptor { datalen: u16::MAX, ..good }, Status::E2big),
        (Descriptor { flags: flags::SI | flags::RD | flags::LB, ..good }, Status::Einval),
        (Descriptor { flags: flags::SI | flags::BUF | flags::LB, ..good }, Status::Einval),
        (Descriptor { flags: flags::SI | flags::BUF | flags::RD, ..good }, Status::Einval),
        (
            Descriptor { flags: flags::SI | flags::BUF | flags::RD, datalen: 513, ..good },
            Status::Einval,
        ),
    ];
    for (bad, expected) in cases {
        let mut guests = Guests::new(&[PF, A]);
        guests.send(A, bad, &[7; 600]);
        assert_eq!(status(guests.sent(A, 0)), error(expected), "{bad:?}");
        assert_eq!((guests.get(A, Register::ATQH), guests.get(PF, Register::ARQH)), (1, 0));
        guests.send(A, good, &[7; 600]);
        assert_eq!(status(guests.sent(A, 1)), OK, "the queue goes on");
    }
}

#[test]
fn a_message_of_512_bytes_needs_no_lb_and_one_of_4096_passes() {
    let mut guests = Guests::new(&[PF, A]);
    let small = message(opcode::SEND_MSG_TO_PF, 512);
    guests.send(A, Descriptor { flags: small.flags & !flags::LB, ..small }, &[1; 512]);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 4096), &[2; 4096]);
    assert_eq!((status(guests.sent(A, 0)), status(guests.sent(A, 1))), (OK, OK));
    assert_eq!(guests.data(PF, 1, 4096), [2; 4096]);
}

#[test]
fn a_message_to_a_vsi_that_does_not_exist_fails() {
    let mut guests = Guests::new(&[PF, A]);
    for (index, vsi) in (0..).zip([768, 65_536 + 3, u32::MAX]) {
        guests.send(PF, Descriptor { param0: vsi, ..message(opcode::SEND_MSG_TO_VF, 0) }, &[]);
        assert_eq!(status(guests.sent(PF, index)), error(Status::Enxio));
    }
    assert_eq!(guests.get(A, Register::ARQH), 0);
}

#[test]
fn a_message_that_is_longer_than_the_receivers_buffer_fails() {
    let mut guests = Guests::new(&[PF, A]);
    let posted = guests.received(PF, 0);
    guests.put_descriptor(PF, Queue::ARQ, 0, Descriptor { datalen: 39, ..posted });
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 40), &[7; 40]);
    assert_eq!(status(guests.sent(A, 0)), error(Status::E2big));
    assert_eq!(guests.data(PF, 0, 40), [0; 40]);
    guests.put_descriptor(PF, Queue::ARQ, 0, Descriptor { flags: 0, ..posted });
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 1), &[7]);
    assert_eq!(status(guests.sent(A, 1)), error(Status::E2big), "no buffer is posted");
}

#[test]
fn a_shutdown_completes() {
    let mut guests = Guests::new(&[PF, A]);
    for (owner, index) in [(A, 0), (PF, 0)] {
        let shutdown = Descriptor { param0: 1, ..message(opcode::QUEUE_SHUTDOWN, 0) };
        guests.send(owner, shutdown, &[]);
        assert_eq!(status(guests.sent(owner, index)), OK);
    }
    assert_eq!(guests.get(PF, Register::ARQH), 0, "nobody is told");
}

#[test]
fn a_shutdown_completes_though_the_pfs_queue_is_full() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..31 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    guests.send(A, message(opcode::QUEUE_SHUTDOWN, 0), &[]);
    assert_eq!(status(guests.sent(A, 31)), OK);
}

#[test]
fn a_completion_without_si_interrupts_its_sender() {
    let mut guests = Guests::new(&[PF, A]);
    let loud = |sent: Descriptor| Descriptor { flags: sent.flags & !flags::SI, ..sent };
    guests.send(A, loud(message(opcode::SEND_MSG_TO_PF, 0)), &[]);
    assert_eq!(guests.out.causes, [PF, A]);
    guests.send(PF, loud(message(opcode::QUEUE_SHUTDOWN, 0)), &[]);
    assert_eq!(guests.out.causes, [PF]);
}

#[test]
fn a_message_buffer_outside_the_guests_memory_stops_its_mailbox_and_moves_no_byte() {
    let mut guests = Guests::new(&[PF, A, B]);
    let sent = message(opcode::SEND_MSG_TO_PF, 40);
    guests.send(A, Descriptor { address: common::NOWHERE, ..sent }, &[]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert_eq!(guests.get(A, Register::ATQLEN), 0xC000_0020, "CRIT");
    assert_eq!(guests.get(PF, Register::ATQLEN), 0x9000_0020, "VFE");
    assert_eq!(guests.out.causes, [PF], "the PF is to look");
    assert_eq!((guests.get(PF, Register::ARQH), guests.data(PF, 0, 40)), (0, vec![0; 40]));
    guests.send(B, sent, &[5; 40]);
    assert_eq!((guests.received(PF, 0).retval, status(guests.sent(B, 0))), (767, OK));
}

#[test]
fn a_ring_outside_the_guests_memory_stops_its_mailbox() {
    let mut guests = Guests::new(&[PF, A]);
    guests.set(A, Register::ATQBAL, common::NOWHERE.0 as u32);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert_eq!((guests.get(A, Register::ATQH), guests.get(PF, Register::ARQH)), (0, 0));
}

#[test]
fn a_receive_buffer_outside_the_guests_memory_stops_its_mailbox_alone() {
    let mut guests = Guests::new(&[PF, A, B]);
    let posted = guests.received(A, 0);
    let nowhere = Descriptor { address: common::NOWHERE, ..posted };
    guests.put_descriptor(A, Queue::ARQ, 0, nowhere);
    let to = |vsi| Descriptor { param0: vsi, ..message(opcode::SEND_MSG_TO_VF, 40) };
    guests.send(PF, to(3), &[7; 40]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ARQ, fault: true }]);
    assert_eq!(guests.received(A, 0), nowhere, "no byte moved");
    assert_eq!(guests.get(A, Register::ARQLEN), 0xC000_0020);
    assert_eq!((guests.get(PF, Register::ARQLEN), guests.get(A, Register::ARQH)), (0x9000_0020, 0));
    assert_eq!(status(guests.sent(PF, 0)), error(Status::Enosys));
    guests.send(PF, to(767), &[7; 40]);
    assert_eq!((guests.data(B, 0, 40), status(guests.sent(PF, 1))), (vec![7; 40], OK));
}

#[test]
fn a_stopped_queue_rests_until_its_len_is_written_without_crit() {
    let mut guests = Guests::new(&[PF, A]);
    let sent = message(opcode::SEND_MSG_TO_PF, 40);
    guests.send(A, Descriptor { address: common::NOWHERE, ..sent }, &[]);
    let dmas = guests.dmas();
    guests.put_descriptor(A, Queue::ATQ, 0, sent);
    guests.set(A, Register::ATQT, 1);
    assert_eq!((guests.dmas(), guests.out.stops.len()), (dmas, 0));
    guests.set(A, Register::ATQLEN, 0x8000_0020);
    guests.set(A, Register::ATQT, 1);
    assert_eq!(status(guests.sent(A, 0)), OK);
}

#[test]
fn a_head_or_tail_outside_its_ring_stops_the_queue() {
    for (register, value) in
        [(Register::ATQH, 32), (Register::ATQT, 32), (Register::ATQLEN, 1 << 31)]
    {
        let mut guests = Guests::new(&[PF, A]);
        guests.set(A, register, value);
        if register != Register::ATQT {
            guests.set(A, Register::ATQT, 1);
        }
        assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: false }]);
        assert_eq!(guests.dmas(), 0);
    }
    let mut guests = Guests::new(&[PF, A]);
    guests.set(PF, Register::ARQT, 40);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: PF, queue: Queue::ARQ, fault: false }]);
    assert_eq!(status(guests.sent(A, 0)), error(Status::Enosys));
}

#[test]
fn a_ring_at_the_end_of_the_address_space_does_not_overflow() {
    let mut guests = Guests::new(&[PF, A]);
    guests.set(A, Register::ATQBAH, u32::MAX);
    guests.set(A, Register::ATQBAL, u32::MAX);
    guests.set(A, Register::ATQH, 2);
    guests.set(A, Register::ATQT, 3);
    assert_eq!(guests.out.stops.len(), 1);
}

#[test]
fn the_pasid_of_the_vsi_goes_with_its_side_and_none_with_the_pfs() {
    let mut guests = Guests::new(&[PF, A]);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 8), &[1; 8]);
    let seen: Vec<_> =
        guests.memory.log.iter().map(|(pasid, write)| (pasid.is_some(), *write)).collect();
    let (guest, pf) = (true, false);
    assert_eq!(
        seen,
        // descriptor, data; then the PF's descriptor, its buffer, its descriptor; then the completion
        [(guest, false), (guest, false), (pf, false), (pf, true), (pf, true), (guest, true)]
    );
}

#[test]
fn without_pasid_mode_no_dma_carries_a_pasid() {
    let mut guests = Guests::new(&[PF]);
    guests.mailboxes.set_pasid_mode(false);
    guests.mailboxes.set_pasid(3, Some(Pasid(77)));
    guests.set(A, Register::ATQLEN, 0x8000_0020);
    guests.set(A, Register::ATQBAL, 0x4_0000); // in the PF's memory
    guests.set(A, Register::ATQT, 1);
    assert!(guests.memory.log.iter().all(|(pasid, _)| pasid.is_none()));
    assert_eq!(guests.get(A, Register::ATQH), 1);
}

#[test]
fn with_pasid_mode_a_vsi_without_a_pasid_reaches_nothing() {
    let mut guests = Guests::new(&[PF, A]);
    guests.mailboxes.set_pasid(3, None);
    guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert_eq!(guests.dmas(), 0);
}

#[test]
fn a_vsi_reset_stops_its_queues_and_keeps_the_rest() {
    let mut guests = Guests::new(&[PF, A, B]);
    guests.mailboxes.reset_vsi(3);
    assert_eq!((guests.get(A, Register::ATQLEN), guests.get(A, Register::ARQLEN)), (0, 0));
    assert_eq!(guests.get(A, Register::ARQT), 31);
    assert_eq!(guests.get(B, Register::ARQLEN), 0x8000_0020);
}

#[test]
fn a_pf_reset_stops_all_queues_and_keeps_the_rest() {
    let mut guests = Guests::new(&[PF, A]);
    guests.mailboxes.reset_pf();
    for owner in [PF, A] {
        assert_eq!(
            (guests.get(owner, Register::ATQLEN), guests.get(owner, Register::ARQLEN)),
            (0, 0)
        );
        assert_eq!(guests.get(owner, Register::ARQT), 31);
    }
}

#[test]
fn a_core_reset_clears_all_registers_and_pasids() {
    let mut guests = Guests::new(&[PF, A]);
    guests.mailboxes.reset_core();
    for owner in [PF, A] {
        assert_eq!(Register::ALL.map(|register| guests.get(owner, register)), [0; 10]);
    }
}

#[test]
fn a_reset_of_a_vsi_forgets_its_waiting_message() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..32 {
        guests.send(A, message(opcode::SEND_MSG_TO_PF, 0), &[]);
    }
    guests.mailboxes.reset_vsi(3);
    guests.post(PF, 0);
    assert_eq!(guests.get(PF, Register::ARQH), 31);
}

#[test]
fn a_descriptor_survives_its_bytes() {
    let bytes: [u8; 32] = std::array::from_fn(|n| n as u8 + 1);
    let descriptor = Descriptor::from_bytes(&bytes);
    assert_eq!((descriptor.flags, descriptor.datalen), (0x0201, 0x0605));
    assert_eq!(descriptor.cookie_high, 0x0C0B_0A09);
    assert_eq!(descriptor.param1, 0x1817_1615);
    assert_eq!(descriptor.address, Iova(0x1C1B_1A19_201F_1E1D));
    assert_eq!(descriptor.to_bytes(), bytes);
}
