"""The driver and the engine of the machine, which know of each other by registers and memory only."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siov._core import HostMemory, RemappingUnit
from siov.host.iommu import DeviceTlbTimeoutError, IntelIommu, RequestKind, Stage
from siov.host.irq import IrqVectors
from siov.host.irq.posted import PostedDescriptors
from siov.host.irq.remapping import InterruptRemapping
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.physmem import PhysMem
from siov.spec.vtd import FaultReason, FsPage4K, FsTableEntry

from .machine import UNIT_BASE

KIB4, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
RAM, RID = 32 << 20, 0x3BF9
RW = Prot.READ | Prot.WRITE


class Server:
    """Physical addresses: memory of the core, and the registers of an engine of the core."""

    def __init__(self, **config: object) -> None:
        self.memory = HostMemory(1 << 40)
        self.memory.place(0, RAM)
        self.engine = RemappingUnit(self.memory, **config)
        self.answering = True
        self.sent: list[tuple] = []

    def read(self, address: int, size: int) -> bytes:
        if UNIT_BASE <= address < UNIT_BASE + 0x1000:
            return self.engine.mmio_read(address - UNIT_BASE, size)
        return self.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        if UNIT_BASE <= address < UNIT_BASE + 0x1000:
            self.engine.mmio_write(address - UNIT_BASE, data)
            self.pump()
        else:
            self.memory.write(address, data)

    def pump(self) -> None:
        """Devices answer what the unit asks of them, or let it wait too long."""
        for what in self.engine.take_outbound():
            self.sent.append(what)
            if what[0] == "invalidate" and self.answering:
                self.engine.invalidation_done(what[1], what[6])
            elif what[0] == "invalidate":
                self.engine.invalidation_timeout()

    def go(self, address: int, *, pasid: int | None = None, access: str = "r", rid: int = RID) -> int | str:
        """Where a request goes, or the name of its fault."""
        result = self.engine.translate(rid, pasid, address, access)
        return FaultReason(result["fault"]).name if "fault" in result else result["hpa"]


def start(*, legacy: bool = False, **config: object) -> tuple[Server, IntelIommu]:
    server = Server(**config)
    iommu = IntelIommu(PhysMem(server, MIB2, RAM - MIB2), UNIT_BASE, scalable=not legacy, polls=50)
    iommu.enable()
    return server, iommu


KINDS: dict[str, tuple[bool, Callable]] = {
    "legacy second stage": (True, lambda u: u.alloc_domain()),
    "first stage": (False, lambda u: u.alloc_domain(Stage.FIRST)),
    "first stage, 5 levels": (False, lambda u: u.alloc_domain(Stage.FIRST, levels=5)),
    "second stage, 3 levels": (False, lambda u: u.alloc_domain(levels=3)),
    "second stage": (False, lambda u: u.alloc_domain()),
    "second stage, 5 levels": (False, lambda u: u.alloc_domain(levels=5)),
    "second stage with dirty bits": (False, lambda u: u.alloc_domain(dirty_tracking=True)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("caching", [False, True])
def test_what_is_mapped_is_reached_and_what_is_unmapped_or_detached_is_not(kind, caching):
    legacy, make = KINDS[kind]
    server, iommu = start(legacy=legacy, caching_mode=caching)
    assert server.go(0x5000) in ("LRT_2", "SRT_2")
    iommu.add_device(RID, pasid_bits=0 if legacy else 20)
    assert server.go(0x5000) in ("LRT_2", "SPD_2")
    domain = make(iommu)
    for pasid in [None] if legacy else [None, 1, 77, (1 << 20) - 1]:
        iommu.attach(domain, RID, pasid)
        assert isinstance(server.go(0x5000, pasid=pasid), str)
        domain.map(0x5000, 0x9000, KIB4)
        domain.map(GIB, 4 * GIB, GIB + MIB2)
        assert server.go(0x5123, pasid=pasid) == 0x9123
        assert server.go(2 * GIB + 5, pasid=pasid, access="w") == 5 * GIB + 5
        assert domain.unmap(0x5000, KIB4) == KIB4
        assert isinstance(server.go(0x5123, pasid=pasid), str)
        assert domain.unmap(GIB + KIB4, KIB4) == KIB4  # splits 1 GiB
        assert isinstance(server.go(GIB + KIB4, pasid=pasid), str)
        assert server.go(GIB + 2 * KIB4, pasid=pasid) == 4 * GIB + 2 * KIB4
        iommu.detach(RID, pasid)
        assert server.go(GIB + 2 * KIB4, pasid=pasid) in ("LCT_2", "SPT_2")
        domain.unmap(0, 4 * GIB)
    assert iommu.queue.errors == {}


@pytest.mark.parametrize("kind", [k for k, (legacy, _) in KINDS.items() if not legacy])
def test_rights_are_those_of_the_mapping(kind):
    server, iommu = start()
    domain = KINDS[kind][1](iommu)
    iommu.add_device(RID, pasid_bits=8)
    iommu.attach(domain, RID, 5)
    domain.map(0, 0, KIB4, Prot.READ)
    domain.map(KIB4, 0, KIB4, RW)
    domain.map(2 * KIB4, 0, KIB4, RW | Prot.EXEC)
    can = [
        "".join(c for c in "rwx" if isinstance(server.go(n * KIB4, pasid=5, access=c), int)) for n in range(3)
    ]
    assert can == ["r", "rw", "rwx"]


def test_pass_through_goes_to_the_address_itself_in_both_modes():
    for legacy in (False, True):
        server, iommu = start(legacy=legacy)
        iommu.add_device(RID)
        iommu.attach(iommu.identity_domain(), RID)
        assert server.go(0x12345678) == 0x12345678
        iommu.detach(RID)
        assert isinstance(server.go(0x12345678), str)


def test_nested_a_guest_s_tables_over_the_host_s_and_both_can_take_back():
    server, iommu = start()
    guest = iommu.mem.alloc_pages(8, "guest")
    parent = iommu.alloc_domain()
    parent.map(0, guest, 8 * KIB4)
    for gpa, entry in [
        (0, FsTableEntry.of(P=1, RW=1, US=1, ADDR=1)),
        (KIB4, FsTableEntry.of(P=1, RW=1, US=1, ADDR=2)),
        (2 * KIB4, FsTableEntry.of(P=1, RW=1, US=1, ADDR=3)),
        (3 * KIB4, FsPage4K.of(P=1, RW=1, US=1, ADDR=6)),
    ]:
        server.write(guest + gpa, entry.to_bytes())
    nested = iommu.nested_domain(parent, 0)
    iommu.add_device(RID, pasid_bits=8)
    iommu.attach(nested, RID, 5)
    assert server.go(0x123, pasid=5, access="w") == guest + 6 * KIB4 + 0x123
    server.write(guest + 3 * KIB4, FsPage4K.of(P=1, RW=1, US=1, ADDR=7).to_bytes())
    nested.invalidate(0, KIB4, leaf_only=True)
    assert server.go(0x123, pasid=5) == guest + 7 * KIB4 + 0x123
    parent.unmap(7 * KIB4, KIB4)
    assert isinstance(server.go(0x123, pasid=5), str)
    iommu.detach(RID, 5)
    assert server.go(0x123, pasid=5) == "SPT_2"


_pages = st.integers(0, 1100)
_steps = st.lists(
    st.tuples(st.sampled_from(["map", "map", "unmap", "read"]), _pages, st.sampled_from([1, 3, 512, 600])),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(_steps, st.booleans())
def test_no_request_after_an_unmap_reaches_the_old_page(kind, steps, flushes_late):
    legacy, make = KINDS[kind]
    server, iommu = start(legacy=legacy)
    iommu.add_device(RID, pasid_bits=0 if legacy else 8)
    pasid = None if legacy else 9
    domain = make(iommu)
    domain.deferred = flushes_late
    iommu.attach(domain, RID, pasid)
    model: dict[int, int] = {}
    for turn, (what, first, count) in enumerate(steps):
        pages = range(first, first + count)
        if what == "map":
            base = (turn + 1) * GIB + first * KIB4
            if any(page in model for page in pages):
                with pytest.raises(LinuxError, match="is mapped at"):
                    domain.map(first * KIB4, base, count * KIB4)
            else:
                domain.map(first * KIB4, base, count * KIB4)
                model |= {page: base + n * KIB4 for n, page in enumerate(pages)}
        elif what == "unmap":
            gone = [page for page in pages if model.pop(page, None) is not None]
            assert domain.unmap(first * KIB4, count * KIB4) == len(gone) * KIB4
            if flushes_late and turn % 2:
                domain.flush()
        for page in {first - 1, first, first + count // 2, first + count - 1, first + count} - {-1}:
            found = server.go(page * KIB4 + 7, pasid=pasid)
            if page in model:
                assert found == model[page] + 7
            elif not domain.pending:
                assert isinstance(found, str)
    iommu.detach(RID, pasid)
    domain.free()
    iommu.disable()
    iommu.shutdown()
    assert not iommu.mem.in_use


def test_dirty_bits_set_by_the_unit_are_harvested_once_and_set_again():
    server, iommu = start()
    domain = iommu.alloc_domain(dirty_tracking=True)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(0, GIB + KIB4, 64 * KIB4)
    for _ in range(2):
        for page in (3, 4, 40):
            assert isinstance(server.go(page * KIB4, access="w"), int)
        server.go(5 * KIB4)
        assert domain.read_and_clear_dirty(0, 64 * KIB4) == [(n * KIB4, KIB4) for n in (3, 4, 40)]
        assert domain.read_and_clear_dirty(0, 64 * KIB4) == []


def test_a_fault_is_recorded_raises_the_unit_s_message_and_is_read_and_cleared():
    server, iommu = start()
    irqs = IrqVectors()
    iommu.setup_events(irqs)
    iommu.add_device(RID, pasid_bits=8)
    domain = iommu.alloc_domain()
    iommu.attach(domain, RID, 5)
    domain.map(0, 0, KIB4, Prot.READ)
    for _ in range(2):  # the second only comes if the first was cleared
        assert server.go(0x123, pasid=5, access="w") == "SGN_6"
        server.pump()
        messages = [what[1:] for what in server.sent if what[0] == "message"]
        server.sent.clear()
        assert len(messages) == 1
        irqs.deliver(*messages[0])
    assert len(iommu.faults.last) == 2
    fault = iommu.faults.last[-1]
    assert (fault.name, fault.rid, fault.pasid, fault.addr) == ("SGN_6", RID, 5, 0)
    assert fault.kind is RequestKind.WRITE
    assert iommu.faults.drain() == []


def test_device_tlbs_are_asked_and_a_silent_one_is_named():
    server, iommu = start()
    iommu.add_device(RID, ats=True, pasid_bits=8)
    domain = iommu.alloc_domain()
    iommu.attach(domain, RID, 5)
    domain.map(0, 0, MIB2)
    server.sent.clear()
    domain.unmap(0, 4 * KIB4)
    assert [(what[:6]) for what in server.sent] == [("invalidate", RID, 5, False, 0, 4 * KIB4)]
    server.answering = False
    with pytest.raises(DeviceTlbTimeoutError, match="device 0x3bf9 did not complete"):
        domain.unmap(0x10000, KIB4)
    server.answering = True
    domain.flush()
    iommu.detach(RID, 5)
    assert isinstance(server.go(0x20000, pasid=5), str)
    assert iommu.queue.errors == {"ITE": 1}


# Interrupts.


def test_a_remapped_message_reaches_the_vector_of_the_device_it_was_made_for_only():
    server, iommu = start()
    remap = InterruptRemapping(iommu, 256)
    remap.enable()
    irqs = IrqVectors(cpus=4, remapper=remap)
    given = irqs.request_irqs([(lambda: None, f"m{n}") for n in range(5)], RID)
    for irq in given:
        result = server.engine.interrupt(RID, irq.address, irq.data)
        assert (result["destination"], result["vector"]) == (irq.cpu, irq.vector)
        assert server.engine.interrupt(RID + 1, irq.address, irq.data)["fault"] == FaultReason.INTR_SID
    assert server.engine.interrupt(RID, 0xFEE0_0000, 0x30)["fault"] == FaultReason.INTR_COMPATIBILITY
    remap.set_affinity(given[1].remap.index, 3, 0x77)
    moved = server.engine.interrupt(RID, given[1].address, given[1].data)
    assert (moved["destination"], moved["vector"]) == (3, 0x77)
    irqs.free_irq(given[0])
    assert server.engine.interrupt(RID, given[0].address, given[0].data)["fault"] == FaultReason.INTR_IRTE_P
    fault = iommu.faults.drain()[-1]
    assert (fault.name, fault.index, fault.rid) == ("INTR_IRTE_P", given[0].remap.index, RID)


def test_a_posted_interrupt_lands_in_its_descriptor_and_notifies_once_until_it_is_taken():
    server, iommu = start()
    remap = InterruptRemapping(iommu, 256)
    remap.enable()
    pid = PostedDescriptors(iommu.mem).alloc()
    pid.notify(2, 0xE0)
    index = remap.alloc_irtes(RID, [(0, 0x30)])
    irq = IrqVectors(remapper=remap).request_irq(lambda: None, "other", RID)
    remap.set_vcpu_affinity(index, pid, 0x51)
    address = irq.address - (irq.remap.index << 5) + (index << 5)
    for _ in range(2):
        notified = [server.engine.interrupt(RID, address, 0)["notify"] for _ in range(3)]
        assert notified == [(2, 0xE0), None, None]
        assert pid.take() == [0x51]
    pid.suppress(True)
    assert server.engine.interrupt(RID, address, 0)["notify"] is None
