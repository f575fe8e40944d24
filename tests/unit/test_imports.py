"""Who may import whom: the storeys of the house, and no circles (see docs, the architecture)."""

import ast
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src/siov"

# Every part of the package, and the parts of ours that its modules may import. A module takes the longest
# entry that its name starts with.
GROUND = ("siov.errors",)
MAY_IMPORT: dict[str, tuple[str, ...] | None] = {
    "siov.errors": (),
    "siov.spec": ("siov.spec",),
    "siov.hw": ("siov.hw", "siov.spec", "siov._core", *GROUND),
    "siov.host": ("siov.host", "siov.spec", *GROUND),
    "siov.drivers": ("siov.drivers", "siov.host", "siov.spec", *GROUND),
    "siov.drivers.iavf": ("siov.drivers.iavf", "siov.spec", *GROUND),
    "siov.guests": ("siov.guests", "siov.host", "siov.spec", "siov._core", *GROUND),
    # The top, that may know everybody.
    "siov.scenario": None,
    "siov.scenario_model": None,
    "siov.scenario_nic": None,
    "siov.scenario_guest": None,
    "siov.scenario_event": None,
    "siov.scenario_iommu": None,
    "siov.scenario_set": None,
    "siov.events": None,
    "siov.linux_guests": None,
    "siov.tenants": None,
    "siov.guest_ethtool": None,
    "siov.nics": None,
    "siov.topology": None,
    "siov.spaces": None,
    "siov.vms": None,
    "siov.vdevs": None,
    "siov.vfio_user": None,
    "siov.threads": None,
    "siov.virtual_time": None,
    "siov.modules": None,
    "siov.platform": None,
    "siov.server": None,
    "siov.migration": None,
    "siov.control": None,
    "siov.observe": None,
    "siov.study": None,
    "siov.web": None,
    "siov.cli": None,
    "siov.bench": None,
}
TOP = tuple(name for name, allowed in MAY_IMPORT.items() if allowed is None)


class Imported:
    """One import of ours in a module: what, and how."""

    def __init__(self, target: str, line: int, *, for_types: bool, lazy: bool) -> None:
        self.target, self.line, self.for_types, self.lazy = target, line, for_types, lazy


def modules(package: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: Iterable[str]) -> Iterator[Imported]:
    """The imports of ours in a module; `from package import module` counts as the module."""
    known = {*known, "siov._core"}
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def walk(node: ast.AST, for_types: bool, lazy: bool) -> Iterator[Imported]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                yield from walk(child, True, lazy)
            for child in node.orelse:
                yield from walk(child, for_types, lazy)
            return
        lazy |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            whole = [f"{base}.{alias.name}" for alias in node.names]
            targets = [one if one in known else base for one in whole]
        for target in targets:
            if target == "siov" or target.startswith("siov."):
                yield Imported(target, node.lineno, for_types=for_types, lazy=lazy)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types, lazy)

    yield from walk(ast.parse(path.read_text()), False, False)


def part_of(module: str) -> str | None:
    """The entry of MAY_IMPORT that a module belongs to."""
    return max((p for p in MAY_IMPORT if under(module, p)), key=len, default=None)


