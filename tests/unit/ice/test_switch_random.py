"""Rules in any order of coming and going: firmware holds what a plain model of sets says."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siov.drivers.ice.lookup import Lookup, mac_lookup, promisc_lookup, vlan_lookup
from siov.drivers.ice.switch import Switch
from siov.host.linux import LinuxError
from siov.spec.e810 import RecipeId

from .rig import RefusedError, Rig

LOOKUPS = [
    mac_lookup(bytes([1, 0, 0x5E, 0, 0, 1])),
    mac_lookup(bytes([2, 0, 0, 0, 0, 9])),
    mac_lookup(bytes([2, 0, 0, 0, 0, 9]), 5),
    vlan_lookup(5),
    vlan_lookup(6),
    promisc_lookup("unicast", tx=True),
    promisc_lookup("unicast", tx=False),
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 3), st.sampled_from(LOOKUPS)),
        st.tuples(st.just("gone"), st.integers(0, 3), st.none()),
        st.tuples(st.just("refuse"), st.integers(0, 3), st.sampled_from(LOOKUPS)),
        st.tuples(st.just("veb"), st.integers(0, 1), st.none()),
    ),
    max_size=40,
)


def held(rig: Rig) -> dict[tuple, tuple[frozenset[int], bool]]:
    """What firmware has: by look-up, the VSIs and whether frames go out as well."""
    firmware = rig.machine.function.device.firmware
    found = {}
    for rule in firmware.rules.table.values():
        kind, number = rule.forward
        vsis = {number} if kind == "vsi" else firmware.resources.lists[number]
        key = (rule.key.tx, rule.key.lookup, rule.key.mac, rule.key.vlan)
        found[key] = frozenset(vsis), rule.lan
    return found


def key(lookup: Lookup) -> tuple:
    mac = None if lookup.recipe is RecipeId.VLAN else lookup.mac
    vlan = lookup.vlan if lookup.recipe in (RecipeId.VLAN, RecipeId.MAC_VLAN) else None
    return lookup.tx, lookup.recipe, mac, vlan


def goes_out(lookup: Lookup, veb: bool) -> bool:
    """LAN_EN: all rules of VSIs' frames in a VEPA; in a VEB those that are not for one station."""
    one_station = lookup.recipe in (RecipeId.MAC, RecipeId.MAC_VLAN) and not lookup.mac[0] & 1
    return lookup.tx and not (veb and one_station)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_firmware_holds_each_rule_for_just_the_vsis_that_have_it(steps):
    rig = Rig()
    numbers = [rig.nic.vsi(n, rings=False, rule=False).number for n in range(1, 5)]
    switch, model, veb = Switch(rig.aq), {lookup: set() for lookup in LOOKUPS}, True
    for what, which, lookup in steps:
        vsi = numbers[which]
        if what == "veb":
            veb = bool(which)
            switch.set_veb(veb)
        elif what == "gone":
            switch.remove_vsi(vsi)
            for vsis in model.values():
                vsis.discard(vsi)
        elif what == "refuse":
            refuse_each_command_of_a_change(rig, switch, vsi, lookup)
        else:
            call = switch.add if what == "add" else switch.remove
            there = vsi in model[lookup]
            try:
                call(vsi, lookup)
            except LinuxError:
                assert there is (what == "add")
            else:
                assert there is (what == "remove")
                (model[lookup].add if what == "add" else model[lookup].discard)(vsi)
        expected = {key(k): (frozenset(v), goes_out(k, veb)) for k, v in model.items() if v}
        assert held(rig) == expected
    for vsi in numbers:
        switch.remove_vsi(vsi)
    firmware = rig.machine.function.device.firmware
    assert held(rig) == {}
    assert firmware.resources.lists == {}


def refuse_each_command_of_a_change(rig: Rig, switch: Switch, vsi: int, lookup: Lookup) -> None:
    """Have firmware refuse the first, second … command of a change.

    Either it fails and nothing has changed, or it is done, and a list may wait to be given back.
    """
    change = switch.remove if switch.has(vsi, lookup) else switch.add
    before = held(rig)
    for after in range(8):
        rig.aq.refuse_after = after
        try:
            change(vsi, lookup)
        except RefusedError:
            rig.aq.refuse_after = None
            assert held(rig) == before
            used = [rule.list for rule in switch.rules.values() if rule.list]
            assert lists_in_use(rig) == {one.number for one in [*used, *switch.lists.unused]}
            continue
        rig.aq.refuse_after = None
        assert switch.has(vsi, lookup) is (change == switch.add)
        (switch.add if change == switch.remove else switch.remove)(vsi, lookup)
        return


def lists_in_use(rig: Rig) -> set[int]:
    return set(rig.machine.function.device.firmware.resources.lists)


@pytest.mark.parametrize("lookup", LOOKUPS, ids=str)
@pytest.mark.parametrize("others", [0, 1, 2, 3])
@pytest.mark.parametrize("there", [False, True], ids=["add", "remove"])
def test_a_change_that_firmware_refuses_at_any_of_its_commands_changes_nothing(lookup, others, there):
    rig = Rig()
    vsi, *rest = (rig.nic.vsi(n, rings=False, rule=False).number for n in range(1, 5))
    switch = Switch(rig.aq)
    for number in [*rest[:others], *([vsi] if there else [])]:
        switch.add(number, lookup)
    refuse_each_command_of_a_change(rig, switch, vsi, lookup)
