"""A driver on the PCI bus: matched, probed, given MSI-X vectors that run its handlers, and let go of."""

from errno import EINVAL, ENODEV, ENOSPC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.host.irq import FIRST_VECTOR, LAST_VECTOR, IrqVectors
from siov.host.linux import LinuxError
from siov.host.pci import PciDev, PciDriver, PciId
from siov.host.pci.dev import ANY
from siov.host.pci.msi import MsixVectors, pci_alloc_irq_vectors, pci_msix_vec_count
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.pcie import CapabilityId, Msix, Type0

SCENARIO = {
    "machine": {"cpus": 1},
    "root_port": [{"name": "rp", "at": "01.0"}],
    "function": [
        {
            "name": f"nic{n}", "behind": "rp", "at": f"00.{n}", "vendor": 0x8086, "device": 0x1592 + n,
            "subsystem_vendor": 0x1043, "subsystem": 7, "class_code": 0x020000 if n == 0 else 0x010802,
            "bars": [{"index": 0, "size": "64K", "wide": False}],
            "msix": {"vectors": 5, "bar": 0, "table": 0x1000, "pba": 0x2000},
        }
        for n in range(2)
    ] + [{"name": "plain", "at": "04.0", "device": 1, "bars": [{"index": 0, "size": "4K"}]}],
}  # fmt: skip


class Nic(PciDriver):
    """Takes three vectors and notes which were raised."""

    name = "nic"
    id_table = (PciId(0x8086, 0x1592),)

    def __init__(self, irqs: IrqVectors, vectors: int = 3) -> None:
        super().__init__()
        self.irqs = irqs
        self.wanted = vectors
        self.raised: list[int] = []
        self.log: list[str] = []
        self.vectors: MsixVectors | None = None

    def probe(self, device: PciDev) -> None:
        device.pcim_enable_device()
        device.pci_set_master()
        device.devm_add_action(self.log.append, "released")
        handlers = [lambda n=n: self.raised.append(n) for n in range(self.wanted)]
        self.vectors = pci_alloc_irq_vectors(device, self.irqs, handlers)
        self.log.append("probed")

    def remove(self, device: PciDev) -> None:
        self.log.append("removed")


@pytest.fixture
def platform() -> Platform:
    platform = build(parse(SCENARIO, "test"))
    platform.enumerate()
    platform.tracer.start(["core", "pci"])
    return platform


@pytest.fixture
def driver(platform: Platform) -> Nic:
    driver = Nic(platform.irqs)
    platform.pci.pci_register_driver(driver)
    return driver


def device(platform: Platform, name: str = "0000:01:00.0") -> PciDev:
    return platform.pci.find_device(name)


def control(dev: PciDev) -> Msix.CONTROL:
    return dev.read_config(Msix.CONTROL, dev.find_capability(CapabilityId.MSIX) + Msix.CONTROL.at)


def entry(platform: Platform, vector: int) -> tuple[int, int, bool]:
    return platform.functions["nic0"].msix.entry(vector)


# Matching and probing.


def test_the_trace_of_a_start_up_reads_from_pci_register_driver_to_probe(platform, driver):
    functions = [step.what for step in platform.tracer.steps()]
    chain = [
        "pci_register_driver", "driver_register", "bus_add_driver", "driver_attach", "__driver_attach",
        "pci_match_device", "driver_match_device", "driver_probe_device", "really_probe", "call_driver_probe",
        "driver_bound",
    ]  # fmt: skip
    places = []
    at = 0
    for name in chain:
        at = functions.index(name, at)
        places.append(at)
    assert places == sorted(places)
    assert functions[0] == "pci_register_driver"
    bound = [step for step in platform.tracer.steps() if step.what == "driver_bound"]
    assert [step.subject.rpartition("/")[2] for step in bound] == ["0000:01:00.0"]


def test_a_driver_has_the_devices_of_its_id_table_and_no_others(platform, driver):
    assert [dev.name for dev in driver.devices] == ["0000:01:00.0"]
    assert device(platform, "0000:01:00.1").driver is None


@pytest.mark.parametrize(
    ("line", "matches"),
    [
        (PciId(0x8086, 0x1592), True),
        (PciId(0x8086, ANY), True),
        (PciId(), True),
        (PciId(0x8087, 0x1592), False),
        (PciId(0x8086, 0x1593), False),
        (PciId(0x8086, 0x1592, 0x1043, 7), True),
        (PciId(0x8086, 0x1592, 0x1043, 8), False),
        (PciId(0x8086, 0x1592, 0x1044, 7), False),
        (PciId(class_code=0x020000, class_mask=0xFF0000), True),
        (PciId(class_code=0x02FF00, class_mask=0xFF0000), True),
        (PciId(class_code=0x030000, class_mask=0xFF0000), False),
        (PciId(class_code=0x010802, class_mask=0xFFFFFF), False),
    ],
)
def test_an_id_table_s_line_matches_by_ids_and_by_the_class_bits_it_names(platform, line, matches):
    assert line.matches(device(platform)) is matches


