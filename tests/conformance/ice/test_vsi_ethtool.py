"""ethtool on a virtual device's VSI: what its guest has set, and what passes through it."""

from errno import EOPNOTSUPP

import pytest

from conformance.e810.frames import plain, udp_frame
from siov.drivers.ice.ethtool import run
from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.reset import ice_reset
from siov.drivers.ice.vsi_ethtool import VsiEthtool
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, PacketGroup

from .adi import Adi
from .server import FAR


@pytest.fixture
def adi(server, pf) -> Adi:
    return Adi.make(server, pf, 1)


@pytest.fixture
def eth(adi) -> VsiEthtool:
    return VsiEthtool(adi.vsi, "vdev0")


def ethtool(eth, line) -> str:
    return run(eth, line.split())


def refused(eth, line) -> int:
    with pytest.raises(LinuxError) as caught:
        ethtool(eth, line)
    return caught.value.errno


def test_i_names_the_guests_driver(eth, pf):
    assert ethtool(eth, "-i").startswith("driver: iavf\n")
    assert f"bus-info: {pf.dev.name}\n" in ethtool(eth, "-i")


def test_g_tells_the_rings_that_the_guest_has_laid_and_leaves_them_to_it(server, pf, eth):
    assert "RX:\t\t4096\n" in ethtool(eth, "-g")
    assert ethtool(eth, "-g").count("RX:\t\t64\n") == ethtool(eth, "-g").count("TX:\t\t64\n") == 1
    assert refused(eth, "-G rx 128") == EOPNOTSUPP
    bare = Adi.make(server, pf, 2, up=False)
    assert "RX:\t\t0\n" in ethtool(VsiEthtool(bare.vsi, "vdev1"), "-g")


def test_s_counts_what_the_guest_sends_and_receives(wire, server, adi, eth):
    adi.send(plain(FAR, adi.mac, 100))
    wire.send(server, plain(adi.mac, FAR), plain(adi.mac, FAR))
    shown = ethtool(eth, "-S")
    assert "     tx_bytes: 100\n     tx_unicast: 1\n" in shown
    assert "     rx_unicast: 2\n" in shown


@pytest.mark.parametrize("prefer", ["msix", "ims"])
def test_c_reads_what_the_guest_has_written_to_its_vectors_page(prefer):
    from .server import Server

    server = Server(ims=64)
    adi = Adi.make(server, server.load(), 1, prefer=prefer)
    eth = VsiEthtool(adi.vsi, "vdev0")
    vector = adi.vsi.vectors[1]
    server.rc.write(adi.vsi.pf.hw.io.base + vector.page + 4, (31).to_bytes(4, "little"))
    server.rc.write(adi.vsi.pf.hw.io.base + vector.page + 8, (20).to_bytes(4, "little"))
    assert "\nrx-usecs: 62\n" in ethtool(eth, "-c")
    assert "\ntx-usecs: 40\n" in ethtool(eth, "-c")
    vector.set_rate(20)
    assert "\nrx-usecs-high: 20\n" in ethtool(eth, "-c")
    assert refused(eth, "-C rx-usecs 10") == EOPNOTSUPP


def test_a_rule_of_the_host_steers_beside_a_filter_of_the_guest_and_outlives_a_reset(
    wire, server, pf, adi, eth
):
    pattern = Pattern(PacketGroup.IPV4_UDP, {HeaderField.UDP_DST_PORT: 80})
    assert adi.vsi.add_fdir(FdirFilter(pattern, queue=2)) == 0
    assert ethtool(eth, "-N flow-type udp4 dst-port 81 action 3") == "Added rule with ID 16383\n"
    frames = {port: udp_frame(dst=adi.mac, src=FAR, dport=port) for port in (80, 81)}
    wire.send(server, *frames.values())
    assert (adi.frames(2), adi.frames(3)) == ([frames[80]], [frames[81]])
    ice_reset(pf, "PFR")
    adi.rx.clear()
    adi.tx.clear()
    adi.up()
    wire.send(server, *frames.values())
    assert (adi.frames(2), adi.frames(3)) == ([frames[80]], [frames[81]])
    assert "Total 1 rules" in ethtool(eth, "-n")
