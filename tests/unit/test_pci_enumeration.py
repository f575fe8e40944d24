"""The host finds every function of any tree, numbers its buses and gives out addresses that work."""

from collections import Counter
from errno import EINVAL
from itertools import combinations, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siov.host.linux import LinuxError
from siov.host.pci import Firmware, HostWindow, PciDev, pci_host_probe
from siov.host.pci.probe import HostBridge
from siov.host.pci.resource import Resource
from siov.hw.pcie.function import Function
from siov.hw.pcie.port import Port
from siov.hw.pcie.root_complex import Window, WindowKind
from siov.platform import ECAM_BASE, Platform, build
from siov.scenario import parse
from siov.spec.pcie import Type0, Type1
from siov.spec.pcie.header import RomBar

MIB, GIB = 1 << 20, 1 << 30


def machine(scenario: dict) -> Platform:
    return build(parse(scenario, "test"))


def enumerated(scenario: dict) -> tuple[Platform, HostBridge]:
    platform = machine(scenario)
    return platform, platform.enumerate()


def named(platform: Platform, bridge: HostBridge, name: str) -> PciDev:
    """The host's device for a function of the scenario, by its routing id."""
    function = platform.functions[name]
    return next(dev for dev in bridge.devices() if dev.rid == int(function.bdf))


def port(number: int, name: str | None = None) -> dict:
    return {"name": name or f"rp{number}", "at": f"{number + 1:02x}.0"}


def bar(index: int = 0, size: object = "64K", **more: object) -> dict:
    return {"index": index, "size": size, **more}


# Random trees.


@st.composite
def bars(draw, smallest: int = 4, largest: int = 30) -> list[dict]:
    found, index = [], 0
    for _ in range(draw(st.integers(0, 4))):
        index += draw(st.integers(0, 1))
        wide = draw(st.booleans())
        if index + wide > 5:
            break
        size = 1 << draw(st.integers(smallest, largest))
        found.append(bar(index, size, wide=wide, prefetchable=draw(st.booleans())))
        index += 1 + wide
    return found


@st.composite
def device(draw, behind: str | None, at: int, number: list[int]) -> list[dict]:
    """One to five functions of one device, the first at function 0."""
    places = [0, *sorted(draw(st.sets(st.integers(1, 7), max_size=draw(st.sampled_from([0, 0, 2, 4])))))]
    ari = draw(st.booleans())
    found = []
    for place in places:
        number[0] += 1
        function = {
            "name": f"f{number[0]}", "at": f"{at:02x}.{place}", "device": number[0], "ari": ari,
            "bars": draw(bars()), "rom": draw(st.sampled_from([0, 0, 0, 2048, 1 << 16, 1 << 24])),
        }  # fmt: skip
        if behind is not None:
            function["behind"] = behind
        if draw(st.integers(0, 3)) == 0:
            function["sriov"] = {"vfs": draw(st.integers(1, 20)), "bars": draw(bars(12, 24))}
        found.append(function)
    return found


@st.composite
def scenarios(draw) -> dict:
    number = [0]
    root_ports, switches, functions = [], [], []

    def below(name: str, depth: int) -> None:
        kind = draw(st.sampled_from(["device", "device", "switch", "switch", "nothing"]))
        if kind == "device" or (kind == "switch" and depth == 3):
            functions.extend(draw(device(name, 0, number)))
        elif kind == "switch":
            switch = {"name": f"s{len(switches)}", "behind": name, "ports": draw(st.integers(1, 3))}
            switches.append(switch)
            for n in range(switch["ports"]):
                below(f"{switch['name']}.{n}", depth + 1)

    slots = draw(st.permutations(range(1, 9)))
    for slot in slots[: draw(st.integers(0, 3))]:
        for place in [0, 1, 4][: draw(st.sampled_from([1, 1, 2, 3]))]:
            name = f"rp{slot}.{place}"
            root_ports.append({"name": name, "at": f"{slot:02x}.{place}"})
            below(name, 0)
    for slot in slots[4 : 4 + draw(st.integers(0, 2))]:
        functions.extend(draw(device(None, slot, number)))
    return {
        "machine": {
            "mmio32": draw(st.sampled_from(["16M", "300M", "960M"])),
            "mmio64": draw(st.sampled_from([0, "1G", "3G", "256G"])),
        },
        "root_port": draw(st.permutations(root_ports)), "switch": switches, "function": functions,
    }  # fmt: skip


