"""Admin commands about the device: versions, resources, capabilities, flash, package, health."""

from enum import IntEnum
from typing import Annotated

from siov.spec.e810.adminq import AqBuffer
from siov.spec.word import Word, bit, bits

REF = "E810 ice_adminq_cmd.h"

PKG_NAME_BYTES: Annotated[int, "Bytes of a package's name in AqPackageInfo"] = 28
PKG_INFO_BYTES: Annotated[int, "Bytes of a package in the list of packages, behind the 4 of their number"] = (
    40
)


class AqGetVersion(Word, width=128, ref=REF):
    """GET_VER: versions of firmware and its interface."""

    ROM_VER = bits(31, 0, "boot ROM")
    FW_BUILD = bits(63, 32, "build of firmware")
    FW_BRANCH = bits(71, 64, "branch of firmware")
    FW_MAJOR = bits(79, 72, "major version of firmware")
    FW_MINOR = bits(87, 80, "minor version of firmware")
    FW_PATCH = bits(95, 88, "patch of firmware")
    API_BRANCH = bits(103, 96, "branch of the interface")
    API_MAJOR = bits(111, 104, "major version of the interface")
    API_MINOR = bits(119, 112, "minor version of the interface")
    API_PATCH = bits(127, 120, "patch of the interface")


class AqDriverVersion(AqBuffer, width=128, ref=REF):
    """DRIVER_VER: the driver tells its version; its name is in the buffer."""

    MAJOR_VER = bits(7, 0, "major version")
    MINOR_VER = bits(15, 8, "minor version")
    BUILD_VER = bits(23, 16, "build")
    SUBBUILD_VER = bits(31, 24, "build in the build")


class AqQueueShutdown(Word, width=128, ref=REF):
    """Q_SHUTDOWN: the driver won't use the queue any more."""

    DRIVER_UNLOADING = bit(0, "because it is unloaded")


class ResourceId(IntEnum):
    """Something that one function at a time may use."""

    NVM = 1
    SDP = 2
    CHNG_LOCK = 3
    GLBL_LOCK = 4


class ResourceAccess(IntEnum):
    """What for."""

    READ = 1
    WRITE = 2


class GlobalLockStatus(IntEnum):
    """How the global lock, which is taken once to load the package, was answered."""

    SUCCESS = 0
    IN_PROG = 1
    DONE = 2


class AqRequestResource(Word, width=128, ref=REF):
    """REQ_RES and RELEASE_RES."""

    RES_ID = bits(15, 0, "resource", enum=ResourceId)
    ACCESS_TYPE = bits(31, 16, "what for", enum=ResourceAccess)
    TIMEOUT = bits(63, 32, "how long it may be kept, in ms")
    RES_NUMBER = bits(95, 64, "which one")
    STATUS = bits(111, 96, "of the global lock", enum=GlobalLockStatus)


class Capability(IntEnum):
    """What a capability is about."""

    SWITCHING_MODE = 0x0001
    MANAGEABILITY_MODE = 0x0002
    OS2BMC = 0x0004
    VALID_FUNCTIONS = 0x0005
    ALTERNATE_RAM = 0x0006
    WOL_PROXY = 0x0008
    SRIOV = 0x0012
    VF = 0x0013
    VMDQ = 0x0014
    EVB_802_1QBG = 0x0015
    BR_802_1BR = 0x0016
    VSI = 0x0017
    DCB = 0x0018
    ISCSI = 0x0022
    RSS = 0x0040
    RXQS = 0x0041
    TXQS = 0x0042
    MSIX = 0x0043
    FD = 0x0045
    IEEE_1588 = 0x0046
    MAX_MTU = 0x0047
    NVM_VER = 0x0048
    PENDING_NVM_VER = 0x0049
    OROM_VER = 0x004A
    PENDING_OROM_VER = 0x004B
    NET_VER = 0x004C
    PENDING_NET_VER = 0x004D
    IWARP = 0x0051
    LED = 0x0061
    SDP = 0x0062
    WR_CSR_PROT = 0x0064
    SENSOR_READING = 0x0067
    LOGI_TO_PHYSI_PORT_MAP = 0x0073
    SKU = 0x0074
    PCIE_RESET_AVOIDANCE = 0x0076
    POST_UPDATE_RESET_RESTRICT = 0x0077
    NVM_MGMT = 0x0080
    EXT_TOPO_DEV_IMG0 = 0x0081
    TX_SCHED_TOPO_COMP_MODE = 0x0085
    NAC_TOPOLOGY = 0x0087
    DYN_FLATTENING = 0x008A
    OROM_RECOVERY_UPDATE = 0x0090
    ROCEV2_LAG = 0x0092


