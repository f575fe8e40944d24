//! What is recorded of a fault (VT-d 11.4.7.6).

use siov_spec::vtd::{FaultRecordHi, FaultRecordLo};

use crate::types::Fault;

/// A fault as a fault recording register holds it: low and high double word.
pub(crate) fn record(fault: &Fault) -> (u64, u64) {
    let low = FaultRecordLo(0).with_FI(fault.addr.0 >> 12);
    let high = FaultRecordHi(0)
        .with_SID(fault.rid.0)
        .with_T1(!fault.access.write)
        .with_PRIV(fault.access.privileged)
        .with_EXE(fault.access.execute)
        .with_PP(fault.pasid.is_some())
        .with_PV(fault.pasid.map_or(0, |pasid| pasid.0))
        .with_FR(fault.reason as u8)
        .with_F(true);
    (low.0, high.0)
}
