"""Virtual machines on the host: memory slots, EPT, the dirty log (arch/x86/kvm, virt/kvm)."""

from siov.host.kvm.dirty import DirtyLog, dirty_pages
from siov.host.kvm.vm import MemorySlot, Vcpu, Vm

__all__ = ["DirtyLog", "MemorySlot", "Vcpu", "Vm", "dirty_pages"]