class Recorder:
    """What lies behind a function's BARs: it notes every write, and whose it was."""

    def __init__(self, name: str, heard: list) -> None:
        self.name, self.heard = name, heard

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        return bytes(size)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        self.heard.append((self.name, bar, offset, data))

    def reset(self) -> None:
        pass


def span(resource: Resource) -> tuple[int, int]:
    assert resource.start is not None
    return resource.start, resource.start + resource.size


def assert_disjoint(resources: list[Resource]) -> None:
    spans = sorted(span(resource) for resource in resources if resource.start is not None)
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start


def check_bus(devices: list[PciDev], inside: list[tuple[int, int, str]], platform: Platform) -> None:
    """A bus and everything below: `inside` are the first, the end and the kind of the windows above it."""
    assert_disjoint([r for dev in devices for r in (*dev.resources, *dev.windows)])
    for dev in devices:
        for resource in (*dev.resources, *dev.windows):
            if resource.start is None:
                assert resource in dev.resources, "a window is as large as what fits into it"
                continue
            start, end = span(resource)
            homes = [kind for first, last, kind in inside if first <= start and end <= last]
            assert len(homes) == 1
            if homes[0] == "prefetchable":
                assert resource.prefetchable
                assert resource.wide
            if not resource.wide:
                assert end <= 1 << 32
            if resource in dev.resources:
                unit = resource.size if "VF" not in resource.name else resource.align
                assert start % unit == 0
            else:
                assert start % MIB == 0
                assert end % MIB == 0
        windows = [(*span(w), w.name) for w in dev.windows]
        if dev.is_bridge:
            hardware = next(f for f in platform.root_complex.functions() if int(f.bdf) == dev.rid)
            assert sorted(hardware.windows()) == sorted((start, end - 1) for start, end, _ in windows)
            check_bus(dev.below, windows, platform)


def check_numbers(devices: list[PciDev], bus: int, last: int) -> None:
    """Buses below bridges are inside of those of the bridge above, and siblings share none."""
    taken: set[int] = set()
    for dev in devices:
        assert dev.rid >> 8 == bus
        if dev.is_bridge:
            primary = dev.read_config(Type1.PRIMARY_BUS).NUM
            secondary = dev.read_config(Type1.SECONDARY_BUS).NUM
            subordinate = dev.read_config(Type1.SUBORDINATE_BUS).NUM
            if secondary == 0:  # no number was left
                assert (primary, subordinate, dev.below) == (0, 0, [])
                continue
            assert primary == bus < secondary <= subordinate <= last
            mine = set(range(secondary, subordinate + 1))
            assert not mine & taken
            taken |= mine
            check_numbers(dev.below, secondary, subordinate)
            assert {d.rid >> 8 for d in dev.below} <= {secondary}


