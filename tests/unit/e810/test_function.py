"""The PF function: configuration space, and what passes through it."""

from typing import Any

import pytest

from siov.hw.e810.firmware import PortSettings, Settings
from siov.hw.e810.function import E810Function, build
from siov.hw.pcie.tlp import Bdf, CfgWr
from siov.spec.e810 import AqOpcode
from siov.spec.e810.queues import Queues
from siov.spec.pcie import (
    Acs,
    Ats,
    CapabilityId,
    DeviceSerialNumber,
    Express,
    ExtendedCapabilityId,
    Msix,
    Pasid,
    SrIov,
    Type0,
)

from .client import ATQ, MAC
from .fake import FakeClock, FakeEngine, FakeMemory


def make(ims: int = 0, **more: Any) -> E810Function:
    return build("nic0", (0, 0), Settings(PortSettings(MAC)), FakeEngine, FakeClock(), ims=ims, **more)


@pytest.fixture
def nic() -> E810Function:
    return make()


def test_it_is_an_e810(nic: E810Function):
    config = nic.config
    assert (config[Type0.VENDOR_ID].ID, config[Type0.DEVICE_ID].ID) == (0x8086, 0x1592)
    assert config.dump()[9:12] == bytes([0, 0, 2])


@pytest.mark.parametrize(("ims", "size"), [(0, 128 << 20), (1, 256 << 20), (16384, 256 << 20)])
def test_bar0_doubles_with_ims(ims: int, size: int):
    bars = {bar.index: bar for bar in make(ims).bars}
    assert (bars[0].size, bars[3].size) == (size, 64 << 10)
    assert all(bar.wide and bar.prefetchable for bar in bars.values())


def test_it_has_2048_vectors_in_bar3(nic: E810Function):
    assert nic.config[Msix.CONTROL].SIZE == 2047
    assert (nic.config[Msix.TABLE].BIR, nic.config[Msix.TABLE].OFFSET) == (3, 0)
    assert (nic.config[Msix.PBA].BIR, nic.config[Msix.PBA].OFFSET << 3) == (3, 0x8000)
    assert nic.msix is None


@pytest.mark.parametrize(
    "capability",
    [
        CapabilityId.PM,
        CapabilityId.MSIX,
        CapabilityId.EXPRESS,
        ExtendedCapabilityId.AER,
        ExtendedCapabilityId.ARI,
        ExtendedCapabilityId.DSN,
        ExtendedCapabilityId.SRIOV,
        ExtendedCapabilityId.ACS,
        ExtendedCapabilityId.ATS,
        ExtendedCapabilityId.PRI,
        ExtendedCapabilityId.PASID,
    ],
)
def test_it_has_the_capability(nic: E810Function, capability: CapabilityId | ExtendedCapabilityId):
    assert nic.config.find_capability(capability) is not None


def test_the_capabilities_say_what_the_device_can(nic: E810Function):
    assert nic.config[Express.DEVCAP].FLRC
    assert nic.config[Express.DEVCAP2].EETPS
    assert nic.config[Pasid.CAP].WIDTH == 20
    assert (nic.config[SrIov.TOTAL_VFS].NUM, nic.config[SrIov.VF_DEVICE_ID].ID) == (256, 0x1889)
    assert nic.config[Acs.CAP].raw == 0
    assert nic.config[Ats.CTL].E == 0


def test_the_serial_number_is_made_of_the_address(nic: E810Function):
    assert nic.config[DeviceSerialNumber.HIGH].DW == 0xB49691FF
    assert nic.config[DeviceSerialNumber.LOW].DW == 0xFFA1B2C3


def test_vfs_of_two_functions_have_routing_ids_of_their_own():
    first = make()
    other = build("nic1", (0, 1), Settings(PortSettings(MAC)), FakeEngine, FakeClock())
    offsets = [n.bdf.function + n.config[SrIov.FIRST_VF_OFFSET].NUM for n in (first, other)]
    assert offsets == [8, 264]


def test_the_engine_hears_of_every_configuration_write_and_of_its_requester_id(nic: E810Function):
    nic.receive(CfgWr(Bdf(0, 0, 0), Bdf(5, 0, 0), 0x04, b"\x06\x00", 0))
    assert nic.device.engine.last("config_changed") == (0x500,)


def test_bars_are_the_engines_the_msix_table_too(nic: E810Function):
    written: list[tuple[int, int, bytes]] = []
    nic.device.engine.bar_write = lambda *given: written.append(given)  # type: ignore[method-assign]
    nic.bar_write(3, 0x10, bytes(4))
    nic.bar_write(0, 0x1000, bytes(4))
    assert written == [(3, 0x10, bytes(4)), (0, 0x1000, bytes(4))]


def test_a_command_is_answered_when_the_write_of_the_tail_returns(nic: E810Function):
    memory = FakeMemory()
    nic.dma_read, nic.dma_write = memory.dma_read, memory.dma_write  # type: ignore[method-assign]
    memory.dma_write(ATQ, bytes(2) + int(AqOpcode.GET_VER).to_bytes(2, "little"))
    for name, value in (("ATQBAL", ATQ), ("ATQLEN", 1 << 31 | 8), ("ATQT", 1)):
        nic.bar_write(0, getattr(Queues, f"PF_FW_{name}").at, value.to_bytes(4, "little"))
    assert memory.data[ATQ] & 3 == 3


def test_a_function_level_reset_resets_the_engine_and_the_enables(nic: E810Function):
    nic.config_write(0x04, b"\x06\x00")
    at = nic.config.find_capability(CapabilityId.EXPRESS)
    assert at is not None
    nic.config_write(at + Express.DEVCTL.at, Express.DEVCTL.of(IFLR=1).to_bytes())
    assert nic.device.engine.last("reset") == ("FLR",)
    assert not nic.config[Type0.COMMAND].BME
    assert nic.device.engine.calls[-1][0] == "config_changed"


def test_without_bus_mastering_the_ring_stops(nic: E810Function):
    for name, value in (("ATQBAL", ATQ), ("ATQLEN", 1 << 31 | 8), ("ATQT", 1)):
        nic.bar_write(0, getattr(Queues, f"PF_FW_{name}").at, value.to_bytes(4, "little"))
    assert nic.firmware.inspect()["adminq"]["rings_broken"] == 1  # type: ignore[index]


def test_a_thread_serves_events_that_come_by_another_way(nic: E810Function):
    nic.device.engine.wait_events = lambda timeout: True  # type: ignore[method-assign]
    nic.device.start()
    nic.device.engine.events.append(("malicious", 0, 0, "test"))
    while not nic.firmware.malicious:
        pass
    nic.device.stop()
