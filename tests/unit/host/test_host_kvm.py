"""A virtual machine's memory, and its dirty log: every page that was written, and no other."""

from errno import EBUSY, EEXIST, EINVAL, ENOENT

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siov.host.kvm import MemorySlot, Vm, dirty_pages
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.physmem import PhysMem
from siov.spec.ept import EptEntry, Eptp, EptPage1G, EptPage2M, EptPage4K, EptTableEntry

from .machine import RAM_BASE, Machine, walk

KIB4, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
EPT = (EptTableEntry, {1: EptPage4K, 2: EptPage2M, 3: EptPage1G})


class Cpu:
    """A virtual CPU that walks EPT out of memory, keeps what it found, sets A and D, and logs."""

    def __init__(self, machine: Machine, vm: Vm) -> None:
        self.machine, self.vm = machine, vm
        self.eptp = Eptp(0)
        self.pml: int | None = None
        self.pml_index = 0
        self.tlb: dict[int, tuple[bool, bool]] = {}  # page: writable, dirty
        vm.add_vcpu(self)

    def set_eptp(self, eptp: int) -> None:
        self.eptp = Eptp(eptp)

    def set_pml(self, address: int | None) -> None:
        self.pml = address

    def invept(self, eptp: int) -> None:
        assert eptp == self.eptp.raw
        self.tlb.clear()

    def access(self, gpa: int, write: bool) -> bool:
        """One access, with the exits that it takes; False when it is not memory."""
        for _ in range(4):
            done = self._try(gpa, write)
            if done == "done":
                return True
            if done == "pml":
                self.vm.handle_pml_full(self)
            elif not self.vm.handle_ept_violation(gpa, Prot.WRITE if write else Prot.READ):
                return False
        raise AssertionError(f"no end of exits at {gpa:#x}")

    def _try(self, gpa: int, write: bool) -> str:
        page = gpa >> 12
        writable, dirty = self.tlb.get(page, (False, False))
        if page in self.tlb and (not write or (writable and (dirty or not self.eptp.AD))):
            return "done"
        assert (6, self.vm.table.levels - 1) == (self.eptp.MT, self.eptp.PWL)
        table = self.eptp.ADDR << 12
        for level in range(self.eptp.PWL + 1, 0, -1):
            at = table + 8 * (gpa >> (12 + 9 * (level - 1)) & 0x1FF)
            entry = EptEntry.from_bytes(self.machine.read(at, 8))
            if not entry.raw & 7 or (write and not entry.W):
                return "violation"
            if level == 1 or EptPage2M(entry.raw).PS:
                break
            table = EptTableEntry(entry.raw).ADDR << 12
        leaf = EptPage4K(entry.raw)
        if self.eptp.AD:
            if write and not leaf.D and self.pml is not None:
                if self.pml_index > 511:
                    return "pml"
                self.machine.write(self.pml + 8 * self.pml_index, (page << 12).to_bytes(8, "little"))
                self.pml_index = (self.pml_index - 1) & 0xFFFF
            leaf = leaf.replace(A=1, D=int(write or leaf.D))
            self.machine.write(at, leaf.to_bytes())
        self.tlb[page] = (bool(leaf.W), bool(leaf.D))
        return "done"


def vm(slots=(), *, size: int = 64 << 20, **options) -> tuple[Machine, PhysMem, Vm]:
    machine = Machine(size=size)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    made = Vm(mem, **options)
    for slot in slots:
        made.add_slot(slot)
    return machine, mem, made


LOW, HIGH = MemorySlot(0, 0, 4 * MIB2, 8 * GIB), MemorySlot(1, 4 * GIB, 2 * GIB, 16 * GIB)
MODES = [
    pytest.param({"accessed_dirty": True, "pml": True}, id="pml"),
    pytest.param({"accessed_dirty": True, "pml": False}, id="dirty-bits"),
    pytest.param({"accessed_dirty": False, "pml": False}, id="write-protect"),
]


# Slots and EPT.


@pytest.mark.parametrize("levels", [4, 5])
def test_a_violation_maps_the_largest_page_that_the_slot_fills(levels):
    machine, _, guest = vm([LOW, HIGH], levels=levels)
    assert guest.handle_ept_violation(MIB2 + 5, Prot.READ)
    assert guest.handle_ept_violation(5 * GIB + 5, Prot.WRITE)
    low, high = (
        walk(machine, guest.table.root, levels, MIB2, EPT),
        walk(machine, guest.table.root, levels, 5 * GIB, EPT),
    )
    assert (low.phys, low.size, low.rights) == (8 * GIB + MIB2, MIB2, "rwx")
    assert (high.phys, high.size) == (17 * GIB, GIB)
    assert walk(machine, guest.table.root, levels, 0, EPT) is None


