"""Commands of features that this device is without: answered as by a device whose NVM leaves them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Handler, Reply, command
from siov.spec.e810.adminq import AqOpcode, AqRc

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

# No LLDP agent, no DCB in firmware: the driver is told that it may not ask (its own agent serves it).
NOT_PERMITTED = {
    AqOpcode.LLDP_GET_MIB,
    AqOpcode.LLDP_SET_MIB_CHANGE,
    AqOpcode.LLDP_STOP,
    AqOpcode.LLDP_START,
    AqOpcode.GET_CEE_DCB_CFG,
    AqOpcode.LLDP_SET_LOCAL_MIB,
    AqOpcode.LLDP_STOP_START_SPECIFIC_AGENT,
    AqOpcode.SET_DCB_PARAMS,
}

# No mirroring, storm control, own recipes, rate profiles, sensors, modules with memory, logs.
NOT_IMPLEMENTED = {
    AqOpcode.ADD_UPDATE_MIR_RULE,
    AqOpcode.DEL_MIR_RULE,
    AqOpcode.SET_STORM_CFG,
    AqOpcode.GET_STORM_CFG,
    AqOpcode.ADD_RECIPE,
    AqOpcode.RECIPE_TO_PROFILE,
    AqOpcode.GET_RECIPE,
    AqOpcode.GET_RECIPE_TO_PROFILE,
    AqOpcode.QUERY_PFC_MODE,
    AqOpcode.SET_PFC_MODE,
    AqOpcode.ADD_RL_PROFILES,
    AqOpcode.QUERY_RL_PROFILES,
    AqOpcode.REMOVE_RL_PROFILES,
    AqOpcode.CFG_L2_NODE_CGD,
    AqOpcode.SET_TX_TOPO,
    AqOpcode.GET_TX_TOPO,
    AqOpcode.CFG_NODE_ATTR,
    AqOpcode.QUERY_NODE_ATTR,
    AqOpcode.GET_SENSOR_READING,
    AqOpcode.GET_LINK_TOPO,
    AqOpcode.GET_PORT_OPTIONS,
    AqOpcode.SET_PORT_OPTION,
    AqOpcode.SFF_EEPROM,
    AqOpcode.NVM_CFG_READ,
    AqOpcode.NVM_CFG_WRITE,
    AqOpcode.DEBUG_DUMP_INTERNALS,
    AqOpcode.FW_LOGS_CONFIG,
    AqOpcode.FW_LOGS_REGISTER,
    AqOpcode.FW_LOGS_QUERY,
}


def _refusal(code: AqRc) -> Handler:
    def refuse(firmware: Firmware, given: Command) -> Reply | None:
        raise AqError(code)

    return refuse


for _opcode in NOT_PERMITTED:
    command(_opcode, Buffer.ANY)(_refusal(AqRc.EPERM))
for _opcode in NOT_IMPLEMENTED:
    command(_opcode, Buffer.ANY)(_refusal(AqRc.ENOSYS))
