"""Versions, ownership, capabilities, addresses, RSS, features that are not there."""

import pytest

from siov.hw.e810.firmware.record import Record
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_device import (
    AqCapability,
    AqGetVersion,
    AqListCaps,
    AqRequestResource,
    AqSharedParam,
    Capability,
    GlobalLockStatus,
    ResourceAccess,
    ResourceId,
)
from siov.spec.e810.aq_queues import AqClearFdTable, AqRssKey, AqRssLut, LutSize, LutType
from siov.spec.e810.aq_switch import (
    AqGetSwitchConfig,
    AqMacAddress,
    AqMacRead,
    AqMacWrite,
    AqSetPortParams,
    AqSwitchElement,
    SwitchElementType,
)
from siov.spec.e810.vsi import RssLut, VsiProperties

from .client import MAC, Answer, Client, add_vsi


def request(
    client: Client, what: ResourceId, access: ResourceAccess, expect: AqRc = AqRc.OK
) -> AqRequestResource:
    asked = AqRequestResource.of(RES_ID=what, ACCESS_TYPE=access)
    return client.send(AqOpcode.REQ_RES, asked, expect=expect).params(AqRequestResource)


def release(client: Client, what: int, expect: AqRc = AqRc.OK) -> None:
    client.send(AqOpcode.RELEASE_RES, AqRequestResource.of(RES_ID=what), expect=expect)


def capabilities(client: Client, opcode: AqOpcode) -> dict[int, AqCapability]:
    answer = client.send(opcode, AqListCaps.of(), room=4096)
    elements = [AqCapability.from_bytes(answer.data[n : n + 32]) for n in range(0, len(answer.data), 32)]
    assert len(elements) == answer.params(AqListCaps).COUNT
    return {element.CAP: element for element in elements}


def test_the_version_is_of_an_e810(client: Client):
    version = client.send(AqOpcode.GET_VER).params(AqGetVersion)
    assert (version.FW_BRANCH, version.API_MAJOR, version.API_MINOR) == (1, 1, 7)


def test_a_driver_tells_its_name(client: Client):
    client.send(AqOpcode.DRIVER_VER, data=b"1.17.8\0")
    assert client.firmware.driver == "1.17.8"
    client.send(AqOpcode.DRIVER_VER, data=bytes(33), expect=AqRc.EINVAL)


def test_a_resource_is_held_until_it_is_released_or_its_time_is_over(client: Client):
    assert request(client, ResourceId.NVM, ResourceAccess.READ).TIMEOUT == 3000
    client.clock.advance(1000)
    assert request(client, ResourceId.NVM, ResourceAccess.READ, AqRc.EBUSY).TIMEOUT == 2000
    client.clock.advance(2000)
    request(client, ResourceId.NVM, ResourceAccess.WRITE)
    release(client, ResourceId.NVM)
    release(client, ResourceId.NVM, AqRc.EINVAL)
    release(client, 9, AqRc.EINVAL)


def test_the_global_lock_that_is_held_is_in_progress(client: Client):
    request(client, ResourceId.GLBL_LOCK, ResourceAccess.WRITE)
    answer = request(client, ResourceId.GLBL_LOCK, ResourceAccess.WRITE, AqRc.EBUSY)
    assert answer.STATUS == GlobalLockStatus.IN_PROG


@pytest.mark.parametrize(("what", "access"), [(0, 1), (5, 1), (1, 0), (1, 3)])
def test_only_resources_that_exist_are_requested(client: Client, what: int, access: int):
    asked = AqRequestResource.of(RES_ID=what, ACCESS_TYPE=access)
    client.send(AqOpcode.REQ_RES, asked, expect=AqRc.EINVAL)


@pytest.mark.parametrize("opcode", [AqOpcode.LIST_DEV_CAPS, AqOpcode.LIST_FUNC_CAPS])
def test_capabilities_are_those_of_the_device(opcode: AqOpcode):
    found = capabilities(Client(flows=(100, 200)), opcode)
    numbers = {
        Capability.VALID_FUNCTIONS: 1,
        Capability.SRIOV: 1,
        Capability.VF: 256,
        Capability.VSI: 768,
        Capability.RSS: 2048,
        Capability.RXQS: 2048,
        Capability.TXQS: 2048,
        Capability.MSIX: 2048,
        Capability.FD: 100,
        Capability.MAX_MTU: 9728,
    }
    assert {cap: found[cap].NUMBER for cap in numbers} == numbers
    assert (found[Capability.RSS].LOGICAL_ID, found[Capability.FD].LOGICAL_ID) == (8, 200)


def test_a_list_that_does_not_fit_tells_how_long_it_is(client: Client):
    answer = client.send(AqOpcode.LIST_DEV_CAPS, AqListCaps.of(), room=64, expect=AqRc.ENOMEM)
    assert answer.params(AqListCaps).COUNT > 2


def test_the_functions_address_is_read_and_written(client: Client):
    def read() -> bytes:
        answer = client.send(AqOpcode.MANAGE_MAC_READ, room=24)
        assert answer.params(AqMacRead).NUM_ADDR == 1
        return AqMacAddress.from_bytes(answer.data[:8]).MAC_ADDR.to_bytes(6, "little")

    assert read() == MAC
    other = bytes.fromhex("0200000000aa")
    client.send(AqOpcode.MANAGE_MAC_WRITE, AqMacWrite.of(MAC_ADDR=int.from_bytes(other, "little")))
    assert read() == other
    assert client.engine.last("set_mac") == (0, other)
    for wrong in (0, 1):
        client.send(AqOpcode.MANAGE_MAC_WRITE, AqMacWrite.of(MAC_ADDR=wrong), expect=AqRc.EINVAL)


