"""Interrupts, calls into virtual devices, the host's accesses: seen by who listens, and not disturbed."""

import pytest

from siov.host.irq import IrqVectors
from siov.host.linux import LinuxError, TraceEvent
from siov.observe.trace import ConfigWindow, InterruptSource, Kind, MmioTap, Tracer, VfioSource
from siov.observe.trace.host import kind_of
from siov.observe.trace.names import find
from siov.spec.e810 import Bar0
from siov.spec.pcie.header import CommonHeader
from siov.spec.word import RW, RegisterBlock, Word, bit


@pytest.fixture
def tracer():
    return Tracer(lambda: 0)


def told(tracer):
    return [(step.depth, step.kind, step.what, step.subject, step.detail) for step in tracer.steps()]


@pytest.mark.parametrize(
    ("function", "module", "kind"),
    [
        ("device_add", "siov.host.core", Kind.CORE),
        ("device_release_driver", "siov.host.dd", Kind.CORE),
        ("ice_vdcm_init", "", Kind.ICE),
        ("cfg_pasid", "siov.drivers.ice.adi", Kind.ICE),
        ("pci_register_driver", "", Kind.PCI),
        ("pcim_enable_device", "siov.host.pci.dev", Kind.PCI),
        ("mdev_device_create", "siov.host.mdev.core", Kind.MDEV),
        ("remove_store", "siov.host.mdev.core", Kind.MDEV),
        ("vfio_mdev_probe", "siov.host.mdev.device", Kind.VFIO),
        ("kernfs_fop_write_iter", "siov.host.sysfs", Kind.SYSFS),
    ],
)
def test_a_function_belongs_to_the_part_that_its_name_or_its_module_says(function, module, kind):
    assert kind_of(function, module) is kind


# Interrupts.


def test_an_interrupt_has_the_name_of_its_handler_and_what_that_does_is_part_of_it(tracer):
    irqs, ran = IrqVectors(), []

    def handler():
        tracer(Kind.ICE, "nic0", "ice_misc_intr")
        ran.append(True)

    irq = irqs.request_irq(handler, "ice-misc")
    tracer.add(InterruptSource(irqs))
    irqs.interrupt(irq.cpu, irq.vector)
    tracer.start()
    irqs.interrupt(irq.cpu, irq.vector)
    tracer.stop()
    irqs.interrupt(irq.cpu, irq.vector)
    assert told(tracer) == [
        (0, Kind.INTERRUPT, "interrupt", "ice-misc", f"cpu0 vector {irq.vector:#x}"),
        (1, Kind.ICE, "ice_misc_intr", "nic0", ""),
    ]
    assert len(ran) == 3
    assert dict(irqs.interrupts()) == {"ice-misc": 3}


# Virtual devices.


class Ops:
    """A virtual device that keeps what it was asked."""

    def __init__(self):
        self.zap = None
        self.calls = []

    def open_device(self, pasid):
        self.calls.append(("open", pasid))

    def read(self, index, offset, size):
        return bytes([index, offset] + [0] * (size - 2))

    def write(self, index, offset, data):
        raise LinuxError(22, "no")

    def set_irqs(self, index, start, fds):
        self.calls.append(("irqs", index, start, list(fds)))

    def mmap(self, index, offset):
        return 0x4000_0000 + offset

    def region(self, index):
        return f"region {index}"


class DeviceBar0(RegisterBlock, size=16, ref="ours"):
    """What a device has in BAR 0."""

    class VSI_NUM(Word, width=32, at=8, ref="ours"):
        """A register."""

        ENABLE = bit(0, "on", RW)
        OTHER = bit(1, "other", RW)


class Mdev:
    def __init__(self, name, ops=None):
        self.name, self.ops = name, ops


