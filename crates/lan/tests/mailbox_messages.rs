//! The mailboxes, rule by rule, as the drivers of both sides see them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod mailbox_common;

use mailbox_common::{A, B, DONE, Guests, OK, PF, at, error, message, status};
use siov_lan::mailbox::{Owner, Queue, Register};
use siov_mem::Iova;
use siov_spec::e810::{AqDesc, AqFlags, AqOpcode, AqRc};

#[test]
fn a_message_of_a_vsi_arrives_in_the_pfs_queue_with_the_number_of_the_vsi() {
    let mut guests = Guests::new(&[PF, A]);
    let sent = message(AqOpcode::SEND_MSG_TO_PF, 40);
    guests.send(A, sent, &[7; 40]);
    let received = guests.received(PF, 0);
    assert_eq!(status(received), (DONE, 3));
    assert_eq!((received.OPCODE(), received.DATALEN()), (0x0801, 40));
    assert_eq!(
        (received.COOKIE_HIGH(), received.COOKIE_LOW()),
        (sent.COOKIE_HIGH(), sent.COOKIE_LOW())
    );
    assert_eq!(guests.data(PF, 0, 41), [[7; 40].as_slice(), &[0]].concat());
    assert_eq!(guests.get(PF, Register::ARQH), 1);
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 0))), (1, OK));
    assert_eq!(guests.out.causes, [PF], "SI is set: nobody hears of the completion");
    assert_eq!(guests.out.stops, []);
}

#[test]
fn a_message_of_the_pf_arrives_in_the_queue_of_the_vsi_that_it_names() {
    let mut guests = Guests::new(&[PF, A, B]);
    let sent = message(AqOpcode::SEND_MSG_TO_VF, 600).with_PARAM0(767);
    guests.send(PF, sent, &[9; 600]);
    let received = guests.received(B, 0);
    assert_eq!(status(received), OK);
    assert_eq!((received.OPCODE(), received.DATALEN()), (0x0802, 600));
    assert_eq!(
        (received.COOKIE_HIGH(), received.COOKIE_LOW()),
        (sent.COOKIE_HIGH(), sent.COOKIE_LOW())
    );
    assert_eq!(guests.data(B, 0, 600), [9; 600]);
    assert_eq!((guests.get(B, Register::ARQH), guests.get(A, Register::ARQH)), (1, 0));
    assert_eq!(status(guests.sent(PF, 0)), OK);
    assert_eq!(guests.out.causes, [B]);
}

#[test]
fn a_message_without_data_needs_no_buffer() {
    let mut guests = Guests::new(&[PF, A]);
    guests.send(A, at(message(AqOpcode::SEND_MSG_TO_PF, 0), Iova(u64::MAX)), &[]);
    assert_eq!((guests.received(PF, 0).DATALEN(), status(guests.sent(A, 0))), (0, OK));
}

#[test]
fn nothing_is_fetched_before_the_tail_is_written() {
    let mut guests = Guests::new(&[PF]);
    guests.put_descriptor(A, Queue::ATQ, 0, message(AqOpcode::SEND_MSG_TO_PF, 0));
    guests.set(A, Register::ATQLEN, 0x8000_0020);
    guests.set(A, Register::ATQBAL, mailbox_common::ring(Queue::ATQ).0 as u32);
    guests.set(A, Register::ATQBAH, 0);
    assert_eq!(guests.dmas(), 0);
    guests.set(A, Register::ATQT, 1);
    assert_eq!(guests.get(A, Register::ATQH), 1);
}

#[test]
fn a_queue_that_is_not_enabled_fetches_nothing() {
    let mut guests = Guests::new(&[PF, A]);
    guests.set(A, Register::ATQLEN, 32);
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
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
        let sent = message(AqOpcode::SEND_MSG_TO_PF, 4).with_COOKIE_LOW(round);
        guests.send(A, sent, &round.to_le_bytes());
        let index = round % 32;
        assert_eq!(guests.received(PF, index).COOKIE_LOW(), round);
        assert_eq!(guests.data(PF, index, 4), round.to_le_bytes());
        assert_eq!(guests.get(A, Register::ATQH), (round + 1) % 32);
        guests.post(PF, index);
    }
}

#[test]
fn to_a_full_pf_queue_a_message_waits_in_its_own_ring() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..31 {
        guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    }
    assert_eq!(guests.get(PF, Register::ARQH), 31, "31 of 32 entries are the device's");
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 5), b"later");
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 31)).0), (31, AqFlags(0)));
    assert_eq!(guests.get(PF, Register::ARQLEN), 0x8000_0020, "no overflow: nothing is lost");
    guests.post(PF, 0);
    assert_eq!((guests.get(A, Register::ATQH), status(guests.sent(A, 31))), (0, OK));
    assert_eq!(guests.data(PF, 31, 5), b"later");
}

