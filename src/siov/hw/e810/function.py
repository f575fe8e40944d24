"""The PF function: its configuration space, the engine behind its BARs, and its firmware."""

import threading
from collections.abc import Callable

from siov._core import Nic, RegFile
from siov.hw.e810.config import compose_config, pf_bars
from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware import Clock, Firmware, Settings
from siov.hw.pcie.function import Function
from siov.spec.pcie import ExpressType

# How long the thread of `E810.start` waits for events before it looks whether it shall end, in seconds.
PATIENCE = 0.1

MakeEngine = Callable[[RegFile], Engine]


class E810:
    """The device behind the function: accesses go to the engine, what they cause to the firmware."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.firmware: Firmware | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def registers(self) -> Nic | None:
        """The engine, if it is the core's and no test's."""
        return self.engine if isinstance(self.engine, Nic) else None

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes of BAR 0 or 3."""
        return self.engine.bar_read(bar, offset, size)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Bytes to BAR 0 or 3; firmware has answered what they ask for when this returns."""
        self.engine.bar_write(bar, offset, data)
        self.service()

    def reset(self) -> None:
        """A function-level or hot reset: the function's part of the device is as after power-on."""
        if self.firmware is not None:
            self.firmware.function_level_reset()

    def config_changed(self, rid: int) -> None:
        """The configuration space may have changed."""
        self.engine.config_changed(rid)
        self.service()

    def service(self) -> None:
        """Have firmware handle what the engine tells."""
        if self.firmware is not None:
            self.firmware.service()

    def start(self) -> None:
        """Serve events on a thread of its own: those of accesses that do not come through here."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._serve, name="e810-firmware", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; at once nothing without one."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while not self._stopping.is_set():
            if self.engine.wait_events(PATIENCE):
                self.service()


class E810Function(Function):
    """The PF: a function whose device is an E810."""

    device: E810

    @property
    def firmware(self) -> Firmware:
        """The device's firmware."""
        assert self.device.firmware is not None, "build() gives every device its firmware"
        return self.device.firmware

    def inspect(self) -> dict[str, object]:
        """The function, its firmware and the engine behind its BARs."""
        found = super().inspect()
        return found | {"firmware": self.firmware.inspect(), "engine": self.device.engine.inspect()}


def build(
    name: str,
    devfn: tuple[int, int],
    settings: Settings,
    make_engine: MakeEngine,
    clock: Clock,
    *,
    ims: int = 0,
    kind: ExpressType = ExpressType.ENDPOINT,
    multifunction: bool = False,
    next_function: int = 0,
) -> E810Function:
    """The PF with `ims` slots of interrupt message storage, to be put into a tree.

    `make_engine` gets the configuration space's registers; firmware's DMA goes the function's own way.
    """
    mac = settings.port.mac
    config = compose_config(
        mac, ims, devfn[1], kind, multifunction=multifunction, next_function=next_function
    )
    device = E810(make_engine(config.regs))
    function = E810Function(name, devfn, config, pf_bars(ims), device)
    device.firmware = Firmware(device.engine, function, clock, settings)
    device.engine.config_changed(int(function.bdf))
    return function
