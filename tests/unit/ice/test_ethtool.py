"""ethtool's options, words and output; what it sets is what the adapter does."""

from errno import EINVAL, ENOENT, ENOSPC, EOPNOTSUPP

import pytest

from conformance.e810.frames import TOEPLITZ_KEY, A, B, plain, tcp_frame, udp_frame
from siov.drivers.ice.ethtool import DrvInfo, QueueStats, RingParam, pf_stats, run, vf_stats
from siov.drivers.ice.ethtool_coalesce import Coalesce, CoalesceParams
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.drivers.ice.stats import PortStats, VsiStats
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode

from .test_fdir import make, member, queue

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


class Vector:
    """A vector by its registers."""

    def __init__(self, hw, index):
        self.hw, self.index = hw, index

    def set_itr(self, timer, microseconds):
        self.hw.wr("GLINT_ITR", microseconds // 2, timer * 2048 + self.index)

    def set_rate(self, microseconds):
        self.hw.wr("GLINT_RATE", microseconds // 4 | (0x40 if microseconds else 0), self.index)


class Interface:
    """An interface of four queues."""

    name = "eth0"
    rx_rings = 4
    ntuple = None

    def __init__(self, rig, most=8160):
        self.rings = RingParam(2048, 256, most)
        self.changes = 0
        self.coalesce = Coalesce(lambda: [Vector(rig.hw, 1), Vector(rig.hw, 2)])
        self.stats = {"rx_unicast": 12, "tx_bytes.nic": 345}

    def get_drvinfo(self):
        return DrvInfo("ice", "6.12.107", "4.20 0x80017784 1.3346.0", "0000:17:00.0", test=True)

    def get_ringparam(self):
        return self.rings

    def set_ringparam(self, rx, tx):
        self.changes += 1
        self.rings = RingParam(rx, tx, self.rings.most)

    def get_stats(self):
        return self.stats


@pytest.fixture
def eth(rig):
    return Interface(rig)


@pytest.fixture
def steering(rig, eth):
    """An interface whose VSI may have flow rules, and that VSI."""
    fdir = make(rig)
    vsi = member(rig, fdir, 2)
    eth.ntuple = Ntuple(fdir, vsi.number)
    return eth, vsi


def errno_of(call, *args) -> int:
    with pytest.raises(LinuxError) as caught:
        call(*args)
    return caught.value.errno


def ethtool(eth, line):
    return run(eth, line.split())


# -i, -g, -G, -S: the layout is that of ethtool 6.1.


def test_i_tells_driver_and_device(eth):
    assert ethtool(eth, "-i") == (
        "driver: ice\nversion: 6.12.107\nfirmware-version: 4.20 0x80017784 1.3346.0\n"
        "expansion-rom-version: \nbus-info: 0000:17:00.0\nsupports-statistics: yes\nsupports-test: yes\n"
        "supports-eeprom-access: no\nsupports-register-dump: no\nsupports-priv-flags: no\n"
    )


def test_g_tells_sizes_of_rings(eth):
    assert ethtool(eth, "-g") == (
        "Ring parameters for eth0:\nPre-set maximums:\n"
        "RX:\t\t8160\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t8160\n"
        "Current hardware settings:\nRX:\t\t2048\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\t256\n"
        "RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n"
    )


@pytest.mark.parametrize(
    ("line", "rx", "tx"),
    [("rx 1024", 1024, 256), ("rx 64 tx 8160", 64, 8160), ("tx 65", 2048, 96), ("rx 4095 tx 100", 4096, 128)],
)
def test_g_sets_sizes_in_steps_of_32(eth, line, rx, tx):
    assert ethtool(eth, f"-G {line}") == ""
    assert (eth.rings.rx, eth.rings.tx) == (rx, tx)


def test_g_changes_nothing_when_nothing_is_different(eth):
    ethtool(eth, "-G rx 2048 tx 256")
    assert eth.changes == 0


@pytest.mark.parametrize(
    ("line", "errno"),
    [
        ("rx 63", EINVAL), ("rx 8161", EINVAL), ("rx 0", EINVAL), ("tx -64", EINVAL), ("tx many", EINVAL),
        ("rx", EINVAL), ("", EINVAL), ("combined 4", EINVAL), ("rx-jumbo 64", EOPNOTSUPP),
        ("cqe-size 64", EOPNOTSUPP),
    ],
)  # fmt: skip
def test_g_refuses_other_sizes(eth, line, errno):
    assert errno_of(ethtool, eth, f"-G {line}") == errno
    assert eth.changes == 0


def test_a_vfs_rings_have_at_most_4096_descriptors(rig):
    eth = Interface(rig, most=4096)
    assert errno_of(ethtool, eth, "-G rx 4128") == EINVAL
    ethtool(eth, "-G rx 4096")
    assert "RX:\t\t4096\n" in ethtool(eth, "-g")


def test_s_tells_counters_by_name(eth):
    assert ethtool(eth, "-S") == "NIC statistics:\n     rx_unicast: 12\n     tx_bytes.nic: 345\n"


@pytest.mark.parametrize("line", ["", "-x", "-K tso off", "eth0"])
def test_another_option_is_einval(eth, line):
    assert errno_of(ethtool, eth, line) == EINVAL


# Names of counters.


def test_a_functions_counters_have_ices_names_and_hardwares_values(rig):
    one, _ = rig.vsi(1, rule=True), rig.vsi(2, rule=True)
    vsi, port = VsiStats(rig.hw, one.number), PortStats(rig.hw)
    one.tx[0].send(plain(FAR, A), plain(B, A))
    rig.send(plain(A, FAR, 300))
    found = pf_stats(vsi.read(), port.read(), tx=[QueueStats(2, 120)], rx=[QueueStats(1, 300)])
    assert {name: value for name, value in found.items() if value} == {
        "tx_unicast": 2, "tx_bytes": 120, "rx_unicast": 1, "rx_bytes": found["rx_bytes"],
        "tx_queue_0_packets": 2, "tx_queue_0_bytes": 120, "rx_queue_0_packets": 1, "rx_queue_0_bytes": 300,
        "tx_unicast.nic": 1, "tx_bytes.nic": 64, "tx_size_64.nic": 1,
        "rx_unicast.nic": 1, "rx_bytes.nic": 304, "rx_size_511.nic": 1,
    }  # fmt: skip
    names = list(found)
    assert names[:4] == ["rx_unicast", "tx_unicast", "rx_multicast", "tx_multicast"]
    assert names[16:18] == ["tx_queue_0_packets", "tx_queue_0_bytes"]
    assert names[20] == "rx_bytes.nic"
    assert names[-2:] == ["fdir_sb_match.nic", "fdir_sb_status.nic"]


def test_a_vfs_counters_have_iavfs_names(rig):
    one = rig.vsi(1, rule=True)
    stats = VsiStats(rig.hw, one.number)
    one.tx[0].send(plain(FAR, A))
    found = vf_stats(stats.read(), tx=[QueueStats(1, 60)], rx=[QueueStats()])
    assert list(found) == [
        "rx_bytes", "rx_unicast", "rx_multicast", "rx_broadcast", "rx_discards", "rx_unknown_protocol",
        "tx_bytes", "tx_unicast", "tx_multicast", "tx_broadcast", "tx_discards", "tx_errors",
        "tx-0.packets", "tx-0.bytes", "rx-0.packets", "rx-0.bytes",
    ]  # fmt: skip
    assert (found["tx_unicast"], found["tx_bytes"], found["tx-0.packets"]) == (1, 60, 1)


# -c, -C.


def test_c_tells_moderation(eth):
    assert ethtool(eth, "-c") == (
        "Coalesce parameters for eth0:\nAdaptive RX: off  TX: off\n"
        "stats-block-usecs: n/a\nsample-interval: n/a\npkt-rate-low: n/a\npkt-rate-high: n/a\n\n"
        "rx-usecs: 50\nrx-frames: n/a\nrx-usecs-irq: n/a\nrx-frames-irq: n/a\n\n"
        "tx-usecs: 50\ntx-frames: n/a\ntx-usecs-irq: n/a\ntx-frames-irq: n/a\n\n"
        "rx-usecs-low: n/a\nrx-frame-low: n/a\ntx-usecs-low: n/a\ntx-frame-low: n/a\n\n"
        "rx-usecs-high: 0\nrx-frame-high: n/a\ntx-usecs-high: n/a\ntx-frame-high: n/a\n\n"
        "CQE mode RX: n/a  TX: n/a\n\n"
    )


def registers(rig, vector):
    """(receive, transmit, rate) of a vector."""
    rx, tx = (rig.hw.rd("GLINT_ITR", timer * 2048 + vector) for timer in (0, 1))
    return rx, tx, rig.hw.rd("GLINT_RATE", vector)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rx-usecs 100", (50, 25, 0)),
        ("rx-usecs 0 tx-usecs 8160", (0, 4080, 0)),
        ("rx-usecs 7 tx-usecs 9", (3, 4, 0)),
        ("rx-usecs-high 236", (25, 25, 0x40 | 59)),
        ("rx-usecs-high 23", (25, 25, 0x40 | 5)),
        ("adaptive-rx off rx-usecs 2", (1, 25, 0)),
    ],
)
def test_c_sets_every_vector_in_its_units(rig, eth, line, expected):
    ethtool(eth, f"-C {line}")
    assert registers(rig, 1) == registers(rig, 2) == expected
    assert registers(rig, 3) == (0, 0, 0)


