"""Managed resources are given back in reverse order, all of them, whatever happens."""

import errno
from typing import Any

import pytest

from siov.host.bus import Bus
from siov.host.core import DriverCore
from siov.host.device import Device, Driver
from siov.host.linux import LinuxError, ProbeError, TraceEvent


class World:
    """A bus with one device, and a log that actions write to."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.core = DriverCore(self.events.append)
        self.bus = Bus(self.core, "pci").register()
        self.device = Device("a")
        self.log: list[str] = []
        self.bus.add_device(self.device)

    def act(self, word: str) -> None:
        self.device.devm_add_action(self.log.append, word)


@pytest.fixture
def world() -> World:
    return World()


def test_resources_are_released_in_reverse_order_at_detach(world):
    class Ice(Driver):
        def probe(self, device: Any) -> None:
            for word in ("bar", "queues", "vectors"):
                world.act(word)

        def remove(self, device: Any) -> None:
            world.log.append("remove")

    driver = Ice()
    world.bus.add_driver(driver)
    assert world.log == []
    driver.unregister()
    assert world.log == ["remove", "vectors", "queues", "bar"]
    assert not world.device.devres


def test_resources_of_a_probe_that_fails_half_way_are_released(world):
    class Ice(Driver):
        def probe(self, device: Any) -> None:
            world.act("bar")
            world.act("queues")
            raise ProbeError(errno.EIO, "no firmware")

    world.bus.add_driver(Ice())
    assert world.log == ["queues", "bar"]
    assert not world.device.devres
    assert world.device.driver is None


def test_a_release_that_raises_stops_no_other_and_is_reported(world, caplog):
    def broken() -> None:
        raise RuntimeError("stuck")

    world.act("first")
    world.device.devm_add_action(broken)
    world.act("last")
    world.device.unregister()
    assert world.log == ["last", "first"]
    assert "devres_release /devices/a broken failed: stuck" in map(str, world.events)
    assert "stuck" in caplog.text


def test_a_device_that_holds_resources_is_not_probed(world):
    world.act("stray")
    world.bus.add_driver(Driver("ice"))
    assert world.device.driver is None
    assert world.device.probe_error.errno == errno.EBUSY
    assert "append" in str(world.device.probe_error)


def test_memory_is_zeroed_accounted_for_and_dead_after_detach(world):
    memory = world.device.devm_kzalloc(4096)
    assert bytes(memory) == bytes(4096)
    assert world.device.devres.size == 4096
    world.device.unregister()
    assert world.device.devres.size == 0
    with pytest.raises(ValueError, match="released"):
        memory[0] = 1


def test_memory_freed_early_is_not_freed_again(world):
    memory = world.device.devm_kzalloc(16)
    world.device.devm_kfree(memory)
    assert not world.device.devres
    with pytest.raises(LinuxError, match="does not hold that memory"):
        world.device.devm_kfree(memory)


def test_an_action_can_be_forgotten_or_called_early(world):
    for word in ("x", "y", "z"):
        world.act(word)
    world.device.devm_remove_action(world.log.append, "x")
    world.device.devm_release_action(world.log.append, "y")
    assert world.log == ["y"]
    with pytest.raises(LinuxError, match="holds no action"):
        world.device.devm_remove_action(world.log.append, "y")
    world.device.unregister()
    assert world.log == ["y", "z"]


def test_nothing_can_be_held_by_a_device_that_is_gone_but_or_reset_acts_at_once(world):
    world.device.unregister()
    with pytest.raises(LinuxError) as refused:
        world.act("late")
    assert refused.value.errno == errno.ENODEV
    assert world.log == []
    with pytest.raises(LinuxError):
        world.device.devm_add_action_or_reset(world.log.append, "reset")
    assert world.log == ["reset"]


def test_a_release_can_t_take_new_resources(world, caplog):
    world.device.devm_add_action(lambda: world.act("again"))
    world.device.devres.release_all()
    assert not world.device.devres
    assert "is releasing its resources" in caplog.text


def test_a_group_is_released_as_one_and_the_rest_stays(world):
    world.act("before")
    group = world.device.devres_open_group("rings")
    world.act("tx")
    world.act("rx")
    world.device.devres_close_group(group)
    world.act("after")
    assert world.device.devres_release_group(group) == 2
    assert world.log == ["rx", "tx"]
    world.device.unregister()
    assert world.log == ["rx", "tx", "after", "before"]


def test_an_open_group_reaches_to_the_newest_resource_and_takes_inner_groups_along(world):
    outer = world.device.devres_open_group("outer")
    world.act("a")
    inner = world.device.devres_open_group("inner")
    world.act("b")
    world.device.devres_close_group()
    world.act("c")
    assert world.device.devres_release_group() == 3
    assert world.log == ["c", "b", "a"]
    for group in (outer, inner):
        with pytest.raises(LinuxError, match=f"no devres group {group.name}"):
            world.device.devres_release_group(group)
    assert not world.device.devres


def test_a_group_that_overlaps_keeps_what_lies_outside(world):
    one = world.device.devres_open_group("one")
    world.act("a")
    two = world.device.devres_open_group("two")
    world.act("b")
    world.device.devres_close_group(one)
    world.act("c")
    world.device.devres_close_group(two)
    assert world.device.devres_release_group(one) == 2
    assert world.log == ["b", "a"]
    assert world.device.devres_release_group(two) == 1
    assert world.log == ["b", "a", "c"]
    assert not world.device.devres


def test_a_removed_group_leaves_its_resources_to_detach(world):
    group = world.device.devres_open_group()
    world.act("a")
    world.device.devres_remove_group(group)
    assert world.log == []
    world.device.unregister()
    assert world.log == ["a"]


def test_a_group_is_closed_once(world):
    group = world.device.devres_open_group("g")
    world.device.devres_close_group(group)
    with pytest.raises(LinuxError, match="closed already"):
        world.device.devres_close_group(group)
    with pytest.raises(LinuxError, match="no devres group open"):
        world.device.devres_close_group()