def test_a_slot_that_is_not_aligned_gets_small_pages_at_its_ends_and_where_addresses_disagree():
    machine, _, guest = vm([MemorySlot(0, KIB4, 3 * MIB2, KIB4), MemorySlot(1, GIB, MIB2, MIB2 + KIB4)])
    for gpa, size in [(KIB4, KIB4), (MIB2 - KIB4, KIB4), (MIB2, MIB2), (3 * MIB2, KIB4), (GIB, KIB4)]:
        assert guest.handle_ept_violation(gpa, Prot.READ)
        assert walk(machine, guest.table.root, 4, gpa, EPT).size == size


def test_outside_of_slots_and_writes_to_read_only_ones_are_not_memory():
    machine, _, guest = vm([MemorySlot(0, 0, MIB2, 0, readonly=True)])
    assert not guest.handle_ept_violation(MIB2, Prot.READ)
    assert not guest.handle_ept_violation(0, Prot.WRITE)
    assert guest.handle_ept_violation(0, Prot.READ)
    assert walk(machine, guest.table.root, 4, 0, EPT).rights == "rx"
    assert guest.counts["mmio"] == 2


def test_eager_slots_are_mapped_at_once_with_the_largest_pages():
    machine, mem, guest = vm()
    guest.add_slot(HIGH, populate=True)
    assert walk(machine, guest.table.root, 4, 4 * GIB, EPT).size == GIB
    assert mem.in_use["ept"] == 2


@pytest.mark.parametrize(
    "slot",
    [
        MemorySlot(0, 16 * GIB, MIB2, 0),
        MemorySlot(7, 4 * GIB - KIB4, 2 * KIB4, 0),
        MemorySlot(7, 6 * GIB - KIB4, KIB4, 0),
        MemorySlot(7, 4 * GIB + MIB2, KIB4, 0),
    ],
)
def test_slots_that_collide_are_refused(slot):
    _, _, guest = vm([LOW, HIGH])
    with pytest.raises(LinuxError, match="collides with slot") as e:
        guest.add_slot(slot)
    assert e.value.errno == EEXIST


@pytest.mark.parametrize(
    "slot", [MemorySlot(0, 1, KIB4, 0), MemorySlot(0, 0, 0, 0), MemorySlot(0, 0, KIB4, 7)]
)
def test_slots_that_are_not_whole_pages_are_refused(slot):
    _, _, guest = vm()
    with pytest.raises(LinuxError) as e:
        guest.add_slot(slot)
    assert e.value.errno == EINVAL


def test_removing_a_slot_flushes_before_its_tables_are_freed():
    machine, mem, guest = vm([LOW])
    cpu = Cpu(machine, guest)
    assert cpu.access(0x5000, write=True)
    seen = []
    forget = cpu.invept
    cpu.invept = lambda eptp: (
        seen.append((mem.in_use["ept"], walk(machine, guest.table.root, 4, 0x5000, EPT))),
        forget(eptp),
    )
    guest.remove_slot(0)
    assert seen[-1] == (3, None)
    assert mem.in_use["ept"] == 1
    assert not cpu.access(0x5000, write=True)
    with pytest.raises(LinuxError, match="has no memory slot 0; it has none") as e:
        guest.remove_slot(0)
    assert e.value.errno == ENOENT


def test_everything_comes_back_when_the_machine_is_destroyed():
    machine, mem, guest = vm([LOW, HIGH])
    cpu = Cpu(machine, guest)
    guest.start_dirty_log(0)
    for n in range(600):
        cpu.access(n * KIB4, write=True)
    guest.destroy()
    assert not mem.in_use


# The dirty log.

_PAGES = st.one_of(st.integers(0, 7), st.integers(0, 2047))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("eager", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    rounds=st.lists(st.lists(st.tuples(_PAGES, st.booleans()), max_size=40), min_size=1, max_size=4),
    before=st.lists(st.integers(0, 2047), max_size=20),
    cpus=st.integers(1, 3),
)
def test_each_harvest_is_exactly_what_was_written_since_the_last(mode, eager, rounds, before, cpus):
    machine, _, guest = vm(size=16 << 20, **mode)
    guest.add_slot(LOW, populate=eager)
    cores = [Cpu(machine, guest) for _ in range(cpus)]
    for n, page in enumerate(before):
        assert cores[n % cpus].access(page * KIB4, write=True)
    guest.start_dirty_log(0)
    for accesses in rounds:
        for n, (page, write) in enumerate(accesses):
            assert cores[n % cpus].access(page * KIB4 + 8, write=write)
        bitmap = guest.get_dirty_log(0)
        assert len(bitmap) == 2048 // 8
        assert set(dirty_pages(bitmap)) == {page for page, write in accesses if write}
    for page in before:
        cores[0].access(page * KIB4, write=True)
    assert set(dirty_pages(guest.stop_dirty_log(0))) == set(before)


