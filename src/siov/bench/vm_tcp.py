"""iperf3 and ping between two stock guests: our virtual devices beside the NICs that QEMU emulates."""

from __future__ import annotations

import sys

from siov.bench.vm_pair import KINDS, Pair, pair
from siov.guests.image import Rig

PINGS_A_SECOND = 5


def measure(repeats: int, seconds: int = 10) -> dict[str, list[float]]:
    """A value of each round, by key; for each kind of NIC, which have their turns in every round:

    `KIND_mbps`, the mean of `KIND_forward_mbps` and `KIND_reverse_mbps`, which are megabits of TCP payload a
    second from the first guest to the second and back, `seconds` each; `KIND_ping_ms`, the mean of pings for
    as long between the idle guests; `KIND_cpu_ns_per_byte`, processor time that both guests, and the server
    of our devices, take for a byte of TCP. `over_best` is ours by the fastest other one of the same round.

    A pair is booted for each, and nothing else runs while it is measured. The order goes round, so that what
    changes on the machine meanwhile is not always the same kind's.
    """
    rig = Rig.find()
    found: dict[str, list[float]] = {}
    kinds = list(KINDS)
    for n in range(repeats):
        turn = n % len(kinds)
        values: dict[str, float] = {}
        for kind in kinds[turn:] + kinds[:turn]:
            with pair(kind, rig) as guests:
                values |= _measure(guests, seconds)
            print(f"round {n + 1} of {repeats}: {kind} {values[f'{kind}_mbps']:.0f} Mbit/s", file=sys.stderr)
        others = [values[f"{kind}_mbps"] for kind in kinds if kind != "siov"]
        values["over_best"] = values["siov_mbps"] / max(others)
        for key, value in values.items():
            found.setdefault(key, []).append(value)
    return {key: found[key] for key in sorted(found, key=_by_kind)}


def _measure(guests: Pair, seconds: int) -> dict[str, float]:
    ping = guests.ping_ms(PINGS_A_SECOND * seconds)
    before = guests.cpu_seconds()
    forward, reverse = guests.mbps(0, seconds), guests.mbps(1, seconds)
    used = guests.cpu_seconds() - before
    payload = (forward + reverse) * 1e6 / 8 * seconds  # bytes
    return {
        f"{guests.kind}_mbps": (forward + reverse) / 2,
        f"{guests.kind}_forward_mbps": forward,
        f"{guests.kind}_reverse_mbps": reverse,
        f"{guests.kind}_cpu_ns_per_byte": used * 1e9 / payload,
        f"{guests.kind}_ping_ms": ping,
    }


def _by_kind(key: str) -> tuple[int, str]:
    kinds = list(KINDS)
    kind = key.partition("_")[0]
    return (kinds.index(kind) if kind in kinds else len(kinds), key)
