"""Thousands of virtual devices in one process: made, opened, each with traffic and interrupts of its own."""

from __future__ import annotations

import gc
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siov.bench import scale
from siov.cli import bench
from siov.cli.limits import raise_file_limit
from siov.cli.main import main
from siov.errors import SiovError
from siov.platform import Platform
from siov.scenario_guest import TrafficSpec
from siov.spec.e810 import VECTORS
from siov.tenants import Tenant, Tenants

ASKED = 4  # frames of each device, which come back
TURNS = 2000


@pytest.fixture(autouse=True)
def files():
    """As the commands do: each vector is a file."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_file_limit()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def pairs(devices: list[Tenant]) -> Iterator[tuple[Tenant, Tenant]]:
    return zip(devices[::2], devices[1::2], strict=True)


def open_files() -> int:
    gc.collect()  # what other tests have left is closed now, and not meanwhile
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def exchange(platform: Platform, tenants: Tenants, devices: list[Tenant]) -> None:
    """Each first one of two asks the second; ends when all has been answered."""
    for asking, answering in pairs(devices):
        tenants.send(TrafficSpec(kind="request", src=asking.name, dst=answering.name, count=ASKED, depth=2))
    for turn in range(TURNS):
        tenants.step()
        platform.pump()
        if turn % 20 == 19 and tenants.done:
            return
    raise AssertionError("traffic does not end")


def devices_in_use(count: int) -> None:
    """So many devices on as many adapters as that takes: each gets its own frames, and nothing is left."""
    platform = scale.server(count)
    tenants = platform.embedded()
    before = open_files()
    devices, _ = scale.bring_up(platform, count)
    assert len(platform.mdev.list()) == len({device.vdev.device.pasid for device in devices}) == count
    assert platform.ice is not None
    adapters = {
        name: sum(vsi.pasid is not None for vsi in pf.vsis.values()) for name, pf in platform.ice.pfs.items()
    }
    assert adapters == dict.fromkeys(adapters, scale.ON_A_NIC)
    assert open_files() - before == 2 * count  # a file for each vector, however many hold it

    exchange(platform, tenants, devices)

    results = tenants.results()
    assert tenants.wrong == 0
    for asking, answering in pairs(devices):
        assert results[answering.name]["checked"]["in_order"] == ASKED
        assert results[asking.name]["checked"]["in_order"] == ASKED  # the answers
        assert results[asking.name]["senders"][0]["answered"] == ASKED
        assert min(results[one.name]["rings"]["interrupts"] for one in (asking, answering)) > 0
    platform.unload()
    assert platform.mdev.list() == []
    assert open_files() == before


def test_1024_devices_on_two_adapters_each_get_their_own_verified_traffic():
    devices_in_use(1024)


@pytest.mark.long
def test_4096_devices_on_eight_adapters_each_get_their_own_verified_traffic():
    devices_in_use(4096)


def test_one_adapter_interrupts_guests_by_more_vectors_than_its_table_has():
    found = scale.vectors(scale.MANY_VECTORS)
    in_use = 1 + 17 * scale.MANY_VECTORS
    assert in_use > VECTORS
    assert found == {
        "in_use": [in_use],
        "msix": [VECTORS],
        "ims": [in_use - VECTORS],
        "fired": [in_use],
    }


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers, and no processes."""

    def here(work: Callable[..., Any], *args: int) -> Any:
        return work(*args)

    monkeypatch.setattr(scale, "SIZES", (1, 4))
    monkeypatch.setattr(scale, "MANY_VECTORS", 2)
    monkeypatch.setattr(scale, "SECONDS", 0.1)
    monkeypatch.setattr(scale, "_apart", here)


def test_the_bench_tells_its_keys_for_each_number_of_devices(tiny, capsys):
    assert main(["bench", "scale", "--json", "--repeats", "1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    for number in ("at_1", "at_4"):
        assert {"create_s", "kib_per_vdev", "throughput_ratio", "frames_per_s", "vectors", "ims"} <= set(
            told[number]
        )
        assert told[number]["frames_per_s"] > 0
    assert told["at_4"]["vectors"] == 1 + 2 * 4
    assert told["vectors"] == {"in_use": 35, "msix": 35, "ims": 0, "fired": 35}


def test_too_few_files_are_told_before_a_device_is_made(tiny, monkeypatch, capsys):
    monkeypatch.setattr(scale, "SIZES", (4096,))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    monkeypatch.setattr(bench, "raise_file_limit", lambda: None)
    with pytest.raises(SiovError, match=r"4096 virtual devices need 8392 open files.*may have 1024"):
        scale.measure(1)
    assert main(["bench", "scale"]) == 2
    assert "ulimit -n 8392" in capsys.readouterr().err
