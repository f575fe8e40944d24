//! Mailboxes on a real bus: a remapping unit with an address space for each guest, and host memory behind it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use siov_bus::{Bus, Gate, Geometry, Hpa, Pasid, Requester, Rid, Unit};
use siov_iommu::Config;
use siov_lan::mailbox::{Mailboxes, Outcome, Owner, Queue, Register, Stop};
use siov_mem::{HostMemory, PAGE_SIZE, Region};
use siov_spec::e810::{AqDesc, AqFlags, AqOpcode};
use siov_spec::vtd::{
    AW, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, ScalableRootEntry,
    SsPage4K, TTM, unit,
};

const RID: Rid = Rid(0x0100);
const ROOT: u64 = 0x1000;
const CONTEXT: u64 = 0x2000;
const DIRECTORY: u64 = 0x3000;
const PASIDS: u64 = 0x4000;
const A: Owner = Owner::Vsi(20);
const B: Owner = Owner::Vsi(21);
/// Pages that an owner has mapped, from address 0 on.
const MAPPED: u64 = 4;
const BUFFER: u64 = 0x2000;
/// The first address that is mapped for nobody.
const OUTSIDE: u64 = MAPPED * PAGE_SIZE;

/// The PF's requests have no PASID; those of the device without PASID go to PASID 0's tables.
fn number(owner: Owner) -> u64 {
    match owner {
        Owner::Pf => 0,
        Owner::Vsi(vsi) => vsi.into(),
    }
}

/// Where an owner's page table and memory are.
fn tables(owner: Owner) -> u64 {
    0x10_0000 + number(owner) * 0x1_0000
}

fn memory(owner: Owner) -> u64 {
    0x40_0000 + number(owner) * 0x1_0000
}

struct Machine {
    host: Arc<HostMemory>,
    unit: Arc<Gate<Unit>>,
    requester: Arc<Requester>,
    mailboxes: Mailboxes,
    out: Outcome,
}

impl Machine {
    fn new() -> Self {
        let host = Arc::new(HostMemory::new(1 << 30));
        host.place(Hpa(0), Arc::new(Region::anonymous(16 << 20).unwrap())).unwrap();
        let unit = Arc::new(Gate::new(Unit::new(&Config::default())));
        let bus = Bus::new(host.clone());
        bus.add_unit(unit.clone(), None).unwrap();
        let requester = Requester::new(bus, RID, Geometry::Off);
        requester.set_bus_master(true);
        requester.set_pasid(true);
        let (mailboxes, out) = (Mailboxes::new(), Outcome::default());
        let mut machine = Self { host, unit, requester, mailboxes, out };
        machine.build_tables();
        machine.mailboxes.set_pasid_mode(true);
        for owner in [Owner::Pf, A, B] {
            machine.start(owner);
        }
        machine
    }

    fn store(&self, at: u64, words: &[u64]) {
        let view = self.host.view();
        for (n, word) in (0..).zip(words) {
            view.store_u64(Hpa(at + 8 * n), *word).unwrap();
        }
    }

    fn build_tables(&self) {
        let root = ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(CONTEXT >> 12);
        self.store(ROOT + u64::from(RID.bus()) * 16, &root.0);
        let context = ScalableContextEntry([0; 4]).with_P(true).with_PASIDE(true);
        let context = context.with_PASIDDIRPTR(DIRECTORY >> 12).with_RID_PASID(0);
        self.store(CONTEXT + u64::from(RID.devfn()) * 32, &context.0);
        let directory = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(PASIDS >> 12);
        self.store(DIRECTORY, &[directory.0]);
        let allowed = SsPage4K(0).with_R(true).with_W(true).0;
        for owner in [Owner::Pf, A, B] {
            let top = tables(owner);
            let entry = PasidTableEntry([0; 8])
                .with_P(true)
                .with_PGTT(PGTT::SECOND_STAGE as u8)
                .with_AW(AW::LEVELS_3 as u8)
                .with_SSPTPTR(top >> 12)
                .with_DID(number(owner) as u16 + 1);
            self.store(PASIDS + number(owner) * 64, &entry.0);
            self.store(top, &[allowed | (top + 0x1000)]);
            self.store(top + 0x1000, &[allowed | (top + 0x2000)]);
            for page in 0..MAPPED {
                let frame = memory(owner) + page * PAGE_SIZE;
                self.store(top + 0x2000 + page * 8, &[allowed | frame]);
            }
        }
        let mode = unit::RTADDR(0).with_RTA(ROOT >> 12).with_TTM(TTM::SCALABLE as u8).0;
        let view = self.host.view();
        let mut unit = self.unit.control();
        unit.mmio_write(&view, unit::RTADDR::AT, &mode.to_le_bytes());
        for command in [unit::GCMD(0).with_SRTP(true), unit::GCMD(0).with_TE(true)] {
            unit.mmio_write(&view, unit::GCMD::AT, &command.0.to_le_bytes());
        }
    }

    /// Rings of 8: the send queue on page 0, the receive queue on page 1 with its buffers from page 3 on.
    fn start(&mut self, owner: Owner) {
        if let Owner::Vsi(vsi) = owner {
            self.mailboxes.set_pasid(vsi, Some(Pasid(vsi.into())));
        }
        let flags = AqFlags(0).with_BUF(true);
        let posted = AqDesc::default().with_FLAGS(flags.0).with_DATALEN(512).with_ADDR_LOW(0x3000);
        for index in 0..8 {
            self.put(
                owner,
                0x1000 + index * 32,
                &posted.with_ADDR_LOW(0x3000 + index as u32 * 512).to_bytes(),
            );
        }
        use Register::*;
        for (register, value) in
            [(ATQLEN, 0x8000_0008), (ARQLEN, 0x8000_0008), (ARQBAL, 0x1000), (ARQT, 7)]
        {
            self.set(owner, register, value);
        }
    }

