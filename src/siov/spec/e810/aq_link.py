"""Admin commands about the link: PHY capabilities and configuration, link status and its events."""

from enum import IntEnum
from typing import Annotated

from siov.spec.e810.adminq import AqBuffer
from siov.spec.word import Word, bit, bits

REF = "E810 ice_adminq_cmd.h"

PHY_CAPS_BYTES: Annotated[
    int, "Bytes of the answer to GET_PHY_CAPS, of which AqPhyCapsData is the first 40"
] = 560
LINK_STATUS_V1_BYTES: Annotated[int, "Bytes of the first version of AqLinkStatus"] = 32


class PhyReportMode(IntEnum):
    """Which capabilities GET_PHY_CAPS reports."""

    TOPO_CAP_NO_MEDIA = 0
    TOPO_CAP_MEDIA = 1
    ACTIVE_CFG = 2
    DFLT_CFG = 4


class AqGetPhyCaps(AqBuffer, width=128, ref=REF):
    """GET_PHY_CAPS."""

    LPORT_NUM = bits(7, 0, "logical port")
    RQM = bit(16, "report qualified modules")
    REPORT_MODE = bits(19, 17, "which capabilities", enum=PhyReportMode)


class PhyCaps(Word, width=8, ref=REF):
    """What a PHY can do or is to do."""

    TX_PAUSE = bit(0, "send pause frames")
    RX_PAUSE = bit(1, "heed pause frames")
    LOW_POWER = bit(2, "low power mode")
    LINK = bit(3, "the link is enabled")
    AN_MODE = bit(4, "autonegotiation; in a configuration reserved")
    MOD_QUAL = bit(5, "module qualification; in a configuration: update the link by itself")
    LESM = bit(6, "link establishment state machine")
    AUTO_FEC = bit(7, "choose forward error correction by itself")


class AqPhyCapsData(Word, width=320, ref=REF):
    """First 40 bytes of the answer to GET_PHY_CAPS."""

    PHY_TYPE_LOW = bits(63, 0, "media types 63:0 (see PhyType)")
    PHY_TYPE_HIGH = bits(127, 64, "media types 127:64")
    CAPS = bits(135, 128, "what it can do (see PhyCaps)")
    LOW_POWER_CTRL_AN = bits(143, 136, "low power and kinds of autonegotiation")
    EEE_CAP = bits(159, 144, "energy efficient Ethernet")
    EEER_VALUE = bits(175, 160, "energy efficient Ethernet, timer")
    PHY_ID_OUI_LO = bits(191, 176, "vendor, first two bytes")
    PHY_ID_OUI_HI = bits(207, 192, "vendor, last two bytes")
    PHY_FW_VER_LO = bits(255, 208, "firmware, first six bytes")
    PHY_FW_VER_HI = bits(271, 256, "firmware, last two bytes")
    LINK_FEC_OPTIONS = bits(279, 272, "forward error correction")
    MODULE_COMPLIANCE_ENFORCEMENT = bits(287, 280, "bit 0: strict")
    EXTENDED_COMPLIANCE_CODE = bits(295, 288, "of the module")
    MODULE_TYPE = bits(319, 296, "of the module")


class PhyType(IntEnum):
    """Media types: bit numbers of PHY_TYPE_LOW (those of 64 on: of PHY_TYPE_HIGH)."""

    PHY_1000BASE_T = 2
    PHY_10GBASE_T = 12
    PHY_10G_SFI_DA = 13
    PHY_10GBASE_SR = 14
    PHY_25GBASE_T = 19
    PHY_25GBASE_CR = 20
    PHY_25GBASE_SR = 23
    PHY_25GBASE_KR = 25
    PHY_40GBASE_CR4 = 30
    PHY_50GBASE_CR2 = 36
    PHY_50GBASE_SR = 45
    PHY_100GBASE_CR4 = 51
    PHY_100GBASE_SR4 = 52
    PHY_100GBASE_LR4 = 53
    PHY_100GBASE_KR4 = 54
    PHY_100G_CAUI4 = 56
    PHY_100GBASE_SR2 = 62
    PHY_100GBASE_DR = 63
    PHY_200G_CR4_PAM4 = 69
    PHY_200G_SR4 = 70


class AqSetPhyConfig(AqBuffer, width=128, ref=REF):
    """SET_PHY_CFG; the buffer is AqPhyConfigData."""

    LPORT_NUM = bits(7, 0, "logical port")


class AqPhyConfigData(Word, width=192, ref=REF):
    """What a PHY is to do."""

    PHY_TYPE_LOW = bits(63, 0, "media types 63:0 (see PhyType)")
    PHY_TYPE_HIGH = bits(127, 64, "media types 127:64")
    CAPS = bits(135, 128, "what it is to do (see PhyCaps)")
    LOW_POWER_CTRL_AN = bits(143, 136, "low power and kinds of autonegotiation")
    EEE_CAP = bits(159, 144, "energy efficient Ethernet")
    EEER_VALUE = bits(175, 160, "energy efficient Ethernet, timer")
    LINK_FEC_OPT = bits(183, 176, "forward error correction")
    MODULE_COMPLIANCE_ENFORCEMENT = bits(191, 184, "bit 0: strict")


class AqSetMacConfig(Word, width=128, ref=REF):
    """SET_MAC_CFG."""

    MAX_FRAME_SIZE = bits(15, 0, "greatest frame, in bytes with its CRC")
    PACE = bits(22, 19, "pacing")
    PACE_TYPE = bit(23, "pacing by a fixed gap")
    TX_TMR_PRIORITY = bits(31, 24, "priorities that the timer is for")
    TX_TMR_VALUE = bits(47, 32, "how long a pause frame holds")
    FC_REFRESH_THRESHOLD = bits(63, 48, "when a pause frame is sent again")
    AUTO_DROP = bit(64, "drop packets that block others")


