"""Switch rules and VSI lists."""

import pytest

from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_switch import (
    AqAllocRes,
    AqResource,
    AqSwitchRule,
    RecipeId,
    ResourceType,
    SingleAction,
    SingleActionQueue,
    SingleActionType,
    SwitchRuleType,
)

from .client import (
    Client,
    add_rule,
    add_vsi,
    allocate,
    change_list,
    frame_header,
    free_vsi,
    lookup_rule,
    rules,
    to_list,
    to_vsi,
)

MAC = bytes.fromhex("020000000001")
MULTICAST = bytes.fromhex("01005e000001")
BROADCAST = b"\xff" * 6


@pytest.fixture
def vsi(client: Client) -> int:
    return add_vsi(client)


@pytest.mark.parametrize(
    ("recipe", "header", "looked_at"),
    [
        (RecipeId.ETHERTYPE, frame_header(ethertype=0x88CC), (None, None, 0x88CC)),
        (RecipeId.MAC, frame_header(MAC), (MAC, None, None)),
        (RecipeId.MAC_VLAN, frame_header(MAC, vlan=100), (MAC, 100, None)),
        (RecipeId.PROMISC, frame_header(MULTICAST), (b"\x01" + bytes(5), None, None)),
        (RecipeId.PROMISC, frame_header(BROADCAST), (BROADCAST, None, None)),
        (RecipeId.VLAN, frame_header(vlan=0x2064), (None, 100, None)),
        (RecipeId.DFLT, frame_header(MAC), (None, None, None)),
        (RecipeId.ETHERTYPE_MAC, frame_header(MAC, 0x88A8), (MAC, None, 0x88A8)),
        (RecipeId.PROMISC_VLAN, frame_header(MAC, vlan=5), (bytes(6), 5, None)),
    ],
)
def test_a_rule_looks_at_what_its_type_says(client: Client, vsi: int, recipe, header, looked_at):
    number = add_rule(
        client, lookup_rule(recipe, to_vsi(vsi, LB_ENABLE=1), tx=True, source=vsi, header=header)
    )
    rule = client.engine.rules[number]
    assert (rule["mac"], rule["vlan"], rule["ethertype"]) == looked_at
    assert (rule["tx"], rule["lookup"], rule["source"]) == (True, recipe, vsi)
    assert (rule["forward"], rule["loopback"], rule["lan"]) == (("vsi", vsi), True, False)


@pytest.mark.parametrize("recipe", [6, 7, 10, 63])
def test_other_recipes_do_not_exist(client: Client, vsi: int, recipe: int):
    add_rule(client, lookup_rule(recipe, to_vsi(vsi), header=frame_header()), expect=AqRc.EINVAL)


def test_two_rules_that_look_at_the_same_exist_already(client: Client, vsi: int):
    element = lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(MAC))
    add_rule(client, element)
    add_rule(client, element, expect=AqRc.EEXIST)
    add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), tx=True, source=vsi, header=frame_header(MAC)))


def test_a_full_switch_has_no_space():
    client = Client(rules=2)
    vsi = add_vsi(client)
    for n in range(2):
        add_rule(client, lookup_rule(RecipeId.VLAN, to_vsi(vsi), header=frame_header(vlan=n)))
    full = lookup_rule(RecipeId.VLAN, to_vsi(vsi), header=frame_header(vlan=2))
    add_rule(client, full, expect=AqRc.ENOSPC)


def test_a_rule_is_changed_and_removed_by_its_number(client: Client, vsi: int):
    number = add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(MAC)))
    drop = SingleAction.of(VALID=1, DROP=1)
    rules(client, AqOpcode.UPDATE_SW_RULES, lookup_rule(RecipeId.MAC, drop, index=number))
    assert client.engine.rules[number]["forward"] == ("drop",)
    gone = lookup_rule(RecipeId.MAC, SingleAction(), index=number)
    rules(client, AqOpcode.REMOVE_SW_RULES, gone)
    assert client.engine.rules == {}
    rules(client, AqOpcode.REMOVE_SW_RULES, gone, expect=AqRc.ENOENT)
    rules(client, AqOpcode.UPDATE_SW_RULES, lookup_rule(RecipeId.MAC, drop, index=number), expect=AqRc.ENOENT)