# Vectors.


def test_the_number_of_vectors_is_the_table_s_size(platform):
    assert pci_msix_vec_count(device(platform)) == 5


@pytest.mark.parametrize("vector", [0, 1, 2])
def test_a_vector_that_the_function_raises_runs_its_handler_and_no_other(platform, driver, vector):
    platform.functions["nic0"].msix.trigger(vector)
    assert driver.raised == [vector]
    assert dict(platform.irqs.interrupts())[f"0000:01:00.0-{vector}"] == 1
    assert sum(count for _, count in platform.irqs.interrupts()) == 1
    assert platform.irqs.spurious == 0


def test_the_table_is_filled_with_each_vector_s_message_and_the_rest_stays_masked(platform, driver):
    for n, irq in enumerate(driver.vectors.irqs):
        assert entry(platform, n) == (irq.address, irq.data, False)
    assert [entry(platform, n)[2] for n in (3, 4)] == [True, True]
    assert len({irq.data for irq in driver.vectors.irqs}) == 3


def test_msix_is_on_and_the_function_mask_off_after_the_set_up(platform, driver):
    assert (control(device(platform)).EN, control(device(platform)).MASK) == (1, 0)


def test_the_table_is_filled_while_the_function_is_masked(platform):
    dev, seen = device(platform), []
    write_bar = dev.write_bar
    dev.write_bar = lambda *args: (seen.append((control(dev).EN, control(dev).MASK)), write_bar(*args))[1]
    platform.pci.pci_register_driver(Nic(platform.irqs))
    assert set(seen) == {(1, 1)}


def test_a_vector_beyond_those_given_out_is_pending_and_runs_nothing(platform, driver):
    platform.functions["nic0"].msix.trigger(4)
    assert driver.raised == []
    assert platform.functions["nic0"].msix.pending == 1 << 4


def test_a_masked_vector_runs_its_handler_when_the_mask_goes(platform, driver):
    driver.vectors.mask(1)
    platform.functions["nic0"].msix.trigger(1)
    assert driver.raised == []
    driver.vectors.mask(1, False)
    assert driver.raised == [1]


def test_a_handler_that_masks_and_unmasks_its_own_vector_runs_once(platform, driver):
    def handler() -> None:
        driver.raised.append(9)
        driver.vectors.mask(0)
        driver.vectors.mask(0, False)

    irq = driver.vectors.irqs[0]
    platform.irqs.actions[irq] = ("handler", handler)
    platform.functions["nic0"].msix.trigger(0)
    assert driver.raised == [9]


# Letting go.


def test_unbinding_frees_the_vectors_masks_the_table_and_switches_msix_off(platform, driver):
    assert len(platform.irqs.actions) == 3
    driver.unregister()
    dev = device(platform)
    assert platform.irqs.actions == {}
    assert platform.irqs.counts == {}
    assert control(dev).EN == 0
    assert all(entry(platform, n)[2] for n in range(5))
    assert dev.read_config(Type0.COMMAND).BME == 0
    assert dev.enabled == 0
    assert not dev.devres
    platform.functions["nic0"].msix.trigger(0)
    assert driver.raised == []


def test_resources_are_released_after_remove_the_newest_first(platform, driver):
    driver.unregister()
    assert driver.log == ["probed", "removed", "released"]


def test_a_freed_vector_is_given_out_again(platform, driver):
    before = list(driver.vectors.irqs)
    driver.unregister()
    again = Nic(platform.irqs)
    platform.pci.pci_register_driver(again)
    assert again.vectors.irqs == before
    platform.functions["nic0"].msix.trigger(2)
    assert (again.raised, driver.raised) == ([2], [])


def test_a_probe_that_asks_for_more_vectors_than_there_are_fails_and_leaves_nothing(platform):
    driver = Nic(platform.irqs, vectors=6)
    platform.pci.pci_register_driver(driver)
    dev = device(platform)
    assert dev.driver is None
    assert dev.probe_error.errno == ENOSPC
    assert "0000:01:00.0 has 5 MSI-X vectors; 6 were asked for" in str(dev.probe_error)
    assert (platform.irqs.actions, dev.enabled, bool(dev.devres)) == ({}, 0, False)
    assert control(dev).EN == 0


