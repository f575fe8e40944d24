//! What the registers tell of a queue that was stopped (GL_MDET_*, PF_MDET_*).

use siov_spec::RegFile;
use siov_spec::e810::bar0::{self, Reg};

use crate::causes::Stopped;
use crate::malicious::Side;

/// Notes a stopped queue; the first one stays until software has cleared the register.
pub(crate) fn note(regs: &mut RegFile, stopped: &Stopped) {
    let (kind, queue) = (stopped.malice.number(), stopped.queue);
    let (device, function, word) = match stopped.side {
        Side::Rx => {
            let word = bar0::GL_MDET_RX::default().with_QNUM(queue).with_MAL_TYPE(kind);
            (Reg::GL_MDET_RX, Reg::PF_MDET_RX, word.with_VALID(true).0)
        }
        Side::Tx if stopped.malice.of_doorbell() => {
            let word = bar0::GL_MDET_TX_PQM::default().with_QNUM(queue).with_MAL_TYPE(kind);
            (Reg::GL_MDET_TX_PQM, Reg::PF_MDET_TX_PQM, word.with_VALID(true).0)
        }
        Side::Tx => {
            let word = bar0::GL_MDET_TX_TCLAN::default().with_QNUM(queue).with_MAL_TYPE(kind);
            (Reg::GL_MDET_TX_TCLAN, Reg::PF_MDET_TX_TCLAN, word.with_VALID(true).0)
        }
    };
    if regs.get(device, 0) == 0 {
        regs.set(device, 0, word.into());
    }
    regs.set(function, 0, 1);
}
