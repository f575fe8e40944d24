"""Events: when a VF is told about the link, and in which words."""

import pytest

from siov.drivers.ice.link import LinkState
from siov.spec.virtchnl import EventCode, Op, PfEvent, Status, VfCaps

from . import build
from .fake import ALL_CAPS, Driver, ready


def test_the_link_is_told_after_the_resources():
    driver = Driver()
    found = driver.messages(Op.GET_VF_RESOURCES, ALL_CAPS.to_bytes())
    assert [op for op, _, _ in found] == [Op.GET_VF_RESOURCES, Op.EVENT]


@pytest.mark.parametrize("tx", [1, 0x10])
def test_the_link_is_told_after_queues_are_enabled_also_when_they_are_not(tx: int):
    driver = ready()
    driver.ok(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0)))
    found = driver.messages(Op.ENABLE_QUEUES, build.select(1, tx))
    assert [op for op, _, _ in found] == [Op.ENABLE_QUEUES, Op.EVENT]
    assert found[0][1] == (Status.SUCCESS if tx == 1 else Status.ERR_PARAM)
    event = PfEvent(found[1][2])
    assert (event.event, event.link_status, event.link_speed) == (EventCode.LINK_CHANGE, 1, 25000)


def test_the_second_form_of_enable_is_followed_by_the_link_too():
    driver = ready(pairs=17)
    assert [op for op, _, _ in driver.messages(Op.ENABLE_QUEUES_V2, build.chunks((0, 0, 1)))] == [
        Op.ENABLE_QUEUES_V2,
        Op.EVENT,
    ]


def test_a_malformed_request_is_followed_by_nothing():
    assert [op for op, _, _ in ready().messages(Op.ENABLE_QUEUES, bytes(11))] == [Op.ENABLE_QUEUES]


@pytest.mark.parametrize(
    ("speed", "bit"),
    [(0, 0), (100, 2), (1000, 4), (2500, 1), (5000, 0x80), (10000, 8), (20000, 0x20), (25000, 0x40),
     (40000, 0x10), (100000, 0x10)],
)  # fmt: skip
def test_a_driver_without_adv_link_speed_is_told_the_speed_as_a_bit(speed: int, bit: int):
    driver = Driver()
    driver.owner.state = LinkState(True, speed, 9728)
    driver.begin(VfCaps.of())
    assert driver.events[-1].link_speed == bit
    driver.begin(VfCaps.of(ADV_LINK_SPEED=1))
    assert driver.events[-1].link_speed == speed


def test_a_link_that_is_down_has_no_speed():
    driver = ready()
    driver.owner.state = LinkState(False, 25000, 9728)
    driver.vf.notify_link()
    event = driver.events[-1]
    assert (event.link_status, event.link_speed) == (0, 0)


def test_a_driver_that_has_no_resources_yet_is_told_nothing():
    driver = Driver()
    driver.vf.notify_link()
    driver.vf.notify_reset()
    assert driver.owner.sent == []