def test_a_rule_of_the_other_direction_is_not_removed(client: Client, vsi: int):
    number = add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(MAC)))
    other = lookup_rule(RecipeId.MAC, SingleAction(), tx=True, index=number)
    rules(client, AqOpcode.REMOVE_SW_RULES, other, expect=AqRc.ENOENT)


def test_each_rule_of_a_command_has_its_own_status(client: Client, vsi: int):
    good = lookup_rule(RecipeId.VLAN, to_vsi(vsi), header=frame_header(vlan=1))
    bad = lookup_rule(RecipeId.VLAN, to_vsi(700), header=frame_header(vlan=2))
    answer = rules(client, AqOpcode.ADD_SW_RULES, good, bad, good, expect=AqRc.EINVAL)
    statuses = [AqSwitchRule.from_bytes(answer.data[at : at + 16]).STATUS for at in (0, 32, 64)]
    assert statuses == [AqRc.OK, AqRc.EINVAL, AqRc.EEXIST]
    assert len(client.engine.rules) == 1


@pytest.mark.parametrize("cut", [1, 8, 15, 17, 31])
def test_a_buffer_that_ends_within_a_rule_is_invalid_and_none_of_it_is_done(
    client: Client, vsi: int, cut: int
):
    good = lookup_rule(RecipeId.VLAN, to_vsi(vsi), header=frame_header(vlan=1))
    rules(client, AqOpcode.ADD_SW_RULES, good, good[:cut], expect=AqRc.EINVAL)
    assert client.engine.rules == {}


def test_a_rule_may_send_to_queues_that_exist(client: Client, vsi: int):
    action = SingleActionQueue.of(TYPE=SingleActionType.TO_Q, Q_INDEX=2040, Q_REGION=3)
    number = add_rule(client, lookup_rule(RecipeId.MAC, SingleAction(action.raw), header=frame_header(MAC)))
    assert client.engine.rules[number]["forward"] == ("queue", 2040, 3)
    beyond = SingleActionQueue.of(TYPE=SingleActionType.TO_Q, Q_INDEX=2041, Q_REGION=3)
    element = lookup_rule(RecipeId.VLAN, SingleAction(beyond.raw), header=frame_header(MAC))
    add_rule(client, element, expect=AqRc.EINVAL)


@pytest.mark.parametrize(
    "action",
    [
        SingleAction.of(VSI_ID=5, VALID=1),
        SingleAction.of(VSI_ID=5, VSI_LIST=1, VALID=1),
        SingleAction.of(VSI_ID=0),
        SingleAction.of(TYPE=SingleActionType.OTHER),
        SingleAction.of(TYPE=SingleActionType.PRUNE_OR_PTR, DROP=1),
    ],
)
def test_a_rule_sends_only_where_something_is(client: Client, vsi: int, action: SingleAction):
    add_rule(client, lookup_rule(RecipeId.MAC, action, header=frame_header(MAC)), expect=AqRc.EINVAL)


def test_a_rule_comes_from_the_port_or_from_a_vsi_that_exists(client: Client, vsi: int):
    header = frame_header(MAC)
    add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), source=1, header=header), expect=AqRc.EINVAL)
    far = lookup_rule(RecipeId.MAC, to_vsi(vsi), tx=True, source=9, header=header)
    add_rule(client, far, expect=AqRc.EINVAL)


