"""What the tests of traffic ask of a guest, and of the model behind it."""

import json
import re
from typing import Any

from served_vdevs import Served, eventually

from siov.guests.qemu import Guest
from siov.spec.virtchnl import EthStats

QUEUES = range(4)
LONG = 180.0  # seconds for a script that needs a few on an idle machine


def iperf(client: Guest, *options: str, server: str = "10.0.0.2") -> dict[str, Any]:
    """One run of iperf3 from a guest to the server in `b`; what it reports."""
    return dict(json.loads(client.check(f"iperf3 -J -c {server} {' '.join(options)}", timeout=LONG)))


def ethtool_stats(guest: Guest) -> dict[str, int]:
    """`ethtool -S`, by name."""
    found = re.findall(r"^ +(\S+): (\d+)$", guest.check("ethtool -S eth0"), re.MULTILINE)
    return {name: int(value) for name, value in found}


def rx_packets(guest: Guest) -> list[int]:
    """What the driver has received at each queue."""
    stats = ethtool_stats(guest)
    return [stats[f"rx-{q}.packets"] for q in QUEUES]


def interrupts(guest: Guest) -> list[int]:
    """How often each queue's vector has fired, on all processors."""
    lines = guest.check("grep TxRx /proc/interrupts").splitlines()
    return [sum(int(word) for word in line.split()[1:] if word.isdigit()) for line in lines]


def grown(before: EthStats, after: EthStats) -> dict[str, int]:
    """What a VSI has counted in between."""
    return {name: getattr(after, name) - getattr(before, name) for name in EthStats.members}


def told(vdev: Served) -> dict[str, Any]:
    """What the driver has asked for by virtchnl."""
    messages: Any = vdev.device.messages
    return dict(messages.inspect())


def settled(client: Guest, address: str) -> None:
    """Wait until a guest reaches another, after either has changed what needs a reset."""
    assert eventually(lambda: client.run(f"ping -c 1 -W 1 {address}").status == 0)


def itrs(vdev: Served) -> list[tuple[int, int]]:
    """The receive and transmit timers of each queue's vector in the adapter, in us."""
    io = vdev.server.pf.hw.io
    with vdev.server.pf.lock:
        return [(2 * io.readl(v.itr(0)), 2 * io.readl(v.itr(1))) for v in vdev.vsi.vectors[1:]]
