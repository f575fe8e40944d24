"""The NICs of a scenario: what their ports are plugged into, and the functions themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from siov._core import Clock, Port, RegFile, check_capture
from siov.errors import ScenarioError
from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware import PortSettings, Settings
from siov.hw.e810.function import E810Function, build
from siov.hw.tap import open_tap
from siov.scenario import FunctionSpec, Scenario
from siov.scenario_nic import NicPortSpec, NicSpec
from siov.spec.pcie import ExpressType

# Makes the engine of a NIC out of its configuration space and what its port is plugged into.
MakeEngine = Callable[[NicSpec, RegFile, Port | None], Engine]


@dataclass(slots=True)
class Nics:
    """Builds NICs on one clock; `ports` are those of the scenario by function, as `plug` gives them."""

    make_engine: MakeEngine
    clock: Clock
    ports: dict[str, Port] = field(default_factory=dict)

    def build(
        self, spec: FunctionSpec, kind: ExpressType, *, multifunction: bool = False, next_function: int = 0
    ) -> E810Function:
        """The function of a NIC, to be put into the tree."""
        nic = spec.nic
        assert nic is not None, "a scenario with the model e810 is checked for it"
        settings = Settings(
            PortSettings(nic.mac, nic.port.speed), spec.at[1], (nic.flows_guaranteed, nic.flows_best_effort)
        )
        return build(
            spec.name,
            spec.at,
            settings,
            lambda config: self.make_engine(nic, config, self.ports.get(spec.name)),
            self.clock,
            ims=nic.ims,
            kind=kind,
            multifunction=multifunction,
            next_function=next_function,
        )


def plug(scenario: Scenario, clock: Clock) -> dict[str, Port]:
    """What the port of each NIC is plugged into, by function; none for a port without another side.

    `ScenarioError` when a cable has not two ends, when the system refuses a file or socket, or when a
    capture that is to be received is damaged or has no Ethernet frames.
    """
    specs = {name: nic.port for name, nic in scenario.nics().items()}
    found = {}
    for name, spec in specs.items():
        try:
            port = _alone(name, spec, clock)
        except (OSError, ValueError) as why:
            raise ScenarioError(f"the port of {name}, {spec.kind}: {why}") from None
        if port is not None:
            found[name] = port
    for kind in ("cable", "bridge"):
        shared: dict[str, list[str]] = {}
        for name, spec in specs.items():
            if spec.kind == kind and spec.to is not None:
                shared.setdefault(spec.to, []).append(name)
        for to, names in shared.items():
            found |= zip(names, _together(to, [specs[name] for name in names], names, clock), strict=True)
    return found


def _alone(name: str, spec: NicPortSpec, clock: Clock) -> Port | None:
    match spec:
        case NicPortSpec(kind="pcap"):
            if spec.read is not None:
                check_capture(spec.read)
            return Port.pcap(
                clock, write=spec.write, read=spec.read, name=name, paced=spec.paced, speed=spec.speed
            )
        case NicPortSpec(kind="tap", to=str(to)):
            return open_tap(to, speed=spec.speed)
        case NicPortSpec(kind="stream", path=str(path)):
            return Port.stream(path, listen=spec.listen, speed=spec.speed)
        case NicPortSpec(kind="dgram", path=str(path), peer=str(peer)):
            return Port.dgram(path, peer, speed=spec.speed)
        case _:
            return None


def _together(to: str, specs: list[NicPortSpec], names: list[str], clock: Clock) -> list[Port]:
    speed = min(spec.speed for spec in specs)
    if specs[0].kind == "bridge":
        relay = any(spec.reflective_relay for spec in specs)
        return Port.bridge(len(specs), clock, reflective_relay=relay, speed=speed)
    if len(specs) != 2:
        raise ScenarioError(f"the cable {to} has two ends, but is plugged into {', '.join(names)}")
    return list(Port.cable(speed=speed))
