//! What hardware writes into a receive descriptor: the legacy form of 32 bytes, and two flex forms.

use siov_packet::{Checks, Parsed};
use siov_spec::e810::{
    FLTSTAT, RXDID, RxFlexNicQw1, RxFlexNicQw3, RxFlexOvsQw1, RxFlexOvsQw3, RxFlexQw0, RxFlexQw2,
    RxLegacyQw0, RxLegacyQw1, RxLegacyQw2, RxLegacyQw3, UMBCAST,
};
use siov_switch::Class;

/// The form of a queue's write-backs (QRXFLXP_CNTXT.RXDID_IDX).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// RXDID 0 and 1.
    #[default]
    Legacy,
    /// RXDID 2 and all others: hash in front, flow id behind.
    FlexNic,
    /// RXDID 22 and 23: flow id in front, hash behind.
    FlexOvs,
}

impl Format {
    /// Of a profile's number.
    pub fn of(rxdid: u8) -> Self {
        match RXDID::from_raw(rxdid.into()) {
            Some(RXDID::LEGACY_0 | RXDID::LEGACY_1) => Self::Legacy,
            Some(RXDID::COMMS_OVS_1 | RXDID::COMMS_OVS_2) => Self::FlexOvs,
            _ => Self::FlexNic,
        }
    }
}

/// What is known of a frame when its descriptors are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub ptype: u8,
    pub checks: Checks,
    /// The RSS hash.
    pub hash: Option<u32>,
    /// The flow director's mark.
    pub mark: Option<u32>,
    pub class: Class,
    /// The frame check sequence is in the buffer.
    pub crc: bool,
    /// It came from a VSI of this device.
    pub loopback: bool,
    /// The tag in the place that L2TSEL chooses for the outermost one.
    pub tag1: Option<u16>,
    /// The tag in the second place of the second kind (L2TAG2_2ND).
    pub tag2: Option<u16>,
}

/// A class of destinations, as descriptors have it.
const fn umbcast(class: Class) -> u8 {
    match class {
        Class::Unicast => UMBCAST::UNICAST as u8,
        Class::Multicast => UMBCAST::MULTICAST as u8,
        Class::Broadcast => UMBCAST::BROADCAST as u8,
    }
}

impl Meta {
    /// What a frame's headers say.
    pub fn of(parsed: &Parsed, checks: Checks, class: Class, loopback: bool) -> Self {
        Self {
            ptype: parsed.ptype,
            checks,
            hash: None,
            mark: None,
            class,
            crc: false,
            loopback,
            tag1: None,
            tag2: None,
        }
    }

    /// The four quadwords of a descriptor whose buffer holds `len` bytes; the last one of a frame has `eof`.
    pub fn descriptor(&self, format: Format, rxdid: u8, len: u16, eof: bool) -> [u64; 4] {
        match format {
            Format::Legacy => self.legacy(len, eof),
            Format::FlexNic | Format::FlexOvs => self.flex(format, rxdid, len, eof),
        }
    }

    fn legacy(&self, len: u16, eof: bool) -> [u64; 4] {
        let head = RxLegacyQw1::default().with_DD(true).with_EOF(eof).with_LEN_PBUF(len);
        if !eof {
            return [0, head.0, 0, 0];
        }
        // A mark takes the place of the hash only where the flow director put one.
        let (stat, hash) = match (self.hash, self.mark) {
            (Some(hash), _) => (FLTSTAT::RSS_HASH, hash),
            (None, Some(mark)) => (FLTSTAT::FD_ID, mark),
            (None, None) => (FLTSTAT::NO_DATA, 0),
        };
        let c = &self.checks;
        let q1 = head
            .with_L2TAG1P(self.tag1.is_some())
            .with_L3L4P(c.l3l4p)
            .with_CRCP(self.crc)
            .with_UMBCAST(umbcast(self.class))
            .with_FLM(self.mark.is_some())
            .with_FLTSTAT(stat as u8)
            .with_LPBK(self.loopback)
            .with_IPV6EXADD(c.ipv6exadd)
            .with_INT_UDP_0(c.int_udp0)
            .with_EXT_UDP_0(c.ext_udp0)
            .with_IPE(c.ipe)
            .with_L4E(c.l4e)
            .with_EIPE(c.eipe)
            .with_PTYPE(self.ptype);
        let q0 = RxLegacyQw0::default().with_L2TAG1(self.tag1.unwrap_or(0)).with_RSS(hash);
        let q2 = RxLegacyQw2::default()
            .with_L2TAG2P(self.tag2.is_some())
            .with_FLEXBH(u8::from(self.mark.is_some()))
            .with_L2TAG2_2(self.tag2.unwrap_or(0));
        let q3 = RxLegacyQw3::default().with_FD_ID(self.mark.unwrap_or(0));
        [q0.0, q1.0, q2.0, q3.0]
    }

    fn flex(&self, format: Format, rxdid: u8, len: u16, eof: bool) -> [u64; 4] {
        let q0 = RxFlexQw0::default().with_RXDID(rxdid).with_PKT_LEN(len);
        let (hash, mark) = (self.hash.unwrap_or(0), self.mark.unwrap_or(NO_FLOW));
        let c = &self.checks;
        if !eof {
            let q1 = RxFlexNicQw1::default().with_DD(true);
            return [q0.0, q1.0, 0, 0];
        }
        let q0 = q0.with_UMBCAST(umbcast(self.class)).with_PTYPE(self.ptype.into());
        let status = RxFlexNicQw1::default()
            .with_DD(true)
            .with_EOF(true)
            .with_L3L4P(c.l3l4p)
            .with_IPE(c.ipe)
            .with_L4E(c.l4e)
            .with_EIPE(c.eipe)
            .with_EUDPE(c.eudpe)
            .with_LPBK(self.loopback)
            .with_IPV6EXADD(c.ipv6exadd)
            .with_CRCP(self.crc)
            .with_RSS_VALID(self.hash.is_some())
            .with_L2TAG1P(self.tag1.is_some())
            .with_L2TAG1(self.tag1.unwrap_or(0));
        let q2 = RxFlexQw2::default()
            .with_L2TAG2P(self.tag2.is_some())
            .with_L2TAG2_2ND(self.tag2.unwrap_or(0));
        let (q1, q3) = match format {
            Format::FlexOvs => (
                RxFlexOvsQw1(status.0).with_FLOW_ID(mark).0,
                RxFlexOvsQw3::default().with_RSS_HASH(hash).0,
            ),
            _ => (status.with_RSS_HASH(hash).0, RxFlexNicQw3::default().with_FLOW_ID(mark).0),
        };
        [q0.0, q1, q2.0, q3]
    }
}

/// What the flow id of a flex descriptor is when no filter matched.
const NO_FLOW: u32 = u32::MAX;
