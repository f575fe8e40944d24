"""Whole functions and ports: header, capabilities and BARs of each kind put together."""

from collections.abc import Sequence
from dataclasses import dataclass

from siov.hw.pcie import capability
from siov.hw.pcie.config import Bar, Capability, ConfigSpace, check_bars
from siov.hw.pcie.function import Device, Function
from siov.hw.pcie.port import Port
from siov.spec.pcie import ExpressType, HeaderLayout, Type0, Type1

# The ports of this machine: a root port of an Intel server, and a PLX switch.
ROOT_PORT_ID = (0x8086, 0x347A)
SWITCH_ID = (0x10B5, 0x8796)
BRIDGE_CLASS = 0x060400


@dataclass(slots=True, frozen=True)
class Identity:
    """Who a function says it is, in its header's registers."""

    vendor: int
    device: int
    class_code: int
    revision: int = 0
    subsystem_vendor: int = 0
    subsystem: int = 0


def type0_config(
    identity: Identity,
    capabilities: Sequence[Capability] = (),
    bars: Sequence[Bar] = (),
    rom: int = 0,
    *,
    multifunction: bool = False,
) -> ConfigSpace:
    """The configuration space of an endpoint's function; `ValueError` when the parts do not fit."""
    check_bars(bars)
    values = {
        "VENDOR_ID": identity.vendor,
        "DEVICE_ID": identity.device,
        "CLASS_CODE": identity.class_code,
        "REVISION_ID": identity.revision,
        "SUBSYSTEM_VENDOR_ID": identity.subsystem_vendor,
        "SUBSYSTEM_ID": identity.subsystem,
        "HEADER_TYPE": Type0.HEADER_TYPE.of(HL=HeaderLayout.TYPE0, MFD=multifunction).raw,
    }
    return ConfigSpace(Type0, values, capabilities, bars, rom)


def endpoint(
    name: str,
    devfn: tuple[int, int],
    config: ConfigSpace,
    bars: Sequence[Bar] = (),
    rom: bytes = b"",
    device: Device | None = None,
) -> Function:
    """A function with its BARs; without a `device` there is plain memory behind them."""
    return Function(name, devfn, config, bars, device, rom)


def root_port(
    name: str, devfn: tuple[int, int], number: int, slot: int | None = None, *, multifunction: bool = False
) -> Port:
    """A root port with port number `number`, with a slot if it is to have one."""
    kind = ExpressType.ROOT_PORT
    capabilities = [
        capability.power_management(),
        capability.express(kind, slot=slot, port=number, prefix=True),
        capability.aer(root=True),
        capability.acs(),
    ]
    return Port(name, devfn, _type1_config(ROOT_PORT_ID, capabilities, multifunction), kind)


def switch(name: str, ports: int, *, multifunction: bool = False) -> tuple[Port, list[Port]]:
    """A switch: its upstream port (function 0 of its device) and `ports` downstream ports below it."""
    kind = ExpressType.UPSTREAM_PORT
    config = _type1_config(SWITCH_ID, _port_capabilities(kind, 0), multifunction)
    upstream = Port(name, (0, 0), config, kind)
    downstream = []
    for n in range(ports):
        kind = ExpressType.DOWNSTREAM_PORT
        config = _type1_config(SWITCH_ID, [*_port_capabilities(kind, n + 1), capability.acs()])
        port = Port(f"{name}.{n}", (n, 0), config, kind)
        upstream.attach(port)
        downstream.append(port)
    return upstream, downstream


def _port_capabilities(kind: ExpressType, number: int) -> list[Capability]:
    return [
        capability.power_management(),
        capability.express(kind, port=number, prefix=True),
        capability.aer(),
    ]


def _type1_config(
    identity: tuple[int, int], capabilities: Sequence[Capability], multifunction: bool = False
) -> ConfigSpace:
    vendor, device = identity
    values = {
        "VENDOR_ID": vendor,
        "DEVICE_ID": device,
        "CLASS_CODE": BRIDGE_CLASS,
        "HEADER_TYPE": Type1.HEADER_TYPE.of(HL=HeaderLayout.TYPE1, MFD=multifunction).raw,
    }
    return ConfigSpace(Type1, values, capabilities)
