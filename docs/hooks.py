"""Hooks of mkdocs: pages that are written out of the code whenever the site is built."""

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import gen_registers as registers  # noqa: E402
import gen_scenario  # noqa: E402

INDEX = "reference/index.md"


def on_config(config: Any) -> Any:
    """Put the reference behind the pages that are written by hand."""
    inner = [INDEX, *({page.name: page.path} for page in registers.spec_pages())]
    config.nav = [*config.nav, {"Registers": inner}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each part of the specification."""
    every = registers.spec_pages()
    texts = {INDEX: registers.spec_index(every)} | {page.path: registers.spec_page(page) for page in every}
    for path, text in texts.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the keys of a scenario where a page asks for them."""
    mark = "<!-- scenario keys -->"
    return markdown.replace(mark, gen_scenario.scenario_keys()) if mark in markdown else markdown
