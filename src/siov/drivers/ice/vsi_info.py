"""What each kind of VSI begins with (ice_set_dflt_vsi_ctx, ice_vsi_setup_q_map, ice_set_fd_vsi_ctx)."""

from __future__ import annotations

from siov.drivers.ice.vsi_props import VsiProps
from siov.spec.e810 import RssLut, VsiProperties
from siov.spec.e810.vsi import InnerVlanMode, RssHash, TxVlanMode
from siov.spec.word import Word

P = VsiProperties

IDENTITY = sum(n << 3 * n for n in range(8))  # each user priority is itself
MAX_SCATTERED = 16  # queues that Q_MAPPING can list


def set_defaults(props: VsiProps, flags: VsiProperties.SW_FLAGS) -> None:
    """Switch flags as the bridge mode has them; it may send out of the port, and tags are left alone."""
    props.put(
        flags,
        P.SW_FLAGS2.of(LAN_ENA=1),
        P.INNER_VLAN_FLAGS.of(TX_MODE=TxVlanMode.ALL, EMODE=InnerVlanMode.NOTHING),
        P.INGRESS_TABLE(IDENTITY),
        P.EGRESS_TABLE(IDENTITY),
    )


def set_spoofcheck(props: VsiProps) -> None:
    """Frames with a source address that is not the VSI's are dropped when sent."""
    props.put(P.SEC_FLAGS.of(ENA_MAC_ANTI_SPOOF=1))


def set_rss(props: VsiProps, lut: RssLut) -> None:
    """Which look-up table it uses; the hash is Toeplitz (ice_set_rss_vsi_ctx)."""
    props.put(P.Q_OPT_RSS.of(LUT=lut, HASH=RssHash.TPLZ))


def set_flow_director(props: VsiProps, guaranteed: int, shared: int, *, program: bool) -> None:
    """Filters apply to what it receives, so many at most; with `program` its descriptors may add some."""
    props.put(
        P.FD_OPTIONS.of(FD_ENABLE=1, FD_PROG_ENABLE=int(program)),
        P.MAX_FD_FLTR_DEDICATED.of(NUM=guaranteed),
        P.MAX_FD_FLTR_SHARED.of(NUM=shared),
    )


def map_queues(props: VsiProps, queues: list[int]) -> None:
    """Which receive queues of the device are the VSI's, all of them in traffic class 0.

    In a row if they are; otherwise at most 16 can be listed.
    """
    row = queues == list(range(queues[0], queues[0] + len(queues)))
    assert row or len(queues) <= MAX_SCATTERED, f"{len(queues)} receive queues are not in a row"
    power = max(0, len(queues) - 1).bit_length()
    props.put(P.MAPPING_FLAGS.of(Q_MAP_NONCONTIG=int(not row)), P.TC_MAPPING.of(Q_OFFSET=0, Q_NUM=power))
    listed = [queues[0], len(queues)] if row else queues
    for n in range(MAX_SCATTERED):
        _at(props, P.Q_MAPPING.of(Q=listed[n] if n < len(listed) else 0), n)


def _at(props: VsiProps, word: Word, index: int) -> None:
    """One of a row of words."""
    size = word.width // 8
    at = type(word).at + index * size
    props.data[at : at + size] = word.to_bytes()