class AqListCaps(AqBuffer, width=128, ref=REF):
    """LIST_FUNC_CAPS and LIST_DEV_CAPS: the buffer is filled with AqCapability."""

    CMD_FLAGS = bits(7, 0, "flags")
    PF_INDEX = bits(15, 8, "function")
    COUNT = bits(63, 32, "how many elements there are")


class AqCapability(Word, width=256, ref=REF):
    """A capability of the device or function."""

    CAP = bits(15, 0, "what it is about", enum=Capability)
    MAJOR_VER = bits(23, 16, "major version")
    MINOR_VER = bits(31, 24, "minor version")
    NUMBER = bits(63, 32, "how many, or what bits")
    LOGICAL_ID = bits(95, 64, "first one, or more about them")
    PHYS_ID = bits(127, 96, "first one of the device, or more about them")


class AqNvm(AqBuffer, width=128, ref=REF):
    """NVM_READ, NVM_ERASE, NVM_WRITE and NVM_WRITE_ACTIVATE."""

    OFFSET = bits(23, 0, "where in the module, in bytes; in an activation bits 23:16 are more flags")
    LAST_CMD = bit(24, "the last of a row of commands")
    PRESERVATION = bits(26, 25, "in an activation, which settings stay")
    ACTIV_SEL_NVM = bit(27, "in an activation, the NVM module")
    ACTIV_SEL_OROM = bit(28, "in an activation, the boot ROM")
    ACTIV_SEL_NETLIST = bit(29, "in an activation, the netlist")
    SPECIAL_UPDATE = bit(30, "special update, or back to what was before")
    FLASH_ONLY = bit(31, "flash itself, not its shadow in RAM")
    MODULE_TYPEID = bits(47, 32, "module; 0 is flash as a whole")
    LENGTH = bits(63, 48, "bytes")


class AqNvmChecksum(Word, width=128, ref=REF):
    """NVM_CHECKSUM."""

    VERIFY = bit(0, "check it")
    RECALC = bit(1, "make it anew")
    CHECKSUM = bits(31, 16, "result: 0xBABA is correct")


class AqDownloadPackage(AqBuffer, width=128, ref=REF):
    """DOWNLOAD_PKG, UPLOAD_SECTION and UPDATE_PKG; the answer has an error in the place of the flags."""

    LAST_BUF = bit(0, "the last buffer")
    ERROR_INFO = bits(63, 32, "in an answer: what is wrong; bits 31:0 are its offset")


class AqPackageVersion(Word, width=32, ref=REF):
    """Version of a package."""

    MAJOR = bits(7, 0, "major")
    MINOR = bits(15, 8, "minor")
    UPDATE = bits(23, 16, "update")
    DRAFT = bits(31, 24, "draft")


class AqPackageState(Word, width=64, ref=REF):
    """The end of a package in GET_PKG_INFO_LIST, behind its AqPackageVersion and name."""

    TRACK_ID = bits(31, 0, "bundle")
    IS_IN_NVM = bit(32, "it is in non-volatile memory")
    IS_ACTIVE = bit(40, "it is in use")
    IS_ACTIVE_AT_BOOT = bit(48, "it was in use at boot")
    IS_MODIFIED = bit(56, "it was changed")


class AqSharedParam(AqBuffer, width=128, ref=REF):
    """DRIVER_SHARED_PARAMS: 32-bit numbers that drivers of the functions share."""

    GET = bit(0, "read; 0: write")
    INDEX = bits(15, 8, "which one, 0 to 15")
    VALUE = bits(63, 32, "value")


class AqHealth(AqBuffer, width=128, ref=REF):
    """Health status commands: how many codes or AqHealthStatus are in the buffer."""

    COUNT = bits(15, 0, "how many; in a configuration, which sources are wanted")


class AqHealthStatus(Word, width=64, ref=REF):
    """First 8 bytes of a health status; 4 more bytes of internal data follow."""

    CODE = bits(15, 0, "what")
    EVENT_SOURCE = bits(31, 16, "1 function, 2 port, 3 device")
    INTERNAL_DATA1 = bits(63, 32, "internal data; 0xDEADBEEF is none")


class AqFwLog(AqBuffer, width=128, ref=REF):
    """Firmware log commands; the buffer holds AqFwLogModule."""

    CMD_FLAGS = bits(
        7, 0, "in a configuration: bit 0 UART, 1 queue, 3 set; in a registration: bit 0 register"
    )
    RSP_FLAG = bits(15, 8, "bit 1: more data")
    LOG_RESOLUTION = bits(47, 32, "messages in an event")
    MDL_CNT = bits(63, 48, "modules in the buffer")


class AqFwLogModule(Word, width=32, ref=REF):
    """How much one module of firmware logs."""

    MODULE_IDENTIFIER = bits(15, 0, "module")
    LOG_LEVEL = bits(23, 16, "0 none, 1 errors, 2 warnings, 3 normal, 4 verbose")
