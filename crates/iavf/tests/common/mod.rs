//! A server in miniature: two guests whose iavf queues belong to VSIs of a real device model.
//!
//! A guest's memory lies behind EPT for its CPU, and behind the second stage of its PASID for the device; both lead
//! to the same pages by tables of their own. Doorbell pages are behind EPT too.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};
use siov_bus::{Bus, Gate, Rid, Target, Unit};
use siov_iavf::{Guest, GuestConfig, GuestLoop, Load, Mac, Mmio, PairConfig, RxConfig, Rxdid};
use siov_iavf::{Traffic, TxConfig};
use siov_iommu::Config;
use siov_lan::{Allowed, Clock, Forward, Nic, NicConfig, RuleKey};
use siov_mem::{GRANULE, HostMemory, Hpa, Region};
use siov_mmu::{ControlRegs, Core, Model, Pml, Vmcs};
use siov_packet::rss::KEY_LEN;
use siov_spec::e810::bar0::{self, QINT_RQCTL, QINT_TQCTL, QRX_CTRL, QRXFLXP_CNTXT};
use siov_spec::e810::vsi_properties as props;
use siov_spec::e810::{RX_QUEUES, RxQueueContext, TxQueueContext, VsiType, pages};
use siov_spec::ept::{Cr0, Cr3, Cr4, Efer, Eptp};
use siov_spec::msi::RemappableAddress;
use siov_spec::vtd::{
    AW, Irte, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, ScalableRootEntry,
    SsTableEntry, TTM, unit,
};

pub const RID: Rid = Rid(0x3B00);
pub const VECTOR: u8 = 0x40;
pub const SEED: u64 = 42;
/// Where BAR 0 of the device is.
const BAR: u64 = 1 << 38;
/// Guest-physical: the pages of the virtual device, and the guest's own tables.
const BAR_GPA: u64 = 1 << 32;
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
pub const TX_RING: u64 = 0x1_0000;
pub const RX_RING: u64 = 0x2_0000;
pub const TX_BUFFERS: u64 = 2 << 20;
pub const RX_BUFFERS: u64 = 4 << 20;
pub const BYTES: u64 = 8 << 20;
pub const ENTRIES: u16 = 512;
pub const BUFFER: u32 = 2048;
/// Where the guest's kernel has its physical memory.
pub const DIRECT: u64 = 0xFFFF_8880_0000_0000;
const TABLES: u64 = 16 << 20;

struct Bar(Arc<Nic>);

impl Mmio for Bar {
    fn write32(&self, at: Hpa, value: u32) -> bool {
        let Some(offset) = at.0.checked_sub(BAR).filter(|at| *at < 128 << 20) else { return false };
        self.0.bar_write(0, offset as u32, &value.to_le_bytes());
        true
    }
}

/// What differs between tests.
#[derive(Clone, Copy)]
pub struct Options {
    pub rxdid: u8,
    pub rx_max: u16,
    pub rx_buffer: u32,
    pub vlan: Option<u16>,
    pub echo: bool,
    /// Pages of a guest's memory are not in EPT at first.
    pub lazy: bool,
    /// The guests' writes are logged.
    pub pml: bool,
    pub itr: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rxdid: 1,
            rx_max: 9728,
            rx_buffer: BUFFER,
            vlan: None,
            echo: false,
            lazy: false,
            pml: false,
            itr: None,
        }
    }
}

pub struct Machine {
    pub nic: Arc<Nic>,
    pub bus: Arc<Bus>,
    pub memory: Arc<HostMemory>,
    pub clock: Clock,
    pub guests: GuestLoop,
    pub cores: Vec<Arc<Mutex<Core>>>,
    pub vmcs: Vec<Vmcs>,
    free: u64,
    epts: Vec<u64>,
}

pub fn mac(guest: u32) -> Mac {
    [2, 0, 0, 0, 1, guest as u8]
}

impl Machine {
    pub fn new(options: Options) -> Machine {
        Machine::with_clock(options, Clock::real())
    }

