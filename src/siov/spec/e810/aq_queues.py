"""Admin commands about queues: the transmit scheduler, transmit queues, RSS and flow director."""

from enum import IntEnum
from typing import Annotated

from siov.spec.e810.adminq import AqBuffer
from siov.spec.word import Word, bit, bits

REF = "E810 ice_adminq_cmd.h"

SCHED_LEVELS: Annotated[int, "Levels of the transmit scheduler, at most"] = 9
RSS_KEY_BYTES: Annotated[int, "Bytes of an RSS key"] = 52
RSS_LUT_VSI: Annotated[int, "Entries of a VSI's RSS look-up table"] = 64
RSS_LUT_GLOBAL: Annotated[int, "Entries of a global RSS look-up table"] = 512
RSS_LUT_PF: Annotated[int, "Entries of the function's RSS look-up table"] = 2048


class SchedElementType(IntEnum):
    """What a node of the transmit scheduler is."""

    UNDEFINED = 0
    ROOT_PORT = 1
    TC = 2
    SE_GENERIC = 3
    ENTRY_POINT = 4
    LEAF = 5
    SE_PADDED = 6


class AqGetTopology(AqBuffer, width=128, ref=REF):
    """GET_DFLT_TOPO: the buffer holds, for each branch, an AqSchedGroup and its nodes."""

    PORT_NUM = bits(7, 0, "logical port")
    NUM_BRANCHES = bits(15, 8, "branches")


class AqSchedElements(AqBuffer, width=128, ref=REF):
    """Commands that add, configure, get, move, suspend, resume or delete nodes of the scheduler."""

    NUM_ELEM_REQ = bits(15, 0, "groups or nodes in the buffer")
    NUM_ELEM_RESP = bits(31, 16, "how many were done")


class AqSchedGroup(Word, width=64, ref=REF):
    """Head of a group of nodes below one parent."""

    PARENT_TEID = bits(31, 0, "parent")
    NUM_ELEMS = bits(47, 32, "nodes that follow")


class AqSchedMoveGroup(Word, width=96 + 32, ref=REF):
    """Head of MOVE_SCHED_ELEMS, and the first of the nodes to be moved."""

    SRC_PARENT_TEID = bits(31, 0, "parent it has")
    DEST_PARENT_TEID = bits(63, 32, "parent it gets")
    NUM_ELEMS = bits(79, 64, "nodes")
    FLAGS = bits(87, 80, "flags")
    TEID = bits(127, 96, "first node")


class AqSchedProperties(Word, width=128, ref=REF):
    """A node's properties."""

    ELEM_TYPE = bits(7, 0, "what it is", enum=SchedElementType)
    VALID_GENERIC = bit(8, "the generic section counts")
    VALID_CIR = bit(9, "the committed rate counts")
    VALID_EIR = bit(10, "the excess rate counts")
    VALID_SHARED = bit(11, "the shared rate counts")
    GENERIC_MODE = bit(16, "by bytes; 0: by packets")
    GENERIC_PRIO = bits(19, 17, "priority among siblings")
    GENERIC_SP = bit(20, "strict priority")
    GENERIC_ADJUST_VAL = bits(22, 21, "adjustment")
    FLAG_SUSPEND = bit(24, "it is suspended")
    CIR_BW_PROFILE = bits(47, 32, "committed rate: profile")
    CIR_BW_ALLOC = bits(63, 48, "committed rate: share")
    EIR_BW_PROFILE = bits(79, 64, "excess rate: profile")
    EIR_BW_ALLOC = bits(95, 80, "excess rate: share")
    SRL_ID = bits(111, 96, "shared rate limit")


class AqSchedNode(Word, width=64, ref=REF):
    """Head of a node of the scheduler; its AqSchedProperties follow."""

    PARENT_TEID = bits(31, 0, "parent")
    NODE_TEID = bits(63, 32, "node")


class AqQueryPortEts(AqBuffer, width=128, ref=REF):
    """QUERY_PORT_ETS."""

    PORT_TEID = bits(31, 0, "root node of the port")


class AqRateProfiles(AqBuffer, width=128, ref=REF):
    """ADD_RL_PROFILES, QUERY_RL_PROFILES and REMOVE_RL_PROFILES; the buffer holds AqRateProfile."""

    NUM_PROFILES = bits(15, 0, "profiles in the buffer")
    NUM_PROCESSED = bits(31, 16, "how many were done")


class AqRateProfile(Word, width=64, ref=REF):
    """First 8 bytes of a rate profile; 4 more hold the wake-up calculation and the encoding."""

    LEVEL = bits(7, 0, "level")
    TYPE = bits(9, 8, "0 committed, 1 excess, 2 shared")
    INVAL = bit(15, "it isn't valid")
    PROFILE_ID = bits(31, 16, "profile")
    MAX_BURST_SIZE = bits(47, 32, "burst")
    RL_MULTIPLY = bits(63, 48, "rate")


class AqSchedGeneric(Word, width=256, ref=REF):
    """Head of the answer to QUERY_SCHED_RES; an AqSchedLayer for each level follows."""

    PHYS_LEVELS = bits(15, 0, "levels of hardware")
    LOGICAL_LEVELS = bits(31, 16, "levels that software sees")
    FLATTENING_BITMAP = bits(39, 32, "levels that are flattened")
    MAX_DEVICE_CGDS = bits(47, 40, "congestion domains of the device")
    MAX_PF_CGDS = bits(55, 48, "congestion domains of the function")
    RDMA_QSETS = bits(79, 64, "queue sets of the protocol engine")


