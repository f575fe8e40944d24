"""A server that runs: the CPU's way to its NICs' registers, the threads, and interrupts past the host."""

import os
import threading
from errno import EBUSY, EINVAL, ENODEV, ENOSPC

import pytest

from siov.host.irq import FIRST_VECTOR, ImsDomain, Irq, IrqVectors
from siov.host.linux import LinuxError
from siov.host.pci import PciDev
from siov.host.pci.iomem import IoMem
from siov.host.pci.msi import pci_alloc_irq_vectors
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.e810 import Interrupts, Pages
from siov.spec.e810.statistics import Statistics
from siov.spec.pcie import CapabilityId, Express, Type0, Type1

SCENARIO = {
    "iommu": {},
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {"name": "nic0", "behind": "rp0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01", "ims": 16}}
    ],
}
# A register that keeps what is written.
SCRATCH = Interrupts.GLINT_ITR.at
PATIENCE = 30


@pytest.fixture
def platform() -> Platform:
    platform = build(parse(SCENARIO, "test"))
    platform.enumerate()
    return platform


@pytest.fixture
def dev(platform: Platform) -> PciDev:
    dev = platform.pci.find_device("0000:01:00.0")
    dev.pci_enable_device()
    dev.pci_set_master()
    return dev


@pytest.fixture
def io(dev: PciDev) -> IoMem:
    io = dev.iomap(0)
    io.writel(SCRATCH, 25)
    return io


# The CPU's way to the registers.


def test_registers_answer_the_same_by_the_short_way_and_by_packets(platform, io):
    tlps: list[object] = []
    assert (io.size, io.readl(SCRATCH)) == (256 << 20, 25)
    platform.root_complex.trace = lambda _, tlp: tlps.append(tlp)
    assert io.readl(SCRATCH) == 25
    io.writel(SCRATCH, 26)
    platform.root_complex.trace = None
    assert io.readl(SCRATCH) == 26
    assert len(tlps) == 3  # a read, its completion, a posted write
    assert io.readq(Statistics.GLV_GORC.at) == 0


@pytest.mark.parametrize("where", ["function", "port", "window", "bar"])
def test_a_closed_way_leads_to_nobody_until_it_is_open_again(platform, dev, io, where):
    port = platform.pci.find_device("0000:00:01.0")
    word, at, closed, owner = {
        "function": (Type0.COMMAND, Type0.COMMAND.at, Type0.COMMAND.of(MSE=0), dev),
        "port": (Type0.COMMAND, Type0.COMMAND.at, Type0.COMMAND.of(MSE=0), port),
        "window": (Type1.PREF_LIMIT_HIGH, Type1.PREF_LIMIT_HIGH.at, Type1.PREF_LIMIT_HIGH.of(LIMIT=0), port),
        "bar": (Type1.PREF_LIMIT_HIGH, 0x14, Type1.PREF_LIMIT_HIGH.of(LIMIT=0x41), dev),
    }[where]
    open_again = owner.read_config(word, at)
    owner.write_config(closed, at)
    assert io.readl(SCRATCH) == 0xFFFF_FFFF
    io.writel(SCRATCH, 26)
    owner.write_config(open_again, at)
    assert io.readl(SCRATCH) == 25


def test_a_function_level_reset_takes_the_registers_away_at_once(platform, dev, io):
    at = dev.find_capability(CapabilityId.EXPRESS) + Express.DEVCTL.at
    dev.write_config(dev.read_config(Express.DEVCTL, at).replace(IFLR=1), at)
    assert io.readl(SCRATCH) == 0xFFFF_FFFF


def test_an_access_past_the_end_of_a_bar_reaches_nobody(io):
    assert io.readl(io.size) == 0xFFFF_FFFF
    assert io.readq(io.size - 4) == 0xFFFF_FFFF_FFFF_FFFF
    assert io.readl(Pages.spans["INT"].at) == 0


# Threads.


def vector_that_runs(platform: Platform, dev: PciDev, handler) -> IoMem:
    """An interrupt that software triggers by the register that is given back."""
    pci_alloc_irq_vectors(dev, platform.irqs, [handler])
    return dev.iomap(0)


def trigger(io: IoMem, vector: int = 0) -> None:
    ctl = Interrupts.GLINT_DYN_CTL
    io.writel(ctl.at + 4 * vector, ctl.of(INTENA=1, SWINT_TRIG=1, SW_ITR_INDX_ENA=1, SW_ITR_INDX=3).raw)


def test_without_threads_handlers_run_on_the_thread_that_causes_the_interrupt(platform, dev):
    ran: list[int] = []
    trigger(vector_that_runs(platform, dev, lambda: ran.append(threading.get_ident())))
    platform.pump()
    assert ran == [threading.get_ident()]


def test_with_threads_handlers_run_on_the_hosts_own_and_stop_leaves_none(platform, dev):
    before, ran, done = set(threading.enumerate()), [], threading.Event()

    def handler() -> None:
        ran.append(threading.current_thread().name)
        done.set()

    io = vector_that_runs(platform, dev, handler)
    with platform:
        assert platform.inspect("host/threads/running") is True
        trigger(io)
        assert done.wait(PATIENCE)
        assert platform.pump() == 0  # is the threads' work now
    assert ran == ["host-interrupts"]
    assert set(threading.enumerate()) == before
    assert platform.inspect("host/threads/running") is False


def test_a_handler_that_fails_is_told_and_the_next_interrupt_is_served(platform, dev, caplog):
    done, calls = threading.Event(), []

    def handler() -> None:
        calls.append(1)
        if len(calls) == 1:
            trigger(io)
            raise RuntimeError("a bug in a driver")
        done.set()

    io = vector_that_runs(platform, dev, handler)
    with platform:
        trigger(io)
        assert done.wait(PATIENCE)
    assert [str(why) for why in platform.threads.failures] == ["a bug in a driver"]
    assert "a handler of the host's interrupts failed" in caplog.text


