"""In whatever order things come and go: bindings, links and resources agree, and nothing is left."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from siov.host.bus import Bus
from siov.host.core import DriverCore
from siov.host.device import Device, Driver
from siov.host.linux import LinuxError, ProbeDeferError, ProbeError

IDS = st.integers(0, 2)
MOODS = st.sampled_from(["well", "well", "fail", "defer"])


class Dev(Device):
    def __init__(self, name: str, ident: int, **place: Any) -> None:
        super().__init__(name, **place)
        self.id = ident


class Drv(Driver):
    """Takes two resources; in a bad mood gives up in between."""

    def __init__(self, name: str, ident: int, mood: str) -> None:
        super().__init__(name)
        self.id_table = (ident,)
        self.mood = mood
        self.held: list[str] = []

    def take(self, device: Dev, what: str) -> None:
        word = f"{device.name}.{what}"
        self.held.append(word)
        # Fails, and is reported, unless resources go in reverse order.
        device.devm_add_action(self.give, word)

    def give(self, word: str) -> None:
        owner = word.split(".")[0]
        assert [held for held in self.held if held.split(".")[0] == owner][-1] == word
        self.held.remove(word)

    def probe(self, device: Any) -> None:
        self.take(device, "first")
        if self.mood == "fail":
            raise ProbeError(5, "in a bad mood")
        if self.mood == "defer":
            raise ProbeDeferError("not yet")
        self.take(device, "second")


class IdBus(Bus):
    def match(self, device: Any, driver: Any) -> bool:
        return device.id in driver.id_table


class Binding(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = DriverCore()
        self.bus = IdBus(self.core, "b").register()
        self.count = 0
        # The model: what is registered, in order, and who has whom.
        self.devices: list[Dev] = []
        self.drivers: list[Drv] = []
        self.bound: dict[Dev, Drv] = {}
        self.deferred: list[Dev] = []

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def matches(self, drv: Drv, dev: Dev) -> bool:
        return drv.name == dev.driver_override if dev.driver_override else dev.id in drv.id_table

    def offer(self, dev: Dev, drv: Drv) -> bool:
        if dev in self.bound or not self.matches(drv, dev):
            return dev in self.bound
        if drv.mood == "well":
            self.bound[dev] = drv
            self.deferred = [other for other in self.deferred if other is not dev]
            self.retry()
        elif drv.mood == "defer" and dev not in self.deferred:
            self.deferred.append(dev)
        return dev in self.bound

    def attach(self, dev: Dev) -> bool:
        for drv in self.drivers:
            self.offer(dev, drv)
        return dev in self.bound

    def retry(self) -> None:
        waiting, self.deferred = self.deferred, []
        if sum(self.attach(dev) for dev in waiting):
            self.retry()

    def forget(self, dev: Dev) -> None:
        for child in reversed(dev.children):
            self.forget(child)
        self.devices.remove(dev)
        self.bound.pop(dev, None)
        self.deferred = [other for other in self.deferred if other is not dev]

    @rule(ident=IDS, data=st.data(), override=st.booleans())
    def add_device(self, ident: int, data: st.DataObject, override: bool) -> None:
        parent = data.draw(st.sampled_from([None, *self.devices]))
        dev = Dev(self.name("dev"), ident, parent=parent)
        if override and self.drivers:
            dev.driver_override = data.draw(st.sampled_from(self.drivers)).name
        self.bus.add_device(dev)
        self.devices.append(dev)
        if self.bus.drivers_autoprobe:
            self.attach(dev)

    @rule(ident=IDS, mood=MOODS)
    def add_driver(self, ident: int, mood: str) -> None:
        drv = Drv(self.name("drv"), ident, mood)
        self.bus.add_driver(drv)
        self.drivers.append(drv)
        if self.bus.drivers_autoprobe:
            for dev in self.devices:
                self.offer(dev, drv)

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def remove_device(self, data: st.DataObject) -> None:
        dev = data.draw(st.sampled_from(self.devices))
        self.forget(dev)
        dev.unregister()

    @precondition(lambda self: self.drivers)
    @rule(data=st.data())
    def remove_driver(self, data: st.DataObject) -> None:
        drv = data.draw(st.sampled_from(self.drivers))
        self.drivers.remove(drv)
        self.bound = {dev: its for dev, its in self.bound.items() if its is not drv}
        drv.unregister()
        assert drv.held == []

    @precondition(lambda self: self.drivers)
    @rule(data=st.data(), mood=MOODS)
    def change_mood(self, data: st.DataObject, mood: str) -> None:
        data.draw(st.sampled_from(self.drivers)).mood = mood

    @precondition(lambda self: self.drivers and self.devices)
    @rule(data=st.data())
    def bind(self, data: st.DataObject) -> None:
        drv, dev = data.draw(st.sampled_from(self.drivers)), data.draw(st.sampled_from(self.devices))
        possible = dev not in self.bound and self.matches(drv, dev) and drv.mood == "well"
        try:
            self.core.sysfs.write(f"/sys/bus/b/drivers/{drv.name}/bind", dev.name)
        except LinuxError:
            assert not possible
        else:
            assert possible
        if dev not in self.bound:
            self.offer(dev, drv)

    @precondition(lambda self: self.bound)
    @rule(data=st.data())
    def unbind(self, data: st.DataObject) -> None:
        dev = data.draw(st.sampled_from(list(self.bound)))
        drv = self.bound.pop(dev)
        self.core.sysfs.write(f"/sys/bus/b/drivers/{drv.name}/unbind", dev.name)

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def drivers_probe(self, data: st.DataObject) -> None:
        dev = data.draw(st.sampled_from(self.devices))
        self.core.sysfs.write("/sys/bus/b/drivers_probe", dev.name)
        self.attach(dev)

    @rule(on=st.booleans())
    def drivers_autoprobe(self, on: bool) -> None:
        self.core.sysfs.write("/sys/bus/b/drivers_autoprobe", b"1" if on else b"0")

    @invariant()
    def bindings_are_the_model_s(self) -> None:
        assert {dev: dev.driver for dev in self.devices if dev.driver} == self.bound
        assert list(self.bus.devices) == self.devices
        assert list(self.bus.drivers) == self.drivers
        assert set(self.core.deferred) == set(self.deferred)

    @invariant()
    def links_lead_both_ways(self) -> None:
        sysfs = self.core.sysfs
        for dev in self.devices:
            home = sysfs.realpath(f"/sys/bus/b/devices/{dev.name}")
            assert sysfs.exists(f"{home}/driver") == (dev in self.bound)
            if dev in self.bound:
                assert sysfs.realpath(f"{home}/driver/{dev.name}") == home
        for drv in self.drivers:
            links = set(sysfs.listdir(f"/sys/bus/b/drivers/{drv.name}")) - {"bind", "unbind", "uevent"}
            assert links == {dev.name for dev in drv.devices}
            assert set(drv.devices) == {dev for dev, its in self.bound.items() if its is drv}

    @invariant()
    def only_bound_devices_hold_resources(self) -> None:
        for dev in self.devices:
            assert len(dev.devres) == (2 if dev in self.bound else 0)
        for drv in self.drivers:
            assert len(drv.held) == 2 * len(drv.devices)

    def teardown(self) -> None:
        for drv in list(self.drivers):
            drv.unregister()
            assert drv.held == []
            assert drv.refcount == 0
        for dev in list(self.devices):
            if dev.is_registered:
                dev.unregister()
            assert dev.refcount == 0
        self.bus.unregister()
        assert self.bus.refcount == 0
        assert self.core.sysfs.tree() == {"bus": {}, "class": {}, "devices": {}}
        assert len(self.core.devices_kset) == 0
        assert self.core.deferred == {}


TestBinding = Binding.TestCase
TestBinding.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
