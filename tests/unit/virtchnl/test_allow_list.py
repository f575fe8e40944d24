"""Which operation is allowed when: unknown and malformed ones are -5, those of no granted capability -64."""

import pytest

from siov.drivers.ice.virtchnl.session import SUPPORTED
from siov.drivers.ice.virtchnl.table import HANDLERS
from siov.spec.virtchnl import (
    ALLOWED_BY,
    BEFORE_RESOURCES,
    LENGTHS,
    WITH_RESOURCES,
    Op,
    Status,
    VfCaps,
    allow_list,
)

from .fake import ALL_CAPS, Driver, ready


def well_formed(op: Op) -> bytes:
    """The shortest request with the right length; its fields are zero, so no VSI is named."""
    rule = LENGTHS[op]
    data = bytearray(rule.of(1 if rule.element else 0))
    if rule.element:
        data[rule.count_at] = 1
    return bytes(data)


@pytest.mark.parametrize("op", sorted(set(LENGTHS) - BEFORE_RESOURCES))
def test_nothing_else_is_allowed_before_the_resources_are_there(op: Op):
    driver = Driver()
    assert driver.status(op, well_formed(op)) == Status.ERR_NOT_SUPPORTED
    assert set(driver.vsi.calls) <= {"add_mac", "add_vlan"}  # by its owner


@pytest.mark.parametrize("op", sorted(set(LENGTHS) - WITH_RESOURCES))
def test_an_operation_of_a_capability_that_was_not_asked_for_is_not_supported(op: Op):
    driver = ready(VfCaps.of())
    if op not in ALLOWED_BY["L2"]:
        assert driver.status(op, well_formed(op)) == Status.ERR_NOT_SUPPORTED


@pytest.mark.parametrize("op", sorted(set(LENGTHS) - {Op.RESET_VF}))
def test_a_length_that_is_wrong_is_a_bad_parameter_even_where_it_would_not_be_allowed(op: Op):
    for driver in (Driver(), ready(pairs=17)):
        for data in (well_formed(op) + b"\0", well_formed(op)[:-1] if well_formed(op) else b"\0\0"):
            assert driver.status(op, data) == Status.ERR_PARAM
        assert driver.vf.counts["malformed"] == 2


@pytest.mark.parametrize("op", [0, 16, 17, 19, 20, 22, 34, 49, 114, 136, 0x801, 0xFFFF_FFFF])
def test_an_unknown_operation_is_a_bad_parameter(op: int):
    for data in (b"", bytes(12), bytes(4096)):
        assert ready().status(op, data) == Status.ERR_PARAM


def test_every_operation_of_a_capability_that_is_granted_is_carried_out():
    assert allow_list(SUPPORTED) <= set(HANDLERS)


def test_every_operation_is_allowed_by_something_or_of_no_one():
    allowed = WITH_RESOURCES.union(*ALLOWED_BY.values())
    assert set(LENGTHS) - allowed == {Op.ENABLE_VLAN_FILTERING_V2, Op.DISABLE_VLAN_FILTERING_V2}
    assert set(ALLOWED_BY) <= set(VfCaps.fields)


def test_adq_qos_and_ptp_are_not_granted_to_those_who_ask():
    driver = ready(ALL_CAPS, pairs=17)
    for name in ("ADQ", "QOS", "PTP"):
        for op in ALLOWED_BY[name]:
            assert driver.status(op, well_formed(op)) == Status.ERR_NOT_SUPPORTED


def test_replies_come_one_for_a_request_in_order_with_its_opcode():
    driver = ready()
    driver.owner.sent.clear()
    asked = [Op.VERSION, Op.GET_STATS, 99, Op.GET_RSS_HENA_CAPS, Op.DISABLE_QUEUES, Op.VERSION]
    for op in asked:
        driver.vf.handle(op, bytes(12) if op in (Op.GET_STATS, Op.DISABLE_QUEUES) else bytes(8))
    assert [op for op, _, _ in driver.owner.sent] == asked


def test_a_mailbox_that_is_full_loses_the_reply_and_it_is_counted():
    driver = ready()
    driver.owner.full = True
    assert driver.messages(Op.GET_SUPPORTED_RXDIDS) == []
    assert driver.vf.counts["lost"] == 1
    driver.owner.full = False
    driver.ok(Op.GET_SUPPORTED_RXDIDS)