def test_what_is_rounded_is_told(eth):
    assert eth.coalesce.set({"rx-usecs": "7"}) == [
        "User set rx-usecs to 7, device only supports even values. "
        "Rounding down and attempting to set rx-usecs to 6"
    ]
    assert eth.coalesce.set({"tx-usecs": "6"}) == []


@pytest.mark.parametrize(
    ("line", "errno"),
    [
        ("rx-usecs 8161", EINVAL), ("tx-usecs -1", EINVAL), ("rx-usecs-high 237", EINVAL),
        ("rx-usecs-high 3", EINVAL),
        ("rx-usecs some", EINVAL), ("usecs 4", EINVAL), ("adaptive-rx maybe", EINVAL),
        ("rx-frames 4", EOPNOTSUPP), ("tx-usecs-high 4", EOPNOTSUPP), ("adaptive-tx on", EOPNOTSUPP),
        ("rx-usecs 10 tx-frames 4", EOPNOTSUPP),
    ],
)  # fmt: skip
def test_c_refuses_what_is_out_of_range_or_not_to_be_had_and_sets_nothing(rig, eth, line, errno):
    assert errno_of(ethtool, eth, f"-C {line}") == errno
    assert eth.coalesce.params == CoalesceParams()
    assert registers(rig, 1) == (0, 0, 0)


