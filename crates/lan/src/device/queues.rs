//! Queues come and go: receive queues by their registers, transmit queues by the firmware.

use siov_spec::e810::bar0::{self, Reg};
use siov_spec::e810::{
    RX_CONTEXT_BYTES, RX_QUEUES, RxQueueContext, TX_CONTEXT_BYTES, TxQueueContext,
};
use siov_switch::VsiId;

use super::{Device, Nic, NicError};
use crate::interrupt::Cause;
use crate::rx::RxSetup;
use crate::tx::TxSetup;

/// Words of a receive queue's context.
const WORDS: u32 = RX_CONTEXT_BYTES / 4;

impl Device {
    /// QRX_CTRL: the queue is enabled or disabled as QENA_REQ asks, and QENA_STAT says how that ended.
    pub(super) fn rx_control(&self, index: u32, control: bar0::QRX_CTRL) {
        let Ok(queue) = u16::try_from(index) else { return };
        let enabled = match (control.QENA_REQ(), control.QENA_STAT()) {
            (true, false) => {
                self.rx_setup(queue).is_some_and(|setup| self.path.rx_enable(queue, &setup))
            }
            (false, true) => {
                self.path.rx_disable(queue);
                false
            }
            (_, now) => now,
        };
        self.regs().set(Reg::QRX_CTRL, index, control.with_QENA_STAT(enabled).0.into());
    }

    /// A receive queue has stopped by itself: QRX_CTRL no longer says that it is enabled.
    pub(super) fn rx_stopped(&self, queue: u16) {
        let mut regs = self.regs();
        let control = bar0::QRX_CTRL(regs.get(Reg::QRX_CTRL, queue.into()) as u32);
        regs.set(Reg::QRX_CTRL, queue.into(), control.with_QENA_STAT(false).0.into());
    }

    /// QINT_TQCTL and QINT_RQCTL: a queue that is enabled raises its new cause from now on.
    pub(super) fn queue_cause(&self, register: Reg, index: u32, value: u32) {
        let Ok(queue) = u16::try_from(index) else { return };
        let cause = Cause::from_register(value);
        if register == Reg::QINT_TQCTL {
            self.path.set_tx_cause(queue, cause);
        } else {
            self.path.set_rx_cause(queue, cause);
        }
    }

    /// What the registers of a receive queue say; `None` when it belongs to no VSI.
    fn rx_setup(&self, queue: u16) -> Option<RxSetup> {
        let owns = |vsi: &&crate::vsi::Vsi| {
            (0..vsi.queues.count()).any(|n| vsi.queues.queue(n) == Some(queue))
        };
        let (vsi, pasid) =
            self.path.look(|tables| tables.vsis().find(owns).map(|vsi| (vsi.id, vsi.pasid)))?;
        let regs = self.regs();
        let mut context = [0; RX_CONTEXT_BYTES as usize];
        for (n, word) in (0..WORDS).zip(context.chunks_exact_mut(4)) {
            let value = regs.get(Reg::QRX_CONTEXT, n * RX_QUEUES + u32::from(queue)) as u32;
            word.copy_from_slice(&value.to_le_bytes());
        }
        Some(RxSetup {
            context: RxQueueContext::from_bytes(&context),
            profile: bar0::QRXFLXP_CNTXT(regs.get(Reg::QRXFLXP_CNTXT, queue.into()) as u32),
            vsi,
            pasid,
            cause: Cause::from_register(regs.get(Reg::QINT_RQCTL, queue.into()) as u32),
        })
    }
}

impl Nic {
    /// Enables a transmit queue with its context of 22 bytes, as the admin queue has it.
    pub fn tx_enable(&self, queue: u16, context: &[u8]) -> Result<(), NicError> {
        let refused = NicError::Queue(queue.into());
        let mut bytes = [0; 24];
        let room = bytes.get_mut(..TX_CONTEXT_BYTES as usize);
        match room.filter(|room| room.len() == context.len()) {
            Some(room) => room.copy_from_slice(context),
            None => return Err(NicError::Value("a Tx queue's context has 22 bytes")),
        }
        let context = TxQueueContext::from_bytes(&bytes);
        let device = &self.device;
        let vsi = VsiId::new(context.SRC_VSI()).ok_or_else(|| refused.clone())?;
        let pasid = device.path.look(|tables| tables.vsi(vsi).map(|vsi| vsi.pasid));
        let pasid = pasid.ok_or_else(|| refused.clone())?;
        let cause = device.cause_of(Reg::QINT_TQCTL, queue.into());
        if device.path.tx_enable(queue, &TxSetup { context, pasid, cause }) {
            Ok(())
        } else {
            Err(refused)
        }
    }

    /// Disables a transmit queue; none of its DMA is under way afterwards.
    pub fn tx_disable(&self, queue: u16) {
        self.device.path.tx_disable(queue);
    }
}
