"""The event trace: each step of the slow way by its name, while somebody listens.

`Tracer` is what an operator has; a `Source` is a place where steps are seen: the driver core, the host's
accesses to registers, the rings in memory that these lead to, interrupts, calls into virtual devices.
"""

from siov.observe.trace.host import HostSource, InterruptSource
from siov.observe.trace.mmio import MmioTap
from siov.observe.trace.nic import nic_windows
from siov.observe.trace.step import Filter, Kind, Step, TraceError
from siov.observe.trace.text import as_json, as_text
from siov.observe.trace.tracer import Source, Tracer
from siov.observe.trace.vfio import VfioSource
from siov.observe.trace.vtd import UnitWindow
from siov.observe.trace.windows import ConfigWindow, RegisterWindow

__all__ = [
    "ConfigWindow",
    "Filter",
    "HostSource",
    "InterruptSource",
    "Kind",
    "MmioTap",
    "RegisterWindow",
    "Source",
    "Step",
    "TraceError",
    "Tracer",
    "UnitWindow",
    "VfioSource",
    "as_json",
    "as_text",
    "nic_windows",
]