    pub fn with_clock(options: Options, clock: Clock) -> Machine {
        let memory = Arc::new(HostMemory::new(1 << 40));
        memory.place(Hpa(0), Arc::new(Region::anonymous(TABLES).unwrap())).unwrap();
        for guest in 0..2 {
            let region = Region::anonymous(BYTES.next_multiple_of(GRANULE)).unwrap();
            memory.place(Hpa(place(guest)), Arc::new(region)).unwrap();
        }
        let bus = Bus::new(Arc::clone(&memory));
        let config = NicConfig { seed: 1, ..NicConfig::default() };
        let nic = Arc::new(Nic::new(Arc::clone(&bus), RID, clock.clone(), &config).unwrap());
        let bar = Arc::new(Bar(Arc::clone(&nic)));
        let guests = GuestLoop::new(Arc::clone(&memory), bar, clock.clone()).unwrap();
        let (cores, vmcs, epts) = (vec![], vec![], vec![]);
        let free = 4096;
        let mut machine = Machine { nic, bus, memory, clock, guests, cores, vmcs, free, epts };
        machine.remapping();
        let allowed =
            Allowed { bus_master: true, ats: true, pasid: true, msix: true, ..Allowed::default() };
        machine.nic.configure(RID, &allowed);
        for guest in 0..2 {
            machine.guest(guest, &options);
        }
        machine
    }

    pub fn store(&self, at: u64, value: u64) {
        self.memory.view().store_u64(Hpa(at), value).unwrap();
    }

    pub fn load(&self, at: u64) -> u64 {
        self.memory.view().load_u64(Hpa(at)).unwrap()
    }

    fn page(&mut self) -> u64 {
        self.pages(1)
    }

    fn pages(&mut self, count: u64) -> u64 {
        let at = self.free;
        self.free += count * 4096;
        assert!(self.free <= TABLES);
        at
    }

    fn put(&self, at: u64, words: &[u64]) {
        words.iter().zip((at..).step_by(8)).for_each(|(word, at)| self.store(at, *word));
    }

    /// The HPA of a table's entry for an address; tables on the way are made.
    fn entry(&mut self, root: u64, address: u64) -> u64 {
        let mut table = root;
        for level in [39, 30, 21] {
            let at = table + (address >> level & 511) * 8;
            if self.load(at) == 0 {
                let page = self.page();
                self.store(at, page | 7);
            }
            table = self.load(at) & !0xFFF;
        }
        table + (address >> 12 & 511) * 8
    }

    /// Scalable mode: PASID n + 1 of the device is the memory of guest n; interrupts go to destination n.
    fn remapping(&mut self) {
        let mut unit = Unit::new(&Config::default());
        let (root, contexts, directory, pasids) =
            (self.page(), self.page(), self.page(), self.page());
        let interrupts = self.pages(4);
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
        for guest in 0..2 {
            let second = self.page();
            for at in (0..BYTES).step_by(4096) {
                let entry = self.entry(second, at);
                let page = SsTableEntry(0).with_R(true).with_W(true);
                self.store(entry, page.with_ADDR((place(guest) + at) >> 12).0);
            }
            let entry = PasidTableEntry([0; 8])
                .with_P(true)
                .with_PGTT(PGTT::SECOND_STAGE as u8)
                .with_AW(AW::LEVELS_4 as u8)
                .with_SSPTPTR(second >> 12)
                .with_DID(guest as u16 + 1);
            self.put(pasids + (guest + 1) * 64, &entry.0);
            let entry = Irte([0; 2]).with_P(true).with_DST(guest as u32).with_V(VECTOR);
            self.put(interrupts + guest * 16, &entry.0);
        }
        let rtaddr = unit::RTADDR(0).with_RTA(root >> 12).with_TTM(TTM::SCALABLE as u8);
        let irta = unit::IRTA(0).with_IRTA(interrupts >> 12).with_EIME(true).with_S(9);
        let view = self.memory.view();
        unit.mmio_write(&view, unit::RTADDR::AT, &rtaddr.0.to_le_bytes());
        unit.mmio_write(&view, unit::IRTA::AT, &irta.0.to_le_bytes());
        let on = unit::GCMD(0);
        for command in [
            on.with_SRTP(true),
            on.with_TE(true),
            on.with_TE(true).with_SIRTP(true),
            on.with_TE(true).with_IRE(true),
        ] {
            unit.mmio_write(&view, unit::GCMD::AT, &command.0.to_le_bytes());
        }
        drop(view);
        self.bus.add_unit(Arc::new(Gate::new(unit)), None).unwrap();
    }

    /// EPT of a guest: an entry for a page of memory.
    pub fn map(&mut self, guest: usize, gpa: u64) {
        let entry = self.entry(self.epts[guest], gpa & !0xFFF);
        self.store(entry, (place(guest as u64) + (gpa & !0xFFF)) | 0x37);
    }

    /// Takes a page of the virtual device's registers out of EPT.
    pub fn unmap_register(&mut self, guest: usize, page: u64) {
        let entry = self.entry(self.epts[guest], BAR_GPA + page * 4096);
        self.store(entry, 0);
    }