def test_the_switch_has_a_port_and_the_vsis_in_as_many_parts_as_it_takes(client: Client):
    for _ in range(3):
        add_vsi(client)
    first = client.send(AqOpcode.GET_SW_CFG, AqGetSwitchConfig.of(), room=12)
    assert first.params(AqGetSwitchConfig).ELEMENT == 2
    rest = client.send(AqOpcode.GET_SW_CFG, AqGetSwitchConfig.of(ELEMENT=2), room=60)
    assert rest.params(AqGetSwitchConfig).ELEMENT == 0
    data = first.data + rest.data
    elements = [AqSwitchElement.from_bytes(data[n : n + 6]) for n in range(0, len(data), 6)]
    assert [(e.TYPE, e.VSI_PORT_NUM) for e in elements] == [
        (SwitchElementType.PHYS_PORT, 0),
        *((SwitchElementType.VSI, n) for n in range(3)),
    ]
    client.send(AqOpcode.GET_SW_CFG, AqGetSwitchConfig.of(ELEMENT=4), room=60, expect=AqRc.EINVAL)


def test_double_vlan_mode_is_a_parameter_of_the_port(client: Client):
    client.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))
    assert client.engine.last("set_vlan_mode") == (True,)
    assert client.send(AqOpcode.GET_VLAN_MODE_PARAMETERS, room=100).data[0] == 1
    client.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(SWID=9, SWID_VALID=1), expect=AqRc.EINVAL)


def test_a_key_of_52_bytes_is_a_vsis(client: Client):
    vsi, key = add_vsi(client), bytes(range(52))
    params = AqRssKey.of(VSI_ID=vsi, VSI_VALID=1)
    client.send(AqOpcode.SET_RSS_KEY, params, key)
    assert client.engine.last("set_rss_key") == (vsi, key)
    assert client.send(AqOpcode.GET_RSS_KEY, params, room=52).data == key
    client.send(AqOpcode.SET_RSS_KEY, params, key[:40], expect=AqRc.EINVAL)
    client.send(AqOpcode.SET_RSS_KEY, AqRssKey.of(VSI_ID=5, VSI_VALID=1), key, expect=AqRc.EINVAL)


LUTS = {
    LutType.VSI: (64, LutSize.SMALL, RssLut.VSI),
    LutType.GLOBAL: (512, LutSize.SIZE_512, RssLut.GBL),
    LutType.PF: (2048, LutSize.SIZE_2K, RssLut.PF),
}


@pytest.mark.parametrize("kind", LUTS)
def test_a_table_reaches_the_vsis_whose_properties_choose_it(client: Client, kind: LutType):
    size, coded, choice = LUTS[kind]
    given = Record(VsiProperties)
    given[VsiProperties.VALID_SECTIONS] = VsiProperties.VALID_SECTIONS.of(Q_OPT_VALID=1)
    given[VsiProperties.Q_OPT_RSS] = VsiProperties.Q_OPT_RSS.of(LUT=choice, GBL_LUT=3)
    vsi = add_vsi(client, given)
    add_vsi(client)
    params = AqRssLut.of(VSI_ID=vsi, VSI_VALID=1, LUT_TYPE=kind, LUT_SIZE=coded, GLOBAL_IDX=3)
    table = bytes(n % 7 for n in range(size))
    client.engine.calls.clear()
    client.send(AqOpcode.SET_RSS_LUT, params, table)
    assert [c[1] for c in client.engine.calls if c[0] == "set_rss_lut"] == [(vsi, table)]
    assert client.send(AqOpcode.GET_RSS_LUT, params, room=size).data == table
    client.send(AqOpcode.SET_RSS_LUT, params, table[:-1], expect=AqRc.EINVAL)
    client.send(AqOpcode.SET_RSS_LUT, params.replace(LUT_SIZE=3), table, expect=AqRc.EINVAL)


def test_flow_director_filters_are_cleared_for_a_vsi_or_for_all(client: Client):
    vsi = add_vsi(client)
    client.send(AqOpcode.CLEAR_FD_TABLE, AqClearFdTable.of(CLEAR_TYPE=1, VSI_INDEX=vsi))
    assert client.engine.last("clear_filters") == (vsi,)
    client.send(AqOpcode.CLEAR_FD_TABLE, AqClearFdTable.of(CLEAR_TYPE=2))
    assert client.engine.last("clear_filters") == (None,)
    client.send(AqOpcode.CLEAR_FD_TABLE, AqClearFdTable.of(CLEAR_TYPE=1, VSI_INDEX=9), expect=AqRc.EINVAL)


def test_shared_parameters_are_kept(client: Client):
    client.send(AqOpcode.DRIVER_SHARED_PARAMS, AqSharedParam.of(INDEX=3, VALUE=77))
    answer: Answer = client.send(AqOpcode.DRIVER_SHARED_PARAMS, AqSharedParam.of(GET=1, INDEX=3))
    assert answer.params(AqSharedParam).VALUE == 77
    client.send(AqOpcode.DRIVER_SHARED_PARAMS, AqSharedParam.of(GET=1, INDEX=16), expect=AqRc.EINVAL)


@pytest.mark.parametrize("opcode", [AqOpcode.LLDP_STOP, AqOpcode.LLDP_GET_MIB, AqOpcode.SET_DCB_PARAMS])
def test_without_an_agent_its_commands_are_not_permitted(client: Client, opcode: AqOpcode):
    client.send(opcode, expect=AqRc.EPERM)


@pytest.mark.parametrize(
    "opcode", [AqOpcode.ADD_RECIPE, AqOpcode.GET_SENSOR_READING, AqOpcode.FW_LOGS_CONFIG]
)
def test_a_feature_that_is_left_out_is_not_implemented(client: Client, opcode: AqOpcode):
    client.send(opcode, data=bytes(16), expect=AqRc.ENOSYS)
