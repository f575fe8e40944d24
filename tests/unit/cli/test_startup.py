"""What a command does not need is not loaded for it: so that it starts at once."""

import subprocess
import sys

import pytest

HEAVY = (
    "siov._core",
    "siov.platform",
    "siov.scenario",
    "siov.control",
    "siov.observe",
    "pydantic",
    "rich",
    "http",
)


def loaded(*argv: str) -> list[str]:
    """The modules that a command line has loaded when it ends, without a terminal."""
    script = (
        "import sys\nfrom siov.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True, timeout=120
    )
    assert "\x1b" not in done.stdout + done.stderr
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["no-such-command"], []])
def test_the_list_of_commands_needs_neither_the_machine_nor_what_draws_it(argv):
    modules = loaded(*argv)
    assert [m for m in modules if m.startswith(HEAVY)] == []


def test_what_draws_is_loaded_on_a_terminal_only(short):
    modules = loaded("run", str(short))
    assert "siov.platform" in modules
    assert not {"rich", "siov.observe.report", "siov.observe.metrics"} & set(modules)
