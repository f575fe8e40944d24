"""The link: PHY, status, events."""

import pytest

from siov.hw.e810.firmware import PortSettings
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_link import (
    AqGetLinkStatus,
    AqGetPhyCaps,
    AqLinkStatus,
    AqPhyCapsData,
    AqPhyConfigData,
    AqRestartAn,
    AqSetEventMask,
    AqSetMacConfig,
    AqSetMacLoopback,
    LinkSpeed,
    LinkStatusEvents,
    PhyCaps,
    PhyReportMode,
    PhyType,
)

from .client import Client


def status(client: Client, events: LinkStatusEvents = LinkStatusEvents.NOP) -> AqLinkStatus:
    answer = client.send(AqOpcode.GET_LINK_STATUS, AqGetLinkStatus.of(LSE=events), room=56)
    return AqLinkStatus.from_bytes(answer.data)


def cable(client: Client, up: bool) -> None:
    client.engine.events.append(("link", 0, up))
    client.firmware.service()


def test_the_link_is_up_with_a_cable(client: Client):
    found = status(client)
    assert found.LINK_UP
    assert found.LINK_SPEED == 1 << LinkSpeed.SPEED_100GB
    assert found.MAX_FRAME_SIZE == 9728


def test_the_link_is_down_without(client: Client):
    client = Client(link=False)
    found = status(client)
    assert not found.LINK_UP
    assert not found.MEDIA_AVAILABLE
    assert client.engine.last("set_link")[1] is False


def test_the_first_version_of_the_status_is_shorter(client: Client):
    answer = client.send(AqOpcode.GET_LINK_STATUS, AqGetLinkStatus.of(), room=32)
    assert len(answer.data) == 32
    client.send(AqOpcode.GET_LINK_STATUS, AqGetLinkStatus.of(), room=31, expect=AqRc.EINVAL)


def test_a_change_is_told_once_to_who_wants_to_know(client: Client):
    cable(client, False)
    assert client.events() == []
    cable(client, True)
    status(client, LinkStatusEvents.ENA)
    cable(client, False)
    cable(client, True)
    [event] = client.events()
    assert event.descriptor.OPCODE == AqOpcode.GET_LINK_STATUS
    assert not AqLinkStatus.from_bytes(event.data).LINK_UP
    status(client, LinkStatusEvents.ENA)
    cable(client, False)
    assert len(client.events()) == 1


def test_what_is_masked_is_not_told(client: Client):
    status(client, LinkStatusEvents.ENA)
    client.send(AqOpcode.SET_EVENT_MASK, AqSetEventMask.of(UPDOWN=1))
    cable(client, False)
    assert client.events() == []


def test_a_link_that_is_disabled_is_down_though_there_is_a_cable(client: Client):
    client.send(AqOpcode.RESTART_AN, AqRestartAn.of(LINK_RESTART=1))
    assert not status(client).LINK_UP
    assert status(client).MEDIA_AVAILABLE
    client.send(AqOpcode.RESTART_AN, AqRestartAn.of(LINK_RESTART=1, LINK_ENABLE=1))
    assert status(client).LINK_UP


def test_the_speed_is_that_of_the_fastest_type_left(client: Client):
    data = AqPhyConfigData.of(
        PHY_TYPE_LOW=1 << PhyType.PHY_25GBASE_SR, CAPS=PhyCaps.of(LINK=1, TX_PAUSE=1).raw
    )
    client.send(AqOpcode.SET_PHY_CFG, data=data.to_bytes())
    found = status(client)
    assert found.LINK_SPEED == 1 << LinkSpeed.SPEED_25GB
    assert (found.LINK_PAUSE_TX, found.LINK_PAUSE_RX) == (1, 0)
    assert client.engine.last("set_link") == (0, True, 25_000)
    none = AqPhyConfigData.of(PHY_TYPE_HIGH=1 << 5, CAPS=PhyCaps.of(LINK=1).raw)
    client.send(AqOpcode.SET_PHY_CFG, data=none.to_bytes(), expect=AqRc.EINVAL)


@pytest.mark.parametrize("mode", PhyReportMode)
def test_phy_capabilities_name_the_types(client: Client, mode: PhyReportMode):
    answer = client.send(AqOpcode.GET_PHY_CAPS, AqGetPhyCaps.of(REPORT_MODE=mode), room=560)
    found = AqPhyCapsData.from_bytes(answer.data[:40])
    assert found.PHY_TYPE_LOW >> PhyType.PHY_100GBASE_SR4 & 1
    assert PhyCaps(found.CAPS).LINK


def test_there_is_one_port(client: Client):
    params = AqGetPhyCaps.of(LPORT_NUM=1)
    client.send(AqOpcode.GET_PHY_CAPS, params, room=560, expect=AqRc.EINVAL)


@pytest.mark.parametrize(
    ("size", "code"), [(63, AqRc.EINVAL), (64, AqRc.OK), (9728, AqRc.OK), (9729, AqRc.EINVAL)]
)
def test_the_greatest_frame_is_between_64_and_9728_bytes(client: Client, size: int, code: AqRc):
    client.send(AqOpcode.SET_MAC_CFG, AqSetMacConfig.of(MAX_FRAME_SIZE=size), expect=code)
    if code is AqRc.OK:
        assert client.engine.last("set_max_frame") == (0, size)


def test_in_loopback_the_link_is_up_without_a_cable():
    client = Client(link=False)
    client.send(AqOpcode.SET_MAC_LB, AqSetMacLoopback.of(LB_EN=1))
    assert status(client).LINK_UP
    assert client.engine.last("set_loopback") == (0, True)


@pytest.mark.parametrize(
    ("mac", "speed"), [(bytes(5), 100_000), (b"\x01" + bytes(5), 100_000), (bytes(6), 7)]
)
def test_a_port_that_can_not_be_is_refused(mac: bytes, speed: int):
    with pytest.raises(ValueError, match="port"):
        PortSettings(mac, speed)
