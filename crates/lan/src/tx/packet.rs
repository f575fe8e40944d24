//! What the descriptors of one packet ask for, and the rules that they have to keep.

use siov_packet::{Eipt, Iipt, L4t, L4tunt, Offload, Outer, Tso};
use siov_spec::e810::{
    DTYPE, EIPT, IIPT, L4T, L4TUNT, MAX_FRAME, SWTCH, TXD_MAX_BUFFERS, TxCtxQw0, TxCtxQw1,
    TxDataQw1,
};
use siov_switch::{Override, Program};

use crate::malicious::Malice;

/// The most descriptors that a packet may have.
pub(crate) const MAX_DESCRIPTORS: usize = 512;
/// The least bytes that a packet has.
const MIN_PACKET: u32 = 17;
/// The longest frame, without its check sequence.
const MAX_PACKET: u32 = MAX_FRAME - 4;
/// What must be the same in every data descriptor of a packet: all but the buffer's size, EOP and RS.
const SAME: u64 = !(0x3FFF << 34 | 1 << 4 | 1 << 5);

/// The descriptors of one packet, understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Descriptors in all.
    pub count: usize,
    /// Those that come before the data.
    pub head: usize,
    pub ask: Ask,
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    /// Everything but the tags, whose kind the VSI knows.
    pub offload: Offload,
    pub l2tag1: Option<u16>,
    pub l2tag2: Option<u16>,
    pub over: Override,
    /// The packet isn't sent.
    pub dummy: bool,
    /// The last descriptor is to be written back.
    pub report: bool,
    /// A filter-program descriptor came before it, with its place among the descriptors.
    pub program: Option<(Program, usize)>,
}

impl Packet {
    /// The packet that begins with the first of these descriptors; `None` when its end is not there yet.
    pub fn next(descriptors: &[[u64; 2]]) -> Result<Option<Self>, Malice> {
        let mut ask = Ask::default();
        let mut context = None;
        let mut head = 0;
        for (n, [q0, q1]) in descriptors.iter().enumerate() {
            head = n;
            match DTYPE::from_raw(q1 & 0xF) {
                Some(DTYPE::DATA) => break,
                Some(DTYPE::CTX) if context.is_none() => context = Some((*q0, *q1)),
                Some(DTYPE::FLTR_PROG) if ask.program.is_none() => {
                    ask.program = Some((Program::from_qwords(*q0, *q1), n));
                }
                Some(DTYPE::CTX | DTYPE::FLTR_PROG) => return Err(Malice::ContextWithoutData),
                _ => return Err(Malice::DescriptorType),
            }
            head = n + 1;
        }
        let data = descriptors.get(head..).unwrap_or_default();
        let Some(&[_, first]) = data.first() else { return Ok(None) };
        let Some(len) = length(data, first)? else { return Ok(None) };
        let data = data.get(..len).unwrap_or_default();
        let total = data.iter().map(|[_, q1]| size(*q1)).sum();
        if let Some((q0, q1)) = context {
            ask.set_context(TxCtxQw0(q0), TxCtxQw1(q1));
        }
        ask.set_data(TxDataQw1(first));
        ask.report = data.last().is_some_and(|[_, q1]| TxDataQw1(*q1).RS());
        check(&ask.offload, data, total)?;
        Ok(Some(Self { count: head + len, head, ask }))
    }
}

impl Ask {
    fn set_data(&mut self, q1: TxDataQw1) {
        let offload = &mut self.offload;
        offload.maclen = u16::from(q1.MACLEN()) * 2;
        offload.iplen = u16::from(q1.IPLEN()) * 4;
        offload.l4len = u16::from(q1.L4LEN()) * 4;
        offload.iipt = match IIPT::from_raw(q1.IIPT().into()) {
            Some(IIPT::IPV6) => Iipt::Ipv6,
            Some(IIPT::IPV4) => Iipt::Ipv4,
            Some(IIPT::IPV4_CSUM) => Iipt::Ipv4Csum,
            _ => Iipt::None,
        };
        offload.l4t = match L4T::from_raw(q1.L4T().into()) {
            Some(L4T::TCP) => L4t::Tcp,
            Some(L4T::SCTP) => L4t::Sctp,
            Some(L4T::UDP) => L4t::Udp,
            _ => L4t::None,
        };
        self.l2tag1 = q1.IL2TAG1().then(|| q1.L2TAG1());
        self.dummy = q1.DUMMY();
    }

