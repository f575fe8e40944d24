"""ADD_ETH_ADDR, DEL_ETH_ADDR, CONFIG_PROMISCUOUS_MODE."""

import pytest

from siov.drivers.ice.virtchnl import VfLimits
from siov.host.linux import LinuxError
from siov.spec.virtchnl import Op, PromiscInfo, Status

from . import build
from .fake import MAC, VSI, Driver, ready

BROADCAST = b"\xff" * 6


def test_a_vf_receives_broadcast_and_its_own_address_from_the_start():
    assert Driver().vsi.macs == {MAC, BROADCAST}


def test_addresses_come_and_go():
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(1), b"\x01\x00\x5e\x00\x00\x01"))
    assert driver.vsi.macs == {MAC, BROADCAST, build.mac(1), b"\x01\x00\x5e\x00\x00\x01"}
    driver.ok(Op.DEL_ETH_ADDR, build.macs(build.mac(1)))
    assert driver.vsi.macs == {MAC, BROADCAST, b"\x01\x00\x5e\x00\x00\x01"}


def test_the_default_address_added_once_more_is_no_error_and_takes_no_room():
    driver = ready()
    for _ in range(3):
        driver.ok(Op.ADD_ETH_ADDR, build.macs(MAC, kind=1))
    driver.ok(Op.ADD_ETH_ADDR, build.macs(*map(build.mac, range(16)), MAC))
    assert len(driver.vsi.macs) == 18


def test_a_vf_has_18_addresses_and_a_request_for_more_adds_none():
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(*map(build.mac, range(15))))
    assert driver.status(Op.ADD_ETH_ADDR, build.macs(build.mac(20), build.mac(21))) == Status.ERR_PARAM
    assert build.mac(20) not in driver.vsi.macs
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(20)))
    assert driver.status(Op.ADD_ETH_ADDR, build.macs(build.mac(22))) == Status.ERR_PARAM
    driver.ok(Op.DEL_ETH_ADDR, build.macs(build.mac(3)))
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(22)))


def test_a_trusted_vf_has_more_but_not_without_end():
    driver = ready(limits=VfLimits(trusted=True, trusted_macs=100))
    driver.ok(Op.ADD_ETH_ADDR, build.macs(*map(build.mac, range(98))))
    assert driver.status(Op.ADD_ETH_ADDR, build.macs(build.mac(98))) == Status.ERR_PARAM


def test_broadcast_and_zero_are_passed_over():
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(BROADCAST, bytes(6), build.mac(1)))
    driver.ok(Op.DEL_ETH_ADDR, build.macs(BROADCAST, bytes(6), build.mac(1)))
    assert driver.vsi.macs == {MAC, BROADCAST}


def test_an_address_that_is_not_there_cannot_be_deleted():
    assert ready().status(Op.DEL_ETH_ADDR, build.macs(build.mac(1))) == Status.ERR_PARAM


def test_an_address_that_the_switch_lost_is_deleted_all_the_same():
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(1)))
    driver.vsi.macs.discard(build.mac(1))
    driver.ok(Op.DEL_ETH_ADDR, build.macs(build.mac(1)))
    assert driver.status(Op.DEL_ETH_ADDR, build.macs(build.mac(1))) == Status.ERR_PARAM


@pytest.mark.parametrize(("kind", "known"), [(0, MAC), (1, build.mac(1)), (2, MAC)])
def test_a_primary_address_becomes_the_default_one(kind: int, known: bytes):
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(1), kind=kind))
    assert driver.resource.default_mac_addr == known


def test_a_group_address_never_becomes_the_default_one():
    driver = ready()
    driver.ok(Op.ADD_ETH_ADDR, build.macs(b"\x01\x00\x5e\x00\x00\x01", kind=1))
    assert driver.resource.default_mac_addr == MAC


def test_a_vf_without_an_address_takes_the_first_one_of_an_old_driver():
    driver = ready()
    driver.vf.mac = bytes(6)
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(1), build.mac(2), kind=0))
    assert driver.resource.default_mac_addr == build.mac(1)


def test_the_default_address_stays_known_when_it_is_deleted():
    driver = ready()
    driver.ok(Op.DEL_ETH_ADDR, build.macs(MAC))
    assert MAC not in driver.vsi.macs
    assert driver.resource.default_mac_addr == MAC


def test_a_full_switch_is_told_as_no_memory():
    driver = ready()
    driver.vsi.fails["add_mac"] = LinuxError(28, "no room for a rule")
    assert driver.status(Op.ADD_ETH_ADDR, build.macs(build.mac(1))) == Status.ERR_NO_MEMORY
    del driver.vsi.fails["add_mac"]
    driver.ok(Op.ADD_ETH_ADDR, build.macs(build.mac(1)))


def test_the_vsi_of_another_is_refused():
    driver = ready()
    for op in (Op.ADD_ETH_ADDR, Op.DEL_ETH_ADDR):
        assert driver.status(op, build.macs(build.mac(1), vsi=1)) == Status.ERR_PARAM
    assert driver.status(Op.CONFIG_PROMISCUOUS_MODE, bytes([1, 0, 3, 0])) == Status.ERR_PARAM


@pytest.mark.parametrize(("flags", "want"), [(0, (0, 0)), (1, (1, 0)), (2, (0, 1)), (3, (1, 1))])
def test_a_trusted_vf_gets_the_frames_of_others_if_it_wants(flags: int, want: tuple[int, int]):
    driver = ready(limits=VfLimits(trusted=True))
    driver.ok(Op.CONFIG_PROMISCUOUS_MODE, PromiscInfo.of(vsi_id=VSI, flags=flags).data)
    assert driver.vsi.promisc == want


def test_a_vf_that_is_not_trusted_is_told_yes_and_gets_nothing():
    driver = ready()
    driver.ok(Op.CONFIG_PROMISCUOUS_MODE, PromiscInfo.of(vsi_id=VSI, flags=3).data)
    assert driver.vsi.promisc == (False, False)
    assert driver.vf.counts["not_trusted"] == 1
