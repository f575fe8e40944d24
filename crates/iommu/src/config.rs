//! What a unit can do, and how CAP and ECAP say it (VT-d 11.4.2, 11.4.3).

use siov_spec::vtd::unit;

use crate::caches::Geometries;

/// What a unit can do, and how large its caches are.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bits of a host physical address, 39 to 52.
    pub haw: u32,
    /// Levels of second stages, bit n for n + 2 (CAP.SAGAW).
    pub sagaw: u8,
    /// 5-level first stages.
    pub five_level: bool,
    /// Scalable mode.
    pub scalable: bool,
    /// Nested translation.
    pub nested: bool,
    /// Devices may have TLBs and ask for pages.
    pub device_tlb: bool,
    /// Whether the caches may keep entries that are not present (CAP.CM).
    pub caching_mode: bool,
    /// Geometry of the caches.
    pub caches: Geometries,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            haw: 46,
            sagaw: 0b1110,
            five_level: true,
            scalable: true,
            nested: true,
            device_tlb: true,
            caching_mode: false,
            caches: Geometries::default(),
        }
    }
}

/// CAP of such a unit.
pub(crate) fn capabilities(config: &Config) -> unit::CAP {
    unit::CAP(unit::CAP::RESET)
        .with_ND(6) // 64 Ki domains
        .with_CM(config.caching_mode)
        .with_SAGAW(config.sagaw)
        .with_MGAW(guest_address_width(config) - 1)
        .with_SSLPS(0b11)
        .with_PSI(true)
        .with_MAMV(63)
        .with_DWD(true)
        .with_DRD(true)
        .with_FS1GP(true)
        .with_PI(true)
        .with_FS5LP(config.five_level)
        .with_ESIRTPS(true)
        .with_ESRTPS(true)
}

/// ECAP of such a unit.
pub(crate) fn extended_capabilities(config: &Config) -> unit::ECAP {
    let scalable = config.scalable;
    unit::ECAP(unit::ECAP::RESET)
        .with_C(true)
        .with_QI(true)
        .with_DT(config.device_tlb)
        .with_IR(true)
        .with_EIM(true)
        .with_PT(true)
        .with_SC(true)
        .with_MHMV(15)
        .with_NEST(scalable && config.nested)
        .with_PRS(scalable && config.device_tlb)
        .with_ERS(scalable)
        .with_SRS(scalable)
        .with_NWFS(config.device_tlb)
        .with_EAFS(scalable)
        .with_PSS(if scalable { 19 } else { 0 })
        .with_PASID(scalable)
        .with_PDS(scalable && config.device_tlb)
        .with_SMTS(scalable)
        .with_SSADS(scalable)
        .with_SSTS(scalable)
        .with_FSTS(scalable)
        .with_SMPWCS(scalable)
        .with_RPS(scalable)
        .with_RPRIVS(scalable)
        .with_ADMS(true)
}

/// Bits of the addresses that the deepest second stage translates.
fn guest_address_width(config: &Config) -> u8 {
    match config.sagaw {
        0b1000.. => 57,
        0b100.. => 48,
        _ => 39,
    }
}