def test_moderation_can_be_written_again_after_a_reset(rig, eth):
    ethtool(eth, "-C rx-usecs 100 rx-usecs-high 20")
    rig.nic.core_reset()
    assert registers(rig, 1) != (50, 25, 0x45)
    eth.coalesce.apply()
    assert registers(rig, 1) == (50, 25, 0x45)


def test_a_guests_vectors_are_not_the_hosts_to_moderate(eth):
    eth.coalesce = Coalesce(None)
    assert errno_of(ethtool, eth, "-C rx-usecs 10") == EOPNOTSUPP
    eth.coalesce.apply()


# -n, -N.


UDP = "flow-type udp4 src-ip 10.0.0.1 dst-ip 10.0.0.2 src-port 7000 dst-port 80"
WANTED = udp_frame(src=FAR, sport=7000, dport=80)


def test_a_rule_steers_its_flow_and_is_told_of(rig, steering):
    eth, vsi = steering
    assert ethtool(eth, f"-N {UDP} action 2 loc 5") == ""
    assert queue(rig, vsi, WANTED) == 2
    assert ethtool(eth, "-n") == (
        "4 RX rings available\nTotal 1 rules\n\nFilter: 5\n\tRule Type: UDP over IPv4\n"
        "\tSrc IP addr: 10.0.0.1 mask: 0.0.0.0\n\tDest IP addr: 10.0.0.2 mask: 0.0.0.0\n"
        "\tTOS: 0x0 mask: 0xff\n\tSrc port: 7000 mask: 0x0\n\tDest port: 80 mask: 0x0\n"
        "\tAction: Direct to queue 2\n\n"
    )
    assert ethtool(eth, "-N delete 5") == ""
    assert queue(rig, vsi, WANTED) == 0
    assert ethtool(eth, "-n") == "4 RX rings available\nTotal 0 rules\n\n"


def test_without_a_location_a_rule_gets_the_highest_that_is_free(steering):
    eth, _ = steering
    assert eth.ntuple.locations == 16384
    assert ethtool(eth, f"-N {UDP} action 1") == "Added rule with ID 16383\n"
    other = UDP.replace("7000", "7001")
    assert ethtool(eth, f"-N {other} action 1") == "Added rule with ID 16382\n"


