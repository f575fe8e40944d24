//! After an invalidation is complete, nothing reaches what it named: for all orders of map, unmap, invalidate
//! and translate, in all geometries of the caches.
//!
//! For every page there is a set of what may still be seen: what the tables say, and what they said since the
//! last invalidation of it. Hardware may serve any of these, and nothing else.

use proptest::prelude::*;
use proptest::test_runner::{Config as Proptest, TestRunner};
use siov_iommu::atc::Atc;
use siov_iommu::{Config, Outbound, Pasid};
use siov_mem::Iova;
use siov_spec::vtd::{
    CcGranularity, DescriptorType, IotlbGranularity, PDevTlbInvDsc, PasidCacheGranularity,
    PasidIotlbGranularity, TTM,
};

use crate::common::queue::{Raw, cc, dev_tlb, iotlb, p_iotlb, pc};
use crate::common::rng::Rng;
use crate::common::{Machine, READ, WRITE};
use crate::space::{PAGES, Space, spaces};
use crate::world::geometries;

struct Scene {
    m: Machine,
    spaces: Vec<Space>,
    rng: Rng,
    legacy: bool,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let legacy = rng.percent(30);
        let config = Config { caches: geometries(&mut rng), ..Config::default() };
        let mode = if legacy { TTM::LEGACY } else { TTM::SCALABLE };
        let mut m = Machine::on(&config, mode);
        m.start_queue(!legacy);
        let mut spaces = spaces(&mut m, legacy);
        for space in &mut spaces {
            space.atc = Atc::new(space.rid, geometries(&mut rng).iotlb);
            space.atc.enable(true);
            for page in PAGES {
                space.set_page(&mut m, page, true);
            }
        }
        Self { m, spaces, rng, legacy }
    }

    fn change(&mut self) {
        let n = self.rng.below(self.spaces.len() as u64) as usize;
        let (space, m) = (&mut self.spaces[n], &mut self.m);
        let page = self.rng.pick(&PAGES);
        space.keep_for_device();
        match self.rng.below(100) {
            0..45 => space.set_page(m, page, true),
            45..60 => space.set_page(m, page, false),
            60..72 => space.set_large(m, page >> 9),
            72..80 => space.move_table(m, page >> 9),
            80..84 => space.move_top(m),
            _ => space.move_guest_page(m, page),
        }
    }

    /// One invalidation of any kind, done and waited for, and what it takes away.
    fn invalidate(&mut self) {
        let n = self.rng.below(self.spaces.len() as u64) as usize;
        let (did, rid, pasid) = (self.spaces[n].did, self.spaces[n].rid, self.spaces[n].pasid);
        let page = self.spaces[n].a_page(&mut self.rng);
        let am = self.rng.pick(&[0, 0, 1, 2, 9, 10, 18, 52]);
        let first = if am >= 52 { 0 } else { page >> am << am };
        let covered = move |page: u64| am >= 52 || page >> am == first >> am;
        let hint = self.rng.percent(50);
        for space in &mut self.spaces {
            space.keep_for_device();
        }
        let of_domain = |space: &Space| space.did == did;
        let of_pasid = |space: &Space| space.did == did && space.pasid == pasid && space.first;
        let mut forget = |which: &dyn Fn(&Space) -> bool, how: &dyn Fn(&mut Space, &Machine)| {
            for space in self.spaces.iter_mut().filter(|space| which(space)) {
                how(space, &self.m);
            }
        };
        let all = |space: &mut Space, m: &Machine| space.forget_domain(m);
        let kinds = if self.legacy { 6 } else { 9 };
        // Guest pages have one way only to be named by.
        let kind = if PAGES.contains(&page) { self.rng.below(kinds) } else { 2 };
        let raw: Raw = match kind {
            0 => {
                forget(&|_| true, &all);
                iotlb(IotlbGranularity::GLOBAL).0
            }
            1 => {
                forget(&of_domain, &all);
                iotlb(IotlbGranularity::DOMAIN).with_DID(did).0
            }
            2 => {
                forget(&of_domain, &|space, _| space.forget_second(covered, hint));
                let d = iotlb(IotlbGranularity::PAGE).with_DID(did).with_ADDR(first);
                d.with_AM(am).with_IH(hint).0
            }
            3 => {
                forget(&|_| true, &|space, _| space.switched &= !space.legacy);
                cc(CcGranularity::GLOBAL).0
            }
            4 => {
                forget(&of_domain, &|space, _| space.switched &= !space.legacy);
                cc(CcGranularity::DOMAIN).with_DID(did).0
            }
            5 if self.legacy => {
                forget(&|space| space.rid == rid, &|space, _| space.switched = false);
                cc(CcGranularity::DEVICE).with_SID(rid.0).0
            }
            5 => {
                forget(&of_pasid, &|space, m| space.forget_pasid(m));
                p_iotlb(PasidIotlbGranularity::PASID, pasid.unwrap()).with_DID(did).0
            }
            6 => {
                forget(&of_pasid, &|space, _| space.forget_pages(covered, hint));
                let d = p_iotlb(PasidIotlbGranularity::PAGE, pasid.unwrap()).with_DID(did);
                d.with_ADDR(first).with_AM(am).with_IH(hint).0
            }
            7 => {
                let same = |space: &Space| space.did == did && space.pasid == pasid;
                forget(&same, &|space, _| space.switched = false);
                let d = pc(PasidCacheGranularity::PASID).with_DID(did);
                d.with_PASID(pasid.unwrap().0).0
            }
            _ => {
                forget(&of_domain, &|space, _| space.switched = false);
                pc(PasidCacheGranularity::DOMAIN).with_DID(did).0
            }
        };
        assert!(self.m.submit_and_wait(&[raw]), "{:?}", self.m.queue_error());
    }

    /// A device forgets pages: the request goes through the queue, the answer comes back, the wait is done.
    fn invalidate_device(&mut self) {
        let n = self.rng.below(self.spaces.len() as u64) as usize;
        let page = self.rng.pick(&PAGES);
        let everything = self.rng.percent(30);
        let space = &mut self.spaces[n];
        // With S, ones up to below a zero: 2 MiB, or all that there is.
        let (addr, covered): (u64, &dyn Fn(u64) -> bool) = if everything {
            ((1 << 51) - 1, &|_| true)
        } else {
            (page >> 9 << 9 | 0xFF, &|other| other >> 9 == page >> 9)
        };
        let raw = match space.pasid {
            Some(Pasid(pasid)) => {
                PDevTlbInvDsc([0; 4])
                    .with_TYPE(DescriptorType::PASID_DEVICE_TLB as u8)
                    .with_SID(space.rid.0)
                    .with_PASID(pasid)
                    .with_ADDR(addr)
                    .with_S(true)
                    .0
            }
            None => dev_tlb(addr << 12).with_SID(space.rid.0).with_S(true).0,
        };
        assert!(!self.m.submit_and_wait(&[raw]), "the device has not answered yet");
        for out in self.m.unit.take_outbound() {
            let Outbound::Invalidate(what) = out else { continue };
            space.atc.invalidate(&what);
            let view = self.m.memory.view();
            self.m.unit.invalidation_done(&view, what.rid, what.itag);
        }
        assert_eq!(self.m.head(), self.m.queue.tail);
        space.device_forgot(covered);
    }

    fn translate(&mut self) -> Result<(), String> {
        let n = self.rng.below(self.spaces.len() as u64) as usize;
        let page = self.rng.pick(&PAGES);
        let access = if self.rng.percent(40) { WRITE } else { READ };
        let by_device = self.rng.percent(30);
        let addr = page << 12 | self.rng.below(4096);
        let space = &mut self.spaces[n];
        let found = if by_device {
            let view = self.m.memory.view();
            let done = space.atc.access(&mut self.m.unit, &view, space.pasid, Iova(addr), access);
            done.map(|hpa| hpa.0).map_err(|refused| format!("{refused:?}"))
        } else {
            let done = self.m.access(space.rid, space.pasid, addr, access);
            done.map(|t| t.hpa.0).map_err(|fault| format!("{fault:?}"))
        };
        let allowed = space.allowed(page, by_device);
        match found {
            Ok(hpa) if hpa & 0xFFF == addr & 0xFFF && allowed.contains(&(hpa & !0xFFF)) => Ok(()),
            Err(_) if space.may_fault(page) => Ok(()),
            other => Err(format!("space {n}, {addr:#x}: {other:x?}, may be {allowed:x?}")),
        }
    }
}

fn run(cases: u32, events: u32) {
    let config = Proptest { cases, max_shrink_iters: 0, ..Proptest::default() };
    let config = Proptest { failure_persistence: None, ..config };
    let run = |seed: u64| {
        let mut scene = Scene::new(seed);
        for n in 0..events {
            match scene.rng.below(100) {
                0..12 => scene.change(),
                12..24 => scene.invalidate(),
                24..30 => scene.invalidate_device(),
                _ => scene
                    .translate()
                    .map_err(|why| TestCaseError::fail(format!("event {n}: {why}")))?,
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&any::<u64>(), run).unwrap();
}

#[test]
fn no_access_after_a_completed_invalidation_reaches_the_old_page() {
    run(150, 400);
}

#[test]
#[ignore = "the same with a million events"]
fn no_access_after_many_invalidations_reaches_an_old_page() {
    run(2_500, 400);
}
