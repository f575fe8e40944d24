"""A CPU core of the machine, which runs one virtual CPU: its VMCS, its entries and exits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from siov._core import CpuCore, HostMemory
from siov.spec.ept import PML_FIRST_INDEX, Cr0, Cr3, Cr4, Efer, Eptp, ExitReason

PAGING_4_LEVEL = Cr4.of(PGE=1, PCIDE=1, SMEP=1, SMAP=1)


class Core:
    """A core with the VMCS of one virtual CPU, which the host drives (it is a `Vcpu` of `siov.host.kvm`).

    An access enters the guest if it does not run. What touches the VMCS, or flushes, first brings the guest
    out, as the interrupt of another core does. `exits` counts the exits by their reason. Without `vpid` an
    entry and an exit forget what the guest's addresses translate to; without `caches` everything walks.
    """

    def __init__(
        self, name: str, memory: HostMemory, *, vpid: int | None = None, caches: bool = True
    ) -> None:
        self.name, self.vpid = name, vpid
        self.engine = CpuCore(memory, caches=caches)
        self.exits: Counter[str] = Counter()
        self._eptp: int | None = None
        self._pml: int | None = None
        self._pml_index = PML_FIRST_INDEX
        self._runs = False

    def set_guest(
        self,
        cr3: Cr3,
        cr4: Cr4 = PAGING_4_LEVEL,
        *,
        cr0: Cr0 = Cr0.of(WP=1),  # noqa: B008  words are immutable
        efer: Efer = Efer.of(NXE=1),  # noqa: B008
    ) -> None:
        """The guest-state area: the control registers with which the guest goes on."""
        self._kick()
        self.engine.set_guest(cr0=cr0.raw, cr3=cr3.raw, cr4=cr4.raw, efer=efer.raw)

    def set_eptp(self, eptp: int) -> None:
        """VMCS field "EPT pointer"."""
        self._kick()
        self._eptp = eptp

    def set_pml(self, address: int | None) -> None:
        """VMCS field "PML address" and the control "enable PML"; None turns it off."""
        self._kick()
        self._pml = address

    @property
    def pml_index(self) -> int:
        """VMCS field "PML index", 16 bits."""
        self._kick()
        return self._pml_index

    @pml_index.setter
    def pml_index(self, index: int) -> None:
        self._kick()
        self._pml_index = index

    def invept(self, eptp: int) -> None:
        """INVEPT, single-context; `ValueError` for a pointer that none may be."""
        self._kick()
        self.engine.invept(eptp)

    def invvpid(self) -> None:
        """INVVPID of this guest's VPID, single-context; nothing without one."""
        self._kick()
        if self.vpid is not None:
            self.engine.invvpid(self.vpid)

    def mov_to_cr3(self, cr3: Cr3) -> None:
        """The guest switches to another process; `ValueError` for its #GP."""
        self.vm_entry()
        self.engine.mov_to_cr3(cr3.raw)

    def invlpg(self, gva: int) -> None:
        """The guest forgets what an address translates to."""
        self.vm_entry()
        self.engine.invlpg(gva)

    def access(self, gva: int, access: str = "r", *, user: bool = False) -> dict[str, Any]:
        """The guest reads (r), writes (w) or fetches (x); the result is that of `CpuCore.access`.

        When it is a VM exit, the guest is out, and the host is to see to the cause.
        """
        self.vm_entry()
        result = self.engine.access(gva, access, user)
        self._exit_for(result)
        return result

    def access_many(
        self, gvas: list[int], access: str = "r", *, user: bool = False
    ) -> tuple[int, dict[str, Any] | None]:
        """Accesses in order, up to the first fault: how many were done, and the fault; as `access`."""
        self.vm_entry()
        done, fault = self.engine.access_many(gvas, access, user)
        self._exit_for(fault or {})
        return done, fault

    def explain(
        self, gva: int, access: str = "r", *, user: bool = False
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """An access that tells its steps, as those of `CpuCore.explain`."""
        self.vm_entry()
        result, steps = self.engine.explain(gva, access, user)
        self._exit_for(result)
        return result, steps

    def vm_entry(self) -> None:
        """Run the guest, if it does not; `ValueError` when the VMCS is not one that an entry accepts."""
        if self._runs:
            return
        self.engine.vm_entry(eptp=self._eptp, vpid=self.vpid, pml=self._pml, pml_index=self._pml_index)
        self._runs = True

    def vm_exit(self, reason: str) -> None:
        """Bring the guest out, if it runs, and count that."""
        left = self.engine.vm_exit()
        if left is None:
            return
        self._runs = False
        self.exits[reason] += 1
        if left["pml_index"] is not None:
            self._pml_index = left["pml_index"]

    def _kick(self) -> None:
        self.vm_exit("EXTERNAL_INTERRUPT")

    def _exit_for(self, result: dict[str, Any]) -> None:
        reason = result.get("exit_reason")
        if reason is not None:
            self.vm_exit(ExitReason(reason).name)

    def inspect(self) -> dict[str, object]:
        """The VMCS, the control registers of who runs, exits, cached lines, and what was counted."""
        return {
            **self.engine.inspect(),
            "vpid": self.vpid,
            "eptp": None if self._eptp is None else Eptp(self._eptp).decode(),
            "pml": self._pml,
            "exits": dict(self.exits),
            "counters": {name: count for name, count in self.engine.counters if count},
        }
