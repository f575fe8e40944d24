"""The remapping unit in a scenario: its mode, its caches, and what the host maps for functions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from siov.scenario_model import Model, Name, Size


class CacheSpec(Model):
    """The geometry of a cache: sets of ways, which entry makes room, and what splits it."""

    sets: int = Field(64, ge=1, le=1 << 16)
    ways: int = Field(8, ge=1, le=1 << 10)
    replacement: Literal["lru", "plru", "lfu", "fifo", "random"] = "lru"
    partitions: int = Field(1, ge=1, le=1 << 10)
    partition_by: Literal["domain", "pasid"] = "domain"

    def geometry(self) -> tuple[int, int, str, int, str]:
        """As the core takes it."""
        return self.sets, self.ways, self.replacement, self.partitions, self.partition_by


CacheChoice = CacheSpec | Literal["off", "infinite"]


class IommuSpec(Model):
    """The remapping unit: its mode, the width of host addresses in bits, the geometry of its caches."""

    mode: Literal["scalable", "legacy"] = "scalable"
    haw: int = Field(46, ge=39, le=52)
    caching_mode: bool = False
    context: CacheChoice | None = None
    pasid: CacheChoice | None = None
    iotlb: CacheChoice | None = None
    first: CacheChoice | None = None
    second: CacheChoice | None = None

    def caches(self) -> dict[str, object]:
        """The geometries that are given, as the core takes them."""
        names = ("context", "pasid", "iotlb", "first", "second")
        chosen = {name: getattr(self, name) for name in names}
        return {
            name: choice.geometry() if isinstance(choice, CacheSpec) else choice
            for name, choice in chosen.items()
            if choice is not None
        }


class SpaceSpec(Model):
    """An address space of a function: `size` bytes of new memory at `iova`, through the stages named.

    Without `pasid` it is that of requests without one.
    """

    function: Name
    pasid: int | None = Field(None, ge=1, lt=1 << 20)
    stage: Literal["first", "second", "nested", "pass-through"] = "second"
    iova: Size = Field(0, ge=0, lt=1 << 47)
    size: Size = Field(2 << 20, ge=4096, le=1 << 30)

    @model_validator(mode="after")
    def _whole_pages(self) -> SpaceSpec:
        if self.iova % 4096 or self.size % 4096:
            raise ValueError("iova and size are whole pages of 4K")
        return self
