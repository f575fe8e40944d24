"""The bridge mode of the port's switch: VEB or VEPA, for all VSIs (ice_bridge_setlink)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from errno import EINVAL

from siov.drivers.ice.switch import Switch
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import VsiProperties


class BridgeMode(IntEnum):
    """Where a VSI's frame for a neighbour goes (if_bridge.h, BRIDGE_MODE_*)."""

    VEB = 0  # inside, from VSI to VSI
    VEPA = 1  # out, and back from an adjacent bridge


def loopback_flags(flags: VsiProperties.SW_FLAGS, mode: BridgeMode) -> VsiProperties.SW_FLAGS:
    """A VSI's switch flags in a bridge mode (ice_vsi_update_bridge_mode)."""
    on = int(mode is BridgeMode.VEB)
    return flags.replace(ALLOW_LB=on, LOCAL_LB=on)


@dataclass(slots=True)
class Bridge:
    """The mode, and who has to follow it: all VSIs that exist now. New ones are made by `flags`."""

    switch: Switch
    vsis: Callable[[], Iterable[VsiProps]]
    mode: BridgeMode = BridgeMode.VEB

    def flags(self) -> VsiProperties.SW_FLAGS:
        """Switch flags for a new VSI: it does not receive what it sent (ice_set_dflt_vsi_ctx)."""
        return loopback_flags(VsiProperties.SW_FLAGS.of(SRC_PRUNE=1), self.mode)

    def getlink(self) -> BridgeMode:
        """The mode (ice_bridge_getlink)."""
        return self.mode

    def setlink(self, mode: int) -> None:
        """Change the mode of every VSI, then of the rules.

        EINVAL for another mode than VEB or VEPA. When firmware refuses anything, all is as before.
        """
        if mode not in set(BridgeMode):
            raise LinuxError(EINVAL, f"bridge mode {mode} is not known: VEB is 0, VEPA is 1")
        new, old, done = BridgeMode(mode), self.mode, []
        if new is old:
            return
        try:
            for props in self.vsis():
                self._apply(props, new)
                done.append(props)
            self.switch.set_veb(new is BridgeMode.VEB)
        except LinuxError:
            for props in done:
                self._restore(props, old)
            raise
        self.mode = new

    @staticmethod
    def _apply(props: VsiProps, mode: BridgeMode) -> None:
        props.update(loopback_flags(props.get(VsiProperties.SW_FLAGS), mode))

    def _restore(self, props: VsiProps, mode: BridgeMode) -> None:
        # The error that led here is the one to be told.
        try:
            self._apply(props, mode)
        except LinuxError:
            return

    def inspect(self) -> dict[str, object]:
        """The mode by name."""
        return {"mode": self.mode.name.lower()}