def test_a_list_holds_the_vsis_that_are_put_into_it(client: Client, vsi: int):
    other = add_vsi(client)
    [number] = allocate(client, ResourceType.VSI_LIST_REP)
    rules(client, AqOpcode.UPDATE_SW_RULES, change_list(SwitchRuleType.VSI_LIST_SET, number, vsi, other))
    assert client.engine.lists[number] == [vsi, other]
    rules(client, AqOpcode.UPDATE_SW_RULES, change_list(SwitchRuleType.VSI_LIST_CLEAR, number, vsi))
    assert client.engine.lists[number] == [other]
    rule = add_rule(client, lookup_rule(RecipeId.MAC, to_list(number), header=frame_header(MULTICAST)))
    assert client.engine.rules[rule]["forward"] == ("list", number)


def test_a_vlan_rule_to_a_prune_list_prunes(client: Client, vsi: int):
    [number] = allocate(client, ResourceType.VSI_LIST_PRUNE)
    rules(client, AqOpcode.UPDATE_SW_RULES, change_list(SwitchRuleType.PRUNE_LIST_SET, number, vsi))
    rule = add_rule(client, lookup_rule(RecipeId.VLAN, to_list(number), header=frame_header(vlan=7)))
    assert client.engine.rules[rule]["forward"] == ("prune", number)
    mac = lookup_rule(RecipeId.MAC, to_list(number), header=frame_header(MAC))
    add_rule(client, mac, expect=AqRc.EINVAL)


def test_a_list_is_changed_as_the_kind_that_it_is(client: Client, vsi: int):
    [number] = allocate(client, ResourceType.VSI_LIST_REP)
    wrong = change_list(SwitchRuleType.PRUNE_LIST_SET, number, vsi)
    rules(client, AqOpcode.UPDATE_SW_RULES, wrong, expect=AqRc.EINVAL)
    missing = change_list(SwitchRuleType.VSI_LIST_SET, 99, vsi)
    rules(client, AqOpcode.UPDATE_SW_RULES, missing, expect=AqRc.ENOENT)


def test_lists_are_1024_of_both_kinds_together(client: Client):
    for _ in range(4):
        allocate(client, ResourceType.VSI_LIST_REP, 256)
    allocate(client, ResourceType.VSI_LIST_PRUNE, expect=AqRc.ENOSPC)


def test_a_resource_goes_back_once(client: Client):
    numbers = allocate(client, ResourceType.VSI_LIST_REP, 2)
    data = AqResource.of(RES_TYPE=ResourceType.VSI_LIST_REP, NUM_ELEMS=1).to_bytes() + numbers[1].to_bytes(
        2, "little"
    )
    client.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), data)
    client.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), data, expect=AqRc.ENOENT)
    assert allocate(client, ResourceType.VSI_LIST_PRUNE) == [numbers[1]]


def test_a_vsi_that_goes_takes_its_rules_and_places_in_lists_with_it(client: Client, vsi: int):
    other = add_vsi(client)
    [number] = allocate(client, ResourceType.VSI_LIST_REP)
    rules(client, AqOpcode.UPDATE_SW_RULES, change_list(SwitchRuleType.VSI_LIST_SET, number, vsi, other))
    add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(MAC)))
    add_rule(client, lookup_rule(RecipeId.VLAN, to_vsi(other), header=frame_header()))
    free_vsi(client, vsi)
    assert [rule["forward"] for rule in client.engine.rules.values()] == [("vsi", other)]
    assert client.engine.lists[number] == [other]


def test_large_actions_are_not_implemented(client: Client):
    element = int(SwitchRuleType.LG_ACT).to_bytes(2, "little") + bytes(14)
    rules(client, AqOpcode.ADD_SW_RULES, element, expect=AqRc.ENOSYS)


def test_clearing_the_functions_configuration_leaves_its_vsis(client: Client, vsi: int):
    allocate(client, ResourceType.VSI_LIST_REP)
    add_rule(client, lookup_rule(RecipeId.MAC, to_vsi(vsi), header=frame_header(MAC)))
    client.send(AqOpcode.CLEAR_PF_CFG)
    assert client.engine.rules == {}
    assert list(client.engine.vsis) == [vsi]
    assert allocate(client, ResourceType.VSI_LIST_REP) == [0]