@given(scenarios())
@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
def test_any_tree_is_found_whole_and_every_address_given_out_works(scenario):
    platform, bridge = enumerated(scenario)
    devices = list(bridge.devices())
    hardware = {int(function.bdf): function for function in platform.root_complex.functions()}

    # Found whole.
    assert Counter(dev.rid for dev in devices) == Counter(hardware.keys())
    assert len(devices) == len(platform.root_complex.functions())
    wanted = Counter(spec["device"] for spec in scenario["function"])
    assert Counter(dev.device for dev in devices if not dev.is_bridge) == wanted
    specs = {spec["device"]: spec for spec in scenario["function"]}
    for dev in devices:
        if not dev.is_bridge:
            assert platform.functions[specs[dev.device]["name"]] is hardware[dev.rid]
            check_sizes(dev, specs[dev.device])
    check_numbers(bridge.root, 0, 255)

    # Addresses do not collide and fit.
    windows = [(w.base, w.base + w.size, "host") for w in platform.firmware.windows]
    check_bus(bridge.root, windows, platform)
    assert_disjoint([r for dev in devices for r in dev.resources])

    # What has none is reported and stays off.
    missing = [(dev, r) for dev in devices for r in dev.resources if r.start is None]
    assert len(bridge.reports) == len(missing)
    for dev, resource in missing:
        assert any(
            s.startswith(f"{resource.name} of {dev.name}: {resource.size:#x} ") for s in bridge.reports
        )
    off = {dev for dev, resource in missing if not resource.optional}
    for dev in off:
        with pytest.raises(LinuxError, match="could not be assigned") as refusal:
            dev.pci_enable_device()
        assert refusal.value.errno == EINVAL
        assert dev.read_config(Type0.COMMAND).MSE == 0

    # What has one is reached there, and nowhere else.
    heard: list = []
    for function in hardware.values():
        function.device = Recorder(function.name, heard)
    for dev in devices:
        if dev not in off and not dev.is_bridge:
            dev.pci_enable_device()
    for dev in devices:
        if dev in off:
            continue
        for resource in dev.resources:
            if resource.start is not None:
                check_reached(platform, dev, hardware[dev.rid], resource, heard)


def check_sizes(dev: PciDev, spec: dict) -> None:
    """The host has sized each BAR as the scenario says."""
    expected = {f"BAR {b['index']}": (b["size"], b["wide"], b["prefetchable"]) for b in spec["bars"]}
    if spec["rom"]:
        expected["ROM"] = (spec["rom"], False, False)
    for b in spec.get("sriov", {}).get("bars", ()):
        size = b["size"] * spec["sriov"]["vfs"]
        expected[f"VF BAR {b['index']}"] = (size, b["wide"], b["prefetchable"])
        assert next(r for r in dev.resources if r.name == f"VF BAR {b['index']}").align == b["size"]
    assert {r.name: (r.size, r.wide, r.prefetchable) for r in dev.resources} == expected


