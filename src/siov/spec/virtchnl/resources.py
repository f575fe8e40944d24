"""What a VF has: version, resources, requests for other ones."""

from enum import IntEnum
from typing import Annotated

from siov.spec.message import Message, octets, u16, u32

MAX_VSIS: Annotated[int, "The most VSIs a VF's driver has room for in the reply to GET_VF_RESOURCES."] = 3
FRAME_OVERHEAD: Annotated[int, "Bytes of a frame beyond the MTU: Ethernet header, two tags, CRC."] = 26


class VsiKind(IntEnum):
    """The kind of a VSI in GET_VF_RESOURCES."""

    SRIOV = 6


class VersionInfo(Message, size=8, ref="virtchnl.h, virtchnl_version_info"):
    """VERSION, request and reply: the protocol's version that the sender speaks."""

    major = u32(0, "1")
    minor = u32(4, "0: no capabilities in GET_VF_RESOURCES; 1: as here")


class VsiResource(Message, size=16, ref="virtchnl.h, virtchnl_vsi_resource"):
    """One VSI of the VF, behind VfResource."""

    vsi_id = u16(0, "the VSI's number, as in all later messages")
    num_queue_pairs = u16(2, "queue pairs of the VSI")
    vsi_type = u32(4, "6: SR-IOV", VsiKind)
    qset_handle = u16(8, "scheduler node for RDMA")
    default_mac_addr = octets(10, 6, "MAC address; zero if the driver is to choose one")


class VfResource(Message, size=20, ref="virtchnl.h, virtchnl_vf_resource"):
    """GET_VF_RESOURCES, reply: what the VF has, followed by `num_vsis` of VsiResource."""

    num_vsis = u16(0, "VSIs that follow; 1")
    num_queue_pairs = u16(2, "queue pairs of the VF")
    max_vectors = u16(4, "interrupt vectors, that of the mailbox included")
    max_mtu = u16(6, "the largest frame, in bytes, despite the name; 0: not told")
    vf_cap_flags = u32(8, "granted capabilities (VfCaps)")
    rss_key_size = u32(12, "bytes of the RSS key")
    rss_lut_size = u32(16, "entries of the RSS table")


class VfResRequest(Message, size=2, ref="virtchnl.h, virtchnl_vf_res_request"):
    """REQUEST_QUEUES, request; and the reply to one that is refused."""

    num_queue_pairs = u16(0, "queue pairs wanted; in a refusal, those that can be had")
