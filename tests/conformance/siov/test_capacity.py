"""One adapter full to the brim: 512 virtual devices of five vectors each, and what is refused after them."""

from __future__ import annotations

import errno

import pytest

from siov.host.linux import LinuxError
from siov.spec.e810 import RX_QUEUES, VECTORS, VSIS

from .server import GuestServer, guest

FULL = RX_QUEUES // 4  # devices of type vdcm: four queue pairs, five vectors
MISC = 1  # vector of the function's other causes, and a VSI of the function's own
STRADDLING = (VECTORS - MISC) // 5  # the device that gets the last of the MSI-X vectors and the first slots
ROOM = {"ims": 1024}
CPUS = {"cpus": 32}


def create(server: GuestServer, kind: str, count: int) -> list[str]:
    """So many instances that nobody opens; their UUIDs."""
    return [server.platform.mdev.create(f"ice-{kind}").uuid for _ in range(count)]


def available(server: GuestServer, kind: str) -> int:
    [info] = [one for one in server.platform.mdev.types() if one.id == f"ice-{kind}"]
    return info.available_instances


def refused(server: GuestServer, kind: str, *reasons: str) -> None:
    """The next one is refused with the reason and what is left, and takes nothing."""
    before = server.pf.irqs.inspect(), len(server.pf.vsis), len(server.pf.avail_rxq.free)
    with pytest.raises(LinuxError) as caught:
        server.platform.mdev.create(f"ice-{kind}")
    assert caught.value.errno == errno.ENOSPC
    for reason in reasons:
        assert reason in str(caught.value)
    assert available(server, kind) == 0
    assert (server.pf.irqs.inspect(), len(server.pf.vsis), len(server.pf.avail_rxq.free)) == before


def exchange(server: GuestServer, src: str, dst: str) -> None:
    """Requests and answers: both sides are interrupted, and nothing is lost."""
    before = {name: server.tenants.results()[name]["rings"]["interrupts"] for name in (src, dst)}
    load = server.send(src, dst, kind="request", count=50, depth=4, flows=8)
    server.until(lambda: server.sender(src, load)["done"])
    assert server.sender(src, load)["answered"] == 50
    for name in (src, dst):
        assert server.tenants.results()[name]["rings"]["interrupts"] > before[name], name


def test_512_devices_of_five_vectors_use_msix_then_ims_and_work():
    server = GuestServer(guest("first", "vdcm", "vdcm"), nic=ROOM, machine=CPUS, memory="256M")
    create(server, "vdcm", STRADDLING - 2)
    middle = server.add("middle", "vdcm")
    create(server, "vdcm", FULL - STRADDLING - 3)
    last = server.add("last", "vdcm", "avf")
    assert len(server.platform.mdev.list()) == FULL

    kinds = {
        tenant.name: [vector.ims for vector in server.device(tenant).adi.vsi.vectors]
        for tenant in server.tenants.all.values()
    }
    assert kinds["first.0"] == kinds["first.1"] == [False] * 5
    assert kinds["middle.0"] == sorted(kinds["middle.0"])
    assert set(kinds["middle.0"]) == {False, True}
    assert kinds["last.0"] == kinds["last.1"] == [True] * 5
    assert server.pf.irqs.inspect() == {
        "msix": {"used": VECTORS, "left": 0},
        "ims": {"used": 5 * FULL + MISC - VECTORS, "left": 1024 - (5 * FULL + MISC - VECTORS)},
    }

    exchange(server, "first.0", "first.1")
    exchange(server, "first.0", "last.0")
    exchange(server, "last.1", "middle.0")
    exchange(server, "last.0", "last.1")
    # The mailbox's interrupt came too: drivers wait for replies with it.
    for tenant in (middle, last):
        tenant.driver.stats()

    refused(server, "vdcm", "0 receive queues are free")
    refused(server, "avf-1", "0 receive queues are free")
    gone, *_ = (one.uuid for one in server.platform.mdev.list() if not one.open)
    server.platform.mdev.remove(gone)
    assert available(server, "vdcm") == 1
    create(server, "vdcm", 1)
    refused(server, "vdcm", "0 receive queues are free")
    exchange(server, "last.0", "first.1")
    server.close()
    assert not server.platform.mdev.list()


def test_the_769th_vsi_is_refused():
    """The function has one of its own, so 767 devices are to be had, each of one queue pair."""
    server = GuestServer(nic=ROOM, machine=CPUS)
    made = create(server, "vdcm-1", VSIS - MISC - len(server.tenants.all))
    assert len(server.pf.vsis) == VSIS
    refused(server, "vdcm-1", "0 VSIs are free")
    server.platform.mdev.remove(made[100])
    create(server, "avf-1", 1)
    refused(server, "avf-1", "0 VSIs are free")
    server.close()


def test_the_2049th_vector_of_the_msix_table_is_refused_where_slots_are_not_wanted():
    server = GuestServer(nic=ROOM, machine=CPUS, ice={"vectors": "msix"})  # and the peer has two
    made = create(server, "vdcm", STRADDLING)
    assert server.pf.irqs.msix_free == 0
    refused(server, "vdcm-1", "0 interrupt vectors are free")
    server.platform.mdev.remove(made[7])
    assert server.pf.irqs.msix_free == 5
    create(server, "vdcm-1", 2)
    assert server.pf.irqs.msix_free == 1
    refused(server, "vdcm-1", "1 interrupt vectors are free")
    assert server.pf.irqs.ims_free == 1024, "no slot was taken instead"
    server.close()
