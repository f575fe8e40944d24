"""The embedded guest's driver: its control side, over the mailbox of a virtual device (iavf_main.c)."""

from siov.drivers.iavf.access import IavfError, QueuePair, RingSide, VdevAccess, VirtchnlError
from siov.drivers.iavf.config import WANTED, IavfConfig, State
from siov.drivers.iavf.driver import Iavf
from siov.drivers.iavf.registers import AVF, SIOV, Personality

__all__ = [
    "AVF",
    "SIOV",
    "WANTED",
    "Iavf",
    "IavfConfig",
    "IavfError",
    "Personality",
    "QueuePair",
    "RingSide",
    "State",
    "VdevAccess",
    "VirtchnlError",
]
