"""Scenarios: a server described in TOML, checked before anything is built."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from siov.errors import ScenarioError
from siov.scenario_event import EventSpec
from siov.scenario_guest import GuestSpec, TrafficSpec, place_of
from siov.scenario_iommu import IommuSpec, SpaceSpec
from siov.scenario_model import (
    UNITS,
    Id16,
    Model,
    Name,
    Part,
    Place,
    Size,
    parse_duration,
    parse_place,
    parse_size,
)
from siov.scenario_nic import IceSpec, NicSpec

__all__ = ["UNITS", "parse_duration", "parse_place", "parse_size"]

VM_TABLES = 2 << 20  # bytes of a virtual machine's memory, from its address 0 on, for the guest's own tables


class Machine(Model):
    """The host: its memory and CPUs, and the address windows of its root complex, in bytes."""

    memory: Size = Field(1 << 30, ge=64 << 20, le=64 << 30, multiple_of=2 << 20)
    cpus: int = Field(16, ge=1, le=256)
    mmio32: Size = Field(960 << 20, ge=1 << 20, le=960 << 20)
    mmio64: Size = Field(256 << 30, ge=0, le=64 << 40)


class BarSpec(Model):
    """A memory BAR: a power of two of bytes, 16 or more."""

    index: int = Field(ge=0, le=5)
    size: Size
    wide: bool = True
    prefetchable: bool = False

    @model_validator(mode="after")
    def _power_of_two(self) -> BarSpec:
        if self.size < 16 or self.size & (self.size - 1):
            raise ValueError(f"a BAR of {self.size} bytes: the size is a power of two, 16 or more")
        return self


class MsixSpec(Model):
    """MSI-X: how many vectors, and where the table and the pending bits lie."""

    vectors: int = Field(ge=1, le=2048)
    bar: int = Field(0, ge=0, le=5)
    table: Size = 0x1000
    pba: Size = 0x9000


class SriovSpec(Model):
    """SR-IOV: how many virtual functions, and their BARs."""

    vfs: int = Field(ge=1, le=0xFF00)
    offset: int = Field(8, ge=1, le=0xFFFF)
    stride: int = Field(1, ge=1, le=0xFFFF)
    device: Id16 = 0x1889
    bars: tuple[BarSpec, ...] = ()


class FunctionModel(Enum):
    """What lies behind a function's BARs."""

    memory = "memory"  # plain memory
    test = "test"  # the test function: doorbell, copy engine (siov.spec.testfn)
    e810 = "e810"  # the NIC of `nic`


