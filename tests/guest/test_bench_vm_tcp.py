"""`siov bench vm-tcp` with real guests, as short as it can be."""

import pytest

from siov.bench.vm_pair import KINDS
from siov.bench.vm_tcp import measure


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("rig")
def test_all_kinds_of_nics_carry_tcp_and_ping_between_two_guests() -> None:
    found = measure(1, seconds=1)
    for kind in KINDS:
        for what in ("forward_mbps", "reverse_mbps", "ping_ms", "cpu_ns_per_byte"):
            (value,) = found[f"{kind}_{what}"]
            assert value > 0, (kind, what)
