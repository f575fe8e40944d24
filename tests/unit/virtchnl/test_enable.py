"""ENABLE_QUEUES, DISABLE_QUEUES, and their second form."""

import pytest

from siov.host.linux import LinuxError
from siov.spec.virtchnl import Op, Status

from . import build
from .fake import Driver, ready

RX, TX = 1, 0


def configured(pairs: int = 4) -> Driver:
    driver = ready(pairs=pairs)
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(*map(build.pair, range(pairs))))
    return driver


def test_the_selected_queues_go_on_and_off():
    driver = configured()
    driver.ok(Op.ENABLE_QUEUES, build.select(0b1011, 0b0001))
    assert (driver.vsi.rx_on, driver.vsi.tx_on) == ({0, 1, 3}, {0})
    driver.ok(Op.DISABLE_QUEUES, build.select(0b0010, 0b0001))
    assert (driver.vsi.rx_on, driver.vsi.tx_on) == ({0, 3}, set())


def test_dpdk_enables_one_queue_with_each_message():
    driver = configured()
    for q in range(4):
        driver.ok(Op.ENABLE_QUEUES, build.select(0, 1 << q))
    for q in range(4):
        driver.ok(Op.ENABLE_QUEUES, build.select(1 << q, 0))
    assert driver.vsi.rx_on == driver.vsi.tx_on == {0, 1, 2, 3}


def test_queues_that_are_on_already_are_passed_over():
    driver = configured()
    driver.ok(Op.ENABLE_QUEUES, build.select(1, 1))
    driver.vsi.calls.clear()
    driver.ok(Op.ENABLE_QUEUES, build.select(3, 3))
    assert driver.vsi.calls == ["ena_rxq", "ena_txq"]


def test_disabling_queues_that_are_off_is_no_error():
    driver = configured()
    driver.vsi.calls.clear()
    driver.ok(Op.DISABLE_QUEUES, build.select(0xF, 0xF))
    assert driver.vsi.calls == []


def test_a_queue_may_be_enabled_again_without_a_new_ring():
    driver = configured()
    for op in (Op.ENABLE_QUEUES, Op.DISABLE_QUEUES, Op.ENABLE_QUEUES):
        driver.ok(op, build.select(1, 1))
    assert driver.vsi.rx_on == driver.vsi.tx_on == {0}


@pytest.mark.parametrize("op", [Op.ENABLE_QUEUES, Op.DISABLE_QUEUES])
@pytest.mark.parametrize(("rx", "tx"), [(0, 0), (0x10, 0), (0, 0x10), (1, 0x8000_0000), (0x1_0001, 1)])
def test_no_queues_or_those_that_the_vf_has_not_are_refused(op: Op, rx: int, tx: int):
    driver = configured()
    assert driver.status(op, build.select(rx, tx)) == Status.ERR_PARAM
    assert not driver.vsi.rx_on | driver.vsi.tx_on


def test_a_queue_without_a_ring_is_not_enabled_nor_is_any_other_of_the_request():
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0)))
    assert driver.status(Op.ENABLE_QUEUES, build.select(3, 1)) == Status.ERR_PARAM
    assert not driver.vsi.rx_on | driver.vsi.tx_on


def test_the_vsi_of_another_is_refused():
    driver = configured()
    for op in (Op.ENABLE_QUEUES, Op.DISABLE_QUEUES):
        assert driver.status(op, build.select(1, 1, vsi=1)) == Status.ERR_PARAM
    for op in (Op.ENABLE_QUEUES_V2, Op.DISABLE_QUEUES_V2):
        big = configured(17)
        assert big.status(op, build.chunks((RX, 0, 1), vsi=1)) == Status.ERR_PARAM


def test_a_queue_that_hardware_does_not_switch_on_is_an_error_and_may_be_tried_again():
    driver = configured()
    driver.vsi.fails["ena_txq"] = LinuxError(110, "it does not go on")
    assert driver.status(Op.ENABLE_QUEUES, build.select(1, 1)) == Status.ERR_PARAM
    del driver.vsi.fails["ena_txq"]
    driver.ok(Op.ENABLE_QUEUES, build.select(1, 1))
    assert driver.vsi.rx_on == driver.vsi.tx_on == {0}


def test_the_second_form_names_queues_in_rows_beyond_the_16th():
    driver = configured(20)
    driver.ok(Op.ENABLE_QUEUES_V2, build.chunks((RX, 0, 20), (TX, 16, 4)))
    assert (driver.vsi.rx_on, driver.vsi.tx_on) == (set(range(20)), set(range(16, 20)))
    driver.ok(Op.DISABLE_QUEUES_V2, build.chunks((RX, 5, 1), (RX, 19, 1), (TX, 16, 3)))
    assert (driver.vsi.rx_on, driver.vsi.tx_on) == (set(range(20)) - {5, 19}, {19})


def test_the_first_form_reaches_16_queues_of_more():
    driver = configured(20)
    driver.ok(Op.ENABLE_QUEUES, build.select(0xFFFF, 0xFFFF))
    assert driver.status(Op.ENABLE_QUEUES, build.select(0x1_0000)) == Status.ERR_PARAM


@pytest.mark.parametrize(
    "row", [(RX, 0, 21), (RX, 20, 1), (RX, 0, 0), (TX, 65535, 65535), (2, 0, 1), (-1, 0, 1)]
)
def test_the_second_form_refuses_what_the_vf_has_not(row: tuple[int, int, int]):
    driver = configured(20)
    for op in (Op.ENABLE_QUEUES_V2, Op.DISABLE_QUEUES_V2):
        assert driver.status(op, build.chunks((RX, 0, 1), row)) == Status.ERR_PARAM
    assert not driver.vsi.rx_on


def test_the_region_for_rss_is_the_logarithm_of_the_queues():
    for pairs, width in ((17, 4), (32, 5), (256, 8)):
        assert ready(pairs=pairs).ok(Op.GET_MAX_RSS_QREGION)[2:4] == bytes([width, 0])