#[test]
fn vsis_that_wait_take_turns() {
    let mut guests = Guests::new(&[PF, A, B]);
    for _ in 0..31 {
        guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    }
    for _ in 0..4 {
        guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
        guests.send(B, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    }
    let mut senders = vec![];
    for index in 0..6 {
        guests.post(PF, index);
        senders.push(guests.received(PF, (31 + index) % 32).RETVAL());
    }
    assert_eq!(senders, [3, 767, 3, 767, 3, 767]);
}

#[test]
fn a_waiting_message_is_forgotten_when_its_ring_is_set_up_anew() {
    for (register, value) in [(Register::ATQH, 5), (Register::ATQLEN, 0x8000_0020)] {
        let mut guests = Guests::new(&[PF, A]);
        for _ in 0..32 {
            guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
        }
        guests.set(A, register, value);
        guests.post(PF, 0);
        assert_eq!(guests.get(PF, Register::ARQH), 31, "nothing moves before the next doorbell");
    }
}

#[test]
fn to_a_full_vsi_queue_the_pfs_message_fails_and_sets_ovfl_there() {
    let mut guests = Guests::new(&[PF, A, B]);
    let to = |vsi| message(AqOpcode::SEND_MSG_TO_VF, 0).with_PARAM0(vsi);
    for _ in 0..31 {
        guests.send(PF, to(3), &[]);
    }
    assert_eq!(guests.get(A, Register::ARQLEN), 0x8000_0020);
    guests.send(PF, to(3), &[]);
    assert_eq!(status(guests.sent(PF, 31)), error(AqRc::EBUSY));
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
    guests.send(PF, message(AqOpcode::SEND_MSG_TO_VF, 0).with_PARAM0(9), &[]);
    assert_eq!(status(guests.sent(PF, 0)), error(AqRc::ENOSYS));
    guests.set(PF, Register::ARQLEN, 0);
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(status(guests.sent(A, 0)), error(AqRc::ENOSYS));
}

#[test]
fn a_malformed_descriptor_completes_with_its_error_and_moves_nothing() {
    let good = message(AqOpcode::SEND_MSG_TO_PF, 600);
    let flags = AqFlags(good.FLAGS());
    let cases = [
        (good.with_OPCODE(0x0B02), AqRc::ESRCH),
        (good.with_OPCODE(0x1234), AqRc::ESRCH),
        (good.with_OPCODE(AqOpcode::SEND_MSG_TO_VF as u16), AqRc::ESRCH),
        (good.with_DATALEN(4097), AqRc::E2BIG),
        (good.with_DATALEN(u16::MAX), AqRc::E2BIG),
        (good.with_FLAGS(flags.with_BUF(false).0), AqRc::EINVAL),
        (good.with_FLAGS(flags.with_RD(false).0), AqRc::EINVAL),
        (good.with_FLAGS(flags.with_LB(false).0), AqRc::EINVAL),
        (good.with_FLAGS(flags.with_LB(false).0).with_DATALEN(513), AqRc::EINVAL),
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
    let small = message(AqOpcode::SEND_MSG_TO_PF, 512);
    assert!(!AqFlags(small.FLAGS()).LB());
    guests.send(A, small, &[1; 512]);
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 4096), &[2; 4096]);
    assert_eq!((status(guests.sent(A, 0)), status(guests.sent(A, 1))), (OK, OK));
    assert_eq!(guests.data(PF, 1, 4096), [2; 4096]);
}

#[test]
fn a_message_to_a_vsi_that_does_not_exist_fails() {
    let mut guests = Guests::new(&[PF, A]);
    for (index, vsi) in (0..).zip([768, 65_536 + 3, u32::MAX]) {
        guests.send(PF, message(AqOpcode::SEND_MSG_TO_VF, 0).with_PARAM0(vsi), &[]);
        assert_eq!(status(guests.sent(PF, index)), error(AqRc::ENXIO));
    }
    assert_eq!(guests.get(A, Register::ARQH), 0);
}

#[test]
fn a_message_that_is_longer_than_the_receivers_buffer_fails() {
    let mut guests = Guests::new(&[PF, A]);
    let posted = guests.received(PF, 0);
    guests.put_descriptor(PF, Queue::ARQ, 0, posted.with_DATALEN(39));
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 40), &[7; 40]);
    assert_eq!(status(guests.sent(A, 0)), error(AqRc::E2BIG));
    assert_eq!(guests.data(PF, 0, 40), [0; 40]);
    guests.put_descriptor(PF, Queue::ARQ, 0, posted.with_FLAGS(0));
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 1), &[7]);
    assert_eq!(status(guests.sent(A, 1)), error(AqRc::E2BIG), "no buffer is posted");
}

#[test]
fn a_shutdown_completes() {
    let mut guests = Guests::new(&[PF, A]);
    for (owner, index) in [(A, 0), (PF, 0)] {
        let shutdown = message(AqOpcode::Q_SHUTDOWN, 0).with_PARAM0(1);
        guests.send(owner, shutdown, &[]);
        assert_eq!(status(guests.sent(owner, index)), OK);
    }
    assert_eq!(guests.get(PF, Register::ARQH), 0, "nobody is told");
}

#[test]
fn a_shutdown_completes_though_the_pfs_queue_is_full() {
    let mut guests = Guests::new(&[PF, A]);
    for _ in 0..31 {
        guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    }
    guests.send(A, message(AqOpcode::Q_SHUTDOWN, 0), &[]);
    assert_eq!(status(guests.sent(A, 31)), OK);
}

#[test]
fn a_completion_without_si_interrupts_its_sender() {
    let mut guests = Guests::new(&[PF, A]);
    let loud = |sent: AqDesc| sent.with_FLAGS(AqFlags(sent.FLAGS()).with_SI(false).0);
    guests.send(A, loud(message(AqOpcode::SEND_MSG_TO_PF, 0)), &[]);
    assert_eq!(guests.out.causes, [PF, A]);
    guests.send(PF, loud(message(AqOpcode::Q_SHUTDOWN, 0)), &[]);
    assert_eq!(guests.out.causes, [PF]);
}
