"""Row 16: interrupt moderation measured against its setting, pending bits, and tails, through a device."""

import os

import pytest

from siov._core import Clock
from siov.host.vfio import IrqIndex
from siov.spec.e810.interrupts import ImsSlot

from .house import House

STEP = 1_000  # nanoseconds between turns
TIME = 10_000_000  # nanoseconds of traffic: a frame each microsecond


@pytest.fixture
def slow_house(monkeypatch):
    """Builds servers whose clock stands still until it is moved on."""
    monkeypatch.setattr("siov.platform.Clock", lambda: Clock(virtual=True))

    def build(itr: int = 0, **keys: str) -> House:
        return House.build("slow", vm1='type = "vdcm-1"', vm2=f'type = "vdcm-1", itr = {itr}', **keys).boot()

    return build


def interrupts(house: House, nanoseconds: int = TIME) -> int:
    """How many interrupts the receiver gets while a frame comes each microsecond."""
    tenants = house.platform.tenants
    sender, receiver = house.tenant("vm1"), house.tenant("vm2")
    load = {"sizes": [64], "rate": 1_000_000, "burst": 1}
    sender.loop.send(sender.seat, "generate", receiver.driver.mac, seed=0x510F, **load)
    before = tenants.results()["vm2.0"]["rings"]["interrupts"]
    for _ in range(nanoseconds // STEP):
        house.platform.clock.advance(STEP)
        house.platform.pump()
        tenants.step()
    assert house.received("vm2") >= nanoseconds // STEP * 0.9
    assert tenants.wrong == 0
    return tenants.results()["vm2.0"]["rings"]["interrupts"] - before


@pytest.mark.parametrize("itr", [50, 100, 200])
def test_the_throttling_that_a_guest_sets_is_the_time_between_its_interrupts(slow_house, itr):
    house = slow_house(itr)
    assert f"\nrx-usecs: {itr}\n" in house.ethtool("vm2", "-c")
    expected = TIME // (itr * 1000)
    assert interrupts(house) == pytest.approx(expected, rel=0.05, abs=2)


def test_without_throttling_each_frame_is_an_interrupt(slow_house):
    assert interrupts(slow_house(0), TIME // 4) == pytest.approx(TIME // 4 // STEP, rel=0.1)


def test_the_rate_limit_holds_whatever_the_throttling_allows(slow_house):
    house = slow_house(0)
    house.vsi("vm2").vectors[1].set_rate(100)
    # The bucket may hold an interrupt that is let through at once.
    assert interrupts(house) == pytest.approx(TIME // 100_000, rel=0.05, abs=2)


def pending(house: House, index: int) -> int:
    """The bit of a vector in the function's own array of pending bits."""
    at = house.pf.dev.bar(3).start + 0x8000 + index // 64 * 8
    word = house.platform.root_complex.read(at, 8)
    return int.from_bytes(word, "little") >> index % 64 & 1


def test_a_masked_vectors_bit_is_seen_pending_and_fires_and_goes_when_it_is_unmasked(slow_house):
    house = slow_house(2)
    vdev, vector = house.tenant("vm2").vdev, house.vsi("vm2").vectors[1]
    assert not vector.ims
    bell = vdev.eventfds[1]
    vdev.device.set_irqs(IrqIndex.MSIX, 1, [None])
    sender, receiver = house.tenant("vm1"), house.tenant("vm2")
    sender.loop.send(sender.seat, "generate", receiver.driver.mac, seed=0x510F, sizes=[64], count=3)
    for _ in range(50):
        house.platform.tenants.step()
        house.platform.clock.advance(STEP)
        house.platform.pump()
    assert pending(house, vector.index) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bell)
    vdev.device.set_irqs(IrqIndex.MSIX, 1, [bell.fileno()])
    house.platform.pump()
    assert pending(house, vector.index) == 0
    assert os.eventfd_read(bell) == 1, "once, however many came"


def test_a_slot_of_message_storage_has_its_own_pending_bit(slow_house):
    house = slow_house(2, more='\n[ice]\nvectors = "ims"\n')
    vdev, vector = house.tenant("vm2").vdev, house.vsi("vm2").vectors[1]
    assert vector.ims
    bell = vdev.eventfds[1]
    vdev.device.set_irqs(IrqIndex.MSIX, 1, [None])
    sender, receiver = house.tenant("vm1"), house.tenant("vm2")
    sender.loop.send(sender.seat, "generate", receiver.driver.mac, seed=0x510F, sizes=[64], count=3)
    for _ in range(50):
        house.platform.tenants.step()
        house.platform.clock.advance(STEP)
        house.platform.pump()
    word = ImsSlot.CONTROL(house.pf.hw.rd("IMS_CONTROL", vector.index))
    assert (word.MASK, word.PENDING) == (1, 1)
    vdev.device.set_irqs(IrqIndex.MSIX, 1, [bell.fileno()])
    house.platform.pump()
    word = ImsSlot.CONTROL(house.pf.hw.rd("IMS_CONTROL", vector.index))
    assert (word.MASK, word.PENDING) == (0, 0)
    assert os.eventfd_read(bell) == 1


def test_the_flat_tails_are_2048_of_8_bytes_and_those_of_the_pages():
    house = House.build("tails", vm1='type = "vdcm"', vm2='type = "vdcm"').boot()
    house.send("vm1", "vm2", "request", count=300, flows=64)
    for guest in ("vm1", "vm2"):
        vsi, vdev = house.vsi(guest), house.tenant(guest).vdev
        for n in range(4):
            flat = house.pf.hw.rd("QRX_TAIL", vsi.rxq[n])
            assert vdev.read32(0x100000 + 0x1000 * n) == flat == house.pf.hw.rd("QRX_TAIL_PAGE", vsi.rxq[n])
            flat = house.pf.hw.rd("QTX_COMM_DBELL", vsi.txq[n])
            assert vdev.read32(0x1100000 + 0x1000 * n) == flat
    used = [house.pf.hw.rd("QTX_COMM_DBELL", queue) for queue in house.vsi("vm1").txq]
    assert any(used), "the guest has sent"
