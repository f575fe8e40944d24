"""The PCIe tree of a scenario: ports, switches and functions put where it says."""

from collections.abc import Callable, Sequence

from siov.errors import ScenarioError
from siov.hw import testfn
from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, endpoint, root_port, switch, type0_config
from siov.hw.pcie.config import Bar, Capability
from siov.hw.pcie.function import Function
from siov.hw.pcie.port import Port
from siov.hw.pcie.root_complex import RootComplex
from siov.nics import Nics
from siov.scenario import BarSpec, FunctionModel, FunctionSpec, Scenario
from siov.spec.pcie import ExpressType


def build_topology(
    root_complex: RootComplex, scenario: Scenario, nics: Nics | None = None
) -> dict[str, Function]:
    """Fill a root complex; gives the endpoints' functions by name. Each refusal names the part.

    `nics` builds the functions of model `e810`.
    """
    ports: dict[str, Port] = {}
    shared = {device for device, parts in scenario.devices().items() if len(parts) > 1}
    for number, described in enumerate(scenario.root_port):
        many = (None, described.at[0]) in shared
        port = root_port(described.name, described.at, number, described.slot, multifunction=many)
        _attach(root_complex.attach, port)
        ports[port.name] = port
    waiting = list(scenario.switch)
    while waiting:
        # A switch may stand behind another one that comes later in the file.
        ready = next((spec for spec in waiting if spec.behind in ports), waiting[0])
        above = _port(ports, ready.name, ready.behind)
        many = (ready.behind, 0) in shared
        upstream, downstream = switch(ready.name, ready.ports, multifunction=many)
        _attach(above.attach, upstream)
        ports |= {port.name: port for port in downstream}
        waiting.remove(ready)
    functions = {}
    for spec in scenario.function:
        siblings = [f for f in scenario.function if f.behind == spec.behind and f.at[0] == spec.at[0]]
        many = (spec.behind, spec.at[0]) in shared
        if spec.model is FunctionModel.e810:
            function = _nic(nics, spec, siblings, many)
        else:
            function = _function(spec, siblings, many)
        parent = root_complex if spec.behind is None else _port(ports, spec.name, spec.behind)
        _attach(parent.attach, function)
        functions[spec.name] = function
    return functions


def _nic(
    nics: Nics | None, spec: FunctionSpec, siblings: Sequence[FunctionSpec], multifunction: bool
) -> Function:
    if nics is None:
        raise ScenarioError(f"{spec.name}: this machine is built without NICs; leave out model e810")
    return nics.build(spec, _kind(spec), multifunction=multifunction, next_function=_next(spec, siblings))


def _next(spec: FunctionSpec, siblings: Sequence[FunctionSpec]) -> int:
    """The number of the next function of the device, 0 at the last."""
    return min((f.at[1] for f in siblings if f.at[1] > spec.at[1]), default=0)


def _function(spec: FunctionSpec, siblings: Sequence[FunctionSpec], multifunction: bool) -> Function:
    if spec.model is FunctionModel.test:
        return testfn.build(spec.name, spec.at, _kind(spec), multifunction=len(siblings) > 1)
    identity = Identity(
        spec.vendor, spec.device, spec.class_code, spec.revision, spec.subsystem_vendor, spec.subsystem
    )
    try:
        bars = [_bar(bar) for bar in spec.bars]
        found = capabilities(spec, siblings)
        config = type0_config(identity, found, bars, spec.rom, multifunction=multifunction)
    except ValueError as error:
        raise ScenarioError(f"{spec.name}: {error}") from None
    return endpoint(spec.name, spec.at, config, bars, bytes(spec.rom))


def capabilities(spec: FunctionSpec, siblings: Sequence[FunctionSpec] = ()) -> list[Capability]:
    """The capabilities of a function as a scenario describes it, in the order of their offsets."""
    found = [capability.power_management()]
    if spec.msix is not None:
        m = spec.msix
        found.append(capability.msix(m.vectors, (m.bar, m.table), (m.bar, m.pba)))
    found.append(capability.express(_kind(spec), flr=spec.flr, prefix=bool(spec.pasid)))
    if spec.aer:
        found.append(capability.aer())
    if spec.serial is not None:
        found.append(capability.serial_number(spec.serial))
    if spec.ari:
        found.append(capability.ari(_next(spec, siblings)))
    if spec.sriov is not None:
        s = spec.sriov
        found.append(capability.sriov(s.vfs, s.offset, s.stride, s.device, [_bar(b) for b in s.bars]))
    if spec.ats:
        found.append(capability.ats())
    if spec.pri:
        found.append(capability.pri())
    if spec.pasid:
        found.append(capability.pasid(spec.pasid))
    return found


def _kind(spec: FunctionSpec) -> ExpressType:
    return ExpressType.RCIEP if spec.behind is None else ExpressType.ENDPOINT


def _bar(spec: BarSpec) -> Bar:
    return Bar(spec.index, spec.size, spec.wide, spec.prefetchable)


def _attach(attach: Callable[[Function], None], function: Function) -> None:
    try:
        attach(function)
    except ValueError as error:
        raise ScenarioError(str(error)) from None


def _port(ports: dict[str, Port], name: str, behind: str) -> Port:
    if behind not in ports:
        have = ", ".join(ports) or "none"
        raise ScenarioError(f"{name}: behind = {behind!r}: there is no such port; ports are {have}")
    return ports[behind]