class FunctionSpec(Part):
    """An endpoint's function, or an integrated one on bus 0 when it is `behind` nothing."""

    at: Place = (0, 0)
    behind: Name | None = None
    model: FunctionModel = FunctionModel.memory
    vendor: Id16 = 0x8086
    device: Id16 = 0x1592
    subsystem_vendor: Id16 = 0
    subsystem: Id16 = 0
    class_code: int = Field(0x020000, ge=0, le=0xFFFFFF)
    revision: int = Field(0, ge=0, le=0xFF)
    bars: tuple[BarSpec, ...] = ()
    rom: Size = 0
    msix: MsixSpec | None = None
    flr: bool = True
    aer: bool = True
    ari: bool = False
    ats: bool = False
    pri: bool = False
    pasid: int = Field(0, ge=0, le=20)
    sriov: SriovSpec | None = None
    serial: int | None = Field(None, ge=0, lt=1 << 64)
    nic: NicSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FunctionSpec:
        if self.model is not FunctionModel.memory:
            mine = {"nic"} if self.model is FunctionModel.e810 else set()
            own = sorted(self.model_fields_set - {"name", "at", "behind", "model"} - mine)
            if own:
                what = "test function" if self.model is FunctionModel.test else "NIC"
                raise ValueError(f"the {what} is as it is: leave out {', '.join(own)}")
            if self.model is FunctionModel.e810 and self.nic is None:
                raise ValueError('the NIC needs an address: nic = { mac = "02:00:00:00:00:01" }')
        elif self.nic is not None:
            raise ValueError('nic needs model = "e810"')
        if self.rom and (self.rom < 2048 or self.rom & (self.rom - 1) or self.rom > 16 << 20):
            raise ValueError(
                f"an expansion ROM of {self.rom} bytes: a power of two from 2K to 16M is allowed"
            )
        if self.msix is not None:
            self._check_msix(self.msix)
        return self

    def _check_msix(self, msix: MsixSpec) -> None:
        bar = next((bar for bar in self.bars if bar.index == msix.bar), None)
        if bar is None:
            have = ", ".join(str(b.index) for b in self.bars) or "none"
            raise ValueError(f"msix.bar is {msix.bar}, but the function's BARs are: {have}")
        table = range(msix.table, msix.table + 16 * msix.vectors)
        pba = range(msix.pba, msix.pba + (msix.vectors + 63) // 64 * 8)
        for what, span in (("table", table), ("pba", pba)):
            if span.start < 0 or span.start % 8 or span.stop > bar.size:
                raise ValueError(
                    f"msix.{what} at {span.start:#x} takes {len(span):#x} bytes: it must be 8-byte aligned "
                    f"and inside BAR {bar.index} of {bar.size:#x} bytes"
                )
        if table.start < pba.stop and pba.start < table.stop:
            raise ValueError(f"msix.table and msix.pba overlap in BAR {bar.index}")


class RootPortSpec(Part):
    """A root port on bus 0, with a slot number."""

    at: Place
    slot: int | None = Field(None, ge=0, lt=1 << 13)


class SwitchSpec(Part):
    """A switch behind a port: `ports` downstream ports, which are called NAME.0, NAME.1 and so on."""

    behind: Name
    ports: int = Field(ge=1, le=32)


class VmSpec(Part):
    """A virtual machine: `memory` bytes, of which its guest maps `size` at `gva` with pages of 4K.

    `page` is the largest page of its EPT. The guest's own tables take the first 2 MiB of its memory.
    """

    memory: Size = Field(16 << 20, ge=4 << 20, le=512 << 20, multiple_of=2 << 20)
    gva: Size = Field(1 << 30, ge=0, lt=1 << 47)
    size: Size = Field(2 << 20, ge=4096, le=510 << 20)
    page: Literal["4K", "2M"] = "2M"

    @model_validator(mode="after")
    def _fits(self) -> VmSpec:
        if self.gva % 4096 or self.size % 4096:
            raise ValueError("gva and size are whole pages of 4K")
        if self.gva + self.size > 1 << 47:
            raise ValueError(
                f"{self.size:#x} bytes at {self.gva:#x} leave the lower half of 48-bit addresses"
            )
        if self.size > self.memory - VM_TABLES:
            raise ValueError(
                f"{self.name} maps {self.size} bytes, but has {self.memory - VM_TABLES} beside its tables"
            )
        return self


class Scenario(Model):
    """A server: the machine, what its root complex leads to, what its host maps for functions, its VMs."""

    name: str = "unnamed"
    machine: Machine = Machine()
    root_port: tuple[RootPortSpec, ...] = ()
    switch: tuple[SwitchSpec, ...] = ()
    function: tuple[FunctionSpec, ...] = ()
    ice: IceSpec = IceSpec()
    iommu: IommuSpec | None = None
    space: tuple[SpaceSpec, ...] = ()
    vm: tuple[VmSpec, ...] = ()
    guest: tuple[GuestSpec, ...] = ()
    traffic: tuple[TrafficSpec, ...] = ()
    event: tuple[EventSpec, ...] = ()

    def devices(self) -> dict[tuple[str | None, int], list[tuple[str, int]]]:
        """Name and function number of each part, by the port it is behind and its device number."""
        found: dict[tuple[str | None, int], list[tuple[str, int]]] = {}
        for port in self.root_port:
            found.setdefault((None, port.at[0]), []).append((port.name, port.at[1]))
        for switch in self.switch:
            found.setdefault((switch.behind, 0), []).append((switch.name, 0))
        for function in self.function:
            place = function.behind, function.at[0]
            found.setdefault(place, []).append((function.name, function.at[1]))
        return found

    def nics(self) -> dict[str, NicSpec]:
        """The NICs by their functions' names."""
        return {function.name: function.nic for function in self.function if function.nic is not None}

    @model_validator(mode="after")
    def _spaces(self) -> Scenario:
        known = [function.name for function in self.function]
        for space in self.space:
            if self.iommu is None:
                raise ValueError(f"the space of {space.function} needs a remapping unit: add [iommu]")
            if space.function not in known:
                have = ", ".join(known) or "none"
                raise ValueError(f"a space of {space.function}: there is no such function; have {have}")
            if self.iommu.mode == "legacy" and (space.pasid or space.stage in ("first", "nested")):
                raise ValueError(f"the space of {space.function} needs scalable mode, not legacy")
        return self

    @model_validator(mode="after")
    def _guests(self) -> Scenario:
        nics = list(self.nics())
        uuids: set[str] = set()
        for guest in self.guest:
            for vdev in guest.vdevs:
                if vdev.parent not in nics:
                    have = ", ".join(nics) or "none"
                    raise ValueError(f"a device of {guest.name} on {vdev.parent}: adapters are {have}")
                if vdev.uuid in uuids:
                    raise ValueError(f"two virtual devices have the UUID {vdev.uuid}")
                uuids |= {vdev.uuid} if vdev.uuid is not None else set()
        if self.guest and (self.iommu is None or self.iommu.mode == "legacy"):
            raise ValueError("guests' virtual devices need PASIDs: add [iommu] with mode scalable")
        for traffic in self.traffic:
            for end in (traffic.src, traffic.dst):
                self._check_device(end, "traffic of")
        return self

    @model_validator(mode="after")
    def _events(self) -> Scenario:
        ports = {name: nic.port.kind for name, nic in self.nics().items()}
        for event in self.event:
            what = f"the {event.kind} of"
            if event.device is not None:
                self._check_device(event.device, what)
            if event.adapter is not None and event.adapter not in ports:
                raise ValueError(f"{what} {event.adapter}: adapters are {', '.join(ports) or 'none'}")
            if event.kind.startswith("link") and ports[event.target] == "none":
                raise ValueError(f"{what} {event.adapter}: its port is plugged into nothing; give it a kind")
            if event.kind == "invalidation-storm" and self.iommu is None:
                raise ValueError(f"{what} {event.target} needs a remapping unit: add [iommu]")
        return self

    def _check_device(self, text: str, what: str) -> None:
        counts = {guest.name: len(guest.vdevs) for guest in self.guest}
        name, number = place_of(text)
        if number >= counts.get(name, 0):
            have = ", ".join(f"{n}.0 to {n}.{c - 1}" for n, c in counts.items() if c) or "none"
            raise ValueError(f"{what} {text}: guests' devices are {have}")

    @model_validator(mode="after")
    def _whole_devices(self) -> Scenario:
        for (behind, device), parts in self.devices().items():
            name, number = min(parts, key=lambda part: part[1])
            if number != 0:
                where = f"behind {behind}" if behind is not None else "on bus 0"
                raise ValueError(
                    f"{name} is at {device:02x}.{number} {where}, but nothing is at {device:02x}.0: "
                    "software finds a device by its function 0"
                )
            with_ari = {f.ari for f in self.function if (f.behind, f.at[0]) == (behind, device)}
            if len(with_ari) > 1:
                names = ", ".join(name for name, _ in parts)
                raise ValueError(f"ari differs among {names}: all functions of a device have it or none")
        return self

    @model_validator(mode="after")
    def _names(self) -> Scenario:
        seen: set[str] = set()
        parts: tuple[Part, ...] = (*self.root_port, *self.switch, *self.function, *self.vm, *self.guest)
        below = [f"{switch.name}.{n}" for switch in self.switch for n in range(switch.ports)]
        for name in [part.name for part in parts] + below:
            if name in seen:
                raise ValueError(f"two parts are called {name}: each needs its own name")
            seen.add(name)
        return self


def load(path: Path) -> Scenario:
    """Read a scenario file; `ScenarioError` names the file, the key and what is allowed."""
    return parse(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """What is in a scenario file, not checked yet; `ScenarioError` when it is no TOML or can't be read."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None


def parse(data: dict[str, Any], source: str) -> Scenario:
    """Check a scenario given as a dict; `source` stands in front of an error."""
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(f"{source}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, with its key and what is allowed."""
    first, *others = error.errors()
    keys = _keys(first["loc"])
    where = _key(keys)
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_model_at(keys[:-1]).model_fields)
        return f"{where} is no known key; allowed here are {allowed}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "model_type":
        words = [e["ctx"]["expected"] for e in others if e["type"] == "literal_error" and "ctx" in e]
        message = " or ".join(["Input should be a table", *words])
    given = "" if first["type"] in ("value_error", "missing") else f", not {first['input']!r}"
    return f"{where}: {message}{given}" if where else message


def _keys(loc: Iterable[str | int]) -> list[str | int]:
    """A place in a file, without the names of the types that a key lets one choose from."""
    kinds = {model.__name__ for model in Model.__subclasses__()}
    return [part for part in loc if part not in kinds]


def _key(loc: Iterable[str | int]) -> str:
    """`("function", 0, "at")` as `function[0].at`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model_at(loc: Iterable[str | int]) -> type[Model]:
    """The model that a path of keys leads to."""
    model: type[Model] = Scenario
    for part in loc:
        if isinstance(part, str):
            model = next(_models(model.model_fields[part].annotation))
    return model


def _models(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
