"""Row 10: the mailbox between a virtual device and the function, through which the whole dialogue runs."""

from itertools import pairwise

import pytest

from siov.drivers.iavf import State
from siov.observe.trace import Step

from .house import House, follow

START = (
    "VERSION", "GET_VF_RESOURCES", "GET_OFFLOAD_VLAN_V2_CAPS", "GET_SUPPORTED_RXDIDS", "CONFIG_IRQ_MAP",
    "CONFIG_RSS_KEY", "CONFIG_RSS_LUT", "DISABLE_VLAN_STRIPPING_V2", "DISABLE_VLAN_INSERTION_V2",
    "ADD_ETH_ADDR", "CONFIG_VSI_QUEUES", "ENABLE_QUEUES",
)  # fmt: skip
END = ("DISABLE_QUEUES", "DEL_ETH_ADDR")


def asked(steps: list[Step]) -> list[Step]:
    return [step for step in steps if not step.fields["reply"]]


def check_dialogue(steps: list[Step]) -> None:
    """Each request is answered, with success, before the next one is asked."""
    waits: list[str] = []
    for step in steps:
        if not step.fields["reply"]:
            assert waits == [], f"{step.what} is asked before {waits} is answered"
            waits.append(step.what)
        elif step.what != "EVENT":
            assert (waits, step.fields["status"]) == ([step.what], "SUCCESS")
            waits.clear()


@pytest.mark.parametrize("kind", ["vdcm", "avf"])
def test_the_drivers_whole_start_runs_through_the_mailbox_and_is_granted(kind):
    house = House.build("dialogue", vm1=f'type = "{kind}"')
    house.platform.enumerate()
    with house.steps("mailbox") as steps:
        house.platform.boot_host()
    assert tuple(step.what for step in asked(steps)) == START
    assert {step.subject for step in steps} == {f"nic0/vsi{house.vsi('vm1').num}"}
    check_dialogue(steps)
    driver = house.tenant("vm1").driver
    assert driver.state is State.RUNNING
    assert {op: driver.counts[op] for op in START} == dict.fromkeys(START, 1)
    before = [one.what for one, two in pairwise(steps) if two.what == "EVENT"]
    assert before == ["GET_VF_RESOURCES", "ENABLE_QUEUES"], "the link's state comes behind these"
    assert (driver.link_up, driver.link_speed) == (True, 100_000)


def test_what_a_running_driver_asks_and_how_it_says_goodbye(tmp_path):
    house = House.build("goodbye", vm1='type = "vdcm"', vm2='type = "avf"').boot()
    tenant = house.tenant("vm1")
    with house.steps("mailbox") as steps:
        stats = tenant.driver.stats()
        tenant.driver.set_promiscuous(unicast=True, multicast=False)
        tenant.driver.add_mac(bytes.fromhex("01005e0000fb"))
        tenant.driver.add_vlan(7)
        tenant.driver.down()
        tenant.driver.up()
        tenant.driver.reset()
        tenant.stop()
    assert stats.tx_unicast == house.counters("vm1")["tx_unicast"]
    chain = ("GET_STATS", "CONFIG_PROMISCUOUS_MODE", "ADD_ETH_ADDR", "ADD_VLAN_V2", *END)
    chain += ("ADD_ETH_ADDR", "CONFIG_VSI_QUEUES", "ENABLE_QUEUES", "RESET_VF", *START, "RESET_VF")
    follow(asked(steps), *chain)
    assert {step.fields.get("status", "SUCCESS") for step in steps} == {"SUCCESS"}
    assert house.tenant("vm2").driver.state is State.RUNNING, "the other guest heard nothing of it"


def test_each_mailbox_is_a_page_of_the_functions_bar_4_kib_apart():
    house = House.build("pages", vm1='type = "vdcm"', vm2='type = "vdcm"').boot()
    one, two = house.vsi("vm1").num, house.vsi("vm2").num
    for guest, number in (("vm1", one), ("vm2", two)):
        vdev = house.tenant(guest).vdev
        vdev.read32(0x20000)
        assert house.hpa(guest, vdev.address(0x20000)) == house.base + 0x200_0000 + 0x1000 * number
    assert house.hpa("vm2", house.tenant("vm2").vdev.address(0x20000)) != house.hpa(
        "vm1", house.tenant("vm1").vdev.address(0x20000)
    )


def test_a_mailbox_whose_rings_are_off_carries_nothing():
    house = House.build("deaf", vm1='type = "vdcm"').boot()
    vsi = house.vsi("vm1").num
    for name in ("ATQLEN", "ARQLEN"):
        assert house.pf.hw.rd(f"VSI_MBX_{name}", vsi) >> 31, f"{name}.ENABLE"
    house.tenant("vm1").stop()
    for name in ("ATQLEN", "ARQLEN"):
        assert house.pf.hw.rd(f"VSI_MBX_{name}", vsi) >> 31 == 0
    with house.steps("mailbox") as steps:
        house.tenant("vm1").vdev.write32(0x20000 + 16, 1)
        house.platform.pump()
    assert steps == []
