//! What the mailbox reads in a descriptor, and what it writes back.

use siov_mem::Iova;
use siov_spec::e810::{AQ_LG_BUF, AQ_MAX_BUF, AqDesc, AqFlags, AqRc};

/// Whether a message to send is well-formed.
pub(super) fn check(sent: AqDesc) -> AqRc {
    let (flags, len) = (AqFlags(sent.FLAGS()), u32::from(sent.DATALEN()));
    if len > AQ_MAX_BUF {
        AqRc::E2BIG
    } else if len > 0 && !(flags.BUF() && flags.RD()) || len > AQ_LG_BUF && !flags.LB() {
        AqRc::EINVAL // data without a buffer to read it from, or a large one that doesn't say so
    } else {
        AqRc::OK
    }
}

/// The buffer's address.
pub(super) fn buffer(descriptor: AqDesc) -> Iova {
    Iova(u64::from(descriptor.ADDR_HIGH()) << 32 | u64::from(descriptor.ADDR_LOW()))
}

/// Bytes of the buffer that a receive descriptor posts.
pub(super) fn room(posted: AqDesc) -> u16 {
    if AqFlags(posted.FLAGS()).BUF() { posted.DATALEN() } else { 0 }
}

/// The descriptor of a sent message, completed.
pub(super) fn completed(sent: AqDesc, status: AqRc) -> AqDesc {
    let flags = AqFlags(sent.FLAGS()).with_DD(true).with_CMP(true).with_ERR(status != AqRc::OK);
    sent.with_FLAGS(flags.0).with_RETVAL(status as u16)
}

/// A message in the receiver's ring, in the buffer that was posted there; `from` is who sent it.
pub(super) fn received(sent: AqDesc, from: u16, posted: AqDesc) -> AqDesc {
    let posted_flags = AqFlags(posted.FLAGS());
    let flags = AqFlags(0).with_BUF(posted_flags.BUF()).with_LB(posted_flags.LB());
    sent.with_FLAGS(flags.with_DD(true).with_CMP(true).0)
        .with_RETVAL(from)
        .with_PARAM0(0)
        .with_PARAM1(0)
        .with_ADDR_HIGH(posted.ADDR_HIGH())
        .with_ADDR_LOW(posted.ADDR_LOW())
}
