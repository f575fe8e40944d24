//! Mailboxes that can't go on: what is out of reach, resets, and whose address space it is.
#![allow(clippy::indexing_slicing)]

mod mailbox_common;

use mailbox_common::{A, B, Guests, NOWHERE, OK, PF, at, error, message, status};
use siov_iommu::Pasid;
use siov_lan::mailbox::{Queue, Register, Stop};
use siov_spec::e810::{AqOpcode, AqRc};

#[test]
fn a_message_buffer_outside_the_guests_memory_stops_its_mailbox_and_moves_no_byte() {
    let mut guests = Guests::new(&[PF, A, B]);
    let sent = message(AqOpcode::SEND_MSG_TO_PF, 40);
    guests.send(A, at(sent, NOWHERE), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert_eq!(guests.get(A, Register::ATQLEN), 0xC000_0020, "CRIT");
    assert_eq!(guests.get(PF, Register::ATQLEN), 0x9000_0020, "VFE");
    assert_eq!(guests.out.causes, [PF], "the PF is to look");
    assert_eq!((guests.get(PF, Register::ARQH), guests.data(PF, 0, 40)), (0, vec![0; 40]));
    guests.send(B, sent, &[5; 40]);
    assert_eq!((guests.received(PF, 0).RETVAL(), status(guests.sent(B, 0))), (767, OK));
}

#[test]
fn a_ring_outside_the_guests_memory_stops_its_mailbox() {
    let mut guests = Guests::new(&[PF, A]);
    guests.set(A, Register::ATQBAL, NOWHERE.0 as u32);
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert_eq!((guests.get(A, Register::ATQH), guests.get(PF, Register::ARQH)), (0, 0));
}

#[test]
fn a_receive_buffer_outside_the_guests_memory_stops_its_mailbox_alone() {
    let mut guests = Guests::new(&[PF, A, B]);
    let posted = guests.received(A, 0);
    let nowhere = at(posted, NOWHERE);
    guests.put_descriptor(A, Queue::ARQ, 0, nowhere);
    let to = |vsi| message(AqOpcode::SEND_MSG_TO_VF, 40).with_PARAM0(vsi);
    guests.send(PF, to(3), &[7; 40]);
    assert_eq!(guests.out.stops, [Stop { owner: A, queue: Queue::ARQ, fault: true }]);
    assert_eq!(guests.received(A, 0), nowhere, "no byte moved");
    assert_eq!(guests.get(A, Register::ARQLEN), 0xC000_0020);
    assert_eq!((guests.get(PF, Register::ARQLEN), guests.get(A, Register::ARQH)), (0x9000_0020, 0));
    assert_eq!(status(guests.sent(PF, 0)), error(AqRc::ENOSYS));
    guests.send(PF, to(767), &[7; 40]);
    assert_eq!((guests.data(B, 0, 40), status(guests.sent(PF, 1))), (vec![7; 40], OK));
}

#[test]
fn a_stopped_queue_rests_until_its_len_is_written_without_crit() {
    let mut guests = Guests::new(&[PF, A]);
    let sent = message(AqOpcode::SEND_MSG_TO_PF, 40);
    guests.send(A, at(sent, NOWHERE), &[]);
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
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    assert_eq!(guests.out.stops, [Stop { owner: PF, queue: Queue::ARQ, fault: false }]);
    assert_eq!(status(guests.sent(A, 0)), error(AqRc::ENOSYS));
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
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 8), &[1; 8]);
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
    guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
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
        guests.send(A, message(AqOpcode::SEND_MSG_TO_PF, 0), &[]);
    }
    guests.mailboxes.reset_vsi(3);
    guests.post(PF, 0);
    assert_eq!(guests.get(PF, Register::ARQH), 31);
}
