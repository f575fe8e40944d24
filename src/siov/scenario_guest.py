"""Guests in a scenario: embedded machines with their virtual devices, and what these send to each other."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from siov.scenario_model import Model, Name, Part, Size

LARGEST = 9702  # bytes of a datagram or of a frame's payload: the adapter's longest frame without its header


def _uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError(f'{value!r} is no UUID, such as "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"') from None


class VdevSpec(Model):
    """A virtual device of a guest: its mdev type (without "ice-"), the adapter, and its UUID."""

    type: Literal["vdcm", "vdcm-1", "vdcm-16", "avf", "avf-1", "avf-16"] = "vdcm"
    parent: Name
    uuid: Annotated[str, AfterValidator(_uuid)] | None = None
    queues: int | None = Field(None, ge=1, le=16)
    entries: int = Field(256, ge=64, le=4096, multiple_of=32)
    itr: int = Field(50, ge=0, le=8160, multiple_of=2)
    vlan: int | None = Field(None, ge=1, le=4094)


class GuestSpec(Part):
    """A virtual machine that runs in the server's own process: `vdevs` are its network devices, in order.

    `page` is the largest page by which EPT and its devices reach its memory.
    """

    memory: Size = Field(32 << 20, ge=8 << 20, le=512 << 20, multiple_of=2 << 20)
    page: Literal["4K", "2M"] = "2M"
    vdevs: tuple[VdevSpec, ...] = ()


class TrafficSpec(Model):
    """What one virtual device sends another: `src` and `dst` are GUEST or GUEST.N, the N-th device.

    `count` is the end, in frames (bytes of each flow for a stream); without it there is none.
    """

    kind: Literal["generate", "request", "stream", "replay"] = "generate"
    src: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}(\.\d{1,3})?$")
    dst: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}(\.\d{1,3})?$")
    flows: int = Field(1, ge=1, le=4096)
    sizes: tuple[Annotated[int, Field(ge=46, le=LARGEST)], ...] = ()
    count: Size | None = Field(None, ge=1)
    rate: int | None = Field(None, ge=1)
    depth: int = Field(1, ge=1, le=64)
    seed: int = Field(0, ge=0, lt=1 << 64)
    file: str | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> TrafficSpec:
        if (self.kind == "replay") is not (self.file is not None):
            raise ValueError(
                "traffic of kind replay needs file" if self.kind == "replay" else f"{self.kind} takes no file"
            )
        return self


def place_of(text: str) -> tuple[str, int]:
    """The guest and the number of its device: "vm1.2" is (vm1, 2), "vm1" is (vm1, 0)."""
    guest, _, number = text.partition(".")
    return guest, int(number or 0)