def test_write_protection_logs_a_write_to_a_page_that_was_read_first_while_logged():
    machine, _, guest = vm([LOW], accessed_dirty=False)
    cpu = Cpu(machine, guest)
    guest.start_dirty_log(0)
    cpu.access(5 * KIB4, write=False)
    assert not any(guest.get_dirty_log(0))
    cpu.access(5 * KIB4, write=True)
    assert list(dirty_pages(guest.get_dirty_log(0))) == [5]


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1024, 1025, 2048])
def test_pml_exits_come_once_in_512_pages_and_the_rest_with_the_final_flush(count):
    machine, _, guest = vm([LOW])
    cpu = Cpu(machine, guest)
    guest.start_dirty_log(0)
    for n in range(count):
        page = n * 1237 % 2048
        cpu.access(page * KIB4, write=True)
        cpu.access(page * KIB4 + 16, write=True)
    # The log is full after 512; the exit comes with the write that finds it so.
    assert guest.counts["pml_full"] == max(0, count - 1) // 512
    bitmap = guest.get_dirty_log(0)
    assert set(dirty_pages(bitmap)) == {n * 1237 % 2048 for n in range(count)}
    assert guest.counts["pml_entries"] == count


def test_large_pages_are_split_while_logged_and_come_back_afterwards():
    machine, mem, guest = vm()
    guest.add_slot(LOW, populate=True)
    guest.start_dirty_log(0)
    assert {walk(machine, guest.table.root, 4, gpa, EPT).size for gpa in (0, MIB2, 4 * MIB2 - 1)} == {KIB4}
    assert mem.in_use["ept"] == 3 + 4
    guest.stop_dirty_log(0)
    assert walk(machine, guest.table.root, 4, 0, EPT).size == MIB2
    assert mem.in_use["ept"] == 3


def test_pml_is_on_only_while_somebody_logs_and_two_slots_do_not_mix():
    machine, _, guest = vm([LOW, MemorySlot(1, GIB, MIB2, GIB)])
    cpu = Cpu(machine, guest)
    assert cpu.pml is None
    guest.start_dirty_log(0)
    guest.start_dirty_log(1)
    cpu.access(5 * KIB4, write=True)
    cpu.access(GIB + 6 * KIB4, write=True)
    assert list(dirty_pages(guest.get_dirty_log(1))) == [6]
    assert list(dirty_pages(guest.stop_dirty_log(0))) == [5]
    assert cpu.pml is not None
    guest.stop_dirty_log(1)
    assert cpu.pml is None


def test_what_an_undocumented_guest_address_in_the_log_says_is_ignored():
    machine, _, guest = vm([LOW])
    cpu = Cpu(machine, guest)
    guest.start_dirty_log(0)
    machine.write(cpu.pml, (0xFFFF_FFFF_F000).to_bytes(8, "little") * 512)
    cpu.pml_index = 0xFFFF
    guest.handle_pml_full(cpu)
    assert not any(guest.get_dirty_log(0))


def test_refusals_of_the_dirty_log():
    _, _, guest = vm([LOW])
    with pytest.raises(LinuxError, match="slot 0 has no dirty log; start it first") as e:
        guest.get_dirty_log(0)
    assert e.value.errno == ENOENT
    guest.start_dirty_log(0)
    with pytest.raises(LinuxError, match="has a dirty log already") as e:
        guest.start_dirty_log(0)
    assert e.value.errno == EBUSY


def test_inspect_tells_slots_ept_and_logs():
    _, _, guest = vm([LOW])
    guest.start_dirty_log(0)
    seen = guest.inspect()
    assert seen["slots"][0]["hpa"] == 8 * GIB
    assert seen["ept"]["tables"] == 1
    assert seen["dirty_logs"] == {0: {"pages": 2048, "dirty": 0}}
    assert seen["eptp"]["AD"] == "1"


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30), st.integers(1, 6)), max_size=25))
def test_a_slot_is_refused_exactly_when_its_id_or_an_address_is_taken(wanted):
    _, _, guest = vm()
    have: list[MemorySlot] = []
    for number, page, pages in wanted:
        slot = MemorySlot(number, page << 12, pages << 12, 8 * GIB)
        free = all(one.id != slot.id and (one.end <= slot.gpa or slot.end <= one.gpa) for one in have)
        if free:
            guest.add_slot(slot)
            have.append(slot)
        else:
            with pytest.raises(LinuxError, match="collides with") as refusal:
                guest.add_slot(slot)
            assert refusal.value.errno == EEXIST
    for page in range(40):
        owner = [one for one in have if one.gpa <= page << 12 < one.end]
        assert guest.find_slot(page << 12) == (owner[0] if owner else None)
