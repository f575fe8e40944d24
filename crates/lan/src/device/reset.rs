//! Resets, and what each clears.

use siov_spec::Reset;
use siov_spec::e810::bar0::{self, Reg};
use siov_spec::e810::{PORTS, RX_QUEUES, VSIS};
use siov_switch::{ListId, MAX_LISTS, VsiId, VsiSet};

use super::counters::{base_for, counted};
use super::events::ResetKind;
use super::{Device, Nic, NicError};
use crate::interrupt::{Cause, Vector};
use crate::vsi::Vsi;

/// Statistics registers of each VSI, and of each port.
const OF_VSI: [Reg; 11] = [
    Reg::GLV_GORC,
    Reg::GLV_UPRC,
    Reg::GLV_MPRC,
    Reg::GLV_BPRC,
    Reg::GLV_GOTC,
    Reg::GLV_UPTC,
    Reg::GLV_MPTC,
    Reg::GLV_BPTC,
    Reg::GLV_RDPC,
    Reg::GLV_TEPC,
    Reg::GLV_REPC,
];
const OF_PORT: [Reg; 25] = [
    Reg::GLPRT_GORC,
    Reg::GLPRT_UPRC,
    Reg::GLPRT_MPRC,
    Reg::GLPRT_BPRC,
    Reg::GLPRT_GOTC,
    Reg::GLPRT_UPTC,
    Reg::GLPRT_MPTC,
    Reg::GLPRT_BPTC,
    Reg::GLPRT_RUC,
    Reg::GLPRT_ROC,
    Reg::GLPRT_TDOLD,
    Reg::GLPRT_PRC64,
    Reg::GLPRT_PRC127,
    Reg::GLPRT_PRC255,
    Reg::GLPRT_PRC511,
    Reg::GLPRT_PRC1023,
    Reg::GLPRT_PRC1522,
    Reg::GLPRT_PRC9522,
    Reg::GLPRT_PTC64,
    Reg::GLPRT_PTC127,
    Reg::GLPRT_PTC255,
    Reg::GLPRT_PTC511,
    Reg::GLPRT_PTC1023,
    Reg::GLPRT_PTC1522,
    Reg::GLPRT_PTC9522,
];

impl Nic {
    /// A reset of the function or of more. No DMA by the old state is under way afterwards.
    pub fn reset(&self, kind: ResetKind) {
        let device = &self.device;
        device.path.stop_queues(None);
        device.path.forget_rx_tails(0..RX_QUEUES as u16);
        device.path.change(|tables| {
            for (id, _) in tables.switch.rules().map(|(id, rule)| (id, *rule)).collect::<Vec<_>>() {
                // It was listed just now.
                let _ = tables.switch.remove_rule(id);
            }
            for list in (0..MAX_LISTS).map(ListId) {
                let _ = tables.switch.set_list(list, VsiSet::new());
            }
            for vsi in tables.vsis().map(|vsi| vsi.id).collect::<Vec<_>>() {
                tables.free_vsi(vsi);
            }
        });
        device.path.change_flows(|flows| flows.clear());
        let cold = !matches!(kind, ResetKind::PFR | ResetKind::FLR);
        {
            let mut mailboxes = device.mailboxes();
            if cold {
                mailboxes.reset_core();
            } else {
                mailboxes.reset_pf();
            }
        }
        // The MSI-X table is the function's on its bus: a reset of the core leaves it.
        device.vectors.reset_all(device.ims, matches!(kind, ResetKind::FLR));
        device.regs().reset(if cold { Reset::Cold } else { Reset::Function });
        if cold {
            device.clear_statistics();
        }
        device.path.change_flows(|flows| flows.set_enabled(false));
    }

    /// A reset of a VSI: its queues, mailbox and interrupts; what the switch knows of it stays.
    pub fn reset_vsi(&self, vsi: u16) -> Result<(), NicError> {
        let id = VsiId::new(vsi).ok_or(NicError::Vsi(vsi.into()))?;
        let device = &self.device;
        let (tx, _) = device.path.stop_queues(Some(id));
        // Also the queues that had stopped before: none of the VSI's is enabled, and no tail outlives it.
        let rx = device.path.look(|tables| tables.vsi(id).map(Vsi::rx_queues)).unwrap_or_default();
        device.path.forget_rx_tails(rx.iter().copied());
        device.mailboxes().reset_vsi(vsi);
        let mut vectors = vec![device.cause_of(Reg::VPINT_MBX_CTL, vsi.into())];
        for queue in &tx {
            vectors.push(device.cause_of(Reg::QINT_TQCTL, u32::from(*queue)));
        }
        for queue in &rx {
            vectors.push(device.cause_of(Reg::QINT_RQCTL, u32::from(*queue)));
            device.regs().set(Reg::QRX_CTRL, u32::from(*queue), bar0::QRX_CTRL::RESET.into());
        }
        let enabled = |cause: &Cause| cause.enabled.then_some(cause.vector);
        let mut vectors: Vec<Vector> = vectors.iter().filter_map(enabled).collect();
        vectors.sort_unstable();
        vectors.dedup();
        device.vectors.reset(vectors);
        Ok(())
    }
}

impl Device {
    /// Statistics show zero from now on.
    fn clear_statistics(&self) {
        let vsis = OF_VSI.iter().flat_map(|register| (0..VSIS).map(|vsi| (*register, vsi)));
        let ports = OF_PORT.iter().flat_map(|register| (0..PORTS).map(|port| (*register, port)));
        for (register, index) in vsis.chain(ports) {
            let count = counted(&self.path, register, index).unwrap_or(0);
            if count != 0 {
                let mut regs = self.regs();
                let id = u16::from(register);
                let bytes = regs.layout().register(id).map_or(4, |register| register.size);
                regs.set(register, index, base_for(0, count, bytes));
            }
        }
    }
}
