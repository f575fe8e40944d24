"""Guests with an IOMMU of their own, whose maps come and go by the hundred."""

from collections.abc import Iterator

import pytest
from served_vdevs import UP, Served, Server, boot, eventually, serve
from vdev_life import PING, bugs, check_held, goes_on, held, iperf_end, iperf_server, iperf_start, is_open

from siov.guests.image import Rig
from siov.guests.qemu import Guest

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("viommu")) as server:
        yield server
        assert bugs(server) == {}


def commands(vdev: Served, name: str) -> int:
    """How many commands of that name its client has sent."""
    count = vdev.inspect()["counters"]["commands"][name]
    assert isinstance(count, int)
    return count


def churn(a: Guest, vdevs: list[Served]) -> None:
    """Traffic, for which the sender's driver maps every frame anew; what is unmapped is gone."""
    maps, unmaps = commands(vdevs[0], "DMA_MAP"), commands(vdevs[0], "DMA_UNMAP")
    iperf_start(a, "10.0.0.2", 5)
    assert goes_on(vdevs[1])
    iperf_end(a)
    assert commands(vdevs[0], "DMA_MAP") - maps > 300
    assert commands(vdevs[0], "DMA_UNMAP") - unmaps > 300


def test_hundreds_of_maps_come_and_go_with_traffic_and_resets_and_all_are_gone_at_the_end(
    rig: Rig, server: Server
) -> None:
    vdevs = [server.vdev(), server.vdev()]
    before = held(server)
    with boot(rig, vdevs, viommu=True, reboot=True) as (a, b):
        iperf_server(b, 5201)
        churn(a, vdevs)
        for again in (a.reset, a.reboot):
            again(240)
            a.check(UP.format(n=1), timeout=240)
            a.check(PING.format("10.0.0.2"), timeout=90)
        churn(a, vdevs)
        for vdev in vdevs:
            state = vdev.inspect()
            # A reset machine's IOMMU has QEMU unmap all addresses, also where nothing is: the errors.
            assert (state["refused"], state["lost_files"]) == (0, 0)
            assert len(state["maps"]) < 5000
        b.shutdown(60)  # the one in order, the other at once
    assert eventually(lambda: not any(map(is_open, vdevs)), 60)
    check_held(server, before)
