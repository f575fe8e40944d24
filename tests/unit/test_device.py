"""A bus brings devices and drivers together as Linux's driver core does."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from siov.host.bus import Bus
from siov.host.core import Class, DriverCore
from siov.host.device import Device, Driver
from siov.host.linux import EPROBE_DEFER, LinuxError, ProbeDeferError, ProbeError, TraceEvent
from siov.host.sysfs import ATTR_RO, AttributeGroup

Probe = Callable[[Any], None]


class IdBus(Bus):
    def match(self, device: Any, driver: Any) -> bool:
        return device.id in driver.id_table


class Dev(Device):
    def __init__(self, name: str, ident: int = 1, **place: Any) -> None:
        super().__init__(name, **place)
        self.id = ident
        self.released = 0

    def release(self) -> None:
        self.released += 1


class Drv(Driver):
    def __init__(self, name: str, ids: tuple[int, ...] = (1,), probe: Probe | None = None) -> None:
        super().__init__(name)
        self.id_table = ids
        self.calls: list[tuple[str, str]] = []
        self.on_probe = probe

    def probe(self, device: Any) -> None:
        self.calls.append(("probe", device.name))
        if self.on_probe is not None:
            self.on_probe(device)

    def remove(self, device: Any) -> None:
        self.calls.append(("remove", device.name))

    def shutdown(self, device: Any) -> None:
        self.calls.append(("shutdown", device.name))


@pytest.fixture
def events() -> list[TraceEvent]:
    return []


@pytest.fixture
def core(events: list[TraceEvent]) -> DriverCore:
    return DriverCore(events.append)


@pytest.fixture
def bus(core: DriverCore) -> Bus:
    return IdBus(core, "pci").register()


def fail(number: int) -> Callable[[Any], None]:
    def probe(device: Any) -> None:
        raise ProbeError(number, f"{device.name} does not answer")

    return probe


def functions(events: list[TraceEvent]) -> list[str]:
    return [event.function for event in events]


def test_the_trace_of_a_driver_s_registration_reads_as_linux_s_call_chain(bus, events):
    bus.add_device(Dev("a"))
    events.clear()
    bus.add_driver(Drv("ice"))
    assert [str(event) for event in events] == [
        "driver_register /bus/pci/drivers/ice",
        "bus_add_driver /bus/pci/drivers/ice",
        "driver_attach /bus/pci/drivers/ice",
        "__driver_attach /devices/a ice",
        "driver_match_device /devices/a ice: yes",
        "driver_probe_device /devices/a ice",
        "really_probe /devices/a ice",
        "driver_sysfs_add /devices/a ice",
        "call_driver_probe /devices/a ice",
        "driver_bound /devices/a ice",
        "kobject_uevent /devices/a bind",
        "kobject_uevent /bus/pci/drivers/ice add",
    ]


def test_the_trace_of_a_device_s_way_in_and_out_reads_as_linux_s_call_chain(bus, events):
    bus.add_driver(Drv("ice"))
    events.clear()
    device = Dev("a")
    bus.add_device(device)
    device.unregister()
    assert functions(events) == [
        *("device_add", "bus_add_device", "kobject_uevent", "bus_probe_device", "__device_attach"),
        *("driver_match_device", "driver_probe_device", "really_probe", "driver_sysfs_add"),
        *("call_driver_probe", "driver_bound", "kobject_uevent"),
        *("device_del", "kobject_uevent", "bus_remove_device", "device_release_driver"),
        *("driver_sysfs_remove", "device_remove", "device_unbind_cleanup", "devres_release_all"),
        *("kobject_uevent", "kobject_release"),
    ]


def test_a_device_goes_to_the_first_registered_driver_that_matches(bus):
    other, first, second = Drv("other", (2,)), Drv("first"), Drv("second")
    for driver in (other, first, second):
        bus.add_driver(driver)
    device = Dev("a")
    bus.add_device(device)
    assert device.driver is first
    assert other.calls == second.calls == []


def test_a_new_driver_is_offered_the_devices_in_their_order_of_registration(bus):
    for name in ("c", "a", "b"):
        bus.add_device(Dev(name))
    driver = Drv("ice")
    bus.add_driver(driver)
    assert driver.calls == [("probe", "c"), ("probe", "a"), ("probe", "b")]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ENXIO])
def test_after_a_failed_probe_the_next_driver_is_tried(bus, number):
    bus.add_driver(Drv("bad", probe=fail(number)))
    bus.add_driver(Drv("good"))
    device = Dev("a")
    bus.add_device(device)
    assert device.driver.name == "good"
    assert device.probe_error is None


def test_an_oserror_of_a_probe_is_a_failed_probe_with_its_errno(bus):
    def probe(device: Any) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    bus.add_driver(Drv("bad", probe=probe))
    device = Dev("a")
    bus.add_device(device)
    assert device.driver is None
    assert device.probe_error.errno == errno.ENOMEM


def test_a_bug_in_a_probe_passes_through_and_leaves_the_device_unbound(bus, core):
    def probe(device: Any) -> None:
        device.devm_kzalloc(64)
        raise ZeroDivisionError

    bus.add_driver(Drv("buggy", probe=probe))
    device = Dev("a")
    with pytest.raises(ZeroDivisionError):
        bus.add_device(device)
    assert device.is_registered
    assert device.driver is None
    assert not device.devres
    assert core.sysfs.listdir("/sys/devices/a") == ["driver_override", "subsystem", "uevent"]


def test_driver_data_is_forgotten_at_unbind(bus, core):
    device = Dev("a")
    bus.add_device(device)
    bus.add_driver(Drv("ice", probe=lambda dev: setattr(dev, "driver_data", {"vsi": 1})))
    assert device.driver_data == {"vsi": 1}
    core.sysfs.write("/sys/bus/pci/drivers/ice/unbind", b"a\n")
    assert device.driver_data is None


def test_with_an_override_only_the_named_driver_binds_even_without_an_id_match(bus, core):
    vfio, ice = Drv("vfio-pci", ()), Drv("ice")
    bus.add_driver(ice)
    bus.add_driver(vfio)
    device = Dev("a")
    device.driver_override = "vfio-pci"
    bus.add_device(device)
    assert device.driver is vfio
    assert ice.calls == []


def test_an_override_is_written_read_and_lifted_through_its_file(bus, core):
    device = Dev("a")
    bus.add_device(device)
    path = "/sys/bus/pci/devices/a/driver_override"
    assert core.sysfs.read(path) == b"(null)\n"
    core.sysfs.write(path, b"vfio-pci\n")
    assert core.sysfs.read(path) == b"vfio-pci\n"
    bus.add_driver(Drv("ice"))
    assert device.driver is None
    core.sysfs.write(path, b"\n")
    core.sysfs.write("/sys/bus/pci/drivers_probe", b"a\n")
    assert device.driver.name == "ice"


def test_without_autoprobe_nothing_binds_until_it_is_asked_for(bus, core):
    core.sysfs.write("/sys/bus/pci/drivers_autoprobe", b"0\n")
    device = Dev("a")
    bus.add_driver(Drv("ice"))
    bus.add_device(device)
    assert device.driver is None
    core.sysfs.write("/sys/bus/pci/drivers_probe", "a")
    assert device.driver.name == "ice"
    assert core.sysfs.read("/sys/bus/pci/drivers_autoprobe") == b"0\n"


@pytest.mark.parametrize(
    ("path", "name", "number"),
    [
        ("drivers/ice/bind", "nope", errno.ENODEV),
        ("drivers/ice/bind", "bound", errno.EBUSY),
        ("drivers/ice/bind", "foreign", errno.ENODEV),
        ("drivers/ice/unbind", "foreign", errno.ENODEV),
        ("drivers/ice/unbind", "other", errno.ENODEV),
        ("drivers/ice/unbind", "nope", errno.ENODEV),
        ("drivers_probe", "nope", errno.ENODEV),
    ],
)
def test_binding_by_name_is_refused_with_linux_s_errno(bus, core, path, name, number):
    bus.add_driver(Drv("ice"))
    bus.add_device(Dev("bound"))
    bus.add_device(Dev("foreign", 2))
    bus.add_driver(Drv("other-driver", (3,)))
    bus.add_device(Dev("other", 3))
    with pytest.raises(LinuxError, match=name) as refused:
        core.sysfs.write(f"/sys/bus/pci/{path}", name.encode() + b"\n")
    assert refused.value.errno == number


def test_bind_by_name_tells_what_the_probe_said(bus, core):
    bus.drivers_autoprobe = False
    bus.add_driver(Drv("ice", probe=fail(errno.EIO)))
    bus.add_device(Dev("a"))
    with pytest.raises(ProbeError, match="a does not answer") as refused:
        core.sysfs.write("/sys/bus/pci/drivers/ice/bind", b"a")
    assert refused.value.errno == errno.EIO


def test_a_deferred_probe_is_tried_again_when_another_device_is_bound(bus, core):
    def probe(device: Any) -> None:
        if not any(dev.driver for dev in bus.devices if dev.name == "clock"):
            raise ProbeDeferError("no clock yet")

    consumer = Dev("consumer")
    bus.add_device(consumer)
    bus.add_driver(Drv("user", probe=probe))
    assert consumer.driver is None
    assert consumer.probe_error.errno == EPROBE_DEFER
    assert core.inspect()["devices_deferred"] == {"/devices/consumer": "no clock yet"}
    bus.add_driver(Drv("clock-driver", (2,)))
    assert consumer.driver is None
    bus.add_device(Dev("clock", 2))
    assert consumer.driver.name == "user"
    assert core.deferred == {}


def test_a_chain_of_deferred_devices_comes_up_whatever_its_order(bus, core):
    def needs(previous: int) -> Callable[[Any], None]:
        def probe(device: Any) -> None:
            if not bus.find_device(f"d{previous}").driver:
                raise ProbeDeferError(f"d{previous} is missing")

        return probe

    for i in range(6):
        bus.add_device(Dev(f"d{i}", i))
    for i in range(5, 0, -1):
        bus.add_driver(Drv(f"drv{i}", (i,), needs(i - 1)))
    assert len(core.deferred) == 5
    bus.add_driver(Drv("drv0", (0,)))
    assert all(device.driver for device in bus.devices)
    assert core.deferred == {}


def test_a_deferred_probe_is_not_tried_again_in_the_middle_of_another(bus, core):
    steps: list[str] = []

    def wait(device: Any) -> None:
        steps.append("waiter")
        if not any(dev.name == "child" and dev.driver for dev in bus.devices):
            raise ProbeDeferError("no child yet")

    def parent(device: Any) -> None:
        steps.append("parent starts")
        bus.add_device(Dev("child", 2, parent=device))
        steps.append("parent ends")

    bus.add_driver(Drv("leaf", (2,)))
    bus.add_driver(Drv("waiter", (3,), wait))
    bus.add_driver(Drv("parent", (1,), parent))
    bus.add_device(Dev("w", 3))
    bus.add_device(Dev("p", 1))
    assert steps == ["waiter", "parent starts", "parent ends", "waiter"]
    assert bus.find_device("w").driver.name == "waiter"


def test_two_probes_that_bind_a_child_and_then_defer_do_not_chase_each_other_for_ever(bus, core):
    def probe(device: Any) -> None:
        child = Dev(f"{device.name}-child", 2, parent=device)
        bus.add_device(child)
        device.devm_add_action(child.unregister)
        raise ProbeDeferError("never ready")

    bus.add_driver(Drv("leaf", (2,)))
    bus.add_driver(Drv("parent", (1,), probe))
    bus.add_device(Dev("a"))
    bus.add_device(Dev("b"))
    bus.add_device(Dev("c", 2))
    assert [device.name for device in core.deferred] == ["a", "b"]


def test_unregistering_a_driver_unbinds_its_devices_in_reverse_order(bus):
    driver = Drv("ice")
    bus.add_driver(driver)
    devices = [Dev(name) for name in "abc"]
    for device in devices:
        bus.add_device(device)
    driver.calls.clear()
    driver.unregister()
    assert driver.calls == [("remove", "c"), ("remove", "b"), ("remove", "a")]
    assert all(device.driver is None and device.is_registered for device in devices)
    assert not driver.devices


def test_a_driver_can_be_registered_again_after_it_left(bus):
    device = Dev("a")
    bus.add_device(device)
    driver = Drv("ice")
    for _ in range(3):
        bus.add_driver(driver)
        assert device.driver is driver
        driver.unregister()
        assert device.driver is None


def test_children_are_removed_before_their_parent_and_the_youngest_first(bus, events):
    parent = Dev("parent")
    bus.add_device(parent)
    for name in ("x", "y"):
        child = Dev(name, parent=parent)
        bus.add_device(child)
        bus.add_device(Dev(f"{name}1", parent=child))
    parent.unregister()
    assert [event.subject for event in events if event.function == "kobject_release"] == [
        "/devices/parent/y/y1",
        "/devices/parent/y",
        "/devices/parent/x/x1",
        "/devices/parent/x",
        "/devices/parent",
    ]
    assert len(bus.devices) == 0


def test_a_driver_that_unregisters_its_children_may_find_them_gone_with_their_parent(bus, caplog):
    def probe(device: Any) -> None:
        child = Dev("child", 2, parent=device)
        bus.add_device(child)
        device.devm_add_action(child.unregister)

    parent = Dev("p")
    bus.add_device(parent)
    bus.add_driver(Drv("ice", probe=probe))
    parent.driver.unregister()
    assert bus.devices.names() == ["p"]
    bus.add_driver(Drv("ice", probe=probe))
    parent.unregister()
    assert bus.devices.names() == []
    assert caplog.text == ""


def test_a_leaving_device_s_remove_can_t_unregister_its_driver(bus):
    class Rash(Drv):
        def remove(self, device: Any) -> None:
            with pytest.raises(LinuxError) as refused:
                self.unregister()
            refusals.append(refused.value.errno)

    refusals: list[int] = []
    driver = Rash("rash")
    bus.add_driver(driver)
    devices = [Dev(name) for name in "ab"]
    for device in devices:
        bus.add_device(device)
    devices[1].unregister()
    assert refusals == [errno.EDEADLK]
    assert driver.is_registered
    assert list(driver.devices) == [devices[0]]


def test_a_device_that_somebody_holds_is_released_at_the_last_put_only(bus):
    device = Dev("a")
    bus.add_device(device)
    device.get()
    device.unregister()
    assert not device.is_registered
    assert device.released == 0
    device.put()
    assert device.released == 1


def test_an_added_device_is_not_added_twice_and_a_removed_one_not_again(bus):
    device = Dev("a")
    bus.add_device(device)
    with pytest.raises(LinuxError, match="make a new one"):
        bus.add_device(device)
    device.unregister()
    with pytest.raises(LinuxError, match="make a new one"):
        bus.add_device(device)
    with pytest.raises(LinuxError, match="not registered"):
        Dev("b").unregister()


def test_two_devices_of_one_name_are_refused_with_eexist_and_nothing_is_left(bus, core):
    parent = Dev("p")
    bus.add_device(parent)
    bus.add_device(Dev("a"))
    before = core.sysfs.tree()
    with pytest.raises(LinuxError, match="/sys/bus/pci/devices/a") as refused:
        bus.add_device(Dev("a", parent=parent))
    assert refused.value.errno == errno.EEXIST
    assert core.sysfs.tree() == before
    assert parent.children == ()
    assert [device.name for device in core.devices_kset] == ["p", "a"]


def test_two_drivers_of_one_name_are_refused_with_ebusy(bus):
    bus.add_driver(Drv("ice"))
    with pytest.raises(LinuxError, match="driver ice") as refused:
        bus.add_driver(Drv("ice"))
    assert refused.value.errno == errno.EBUSY
    assert bus.drivers.names() == ["ice"]


def test_a_bus_with_members_is_not_unregistered_and_an_empty_one_leaves_nothing(bus, core):
    device = Dev("a")
    bus.add_device(device)
    with pytest.raises(LinuxError, match="still has a"):
        bus.unregister()
    device.unregister()
    bus.unregister()
    assert core.sysfs.listdir("/sys/bus") == []


@pytest.mark.parametrize("wish", ["unregister the device", "unregister the driver", "unbind", "bind"])
def test_a_probe_can_t_pull_the_rug_from_under_itself(bus, core, wish):
    wishes = {
        "unregister the device": lambda dev: dev.unregister(),
        "unregister the driver": lambda dev: dev.driver.unregister(),
        "unbind": lambda dev: core.sysfs.write("/sys/bus/pci/drivers/ice/unbind", dev.name),
        "bind": lambda dev: core.sysfs.write("/sys/bus/pci/drivers/ice/bind", dev.name),
    }
    bus.add_driver(Drv("ice", probe=wishes[wish]))
    device = Dev("a")
    bus.add_device(device)
    assert device.driver is None
    assert device.probe_error.errno == errno.EDEADLK
    assert device.locked is None
    device.unregister()
    assert core.sysfs.listdir("/sys/devices") == []
    assert len(bus.devices) == 0


def test_a_parent_is_not_unregistered_in_the_middle_of_its_child_s_probe(bus, core):
    parent = Dev("p", 2)
    bus.add_device(parent)
    bus.add_device(Dev("elder", 2, parent=parent))
    bus.add_driver(Drv("ice", probe=lambda dev: parent.unregister()))
    bus.add_device(Dev("a", parent=parent))
    assert bus.devices.names() == ["p", "elder", "a"]
    assert parent.is_registered


def test_a_driver_that_leaves_gets_no_device_back(bus, core):
    refusals: list[int] = []

    class Clinging(Drv):
        def remove(self, device: Any) -> None:
            bus.rescan_devices()
            try:
                core.sysfs.write("/sys/bus/pci/drivers/cling/bind", "b")
            except LinuxError as why:
                refusals.append(why.errno)

    driver = Clinging("cling")
    bus.add_driver(driver)
    for name in "ab":
        bus.add_device(Dev(name))
    driver.unregister()
    assert not driver.devices
    assert refusals == [errno.ENOENT, errno.ENOENT]


def test_a_device_that_leaves_gets_neither_a_child_nor_a_driver(bus):
    refusals: list[int] = []
    parent = Dev("p")

    class Clinging(Drv):
        def remove(self, device: Any) -> None:
            try:
                bus.add_device(Dev("late", parent=parent))
            except LinuxError as why:
                refusals.append(why.errno)
            assert parent.driver is None or parent in parent.driver.devices
            bus.rescan_devices()

    bus.add_device(parent)
    for name in ("x", "y"):
        bus.add_device(Dev(name, 2, parent=parent))
    bus.add_driver(Clinging("cling", (2,)))
    bus.drivers_autoprobe = False
    bus.add_driver(Drv("ice"))
    parent.unregister()
    assert refusals == [errno.ENODEV, errno.ENODEV]
    assert parent.driver is None
    assert parent.probe_error is None
    assert bus.find_driver("ice").calls == []
    assert len(bus.devices) == 0


def test_an_error_in_remove_is_reported_and_the_device_is_unbound_all_the_same(bus, events, caplog):
    class Sloppy(Drv):
        def remove(self, device: Any) -> None:
            raise RuntimeError("oops")

    bus.add_driver(Sloppy("sloppy"))
    device = Dev("a")
    bus.add_device(device)
    device.devm_kzalloc(8)
    device.driver.unregister()
    assert device.driver is None
    assert not device.devres
    assert "device_remove /devices/a failed: oops" in map(str, events)
    assert "oops" in caplog.text


def test_a_driver_s_device_groups_are_there_while_bound_and_made_after_probe(bus, core):
    seen: list[list[str]] = []
    driver = Drv("ice", probe=lambda dev: seen.append(core.sysfs.listdir("/sys/devices/a")))
    driver.dev_groups = (AttributeGroup((ATTR_RO(lambda dev: f"{dev.name}\n"),), name="stats"),)
    device = Dev("a")
    bus.add_device(device)
    bus.add_driver(driver)
    assert "stats" not in seen[0]
    assert core.sysfs.read("/sys/devices/a/stats/<lambda>") == b"a\n"
    driver.unregister()
    assert not core.sysfs.exists("/sys/devices/a/stats")


def test_device_groups_that_can_t_be_made_undo_the_probe(bus, core):
    def uevent(dev: Any) -> str:
        return ""

    driver = Drv("ice", probe=lambda dev: dev.devm_kzalloc(8))
    driver.dev_groups = (AttributeGroup((ATTR_RO(uevent),)),)
    device = Dev("a")
    bus.add_device(device)
    before = core.sysfs.tree("/sys/devices")
    bus.add_driver(driver)
    assert driver.calls == [("probe", "a"), ("remove", "a")]
    assert device.driver is None
    assert device.probe_error.errno == errno.EEXIST
    assert not device.devres
    assert core.sysfs.tree("/sys/devices") == before


def test_shutdown_quiets_the_bound_devices_the_last_added_first(bus, core):
    driver = Drv("ice")
    bus.add_driver(driver)
    for name in "abc":
        bus.add_device(Dev(name))
    bus.add_device(Dev("unbound", 7))
    driver.calls.clear()
    core.device_shutdown()
    assert driver.calls == [("shutdown", "c"), ("shutdown", "b"), ("shutdown", "a")]
    assert len(driver.devices) == 3


def test_a_device_s_uevent_file_tells_its_variables_and_sends_events_again(bus, core, events):
    bus.add_driver(Drv("ice"))
    bus.add_device(Dev("a"))
    assert core.sysfs.read("/sys/devices/a/uevent") == b"DRIVER=ice\n"
    events.clear()
    core.sysfs.write("/sys/devices/a/uevent", b"change\n")
    assert str(events[-1]) == "kobject_uevent /devices/a change"
    with pytest.raises(LinuxError, match="no action 'explode'; there are add, remove"):
        core.sysfs.write("/sys/devices/a/uevent", b"explode")


def test_a_class_device_stands_in_a_directory_of_the_class_below_its_parent(bus, core):
    net = Class(core, "net").register()
    nic = Dev("0000:00:01.0")
    bus.add_device(nic)
    eth = Device("eth0", parent=nic)
    net.add_device(eth)
    assert core.sysfs.realpath("/sys/class/net/eth0") == "/sys/devices/0000:00:01.0/net/eth0"
    assert core.sysfs.readlink("/sys/class/net/eth0/device") == "../../../0000:00:01.0"
    eth.unregister()
    assert core.sysfs.listdir("/sys/class/net") == []
    assert not core.sysfs.exists("/sys/devices/0000:00:01.0/net")


def test_a_class_device_without_a_parent_is_virtual(core):
    net = Class(core, "net").register()
    lo = Device("lo")
    net.add_device(lo)
    assert core.sysfs.realpath("/sys/class/net/lo") == "/sys/devices/virtual/net/lo"
    assert core.sysfs.readlink("/sys/devices/virtual/net/lo/subsystem") == "../../../../class/net"
    with pytest.raises(LinuxError, match="still has lo"):
        net.unregister()
    lo.unregister()
    net.unregister()
    assert core.sysfs.listdir("/sys/class") == []


def test_a_child_of_a_parent_that_is_not_there_is_refused(bus):
    with pytest.raises(LinuxError, match="its parent p is not there"):
        bus.add_device(Dev("a", parent=Dev("p")))


def test_inspect_tells_who_drives_what(bus, core):
    bus.add_driver(Drv("ice"))
    bus.add_device(Dev("a"))
    seen = core.inspect()
    assert seen["bus"]["pci"]["devices"] == {"a": "ice"}
    assert seen["bus"]["pci"]["drivers"] == {"ice": ["a"]}
    assert seen["devices"]["/devices/a"]["driver"] == "ice"
