"""Tables of guests: their virtual devices, and what these sent and received."""

from collections.abc import Mapping
from typing import Any

from siov.cli.control import columns
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.tenants import Tenants

# What a receiver found that it should not have, and how it is called here.
WRONG = {
    "lost": "lost",
    "duplicated": "twice",
    "reordered": "out of order",
    "corrupt": "corrupt",
    "wrong_tag": "with a wrong VLAN",
    "wrong_status": "with a wrong status",
}


def devices(tenants: Tenants) -> str:
    """One line for each virtual device: where it is, its address, its resources."""
    rows = [("device", "type", "adapter", "VSI", "PASID", "address", "queues", "vectors", "link")]
    for tenant in tenants.all.values():
        ops = tenant.vdev.device.ops
        assert isinstance(ops, VdcmDevice)
        ims = sum(vector.ims for vector in ops.adi.vsi.vectors)
        msix = len(ops.adi.vsi.vectors) - ims
        rows.append(
            (
                tenant.name,
                f"ice-{tenant.spec.type}",
                tenant.spec.parent,
                str(ops.adi.vf_id),
                str(tenant.vdev.device.pasid),
                tenant.driver.mac.hex(":"),
                str(tenant.driver.queue_pairs),
                f"{msix} MSI-X" + (f", {ims} IMS" if ims else ""),
                f"{tenant.driver.link_speed // 1000} Gb/s" if tenant.driver.link_up else "down",
            )
        )
    return columns(rows)


def traffic(tenants: Tenants, results: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each virtual device that sent or received: how much, and whether all of it was right."""
    rows = [("device", "sent", "received", "bytes", "answer p50", "verdict")]
    for name, result in results.items():
        sent = sum(sender["frames"] for sender in result["senders"])
        checked = result["checked"]
        if not sent and not checked["frames"]:
            continue
        wrong = [f"{checked[key]:,} {what}" for key, what in WRONG.items() if checked[key]]
        latency = [p50 for sender in result["senders"] if (p50 := sender["latency"]["p50"])]
        rows.append(
            (
                name,
                f"{sent:,}",
                f"{checked['frames']:,}",
                f"{checked['bytes']:,}",
                f"{latency[0] / 1000:.0f} µs" if latency else "",
                ", ".join(wrong) or ("every byte as sent, in order" if checked["frames"] else ""),
            )
        )
    return columns(rows)