class AqSchedLayer(Word, width=256, ref=REF):
    """A level of the scheduler."""

    LOGICAL_LAYER = bits(7, 0, "level")
    CHUNK_SIZE = bits(15, 8, "nodes are given in such groups")
    MAX_DEVICE_NODES = bits(31, 16, "nodes of the device")
    MAX_PF_NODES = bits(47, 32, "nodes of the function")
    MAX_SIBL_GRP_SZ = bits(95, 80, "children of one parent")
    MAX_CIR_RL_PROFILES = bits(111, 96, "profiles of committed rates")
    MAX_EIR_RL_PROFILES = bits(127, 112, "profiles of excess rates")
    MAX_SRL_PROFILES = bits(143, 128, "profiles of shared rates")


class AqAddTxQueues(AqBuffer, width=128, ref=REF):
    """ADD_TXQS: the buffer holds AqTxQueueGroup, each with its AqTxQueue."""

    NUM_QGRPS = bits(7, 0, "groups")


class AqTxQueueGroup(Word, width=64, ref=REF):
    """Head of a group of transmit queues below one node of the scheduler."""

    PARENT_TEID = bits(31, 0, "parent")
    NUM_TXQS = bits(39, 32, "queues that follow")


class AqTxQueue(Word, width=384, ref=REF):
    """A transmit queue to be added: TxQueueContext's first 22 bytes, then AqSchedProperties."""

    TXQ_ID = bits(15, 0, "queue")
    Q_TEID = bits(63, 32, "node of the scheduler: given in the answer")
    TXQ_CTX_0 = bits(127, 64, "context, bits 63:0")
    TXQ_CTX_1 = bits(191, 128, "context, bits 127:64")
    TXQ_CTX_2 = bits(239, 192, "context, bits 175:128")
    INFO_LO = bits(319, 256, "properties, bits 63:0")
    INFO_HI = bits(383, 320, "properties, bits 127:64")


class DisableCommand(IntEnum):
    """Why transmit queues are disabled."""

    NO_FUNC_RESET = 0
    VM_RESET = 1
    VF_RESET = 2
    PF_RESET = 3


class AqDisableTxQueues(AqBuffer, width=128, ref=REF):
    """DIS_TXQS: the buffer holds AqTxQueueList."""

    CMD = bits(1, 0, "why", enum=DisableCommand)
    SUBSEQ_CALL = bit(2, "not the first call")
    FLUSH_PIPE = bit(3, "flush the pipe")
    NUM_ENTRIES = bits(15, 8, "lists in the buffer")
    VMVF_NUM = bits(25, 16, "VSI or virtual function that is reset")
    TIMEOUT = bits(31, 26, "timeout, in 100 µs")
    BLOCKED_CGDS = bits(63, 32, "congestion domains that are blocked")


class AqTxQueueList(Word, width=48, ref=REF):
    """Head of a list of transmit queues; NUM_QS 16-bit queue numbers follow."""

    PARENT_TEID = bits(31, 0, "parent")
    NUM_QS = bits(39, 32, "queues that follow, padded to a multiple of 4 bytes")


class AqMoveTxQueues(AqBuffer, width=128, ref=REF):
    """MOVE_RECFG_TXQS: the buffer holds source and destination node and AqMoveTxQueue."""

    CMD_TYPE = bits(1, 0, "1 move, 2 change the traffic class, 3 both")
    SUBSEQ_CALL = bit(2, "not the first call")
    FLUSH_PIPE = bit(3, "flush the pipe")
    NUM_QS = bits(15, 8, "queues")
    TIMEOUT = bits(31, 26, "timeout, in 100 µs")
    BLOCKED_CGDS = bits(63, 32, "congestion domains that are blocked")


class AqMoveTxQueue(Word, width=64, ref=REF):
    """A transmit queue to be moved."""

    TXQ_ID = bits(15, 0, "queue")
    Q_CGD = bits(23, 16, "congestion domain")
    Q_TEID = bits(63, 32, "node of the scheduler")


class AqRssKey(AqBuffer, width=128, ref=REF):
    """SET_RSS_KEY and GET_RSS_KEY: the buffer is 52 bytes of key."""

    VSI_ID = bits(9, 0, "VSI")
    VSI_VALID = bit(15, "VSI_ID counts")


class LutType(IntEnum):
    """Which look-up table."""

    VSI = 0
    PF = 1
    GLOBAL = 2


class LutSize(IntEnum):
    """How long it is."""

    SMALL = 0
    SIZE_512 = 1
    SIZE_2K = 2


class AqRssLut(AqBuffer, width=128, ref=REF):
    """SET_RSS_LUT and GET_RSS_LUT: the buffer has a byte for each entry."""

    VSI_ID = bits(9, 0, "VSI")
    VSI_VALID = bit(15, "VSI_ID counts")
    LUT_TYPE = bits(17, 16, "which table", enum=LutType)
    LUT_SIZE = bits(19, 18, "how long it is", enum=LutSize)
    GLOBAL_IDX = bits(23, 20, "which global one")


class AqClearFdTable(Word, width=128, ref=REF):
    """CLEAR_FD_TABLE: removes a VSI's or the function's flow director filters."""

    CLEAR_TYPE = bits(7, 0, "1 the VSI's, 2 the function's")
    VSI_INDEX = bits(31, 16, "VSI")
