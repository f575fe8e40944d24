"""Counters of flow director filters: blocks of 256, from firmware (ice_alloc_fd_res_cntr)."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.drivers.ice.access import Commands, Registers
from siov.host.linux import LinuxError
from siov.spec.e810 import AqAllocRes, AqOpcode, AqResource, ResourceType

BLOCK = 256  # ICE_FD_STAT_CTR_BLOCK_COUNT
MOD = 1 << 40


@dataclass(slots=True)
class FdirCounters:
    """The counters of the function's blocks; one more block is asked for when all are taken."""

    aq: Commands
    hw: Registers
    blocks: list[int] = field(default_factory=list)
    unused: list[int] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)  # by counter: what it was at when it was taken

    def take(self) -> int | None:
        """A counter that starts at zero; None when firmware has none left, as ice then does without."""
        if not self.unused:
            try:
                self._allocate()
            except LinuxError:
                return None
        found = self.unused.pop()
        self.used[found] = self.hw.rd64("GLSTAT_FD_CNT0", found)
        return found

    def give(self, counter: int | None) -> None:
        """A filter needs its counter no more."""
        if counter is not None and counter in self.used:
            del self.used[counter]
            self.unused.append(counter)

    def read(self, counter: int) -> int:
        """What a counter has counted since it was taken."""
        return (self.hw.rd64("GLSTAT_FD_CNT0", counter) - self.used[counter]) % MOD

    def free(self) -> None:
        """All blocks go back to firmware."""
        for block in self.blocks:
            head = AqResource.of(RES_TYPE=ResourceType.FDIR_COUNTER_BLOCK, NUM_ELEMS=1).to_bytes()
            self.aq.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), head + block.to_bytes(2, "little"))
        self.reset()

    def reset(self) -> None:
        """A reset took them."""
        self.blocks.clear()
        self.unused.clear()
        self.used.clear()

    def _allocate(self) -> None:
        head = AqResource.of(RES_TYPE=ResourceType.FDIR_COUNTER_BLOCK, NUM_ELEMS=1).to_bytes()
        answer = self.aq.send(AqOpcode.ALLOC_RES, AqAllocRes.of(NUM_ENTRIES=1), head + bytes(2))
        block = int.from_bytes(answer.data[len(head) : len(head) + 2], "little")
        self.blocks.append(block)
        self.unused += reversed(range(block * BLOCK, (block + 1) * BLOCK))
