"""What the driver sets up besides queues: vectors, RSS, VLANs (iavf_virtchnl.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from siov.drivers.iavf import messages
from siov.spec.virtchnl import QUEUES_IN_BITMAP, RSS_KEY_SIZE, RSS_LUT_SIZE, Op

if TYPE_CHECKING:
    from siov.drivers.iavf.driver import Iavf

_QUEUES_A_MESSAGE = 62  # as many as a message of 4,096 bytes has room for


def map_vectors(driver: Iavf, vectors: int) -> None:
    """Spread the queue pairs over vectors 1 to `vectors`."""
    vsi = driver.vsi.vsi_id
    pairs = [(q, 1 + q % vectors) for q in range(driver.queue_pairs)]
    if driver.queue_pairs <= QUEUES_IN_BITMAP:
        driver.request(Op.CONFIG_IRQ_MAP, messages.irq_map(vsi, pairs))
        return
    for at in range(0, len(pairs), _QUEUES_A_MESSAGE):
        part = pairs[at : at + _QUEUES_A_MESSAGE]
        driver.request(Op.MAP_QUEUE_VECTOR, messages.queue_vectors(vsi, part))


def configure_rss(driver: Iavf) -> None:
    """The configured key, and a table that spreads evenly; nothing where the PF does not offer it."""
    if not driver.caps.RSS_PF:
        return
    vsi, resources = driver.vsi.vsi_id, driver.resources
    size = resources.rss_key_size or RSS_KEY_SIZE
    entries = resources.rss_lut_size or RSS_LUT_SIZE
    key = driver.config.rss_key.ljust(size, b"\0")[:size]
    lut = bytes(n % driver.queue_pairs for n in range(entries))
    driver.request(Op.CONFIG_RSS_KEY, messages.rss_key(vsi, key))
    driver.request(Op.CONFIG_RSS_LUT, messages.rss_lut(vsi, lut))


def configure_vlan(driver: Iavf) -> None:
    """Stripping and insertion as configured, in the form of messages that was agreed on."""
    config, caps = driver.config, driver.vlan_caps
    if caps is None:
        if driver.caps.VLAN:
            driver.request(Op.ENABLE_VLAN_STRIPPING if config.vlan_strip else Op.DISABLE_VLAN_STRIPPING)
        return
    strip = Op.ENABLE_VLAN_STRIPPING_V2 if config.vlan_strip else Op.DISABLE_VLAN_STRIPPING_V2
    insert = Op.ENABLE_VLAN_INSERTION_V2 if config.vlan_insert else Op.DISABLE_VLAN_INSERTION_V2
    for op, supported in ((strip, caps.stripping_support), (insert, caps.insertion_support)):
        setting = messages.vlan_setting(driver.vsi.vsi_id, supported)
        if setting is not None:
            driver.request(op, setting)


def add_vlans(driver: Iavf, ids: Sequence[int]) -> None:
    """Receive the frames of VLANs; nothing where the PF does not filter by them."""
    vsi, caps = driver.vsi.vsi_id, driver.vlan_caps
    if caps is not None:
        outer = bool(caps.filtering_support.outer)
        driver.request(Op.ADD_VLAN_V2, messages.vlans_v2(Op.ADD_VLAN_V2, vsi, ids, outer=outer))
    elif driver.caps.VLAN:
        driver.request(Op.ADD_VLAN, messages.vlans(Op.ADD_VLAN, vsi, ids))