    fn set_context(&mut self, q0: TxCtxQw0, q1: TxCtxQw1) {
        let eipt = match EIPT::from_raw(q0.EIPT().into()) {
            Some(EIPT::IPV6) => Eipt::Ipv6,
            Some(EIPT::IPV4_NO_CSUM) => Eipt::Ipv4,
            Some(EIPT::IPV4) => Eipt::Ipv4Csum,
            _ => Eipt::None,
        };
        let l4tunt = match L4TUNT::from_raw(q0.L4TUNT().into()) {
            Some(L4TUNT::UDP) => L4tunt::Udp,
            Some(L4TUNT::GRE) => L4tunt::Gre,
            _ => L4tunt::None,
        };
        let tunnel = Outer {
            eipt,
            eiplen: u16::from(q0.EIPLEN()) * 4,
            l4tunt,
            l4tunlen: u16::from(q0.NATLEN()) * 2,
            eip_noinc: q0.EIP_NOINC(),
            l4t_cs: q0.L4T_CS(),
        };
        self.offload.tunnel = (eipt != Eipt::None || l4tunt != L4tunt::None).then_some(tunnel);
        self.offload.tso = q1.TSO().then(|| Tso { mss: q1.MSS(), len: q1.TSO_LEN() });
        self.l2tag2 = q1.IL2TAG2().then(|| q0.L2TAG2());
        self.over = match SWTCH::from_raw(q1.SWTCH().into()) {
            Some(SWTCH::UPLINK) => Override::Uplink,
            Some(SWTCH::LOCAL) => Override::Local,
            Some(SWTCH::VSI) => Override::Vsi(q1.MSS() & 0x3FF),
            _ => Override::None,
        };
        if matches!(self.over, Override::Vsi(_)) {
            self.offload.tso = None; // its field holds the VSI
        }
    }
}

/// The bytes of a data descriptor's buffer.
fn size(q1: u64) -> u32 {
    u32::from(TxDataQw1(q1).TX_BUF_SZ())
}

/// How many data descriptors there are up to the packet's end; `None` when it is not there yet.
fn length(data: &[[u64; 2]], first: u64) -> Result<Option<usize>, Malice> {
    for (n, [_, q1]) in data.iter().enumerate() {
        let word = TxDataQw1(*q1);
        match DTYPE::from_raw(q1 & 0xF) {
            Some(DTYPE::DATA) => {}
            Some(DTYPE::CTX | DTYPE::FLTR_PROG) => return Err(Malice::NoEndOfPacket),
            _ => return Err(Malice::DescriptorType),
        }
        if (q1 ^ first) & SAME != 0 {
            return Err(Malice::CommandsDiffer);
        }
        if word.TX_BUF_SZ() == 0 {
            return Err(Malice::EmptyBuffer);
        }
        if word.EOP() {
            return Ok(Some(n + 1));
        }
    }
    if data.len() >= MAX_DESCRIPTORS / 2 { Err(Malice::TooManyBuffers) } else { Ok(None) }
}

/// The limits on lengths and on the number of buffers.
fn check(offload: &Offload, data: &[[u64; 2]], total: u32) -> Result<(), Malice> {
    if total < MIN_PACKET {
        return Err(Malice::TooShort);
    }
    let Some(tso) = offload.tso else {
        if total > MAX_PACKET {
            return Err(Malice::TooLong);
        }
        let many = data.len() > TXD_MAX_BUFFERS as usize;
        return if many { Err(Malice::TooManyBuffers) } else { Ok(()) };
    };
    let headers = total.saturating_sub(tso.len);
    if u32::from(tso.mss).saturating_add(headers) > MAX_PACKET {
        return Err(Malice::TooLong);
    }
    check_segments(data, headers, tso.mss.into())
}

/// A segment's headers and its payload together lie in at most eight buffers.
fn check_segments(data: &[[u64; 2]], headers: u32, mss: u32) -> Result<(), Malice> {
    if mss == 0 {
        return Ok(()); // which the offload refuses by itself
    }
    let (mut end, mut header_buffers, mut buffers) = (0, 0, 0);
    let mut boundary = headers.saturating_add(mss); // where the segment that is being filled ends
    for [_, q1] in data {
        let start = end;
        end += size(*q1);
        if start < headers {
            header_buffers += 1;
        } else {
            buffers += 1;
        }
        if header_buffers + buffers > TXD_MAX_BUFFERS {
            return Err(Malice::TooManyBuffers);
        }
        if end >= boundary {
            // What is left of this buffer begins the next segment.
            let beyond = (end - boundary) % mss;
            boundary = end - beyond + mss;
            buffers = u32::from(beyond != 0);
        }
    }
    Ok(())
}
