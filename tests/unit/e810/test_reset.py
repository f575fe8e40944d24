"""What each reset clears, and what it tells."""

import pytest

from siov.spec.e810 import AqOpcode
from siov.spec.e810.aq_device import AqListCaps, AqRequestResource, ResourceAccess, ResourceId
from siov.spec.e810.aq_switch import RecipeId, ResourceType
from siov.spec.e810.control import Control, DeviceState, ResetType
from siov.spec.e810.interrupts import Interrupts

from .client import (
    Client,
    add_queues,
    add_rule,
    add_vsi,
    allocate,
    context,
    frame_header,
    lookup_rule,
    queue_group,
    to_vsi,
    tx_queue,
)

TRIGGERS = {"CORER": 1, "GLOBR": 2, "EMPR": 4}


@pytest.fixture
def busy(client: Client) -> Client:
    """A device with one of each."""
    vsi = add_vsi(client)
    add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(b"\x02" + bytes(5))))
    add_queues(client, queue_group(client), tx_queue(0, context(vsi)))
    allocate(client, ResourceType.VSI_LIST_REP)
    asked = AqRequestResource.of(RES_ID=ResourceId.NVM, ACCESS_TYPE=ResourceAccess.WRITE)
    client.send(AqOpcode.REQ_RES, asked)
    return client


def trigger(client: Client, kind: str) -> None:
    if kind == "PFR":
        client.write("PFGEN_CTRL", 1)
    elif kind == "FLR":
        client.firmware.function_level_reset()
    else:
        client.write("GLGEN_RTRIG", TRIGGERS[kind])


@pytest.mark.parametrize("kind", ["PFR", "FLR", "CORER", "GLOBR", "EMPR"])
def test_a_reset_forgets_what_the_driver_set_up(busy: Client, kind: str):
    trigger(busy, kind)
    assert busy.engine.last("reset") == (kind,)
    firmware = busy.firmware
    assert (len(firmware.vsis), len(firmware.rules.table), len(firmware.txqueues.table)) == (0, 0, 0)
    assert firmware.resources.taken == {}
    assert firmware.ownership.held == {}
    assert not busy.read("PF_FW_ATQLEN") >> 31
    busy.open()
    assert add_vsi(busy) == 0
    assert firmware.inspect()["resets"] == {kind: 1}


def test_the_functions_reset_is_over_when_its_bit_is_clear(client: Client):
    trigger(client, "PFR")
    assert client.read("PFGEN_CTRL") == 0
    assert Control.GLGEN_RSTAT(client.read("GLGEN_RSTAT")).RESET_TYPE == ResetType.POR


@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_reset_of_the_device_is_announced_counted_and_over(client: Client, kind: str):
    states = []
    reset = client.engine.reset

    def during(given: str) -> None:
        states.append(Control.GLGEN_RSTAT(client.engine.get("GLGEN_RSTAT")).DEVSTATE)
        assert client.engine.oicr & Interrupts.PFINT_OICR.GRST.mask
        reset(given)

    client.engine.reset = during  # type: ignore[method-assign]
    for n in range(1, 6):
        trigger(client, kind)
        status = Control.GLGEN_RSTAT(client.read("GLGEN_RSTAT"))
        assert ResetType[kind] == status.RESET_TYPE
        assert status.DEVSTATE == DeviceState.READY
        assert getattr(status, f"{kind}CNT") == n % 4
    assert states == [DeviceState.RESETTING] * 5


def test_a_vsi_reset_turns_its_queues_off_and_says_when_it_is_done(busy: Client):
    other = add_vsi(busy)
    add_queues(busy, queue_group(busy), tx_queue(1, context(other)))
    busy.write("VSIGEN_RTRIG", 1, 0)
    assert busy.engine.last("reset_vsi") == (0,)
    assert list(busy.engine.queues) == [1]
    assert Control.VSIGEN_RSTAT(busy.read("VSIGEN_RSTAT", 0)).VMRD
    assert len(busy.firmware.vsis) == 2


def test_the_registers_that_a_driver_reads_first_are_there_again(client: Client):
    before = {name: client.read(name) for name in ("PFLAN_TX_QALLOC", "PFLAN_RX_QALLOC", "GLQF_FD_SIZE")}
    assert before["PFLAN_TX_QALLOC"] == 1 << 31 | 2047 << 16
    assert before["GLQF_FD_SIZE"] == 1024 | 15360 << 16
    trigger(client, "CORER")
    assert {name: client.read(name) for name in before} == before


def test_events_that_wait_do_not_outlive_a_reset(client: Client):
    client.write("PF_FW_ARQLEN", 0)
    client.engine.events.append(("malicious", 0, 0, "test"))
    client.firmware.service()
    assert client.engine.oicr & Interrupts.PFINT_OICR.MAL_DETECT.mask
    trigger(client, "PFR")
    client.open()
    assert client.events() == []
    client.send(AqOpcode.LIST_DEV_CAPS, AqListCaps.of(), room=4096)
