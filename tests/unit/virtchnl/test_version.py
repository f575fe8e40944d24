"""VERSION, GET_VF_RESOURCES and what they grant."""

import pytest

from siov.spec.virtchnl import Op, Status, VersionInfo, VfCaps, VfResource, VsiResource

from .fake import ALL_CAPS, FOR_LINUX_6_12, MAC, VSI, Driver, ready


def test_version_1_1_is_answered_with_1_1():
    assert Driver().ok(Op.VERSION, VersionInfo.of(major=1, minor=1).data) == bytes([1, 0, 0, 0, 1, 0, 0, 0])


def test_any_other_version_is_told_ours_without_an_error():
    assert Driver().ok(Op.VERSION, VersionInfo.of(major=9, minor=7).data) == bytes([1, 0, 0, 0, 1, 0, 0, 0])


def test_a_driver_of_version_1_0_gets_resources_without_asking_for_capabilities():
    driver = Driver()
    assert driver.ok(Op.VERSION, VersionInfo.of(major=1, minor=0).data) == bytes([1, 0, 0, 0, 0, 0, 0, 0])
    caps = VfCaps(VfResource.read(driver.ok(Op.GET_VF_RESOURCES)).vf_cap_flags)
    assert caps == VfCaps.of(L2=1, VLAN=1)
    assert driver.status(Op.GET_VF_RESOURCES, bytes(4)) == Status.ERR_PARAM


def test_version_may_be_asked_again_at_any_time():
    driver = ready()
    driver.ok(Op.VERSION, VersionInfo.of(major=1, minor=1).data)
    assert driver.ok(Op.GET_STATS, bytes.fromhex("2c01 0000 00000000 00000000"))


def test_resources_name_one_vsi_with_its_queues_vectors_and_mac():
    driver = Driver(pairs=4)
    data = driver.ok(Op.GET_VF_RESOURCES, ALL_CAPS.to_bytes())
    assert len(data) == 36
    whole, vsi = VfResource.read(data), VsiResource.read(data, 20)
    assert (whole.num_vsis, whole.num_queue_pairs, whole.max_vectors, whole.max_mtu) == (1, 4, 5, 9728)
    assert (whole.rss_key_size, whole.rss_lut_size) == (52, 64)
    assert (vsi.vsi_id, vsi.num_queue_pairs, vsi.vsi_type, vsi.default_mac_addr) == (VSI, 4, 6, MAC)


def test_resources_may_be_asked_again_with_other_capabilities():
    driver = ready(VfCaps.of(L2=1, VLAN=1))
    assert driver.status(Op.GET_RSS_HENA_CAPS) == Status.ERR_NOT_SUPPORTED
    driver.begin(VfCaps.of(L2=1, RSS_PF=1))
    assert len(driver.ok(Op.GET_RSS_HENA_CAPS)) == 8
    assert driver.status(Op.DISABLE_VLAN_STRIPPING) == Status.ERR_NOT_SUPPORTED


def test_linux_6_12_is_granted_what_is_implemented_and_nothing_more():
    granted = VfCaps(Driver().begin(FOR_LINUX_6_12).vf_cap_flags)
    names = {field.name for field, value in granted if value}
    assert names == {
        "L2", "RSS_PF", "VLAN_V2", "ADV_LINK_SPEED", "WB_ON_ITR", "REQ_QUEUES", "FDIR_PF", "ADV_RSS_PF",
        "CRC", "USO",
    }  # fmt: skip


def test_nothing_that_is_not_asked_for_is_granted_but_l2():
    for field in VfCaps.fields.values():
        granted = Driver(pairs=32).begin(VfCaps(field.mask)).vf_cap_flags
        assert granted in (1, field.mask | 1)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (VfCaps.of(VLAN=1), VfCaps.of(L2=1, VLAN=1)),
        (VfCaps.of(VLAN_V2=1), VfCaps.of(L2=1, VLAN_V2=1)),
        (VfCaps.of(VLAN=1, VLAN_V2=1), VfCaps.of(L2=1, VLAN_V2=1)),
    ],
)
def test_one_form_of_vlan_is_granted_and_the_second_is_preferred(asked: VfCaps, granted: VfCaps):
    assert Driver().begin(asked).vf_cap_flags == granted.raw


@pytest.mark.parametrize(("pairs", "granted"), [(1, 0), (16, 0), (17, 1), (256, 1)])
def test_large_num_qpairs_is_granted_only_beyond_16_pairs(pairs: int, granted: int):
    whole = Driver(pairs=pairs).begin(ALL_CAPS)
    assert granted == VfCaps(whole.vf_cap_flags).LARGE_NUM_QPAIRS
    assert whole.num_queue_pairs == pairs


def test_a_driver_that_knows_no_large_numbers_is_shown_16_of_more_pairs():
    assert Driver(pairs=32).begin(FOR_LINUX_6_12).num_queue_pairs == 16


def test_the_supported_descriptor_formats_are_bits():
    bits = int.from_bytes(ready().ok(Op.GET_SUPPORTED_RXDIDS), "little")
    assert bits >> 1 & 1
    assert bits >> 22 & 1
