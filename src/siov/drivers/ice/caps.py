"""What the device and the function can do (ice_discover_dev_caps, ice_discover_func_caps)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from siov.drivers.ice.adminq import AdminQueue, AqError
from siov.spec.e810 import AQ_MAX_BUF, AqCapability, AqListCaps, AqOpcode, AqRc, Capability

SIZE = AqCapability.width // 8


@dataclass(slots=True, frozen=True)
class IceCaps:
    """The function's capabilities; counts are of queues, vectors, VSIs, filters, look-up table entries."""

    valid_functions: int
    vsis: int
    rxqs: int
    first_rxq: int
    txqs: int
    first_txq: int
    msix_vectors: int
    first_msix: int
    rss_table_size: int
    rss_entry_bits: int
    fd_guaranteed: int
    fd_best_effort: int
    max_frame: int
    raw: Mapping[int, AqCapability]

    @classmethod
    def of(cls, elements: list[AqCapability]) -> IceCaps:
        """Out of a list's elements; what is not listed is 0."""
        found = {element.CAP: element for element in elements}
        none = AqCapability.of()

        def get(cap: Capability) -> AqCapability:
            return found.get(cap, none)

        return cls(
            valid_functions=get(Capability.VALID_FUNCTIONS).NUMBER,
            vsis=get(Capability.VSI).NUMBER,
            rxqs=get(Capability.RXQS).NUMBER,
            first_rxq=get(Capability.RXQS).PHYS_ID,
            txqs=get(Capability.TXQS).NUMBER,
            first_txq=get(Capability.TXQS).PHYS_ID,
            msix_vectors=get(Capability.MSIX).NUMBER,
            first_msix=get(Capability.MSIX).PHYS_ID,
            rss_table_size=get(Capability.RSS).NUMBER,
            rss_entry_bits=get(Capability.RSS).LOGICAL_ID,
            fd_guaranteed=get(Capability.FD).NUMBER,
            fd_best_effort=get(Capability.FD).LOGICAL_ID,
            max_frame=get(Capability.MAX_MTU).NUMBER,
            raw=MappingProxyType(found),
        )

    def inspect(self) -> dict[str, int]:
        """Each count."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "raw"}


def list_caps(aq: AdminQueue, opcode: AqOpcode = AqOpcode.LIST_FUNC_CAPS) -> list[AqCapability]:
    """The elements of the function's list, or the device's (ice_aq_list_caps)."""
    answer = aq.send(opcode, AqListCaps.of(), room=AQ_MAX_BUF)
    count = answer.params(AqListCaps).COUNT
    if count * SIZE > len(answer.data):
        raise AqError(opcode, AqRc.ENOMEM, f"{count} elements in {len(answer.data)} bytes")
    return [AqCapability.from_bytes(answer.data[n : n + SIZE]) for n in range(0, count * SIZE, SIZE)]


def ice_get_caps(aq: AdminQueue) -> IceCaps:
    """The function's capabilities."""
    return IceCaps.of(list_caps(aq))
