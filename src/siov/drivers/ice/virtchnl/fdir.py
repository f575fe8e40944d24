"""Flow director filters of a VF (ice_virtchnl_fdir.c).

How a request ended stands in the echoed structure, and the message's status is SUCCESS; only a request for
another's VSI is refused as such, without data.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import ENOENT, ENOMEM, ENOSPC, ETIMEDOUT
from struct import Struct
from typing import TYPE_CHECKING

from siov.drivers.ice.fdir import FdirError, FdirFilter
from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.virtchnl.headers import headers_of
from siov.host.linux import LinuxError
from siov.spec.message import rows
from siov.spec.virtchnl import (
    ACTIONS_AT,
    MAX_ACTIONS,
    ActionType,
    FdirAdd,
    FdirDel,
    FdirStatus,
    FilterAction,
    FilterActionSet,
    Status,
)

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

FLOW_ID, STATUS = Struct("<I"), Struct("<i")
REGION_MAX = 7  # 128 queues
BY_ERRNO = {
    ENOSPC: FdirStatus.RULE_NORESOURCE,
    ENOMEM: FdirStatus.RULE_NORESOURCE,
    ETIMEDOUT: FdirStatus.RULE_TIMEOUT,
}


@dataclass(slots=True, frozen=True)
class VfFdir:
    """A filter of a VF: what it asked for, and the filter's number in the device."""

    wanted: FdirFilter
    number: int


def add_fdir_filter(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_FDIR_FILTER: the request echoed, with the filter's number among the VF's."""
    request = FdirAdd(data)
    if request.vsi_id != vf.vsi.num:
        return Status.ERR_PARAM
    flow_id = 0
    try:
        status, flow_id = _add(vf, request)
    except LinuxError as error:
        status = _status(error)
    echo = bytearray(data)
    FLOW_ID.pack_into(echo, FdirAdd.members["flow_id"].at, flow_id)
    STATUS.pack_into(echo, FdirAdd.members["status"].at, status)
    return bytes(echo)


def _add(vf: VirtchnlVf, request: FdirAdd) -> tuple[FdirStatus, int]:
    rule = request.rule_cfg
    pattern = Pattern.of(headers_of(rule.proto_hdrs))
    wanted = _actions(vf, pattern, rule.action_set)
    if wanted is None or not pattern.values:
        return FdirStatus.RULE_INVALID, 0
    key = pattern.key()
    if key in vf.fdir_keys:
        same = vf.fdir[vf.fdir_keys[key]].wanted == wanted
        return (FdirStatus.RULE_EXIST if same else FdirStatus.RULE_CONFLICT), 0
    if len(vf.fdir) >= vf.limits.fdir_filters:
        return FdirStatus.RULE_NORESOURCE, 0
    if request.validate_only:
        return FdirStatus.SUCCESS, 0
    number = vf.vsi.add_fdir(wanted)
    flow_id = next(n for n in range(len(vf.fdir) + 1) if n not in vf.fdir)
    vf.fdir[flow_id] = VfFdir(wanted, number)
    vf.fdir_keys[key] = flow_id
    return FdirStatus.SUCCESS, flow_id


def _status(error: LinuxError) -> FdirStatus:
    """What to call an error of the VSI's."""
    if isinstance(error, FdirError):
        return error.status
    return BY_ERRNO.get(error.errno, FdirStatus.RULE_INVALID)


def del_fdir_filter(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_FDIR_FILTER: the request echoed; a filter that hardware has lost is gone all the same."""
    request = FdirDel(data)
    if request.vsi_id != vf.vsi.num:
        return Status.ERR_PARAM
    return request.replace(status=_delete(vf, request.flow_id)).data


def _delete(vf: VirtchnlVf, flow_id: int) -> FdirStatus:
    found = vf.fdir.get(flow_id)
    if found is None:
        return FdirStatus.RULE_NONEXIST
    try:
        vf.vsi.del_fdir(found.number)
    except LinuxError as error:
        if error.errno != ENOENT:
            return _status(error)
    del vf.fdir[flow_id]
    del vf.fdir_keys[found.wanted.pattern.key()]
    return FdirStatus.SUCCESS


def _actions(vf: VirtchnlVf, pattern: Pattern, actions: FilterActionSet) -> FdirFilter | None:
    """Exactly one action that says where to, and at most one mark (ice_vc_fdir_parse_action)."""
    if not 1 <= actions.count <= MAX_ACTIONS:
        return None
    target: FdirFilter | None = None
    mark: int | None = None
    for action in rows(FilterAction, actions.data, ACTIONS_AT, actions.count):
        if action.type == ActionType.MARK:
            if mark is not None:
                return None
            mark = action.mark_id
            continue
        one = _target(vf, pattern, action)
        if one is None or target is not None:
            return None
        target = one
    if target is None:
        return None
    return FdirFilter(pattern, target.queue, target.region, target.drop, mark)


def _target(vf: VirtchnlVf, pattern: Pattern, action: FilterAction) -> FdirFilter | None:
    queue, region = action.queue_index, action.queue_region
    match action.type:
        case ActionType.DROP:
            return FdirFilter(pattern, drop=True)
        case ActionType.PASSTHRU:
            return FdirFilter(pattern)
        case ActionType.QUEUE if queue < vf.usable_pairs:
            return FdirFilter(pattern, queue)
        case ActionType.Q_REGION if 1 <= region <= REGION_MAX and queue + (1 << region) <= vf.usable_pairs:
            return FdirFilter(pattern, queue, region)
        case _:
            return None
