"""What limited a run: a rule for each thing that counters show, and honesty when they show nothing."""

import pytest

from siov.observe.counters import Row
from siov.observe.limits import Load, Run, limits
from siov.observe.series import Series

MS = 1_000_000
FAST = {"nic0/tx_frames": 10_000, "nic0/rx_frames": 10_000, "vm1.0/tx_frames": 10_000}


def run(a_second, *loads, rows=(), seconds=10) -> Run:
    """A run in which each counter went up by so much a second."""
    series = Series()
    for time in range(seconds + 1):
        series.add(time, {name: gain * time for name, gain in a_second.items()})
    return Run(series, loads, rows, ["nic0"], ["vtd0"], 4)


def load(kind="generate", rate=None, done=False, p50=0) -> Load:
    return Load("vm1.0 to vm2.0", kind, rate, 100_000, done, p50)


def first(run: Run) -> str:
    return limits(run)[0].what


def test_traffic_at_its_set_rate_was_limited_by_nothing():
    found = limits(run(FAST, load(rate=10_000)))
    assert [one.what for one in found] == ["nothing: the traffic was at its set rate"]
    assert "vm1.0 to vm2.0 was sent at the rate that was set" in found[0].why


def test_traffic_below_its_rate_says_what_it_was_to_be_and_was():
    [found] = limits(run(FAST, load(rate=20_000)))
    assert found.what == "below the set rate"
    assert "was to send 20,000 frames a second, and sent 10,000" in found.why


@pytest.mark.parametrize(
    ("thread", "what"),
    [
        ("guests", "the guests' processor"),
        ("nic0-worker0", "the thread nic0-worker0"),
        ("host-interrupts", "the host's interrupt handlers"),
    ],
)
def test_a_thread_that_was_always_busy_is_what_the_others_waited_for(thread, what):
    found = limits(run({**FAST, f"cpu/{thread}": 970 * MS, "cpu/other": 100 * MS}, load()))
    assert [one.what for one in found] == [what]
    assert "97%" in found[0].why


def test_a_thread_counts_only_while_frames_moved():
    series = Series()
    for time in range(21):
        moved, ran = min(time, 5), min(time, 5) * 950 * MS
        series.add(time, {"nic0/tx_frames": 1000 * moved, "cpu/guests": ran})
    assert first(Run(series, [load()], [], ["nic0"], [], 4)) == "the guests' processor"


def test_threads_without_a_processor_blame_the_machine():
    ready = {"cpu/guests": 500 * MS, "wait/guests": 400 * MS, "cpu/nic0-worker0": 500 * MS}
    assert first(run({**FAST, **ready}, load())) == "processors"
    assert "this machine's 4 were busy" in limits(run({**FAST, **ready}, load()))[0].why


def test_requests_that_waited_for_moderation_say_so_and_how_long_an_answer_took():
    held = {"nic0/interrupts": 1000, "nic0/delayed": 700}
    [found] = limits(run({**FAST, **held}, load("request", p50=104_000)))
    assert found.what == "interrupt moderation"
    assert "70% of the 10,000 interrupts" in found.why
    assert "104 µs" in found.why


def test_misses_in_the_iotlb_are_told_as_walks_and_reads_a_frame():
    misses = {"vtd0/iotlb_lookup": 10_000, "vtd0/iotlb_hit": 4_000, "vtd0/iommu_mrds": 40_000}
    [found] = limits(run({**FAST, **misses}, load()))
    assert found.what == "translation: IOTLB misses"
    assert "60% of 100,000 look-ups" in found.why
    assert "0.30 walks and 2.0 reads of tables a frame" in found.why


def test_misses_that_no_frame_feels_are_not_told():
    misses = {"vtd0/iotlb_lookup": 10, "vtd0/iotlb_hit": 2, "vtd0/iommu_mrds": 40}
    assert [one.what for one in limits(run({**FAST, **misses}, load(rate=10_000)))] == [
        "nothing: the traffic was at its set rate"
    ]


def test_misses_of_the_device_tlb_are_told_of_their_adapter():
    misses = {"nic0/atc/lookups": 10_000, "nic0/atc/hits": 2_000}
    [found] = limits(run({**FAST, **misses}, load()))
    assert "80% of 100,000 look-ups in the device TLB of nic0 missed" in found.why


def test_drops_for_want_of_descriptors_and_faults_are_told_with_their_reason():
    rows = [
        Row("drops", "nic0/vsi2", "frames dropped", 5_000, "no receive buffer was posted (GLV_RDPC)"),
        Row("faults", "dmar0", "requests refused (SCT_2)", 3, "not present"),
        Row("drops", "nic0", "frames dropped", 2, "a switch rule says so"),
    ]
    found = limits(run(FAST, load(), rows=rows))
    assert [one.what for one in found] == ["too few receive descriptors", "faults"]
    assert "5,000" in found[0].why


def test_full_transmit_queues_are_told():
    assert first(run({**FAST, "vm1.0/tx_full": 2_000}, load())) == "full transmit queues"


@pytest.mark.parametrize("kind", ["request", "stream"])
def test_who_waits_for_answers_while_nothing_is_busy_is_limited_by_them(kind):
    assert first(run(FAST, load(kind))) == "the time until an answer"


def test_what_counters_do_not_show_is_said_to_be_so():
    assert first(run(FAST, load())) == "nothing that the counters show"
    assert first(run({"nic0/tx_frames": 0}, load())) == "no traffic"
    assert first(run({})) == "no traffic"
    assert first(Run(Series(), [], [], [], [], 1)) == "no traffic"
