//! A driver of the invalidation queue.

use siov_iommu::{Outbound, Pasid};
use siov_spec::vtd::{
    CcGranularity, CcInvDsc, DescriptorType, DevTlbInvDsc, InvWaitDsc, IotlbGranularity,
    IotlbInvDsc, IqError, PIotlbInvDsc, PasidCacheGranularity, PasidIotlbGranularity, PcInvDsc,
    unit,
};

use super::{DID, Machine, RID};

/// Where software stands with its queue.
#[derive(Default)]
pub struct Driver {
    pub at: u64,
    pub wide: bool,
    pub tail: u64,
    pub size: u64,
}

pub type Raw = [u64; 4];

pub const CC_GLOBAL: Raw = cc(CcGranularity::GLOBAL).0;
pub const IOTLB_GLOBAL: Raw = iotlb(IotlbGranularity::GLOBAL).0;
pub const PC_GLOBAL: Raw = pc(PasidCacheGranularity::GLOBAL).0;

pub const fn cc(g: CcGranularity) -> CcInvDsc {
    CcInvDsc([0; 4])
        .with_TYPE(DescriptorType::CONTEXT_CACHE as u8)
        .with_G(g as u8)
        .with_DID(DID)
        .with_SID(RID.0)
}

pub const fn pc(g: PasidCacheGranularity) -> PcInvDsc {
    PcInvDsc([0; 4]).with_TYPE(DescriptorType::PASID_CACHE as u8).with_G(g as u8).with_DID(DID)
}

pub const fn iotlb(g: IotlbGranularity) -> IotlbInvDsc {
    IotlbInvDsc([0; 4]).with_TYPE(DescriptorType::IOTLB as u8).with_G(g as u8).with_DID(DID)
}

pub const fn p_iotlb(g: PasidIotlbGranularity, pasid: Pasid) -> PIotlbInvDsc {
    PIotlbInvDsc([0; 4])
        .with_TYPE(DescriptorType::PASID_IOTLB as u8)
        .with_G(g as u8)
        .with_DID(DID)
        .with_PASID(pasid.0)
}

pub const fn dev_tlb(addr: u64) -> DevTlbInvDsc {
    DevTlbInvDsc([0; 4])
        .with_TYPE(DescriptorType::DEVICE_TLB as u8)
        .with_SID(RID.0)
        .with_ADDR(addr >> 12)
}

pub const fn wait(at: u64, data: u32) -> InvWaitDsc {
    InvWaitDsc([0; 4])
        .with_TYPE(DescriptorType::WAIT as u8)
        .with_SW(true)
        .with_STADDR(at >> 2)
        .with_STDATA(data)
}

impl Machine {
    /// Switches the queue on: 4 KiB of descriptors of 256 or 128 bits.
    pub fn start_queue(&mut self, wide: bool) {
        let at = self.page();
        self.queue = Driver { at, wide, tail: 0, size: 4096 };
        self.w64(unit::IQT::AT, 0);
        self.w64(unit::IQA::AT, unit::IQA(0).with_IQA(at >> 12).with_DW(wide).0);
        self.command(|c| c.with_QIE(true));
    }

    /// Writes a descriptor where the tail is, and moves the tail past it in software's mind only.
    pub fn stage(&mut self, descriptor: Raw) {
        let words = if self.queue.wide { 4 } else { 2 };
        self.put(self.queue.at + self.queue.tail, &descriptor[..words]);
        self.queue.tail = (self.queue.tail + 8 * words as u64) % self.queue.size;
    }

    /// Has descriptors done.
    pub fn submit(&mut self, descriptors: &[Raw]) {
        for descriptor in descriptors {
            self.stage(*descriptor);
        }
        self.w64(unit::IQT::AT, self.queue.tail);
    }

    /// Has descriptors done, and a wait behind them; says whether it has been.
    pub fn submit_and_wait(&mut self, descriptors: &[Raw]) -> bool {
        let status = self.queue.at + self.queue.size - 8;
        self.put(status, &[0]);
        self.submit(descriptors);
        self.submit(&[wait(status, 0x600D).0]);
        self.get(status) == 0x600D
    }

    /// The queue's head, in bytes.
    pub fn head(&self) -> u64 {
        self.r64(unit::IQH::AT)
    }

    /// Why the queue stands still, if it does.
    pub fn queue_error(&self) -> Option<IqError> {
        let info = unit::IQERCD(self.r64(unit::IQERCD::AT)).IQEI();
        self.fsts().IQE().then(|| IqError::from_raw(info.into()).unwrap())
    }

    /// What devices were asked to forget since the last call.
    pub fn device_invalidations(&mut self) -> Vec<siov_iommu::DeviceInvalidation> {
        let asked = |out| match out {
            Outbound::Invalidate(what) => Some(what),
            _ => None,
        };
        self.unit.take_outbound().into_iter().filter_map(asked).collect()
    }
}