    fn put(&self, owner: Owner, at: u64, bytes: &[u8]) {
        self.host.view().write(Hpa(memory(owner) + at), bytes).unwrap();
    }

    fn get<const N: usize>(&self, owner: Owner, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.host.view().read(Hpa(memory(owner) + at), &mut bytes).unwrap();
        bytes
    }

    /// All that an owner's requests reach.
    fn whole(&self, owner: Owner) -> [u8; OUTSIDE as usize] {
        self.get(owner, 0)
    }

    fn set(&mut self, owner: Owner, register: Register, value: u32) {
        self.out.clear();
        let port = self.requester.port();
        self.mailboxes.write(owner, register, value, &mut port.begin(), &mut self.out);
    }

    /// Send the first message of an owner's ring, whose buffer is where it says.
    fn send(&mut self, owner: Owner, opcode: AqOpcode, buffer: u64) {
        let flags = AqFlags(0).with_BUF(true).with_RD(true);
        let sent = AqDesc::default().with_OPCODE(opcode as u16).with_FLAGS(flags.0);
        let sent = sent.with_DATALEN(16).with_PARAM0(20).with_ADDR_LOW(buffer as u32);
        self.put(owner, 0, &sent.to_bytes());
        self.put(owner, BUFFER, &[number(owner) as u8 + 1; 16]);
        self.set(owner, Register::ATQT, 1);
    }

    fn received(&self, owner: Owner) -> AqDesc {
        AqDesc::from_bytes(&self.get(owner, 0x1000))
    }

    fn fault_is_recorded(&self) -> bool {
        let mut status = [0; 4];
        self.unit.batch().mmio_read(unit::FSTS::AT, &mut status);
        unit::FSTS(u32::from_le_bytes(status)).PPF()
    }
}

#[test]
fn a_message_goes_from_the_guests_address_space_to_the_pfs_and_back() {
    let mut machine = Machine::new();
    let other = machine.whole(B);
    machine.send(A, AqOpcode::SEND_MSG_TO_PF, BUFFER);
    assert_eq!(
        (machine.received(Owner::Pf).RETVAL(), machine.get(Owner::Pf, 0x3000)),
        (20, [21; 16])
    );
    machine.send(Owner::Pf, AqOpcode::SEND_MSG_TO_VF, BUFFER);
    assert_eq!((machine.received(A).OPCODE(), machine.get(A, 0x3000)), (0x0802, [1; 16]));
    assert_eq!(machine.out.stops, []);
    assert!(!machine.fault_is_recorded());
    assert!(machine.whole(B) == other, "another guest's memory is as it was");
}

#[test]
fn a_buffer_outside_its_pasids_memory_is_a_recorded_fault_and_moves_no_byte() {
    // Far outside, and half a message before the end: all of it is refused.
    for buffer in [OUTSIDE, OUTSIDE - 8, 0x7FFF_F000] {
        let mut machine = Machine::new();
        let pf = machine.whole(Owner::Pf);
        machine.send(A, AqOpcode::SEND_MSG_TO_PF, buffer);
        assert_eq!(machine.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
        assert!(machine.fault_is_recorded());
        assert!(machine.whole(Owner::Pf) == pf, "no byte moved");
        machine.send(B, AqOpcode::SEND_MSG_TO_PF, BUFFER);
        assert_eq!(
            (machine.received(Owner::Pf).RETVAL(), machine.get(Owner::Pf, 0x3000)),
            (21, [22; 16])
        );
    }
}

#[test]
fn a_receive_buffer_outside_its_pasids_memory_is_a_recorded_fault_and_moves_no_byte() {
    for buffer in [OUTSIDE, OUTSIDE - 8] {
        let mut machine = Machine::new();
        let posted = machine.received(A).with_ADDR_LOW(buffer as u32);
        machine.put(A, 0x1000, &posted.to_bytes());
        let (a, b) = (machine.whole(A), machine.whole(B));
        machine.send(Owner::Pf, AqOpcode::SEND_MSG_TO_VF, BUFFER);
        assert_eq!(machine.out.stops, [Stop { owner: A, queue: Queue::ARQ, fault: true }]);
        assert!(machine.fault_is_recorded());
        assert!(machine.whole(A) == a && machine.whole(B) == b, "no byte moved");
    }
}

#[test]
fn a_ring_outside_its_pasids_memory_is_a_recorded_fault() {
    let mut machine = Machine::new();
    machine.set(A, Register::ATQBAL, OUTSIDE as u32);
    let pf = machine.whole(Owner::Pf);
    machine.send(A, AqOpcode::SEND_MSG_TO_PF, BUFFER);
    assert_eq!(machine.out.stops, [Stop { owner: A, queue: Queue::ATQ, fault: true }]);
    assert!(machine.fault_is_recorded());
    assert!(machine.whole(Owner::Pf) == pf, "no byte moved");
}

#[test]
fn the_same_address_is_another_guests_own_buffer() {
    let mut machine = Machine::new();
    machine.put(B, BUFFER, &[99; 16]);
    machine.send(A, AqOpcode::SEND_MSG_TO_PF, BUFFER);
    assert_eq!(machine.get(Owner::Pf, 0x3000), [21; 16]);
    machine.send(B, AqOpcode::SEND_MSG_TO_PF, BUFFER);
    assert_eq!(machine.get(Owner::Pf, 0x3200), [22; 16]);
}
