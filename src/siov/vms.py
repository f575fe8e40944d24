"""Virtual machines of a scenario: memory out of the host's, EPT, a core to run on, the guest's own tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from siov._core import HostMemory
from siov.guests.paging import GuestFormat, GuestMemory
from siov.host.kvm import MemorySlot, Vm
from siov.host.pgtable import PageTable, Prot
from siov.host.physmem import PAGE_SHIFT, PAGE_SIZE, PhysMem
from siov.hw.cpu import Core
from siov.scenario import VM_TABLES, VmSpec
from siov.spec.ept import Cr3, EptViolation

_LEVELS = 4
_BATCH = 4096  # accesses that cross into the core at once; what an exit leaves undone crosses again
_LARGEST = {"4K": 1, "2M": 2}  # the level of EPT's pages


@dataclass(slots=True, frozen=True)
class GuestVm:
    """A virtual machine in use: its memory is at `memory` in the host's, its own table is in its memory.

    What the guest maps at `spec.gva` lies at the guest-physical `VM_TABLES`, and is a process's: the
    guest's accesses are those of user mode.
    """

    spec: VmSpec
    vm: Vm
    core: Core
    memory: int
    table: PageTable

    @property
    def cr3(self) -> Cr3:
        """CR3 of the guest's only process."""
        return Cr3.of(PCID=1, ADDR=self.table.root >> PAGE_SHIFT)

    def add_core(self, core: Core) -> None:
        """Have another core run the guest; ENOMEM when there is no page for its log."""
        self.vm.add_vcpu(core)
        core.set_guest(self.cr3)

    def access(self, gva: int, access: str = "r") -> dict[str, Any]:
        """An access of the guest's, with the exits on its way handled by the host (vcpu_run)."""
        while True:
            result = self.core.access(gva, access, user=True)
            if not self.handle_exit(result):
                return result

    def access_many(self, gvas: list[int], access: str = "r") -> dict[str, Any] | None:
        """Accesses in order, with exits handled; what the host can't handle ends them and is returned."""
        done = 0
        while done < len(gvas):
            count, fault = self.core.access_many(gvas[done : done + _BATCH], access, user=True)
            done += count
            if fault is not None and not self.handle_exit(fault):
                return fault
        return None

    def handle_exit(self, result: dict[str, Any]) -> bool:
        """Have the host see to a VM exit; False when there was none or the guest can't just go on."""
        match result.get("fault"):
            case "ept-violation":
                why = EptViolation(result["qualification"])
                access = Prot.WRITE if why.WRITE else Prot.EXEC if why.FETCH else Prot.READ
                return self.vm.handle_ept_violation(result["gpa"], access)
            case "pml-full":
                self.vm.handle_pml_full(self.core)
                return True
        return False

    def inspect(self) -> dict[str, object]:
        """The host's view, and the guest's own tables."""
        return {**self.vm.inspect(), "memory": self.memory, "guest_tables": self.table.inspect()}


def add_vm(mem: PhysMem, memory: HostMemory, spec: VmSpec, vpid: int) -> GuestVm:
    """Build a machine as the scenario says, its EPT eagerly; ENOMEM when the host's memory is too small."""
    base = mem.alloc_pages(spec.memory // PAGE_SIZE, "guest")
    vm = Vm(mem, spec.name, largest=_LARGEST[spec.page])
    vm.add_slot(MemorySlot(0, 0, spec.memory, base), populate=True)
    # Page 0 stays free, as real guests keep it: a null pointer is no table.
    guest = PhysMem(GuestMemory(mem.mmio, base), PAGE_SIZE, VM_TABLES - PAGE_SIZE)
    table = PageTable(guest, GuestFormat(), _LEVELS, largest=1)
    table.map(spec.gva, VM_TABLES, spec.size, Prot.READ | Prot.WRITE | Prot.EXEC)
    core = Core(f"{spec.name}-cpu0", memory, vpid=vpid)
    made = GuestVm(spec, vm, core, base, table)
    made.add_core(core)
    return made