    /// Puts it back.
    pub fn map_register(&mut self, guest: usize, page: u64) {
        let entry = self.entry(self.epts[guest], BAR_GPA + page * 4096);
        self.store(entry, (BAR + u64::from(registers(guest as u32)[page as usize])) | 7);
    }

    /// Whether the guest's EPT says that a page was written.
    pub fn is_dirty(&mut self, guest: usize, gpa: u64) -> bool {
        let entry = self.entry(self.epts[guest], gpa & !0xFFF);
        self.load(entry) >> 9 & 1 != 0
    }

    fn guest(&mut self, guest: u32, options: &Options) {
        let ept = self.page();
        self.epts.push(ept);
        for gpa in (0..BYTES).step_by(4096) {
            // The guest's own tables are there in any case.
            if !options.lazy || gpa < 0x4000 {
                self.map(guest as usize, gpa);
            }
        }
        (0..3).for_each(|page| self.map_register(guest as usize, page));
        // The guest's kernel maps its physical addresses in pages of 1 GiB.
        let at = place(guest.into());
        self.store(at + PML4 + (DIRECT >> 39 & 511) * 8, PDPT | 3);
        for n in 0..8 {
            self.store(at + PDPT + n * 8, n << 30 | 0x83);
        }
        let regs = ControlRegs {
            cr0: Cr0(0).with_WP(true),
            cr3: Cr3(PML4),
            cr4: Cr4(0),
            efer: Efer(0).with_NXE(true),
        };
        let eptp = Eptp(ept).with_MT(6).with_PWL(3).with_AD(true);
        let pml = options.pml.then(|| Pml::new(self.page()));
        let vpid = NonZeroU16::new(guest as u16 + 1);
        let vmcs = Vmcs { guest: regs, vpid, eptp: Some(eptp), pml };
        let mut core = Core::new(Model::default(), ControlRegs::default());
        core.vm_entry(&vmcs).unwrap();
        let core = Arc::new(Mutex::new(core));
        self.cores.push(Arc::clone(&core));
        self.vmcs.push(vmcs);

        self.vsi(guest, options);
        let config = GuestConfig {
            mac: mac(guest),
            direct_map: DIRECT,
            seed: SEED,
            echo: options.echo,
            vlan: options.vlan,
            tag: None,
        };
        let number = self.guests.add(Guest::new(core, config));
        assert_eq!(number, guest);
        let register = |page: u64| DIRECT + BAR_GPA + page * 4096;
        let pair = PairConfig {
            tx: TxConfig {
                ring: TX_RING,
                entries: ENTRIES,
                buffers: TX_BUFFERS,
                buffer: BUFFER,
                tail: register(0),
            },
            rx: RxConfig {
                ring: RX_RING,
                entries: ENTRIES,
                buffers: RX_BUFFERS,
                buffer: options.rx_buffer,
                tail: register(1),
                rxdid: Rxdid::from_number(options.rxdid).unwrap(),
            },
            dyn_ctl: register(2),
            itr: options.itr,
        };
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        let theirs: OwnedFd = rustix::io::fcntl_dupfd_cloexec(&fd, 0).unwrap();
        self.bus.cpus().connect(guest, VECTOR, Target::Eventfd(theirs.into())).unwrap();
        self.guests.add_pair(number, &pair, fd.into()).unwrap();
    }

