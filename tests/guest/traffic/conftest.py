"""Two stock guests of four processors for all tests of this folder; each leaves them as it found them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import served_vdevs
from served_vdevs import Pair

from siov.guests.image import Rig

SOURCE = Path(__file__).parent.parent / "net_probe.c"


@pytest.fixture(scope="package")
def pair(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The guests, with an iperf3 server and an echo server in `b`, and VLANs in both kernels."""
    program = tmp_path_factory.mktemp("probe") / "net_probe"
    subprocess.run(["cc", "-static", "-O1", "-Wall", "-Werror", "-o", program, SOURCE], check=True)
    files = {"/bin/net_probe": program.read_bytes()}
    with served_vdevs.pair(rig, tmp_path_factory.mktemp("pair"), files=files, smp=4) as pair:
        for guest in (pair.a, pair.b):
            guest.check("modprobe 8021q; cd /proc/sys/net/core; echo 8388608 | tee rmem_max wmem_max")
        pair.b.check("iperf3 -s -D; net_probe echo 7 >/dev/null 2>&1 &")
        yield pair
