"""Events of a scenario on a whole server that stands still: done by who has its time pass, and no thread."""

from __future__ import annotations

import pytest

from conformance.map.house import House
from siov.drivers.iavf import State

GUESTS = {"vm1": "queues = 1", "vm2": "queues = 1"}


def booted(event: str) -> House:
    house = House.build("events", more=f"[[event]]\nat = 0\n{event}\n", **GUESTS).boot()
    house.send("vm1", "vm2", count=50)
    return house


def outcome(house: House) -> str:
    [row] = house.platform.inspect("host/events")
    assert row["state"] == "done", row
    text: str = row["outcome"]
    return text


@pytest.mark.parametrize(
    "event",
    ['kind = "reset"\ndevice = "vm2"']
    + [f'kind = "adapter-reset"\nadapter = "nic0"\nreset = "{kind}"' for kind in ("PFR", "CORER", "GLOBR")],
)
def test_after_a_reset_the_guests_drivers_are_there_again_and_talk(event):
    house = booted(event)
    assert house.platform.events.advance() is None
    house.run()
    assert house.tenant("vm2").driver.state is State.RUNNING
    assert house.tenant("vm2").driver.counts["resets"] == 1
    assert outcome(house)
    house.send("vm2", "vm1", "request", count=20)
    assert house.received("vm2") == 50 + 20


def test_a_cable_that_is_pulled_is_a_link_that_goes_for_drivers_and_guests():
    house = booted('kind = "link-down"\nadapter = "nic0"')
    assert house.tenant("vm1").driver.link_up
    house.platform.events.advance()
    house.run()
    assert not house.pf.link.state.up
    assert not house.tenant("vm1").driver.link_up
    assert house.platform.inspect("hw/ports/nic0/link") is False
    assert outcome(house) == "pulled out"


def test_the_bridge_mode_is_the_adapter_s():
    house = booted('kind = "bridge-mode"\nadapter = "nic0"\nmode = "vepa"')
    house.platform.events.advance()
    assert house.platform.bridge("nic0").getlink() == 1
    assert outcome(house) == "VEB before, VEPA now"


def test_a_storm_makes_the_device_ask_for_all_of_its_translations_again():
    house = booted('kind = "invalidation-storm"\ncount = 600\ndevice = "vm1"')
    cache = house.nic.inspect()["atc"]
    rounds = 0
    while house.platform.events.advance() is not None:
        rounds += 1
    assert 0 < rounds < 10
    assert outcome(house) == "600 invalidations of 1 address spaces"
    assert house.nic.inspect()["atc"]["invalidations"] >= cache["invalidations"] + 600
    requests = house.nic.inspect()["atc"]["requests"]
    house.send("vm1", "vm2", "request", count=1)
    assert house.nic.inspect()["atc"]["requests"] > requests


def test_what_a_driver_refuses_is_the_outcome():
    house = booted('kind = "adapter-reset"\nadapter = "nic0"')
    house.pf.resetting = "CORER that could not be undone"
    house.platform.events.advance()
    [row] = house.platform.inspect("host/events")
    assert (row["state"], row["outcome"]) == (
        "refused",
        f"{house.pf.dev.name} is within a CORER that could not be undone",
    )
    assert house.platform.events.failures == []
