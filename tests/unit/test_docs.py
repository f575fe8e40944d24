"""README and docs say what is so: links, commands, examples, and the pages written out of the code."""

import importlib
import posixpath
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from siov.cli.main import COMMANDS, build_parser, main
from siov.errors import ScenarioError
from siov.platform import build
from siov.scenario import load, parse
from siov.spec.testfn import Bar0
from siov.spec.word import RegisterBlock, Word

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in DOCS.glob("*.md")))
KEYS = "<!-- scenario keys -->"


@pytest.fixture
def registers(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("gen_registers")


@pytest.fixture
def keys(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("gen_scenario")


@pytest.fixture
def texts(registers, keys) -> dict[str, str]:
    """Every page's Markdown by its path, those that are written out of the code included."""
    found = {page: (ROOT / page).read_text() for page in PAGES}
    found["docs/scenarios.md"] = found["docs/scenarios.md"].replace(KEYS, keys.scenario_keys())
    pages = registers.spec_pages()
    found |= {f"docs/{page.path}": registers.spec_page(page) for page in pages}
    return found | {"docs/reference/index.md": registers.spec_index(pages)}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The places of a page: those that are named, and those that mkdocs makes of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE):
        named = re.search(r"\{ #(\S+) \}$", heading)
        slug = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        found.add(named[1] if named else re.sub(r"[-\s]+", "-", slug))
    return found


def blocks(page: str, title: str = "") -> list[str]:
    """The code blocks of a page, or those with a title."""
    pattern = rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```' if title else r"^```\w*[^\n]*\n(.*?)^```"
    return re.findall(pattern, (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def command_lines(page: str) -> list[str]:
    """Each `siov` or `make` command that a page shows, in code blocks or in a line."""
    text = (ROOT / page).read_text()
    shown = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    shown += re.findall(r"`((?:siov|make)(?: [^`]+)?)`", without_code(text))
    return [line.strip() for line in shown if re.match(r"(siov|make)\b", line)]


def test_every_link_leads_to_a_page_and_a_place_that_are_there(texts):
    broken = []
    for page, text in texts.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            file, _, place = target.partition("#")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), file)) if file else page
            there = path in texts or (ROOT / path).exists()
            if not there or (place and place not in anchors(texts.get(path, f"# {place}"))):
                broken.append(f"{page}: {target}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_shows_is_one(page, capsys):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in command_lines(page):
        program, *words = shlex.split(re.sub(r"[][]", "", line))
        if program == "make":
            assert set(words) <= targets, line
            continue
        try:
            build_parser(next((word for word in words if word in COMMANDS), None)).parse_args(words)
        except SystemExit:
            # A mention may leave out what the command needs, but name nothing that it lacks.
            assert "the following arguments are required" in capsys.readouterr().err, line


def test_readme_names_every_command():
    shown = {line.split()[1] for line in command_lines("README.md") if line.startswith("siov ")}
    assert shown == set(COMMANDS)


def test_readme_shows_what_siov_run_prints(capsys):
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- siov run -->\n```text\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert main(["run"]) == 0
    printed = [unnamed(line) for line in capsys.readouterr().out.splitlines()]
    lines = [unnamed(line) for line in shown[1].splitlines()]
    assert printed[: len(lines)] == lines


def unnamed(line: str) -> str:
    """A line of the tree without the names, which are those of whatever pci.ids there is."""
    return line.partition(".0  ")[0].partition(".1  ")[0] if "-" in line[:40] else line


def test_the_scenario_of_the_first_steps_is_built_and_prints_what_they_show(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("docs/first-steps.md", "two.toml")
    Path("two.toml").write_text(example)
    assert main(["run", "two.toml"]) == 0
    printed = capsys.readouterr().out
    (shown,) = (b for b in blocks("docs/first-steps.md") if b.startswith("$ siov run two.toml"))
    table = [line for line in shown.splitlines() if line.startswith(("scenario", "0000:"))]
    assert len(table) == 4
    assert set(table) <= set(printed.splitlines())
    Path("bad.toml").write_text(example.replace("64K", "3"))
    with pytest.raises(ScenarioError) as refused:
        load(Path("bad.toml"))
    assert f"siov: {refused.value}" in (DOCS / "first-steps.md").read_text()


def test_the_python_of_the_first_steps_runs(capsys):
    (example,) = (b for b in blocks("docs/first-steps.md") if "from siov" in b)
    exec(compile(example, "first-steps.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == len(build().root_complex.functions())


def test_the_register_that_the_docs_add_still_fits():
    example = next(b for b in blocks("docs/add-a-register.md") if "class SCRATCH_XOR" in b)
    names = vars(importlib.import_module("siov.spec.testfn")) | {"Bar0": Bar0}
    exec(f"class With(Bar0, size=Bar0.size, ref='test'):\n{example}", names)
    assert names["With"].SCRATCH_XOR.at == 0x38
    handler = (ROOT / "crates/testfn/src/lib.rs").read_text()
    assert "fn bar_written" in handler
    assert "Some(Reg::DOORBELL) => {" in handler


def test_the_reference_has_every_word_with_every_field(registers, texts):
    missing = []
    for page in registers.spec_pages():
        text = texts[f"docs/{page.path}"]
        words = page.declared(Word)
        for block in page.declared(RegisterBlock):
            assert f"## {block.__name__} {{ #{registers.anchor(block)} }}" in text
            words += [w for w in vars(block).values() if isinstance(w, type) and issubclass(w, Word)]
            missing += [f"{block.__name__}.{n}" for n, span in block.spans.items() if f"[`{n}`](" not in text]
        for word in words:
            section = text.partition(f" {word.__name__} {{ #{registers.anchor(word)} }}\n")[2].partition(
                "\n#"
            )[0]
            assert word.ref in section, word
            for field in word.fields.values():
                where = f"{field.hi}:{field.lo}" if field.width > 1 else str(field.lo)
                if f"| {where} | `{field.name}` | {field.access.value} |" not in section:
                    missing.append(f"{word.__qualname__}.{field.name}")
    assert missing == []


def test_every_module_of_the_specification_has_a_page(registers):
    folder = ROOT / "src/siov/spec"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.py") if path.name != "__init__.py"}
    assert files - {registers.source(page) for page in registers.spec_pages()} == {
        "word.py",
        "message.py",
        "virtchnl/rules.py",  # relations between what the other pages show
    }


def test_every_key_of_a_scenario_has_a_meaning_and_no_other_has_one(keys):
    meanings = tomllib.loads(keys.MEANINGS.read_text())
    models = {model.__name__: set(model.model_fields) for model, _ in keys.scenario_models()}
    assert {name: set(told) for name, told in meanings.items()} == models


@pytest.mark.parametrize(
    ("row", "good", "bad"),
    [
        ("| `mmio32` | ", {"mmio32": "1M"}, {"mmio32": "961M"}),
        ("| `memory` | ", {"memory": "64G"}, {"memory": "65537M"}),
    ],
)
def test_the_limits_that_the_page_tells_are_those_that_hold(keys, row, good, bad):
    line = next(line for line in keys.scenario_keys().splitlines() if line.startswith(row))
    told = re.search(r"size, (\w+) to (\w+)", line)
    assert told is not None
    assert next(iter(good.values())) in told.groups()
    parse({"machine": good}, "test")
    with pytest.raises(ScenarioError):
        parse({"machine": bad}, "test")


def test_defaults_and_choices_stand_on_the_page(keys):
    text = keys.scenario_keys()
    assert "| `model` |" in text
    assert '| `"memory"`, `"test"`, `"e810"` | `"memory"` |' in text
    assert "| number, 0 to 0xffff | `0x8086` |" in text
    assert "| number, 0 to 20 | `0` |" in text
    assert '| `"00.0"` |' in text


@pytest.mark.parametrize(
    "page", [*PAGES, "mkdocs.yml", "docs/img/architecture.svg", "docs/scenario_keys.toml"]
)
def test_no_line_names_a_path_of_some_machine(page):
    text = (ROOT / page).read_text()
    assert re.findall(r"(?<![\w.~-])/(?:work|tmp|root|home|mnt|Users)\b[^\s]*", text) == []


def test_the_site_is_built_without_a_warning_and_asks_for_nothing_from_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed; 'make docs' installs it")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loaded == [], page
