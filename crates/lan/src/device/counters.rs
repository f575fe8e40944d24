//! Statistics registers: what software reads is what was counted, from where the register was set.

use siov_spec::e810::bar0::Reg;
use siov_switch::VsiId;

use crate::datapath::DataPath;
use crate::stats::FlowCounters;

/// Bits of the wide counters.
const WIDE: u64 = (1 << 40) - 1;
/// Bits of the narrow ones.
const NARROW: u64 = (1 << 32) - 1;

/// What has been counted for a statistics register; `None` when it is none, or one that nothing counts.
pub(crate) fn counted(path: &DataPath, register: Reg, index: u32) -> Option<u64> {
    if let Some(value) = of_vsi(path, register, index) {
        return Some(value);
    }
    let port = || u8::try_from(index).ok().map(|port| path.port_counters(port));
    let size = |sizes: [u64; 7], n: usize| sizes.get(n).copied().unwrap_or(0);
    let received = |n| port().map(|c| size(c.rx_sizes, n));
    let sent = |n| port().map(|c| size(c.tx_sizes, n));
    match register {
        Reg::GLPRT_GORC => port().map(|c| c.rx.bytes),
        Reg::GLPRT_UPRC => port().map(|c| c.rx.unicast),
        Reg::GLPRT_MPRC => port().map(|c| c.rx.multicast),
        Reg::GLPRT_BPRC => port().map(|c| c.rx.broadcast),
        Reg::GLPRT_GOTC => port().map(|c| c.tx.bytes),
        Reg::GLPRT_UPTC => port().map(|c| c.tx.unicast),
        Reg::GLPRT_MPTC => port().map(|c| c.tx.multicast),
        Reg::GLPRT_BPTC => port().map(|c| c.tx.broadcast),
        Reg::GLPRT_RUC => port().map(|c| c.rx_short),
        Reg::GLPRT_ROC => port().map(|c| c.rx_long),
        Reg::GLPRT_TDOLD => port().map(|c| c.tx_down),
        Reg::GLPRT_PRC64 => received(0),
        Reg::GLPRT_PRC127 => received(1),
        Reg::GLPRT_PRC255 => received(2),
        Reg::GLPRT_PRC511 => received(3),
        Reg::GLPRT_PRC1023 => received(4),
        Reg::GLPRT_PRC1522 => received(5),
        Reg::GLPRT_PRC9522 => received(6),
        Reg::GLPRT_PTC64 => sent(0),
        Reg::GLPRT_PTC127 => sent(1),
        Reg::GLPRT_PTC255 => sent(2),
        Reg::GLPRT_PTC511 => sent(3),
        Reg::GLPRT_PTC1023 => sent(4),
        Reg::GLPRT_PTC1522 => sent(5),
        Reg::GLPRT_PTC9522 => sent(6),
        Reg::GLSTAT_FD_CNT0 => u16::try_from(index).ok().map(|counter| path.flow_counter(counter)),
        _ => None,
    }
}

fn of_vsi(path: &DataPath, register: Reg, index: u32) -> Option<u64> {
    type Pick = fn(&FlowCounters) -> u64;
    let (received, pick): (bool, Pick) = match register {
        Reg::GLV_GORC => (true, |c| c.bytes),
        Reg::GLV_UPRC => (true, |c| c.unicast),
        Reg::GLV_MPRC => (true, |c| c.multicast),
        Reg::GLV_BPRC => (true, |c| c.broadcast),
        Reg::GLV_GOTC => (false, |c| c.bytes),
        Reg::GLV_UPTC => (false, |c| c.unicast),
        Reg::GLV_MPTC => (false, |c| c.multicast),
        Reg::GLV_BPTC => (false, |c| c.broadcast),
        Reg::GLV_RDPC | Reg::GLV_TEPC | Reg::GLV_REPC => (true, |_| 0),
        _ => return None,
    };
    let counters = path.vsi_counters(VsiId::new(u16::try_from(index).ok()?)?);
    Some(match register {
        Reg::GLV_RDPC => counters.rx_no_desc,
        Reg::GLV_TEPC => counters.tx_errors,
        // Two counters of 16 bits in one register.
        Reg::GLV_REPC => counters.rx_no_desc & 0xFFFF | (counters.rx_errors & 0xFFFF) << 16,
        _ => pick(if received { &counters.rx } else { &counters.tx }),
    })
}

/// What a register of so many bytes shows: counting goes round at its width.
pub(crate) fn shown(base: u64, counted: u64, bytes: u8) -> u64 {
    base.wrapping_add(counted) & if bytes == 8 { WIDE } else { NARROW }
}

/// The base that makes a register show a value now.
pub(crate) fn base_for(value: u64, counted: u64, bytes: u8) -> u64 {
    value.wrapping_sub(counted) & if bytes == 8 { WIDE } else { NARROW }
}