def test_calls_into_a_virtual_device_are_told_and_their_outcome_is_the_devices(tracer):
    ops = Ops()
    mdev = Mdev("83b8f4f2", ops)
    tracer.add(VfioSource(lambda: [mdev], {0x0207: DeviceBar0}))
    tracer.start(["vfio"])
    mdev.ops.open_device(17)
    assert mdev.ops.read(7, 2, 2) == b"\x07\x02"
    assert mdev.ops.mmap(0, 4096) == 0x4000_1000
    with pytest.raises(LinuxError, match="no"):
        mdev.ops.write(0, 8, b"\x01\0\0\0")
    mdev.ops.set_irqs(2, 0, [5, None, 6])
    assert mdev.ops.region(0) == "region 0"
    assert isinstance(mdev.ops, Ops)
    mdev.ops.zap = print
    assert ops.zap is print
    assert ops.calls == [("open", 17), ("irqs", 2, 0, [5, None, 6])]
    assert [(what, detail) for _, _, what, _, detail in told(tracer)] == [
        ("open_device", "PASID 17"),
        ("read", "CONFIG DEVICE_ID = 0x207"),
        ("mmap", "BAR0 0x1000 -> 0x40001000"),
        ("write", "BAR0 VSI_NUM = 0x1 ENABLE=1"),
        ("set_irqs", "MSIX 0 to 2, 1 of them off"),
    ]
    tracer.stop()
    assert mdev.ops is ops


def test_a_virtual_device_made_later_is_seen_from_its_probe_on(tracer):
    devices = []
    source = VfioSource(lambda: devices)
    tracer.add(source)
    tracer.start()
    devices.append(Mdev("new", Ops()))
    source.saw(TraceEvent("vfio_mdev_probe", "devices/new"))
    devices[0].ops.open_device(1)
    assert [step.subject for step in tracer.steps()] == ["new"]


def test_a_virtual_device_without_operations_stays_without(tracer):
    mdev = Mdev("none")
    tracer.add(VfioSource(lambda: [mdev]))
    tracer.start()
    tracer.stop()
    assert mdev.ops is None


# Accesses.


class Memory:
    """Addresses with bytes behind them."""

    def __init__(self):
        self.bytes = bytearray(0x10_0000)

    def read(self, address, size):
        return bytes(self.bytes[address : address + size])

    def write(self, address, data):
        self.bytes[address : address + len(data)] = data


class Broken:
    """A window that can't look."""

    name, base, size, kinds = "broken", 0x1000, 0x1000, frozenset({Kind.REGISTER})

    def begin(self):
        pass

    def before_write(self, emit, at, data, caller):
        raise KeyError(at)

    after_read = before_write


def test_what_breaks_in_looking_reaches_nobody_and_is_counted(tracer):
    tap = MmioTap(Memory())
    tap.add(Broken())
    tracer.add(tap)
    tracer.start()
    tap.write(0x1004, b"abcd")
    assert tap.read(0x1004, 4) == b"abcd"
    assert tap.errors == 2


def test_memory_that_is_in_no_window_is_not_told(tracer):
    tap = MmioTap(Memory())
    tap.add(ConfigWindow(0x2000, 0x1000, str))
    tracer.add(tap)
    tracer.start()
    for address in (0, 0x1FFC, 0x3000, 0x8000):
        tap.write(address, b"\1\2\3\4")
        tap.read(address, 4)
    assert tracer.steps() == []


def test_configuration_cycles_have_the_function_and_the_registers_name(tracer):
    tap = MmioTap(Memory())
    tap.add(ConfigWindow(0, 0x10_0000, lambda rid: f"{rid >> 3:02x}.{rid & 7}"))
    tracer.add(tap)
    tracer.start()
    tap.write((5 << 12) + CommonHeader.COMMAND.at, b"\x06\0")
    tap.read((5 << 12) + 0x40, 4)
    lines = [(step.what, step.subject, step.detail) for step in tracer.steps()]
    assert lines == [
        ("write", "00.5", "COMMAND = 0x6 MSE=1 BME=1"),
        ("read", "00.5", "0x40 = 0x0"),
    ]


def test_a_window_that_is_taken_away_is_looked_at_no_more(tracer):
    tap = MmioTap(Memory())
    tap.add(ConfigWindow(0x1000, 0x1000, str, name="one"))
    tap.add(ConfigWindow(0x2000, 0x1000, str, name="two"))
    tracer.add(tap)
    tracer.start()
    tap.remove("one")
    tap.read(0x1000, 4)
    tap.read(0x2000, 4)
    assert len(tracer.steps()) == 1


def test_every_register_of_bar_0_is_found_at_its_own_offset():
    for name, span in Bar0.spans.items():
        for n in {0, span.count - 1}:
            found = find(Bar0, span.at + n * span.stride)
            assert found is not None
            assert found.name.startswith(name)
            assert found.place[:1] == ((n,) if span.count > 1 else ())
    assert find(Bar0, Bar0.size - 4) is None