    /// The VSI with its queues, as the PF driver sets it up.
    fn vsi(&self, guest: u32, options: &Options) {
        let (vsi, queue) = (guest as u16 + 1, guest as u16);
        let mut properties = [0; props::SIZE as usize];
        let mut put = |at: u32, bytes: &[u8]| {
            properties[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        };
        put(props::SW_FLAGS::AT, &[props::SW_FLAGS(0).with_ALLOW_LB(true).0]);
        put(props::SW_FLAGS2::AT, &[props::SW_FLAGS2(0).with_LAN_ENA(true).0]);
        put(props::SEC_FLAGS::AT, &[props::SEC_FLAGS(0).with_ENA_MAC_ANTI_SPOOF(true).0]);
        put(props::INNER_VLAN_FLAGS::AT, &[props::INNER_VLAN_FLAGS(0).with_TX_MODE(3).0]);
        put(props::Q_MAPPING::AT, &queue.to_le_bytes());
        put(props::Q_MAPPING::AT + 2, &1u16.to_le_bytes());
        let pasid = props::PASID_ID(0).with_VALID(true).with_PASID(vsi.into());
        put(props::PASID_ID::AT, &pasid.0.to_le_bytes());
        let nic = &self.nic;
        nic.set_vsi(vsi, VsiType::VMDQ2 as u8, &properties).unwrap();
        let key = RuleKey { tx: true, lookup: 1, mac: Some(mac(guest)), ..RuleKey::default() };
        nic.add_rule(&key, Forward::Vsi(vsi), false, true).unwrap();
        nic.set_rss_key(vsi, &[0x6D; KEY_LEN]).unwrap();
        nic.set_rss_lut(vsi, &[0; 64]).unwrap();

        let address = RemappableAddress(0).with_PREFIX(0xFEE).with_INTR_FMT(true);
        let address = address.with_HANDLE(guest as u16).0;
        for (n, word) in (0..).zip([address, 0, 0, 0]) {
            nic.bar_write(3, guest * 16 + 4 * n, &word.to_le_bytes());
        }
        let context = TxQueueContext([0; 3])
            .with_BASE(TX_RING / 128)
            .with_QLEN(ENTRIES)
            .with_SRC_VSI(vsi)
            .with_TSO_ENA(true);
        let cause = QINT_TQCTL(0).with_MSIX_INDX(queue).with_CAUSE_ENA(true);
        self.write(QINT_TQCTL::AT + 4 * guest, cause.0);
        nic.tx_enable(queue, &context.to_bytes()[..22]).unwrap();
        let base = RX_RING / 128;
        let context = RxQueueContext([0; 4])
            .with_BASE_LO(base as u32)
            .with_BASE_HI((base >> 32) as u32)
            .with_QLEN(ENTRIES)
            .with_DBUF((options.rx_buffer / 128) as u8)
            .with_DSIZE(true)
            .with_CRCSTRIP(true)
            .with_L2TSEL(true)
            .with_RXMAX(options.rx_max);
        for (n, word) in (0..).zip(context.to_bytes().chunks_exact(4)) {
            nic.bar_write(0, bar0::QRX_CONTEXT::AT + 4 * (n * RX_QUEUES + guest), word);
        }
        self.write(QRXFLXP_CNTXT::AT + 4 * guest, QRXFLXP_CNTXT(0).with_RXDID_IDX(options.rxdid).0);
        let cause = QINT_RQCTL(0).with_MSIX_INDX(queue).with_CAUSE_ENA(true);
        self.write(QINT_RQCTL::AT + 4 * guest, cause.0);
        self.write(QRX_CTRL::AT + 4 * guest, QRX_CTRL(0).with_QENA_REQ(true).0);
    }

    fn write(&self, offset: u32, value: u32) {
        self.nic.bar_write(0, offset, &value.to_le_bytes());
    }

    /// Gives guest 0 something to send to guest 1.
    pub fn send(&self, load: Load) {
        self.guests.with(0, |guest| guest.add_load(load).unwrap()).unwrap();
    }

    /// One turn of the guests, and everything that the device then has to do.
    pub fn turn(&self) -> siov_iavf::Turn {
        let turn = self.guests.step().unwrap();
        while self.nic.pump() {}
        turn
    }

    /// Turns until nobody has anything to do.
    pub fn settle(&self) {
        let mut idle = 0;
        for _ in 0..1_000_000 {
            let turn = self.turn();
            assert_eq!(turn.parked, []);
            idle = if turn.worked { 0 } else { idle + 1 };
            if idle > 2 {
                return;
            }
        }
        panic!("the guests don't come to rest");
    }

    /// Bytes of a guest's memory, changed behind everybody's back.
    pub fn poke(&self, guest: u64, gpa: u64, change: impl FnOnce(&mut [u8]), len: usize) {
        let mut bytes = vec![0; len];
        let at = Hpa(place(guest) + gpa);
        self.memory.view().read(at, &mut bytes).unwrap();
        change(&mut bytes);
        self.memory.view().write(at, &bytes).unwrap();
    }
}

/// The pages of BAR 0 that a guest has: transmit doorbell, receive tail, vector.
fn registers(guest: u32) -> [u32; 3] {
    let pages = [pages::QTX_COMM_DBELL_PAGE::AT, pages::QRX_TAIL_PAGE::AT, 0x0300_0000];
    pages.map(|page| page + 4096 * guest)
}

/// Where a guest's memory is in the host's.
pub fn place(guest: u64) -> u64 {
    TABLES + guest * BYTES
}

pub fn load(traffic: Traffic, count: u64) -> Load {
    Load {
        traffic,
        to: mac(1),
        flows: 4,
        sizes: vec![60, 64, 65, 128, 777, 1514],
        count: Some(count),
        rate: None,
        burst: 32,
        v6: false,
        offload: true,
        ip_checksum: false,
        tag: None,
        seed: SEED,
    }
}
