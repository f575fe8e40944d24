//! The adapter behind a remapping unit, with three VSIs: a hostile guest, a neighbour that sends, and a sink that
//! receives. Each has memory of its own; around each piece are canaries that no address space has.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use siov_bus::{Bus, Gate, Rid, Target, Unit};
use siov_iommu::Config;
use siov_lan::{Allowed, Clock, Forward, Geometry, Nic, NicConfig, RuleKey};
use siov_mem::{HostMemory, Hpa, Region};
use siov_spec::e810::bar0::{self, QRX_CTRL, QRXFLXP_CNTXT};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{RX_QUEUES, RXDID, RxQueueContext, TxQueueContext, VsiType, pages};
use siov_spec::vtd::{
    AW, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, ScalableRootEntry,
    SsTableEntry, TTM, unit,
};

const RID: Rid = Rid(0x3B00);
pub const PAGE: u64 = 4096;
const TABLES: u64 = 0;
const TABLE_PAGES: u64 = 32;
/// Bytes of memory in all: tables, three spaces, a canary before and behind each space.
const BYTES: usize = 2 << 20;
const CANARY: u8 = 0xC5;
/// The pages of BAR 0 with a vector each.
pub const VECTOR_PAGE: u32 = 0x0300_0000;

pub const GUEST: usize = 0;
pub const NEIGHBOUR: usize = 1;
pub const SINK: usize = 2;
/// Pages of each VSI's memory. The guest's last four can only be read by the device.
pub const PAGES: [u64; 3] = [24, 4, 20];
pub const READ_ONLY: u64 = 4;
/// Where every space begins for its VSI.
pub const BASE: u64 = 1 << 30;

/// Queues: numbers of the device.
pub const GUEST_QUEUES: [u16; 2] = [0, 1];
pub const NEIGHBOUR_QUEUE: u16 = 2;
pub const SINK_QUEUE: u16 = 3;

/// What the fuzzer chooses about the machine.
#[derive(Clone, Copy, Default)]
pub struct Choice {
    pub ats: bool,
    pub flags: u8,
    pub vlan: u8,
    pub outer: u8,
    pub double: bool,
}

pub struct Machine {
    pub nic: Nic,
    pub region: Arc<Region>,
    initial: Vec<u8>,
    before: Vec<u8>,
}

/// Where a VSI's memory is.
pub fn start(vsi: usize) -> u64 {
    let before: u64 = PAGES[..vsi].iter().sum();
    (TABLE_PAGES + 1 + before + vsi as u64) * PAGE
}

pub fn mac(vsi: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, vsi as u8 + 1]
}

impl Machine {
    /// The one machine: to build one takes too long for every input.
    pub fn new() -> Self {
        let memory = Arc::new(HostMemory::new(1 << 40));
        let region = Arc::new(Region::anonymous(BYTES as u64).expect("memory"));
        memory.place(Hpa(0), Arc::clone(&region)).expect("an empty space");
        let mut before = vec![CANARY; (start(SINK) + (PAGES[SINK] + 1) * PAGE) as usize];
        for (vsi, pages) in PAGES.iter().enumerate() {
            before[start(vsi) as usize..][..(pages * PAGE) as usize].fill(0);
        }
        let mut tables = Tables { bytes: &mut before, free: 1 };
        let root = tables.set_up();
        region.write(0, &before).expect("memory");

        let bus = Bus::new(Arc::clone(&memory));
        let mut unit = Unit::new(&Config::default());
        let rtaddr = unit::RTADDR(0).with_RTA(root >> 12).with_TTM(TTM::SCALABLE as u8);
        unit.mmio_write(&memory.view(), unit::RTADDR::AT, &rtaddr.0.to_le_bytes());
        let on = unit::GCMD(0);
        for command in [on.with_SRTP(true), on.with_TE(true)] {
            unit.mmio_write(&memory.view(), unit::GCMD::AT, &command.0.to_le_bytes());
        }
        bus.add_unit(Arc::new(Gate::new(unit)), None).expect("a unit");
        let target = Target::Count(Arc::new(AtomicU64::new(0)));
        bus.cpus().connect(0, 0x40, target).expect("a processor");
        let config = NicConfig { seed: 1, atc: Geometry::Infinite, ..NicConfig::default() };
        let nic = Nic::new(Arc::clone(&bus), RID, Clock::virtual_(), &config).expect("a device");
        let machine = Self { nic, region, initial: before.clone(), before };
        machine.set_up();
        machine
    }

