"""VSIs: ADD_VSI, UPDATE_VSI, GET_VSI_PARAMS, FREE_VSI."""

import pytest

from siov.hw.e810.firmware.record import Record
from siov.hw.e810.firmware.vsi import SECTIONS
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_switch import AqVsiResponse, VsiType
from siov.spec.e810.vsi import VsiProperties

from .client import Client, add_queues, add_vsi, context, free_vsi, queue_group, tx_queue, vsi_params

Valid = VsiProperties.VALID_SECTIONS


def properties(**sections: int) -> Record:
    record = Record(VsiProperties)
    record[Valid] = Valid.of(**sections)
    return record


def test_a_vsi_gets_the_lowest_free_number_and_is_counted(client: Client):
    answer = client.send(AqOpcode.ADD_VSI, vsi_params(), bytes(128)).params(AqVsiResponse)
    assert (answer.VSI_NUM, answer.VSI_USED, answer.VSI_FREE) == (0, 1, 767)
    assert add_vsi(client) == 1
    free_vsi(client, 0)
    assert add_vsi(client) == 0


def test_a_vsi_may_ask_for_its_number(client: Client):
    assert add_vsi(client, VSI_NUM=767, IS_VALID=1) == 767
    client.send(AqOpcode.ADD_VSI, vsi_params(767), bytes(128), expect=AqRc.EEXIST)
    client.send(AqOpcode.ADD_VSI, vsi_params(768), bytes(128), expect=AqRc.EINVAL)


def test_there_are_768_vsis(client: Client):
    for number in range(768):
        assert add_vsi(client) == number
    client.send(AqOpcode.ADD_VSI, vsi_params(), bytes(128), expect=AqRc.ENOSPC)


def test_a_number_that_is_kept_is_not_given_out_again(client: Client):
    add_vsi(client)
    client.send(AqOpcode.FREE_VSI, vsi_params(0, KEEP_ALLOC=1))
    assert add_vsi(client) == 1
    assert add_vsi(client, VSI_NUM=0, IS_VALID=1) == 0


@pytest.mark.parametrize("section", SECTIONS)
def test_only_the_sections_that_are_valid_are_taken(client: Client, section: str):
    given = Record(VsiProperties, b"\x11" * 128)
    given[Valid] = Valid.of(**{section: 1})
    add_vsi(client, given)
    stored = client.engine.vsis[0]
    inside = SECTIONS[section]
    assert all(stored[n] == (0x11 if n in inside else 0) for n in range(2, 104))
    assert Valid.from_bytes(stored[:2]) == Valid.of(**{section: 1})


def test_an_update_leaves_the_other_sections(client: Client):
    first = properties(SW_VALID=1)
    first[VsiProperties.SW_FLAGS] = VsiProperties.SW_FLAGS.of(SRC_PRUNE=1)
    number = add_vsi(client, first)
    second = properties(SECURITY_VALID=1)
    second[VsiProperties.SEC_FLAGS] = VsiProperties.SEC_FLAGS.of(ENA_MAC_ANTI_SPOOF=1)
    client.send(AqOpcode.UPDATE_VSI, vsi_params(number), bytes(second))
    stored = Record(VsiProperties, client.engine.vsis[number])
    assert stored[VsiProperties.SW_FLAGS].SRC_PRUNE
    assert stored[VsiProperties.SEC_FLAGS].ENA_MAC_ANTI_SPOOF


def test_the_pasid_is_set_and_cleared_by_its_section(client: Client):
    number = add_vsi(client)
    given = properties(PASID_VALID=1)
    given[VsiProperties.PASID_ID] = VsiProperties.PASID_ID.of(PASID=0xABCDE, VALID=1)
    client.send(AqOpcode.UPDATE_VSI, vsi_params(number), bytes(given))
    assert client.firmware.vsis[number].pasid == 0xABCDE
    assert client.engine.vsis[number][100:104] == (0x800ABCDE).to_bytes(4, "little")
    client.send(AqOpcode.UPDATE_VSI, vsi_params(number), bytes(properties(PASID_VALID=1)))
    assert client.firmware.vsis[number].pasid is None


def test_properties_are_read_as_they_were_set(client: Client):
    given = properties(VLAN_VALID=1)
    given[VsiProperties.PORT_BASED_INNER_VLAN] = VsiProperties.PORT_BASED_INNER_VLAN.of(TCI=0x2064)
    number = add_vsi(client, given, TYPE=VsiType.VF, VF_ID=7)
    answer = client.send(AqOpcode.GET_VSI_PARAMS, vsi_params(number), room=128)
    assert answer.data == bytes(given)
    assert answer.params(AqVsiResponse).EXT_STATUS & 0xFF == 7


def test_receive_queues_must_exist(client: Client):
    given = properties(RXQ_MAP_VALID=1)
    given.put(VsiProperties.Q_MAPPING, VsiProperties.Q_MAPPING.of(Q=2040), 0)
    given.put(VsiProperties.Q_MAPPING, VsiProperties.Q_MAPPING.of(Q=9), 1)
    client.send(AqOpcode.ADD_VSI, vsi_params(), bytes(given), expect=AqRc.EINVAL)
    given.put(VsiProperties.Q_MAPPING, VsiProperties.Q_MAPPING.of(Q=8), 1)
    add_vsi(client, given)


@pytest.mark.parametrize("opcode", [AqOpcode.UPDATE_VSI, AqOpcode.GET_VSI_PARAMS, AqOpcode.FREE_VSI])
def test_a_vsi_that_is_not_there_is_no_such_element(client: Client, opcode: AqOpcode):
    data = bytes(128) if opcode is AqOpcode.UPDATE_VSI else None
    room = 128 if opcode is AqOpcode.GET_VSI_PARAMS else 0
    client.send(opcode, vsi_params(3), data, room, expect=AqRc.ENOENT)
    client.send(opcode, vsi_params(), data, room, expect=AqRc.EINVAL)
    client.send(opcode, vsi_params(900), data, room, expect=AqRc.EINVAL)


def test_properties_must_be_whole(client: Client):
    client.send(AqOpcode.ADD_VSI, vsi_params(), bytes(127), expect=AqRc.EINVAL)


def test_a_driver_makes_no_vsi_of_the_management(client: Client):
    client.send(AqOpcode.ADD_VSI, vsi_params(TYPE=VsiType.EMP_MNG), bytes(128), expect=AqRc.EPERM)


def test_a_vsi_with_a_queue_that_is_on_is_busy(client: Client):
    number = add_vsi(client)
    add_queues(client, queue_group(client), tx_queue(0, context(number)))
    free_vsi(client, number, expect=AqRc.EBUSY)
