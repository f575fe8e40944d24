"""VLAN filters and offloads, in both forms."""

import pytest

from siov.drivers.ice.virtchnl import VfLimits
from siov.spec.virtchnl import Op, Status, VfCaps, Vlan, VlanCaps, VlanFilter, VlanFilterListV2

from . import build
from .fake import VSI, Driver, ready

FIRST = VfCaps.of(L2=1, VLAN=1)
ADD_OPS = [(FIRST, Op.ADD_VLAN, Op.DEL_VLAN, build.vlans)]
BOTH = [*ADD_OPS, (VfCaps.of(VLAN_V2=1), Op.ADD_VLAN_V2, Op.DEL_VLAN_V2, build.vlans_v2)]


@pytest.mark.parametrize(("caps", "add", "delete", "request_for"), BOTH)
def test_filters_come_and_go(caps: VfCaps, add: Op, delete: Op, request_for):
    driver = ready(caps)
    driver.ok(add, request_for(1, 4095))
    assert driver.vsi.vlans == {1, 4095}
    driver.ok(add, request_for(1))
    driver.ok(delete, request_for(4095))
    assert driver.vsi.vlans == {1}
    assert driver.status(delete, request_for(4095)) == Status.ERR_PARAM


@pytest.mark.parametrize(("caps", "add", "delete", "request_for"), BOTH)
def test_vlan_0_is_always_there(caps: VfCaps, add: Op, delete: Op, request_for):
    driver = ready(caps)
    driver.ok(add, request_for(0))
    driver.ok(delete, request_for(0))
    assert driver.vsi.members == {0}


@pytest.mark.parametrize(("caps", "add", "delete", "request_for"), BOTH)
def test_other_vlans_are_kept_out_while_there_is_a_filter(caps: VfCaps, add: Op, delete: Op, request_for):
    driver = ready(caps)
    driver.ok(add, request_for(0))
    assert not driver.vsi.filtering
    driver.ok(add, request_for(5, 6))
    assert driver.vsi.filtering
    driver.ok(delete, request_for(5))
    assert driver.vsi.filtering
    driver.ok(delete, request_for(6))
    assert not driver.vsi.filtering


@pytest.mark.parametrize(("caps", "add", "delete", "request_for"), BOTH)
def test_an_id_beyond_4095_or_the_vsi_of_another_is_refused(caps: VfCaps, add: Op, delete: Op, request_for):
    driver = ready(caps)
    for op in (add, delete):
        assert driver.status(op, request_for(1, 4096)) == Status.ERR_PARAM
        assert driver.status(op, request_for(0xFFFF)) == Status.ERR_PARAM
        assert driver.status(op, request_for(1, vsi=1)) == Status.ERR_PARAM
    assert driver.vsi.vlans == set()


def test_the_second_form_refuses_a_request_for_more_than_8_as_a_whole():
    driver = ready()
    driver.ok(Op.ADD_VLAN_V2, build.vlans_v2(*range(1, 8)))
    assert driver.status(Op.ADD_VLAN_V2, build.vlans_v2(8, 9)) == Status.ERR_PARAM
    assert driver.vsi.vlans == set(range(1, 8))
    driver.ok(Op.ADD_VLAN_V2, build.vlans_v2(8, 0, 7))
    assert driver.status(Op.ADD_VLAN_V2, build.vlans_v2(9)) == Status.ERR_PARAM


def test_the_first_form_lets_a_vf_believe_that_it_has_more_than_8():
    driver = ready(FIRST)
    driver.ok(Op.ADD_VLAN, build.vlans(*range(1, 12)))
    assert driver.vsi.vlans == set(range(1, 9))
    assert driver.vf.counts["not_trusted"] == 1


def test_a_trusted_vf_may_have_all():
    driver = ready(FIRST, limits=VfLimits(trusted=True))
    driver.ok(Op.ADD_VLAN, build.vlans(*range(1, 2000)))
    assert len(driver.vsi.vlans) == 1999


def test_the_first_form_switches_stripping():
    driver = ready(FIRST)
    driver.ok(Op.ENABLE_VLAN_STRIPPING)
    assert driver.vsi.strip
    driver.ok(Op.DISABLE_VLAN_STRIPPING)
    assert not driver.vsi.strip


def test_the_second_form_offers_the_one_tag_of_802_1q():
    caps = VlanCaps(ready().ok(Op.GET_OFFLOAD_VLAN_V2_CAPS))
    assert (caps.filtering_support.outer, caps.filtering_support.inner) == (0, 1)
    assert caps.filtering_max_filters == 8
    toggle_8100_l2tag1 = 0x8000_0101
    assert (caps.stripping_support.outer, caps.stripping_support.inner) == (0, toggle_8100_l2tag1)
    assert (caps.insertion_support.outer, caps.insertion_support.inner) == (0, toggle_8100_l2tag1)
    assert (caps.filtering_ethertype_init, caps.offloads_ethertype_init) == (1, 1)


def test_a_trusted_vf_is_offered_as_many_filters_as_there_are_vlans():
    driver = ready(limits=VfLimits(trusted=True))
    assert VlanCaps(driver.ok(Op.GET_OFFLOAD_VLAN_V2_CAPS)).filtering_max_filters == 4095


def test_the_second_form_switches_stripping_and_insertion():
    driver = ready()
    driver.ok(Op.DISABLE_VLAN_INSERTION_V2, build.setting())
    assert not driver.vsi.insert
    driver.ok(Op.ENABLE_VLAN_STRIPPING_V2, build.setting())
    driver.ok(Op.ENABLE_VLAN_INSERTION_V2, build.setting())
    assert (driver.vsi.strip, driver.vsi.insert) == (True, True)
    driver.ok(Op.DISABLE_VLAN_STRIPPING_V2, build.setting())
    driver.ok(Op.DISABLE_VLAN_INSERTION_V2, build.setting())
    assert (driver.vsi.strip, driver.vsi.insert) == (False, False)


@pytest.mark.parametrize(
    "bad",
    [
        {"inner": 0}, {"inner": 2}, {"inner": 4}, {"inner": 3}, {"inner": 0x8000_0001}, {"outer": 1},
        {"inner": 0, "outer": 1}, {"vsi": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_that_was_not_offered_is_refused(bad: dict[str, int]):
    driver: Driver = ready()
    for op in range(Op.ENABLE_VLAN_STRIPPING_V2, Op.DISABLE_VLAN_INSERTION_V2 + 1):
        assert driver.status(op, build.setting(**bad)) == Status.ERR_PARAM
    assert (driver.vsi.strip, driver.vsi.insert) == (False, True)  # as it was


@pytest.mark.parametrize(
    "bad",
    [
        {"outer": True},
        {"tpid": 0x88A8},
        {"tpid": 0},
        {"tci": 0x2005},
        {"tci_mask": 0xFF},
        {"tci_mask": 0xFFFF},
    ],
    ids=str,
)
def test_a_filter_that_was_not_offered_is_refused(bad: dict[str, int]):
    driver = ready()
    assert driver.status(Op.ADD_VLAN_V2, build.vlans_v2(5, **bad)) == Status.ERR_PARAM
    assert driver.vsi.vlans == set()


def test_a_filter_for_two_tags_is_refused():
    tag = Vlan.of(tci=5, tpid=0x8100)
    both = VlanFilter.of(inner=tag, outer=tag).data
    data = VlanFilterListV2.of(vport_id=VSI, num_elements=1).data + both
    driver = ready()
    assert driver.status(Op.ADD_VLAN_V2, data) == Status.ERR_PARAM
    assert driver.vsi.vlans == set()