    fn set_up(&self) {
        let nic = &self.nic;
        nic.set_link(0, true, 100_000).expect("a port");
        self.vsis(&Choice::default());
        for vsi in 0..PAGES.len() {
            let key = RuleKey { tx: true, lookup: 1, mac: Some(mac(vsi)), ..RuleKey::default() };
            let rule = nic.add_rule(&key, Forward::Vsi(vsi as u16), false, true);
            rule.expect("room for a rule");
        }
        let all = RuleKey { tx: true, lookup: 1, mac: Some([0xFF; 6]), ..RuleKey::default() };
        nic.set_vsi_list(1, &[0, 1]).expect("a list");
        nic.add_rule(&all, Forward::List(1), true, true).expect("room for a rule");
        // TCP over IPv4: addresses and ports.
        nic.set_flow_profile(0, 4, 2, 0x1_8060).expect("a profile");
        for vsi in 0..PAGES.len() {
            nic.set_flow_profile_vsi(0, vsi as u16, true).expect("a VSI of the profile");
        }
        self.write(bar0::PFQF_FD_ENA::AT, 1);
    }

    /// Everything that an input can have changed is as it was, or as this input chooses.
    pub fn begin(&mut self, choice: &Choice) {
        let nic = &self.nic;
        for vsi in 0..PAGES.len() {
            nic.reset_vsi(vsi as u16).expect("a VSI");
        }
        for queue in [GUEST_QUEUES[0], GUEST_QUEUES[1], NEIGHBOUR_QUEUE] {
            nic.tx_disable(queue);
            self.write(bar0::QINT_TQCTL::AT + 4 * u32::from(queue), 0);
        }
        for vector in 0..8 {
            for register in 0..4 {
                self.write(VECTOR_PAGE + 4096 * vector + 4 * register, 0);
            }
        }
        nic.clear_filters(None).expect("a device");
        nic.set_vlan_mode(choice.double);
        nic.set_loopback(0, choice.flags & 16 != 0).expect("a port");
        nic.set_rss_key(0, &[0x6D; 52]).expect("a key");
        let allowed = Allowed {
            bus_master: true,
            ats: choice.ats,
            pasid: true,
            msix: true,
            ..Allowed::default()
        };
        nic.configure(RID, &allowed);
        self.vsis(choice);
        self.before.clone_from(&self.initial);
        self.region.write(0, &self.before).expect("memory");
        nic.take_events();
    }

