"""The protocol headers of a VF's pattern (ice_vc_fdir_parse_pattern, ice_vc_parse_rss_cfg)."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP

from siov.drivers.ice.flow import Header
from siov.host.linux import LinuxError
from siov.spec.message import rows
from siov.spec.virtchnl import MAX_PROTO_HDRS, PROTO_HDRS_AT, ProtoHdr, ProtoHdrs


def headers_of(pattern: ProtoHdrs) -> tuple[Header, ...]:
    """The headers, from the outside in.

    EINVAL for none, too many or unknown ones; EOPNOTSUPP for the raw form, and for those inside a tunnel.
    """
    if pattern.count == 0 or pattern.tunnel_level:
        raise LinuxError(
            EOPNOTSUPP, "patterns in raw form or inside a tunnel are not known; name the headers"
        )
    if not 0 < pattern.count <= MAX_PROTO_HDRS:
        raise LinuxError(EINVAL, f"a pattern of {pattern.count} headers; it has 1 to {MAX_PROTO_HDRS}")
    return tuple(map(Header.of, rows(ProtoHdr, pattern.data, PROTO_HDRS_AT, pattern.count)))
