"""CONFIG_VSI_QUEUES, CONFIG_TX_QUEUE, CONFIG_RX_QUEUE: rings, with their limits."""

import pytest

from siov.drivers.ice.rxq import RxRing
from siov.host.linux import LinuxError
from siov.spec.virtchnl import Op, QueuePairInfo, Status, VfCaps

from . import build
from .fake import ALL_CAPS, Driver, ready


def test_linux_s_rings_are_laid_as_it_asks():
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(*map(build.pair, range(4))))
    vsi = driver.vsi
    assert vsi.tx_rings == {q: (0x10_0000 + q * 0x4000, 512) for q in range(4)}
    assert vsi.rx_rings[3] == RxRing(0x20_0000 + 3 * 0x8000, 512, 1536, 1522, 1, True)
    assert not vsi.tx_on
    assert not vsi.rx_on


@pytest.mark.parametrize("length", [64, 96, 512, 4096, 8160])
def test_a_ring_has_64_to_8160_descriptors_in_steps_of_32(length: int):
    driver = ready()
    data = build.pairs(build.pair(0, tx={"ring_len": length}, rx={"ring_len": length}))
    driver.ok(Op.CONFIG_VSI_QUEUES, data)
    assert driver.vsi.rx_rings[0].length == driver.vsi.tx_rings[0][1] == length


BAD_TX = [
    {"ring_len": 1}, {"ring_len": 32}, {"ring_len": 63}, {"ring_len": 65}, {"ring_len": 8192},
    {"ring_len": 0xFFFF}, {"headwb_enabled": 1}, {"queue_id": 4}, {"queue_id": 0xFFFF}, {"vsi_id": 0},
    {"dma_ring_addr": 0x1040},
]  # fmt: skip
BAD_RX = [
    {"ring_len": 1}, {"ring_len": 63}, {"ring_len": 72}, {"ring_len": 8192}, {"ring_len": 0x1_0040},
    {"ring_len": 0xFFFF_FFE0}, {"queue_id": 4}, {"vsi_id": 0}, {"databuffer_size": 1},
    {"databuffer_size": 127}, {"databuffer_size": 16257}, {"databuffer_size": 0xFFFF_FFFF},
    {"max_pkt_size": 0}, {"max_pkt_size": 63}, {"max_pkt_size": 9729}, {"max_pkt_size": 0xFFFF_FFFF},
    {"splithdr_enabled": 1}, {"rxdid": 3}, {"rxdid": 255}, {"dma_ring_addr": 64},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_TX, ids=str)
def test_a_transmit_ring_that_hardware_cannot_take_is_refused(bad: dict[str, int]):
    driver = ready()
    data = build.pairs(
        build.pair(1), build.pair(0, tx=bad, rx={k: v for k, v in bad.items() if k == "queue_id"})
    )
    assert driver.status(Op.CONFIG_VSI_QUEUES, data) == Status.ERR_PARAM
    assert not driver.vsi.tx_rings  # nor is the pair before it laid
    assert (
        driver.status(Op.CONFIG_TX_QUEUE, QueuePairInfo(build.pair(0, tx=bad)).txq.data) == Status.ERR_PARAM
    )


@pytest.mark.parametrize("bad", BAD_RX, ids=str)
def test_a_receive_ring_that_hardware_cannot_take_is_refused(bad: dict[str, int]):
    driver = ready()
    data = build.pairs(build.pair(1), build.pair(0, rx=bad))
    assert driver.status(Op.CONFIG_VSI_QUEUES, data) == Status.ERR_PARAM
    assert not driver.vsi.rx_rings
    assert (
        driver.status(Op.CONFIG_RX_QUEUE, QueuePairInfo(build.pair(0, rx=bad)).rxq.data) == Status.ERR_PARAM
    )


def test_a_length_of_zero_leaves_that_queue_of_the_pair_alone():
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0, tx={"ring_len": 0})))
    assert (list(driver.vsi.tx_rings), list(driver.vsi.rx_rings)) == ([], [0])
    assert driver.status(Op.ENABLE_QUEUES, build.select(0, 1)) == Status.ERR_PARAM


def test_a_buffer_size_of_zero_is_2048():
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0, rx={"databuffer_size": 0})))
    assert driver.vsi.rx_rings[0].buffer == 2048


