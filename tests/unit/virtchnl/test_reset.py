"""RESET_VF, REQUEST_QUEUES, and what a reset leaves."""

import pytest

from siov.host.linux import LinuxError
from siov.spec.virtchnl import EventCode, Op, Status, VfCaps, VfResource, VfResRequest

from . import build
from .fake import ALL_CAPS, FOR_LINUX_6_12, MAC, Driver, ready


def busy() -> Driver:
    """A driver that has set up something of everything."""
    driver = ready(FOR_LINUX_6_12)
    ask = driver.ok
    ask(Op.CONFIG_VSI_QUEUES, build.pairs(build.pair(0), build.pair(1)))
    ask(Op.CONFIG_IRQ_MAP, build.irq_map((1, 1, 1), (2, 2, 2), (0, 0, 0)))
    ask(Op.ADD_ETH_ADDR, build.macs(build.mac(1)))
    ask(Op.ADD_VLAN_V2, build.vlans_v2(5))
    ask(Op.ENABLE_VLAN_STRIPPING_V2, build.setting())
    ask(Op.ENABLE_QUEUES, build.select(3, 3))
    return driver


def test_reset_vf_has_no_reply():
    driver = busy()
    assert driver.messages(Op.RESET_VF) == []
    assert driver.owner.resets == [None]


def test_reset_vf_works_before_the_resources_are_there():
    driver = Driver()
    assert driver.messages(Op.RESET_VF) == []
    assert driver.owner.resets == [None]


def test_a_reset_that_fails_has_no_reply_either():
    driver = busy()

    def fails() -> None:
        raise LinuxError(5, "no reset today")

    driver.owner.hook = fails
    assert driver.messages(Op.RESET_VF) == []


def test_a_reset_drops_queues_vectors_and_filters_and_keeps_the_mac():
    driver = busy()
    driver.messages(Op.RESET_VF)
    vsi = driver.vsi
    assert (vsi.rx_on, vsi.tx_on, vsi.causes, vsi.vlans, vsi.strip) == (set(), set(), {}, set(), False)
    assert (vsi.macs, vsi.members, vsi.filtering) == ({MAC, b"\xff" * 6}, {0}, False)
    assert driver.status(Op.ENABLE_QUEUES, build.select(1, 1)) == Status.ERR_NOT_SUPPORTED
    driver.begin()
    assert driver.status(Op.ENABLE_QUEUES, build.select(1, 1)) == Status.ERR_PARAM  # it has no ring any more
    assert driver.resource.default_mac_addr == MAC


def test_the_address_that_a_driver_set_as_primary_outlives_the_reset():
    driver = busy()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(9), kind=1))
    driver.messages(Op.RESET_VF)
    driver.begin()
    assert driver.resource.default_mac_addr == build.mac(9)
    assert build.mac(9) in driver.vsi.macs


@pytest.mark.parametrize("op", [Op.VERSION, Op.GET_VF_RESOURCES, Op.GET_STATS])
def test_every_request_is_refused_while_the_reset_is_under_way(op: Op):
    driver = busy()
    driver.vf.begin_reset()
    assert driver.status(op, bytes({Op.VERSION: 8, Op.GET_VF_RESOURCES: 4}.get(op, 12))) == Status.ERR_PARAM
    driver.vf.reset()
    driver.begin()


def test_queues_that_can_be_had_come_by_a_reset_that_is_announced():
    driver = ready(FOR_LINUX_6_12, pairs=4)
    found = driver.messages(Op.REQUEST_QUEUES, VfResRequest.of(num_queue_pairs=8).data)
    assert [op for op, _, _ in found] == [Op.EVENT]
    assert driver.events[-1].event == EventCode.RESET_IMPENDING
    assert driver.events[-1].severity == 255
    assert driver.owner.resets == [8]
    assert driver.begin().num_queue_pairs == 8


@pytest.mark.parametrize("wanted", [9, 16, 17, 65535])
def test_queues_that_cannot_be_had_are_answered_with_those_that_can(wanted: int):
    driver = ready(FOR_LINUX_6_12, pairs=4)
    driver.owner.room = 8
    reply = driver.ok(Op.REQUEST_QUEUES, VfResRequest.of(num_queue_pairs=wanted).data)
    assert VfResRequest(reply).num_queue_pairs == 8
    assert driver.owner.resets == []


def test_no_queues_are_answered_with_those_that_are_there():
    driver = ready(FOR_LINUX_6_12, pairs=4)
    assert driver.ok(Op.REQUEST_QUEUES, bytes(2)) == bytes([4, 0])


def test_more_than_16_queues_need_large_num_qpairs():
    driver = ready(FOR_LINUX_6_12, pairs=4)
    driver.owner.room = 256
    assert driver.ok(Op.REQUEST_QUEUES, bytes([32, 0])) == bytes([16, 0])
    driver = ready(ALL_CAPS, pairs=17)
    driver.owner.room = 256
    assert driver.messages(Op.REQUEST_QUEUES, bytes([32, 0]))[0][0] == Op.EVENT
    whole = driver.begin(ALL_CAPS)
    assert whole.num_queue_pairs == 32
    assert VfCaps(whole.vf_cap_flags).LARGE_NUM_QPAIRS


def test_a_vf_on_another_vsi_is_told_its_number():
    driver = ready()
    driver.vf.reset(type(driver.vsi)(2, num=7))
    data = driver.ok(Op.GET_VF_RESOURCES, ALL_CAPS.to_bytes())
    assert VfResource.read(data).num_queue_pairs == 2
    assert driver.resource.vsi_id == 7
    assert driver.vsi.macs == {MAC, b"\xff" * 6}
