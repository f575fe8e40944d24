"""The admin queue: its descriptor, opcodes and return codes. The other aq_… files hold the commands.

A command's parameters are the descriptor's last 16 bytes; in a command with a buffer, the last 8 of these
are the buffer's address. A mailbox message is such a descriptor too.
"""

from enum import IntEnum
from typing import Annotated

from siov.spec.word import Word, bit, bits

REF = "E810 ice_adminq_cmd.h"

AQ_DESC_BYTES: Annotated[int, "Bytes of an admin queue's or mailbox's descriptor"] = 32
AQ_LG_BUF: Annotated[int, "Bytes over which a buffer is large: LB must be set"] = 512
AQ_MAX_BUF: Annotated[int, "Bytes of the greatest buffer"] = 4096


class AqOpcode(IntEnum):
    """What a descriptor of the admin queue or mailbox asks for, or tells."""

    GET_VER = 0x0001
    DRIVER_VER = 0x0002
    Q_SHUTDOWN = 0x0003
    GET_EXP_ERR = 0x0005
    REQ_RES = 0x0008
    RELEASE_RES = 0x0009
    LIST_FUNC_CAPS = 0x000A
    LIST_DEV_CAPS = 0x000B
    MANAGE_MAC_READ = 0x0107
    MANAGE_MAC_WRITE = 0x0108
    CLEAR_PXE_MODE = 0x0110
    CONFIG_NO_DROP_POLICY = 0x0112
    GET_SW_CFG = 0x0200
    SET_PORT_PARAMS = 0x0203
    GET_RES_ALLOC = 0x0204
    ALLOC_RES = 0x0208
    FREE_RES = 0x0209
    GET_ALLOCD_RES_DESC = 0x020A
    SET_VLAN_MODE_PARAMETERS = 0x020C
    GET_VLAN_MODE_PARAMETERS = 0x020D
    ADD_VSI = 0x0210
    UPDATE_VSI = 0x0211
    GET_VSI_PARAMS = 0x0212
    FREE_VSI = 0x0213
    ADD_UPDATE_MIR_RULE = 0x0260
    DEL_MIR_RULE = 0x0261
    SET_STORM_CFG = 0x0280
    GET_STORM_CFG = 0x0281
    ADD_RECIPE = 0x0290
    RECIPE_TO_PROFILE = 0x0291
    GET_RECIPE = 0x0292
    GET_RECIPE_TO_PROFILE = 0x0293
    ADD_SW_RULES = 0x02A0
    UPDATE_SW_RULES = 0x02A1
    REMOVE_SW_RULES = 0x02A2
    GET_SW_RULES = 0x02A3
    CLEAR_PF_CFG = 0x02A4
    QUERY_PFC_MODE = 0x0302
    SET_PFC_MODE = 0x0303
    SET_DCB_PARAMS = 0x0306
    GET_DFLT_TOPO = 0x0400
    ADD_SCHED_ELEMS = 0x0401
    CFG_SCHED_ELEMS = 0x0403
    GET_SCHED_ELEMS = 0x0404
    MOVE_SCHED_ELEMS = 0x0408
    SUSPEND_SCHED_ELEMS = 0x0409
    RESUME_SCHED_ELEMS = 0x040A
    QUERY_PORT_ETS = 0x040E
    DELETE_SCHED_ELEMS = 0x040F
    ADD_RL_PROFILES = 0x0410
    QUERY_RL_PROFILES = 0x0411
    QUERY_SCHED_RES = 0x0412
    QUERY_NODE_TO_ROOT = 0x0413
    CFG_L2_NODE_CGD = 0x0414
    REMOVE_RL_PROFILES = 0x0415
    SET_TX_TOPO = 0x0417
    GET_TX_TOPO = 0x0418
    CFG_NODE_ATTR = 0x0419
    QUERY_NODE_ATTR = 0x041A
    GET_PHY_CAPS = 0x0600
    SET_PHY_CFG = 0x0601
    SET_MAC_CFG = 0x0603
    RESTART_AN = 0x0605
    GET_LINK_STATUS = 0x0607
    SET_EVENT_MASK = 0x0613
    SET_MAC_LB = 0x0620
    GET_SENSOR_READING = 0x0632
    GET_LINK_TOPO = 0x06E0
    SET_PORT_ID_LED = 0x06E9
    GET_PORT_OPTIONS = 0x06EA
    SET_PORT_OPTION = 0x06EB
    SFF_EEPROM = 0x06EE
    NVM_READ = 0x0701
    NVM_ERASE = 0x0702
    NVM_WRITE = 0x0703
    NVM_CFG_READ = 0x0704
    NVM_CFG_WRITE = 0x0705
    NVM_CHECKSUM = 0x0706
    NVM_WRITE_ACTIVATE = 0x0707
    NVM_UPDATE_EMPR = 0x0709
    NVM_PKG_DATA = 0x070A
    NVM_PASS_COMPONENT_TBL = 0x070B
    SEND_MSG_TO_PF = 0x0801
    SEND_MSG_TO_VF = 0x0802
    LLDP_GET_MIB = 0x0A00
    LLDP_SET_MIB_CHANGE = 0x0A01
    LLDP_STOP = 0x0A05
    LLDP_START = 0x0A06
    GET_CEE_DCB_CFG = 0x0A07
    LLDP_SET_LOCAL_MIB = 0x0A08
    LLDP_STOP_START_SPECIFIC_AGENT = 0x0A09
    LLDP_FILTER_CTRL = 0x0A0A
    SET_RSS_KEY = 0x0B02
    SET_RSS_LUT = 0x0B03
    GET_RSS_KEY = 0x0B04
    GET_RSS_LUT = 0x0B05
    CLEAR_FD_TABLE = 0x0B06
    ADD_TXQS = 0x0C30
    DIS_TXQS = 0x0C31
    MOVE_RECFG_TXQS = 0x0C32
    DOWNLOAD_PKG = 0x0C40
    UPLOAD_SECTION = 0x0C41
    UPDATE_PKG = 0x0C42
    GET_PKG_INFO_LIST = 0x0C43
    DRIVER_SHARED_PARAMS = 0x0C90
    EVENT_LAN_OVERFLOW = 0x1001
    DEBUG_DUMP_INTERNALS = 0xFF08
    SET_HEALTH_STATUS_CONFIG = 0xFF20
    GET_SUPPORTED_HEALTH_STATUS_CODES = 0xFF21
    GET_HEALTH_STATUS = 0xFF22
    CLEAR_HEALTH_STATUS = 0xFF23
    FW_LOGS_CONFIG = 0xFF30
    FW_LOGS_REGISTER = 0xFF31
    FW_LOGS_QUERY = 0xFF32
    FW_LOGS_EVENT = 0xFF33