def test_the_two_queues_of_a_pair_have_one_number():
    driver = ready()
    assert (
        driver.status(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0, rx={"queue_id": 1})))
        == Status.ERR_PARAM
    )


def test_more_pairs_than_the_vf_has_are_refused():
    driver = ready(pairs=2)
    data = build.pairs(build.pair(0), build.pair(1), build.pair(0))
    assert driver.status(Op.CONFIG_VSI_QUEUES, data) == Status.ERR_PARAM


def test_a_driver_that_knows_no_large_numbers_reaches_16_queues_of_more():
    driver = ready(VfCaps.of(L2=1), pairs=20)
    seventeenth = QueuePairInfo(build.pair(16))
    assert driver.status(Op.CONFIG_TX_QUEUE, seventeenth.txq.data) == Status.ERR_PARAM
    assert driver.status(Op.CONFIG_RX_QUEUE, seventeenth.rxq.data) == Status.ERR_PARAM
    assert driver.status(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(16))) == Status.ERR_PARAM
    assert not driver.vsi.tx_rings
    assert not driver.vsi.rx_rings


def test_the_vsi_of_another_is_refused():
    driver = ready()
    assert driver.status(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0), vsi=1)) == Status.ERR_PARAM


def test_an_enabled_queue_is_switched_off_before_its_ring_is_laid_anew():
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0)))
    driver.ok(Op.ENABLE_QUEUES, build.select(1, 1))
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0)))
    assert not driver.vsi.rx_on | driver.vsi.tx_on
    driver.ok(Op.ENABLE_QUEUES, build.select(1, 1))
    assert driver.vsi.rx_on == driver.vsi.tx_on == {0}


@pytest.mark.parametrize(
    ("caps", "rxdid", "used"), [(0, 22, 1), (1, 22, 22), (1, 0, 1), (1, 1, 1), (1, 2, 2)]
)
def test_the_descriptor_format_counts_only_with_rx_flex_desc(caps: int, rxdid: int, used: int):
    driver = ready(VfCaps.of(RX_FLEX_DESC=caps))
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0, rx={"rxdid": rxdid})))
    assert driver.vsi.rx_rings[0].rxdid == used


def test_the_crc_stays_on_frames_only_with_the_capability():
    data = build.pairs(build.pair(0, rx={"crc_disable": 1}))
    assert ready(VfCaps.of()).status(Op.CONFIG_VSI_QUEUES, data) == Status.ERR_PARAM
    driver = ready(VfCaps.of(CRC=1))
    driver.ok(Op.CONFIG_VSI_QUEUES, data)
    assert driver.vsi.rx_rings[0].crc_strip is False


def test_tags_are_not_stripped_where_the_crc_stays_on_frames():
    keeps, strips = build.pairs(build.pair(0, rx={"crc_disable": 1})), Op.ENABLE_VLAN_STRIPPING_V2
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, keeps)
    assert driver.status(strips, build.setting()) == Status.ERR_NOT_SUPPORTED
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0)))
    driver.ok(strips, build.setting())
    assert driver.status(Op.CONFIG_VSI_QUEUES, keeps) == Status.ERR_PARAM


def test_one_queue_can_be_laid_by_itself():
    driver = ready()
    one = QueuePairInfo(build.pair(2))
    driver.ok(Op.CONFIG_TX_QUEUE, one.txq.data)
    driver.ok(Op.CONFIG_RX_QUEUE, one.rxq.data)
    driver.ok(Op.ENABLE_QUEUES, build.select(4, 4))
    assert driver.vsi.rx_on == driver.vsi.tx_on == {2}


def test_a_ring_that_the_vsi_refuses_is_a_bad_parameter_and_stays_off():
    driver = ready()
    driver.vsi.fails["cfg_rxq"] = LinuxError(22, "no such ring")
    assert driver.status(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0))) == Status.ERR_PARAM
    assert driver.status(Op.ENABLE_QUEUES, build.select(1)) == Status.ERR_PARAM


def test_a_mistake_of_ours_is_counted_and_answered_not_raised():
    driver: Driver = ready(ALL_CAPS)
    driver.vsi.fails["cfg_rxq"] = ZeroDivisionError("oops")
    assert driver.messages(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0))) == [
        (Op.CONFIG_VSI_QUEUES, Status.ERR_PARAM, b"")
    ]
    assert driver.vf.counts["bugs"] == 1
    assert "ZeroDivisionError" in driver.vf.last_bug
