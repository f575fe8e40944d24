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


def facts(tenants: Tenants) -> list[dict[str, Any]]:
    """Each virtual device: where it is, its address, its resources; `speed` in Mb/s."""
    rows = []
    for tenant in tenants.all.values():
        ops = tenant.vdev.device.ops
        assert isinstance(ops, VdcmDevice)
        ims = sum(vector.ims for vector in ops.adi.vsi.vectors)
        rows.append(
            {
                "device": tenant.name,
                "uuid": tenant.uuid,
                "type": f"ice-{tenant.spec.type}",
                "adapter": tenant.spec.parent,
                "vsi": ops.adi.vf_id,
                "pasid": tenant.vdev.device.pasid,
                "address": tenant.driver.mac.hex(":"),
                "queues": tenant.driver.queue_pairs,
                "msix": len(ops.adi.vsi.vectors) - ims,
                "ims": ims,
                "link": tenant.driver.link_up,
                "speed": tenant.driver.link_speed,
            }
        )
    return rows


def devices(tenants: Tenants) -> str:
    """One line for each virtual device."""
    rows: list[tuple[str, ...]] = [
        ("device", "type", "adapter", "VSI", "PASID", "address", "queues", "vectors", "link")
    ]
    for row in facts(tenants):
        vectors = [f"{row[kind]} {name}" for kind, name in (("msix", "MSI-X"), ("ims", "IMS")) if row[kind]]
        link = f"{row['speed'] // 1000} Gb/s" if row["link"] else "down"
        cells = (row[key] for key in ("device", "type", "adapter", "vsi", "pasid", "address", "queues"))
        rows.append((*map(str, cells), ", ".join(vectors), link))
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
