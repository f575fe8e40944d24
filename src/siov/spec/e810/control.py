"""Registers of the whole device and of its function: resets, states, PCI and non-volatile memory.

What outlives a reset of the function is sticky; a core or global reset of the device is a cold one.
"""

from enum import IntEnum

from siov.spec.e810.counts import BAR0_SIZE, VFS, VSIS
from siov.spec.word import RO, ROS, RW, RWS, WO, RegisterBlock, Word, bit, bits

REF = "E810 ice_hw_autogen.h"


class DeviceState(IntEnum):
    """How far the device is with a reset."""

    READY = 0
    RESETTING = 1
    REQUESTED = 2


class ResetType(IntEnum):
    """The last reset of the device."""

    POR = 0
    CORER = 1
    GLOBR = 2
    EMPR = 3


class Control(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """Resets, states and identity of the device and its function."""

    class PFGEN_STATE(Word, width=32, at=0x00088000, ref=REF):
        """What of the function is enabled."""

        PFPEEN = bit(0, "protocol engine (RDMA)", RO)
        PFLINKEN = bit(2, "link", RO, reset=1)
        PFSCEN = bit(3, "SAN", RO)

    class VPGEN_VFRTRIG(Word, width=32, at=0x00090000, count=VFS, ref=REF):
        """Reset trigger of a virtual function."""

        VFSWR = bit(0, "reset the virtual function; stays until software clears it", RW)

    class VPGEN_VFRSTAT(Word, width=32, at=0x00090800, count=VFS, ref=REF):
        """Reset status of a virtual function."""

        VFRD = bit(0, "the reset is done", RO)

    class PFGEN_CTRL(Word, width=32, at=0x00091000, ref=REF):
        """Control of the function."""

        PFSWR = bit(0, "reset the function; hardware clears it when that is done", RW)

    class VSIGEN_RTRIG(Word, width=32, at=0x00091800, count=VSIS, ref=REF):
        """Reset trigger of a VSI."""

        VMSWR = bit(0, "reset the VSI; stays until software clears it", RW)

    class VSIGEN_RSTAT(Word, width=32, at=0x00092800, count=VSIS, ref=REF):
        """Reset status of a VSI; the driver writes 2 when it has made a virtual device of it."""

        VMRD = bit(0, "the reset is done", RO, reset=1)
        MADE = bit(1, "software's own: the virtual device has been made", RW)

    class GLGEN_VFLRSTAT(Word, width=32, at=0x00093A04, count=8, ref=REF):
        """One bit for each virtual function that had a function-level reset."""

        VFLRS = bits(31, 0, "32 virtual functions", RO)

    class PFPCI_STATUS1(Word, width=32, at=0x0009DA00, ref=REF):
        """State of the function on its bus."""

        FUNC_VALID = bit(0, "the function is there", ROS, reset=1)

    class PFPCI_DEVID(Word, width=32, at=0x0009DE00, ref=REF):
        """Device ids as non-volatile memory gives them."""

        PF_DEV_ID = bits(15, 0, "of the function", ROS)
        VF_DEV_ID = bits(31, 16, "of its virtual functions", ROS)

    class GLPCI_LBARCTRL(Word, width=32, at=0x0009DE74, ref=REF):
        """How the base address registers are laid out."""

        PREFBAR = bit(0, "they are prefetchable", ROS, reset=1)
        BAR32 = bit(1, "they are 32 bits wide", ROS)
        PAGES_SPACE_EN_PF = bit(2, "BAR 0 holds the pages of queues, interrupts and mailboxes", ROS, reset=1)
        FLASH_EXPOSE = bit(3, "BAR 0 holds flash", ROS)
        PE_DB_SIZE = bits(5, 4, "size of the protocol engine's doorbells", ROS)
        PAGES_SPACE_EN_VF = bit(9, "virtual functions have pages too", ROS)
        EXROM_SIZE = bits(13, 11, "size of the expansion ROM", ROS)

    class GLPCI_CAPSUP(Word, width=32, at=0x0009DE8C, ref=REF):
        """Which PCI Express capabilities the function shows."""

        PCIE_VER = bit(0, "version of the PCI Express capability: 1 is 2", ROS, reset=1)
        LTR_EN = bit(2, "latency tolerance reporting", ROS)
        TPH_EN = bit(3, "processing hints", ROS)
        ARI_EN = bit(4, "alternative routing ids", ROS, reset=1)
        IOV_EN = bit(5, "SR-IOV", ROS, reset=1)
        ACS_EN = bit(6, "access control services", ROS, reset=1)
        SEC_EN = bit(7, "secondary PCI Express", ROS)
        PASID_EN = bit(8, "PASID", ROS, reset=1)

    class PFPCI_VMINDEX(Word, width=32, at=0x0009E600, ref=REF):
        """Which VSI PFPCI_VMPEND tells about."""

        VMINDEX = bits(9, 0, "VSI", RW)

    class PFPCI_VMPEND(Word, width=32, at=0x0009E800, ref=REF):
        """Whether a VSI has transactions under way."""

        PENDING = bit(0, "some are", RO)

    class PF_PCI_CIAD(Word, width=32, at=0x0009E500, ref=REF):
        """Configuration space of a virtual function, at what PF_PCI_CIAA names."""

        DATA = bits(31, 0, "the four bytes", RO)

    class PF_PCI_CIAA(Word, width=32, at=0x0009E580, ref=REF):
        """What PF_PCI_CIAD shows."""

        ADDRESS = bits(11, 0, "offset in the configuration space", RW)
        VF_NUM = bits(19, 12, "virtual function", RW)

    class PF_FUNC_RID(Word, width=32, at=0x0009E880, ref=REF):
        """Requester id of the function."""

        FUNC_NUM = bits(2, 0, "function", ROS)
        DEVICE_NUM = bits(7, 3, "device", ROS)
        BUS_NUM = bits(15, 8, "bus", ROS)

    class GLNVM_ULD(Word, width=32, at=0x000B6008, ref=REF):
        """What has been loaded out of non-volatile memory since a reset; all of it after one is done."""

        PCIER_DONE = bit(0, "PCI Express reset", ROS, reset=1)
        PCIER_DONE_1 = bit(1, "PCI Express reset, second part", ROS, reset=1)
        CORER_DONE = bit(3, "core reset", ROS, reset=1)
        GLOBR_DONE = bit(4, "global reset", ROS, reset=1)
        POR_DONE = bit(5, "power on", ROS, reset=1)
        POR_DONE_1 = bit(8, "power on, second part", ROS, reset=1)
        PCIER_DONE_2 = bit(9, "PCI Express reset, third part", ROS, reset=1)
        PE_DONE = bit(10, "protocol engine", ROS, reset=1)

    class GLNVM_GENS(Word, width=32, at=0x000B6100, ref=REF):
        """Non-volatile memory."""

        NVM_PRES = bit(0, "it is there", ROS, reset=1)
        SR_SIZE = bits(7, 5, "shadow RAM: 2 to the power of n Ki 16-bit words", ROS, reset=6)
        BANK1VAL = bit(8, "the second bank is valid", ROS)

    class GLNVM_FLA(Word, width=32, at=0x000B6108, ref=REF):
        """Access to flash."""

        LOCKED = bit(6, "flash is programmed and locked; 0 means a blank device", ROS, reset=1)

    class GLGEN_STAT(Word, width=32, at=0x000B612C, ref=REF):
        """For firmware."""

        RSVD4FW = bits(7, 0, "firmware's own", ROS)

    class GL_MNG_FWSM(Word, width=32, at=0x000B6134, ref=REF):
        """Status of firmware."""

        FW_MODES = bits(2, 0, "bit 0 debug, bit 1 recovery, bit 2 rolled back", ROS)
        EEP_RELOAD_IND = bit(10, "non-volatile memory has been read again", ROS)
        EXT_ERR_IND = bits(24, 19, "error", ROS)
        FW_LOADING = bit(30, "firmware is being loaded", ROS)

    class GL_FWSTS(Word, width=32, at=0x00083048, ref=REF):
        """Status of firmware for the host's boot code."""

        FWS0B = bits(7, 0, "state", ROS)
        FWROWD = bit(8, "it ran into its watchdog", ROS)
        FWRI = bit(9, "it waits for a reset", ROS)
        FWS1B = bits(23, 16, "second state", ROS)

    class PRTGEN_STATUS(Word, width=32, at=0x000B8100, ref=REF):
        """State of the function's port."""

        PORT_VALID = bit(0, "it is there", ROS, reset=1)
        PORT_ACTIVE = bit(1, "it is in use", ROS, reset=1)

    class GLGEN_RSTCTL(Word, width=32, at=0x000B8180, ref=REF):
        """Timing of resets."""

        GRSTDEL = bits(5, 0, "delay before a reset, in 100 ms", RWS)

    class GLGEN_RSTAT(Word, width=32, at=0x000B8188, ref=REF):
        """State of the device's resets."""

        DEVSTATE = bits(1, 0, "state", ROS, enum=DeviceState)
        RESET_TYPE = bits(3, 2, "last reset", ROS, enum=ResetType)
        CORERCNT = bits(5, 4, "core resets, modulo 4", ROS)
        GLOBRCNT = bits(7, 6, "global resets, modulo 4", ROS)
        EMPRCNT = bits(9, 8, "resets of firmware, modulo 4", ROS)
        TIME_TO_RST = bits(15, 10, "time to the next reset, in 100 ms", ROS)
        RTRIG_FLR = bit(16, "a function-level reset caused it", ROS)
        RTRIG_ECC = bit(17, "a memory error caused it", ROS)

    class GLGEN_RTRIG(Word, width=32, at=0x000B8190, ref=REF):
        """Reset trigger of the device."""

        CORER = bit(0, "core reset", WO)
        GLOBR = bit(1, "global reset", WO)
        EMPFWR = bit(2, "reset of firmware", WO)

    class GLGEN_SWITCH_MODE_CONFIG(Word, width=32, at=0x000B81E0, ref=REF):
        """Which ports hang together as a link aggregate of the hardware."""

        MODE = bits(31, 0, "as non-volatile memory gives it", ROS)

    class GL_PWR_MODE_CTL(Word, width=32, at=0x000B820C, ref=REF):
        """How fast the device runs."""

        CAR_MAX_BW = bits(
            31, 30, "0 is 200, 1 100, 2 50 and 3 25 Gbit/s; at 25 timers are coarser", ROS, reset=1
        )

    class GLPCI_CNF2(Word, width=32, at=0x000BE004, ref=REF):
        """Limits on PCI Express."""

        RO_DIS = bit(0, "no relaxed ordering", ROS)
        CACHELINE_SIZE = bit(1, "128 bytes instead of 64", ROS)
