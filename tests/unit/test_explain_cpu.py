"""siov explain cpu: the walk of both stages as a tree, its end in words, the count of memory reads."""

import json
from pathlib import Path

import pytest

from siov.cli.main import main
from siov.errors import ScenarioError
from siov.host.kvm import MemorySlot
from siov.host.linux import LinuxError
from siov.hw.cpu import Core
from siov.observe.explain_cpu import as_json, as_text, entry_word, lines, memory_reads, outcome
from siov.platform import Platform, build
from siov.scenario import VM_TABLES, parse
from siov.spec.ept import EptPage2M, EptPage4K, EptTableEntry, Pte1G, PteTable

GVA = 0x7000_0000_0000
VM = {"name": "a", "memory": "8M", "gva": GVA, "size": "1M", "page": "4K"}
COMMAND = ["explain", "cpu", "--gva", hex(GVA + 0x1234)]


def server(**changes: object) -> Platform:
    platform = build(parse({"machine": {"memory": "64M"}, "vm": [{**VM, **changes}]}, "test"))
    platform.enumerate()
    return platform


def bare(platform: Platform) -> Core:
    core = Core("bare", platform.dram.core, caches=False)
    platform.vms[0].add_core(core)
    return core


def test_a_cold_walk_of_the_built_in_scenario_reads_24_entries_and_says_so(capsys):
    assert main([*COMMAND, "--access", "w"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "memory reads: 24"
    assert told[-2].startswith("host physical address 0x")
    assert sum(line.startswith("    EPT ") for line in told) == 20
    assert [line.split()[1] for line in told if line.startswith("  guest ")] == [
        "PML4E",
        "PDPTE",
        "PDE",
        "PTE",
    ]


def test_a_warm_access_is_a_tlb_hit_and_reads_nothing(capsys):
    assert main([*COMMAND, "--warm"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith("  TLB: hit")
    assert told[-1] == "memory reads: 0"
    assert len(told) == 4


def test_empty_caches_spare_a_walk_what_it_has_read_itself(capsys):
    assert main([*COMMAND, "--caches"]) == 0
    told = capsys.readouterr().out
    assert "paging-structure cache: hit, EPT PDE gives the table at 0x" in told
    assert 8 < int(told.rpartition(" ")[2]) < 24


def test_json_has_each_entry_decoded_and_the_same_end(capsys):
    assert main([*COMMAND, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    entries = [step for step in told["steps"] if step["step"] == "entry"]
    assert told["memory_reads"] == len(entries) == told["result"]["reads"] == 24
    assert {step["word"] for step in entries} == {"EptTableEntry", "EptPage4K", "PteTable", "Pte4K"}
    assert {step["depth"] for step in entries if step["stage"] == "ept"} == {2}
    assert {step["depth"] for step in entries if step["stage"] == "guest"} == {1}


@pytest.mark.parametrize(("page", "reads"), [("4K", 24), ("2M", 19)])
def test_pages_of_2m_in_ept_spare_a_read_for_each_address(page, reads):
    platform = server(page=page)
    result, steps = bare(platform).explain(GVA, user=True)
    assert memory_reads(steps) == result["reads"] == reads
    assert result["hpa"] == platform.vms[0].memory + VM_TABLES


def test_every_entry_told_is_what_lies_in_memory_then():
    platform = server()
    _, first = bare(platform).explain(GVA, "w", user=True)
    _, again = bare(platform).explain(GVA, "w", user=True)
    assert any(step["step"] == "set" for step in first)
    assert not any(step["step"] == "set" for step in again)  # A and D are set by now
    for step in again:
        if step["step"] == "entry":
            raw = platform.root_complex.read(step["at"], 8)
            assert step["raw"] == int.from_bytes(raw, "little")


def test_flags_set_are_told_below_their_entry():
    _, steps = bare(server()).explain(GVA, "w", user=True)
    told = as_text("a", {"hpa": 0, "page": 4096}, steps).splitlines()
    entry = next(n for n, line in enumerate(told) if line.startswith("  guest PTE"))
    assert told[entry + 1].startswith("    set A and D in the PTE at 0x")
    assert any(line.startswith("      set A in the PML4E at 0x") for line in told)


def test_entries_of_the_page_modification_log_are_told_while_somebody_logs():
    platform = server()
    guest = platform.vms[0]
    guest.vm.start_dirty_log(0)
    result, steps = guest.core.explain(GVA + 0x5000, "w", user=True)
    told = as_text("a", result, steps)
    pages = [step["gpa"] for step in steps if step["step"] == "pml"]
    assert [step["index"] for step in steps if step["step"] == "pml"] == [511, 510, 509, 508, 507]
    assert pages[-1] == VM_TABLES + 0x5000
    assert f"      page-modification log [507] = {VM_TABLES + 0x5000:#x}" in told.splitlines()


@pytest.mark.parametrize(("beyond", "fault"), [(1 << 20, "page-fault"), (0x1000, "ept-violation")])
def test_a_fault_met_with_the_help_of_caches_is_told_from_the_root_again(beyond, fault):
    guest = server().vms[0]
    guest.vm.remove_slot(0)
    guest.vm.add_slot(MemorySlot(0, 0, VM_TABLES + 0x1000, guest.memory), populate=True)
    guest.access(GVA)
    result, steps = guest.core.explain(GVA + beyond, user=True)
    assert result["fault"] == fault
    told = list(lines(result, steps))
    (again,) = (n for n, line in enumerate(told) if line.data.get("step") == "restart")
    assert (told[again].depth, told[again + 1].depth, told[again + 1].data["step"]) == (1, 1, "gpa")
    assert as_json(result, steps)["memory_reads"] == memory_reads(steps) > 20


# The end in words.


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["--gva", hex(1 << 47)], "#GP(0): 0x800000000000 is not canonical"),
        (["--gva", "0x1000", "--access", "x"], "#PF(0x14) at 0x1000: an entry is not present; user fetch"),
        (
            ["--gva", hex(GVA), "--access", "w", "--supervisor"],
            f"#PF(0x3) at {GVA:#x}: the rights do not suffice; supervisor write",
        ),
    ],
)
def test_an_exception_is_told_in_words(capsys, words, end):
    assert main(["explain", "cpu", *words]) == 0
    assert capsys.readouterr().out.splitlines()[-2] == end


def test_an_ept_violation_is_told_with_what_was_tried_and_what_is_allowed():
    guest = server().vms[0]
    guest.vm.remove_slot(0)
    result, _ = guest.core.explain(GVA, user=True)
    assert outcome(result).startswith(
        f"VM exit 48 EPT_VIOLATION at GPA {guest.table.root + 8 * 224:#x} of an entry of the guest's tables: "
        "read and write, where EPT allows nothing; qualification 0x83: READ=1 WRITE=1 GLA_VALID=1"
    )
    guest.vm.add_slot(MemorySlot(0, 0, VM_TABLES, guest.memory))
    guest.vm.add_slot(MemorySlot(1, VM_TABLES, 1 << 20, guest.memory + VM_TABLES, readonly=True))
    assert "fault" not in guest.access(GVA)
    result, _ = guest.core.explain(GVA, "w", user=True)
    assert f"at GPA {VM_TABLES:#x} of the access: write, where EPT allows rx;" in outcome(result)


def test_other_exits_are_told_too():
    full = {"fault": "pml-full", "exit_reason": 62}
    assert outcome(full) == "VM exit 62 PML_FULL: the page-modification log has no room"
    bad = {"fault": "ept-misconfiguration", "exit_reason": 49, "gpa": 0x1000}
    assert outcome(bad).startswith("VM exit 49 EPT_MISCONFIGURATION at GPA 0x1000")


def test_an_entry_is_decoded_as_what_it_is_at_its_level():
    ps = 1 << 7
    kinds = [("ept", 4, ps), ("ept", 2, ps), ("ept", 2, 0), ("ept", 1, 0), ("guest", 3, ps), ("guest", 5, 0)]
    words = [EptTableEntry, EptPage2M, EptTableEntry, EptPage4K, Pte1G, PteTable]
    assert [type(entry_word(*kind)) for kind in kinds] == words


# A caller's errors.


def test_a_machine_that_is_not_there_is_refused(capsys, tmp_path: Path):
    assert main([*COMMAND, "--vm", "z"]) == 2
    assert capsys.readouterr().err == "siov: there is no virtual machine z; have vm0\n"
    path = tmp_path / "bare.toml"
    path.write_text('name = "bare"\n')
    assert main(["explain", "cpu", str(path), "--gva", "0"]) == 2
    assert "has no virtual machine: add [[vm]]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"gva": 12}, "whole pages"),
        ({"gva": (1 << 47) - 4096}, "48-bit"),
        ({"size": "8M"}, "beside its tables"),
        ({"page": "1G"}, "page"),
        ({"memory": "5M"}, "memory"),
    ],
)
def test_a_machine_that_can_not_be_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ScenarioError, match=sentence):
        parse({"vm": [{**VM, **changes}]}, "test")
    with pytest.raises(ScenarioError, match="two parts are called a"):
        parse({"vm": [VM, VM]}, "test")


def test_a_machine_larger_than_the_host_is_refused_with_enomem():
    with pytest.raises(LinuxError, match="pages in a row for guest"):
        server(memory="128M")
