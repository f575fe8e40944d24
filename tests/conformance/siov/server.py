"""A server with one adapter and embedded guests, whose devices and traffic the test moves step by step."""

from __future__ import annotations

from typing import Any

from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.hw.e810.function import E810Function
from siov.platform import Platform, build
from siov.scenario import parse
from siov.scenario_guest import GuestSpec, TrafficSpec
from siov.tenants import Tenant

ROUNDS = 20_000  # of the guests' loop; timers of the adapter run on the real clock


def guest(name: str, *types: str, memory: str = "8M", **more: Any) -> dict[str, Any]:
    """A guest with a virtual device of each type; `more` are keys of each device."""
    vdevs = [{"parent": "nic0", "type": kind, "entries": 64, "itr": 0, **more} for kind in types]
    return {"name": name, "memory": memory, "vdevs": vdevs}


class GuestServer:
    """`nic` are further keys of the adapter; without `threads` nothing runs by itself."""

    def __init__(
        self, *guests: dict[str, Any], memory: str = "128M", nic: dict[str, Any] | None = None,
        machine: dict[str, Any] | None = None, ice: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        given = {"mac": "b4:96:91:00:00:01", "ims": 64, **(nic or {})}
        self.platform: Platform = build(
            parse(
                {
                    "name": "endurance",
                    "machine": {"memory": memory, **(machine or {})},
                    "root_port": [{"name": "rp0", "at": "01.0"}],
                    "function": [
                        {"name": "nic0", "behind": "rp0", "at": "00.0", "model": "e810", "nic": given}
                    ],
                    "iommu": {"mode": "scalable"},
                    "ice": {"queues": 0, **(ice or {})},
                    "guest": list(guests) or [guest("peer", "vdcm-1")],
                },
                "a test",
            )
        )
        self.platform.boot()
        assert self.platform.ice is not None
        assert self.platform.tenants is not None
        assert self.platform.memory is not None
        assert self.platform.iommu is not None
        self.pf: IcePf = self.platform.ice.pfs["nic0"]
        self.tenants = self.platform.tenants
        self.rest()
        self.mem = self.platform.memory
        self.iommu = self.platform.iommu
        function = self.platform.functions["nic0"]
        assert isinstance(function, E810Function)
        self.function = function

    def close(self) -> None:
        """Shut the guests down and unload the driver."""
        self.platform.unload()

    def add(self, name: str, *types: str, **more: Any) -> Tenant:
        """One more guest, ready to receive; its first device."""
        self.tenants.add(GuestSpec.model_validate(guest(name, *types, **more)))
        self.rest()
        return self.tenants.all[name, 0]

    def tenant(self, name: str, number: int = 0) -> Tenant:
        return self.tenants.all[name, number]

    def device(self, tenant: Tenant) -> VdcmDevice:
        """VDCM's side of a virtual device."""
        ops = tenant.vdev.device.mdev.ops
        assert isinstance(ops, VdcmDevice)
        return ops

    def send(self, src: str, dst: str, **more: Any) -> int:
        """Start traffic; the load's number at its sender."""
        return self.tenants.send(TrafficSpec(src=src, dst=dst, **more))

    def step(self) -> None:
        self.tenants.step()
        self.platform.pump()

    def rest(self) -> None:
        """Step until nobody has anything to do: buffers are posted, frames are where they go."""
        for _ in range(ROUNDS):
            if self.platform.threads.running:
                return
            worked = self.tenants.step()
            if not self.platform.pump() and not worked:
                return
        raise AssertionError("the server does not come to rest")

    def until(self, condition: Any, what: str = "what was waited for") -> None:
        """Step until it is so; the test fails when it never is."""
        for _ in range(ROUNDS):
            if condition():
                return
            self.step()
        raise AssertionError(f"{what} has not come in {ROUNDS} rounds: {self.tenants.results()}")

    def checked(self, name: str) -> dict[str, int]:
        """What a guest's device has received, by what it is."""
        return self.tenants.results()[name]["checked"]  # type: ignore[return-value]

    def sender(self, name: str, load: int = 0) -> dict[str, Any]:
        """What a load of a guest's device has come to."""
        return self.tenants.results()[name]["senders"][load]  # type: ignore[index]