    fn vsis(&self, choice: &Choice) {
        let nic = &self.nic;
        for (vsi, flags, first, queues) in [
            (GUEST, choice.flags, GUEST_QUEUES[0], 2u16),
            (NEIGHBOUR, 0, NEIGHBOUR_QUEUE, 1),
            (SINK, 0, SINK_QUEUE, 1),
        ] {
            let mut properties = [0; props::SIZE as usize];
            let mut put = |at: u32, bytes: &[u8]| {
                properties[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
            };
            let prune = flags & 1 != 0;
            put(
                props::SW_FLAGS::AT,
                &[props::SW_FLAGS(0)
                    .with_ALLOW_LB(true)
                    .with_LOCAL_LB(flags & 32 != 0)
                    .with_SRC_PRUNE(prune)
                    .0],
            );
            put(props::SW_FLAGS2::AT, &[props::SW_FLAGS2(0).with_LAN_ENA(true).0]);
            let spoof = vsi != GUEST || flags & 2 != 0;
            put(props::SEC_FLAGS::AT, &[props::SEC_FLAGS(0).with_ENA_MAC_ANTI_SPOOF(spoof).0]);
            if vsi == GUEST {
                put(props::INNER_VLAN_FLAGS::AT, &[choice.vlan]);
                put(props::OUTER_VLAN_FLAGS::AT, &[choice.outer]);
                put(props::PORT_BASED_INNER_VLAN::AT, &[100, 0]);
                put(props::PORT_BASED_OUTER_VLAN::AT, &[101, 0]);
                let options = props::FD_OPTIONS(0)
                    .with_FD_ENABLE(flags & 4 != 0)
                    .with_FD_PROG_ENABLE(flags & 8 != 0);
                put(props::FD_OPTIONS::AT, &options.0.to_le_bytes());
                put(props::MAX_FD_FLTR_DEDICATED::AT, &[16, 0]);
                put(props::MAX_FD_FLTR_SHARED::AT, &[16, 0]);
            }
            put(props::Q_MAPPING::AT, &first.to_le_bytes());
            put(props::Q_MAPPING::AT + 2, &queues.to_le_bytes());
            let class = props::TC_MAPPING(0).with_Q_NUM(queues.trailing_zeros() as u8);
            put(props::TC_MAPPING::AT, &class.0.to_le_bytes());
            let pasid = props::PASID_ID(0).with_VALID(true).with_PASID(vsi as u32 + 1);
            put(props::PASID_ID::AT, &pasid.0.to_le_bytes());
            nic.set_vsi(vsi as u16, VsiType::VMDQ2 as u8, &properties).expect("a VSI");
        }
        nic.set_rss_lut(0, &[0, 1, 0, 1]).expect("a table");
    }

    pub fn write(&self, offset: u32, value: u32) {
        self.nic.bar_write(0, offset, &value.to_le_bytes());
    }

    pub fn doorbell(&self, queue: u16, tail: u32) {
        self.write(pages::QTX_COMM_DBELL_PAGE::AT + 4096 * u32::from(queue), tail);
    }

    pub fn rx_tail(&self, queue: u16, tail: u32) {
        self.write(pages::QRX_TAIL_PAGE::AT + 4096 * u32::from(queue), tail);
    }

    /// A transmit queue's ring at an offset of its VSI's memory; what was there before is off.
    pub fn enable_tx(&self, vsi: usize, queue: u16, base: u64, len: u16, tso: bool) {
        self.nic.tx_disable(queue);
        let context = TxQueueContext([0; 3])
            .with_BASE(base / 128)
            .with_QLEN(len)
            .with_TSO_ENA(tso)
            .with_SRC_VSI(vsi as u16);
        // A length that no ring has is refused.
        let _ = self.nic.tx_enable(queue, &context.to_bytes()[..22]);
    }

    pub fn enable_rx(&self, queue: u16, base: u64, context: RxQueueContext, rxdid: u8) {
        let control = QRX_CTRL::AT + 4 * u32::from(queue);
        self.write(control, 0);
        let base = base / 128;
        let context = context.with_BASE_LO(base as u32).with_BASE_HI((base >> 32) as u32);
        for (n, word) in (0..).zip(context.to_bytes().chunks_exact(4)) {
            let at = bar0::QRX_CONTEXT::AT + 4 * (n * RX_QUEUES + u32::from(queue));
            self.nic.bar_write(0, at, word);
        }
        self.write(
            QRXFLXP_CNTXT::AT + 4 * u32::from(queue),
            QRXFLXP_CNTXT(0).with_RXDID_IDX(rxdid).0,
        );
        self.write(control, QRX_CTRL(0).with_QENA_REQ(true).0);
    }

    /// Bytes of a VSI's memory.
    pub fn peek(&self, vsi: usize, at: u64, to: &mut [u8]) {
        self.region.read(start(vsi) + at, to).expect("memory");
    }

    /// Writes a VSI's memory, as far as it goes.
    pub fn poke(&self, vsi: usize, at: u64, bytes: &[u8]) {
        let room = (PAGES[vsi] * PAGE).saturating_sub(at) as usize;
        let bytes = &bytes[..bytes.len().min(room)];
        if !bytes.is_empty() {
            self.region.write(start(vsi) + at, bytes).expect("memory");
        }
    }

    /// Remembers what a driver has changed, or may let the device change.
    pub fn accept(&mut self, vsi: usize, at: u64, len: u64) {
        let from = start(vsi) + at;
        let to = &mut self.before[from as usize..(from + len) as usize];
        self.region.read(from, to).expect("memory");
    }

    /// Nothing has changed but the pages of the guest that the device may write, and what was accepted.
    pub fn untouched(&self) {
        let mut now = vec![0; self.before.len()];
        self.region.read(0, &mut now).expect("memory");
        let from = start(GUEST) as usize;
        let to = from + ((PAGES[GUEST] - READ_ONLY) * PAGE) as usize;
        assert!(now[..from] == self.before[..from], "tables or a canary changed");
        assert!(
            now[to..] == self.before[to..],
            "memory of others, or that can only be read, changed"
        );
    }

    /// Lets the device work until it has nothing to do.
    pub fn pump(&self) {
        for _ in 0..20_000 {
            if !self.nic.pump() {
                return;
            }
        }
        panic!("the device never comes to rest");
    }
}

struct Tables<'a> {
    bytes: &'a mut [u8],
    free: u64,
}

