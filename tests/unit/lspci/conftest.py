"""The real lspci as a fixture."""

import os

import pytest

from .oracle import PCI_IDS, Lspci, find_lspci


@pytest.fixture(scope="session")
def lspci(tmp_path_factory: pytest.TempPathFactory) -> Lspci:
    found = find_lspci()
    if isinstance(found, str):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(found)
    names = tmp_path_factory.mktemp("lspci") / "pci.ids"
    names.write_text(PCI_IDS)
    return Lspci(found, names)