def test_rules_are_listed_by_location_and_one_by_one(steering):
    eth, _ = steering
    for location, port in ((9, 1), (3, 2)):
        ethtool(eth, f"-N flow-type tcp4 dst-port {port} action -1 loc {location}")
    listed = ethtool(eth, "-n")
    assert listed.index("Filter: 3\n") < listed.index("Filter: 9\n")
    assert ethtool(eth, "-n rule 9") == (
        "Filter: 9\n\tRule Type: TCP over IPv4\n\tSrc IP addr: 0.0.0.0 mask: 255.255.255.255\n"
        "\tDest IP addr: 0.0.0.0 mask: 255.255.255.255\n\tTOS: 0x0 mask: 0xff\n\tSrc port: 0 mask: 0xffff\n"
        "\tDest port: 1 mask: 0x0\n\tAction: Drop\n\n"
    )
    assert errno_of(ethtool, eth, "-n rule 4") == ENOENT
    assert errno_of(ethtool, eth, "-n everything") == EINVAL


def test_a_rule_drops(rig, steering):
    eth, vsi = steering
    ethtool(eth, "-N flow-type tcp4 dst-port 5000 action -1")
    assert queue(rig, vsi, tcp_frame(src=FAR)) is None
    assert queue(rig, vsi, tcp_frame(src=FAR, dport=5001)) == 0


def test_a_rule_at_a_location_that_is_taken_replaces_the_other(rig, steering):
    eth, vsi = steering
    ethtool(eth, f"-N {UDP} action 2 loc 5")
    ethtool(eth, f"-N {UDP} action 3 loc 5")
    assert queue(rig, vsi, WANTED) == 3
    assert "Total 1 rules" in ethtool(eth, "-n")


def test_one_that_can_not_replace_it_leaves_it(rig, steering):
    eth, vsi = steering
    ethtool(eth, f"-N {UDP} action 2 loc 5")
    ethtool(eth, f"-N {UDP.replace('7000', '1')} action 2 loc 6")
    assert errno_of(ethtool, eth, "-N flow-type udp4 dst-port 80 action 3 loc 5") == EINVAL
    assert errno_of(ethtool, eth, f"-N {UDP} action 4 loc 5") == EINVAL
    assert queue(rig, vsi, WANTED) == 2
    assert "Filter: 5\n" in ethtool(eth, "-n")


@pytest.mark.parametrize(
    ("line", "frame", "kind"),
    [
        ("tcp4 src-port 4000", tcp_frame(src=FAR), "TCP over IPv4"),
        ("ether src 02:fa:00:00:00:01 proto 0x88b5", plain(B, FAR), "Raw Ethernet"),
        ("ether vlan 5 m 0xf000", plain(B, FAR, tags=((0x8100, 5),)), "Raw Ethernet"),
    ],
)
def test_each_flow_type_has_its_packets(rig, steering, line, frame, kind):
    eth, vsi = steering
    ethtool(eth, f"-N flow-type {line} action 3")
    assert queue(rig, vsi, frame) == 3
    assert f" Type: {kind}\n" in ethtool(eth, "-n")


def test_rules_of_ethernet_and_ipv6_are_printed_as_ethtool_does(steering):
    eth, _ = steering
    ethtool(eth, "-N flow-type ether dst 0A:0b:00:00:00:01 vlan 7 action 1 loc 1")
    assert ethtool(eth, "-n rule 1") == (
        "Filter: 1\n\tFlow Type: Raw Ethernet\n\tSrc MAC addr: 00:00:00:00:00:00 mask: FF:FF:FF:FF:FF:FF\n"
        "\tDest MAC addr: 0A:0B:00:00:00:01 mask: 00:00:00:00:00:00\n\tEthertype: 0x0 mask: 0xFFFF\n"
        "\tVLAN EtherType: 0x0 mask: 0xffff\n\tVLAN: 0x7 mask: 0xf000\n"
        "\tUser-defined: 0x0 mask: 0xffffffffffffffff\n\tAction: Direct to queue 1\n\n"
    )
    ethtool(eth, "-N flow-type ip6 dst-ip 2001:db8::2 action 1 loc 2")
    assert ethtool(eth, "-n rule 2") == (
        "Filter: 2\n\tRule Type: Raw IPv6\n\tSrc IP addr: :: mask: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n"
        "\tDest IP addr: 2001:db8::2 mask: ::\n\tTraffic Class: 0x0 mask: 0xff\n\tProtocol: 0 mask: 0xff\n"
        "\tL4 bytes: 0x0 mask: 0xffffffff\n\tAction: Direct to queue 1\n\n"
    )


