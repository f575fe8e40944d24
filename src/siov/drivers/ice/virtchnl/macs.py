"""MAC addresses and promiscuous mode (ice_vc_handle_mac_addr_msg, ice_vc_cfg_promiscuous_mode_msg)."""

from __future__ import annotations

from errno import EEXIST, ENOENT
from typing import TYPE_CHECKING

from siov.host.linux import LinuxError
from siov.spec.message import rows
from siov.spec.virtchnl import EtherAddr, EtherAddrList, EtherAddrType, PromiscFlags, PromiscInfo, Status

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

BROADCAST = b"\xff" * 6
NONE = bytes(6)


def is_multicast(mac: bytes) -> bool:
    """Whether the address is that of a group, broadcast among them."""
    return bool(mac[0] & 1)


def add_eth_addr(vf: VirtchnlVf, data: bytes) -> Reply:
    """ADD_ETH_ADDR: none is added when there is no room for all; what the VF has already takes none."""
    wanted = _addresses(vf, data)
    if wanted is None:
        return Status.ERR_PARAM
    new = {one.addr for one in wanted} - vf.macs
    if len(vf.macs) + len(new) > vf.limits.most_macs:
        return Status.ERR_PARAM
    for one in wanted:
        mac = one.addr
        if mac not in vf.macs:
            add_mac(vf, mac)
        kind = one.type & 3
        if not is_multicast(mac) and (
            kind == EtherAddrType.PRIMARY or (kind == EtherAddrType.LEGACY and vf.mac == NONE)
        ):
            vf.mac = mac
    return Status.SUCCESS


def del_eth_addr(vf: VirtchnlVf, data: bytes) -> Reply:
    """DEL_ETH_ADDR: the VF's own address stays known, for the driver that comes after this one."""
    wanted = _addresses(vf, data)
    if wanted is None:
        return Status.ERR_PARAM
    for one in wanted:
        if one.addr not in vf.macs:
            return Status.ERR_PARAM
        try:
            vf.vsi.del_mac(one.addr)
        except LinuxError as error:
            if error.errno != ENOENT:
                raise
        vf.macs.discard(one.addr)
    return Status.SUCCESS


def add_mac(vf: VirtchnlVf, mac: bytes) -> None:
    """Receive frames to an address; it may be there already."""
    try:
        vf.vsi.add_mac(mac)
    except LinuxError as error:
        if error.errno != EEXIST:
            raise
    vf.macs.add(mac)


def _addresses(vf: VirtchnlVf, data: bytes) -> list[EtherAddr] | None:
    """What a request names, without broadcast and zero, which are passed over."""
    head = EtherAddrList.read(data)
    if head.vsi_id != vf.vsi.num:
        return None
    found = rows(EtherAddr, data, EtherAddrList.size, head.num_elements)
    return [one for one in found if one.addr not in (BROADCAST, NONE)]


def config_promiscuous_mode(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_PROMISCUOUS_MODE: one that is not trusted is told, as by ice, that it worked."""
    info = PromiscInfo(data)
    if info.vsi_id != vf.vsi.num:
        return Status.ERR_PARAM
    flags = PromiscFlags(info.flags)
    if vf.limits.trusted:
        vf.vsi.set_promisc(bool(flags.UNICAST), bool(flags.MULTICAST))
    elif flags.UNICAST or flags.MULTICAST:
        vf.counts["not_trusted"] += 1
    return Status.SUCCESS