def check_reached(platform, dev: PciDev, function: Function, resource: Resource, heard: list) -> None:
    rc = platform.root_complex
    start, end = span(resource)
    if resource.name == "ROM":
        function.rom = bytes(n % 251 for n in range(2048)) + bytes(resource.size - 2048)
        dev.access.write(dev.rid, 0x30, 4, start | 1)
        assert rc.read(start + 0x40, 4) == function.rom[0x40:0x44]
        dev.access.write(dev.rid, 0x30, 4, start)
    elif resource.name.startswith("BAR"):
        index = int(resource.name[4:])
        for offset in (0, (end - start) // 2, end - start - 4):
            heard.clear()
            rc.write(start + offset, b"mark")
            assert heard == [(function.name, index, offset, b"mark")]


# Trees by hand.


def tree_of_40() -> dict:
    """Three levels of switches with 40 functions at the ends of their ports."""
    scenario: dict = {"root_port": [port(0), port(1)], "switch": [], "function": []}
    ends = []
    for root in ("rp0", "rp1"):
        scenario["switch"].append({"name": f"{root}a", "behind": root, "ports": 2})
        for n in range(2):
            middle = f"{root}b{n}"
            scenario["switch"].append({"name": middle, "behind": f"{root}a.{n}", "ports": 2})
            for m in range(2):
                low = f"{root}c{n}{m}"
                scenario["switch"].append({"name": low, "behind": f"{middle}.{m}", "ports": 5})
                ends += [f"{low}.{k}" for k in range(5)]
    scenario["function"] = [
        {
            "name": f"f{n}",
            "behind": end,
            "device": n,
            "bars": [bar(0, "16K"), bar(2, "1M", prefetchable=True)],
        }
        for n, end in enumerate(ends)
    ]
    return scenario


def test_a_tree_of_three_levels_of_switches_and_40_functions_enumerates():
    platform, bridge = enumerated(tree_of_40())
    devices = list(bridge.devices())
    ends = [dev for dev in devices if not dev.is_bridge]
    assert len(ends) == 40
    assert sorted(dev.device for dev in ends) == list(range(40))
    assert bridge.reports == []
    assert len(devices) == len(platform.root_complex.functions()) == 40 + 2 + 14 + (4 + 8 + 40)
    check_numbers(bridge.root, 0, 255)
    windows = [(w.base, w.base + w.size, "host") for w in platform.firmware.windows]
    check_bus(bridge.root, windows, platform)
    for dev in ends:
        assert [r.start is not None for r in dev.resources] == [True, True]
        assert dev.resources[0].start < 1 << 32 <= dev.resources[1].start


def test_buses_are_numbered_depth_first():
    scenario = {
        "root_port": [port(0), port(1)],
        "switch": [{"name": "s", "behind": "rp0", "ports": 2}],
        "function": [{"name": "a", "behind": "s.1"}, {"name": "b", "behind": "rp1"}],
    }
    platform, bridge = enumerated(scenario)
    found = [(dev.slot_name, dev.is_bridge) for dev in bridge.devices()]
    assert found == [
        ("00:01.0", True), ("01:00.0", True), ("02:00.0", True), ("02:01.0", True), ("04:00.0", False),
        ("00:02.0", True), ("05:00.0", False),
    ]  # fmt: skip
    assert named(platform, bridge, "a").name == "0000:04:00.0"


def test_the_host_s_devices_stand_in_sysfs_below_their_bridges():
    platform, bridge = enumerated({"root_port": [port(0)], "function": [{"name": "a", "behind": "rp0"}]})
    dev = named(platform, bridge, "a")
    assert dev.path == "/devices/pci0000:00/0000:00:01.0/0000:01:00.0"
    assert [d.name for d in platform.pci.devices] == ["0000:00:01.0", "0000:01:00.0"]


def test_root_ports_of_one_device_are_all_found_and_say_that_they_are_many():
    scenario = {"root_port": [{"name": f"rp{n}", "at": f"1c.{n}"} for n in range(4)]}
    _platform, bridge = enumerated(scenario)
    assert [dev.slot_name for dev in bridge.devices()] == ["00:1c.0", "00:1c.1", "00:1c.2", "00:1c.3"]
    assert all(dev.multifunction for dev in bridge.devices())


def test_an_endpoint_beside_a_root_port_in_one_device_is_found():
    scenario = {"root_port": [{"name": "rp", "at": "03.0"}], "function": [{"name": "f", "at": "03.1"}]}
    _, bridge = enumerated(scenario)
    assert [(dev.slot_name, dev.multifunction) for dev in bridge.devices()] == [
        ("00:03.0", True),
        ("00:03.1", True),
    ]


def test_a_device_of_one_function_is_not_multi_function():
    _, bridge = enumerated({"root_port": [port(0)], "function": [{"name": "f", "behind": "rp0"}]})
    assert not any(dev.multifunction for dev in bridge.devices())


@pytest.mark.parametrize("ari", [False, True])
def test_functions_of_a_device_are_found_with_and_without_ari_across_gaps(ari):
    places = [0, 1, 3, 7]
    functions = [{"name": f"f{n}", "behind": "rp0", "at": f"00.{n}", "ari": ari} for n in places]
    _, bridge = enumerated({"root_port": [port(0)], "function": functions})
    assert [dev.rid & 0xFF for dev in bridge.devices() if not dev.is_bridge] == places


def test_ari_forwarding_is_switched_on_above_a_device_that_has_ari_and_only_there():
    functions = [{"name": "a", "behind": "rp0", "ari": True}, {"name": "b", "behind": "rp1"}]
    platform, _ = enumerated({"root_port": [port(0), port(1)], "function": functions})
    ports = platform.root_complex.functions()
    assert [p.config.regs.get("Express.DEVCTL2") >> 5 & 1 for p in ports if isinstance(p, Port)] == [1, 0]


def test_asking_empty_places_leaves_no_abort_in_the_bridges_status():
    platform, _ = enumerated(tree_of_40())
    for function in platform.root_complex.functions():
        if isinstance(function, Port):
            assert function.config[Type1.SECONDARY_STATUS].RMA == 0


def test_sizing_leaves_command_as_it_was_and_enumeration_masters_no_endpoint():
    platform, bridge = enumerated({"root_port": [port(0)], "function": [
        {"name": "a", "behind": "rp0", "bars": [bar()]}]})  # fmt: skip
    assert named(platform, bridge, "a").read_config(Type0.COMMAND).raw == 0
    assert bridge.root[0].read_config(Type0.COMMAND).raw == 6


def test_sizing_is_done_with_the_function_deaf_and_gives_command_back_as_firmware_had_left_it():
    platform = machine({"function": [{"name": "a", "at": "04.0", "bars": [bar()]}]})
    function = platform.functions["a"]
    function.config.update(Type0.COMMAND, MSE=1, BME=1)
    heard = []
    write = function.config_write

    def config_write(at: int, data: bytes) -> None:
        if at == 0x10 and data == b"\xff" * 4:
            heard.append(function.config[Type0.COMMAND].MSE)
        write(at, data)

    function.config_write = config_write
    platform.enumerate()
    assert heard == [0]
    assert function.config[Type0.COMMAND].raw == 6


def test_a_bridge_with_nothing_behind_it_has_its_windows_closed():
    platform, bridge = enumerated({"root_port": [port(0)]})
    assert platform.root_complex.functions()[0].windows() == []
    assert bridge.root[0].windows == []


def test_a_prefetchable_bar_behind_a_bridge_goes_above_4_gib_and_a_plain_one_below():
    function = {"name": "a", "behind": "rp0", "bars": [bar(0, "1M"), bar(2, "1M", prefetchable=True)]}
    platform, bridge = enumerated({"root_port": [port(0)], "function": [function]})
    plain, fetchable = named(platform, bridge, "a").resources
    assert plain.end < 1 << 32 <= fetchable.start


def test_a_wide_bar_on_bus_0_goes_above_4_gib_prefetchable_or_not():
    function = {"name": "a", "at": "04.0", "bars": [bar(0, "1M"), bar(2, "1M", prefetchable=True)]}
    platform, bridge = enumerated({"function": [function]})
    assert all(r.start >= 1 << 32 for r in named(platform, bridge, "a").resources)


def test_without_a_window_above_4_gib_everything_goes_below():
    function = {"name": "a", "behind": "rp0", "bars": [bar(0, "1M", prefetchable=True)]}
    machine = {"mmio64": 0}
    platform, bridge = enumerated({"machine": machine, "root_port": [port(0)], "function": [function]})
    assert named(platform, bridge, "a").resources[0].end < 1 << 32
    assert bridge.reports == []


def test_a_prefetchable_window_that_is_too_large_for_the_one_above_4_gib_goes_below():
    function = {"name": "a", "at": "04.0", "bars": [bar(0, "256M", prefetchable=True)]}
    platform, bridge = enumerated({"machine": {"mmio64": "64M"}, "function": [function]})
    assert named(platform, bridge, "a").resources[0].end < 1 << 32


def test_the_strictest_alignment_goes_first_so_that_a_window_has_no_holes():
    bars = [bar(0, "1M", wide=False), bar(1, "8M", wide=False), bar(2, "2M", wide=False)]
    scenario = {"root_port": [port(0)], "function": [{"name": "f", "behind": "rp0", "bars": bars}]}
    _, bridge = enumerated(scenario)
    assert [(w.size, w.align) for w in bridge.root[0].windows] == [(11 * MIB, 8 * MIB)]


def test_no_two_functions_share_a_page():
    functions = [
        {"name": f"f{n}", "behind": "rp0", "at": f"00.{n}", "bars": [bar(0, 16, wide=False)]}
        for n in range(8)
    ]
    platform, bridge = enumerated({"root_port": [port(0)], "function": functions})
    pages = [named(platform, bridge, f["name"]).resources[0].start >> 12 for f in functions]
    assert len(set(pages)) == 8


# What does not fit.


def test_a_bar_too_large_for_every_window_is_reported_with_the_windows_and_the_device_stays_disabled():
    functions = [
        {"name": "big", "behind": "rp0", "bars": [bar(0, "1G", wide=False), bar(1, "4K", wide=False)]},
        {"name": "small", "behind": "rp1", "bars": [bar(0, "4K", wide=False)]},
    ]
    platform, bridge = enumerated({"root_port": [port(0), port(1)], "function": functions})
    assert bridge.reports == [
        "BAR 0 of 0000:01:00.0: 0x40000000 bytes do not fit into 0xc0000000 to 0xfbffffff; "
        "the device stays disabled"
    ]
    big, small = named(platform, bridge, "big"), named(platform, bridge, "small")
    with pytest.raises(
        LinuxError, match=r"can't enable 0000:01:00\.0: BAR 0 \(0x40000000 bytes\)"
    ) as refusal:
        big.pci_enable_device()
    assert refusal.value.errno == EINVAL
    assert big.enabled == 0
    assert big.bar(1).start is not None
    small.pci_enable_device()
    assert small.read_config(Type0.COMMAND).MSE == 1


def test_of_several_that_do_not_fit_together_the_largest_gives_way():
    functions = [
        {"name": f"f{n}", "at": f"{n + 3:02x}.0", "bars": [bar(0, size, wide=False)]}
        for n, size in enumerate(["256M", "512M", "256M", "128M"])
    ]
    platform, bridge = enumerated({"function": functions})
    assigned = [named(platform, bridge, f"f{n}").resources[0].start is not None for n in range(4)]
    assert assigned.count(False) == 1
    assert len(bridge.reports) == 1


def test_an_expansion_rom_gives_way_before_a_bar_and_the_device_can_be_enabled():
    function = {"name": "f", "behind": "rp0", "rom": "4M", "bars": [bar(0, "16M", wide=False)]}
    machine = {"mmio32": "16M"}
    platform, bridge = enumerated({"machine": machine, "root_port": [port(0)], "function": [function]})
    dev = named(platform, bridge, "f")
    assert dev.bar(0).start is not None
    assert [r.start for r in dev.resources if r.name == "ROM"] == [None]
    assert bridge.reports == ["ROM of 0000:01:00.0: 0x400000 bytes do not fit into 0xc0000000 to 0xc0ffffff"]
    dev.pci_enable_device()


def test_vf_bars_give_way_before_a_bar():
    sriov = {"vfs": 16, "bars": [bar(0, "256K", wide=False)]}
    function = {"name": "f", "behind": "rp0", "sriov": sriov, "bars": [bar(0, "16M", wide=False)]}
    machine = {"mmio32": "16M"}
    platform, bridge = enumerated({"machine": machine, "root_port": [port(0)], "function": [function]})
    dev = named(platform, bridge, "f")
    assert (dev.bar(0).start is not None, dev.resources[1].start) == (True, None)


def test_when_bus_numbers_run_out_it_is_said_and_the_rest_is_found():
    scenario = {
        "root_port": [port(n) for n in range(9)],
        "switch": [{"name": f"s{n}", "behind": f"rp{n}", "ports": 32} for n in range(8)],
        "function": [{"name": "f", "behind": "s0.0"}, {"name": "lost", "behind": "rp8"}],
    }
    platform, bridge = enumerated(scenario)
    assert any(
        "no bus number is left for what is behind 0000:00:09.0: 255 is the last" in r for r in bridge.reports
    )
    assert max(dev.rid >> 8 for dev in bridge.devices()) <= 255
    check_numbers(bridge.root, 0, 255)
    assert named(platform, bridge, "f").rid >> 8 == 3
    assert bridge.root[8].read_config(Type1.SECONDARY_BUS).NUM == 0


# The host behind windows that translate.


def test_addresses_of_the_cpu_become_bus_addresses_by_the_window_s_offset():
    function = {
        "name": "f",
        "behind": "rp0",
        "bars": [bar(0, "16M", wide=False), bar(2, "1M", prefetchable=True)],
    }
    platform = machine({"root_port": [port(0)], "function": [function]})
    rc = platform.root_complex
    rc.outbound = (
        rc.outbound[0],
        Window(0x10_0000_0000, 64 * MIB, 0x8010_0000, WindowKind.MEM32),
        Window(0x20_0010_0000, GIB, 0x7F_0000_0000, WindowKind.MEM64),
    )
    bridge = platform.enumerate()
    dev = named(platform, bridge, "f")
    hardware = platform.functions["f"]
    low, high = dev.resources
    assert bridge.reports == []
    assert 0x10_0000_0000 <= low.start < 0x10_0400_0000
    assert hardware.bar_address(hardware.bars[0]) == low.start - 0x10_0000_0000 + 0x8010_0000
    assert hardware.bar_address(hardware.bars[1]) == high.start - 0x20_0010_0000 + 0x7F_0000_0000
    dev.pci_enable_device()
    dev.write_bar(0, 0x10, 4, 0x1234)
    dev.write_bar(2, 0x20, 8, 0x5678)
    assert hardware.bar_read(0, 0x10, 4) == b"\x34\x12\0\0"
    assert hardware.bar_read(2, 0x20, 2) == b"\x78\x56"
    assert dev.read_bar(0, 0x10, 4) == 0x1234


def test_a_segment_of_few_buses_is_kept_to_them():
    platform = machine({"root_port": [port(0), port(1)]})
    firmware = Firmware(ECAM_BASE, (HostWindow(0xC000_0000, MIB),), domain=3, buses=range(2))
    bridge = pci_host_probe(platform.root_complex, firmware, platform.pci)
    assert [dev.name for dev in bridge.devices()] == ["0003:00:01.0", "0003:00:02.0"]
    assert len(bridge.reports) == 1


def test_a_host_window_does_not_overlap_with_any_other():
    for one, other in combinations(machine({}).firmware.windows, 2):
        assert one.end < other.base or other.end < one.base


# A device in the host's hands.


def test_enabling_is_counted_and_mastering_ends_with_the_last_disable():
    platform, bridge = enumerated({"function": [{"name": "f", "at": "04.0", "bars": [bar()]}]})
    dev = named(platform, bridge, "f")
    dev.pci_enable_device()
    dev.pci_enable_device()
    dev.pci_set_master()
    dev.pci_disable_device()
    assert dev.read_config(Type0.COMMAND).raw == 6
    dev.pci_disable_device()
    assert dev.read_config(Type0.COMMAND).BME == 0


def test_a_bar_that_is_not_there_is_refused_with_those_that_are():
    platform, bridge = enumerated({"function": [{"name": "f", "at": "04.0", "bars": [bar(2)]}]})
    with pytest.raises(LinuxError, match=r"0000:00:04\.0 has no BAR 1; it has BAR 2"):
        named(platform, bridge, "f").read_bar(1, 0, 4)


def test_a_rom_is_placed_but_not_enabled():
    platform, bridge = enumerated({"function": [{"name": "f", "at": "04.0", "rom": "64K"}]})
    rom = platform.functions["f"].config[RomBar]
    assert rom.EN == 0
    assert rom.raw == named(platform, bridge, "f").resources[0].start
