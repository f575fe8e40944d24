"""GET_STATS."""

from siov.spec.virtchnl import EthStats, Op, Status

from . import build
from .fake import ready


def test_the_counters_are_twelve_numbers_in_the_order_of_the_header():
    driver = ready()
    reply = driver.ok(Op.GET_STATS, build.select())
    assert len(reply) == 96
    assert reply == driver.vsi.numbers.data
    assert EthStats(reply).rx_bytes == int.from_bytes(reply[:8], "little") == 1234
    assert int.from_bytes(reply[88:], "little") == 1  # tx_errors


def test_only_the_vsi_counts_and_padding_means_nothing():
    driver = ready()
    assert driver.ok(Op.GET_STATS, build.select(0xFFFF_FFFF, 0xFFFF_FFFF)) == driver.vsi.numbers.data
    assert driver.status(Op.GET_STATS, build.select(vsi=1)) == Status.ERR_PARAM
