"""Stock guests whose tails are memory that the adapter polls."""

from collections.abc import Iterator

import pytest
from served_vdevs import Pair, boot, serve

from siov.guests.image import Rig


@pytest.fixture(scope="module")
def direct(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One guest whose doorbells are direct, and one whose are trapped."""
    with serve(tmp_path_factory.mktemp("direct")) as server:
        vdevs = server.vdev("ice-avf-1"), server.vdev("ice-avf-1")
        server.platform.sysfs.write(f"/sys/bus/mdev/devices/{vdevs[0].uuid}/doorbells", "direct")
        with boot(rig, vdevs, memory=256) as (a, b):
            yield Pair(server, a, b, *vdevs)


def test_a_guest_that_maps_its_tails_loses_nothing_also_when_its_link_was_down(direct: Pair) -> None:
    assert [vdev.inspect()["doorbells"] for vdev in (direct.vdev_a, direct.vdev_b)] == ["direct", "trapped"]
    for _ in range(2):
        assert " 0% packet loss" in direct.a.check("ping -c 20 -i 0.02 10.0.0.2", timeout=120)
        direct.a.check(
            "ip link set eth0 down; ip link set eth0 up;"
            " while [ $(cat /sys/class/net/eth0/carrier) != 1 ]; do usleep 100000; done",
            timeout=120,
        )
    assert " 0% packet loss" in direct.b.check("ping -c 20 -i 0.2 10.0.0.1", timeout=120)
    assert direct.server.pf.oicr.mdd == {}
    assert "unexpected" not in direct.a.check("dmesg").lower()


def test_the_timers_beside_the_tails_are_the_vectors(direct: Pair) -> None:
    vsi = direct.vdev_a.vsi
    direct.a.check("ethtool -C eth0 adaptive-rx off rx-usecs 100 adaptive-tx off tx-usecs 60")
    direct.a.check("ping -c 3 -i 0.2 10.0.0.2")
    page = vsi.pf.hw.io.base + vsi.vectors[1].page
    core = direct.server.platform.root_complex.core
    timers = [int.from_bytes(core.mmio_read(page + 4 + 4 * n, 4) or b"", "little") for n in (0, 1)]
    assert timers == [50, 30]  # in 2 µs