def test_when_the_cpu_s_vectors_run_out_half_way_those_taken_are_given_back(platform):
    total = LAST_VECTOR - FIRST_VECTOR + 1
    for n in range(total - 2):
        platform.irqs.request_irq(lambda: None, f"other-{n}")
    driver = Nic(platform.irqs)
    platform.pci.pci_register_driver(driver)
    assert device(platform).probe_error.errno == ENOSPC
    assert len(platform.irqs.actions) == total - 2
    assert all(entry(platform, n)[2] for n in range(5))
    assert control(device(platform)).EN == 0


def test_a_device_without_msix_is_refused(platform):
    plain = device(platform, "0000:00:04.0")
    with pytest.raises(LinuxError, match=r"0000:00:04\.0 has no MSI-X capability") as refusal:
        pci_msix_vec_count(plain)
    assert refusal.value.errno == ENODEV


def test_a_table_in_a_bar_without_an_address_is_refused(platform):
    dev = device(platform)
    dev.bar(0).start = None
    with pytest.raises(LinuxError, match="the MSI-X table is in BAR 0, which has no address") as refusal:
        pci_alloc_irq_vectors(dev, platform.irqs, [lambda: None])
    assert refusal.value.errno == EINVAL
    assert platform.irqs.actions == {}


# The CPU's vectors.


def test_vectors_are_spread_over_the_cpus_and_each_message_names_its_cpu():
    irqs = IrqVectors(cpus=3)
    given = [irqs.request_irq(lambda: None, f"{n}") for n in range(6)]
    assert [irq.cpu for irq in given] == [0, 1, 2, 0, 1, 2]
    assert {irq.vector for irq in given} == {FIRST_VECTOR, FIRST_VECTOR + 1}
    assert [irq.address for irq in given[:3]] == [0xFEE0_0000, 0xFEE0_1000, 0xFEE0_2000]


@given(st.lists(st.integers(-1, 40), max_size=120))
def test_the_next_vector_is_the_lowest_free_one_of_the_first_cpu_with_most_left(steps):
    irqs, have = IrqVectors(cpus=3), set()
    for step in steps:
        if step >= 0 and have:
            gone = sorted(have, key=lambda irq: (irq.cpu, irq.vector))[step % len(have)]
            have.discard(gone)
            irqs.free_irq(gone)
            continue
        load = [sum(irq.cpu == cpu for irq in have) for cpu in range(3)]
        cpu = load.index(min(load))
        taken = {irq.vector for irq in have if irq.cpu == cpu}
        got = irqs.request_irq(lambda: None, "one")
        assert (got.cpu, got.vector) == (cpu, next(n for n in range(FIRST_VECTOR, 256) if n not in taken))
        have.add(got)
    assert set(irqs.actions) == have


def test_a_message_runs_the_handler_of_its_cpu_and_vector():
    irqs, ran = IrqVectors(cpus=2), []
    for n in range(4):
        irqs.request_irq(lambda n=n: ran.append(n), f"{n}")
    for irq in list(irqs.actions)[::-1]:
        irqs.deliver(irq.address, irq.data)
    assert ran == [3, 2, 1, 0]


def test_a_message_nobody_asked_for_is_counted_as_spurious():
    irqs = IrqVectors()
    irqs.deliver(0xFEE0_0000, 0x55)
    irqs.deliver(0xFEE0_5000, FIRST_VECTOR)
    assert irqs.spurious == 2


def test_the_vectors_of_a_cpu_end_before_the_system_s_own():
    irqs = IrqVectors()
    given = [irqs.request_irq(lambda: None, f"{n}") for n in range(LAST_VECTOR - FIRST_VECTOR + 1)]
    assert (given[0].vector, given[-1].vector) == (0x20, 0xEF)
    with pytest.raises(
        LinuxError, match="no interrupt vector is left for more: all 208 are taken"
    ) as refusal:
        irqs.request_irq(lambda: None, "more")
    assert refusal.value.errno == ENOSPC


@pytest.mark.parametrize("data", [b"\xff" * 4, b"\xff" * 8, b"", b"\x20"])
def test_a_device_may_write_anything_to_the_interrupt_range_and_raises_no_exception(platform, data):
    function = platform.functions["nic0"]
    dev = device(platform)
    dev.pci_enable_device()
    dev.pci_set_master()
    function.dma_write(0xFEE0_0000, data)
    function.dma_write(0xFEEF_FFFE, data)
    assert list(platform.irqs.interrupts()) == []
