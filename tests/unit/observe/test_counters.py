"""Numbers by path, what changed, and what that means in words."""

from siov.observe.counters import DROPPED, MEANINGS, TOPICS, Snapshot, explain, flatten, table, where
from siov.spec.vtd import FaultReason


def tree(**more):
    return {
        "hw": {
            "pcie": {
                "bus": [
                    {
                        "name": "nic0",
                        "up": True,
                        "engine": {
                            "vsis": {5: {"rx_frames": 10, "rx_no_desc": 0, "pasid": None} | more},
                            "dropped": {"anti_spoof": more.get("spoofed", 0)},
                        },
                    }
                ]
            }
        }
    }


def test_every_number_has_its_path_and_nothing_else_has():
    assert dict(flatten({"a": [1, {"name": "x", "b": 2}], "c": True, "d": "9", "e": None, "f": b"1"})) == {
        "a/0": 1,
        "a/x/b": 2,
    }
    assert dict(flatten(tree()))["hw/pcie/bus/nic0/engine/vsis/5/rx_frames"] == 10


def test_a_difference_has_what_changed_and_counts_the_new_from_zero():
    before, after = Snapshot.of({"a": 1, "b": 2, "gone": 3}), Snapshot.of({"a": 1, "b": 5, "new": 7})
    assert after.since(before) == {"b": 3, "new": 7}


def test_a_drop_says_where_and_why():
    before, after = Snapshot.of(tree()), Snapshot.of(tree(rx_no_desc=4, rx_frames=12, spoofed=2))
    rows = explain(after.since(before))
    told = [(row.where, row.what, row.count, row.why) for row in rows]
    assert told == [
        ("nic0/vsi5", "frames received", 2, ""),
        (
            "nic0/vsi5",
            "frames dropped",
            4,
            "no receive buffer was posted, or the queue is not enabled (GLV_RDPC)",
        ),
        ("nic0", "frames dropped", 2, "the source address is none of the sender's (MAC anti-spoof)"),
    ]


def test_a_fault_has_the_reason_of_the_specification():
    [row] = explain({"host/iommu/faults/counts/SFS_2": 3})
    assert (row.count, row.what) == (3, "requests refused (SFS_2)")
    assert row.why
    assert row.why in (FaultReason.SFS_2.__doc__ or "")


def test_interrupts_go_by_the_names_of_their_handlers():
    [row] = explain({"host/irq/counts/ice-misc": 7})
    assert (row.where, row.what, row.count) == ("ice-misc", "interrupts handled", 7)


def test_what_only_a_programmer_wants_to_know_is_left_out():
    assert explain({"host/core/bus/pci/refcount": 1, "hw/vtd0/cached/iotlb": 5}) == []


def test_every_reason_of_the_switch_and_of_ports_has_its_words():
    have = {(meaning.within, meaning.counter) for meaning in MEANINGS if meaning.topic == DROPPED}
    reasons = "no_source anti_spoof tx_vlan_prune override rule source_prune rx_vlan_prune lan_disabled"
    for reason in [*reasons.split(), "no_destination"]:
        assert ("*dropped", reason) in have
    for reason in ["link_down", "overflow", "length", "malformed", "os", "limit", "filtered"]:
        assert ("*counters", f"dropped_{reason}") in have
    assert all(meaning.why for meaning in MEANINGS if meaning.topic == DROPPED)


def test_a_table_has_columns_below_each_other_and_each_topic_once():
    rows = explain(
        {
            "hw/nic0/engine/vsis/5/rx_frames": 1234567,
            "hw/nic0/engine/vsis/12/rx_frames": 1,
            "hw/nic0/engine/dropped/rule": 3,
        }
    )
    assert table(rows).splitlines() == [
        "        where       what                 count  why",
        "frames  nic0/vsi5   frames received  1,234,567",
        "        nic0/vsi12  frames received          1",
        "drops   nic0        frames dropped           3  a switch rule says so",
    ]
    assert table([]) == "nothing has happened"
    assert [row.topic for row in rows] == sorted((row.topic for row in rows), key=TOPICS.index)


def test_a_place_is_told_without_what_all_places_have():
    assert where("hw/pcie/bus/rp0/below/nic0/engine/vsis/5") == "nic0/vsi5"
    assert where("hw/pcie/bus/rp1/below/sw/below/nic1/engine/dropped") == "nic1"
    assert where("hw/pcie/bus/rp0/below/nic0/firmware/adminq") == "nic0"
    assert where("host/irq") == "irq"
    assert where("") == "server"
