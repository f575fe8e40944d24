//! Who may do what in a page (VT-d 3.6.1, 3.7.1, 3.8.1).

use siov_spec::vtd::FaultReason;

use crate::caches::IotlbEntry;
use crate::paging::{FirstStage, Leaf};
use crate::types::{Access, Rights};

/// Whether a cached translation is enough; where it is not, the walk says what is wrong, or marks pages.
pub(crate) fn covers(entry: &IotlbEntry, access: Access) -> bool {
    let rights = entry.rights;
    let allowed = if access.write { rights.write } else { rights.read };
    // SMEP is known only to the walk.
    let may_execute = rights.execute && (!access.privileged || rights.supervisor);
    allowed && (access.privileged || !rights.supervisor) && (!access.execute || may_execute)
}

/// The smaller page of the two, and what both allow.
pub(crate) fn combined(guest: Leaf, host: Leaf) -> Leaf {
    Leaf {
        addr: host.addr,
        level: guest.level.min(host.level),
        rights: Rights {
            read: guest.rights.read && host.rights.read,
            write: guest.rights.write && host.rights.write,
            execute: guest.rights.execute && host.rights.execute,
            snoop: host.rights.snoop,
            ..guest.rights
        },
    }
}

/// Whether a cached right covers an access of the unit's own.
pub(crate) fn allows(rights: Rights, access: Access) -> bool {
    if access.write { rights.write } else { rights.read }
}

/// A privileged write to a page without R/W passes when WPE is clear.
fn supervisor_may_write(stage: &FirstStage, access: Access) -> bool {
    access.write && access.privileged && !stage.wpe
}

/// The rules of first-stage access rights (VT-d 3.6.1).
pub(crate) fn check_first(
    stage: &FirstStage,
    rights: Rights,
    access: Access,
) -> Result<(), FaultReason> {
    if rights.supervisor && !access.privileged {
        return Err(FaultReason::SGN_2);
    }
    if access.write && !rights.write && !supervisor_may_write(stage, access) {
        return Err(FaultReason::SGN_6);
    }
    let user_page = !rights.supervisor;
    if access.execute && (!rights.execute || (access.privileged && stage.smep && user_page)) {
        return Err(FaultReason::SGN_3);
    }
    Ok(())
}