@pytest.mark.parametrize(
    ("line", "errno"),
    [
        ("", EINVAL),
        ("flow-type", EINVAL),
        ("flow-type udp5 dst-port 1", EINVAL),
        ("flow-type esp4 spi 1", EOPNOTSUPP),
        ("flow-type udp4 action 1", EINVAL),
        ("flow-type udp4 dst-port 80 m 0xffff action 1", EINVAL),
        ("flow-type udp4 dst-port 80 m 0xff action 1", EOPNOTSUPP),
        ("flow-type udp4 src-ip 10.0.0.0 m 0.0.0.255 action 1", EOPNOTSUPP),
        ("flow-type udp4 dst-port", EINVAL),
        ("flow-type udp4 dst-port 65536 action 1", EINVAL),
        ("flow-type udp4 dst-port http action 1", EINVAL),
        ("flow-type udp4 src-ip 10.0.0.256 action 1", EINVAL),
        ("flow-type udp4 src-ip ::1 action 1", EINVAL),
        ("flow-type ether src 02:00:00:00:00 action 1", EINVAL),
        ("flow-type ether proto 0x800 action 1", EINVAL),
        ("flow-type ether src-ip 10.0.0.1 action 1", EINVAL),
        ("flow-type udp4 dst-port 80 tos 4 action 1", EOPNOTSUPP),
        ("flow-type udp4 dst-port 80 vf 1 queue 2", EOPNOTSUPP),
        ("flow-type udp4 dst-port 80 action 4", EINVAL),
        ("flow-type udp4 dst-port 80 action -2", EINVAL),
        ("flow-type udp4 dst-port 80 action 1 loc 16384", ENOSPC),
        ("flow-type udp4 dst-port 80 vlan 4096 action 1", EINVAL),
        ("delete", EINVAL),
        ("delete all", EINVAL),
        ("delete 7", ENOENT),
    ],
)
def test_a_rule_that_can_not_be_leaves_nothing(rig, steering, line, errno):
    eth, _ = steering
    assert errno_of(ethtool, eth, f"-N {line}") == errno
    assert "Total 0 rules" in ethtool(eth, "-n")
    assert rig.hw.rd("GLQF_FD_CNT") == 0


def test_a_full_mask_means_that_a_value_does_not_count(rig, steering):
    eth, vsi = steering
    ethtool(eth, "-N flow-type udp4 src-ip 1.2.3.4 m 255.255.255.255 dst-port 80 action 2")
    assert queue(rig, vsi, WANTED) == 2


def test_matches_are_counted_for_the_statistics(rig, steering):
    eth, vsi = steering
    ethtool(eth, f"-N {UDP} action 2")
    for _ in range(3):
        queue(rig, vsi, WANTED)
    stats = pf_stats(VsiStats(rig.hw, vsi.number).read(), PortStats(rig.hw).read(), fdir=eth.ntuple)
    assert (stats["fdir_sb_match.nic"], stats["fdir_sb_status.nic"]) == (3, 1)


def test_an_interface_without_filters_has_no_rules(eth):
    assert errno_of(ethtool, eth, "-n") == EOPNOTSUPP
    assert errno_of(ethtool, eth, f"-N {UDP} action 1") == EOPNOTSUPP


def test_rules_are_there_again_after_a_reset(rig, steering):
    from .test_fdir import Control

    eth, vsi = steering
    ethtool(eth, f"-N {UDP} action 2 loc 5")
    before = ethtool(eth, "-n")
    rig.after_reset(vsi)
    rig.nic.add_mac(vsi, vsi.mac)
    rig.nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    fdir = eth.ntuple.fdir
    fdir.reset()
    fdir.ring.control = Control(rig)
    fdir.start()
    fdir.replay()
    assert ethtool(eth, "-n") == before
    assert queue(rig, vsi, WANTED) == 2


def test_a_refusal_of_firmware_is_told(rig, steering):
    eth, _ = steering
    rig.aq.refuse = {AqOpcode.UPDATE_PKG: 0}
    assert errno_of(ethtool, eth, f"-N {UDP} action 1") == ENOSPC