class AqRc(IntEnum):
    """Return code of a command."""

    OK = 0
    EPERM = 1
    ENOENT = 2
    ESRCH = 3
    EINTR = 4
    EIO = 5
    ENXIO = 6
    E2BIG = 7
    EAGAIN = 8
    ENOMEM = 9
    EACCES = 10
    EFAULT = 11
    EBUSY = 12
    EEXIST = 13
    EINVAL = 14
    ENOTTY = 15
    ENOSPC = 16
    ENOSYS = 17
    ERANGE = 18
    EFLUSHED = 19
    BAD_ADDR = 20
    EMODE = 21
    EFBIG = 22
    ESBCOMP = 23
    ENOSEC = 24
    EBADSIG = 25
    ESVN = 26
    EBADMAN = 27
    EBADBUF = 28
    EACCES_BMCU = 29


class AqFlags(Word, width=16, ref=REF):
    """Flags of a descriptor: the first that hardware sets, then those of software."""

    DD = bit(0, "Descriptor Done")
    CMP = bit(1, "Completed")
    ERR = bit(2, "there was an error: the return code tells which")
    VFE = bit(3, "the error is a virtual function's")
    LB = bit(9, "Large Buffer: over 512 bytes")
    RD = bit(10, "the buffer holds data for the command")
    VFC = bit(11, "the command is a virtual function's")
    BUF = bit(12, "there is a buffer")
    SI = bit(13, "no interrupt when it is done")
    EI = bit(14, "an interrupt when there was an error")
    FE = bit(15, "Flush on Error: the commands behind it aren't done")


class AqDesc(Word, width=256, ref=REF):
    """A descriptor of the admin queue or mailbox.

    In a mailbox message COOKIE_HIGH is the virtchnl opcode, COOKIE_LOW its status, and on the function's
    side RETVAL (received) or PARAM0 (to be sent) is the VSI or virtual function.
    """

    FLAGS = bits(15, 0, "flags (see AqFlags)")
    OPCODE = bits(31, 16, "what is asked for", enum=AqOpcode)
    DATALEN = bits(47, 32, "bytes in the buffer")
    RETVAL = bits(63, 48, "return code, in its low byte", enum=AqRc)
    COOKIE_HIGH = bits(95, 64, "handed back as it is")
    COOKIE_LOW = bits(127, 96, "handed back as it is")
    PARAM0 = bits(159, 128, "parameters, first 4 bytes")
    PARAM1 = bits(191, 160, "parameters, second 4 bytes")
    ADDR_HIGH = bits(223, 192, "address of the buffer, high half; or parameters")
    ADDR_LOW = bits(255, 224, "address of the buffer, low half; or parameters")


class AqBuffer(Word, width=128, ref=REF):
    """Parameters of a command with a buffer."""

    ADDR_HIGH = bits(95, 64, "address of the buffer, high half")
    ADDR_LOW = bits(127, 96, "address of the buffer, low half")
