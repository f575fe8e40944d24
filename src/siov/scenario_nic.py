"""A NIC in a scenario: its address, its port's other side, its workers and tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from siov.scenario_model import Model, Name


def parse_mac(value: object) -> bytes:
    """An address of an interface: six bytes in hexadecimal with colons, unicast, not zero."""
    try:
        mac = bytes.fromhex(value.replace(":", "")) if isinstance(value, str) else b""
    except ValueError:
        mac = b""
    if len(mac) != 6 or mac[0] & 1 or not any(mac):
        raise ValueError(f'{value!r} is no address of a NIC: write one such as "02:00:00:00:00:01"')
    return mac


Mac = Annotated[bytes, BeforeValidator(parse_mac)]
Speed = Literal[100, 1000, 2500, 5000, 10000, 25000, 40000, 50000, 100000]

# The keys of a port that each kind of other side takes.
NEEDS: dict[str, set[str]] = {"cable": {"to"}, "tap": {"to"}, "bridge": {"to"}, "stream": {"path"}}
NEEDS |= {"dgram": {"path", "peer"}, "pcap": set(), "none": set()}
TAKES: dict[str, set[str]] = {"pcap": {"read", "write", "paced"}, "stream": {"listen"}}
TAKES |= {"bridge": {"reflective_relay"}}


class NicPortSpec(Model):
    """The port of a NIC: its speed in Mb/s, and what it is plugged into."""

    kind: Literal["none", "cable", "bridge", "pcap", "tap", "stream", "dgram"] = "none"
    speed: Speed = 100000
    to: Name | None = None
    path: str | None = None
    peer: str | None = None
    listen: bool = False
    read: str | None = None
    write: str | None = None
    paced: bool = False
    reflective_relay: bool = False

    @model_validator(mode="after")
    def _of_its_kind(self) -> NicPortSpec:
        given = self.model_fields_set - {"kind", "speed"}
        needs = NEEDS[self.kind]
        if missing := sorted(needs - given):
            raise ValueError(f"a port of kind {self.kind} needs {', '.join(missing)}")
        if foreign := sorted(given - needs - TAKES.get(self.kind, set())):
            raise ValueError(f"a port of kind {self.kind} takes no {', '.join(foreign)}")
        if self.kind == "pcap" and not (self.read or self.write):
            raise ValueError("a port of kind pcap needs read, write or both")
        return self


class AtcSpec(Model):
    """The device's address translation cache: its geometry for each worker."""

    sets: int = Field(64, ge=1, le=1 << 16)
    ways: int = Field(8, ge=1, le=1 << 10)


class NicSpec(Model):
    """What a function of model `e810` has that others have not."""

    mac: Mac
    ims: int = Field(0, ge=0, le=16384)
    workers: int = Field(1, ge=1, le=64)
    port: NicPortSpec = NicPortSpec()
    flows_guaranteed: int = Field(1024, ge=0, le=16384)
    flows_best_effort: int = Field(15360, ge=0, le=16384)
    atc: AtcSpec | Literal["off"] = AtcSpec()


class IceSpec(Model):
    """Parameters of the host's ice module."""

    queues: int = Field(1, ge=0, le=256)
    vectors: Literal["msix-first", "msix", "ims"] = "msix-first"
    siov: bool = True
    doorbells: Literal["trapped", "direct"] = "trapped"