class AqRestartAn(Word, width=128, ref=REF):
    """RESTART_AN."""

    LPORT_NUM = bits(7, 0, "logical port")
    LINK_RESTART = bit(17, "bring the link up anew")
    LINK_ENABLE = bit(18, "the link is enabled; 0: disabled")


class LinkStatusEvents(IntEnum):
    """What GET_LINK_STATUS does to events of the link."""

    NOP = 0
    IS_ENABLED = 1
    DIS = 2
    ENA = 3


class AqGetLinkStatus(AqBuffer, width=128, ref=REF):
    """GET_LINK_STATUS, and the event of it; the buffer is AqLinkStatus."""

    LPORT_NUM = bits(7, 0, "logical port")
    LSE = bits(17, 16, "events", enum=LinkStatusEvents)


class LinkSpeed(IntEnum):
    """Speeds of a link: bit numbers of LINK_SPEED."""

    SPEED_10MB = 0
    SPEED_100MB = 1
    SPEED_1000MB = 2
    SPEED_2500MB = 3
    SPEED_5GB = 4
    SPEED_10GB = 5
    SPEED_20GB = 6
    SPEED_25GB = 7
    SPEED_40GB = 8
    SPEED_50GB = 9
    SPEED_100GB = 10
    SPEED_200GB = 11
    UNKNOWN = 15


class AqLinkStatus(Word, width=448, ref=REF):
    """State of the link; the first version ends after PHY_TYPE_HIGH."""

    TOPO_MEDIA_CONFLICT = bits(7, 0, "conflicts of topology and media")
    LINK_CFG_ERR = bits(15, 8, "errors of configuration")
    LINK_UP = bit(16, "the link is up")
    LINK_FAULT = bit(17, "a fault")
    LINK_FAULT_TX = bit(18, "a fault of sending")
    LINK_FAULT_RX = bit(19, "a fault of receiving")
    LINK_FAULT_REMOTE = bit(20, "a fault of the other side")
    LINK_UP_PORT = bit(21, "the link of the external port is up")
    MEDIA_AVAILABLE = bit(22, "there is a cable or module")
    SIGNAL_DETECT = bit(23, "there is a signal")
    AN_COMPLETED = bit(24, "autonegotiation is done")
    LP_AN_ABILITY = bit(25, "the other side can negotiate")
    PD_FAULT = bit(26, "fault of parallel detection")
    FEC_EN = bit(27, "forward error correction")
    PHY_LOW_POWER = bit(28, "low power")
    LINK_PAUSE_TX = bit(29, "pause frames are sent")
    LINK_PAUSE_RX = bit(30, "pause frames are heeded")
    QUALIFIED_MODULE = bit(31, "the module is qualified")
    PHY_TEMP_ALARM = bit(32, "too hot")
    EXCESSIVE_ERRORS = bit(33, "too many errors")
    TX_SUSPENDED = bits(35, 34, "sending: 0 active, 1 drained, 3 flushed")
    LB_STATUS = bits(47, 40, "loopback: bit 0 PHY, 1 other side's PHY, 2 MAC")
    MAX_FRAME_SIZE = bits(63, 48, "greatest frame, in bytes with its CRC")
    FEC = bits(66, 64, "forward error correction: bit 0 KR, 1 RS-528, 2 RS-544")
    PACING = bits(70, 67, "pacing")
    PACING_TYPE = bit(71, "pacing by a fixed gap")
    PWR_CLASS = bits(77, 72, "power class")
    LINK_SPEED = bits(95, 80, "one bit of LinkSpeed")
    EXT_FEC_STATUS = bits(119, 112, "bit 0: RS-272")
    PHY_TYPE_LOW = bits(191, 128, "media type, 63:0 (see PhyType)")
    PHY_TYPE_HIGH = bits(255, 192, "media type, 127:64")
    LP_PHY_TYPE_LOW = bits(319, 256, "media types of the other side, 63:0")
    LP_PHY_TYPE_HIGH = bits(383, 320, "media types of the other side, 127:64")
    LP_FEC_ADV = bits(391, 384, "forward error correction that the other side can do")
    LP_FEC_REQ = bits(399, 392, "forward error correction that the other side wants")
    LP_FLOWCONTROL = bits(407, 400, "bit 0 pause, bit 1 asymmetric")


class AqSetEventMask(Word, width=128, ref=REF):
    """SET_EVENT_MASK: a set bit keeps an event away."""

    LPORT_NUM = bits(7, 0, "logical port")
    UPDOWN = bit(65, "the link went up or down")
    MEDIA_NA = bit(66, "the medium went away")
    LINK_FAULT = bit(67, "a fault")
    PHY_TEMP_ALARM = bit(68, "too hot")
    EXCESSIVE_ERRORS = bit(69, "too many errors")
    SIGNAL_DETECT = bit(70, "a signal")
    AN_COMPLETED = bit(71, "autonegotiation is done")
    MODULE_QUAL_FAIL = bit(72, "the module isn't qualified")
    PORT_TX_SUSPENDED = bit(73, "sending was suspended")
    TOPO_CONFLICT = bit(74, "conflict of topology")
    MEDIA_CONFLICT = bit(75, "conflict of media")
    PHY_FW_LOAD_FAIL = bit(76, "firmware of the PHY wasn't loaded")


class AqSetMacLoopback(Word, width=128, ref=REF):
    """SET_MAC_LB."""

    LB_EN = bit(0, "loopback in the MAC")
    LB_OSC_CLK = bit(1, "by the oscillator's clock")
