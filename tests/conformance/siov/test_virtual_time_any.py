"""Any small scenario in virtual time: the same however often, and however the time is divided."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siov.platform import build
from siov.scenario import parse

LENGTH = 4_000_000  # nanoseconds that each run takes
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")

caches = st.sampled_from(["off", "infinite"]) | st.fixed_dictionaries(
    {
        "sets": st.sampled_from([1, 2, 8]),
        "ways": st.sampled_from([1, 2, 4]),
        "replacement": st.sampled_from(["lru", "plru", "lfu", "fifo", "random"]),
    }
)
iommus = st.fixed_dictionaries({}, optional={"iotlb": caches, "pasid": caches, "second": caches})
nics = st.fixed_dictionaries(
    {
        "workers": st.integers(1, 3),
        "ims": st.sampled_from([0, 64]),
        "atc": st.just("off") | st.fixed_dictionaries({"sets": st.just(1), "ways": st.integers(1, 4)}),
    }
)
vdevs = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["vdcm-1", "vdcm", "avf-1", "avf"]),
        "itr": st.sampled_from([0, 2, 50, 250]),
        "entries": st.sampled_from([64, 256]),
        "vlan": st.sampled_from([None, None, 7]),
    }
)
ends = st.permutations(["vm0", "vm1", "vm2"]).map(lambda names: {"src": names[0], "dst": names[1]})
loads = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["generate", "request", "stream"]),
        "count": st.integers(1, 400),
        "flows": st.integers(1, 5),
        "depth": st.integers(1, 8),
        "ends": ends,
    },
    optional={
        "rate": st.sampled_from([1_000, 33_333, 250_000]),
        "sizes": st.lists(st.sampled_from([64, 300, 1518, 4000]), min_size=1, max_size=3),
    },
)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Two adapters that a cable joins, three guests, and some traffic among them."""
    port = {"kind": "cable", "to": "c", "speed": draw(st.sampled_from([100, 1000, 25000, 100000]))}
    made = [{"mac": mac, "port": port, **draw(nics)} for mac in MACS]
    functions = [{"name": f"nic{n}", "at": f"0{n + 1}.0", "model": "e810", "nic": made[n]} for n in (0, 1)]
    guests = [
        {
            "name": f"vm{n}",
            "memory": "8M",
            "vdevs": [{"parent": f"nic{draw(st.integers(0, 1))}", **draw(vdevs)}],
        }
        for n in range(3)
    ]
    traffic = [
        {key: value for key, value in load.items() if key != "ends"} | load["ends"]
        for load in draw(st.lists(loads, min_size=1, max_size=3))
    ]
    return {
        "iommu": draw(iommus),
        "ice": {"queues": draw(st.integers(0, 1))},
        "machine": {"memory": "128M"},
        "function": functions,
        "guest": guests,
        "traffic": traffic,
    }


def run(described: dict[str, Any], seed: int, pieces: list[int]) -> str:
    """All that can be seen of a server after its time, had in pieces of so many nanoseconds."""
    platform = build(parse(described, "test"), virtual_time=True, seed=seed)
    platform.boot()
    try:
        began = platform.clock.now()
        for piece in pieces:
            platform.sleep(piece / 1e9)
        platform.sleep((began + LENGTH - platform.clock.now()) / 1e9)
        assert platform.tenants is not None
        assert platform.tenants.failures == platform.threads.failures == []
        return json.dumps((platform.clock.now(), platform.inspect(), platform.tenants.results()))
    finally:
        platform.unload()


@settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
@given(scenarios(), st.integers(0, (1 << 64) - 1), st.lists(st.integers(0, LENGTH // 8), max_size=8))
def test_any_scenario_gives_the_same_twice_however_its_time_is_divided(described, seed, pieces):
    assert run(described, seed, pieces) == run(described, seed, [])
