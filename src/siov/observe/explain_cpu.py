"""A core's walk told step by step: the guest's entries, and before each the EPT entries that find it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from siov.observe.explain import PS, Line, set_fields, size_text
from siov.spec.ept import (
    EptPage1G,
    EptPage2M,
    EptPage4K,
    EptTableEntry,
    EptViolation,
    ExitReason,
    PageFaultError,
    Pte1G,
    Pte2M,
    Pte4K,
    PteTable,
)
from siov.spec.word import Word

Step = dict[str, Any]

LEVELS = {5: "PML5E", 4: "PML4E", 3: "PDPTE", 2: "PDE", 1: "PTE"}  # SDM 4.5.4 and 29.3.2
_STAGES = {"guest": "guest", "ept": "EPT"}
_PAGES: dict[str, dict[int, type[Word]]] = {
    "guest": {1: Pte4K, 2: Pte2M, 3: Pte1G},
    "ept": {1: EptPage4K, 2: EptPage2M, 3: EptPage1G},
}
_TABLES: dict[str, type[Word]] = {"guest": PteTable, "ept": EptTableEntry}


def entry_word(stage: str, level: int, raw: int) -> Word:
    """An entry's raw value as the word of the specification that it is."""
    is_page = level == 1 or (level in _PAGES[stage] and raw & PS)
    return (_PAGES[stage][level] if is_page else _TABLES[stage])(raw)


def lines(result: Step, steps: Sequence[Step]) -> Iterator[Line]:
    """The walk's lines: what finds a guest-physical address stands deeper than that address."""
    inner = False
    for step in steps:
        if step["step"] in ("hpa", "restart"):
            inner = False
        depth = 1 + inner + (step["step"] in ("set", "pml", "hpa"))
        yield Line(depth, _told(step), _data(step))
        inner |= step["step"] == "gpa"
    yield Line(0, outcome(result), dict(result))


def _told(step: Step) -> str:
    match step["step"]:
        case "tlb-hit":
            return f"TLB: hit, host physical address {step['hpa']:#x}, {size_text(step['page'])}"
        case "psc-hit":
            kind = f"{_STAGES[step['stage']]} {LEVELS[step['level']]}"
            return f"paging-structure cache: hit, {kind} gives the table at {step['table']:#x}"
        case "gpa":
            level = step["entry_level"]
            whose = "of the access" if level is None else f"of the guest's {LEVELS[level]}"
            return f"GPA {step['gpa']:#x} {whose}"
        case "gpa-tlb-hit":
            return "guest-physical translations: hit"
        case "hpa":
            return f"HPA {step['hpa']:#x}"
        case "entry":
            word = entry_word(step["stage"], step["level"], step["raw"])
            where = f"{_STAGES[step['stage']]} {LEVELS[step['level']]} [{step['index']}] at {step['at']:#x}"
            return f"{where} = {step['raw']:#x}  {type(word).__name__}: {set_fields(word)}"
        case "set":
            return f"set {' and '.join(_flags(step))} in the {LEVELS[step['level']]} at {step['at']:#x}"
        case "pml":
            return f"page-modification log [{step['index']}] = {step['gpa']:#x}"
    return "a fault with the help of caches: again from the root, without"


def _flags(step: Step) -> list[str]:
    # Of a page, so that D has its name; only pages get it.
    word = _PAGES[step["stage"]][1](step["bits"])
    return [field.name for field, value in word if value]


def _data(step: Step) -> Step:
    if step["step"] == "entry":
        word = entry_word(step["stage"], step["level"], step["raw"])
        return {**step, "word": type(word).__name__, "fields": word.decode()}
    if step["step"] == "set":
        return {**step, "flags": _flags(step)}
    return dict(step)


def outcome(result: Step) -> str:
    """The end of a walk in a sentence: the address, the exception, or the VM exit with its reason."""
    match result.get("fault"):
        case None:
            return f"host physical address {result['hpa']:#x}, in a page of {size_text(result['page'])}"
        case "not-canonical":
            return f"#GP(0): {result['gva']:#x} is not canonical"
        case "page-fault":
            return f"#PF({result['error_code']:#x}) at {result['gva']:#x}: {_page_fault(result)}"
    reason = ExitReason(result["exit_reason"])
    exits = f"VM exit {int(reason)} {reason.name}"
    match result["fault"]:
        case "ept-violation":
            why = EptViolation(result["qualification"])
            tried = [name for name, bit in (("read", why.READ), ("write", why.WRITE)) if bit]
            tried += ["fetch"] * why.FETCH
            given = "".join(letter for letter, bit in (("r", why.R), ("w", why.W), ("x", why.X)) if bit)
            whose = "of the access" if why.TRANSLATED else "of an entry of the guest's tables"
            return (
                f"{exits} at GPA {result['gpa']:#x} {whose}: {' and '.join(tried)}, where EPT allows "
                f"{given or 'nothing'}; qualification {why.raw:#x}: {set_fields(why)}"
            )
        case "ept-misconfiguration":
            return f"{exits} at GPA {result['gpa']:#x}: the last EPT entry is set up as none may be"
    return f"{exits}: the page-modification log has no room"


def _page_fault(result: Step) -> str:
    code = PageFaultError(result["error_code"])
    who = "user" if code.U else "supervisor"
    what = "fetch" if code.I else "write" if code.W else "read or fetch"
    if code.RSVD_BIT:
        why = "an entry has reserved bits set"
    else:
        why = "the rights do not suffice" if code.P else "an entry is not present"
    return f"{why}; {who} {what}"


def memory_reads(steps: Sequence[Step]) -> int:
    """How many entries a walk read, of both stages."""
    return sum(step["step"] == "entry" for step in steps)


def as_text(heading: str, result: Step, steps: Sequence[Step]) -> str:
    """The walk as an indented tree, with the count of memory reads at the end."""
    told = [heading, *("  " * line.depth + line.text for line in lines(result, steps))]
    return "\n".join([*told, f"memory reads: {memory_reads(steps)}"])


def as_json(result: Step, steps: Sequence[Step]) -> dict[str, Any]:
    """The walk for machines: its steps with their depth, its end, the count of memory reads."""
    *told, end = lines(result, steps)
    return {
        "steps": [{**line.data, "depth": line.depth} for line in told],
        "result": end.data,
        "memory_reads": memory_reads(steps),
    }
