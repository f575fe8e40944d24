"""The Rust side's registers are what the classes in siov.spec say, and a change there is noticed."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siov.spec import e810, pcie, testfn, vtd
from siov.spec.pcie import Type0
from siov.spec.word import RO, RW, Access, RegisterBlock, Word, bits, place

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/gen_spec.py"
GENERATED = ROOT / "crates/spec/src/generated.rs"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("gen_spec_under_test", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool, monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gen_spec.py", *arguments])
    return tool.main()


def words(tool) -> dict[str, type[Word]]:
    """Every word that the generator writes, by its Rust path below the crate."""
    generator = tool.Generator()
    generator.run()
    return {path: cls for cls, path in generator.paths.items() if issubclass(cls, Word)}


def structs(text: str) -> dict[str, str]:
    """The `impl` of each newtype in generated.rs, by path: modules are told by indentation."""
    stack: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    path = None
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if module := re.match(r"\s*pub mod (\w+) \{", line):
            stack = [*(s for s in stack if s[0] < depth), (depth, module[1])]
        elif impl := re.match(r"\s*impl (\w+) \{", line):
            stack = [s for s in stack if s[0] < depth]
            path = "::".join(["crate", *(name for _, name in stack), impl[1]])
            found[path] = ""
        elif path is not None:
            found[path] += line + "\n"
    return found


def test_the_checked_in_file_is_what_the_classes_say():
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "generated.rs is up to date\n")


def test_generating_twice_gives_the_same_text(tool):
    assert tool.Generator().run() == tool.Generator().run() == GENERATED.read_text()


def test_a_check_of_a_stale_file_fails_says_what_to_run_and_leaves_the_file(
    tool, tmp_path, monkeypatch, capsys
):
    target = tmp_path / "generated.rs"
    target.write_text(GENERATED.read_text().replace("0x4 != 0", "0x8 != 0", 1))
    monkeypatch.setattr(tool, "TARGET", target)
    before = target.read_text()
    assert run(tool, monkeypatch, "--check") == 1
    assert "stale: run tools/gen_spec.py" in capsys.readouterr().out
    assert target.read_text() == before


def test_a_missing_file_is_stale(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "TARGET", tmp_path / "generated.rs")
    assert run(tool, monkeypatch, "--check") == 1


def test_without_check_the_file_is_rewritten_and_then_up_to_date(tool, tmp_path, monkeypatch):
    target = tmp_path / "generated.rs"
    target.write_text("old")
    monkeypatch.setattr(tool, "TARGET", target)
    assert run(tool, monkeypatch) == 0
    assert run(tool, monkeypatch, "--check") == 0
    assert target.read_text() == GENERATED.read_text()


def changed_copy(tmp_path: Path, file: str, old: str, new: str) -> int:
    """Exit status of the check in a copy of the tree in which one piece of the specification differs."""
    (tmp_path / "crates/spec/src").mkdir(parents=True)
    shutil.copy(GENERATED, tmp_path / "crates/spec/src")
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOL, tmp_path / "tools")
    shutil.copytree(ROOT / "src/siov/spec", tmp_path / "src/siov/spec")
    shutil.copy(ROOT / "src/siov/__init__.py", tmp_path / "src/siov")
    path = tmp_path / "src/siov/spec" / file
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    command = [sys.executable, "-I", tmp_path / "tools/gen_spec.py", "--check"]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pcie/header.py", 'BME = bit(2, "Bus Master', 'BME = bit(2, "Bus  Master'),
        ("pcie/extended.py", 'STU = bits(4, 0, "Smallest', 'STU = bits(3, 0, "Smallest'),
        ("pcie/capability.py", 'stays pending", RW, reset=1)', 'stays pending", RW)'),
        ("testfn.py", "VECTORS = 16", "VECTORS = 17"),
        ("testfn.py", "COPY_LEN(Word, width=32, at=0x20", "COPY_LEN(Word, width=32, at=0x3C"),
        ("pcie/header.py", "BELOW_1M = 1", "BELOW_1M = 3"),
    ],
)
def test_a_changed_class_makes_the_file_stale(tmp_path, file, old, new):
    assert changed_copy(tmp_path, file, old, new) == 1


def test_a_copy_in_which_nothing_that_matters_differs_is_up_to_date(tmp_path):
    assert changed_copy(tmp_path, "testfn.py", "VECTORS = 16", "VECTORS = 8 + 8") == 0


def test_every_word_of_the_specification_is_in_the_file_and_nothing_else(tool):
    written = structs(GENERATED.read_text())
    of_words = {path for path, body in written.items() if "const RSVD" in body}
    expected = words(tool)
    assert of_words == set(expected)
    assert len(of_words) > 150


def test_the_masks_and_reset_values_of_every_word_agree_with_its_class(tool):
    written = structs(GENERATED.read_text())
    for path, cls in words(tool).items():
        if cls.width > 64:
            continue
        constants = {
            name: int(value, 16)
            for name, value in re.findall(r"pub const (\w+): u\d+ = (0x[0-9a-f]+);", written[path])
        }
        expected = {
            "RESET": sum(f.reset << f.lo for f in cls.fields.values()),
            "RO_MASK": of_kinds(cls, "RO", "ROS"),
            "RW_MASK": of_kinds(cls, "RW", "RWS"),
            "RW1C_MASK": of_kinds(cls, "RW1C", "RW1CS"),
            "WO_MASK": of_kinds(cls, "WO"),
            "STICKY_MASK": of_kinds(cls, "ROS", "RWS", "RW1CS"),
            "RSVD": (1 << cls.width) - 1 - of_kinds(cls, "RO", "RW", "RW1C", "ROS", "RWS", "RW1CS", "WO"),
        }
        if hasattr(cls, "at"):
            expected["AT"] = cls.at
        if cls.count > 1:
            expected["STRIDE"] = cls.stride
            assert f"pub const COUNT: u32 = {cls.count};" in written[path]
        assert constants == expected, path


def test_the_reserved_bits_of_a_wide_word_are_an_array_of_u64_lowest_first(tool):
    written = structs(GENERATED.read_text())
    wide = {path: cls for path, cls in words(tool).items() if cls.width > 64}
    assert len(wide) > 20
    for path, cls in wide.items():
        quads, values = re.search(r"pub const RSVD: \[u64; (\d+)\] = \[(.*)\];", written[path]).groups()
        numbers = [int(value, 16) for value in values.split(", ")]
        assert len(numbers) == int(quads) == cls.width // 64, path
        used = sum((1 << f.hi + 1) - (1 << f.lo) for f in cls.fields.values())
        assert sum(n << 64 * i for i, n in enumerate(numbers)) == (1 << cls.width) - 1 - used, path


def test_a_member_with_a_docstring_of_its_own_carries_it_to_rust(tool):
    assert tool.member_doc(vtd.FaultReason.LRT_2) == "`0x1`: legacy: the root entry is not present"
    assert tool.member_doc(vtd.PGTT.NESTED) == "`0x3`"


def test_a_property_of_an_enum_becomes_a_method_that_lists_its_members():
    text = GENERATED.read_text()
    listed = re.search(r"pub const fn is_interrupt\(self\) -> bool \{\s*matches!\(self, (.*)\)", text)[1]
    expected = [r.name for r in vtd.FaultReason if 0x20 <= r <= 0x29]
    assert listed.replace("Self::", "").split(" | ") == expected


def of_kinds(cls: type[Word], *kinds: str) -> int:
    return sum((1 << f.hi + 1) - (1 << f.lo) for f in cls.fields.values() if f.access.value in kinds)


def test_every_field_has_a_reader_and_a_builder_that_name_its_bits(tool):
    written = structs(GENERATED.read_text())
    for path, cls in words(tool).items():
        for name, field in cls.fields.items():
            where = f"{field.hi}" if field.hi == field.lo else f"{field.hi}:{field.lo}"
            reader = rf"/// Bits {where}: .*\({field.access.value}\)\n\s*pub const fn {name}\(self\)"
            assert re.search(reader, written[path]), f"{path}.{name}"
            builder = rf"/// The word with bits {where} set\.\n\s*pub const fn with_{name}\(mut self"
            assert re.search(builder, written[path]), f"{path}.with_{name}"


def leaves(cls: type[RegisterBlock]) -> list[str]:
    found = []
    for name, span in cls.spans.items():
        inner = span.what
        found += [name] if issubclass(inner, Word) else [f"{name}_{n}" for n in leaves(inner)]
    return found


@pytest.mark.parametrize(
    "cls",
    [Type0, pcie.Type1, pcie.Express, pcie.AerRoot, pcie.SrIov, testfn.Bar0, vtd.Unit, e810.Bar0, e810.Pages],
)
def test_the_registers_of_a_block_are_numbered_by_offset_and_named_with_their_block(tool, cls):
    text = GENERATED.read_text()
    part = text.index(f"\npub mod {cls.__module__.split('.')[2]} {{")
    start = text.index(f"    pub mod {tool.snake(cls.__name__)} {{", part)
    listed = re.search(r"pub const ALL: \[Self; (\d+)\] = \[(.*?)\];", text[start:])
    assert listed[2].replace("Self::", "").split(", ") == leaves(cls)
    assert int(listed[1]) == len(leaves(cls))


def test_a_span_of_a_register_carries_its_masks_and_place(tool):
    class W(Word, width=24, ref="test"):
        """A word."""

        A = bits(7, 0, "a", RW, reset=3)
        B = bits(15, 8, "b", Access.RW1CS)
        C = bits(23, 16, "c", RO)

    class B(RegisterBlock, size=0x40, ref="test"):
        """A block."""

        ROW = place(W, at=0x10, count=4, stride=8)

    line = tool.Generator().span(B.spans["ROW"])
    assert line == (
        'Span { at: 0x10, count: 4, stride: 0x8, what: What::Register(Register { name: "ROW", size: 3, '
        "reset: 0x3, rw: 0xff, rw1c: 0xff00, sticky: 0xff00 }) },"
    )


def test_a_number_annotated_with_what_it_means_becomes_a_constant(tool):
    found = {name: (doc, value) for name, doc, value in tool.constants(e810.counts)}
    assert found["RX_QUEUES"] == ("Receive queues", 2048)
    part = GENERATED.read_text().split("\npub mod e810 {")[1].split("\npub mod ")[0]
    assert "    /// Receive queues\n    pub const RX_QUEUES: u32 = 0x800;" in part


def test_a_block_may_place_a_block_that_a_part_further_down_declares(tool):
    assert '"MSIX", &crate::pcie::msix_entry::BLOCK' in GENERATED.read_text()


@pytest.mark.parametrize(
    ("width", "rust"),
    [(1, "u8"), (8, "u8"), (9, "u16"), (24, "u32"), (33, "u64"), (64, "u64"), (128, "[u64; 2]")],
)
def test_a_width_becomes_the_smallest_integer_that_holds_it(tool, width, rust):
    assert tool.primitive(width) == rust