def test_a_server_starts_again_after_it_was_stopped(platform, dev):
    done = threading.Event()
    io = vector_that_runs(platform, dev, done.set)
    for _ in range(3):
        done.clear()
        with platform:
            platform.start()  # runs already
            trigger(io)
            assert done.wait(PATIENCE)


# Vectors one at a time.


def test_vectors_of_the_table_are_taken_and_given_back_one_at_a_time(platform, dev):
    ran: list[str] = []
    vectors = pci_alloc_irq_vectors(dev, platform.irqs, [lambda: None])
    assert vectors.available == 2047
    assert vectors.alloc_irq_at(None, lambda: ran.append("one"), "one") == 1
    assert vectors.alloc_irq_at(2047, lambda: ran.append("last"), "last") == 2047
    with pytest.raises(LinuxError, match="MSI-X vector 1 is in use") as error:
        vectors.alloc_irq_at(1, lambda: None, "again")
    assert error.value.errno == EBUSY
    with pytest.raises(LinuxError, match="vectors 0 to 2047; there is no vector 2048") as error:
        vectors.alloc_irq_at(2048, lambda: None, "too far")
    assert error.value.errno == EINVAL
    io = dev.iomap(0)
    trigger(io, 2047)
    trigger(io, 1)
    platform.pump()
    assert ran == ["last", "one"]
    vectors.free_irq(1)
    trigger(io, 1)
    platform.pump()
    assert ran == ["last", "one"]
    assert len(vectors.irqs) == 2
    with pytest.raises(LinuxError, match="vector 1 is not in use"):
        vectors.free_irq(1)


class Slots:
    """A device's storage, written by the domain."""

    def __init__(self) -> None:
        self.messages: dict[int, tuple[int, int]] = {}
        self.masked: dict[int, bool] = {}

    def write(self, slot: int, address: int, data: int) -> None:
        self.messages[slot] = address, data

    def mask(self, slot: int, masked: bool) -> None:
        self.masked[slot] = masked


def test_slots_of_message_storage_are_given_out_once_and_masked_when_given_back():
    slots, irqs = Slots(), IrqVectors(2)
    domain = ImsDomain("nic", 0x100, irqs, 2, slots.write, slots.mask)
    (first, one), (second, other) = (domain.alloc_irq(lambda: None, name) for name in ("a", "b"))
    assert {first, second} == {0, 1}
    assert domain.available == 0
    assert slots.messages == {first: (one.address, one.data), second: (other.address, other.data)}
    assert slots.masked == {0: False, 1: False}
    with pytest.raises(LinuxError, match="nic: all 2 slots of interrupt message storage are taken") as error:
        domain.alloc_irq(lambda: None, "c")
    assert error.value.errno == ENOSPC
    domain.free_irq(first)
    assert slots.masked[first] is True
    assert one not in irqs.actions
    with pytest.raises(LinuxError, match="slot 0 is not in use"):
        domain.free_irq(first)
    assert domain.alloc_irq(lambda: None, "d")[0] == first


def test_a_slot_is_not_lost_when_the_cpus_have_no_vector_left():
    irqs, domain = IrqVectors(1), None
    slots = Slots()
    domain = ImsDomain("nic", 0x100, irqs, 4, slots.write, slots.mask)
    while True:
        try:
            irqs.request_irq(lambda: None, "other")
        except LinuxError:
            break
    with pytest.raises(LinuxError, match="no interrupt vector is left"):
        domain.alloc_irq(lambda: None, "late")
    assert domain.available == 4


# Interrupts past the host.


def test_an_interrupt_goes_to_an_eventfd_instead_of_its_handler_until_it_is_let_go(platform, dev):
    ran: list[int] = []
    vectors = pci_alloc_irq_vectors(dev, platform.irqs, [lambda: ran.append(1)])
    io, fd = dev.iomap(0), os.eventfd(0, os.EFD_NONBLOCK)
    try:
        platform.irqs.connect(vectors.irqs[0], fd)
        trigger(io)
        platform.pump()
        assert (os.eventfd_read(fd), ran) == (1, [])
        platform.irqs.connect(vectors.irqs[0], None)
        trigger(io)
        platform.pump()
        assert ran == [1]
        with pytest.raises(BlockingIOError):
            os.eventfd_read(fd)
    finally:
        os.close(fd)


def test_what_is_no_eventfd_is_refused_and_a_freed_interrupt_lets_its_eventfd_go(platform, dev, tmp_path):
    vectors = pci_alloc_irq_vectors(dev, platform.irqs, [lambda: None])
    with (tmp_path / "plain").open("w") as plain, pytest.raises(LinuxError, match="can't take") as error:
        platform.irqs.connect(vectors.irqs[0], plain.fileno())
    assert error.value.errno == EINVAL
    fd = os.eventfd(0)
    try:
        number = vectors.alloc_irq_at(None, lambda: None, "guest")
        platform.irqs.connect(vectors.given[number], fd)
        assert platform.root_complex.core.inspect()["connected"] == 1
        vectors.free_irq(number)
        assert platform.root_complex.core.inspect()["connected"] == 0
    finally:
        os.close(fd)


def test_a_host_without_a_bypass_says_so():
    with pytest.raises(LinuxError, match="nothing here signals eventfds") as error:
        IrqVectors().connect(Irq(0, FIRST_VECTOR), 0)
    assert error.value.errno == ENODEV