impl Tables<'_> {
    fn set_up(&mut self) -> u64 {
        let [root, contexts, directory, pasids] = [(); 4].map(|()| self.page());
        let entry = ScalableRootEntry([0; 2]).with_LP(true).with_LCTP(contexts >> 12);
        self.put(root + u64::from(RID.bus()) * 16, &entry.0);
        let entry = ScalableContextEntry([0; 4])
            .with_P(true)
            .with_DTE(true)
            .with_PASIDE(true)
            .with_PASIDDIRPTR(directory >> 12);
        self.put(contexts + u64::from(RID.devfn()) * 32, &entry.0);
        let entry = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(pasids >> 12);
        self.put(directory, &[entry.0]);
        for (vsi, pages) in PAGES.into_iter().enumerate() {
            let levels = [(); 4].map(|()| self.page());
            let slots = [BASE >> 39 & 511, BASE >> 30 & 511, BASE >> 21 & 511];
            for (n, slot) in slots.into_iter().enumerate() {
                self.put(levels[n] + slot * 8, &[leaf(levels[n + 1], true)]);
            }
            for page in 0..pages {
                let write = vsi != GUEST || page < pages - READ_ONLY;
                self.put(levels[3] + page * 8, &[leaf(start(vsi) + page * PAGE, write)]);
            }
            let entry = PasidTableEntry([0; 8])
                .with_P(true)
                .with_PGTT(PGTT::SECOND_STAGE as u8)
                .with_AW(AW::LEVELS_4 as u8)
                .with_SSPTPTR(levels[0] >> 12)
                .with_DID(vsi as u16 + 1);
            self.put(pasids + (vsi as u64 + 1) * 64, &entry.0);
        }
        assert!(self.free <= TABLE_PAGES);
        root
    }

    fn page(&mut self) -> u64 {
        let at = TABLES + self.free * PAGE;
        self.free += 1;
        self.bytes[at as usize..(at + PAGE) as usize].fill(0);
        at
    }

    fn put(&mut self, at: u64, words: &[u64]) {
        for (n, word) in words.iter().enumerate() {
            self.bytes[at as usize + 8 * n..][..8].copy_from_slice(&word.to_le_bytes());
        }
    }
}

fn leaf(at: u64, write: bool) -> u64 {
    SsTableEntry(0).with_R(true).with_W(write).with_ADDR(at >> 12).0
}

/// A usual receive context, but for its ring's place.
pub fn rx_context(len: u16, dbuf: u8, rxmax: u16) -> RxQueueContext {
    RxQueueContext([0; 4])
        .with_QLEN(len)
        .with_DBUF(dbuf)
        .with_DSIZE(true)
        .with_CRCSTRIP(true)
        .with_L2TSEL(true)
        .with_RXMAX(rxmax)
}

/// The usual form of receive descriptors.
pub const RXDID_FLEX: u8 = RXDID::FLEX_NIC as u8;
