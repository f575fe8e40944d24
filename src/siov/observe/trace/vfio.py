"""Calls into virtual devices, as VFIO passes them on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from siov.host.linux import LinuxError, TraceEvent
from siov.observe.trace.names import find, value_of
from siov.observe.trace.step import NOTHING, Kind
from siov.observe.trace.tracer import Emit
from siov.spec.pcie.header import CommonHeader
from siov.spec.word import RegisterBlock

_REGIONS = ("BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "CONFIG", "VGA")
_IRQS = ("INTX", "MSI", "MSIX", "ERR", "REQ")


class Instance(Protocol):
    """A mediated device: `ops` is what its parent's driver made for it."""

    name: str
    ops: Any


class TracedOps:
    """Stands before a virtual device's operations; what they give and raise is theirs, as is their class."""

    def __init__(
        self, inner: Any, name: str, emit: Emit, registers: type[RegisterBlock] | None = None
    ) -> None:
        self.inner = inner
        self._name, self._emit = name, emit
        self._blocks = {_REGIONS.index("BAR0"): registers, _REGIONS.index("CONFIG"): CommonHeader}

    def _tell(self, what: str, detail: str = "", fields: Any = NOTHING) -> None:
        caller = sys._getframe(1)
        self._emit(Kind.VFIO, self._name, what, detail, fields, caller=caller, opens=True)

    @property
    def zap(self) -> Any:
        """Whom the device tells that mappings lead nowhere any more."""
        return self.inner.zap

    @zap.setter
    def zap(self, value: Any) -> None:
        self.inner.zap = value

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Who asks what the operations are has to hear what they are without a trace."""
        return type(self.inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def open_device(self, pasid: int) -> None:
        """See `VfioDeviceOps`."""
        self._tell("open_device", f"PASID {pasid}", {"pasid": pasid})
        self.inner.open_device(pasid)

    def close_device(self) -> None:
        """See `VfioDeviceOps`."""
        self._tell("close_device")
        self.inner.close_device()

    def read(self, index: int, offset: int, size: int) -> bytes:
        """See `VfioDeviceOps`."""
        data: bytes = self.inner.read(index, offset, size)
        self._access("read", index, offset, data)
        return data

    def write(self, index: int, offset: int, data: bytes) -> None:
        """See `VfioDeviceOps`."""
        self._access("write", index, offset, data)
        self.inner.write(index, offset, data)

    def _access(self, what: str, index: int, offset: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        fields = {"region": index, "offset": offset, "size": len(data), "value": value}
        block = self._blocks.get(index)
        found = find(block, offset) if block is not None else None
        register, text = (str(found), value_of(found, data)[0]) if found else (f"{offset:#x}", f"{value:#x}")
        self._tell(what, f"{_named(_REGIONS, index)} {register} = {text}", fields)

    def set_irqs(self, index: int, start: int, fds: Sequence[int | None]) -> None:
        """See `VfioDeviceOps`."""
        vectors = f"{start} to {start + len(fds) - 1}" if len(fds) != 1 else f"{start}"
        off = sum(fd is None for fd in fds)
        detail = f"{_named(_IRQS, index)} {vectors}" + (f", {off} of them off" if off else "")
        self._tell("set_irqs", detail, {"index": index, "start": start, "count": len(fds)})
        self.inner.set_irqs(index, start, fds)

    def disable_irqs(self, index: int) -> None:
        """See `VfioDeviceOps`."""
        self._tell("disable_irqs", _named(_IRQS, index))
        self.inner.disable_irqs(index)

    def mmap(self, index: int, offset: int) -> int:
        """See `VfioDeviceOps`."""
        address: int = self.inner.mmap(index, offset)
        detail = f"{_named(_REGIONS, index)} {offset:#x} -> {address:#x}"
        self._tell("mmap", detail, {"region": index, "offset": offset, "address": address})
        return address

    def reset(self) -> None:
        """See `VfioDeviceOps`."""
        self._tell("reset")
        self.inner.reset()


class VfioSource:
    """The virtual devices of a host. While it listens, operations have a `TracedOps` before them.

    `devices` gives those that there are, `registers` what they have in BAR 0 by device id. A new one is found
    by its probe, for which `saw` has to be told of steps of the driver core (see `HostSource.watchers`).
    """

    kinds: Collection[Kind] = frozenset({Kind.VFIO})

    def __init__(
        self,
        devices: Callable[[], Iterable[Instance]],
        registers: Mapping[int, type[RegisterBlock]] = MappingProxyType({}),
    ) -> None:
        self._devices = devices
        self._registers = registers
        self._emit: Emit | None = None

    def listen(self, emit: Emit) -> None:
        """Stand before every device's operations."""
        self._emit = emit
        self._wrap()

    def quiet(self) -> None:
        """Stand aside."""
        self._emit = None
        for device in self._devices():
            if isinstance(device.ops, TracedOps):
                device.ops = device.ops.inner

    def saw(self, event: TraceEvent) -> None:
        """Something has happened to a device: it may be a new one."""
        if event.function == "vfio_mdev_probe":
            self._wrap()

    def _wrap(self) -> None:
        if self._emit is None:
            return
        for device in self._devices():
            if device.ops is not None and not isinstance(device.ops, TracedOps):
                registers = self._registers.get(_device_id(device.ops))
                device.ops = TracedOps(device.ops, device.name, self._emit, registers)


def _device_id(ops: Any) -> int:
    """The device id in the configuration space; 0 when that can't be read."""
    try:
        return int.from_bytes(ops.read(_REGIONS.index("CONFIG"), 2, 2), "little")
    except LinuxError:
        return 0


def _named(names: Sequence[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else f"index {index}"