def under(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def wrong_arrows(package: Path) -> list[str]:
    """A line for each import that runs up or across, lazy ones and those for types included."""
    found = []
    everything = modules(package)
    for name, path in everything.items():
        part = part_of(name)
        if name == "siov" or part is None or MAY_IMPORT[part] is None:
            continue
        for one in imports(name, path, everything):
            allowed = MAY_IMPORT[part] or ()
            if one.target != "siov" and not any(under(one.target, a) for a in allowed):
                found.append(f"{name}:{one.line} imports {one.target}")
            if one.target == "siov":
                found.append(f"{name}:{one.line} imports siov itself")
    return found


def circles(package: Path) -> list[list[str]]:
    """Import circles at module level, each once; imports for types or inside functions make none."""
    everything = modules(package)
    arrows = {
        name: sorted(
            {i.target for i in imports(name, path, everything) if not i.lazy and not i.for_types}
            & set(everything) - {name}
        )
        for name, path in everything.items()
    }
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append(way[way.index(name) :])
            return
        if name in done:
            return
        for target in arrows[name]:
            visit(target, [*way, name])
        done.add(name)

    for name in arrows:
        visit(name, [])
    return found


def test_every_module_belongs_to_a_part_of_the_house():
    homeless = [name for name in modules(PACKAGE) if name != "siov" and part_of(name) is None]
    assert homeless == [], "give the part a line in MAY_IMPORT"


def test_no_import_runs_up_or_across():
    assert wrong_arrows(PACKAGE) == []


def test_no_import_runs_in_a_circle():
    assert circles(PACKAGE) == []


def test_nothing_below_the_top_may_import_the_top():
    for part, allowed in MAY_IMPORT.items():
        if allowed is not None:
            assert not any(under(target, top) for target in allowed for top in TOP), part


def test_host_and_hardware_may_never_import_each_other():
    assert "siov.hw" not in (MAY_IMPORT["siov.host"] or ())
    assert "siov._core" not in (MAY_IMPORT["siov.host"] or ())
    assert "siov.host" not in (MAY_IMPORT["siov.hw"] or ())


# The test itself sees what it is there for.


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "siov"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return target


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spec/msi.py", "from siov.hw.memory import SparseMemory"),
        ("spec/msi.py", "import siov.errors"),
        ("hw/memory.py", "from siov.host import irq"),
        ("hw/memory.py", "import siov.host.irq"),
        ("hw/memory.py", "from ..host.irq import Irq"),
        ("hw/memory.py", "from siov import host"),
        ("hw/pcie/tlp.py", "from siov.platform import build"),
        ("hw/pcie/tlp.py", "def late():\n    from siov.scenario import load"),
        ("host/irq.py", "from siov.hw.memory import SparseMemory"),
        ("host/irq.py", "from siov._core import RegFile"),
        ("host/irq.py", "from siov import _core"),
        ("host/pci/dev.py", "from ...hw import memory"),
        ("host/irq.py", "def late():\n    from siov.topology import build_topology"),
        (
            "host/irq.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from siov.hw import memory",
        ),
        ("drivers/__init__.py", "from siov.hw import memory"),
        ("drivers/__init__.py", "from siov._core import RegFile"),
        ("drivers/iavf.py", "from siov.host.pci import PciDriver"),
        ("drivers/iavf.py", "from siov.drivers import ice"),
        ("guests/__init__.py", "from siov.drivers import ice"),
        ("guests/__init__.py", "from siov.cli import main"),
        ("errors.py", "from siov.spec import msi"),
    ],
)
def test_a_planted_arrow_in_the_wrong_direction_is_seen(copy, module, line):
    path = copy / module
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    seen = wrong_arrows(copy)
    assert len(seen) == 1
    assert seen[0].startswith(
        "siov." + module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spec/msi.py", "from siov.spec.pcie import Type0"),
        ("hw/memory.py", "from siov._core import RegFile\nfrom siov.errors import SiovError"),
        ("drivers/__init__.py", "from siov.host.pci import PciDriver"),
        ("drivers/iavf.py", "from siov.spec import msi"),
        ("cli/main.py", "from siov.platform import build"),
        ("host/irq.py", "import sionara, siovx.hw"),
    ],
)
def test_an_arrow_in_the_right_direction_is_allowed(copy, module, line):
    path = copy / module
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    assert wrong_arrows(copy) == []


def test_a_planted_circle_is_seen_and_one_for_types_or_within_a_function_is_none(copy):
    memory, tlp = copy / "hw/memory.py", copy / "hw/pcie/tlp.py"
    memory.write_text(memory.read_text() + "\nfrom siov.hw.pcie.tlp import Bdf\n")
    assert circles(copy) == []
    original = tlp.read_text()
    tlp.write_text(original + "\nfrom siov.hw.memory import PAGE\n")
    assert len(circles(copy)) == 1
    assert set(circles(copy)[0]) == {"siov.hw.memory", "siov.hw.pcie.tlp"}
    tlp.write_text(original + "\ndef late():\n    from siov.hw.memory import PAGE\n")
    assert circles(copy) == []
    tlp.write_text(
        original + "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import siov.hw.memory\n"
    )
    assert circles(copy) == []


def test_a_module_in_no_part_of_the_house_is_seen(copy):
    (copy / "attic.py").write_text("")
    assert [name for name in modules(copy) if name != "siov" and part_of(name) is None] == ["siov.attic"]
