"""A server that is up soon, whose guests talk as long as they may."""

from pathlib import Path

import pytest

SMALL = """
name = "small"
machine = { memory = "256M" }
iommu = {}
root_port = [{ name = "rp0", at = "01.0" }]
guest = [
  { name = "vm1", memory = "16M", vdevs = [{ parent = "nic0", type = "vdcm-1" }] },
  { name = "vm2", memory = "16M", vdevs = [{ parent = "nic0", type = "vdcm-1" }] },
]
traffic = [{ kind = "request", src = "vm1", dst = "vm2", sizes = [64]%s }]

[[function]]
name = "nic0"
behind = "rp0"
model = "e810"
nic = { mac = "02:00:00:00:00:01" }
"""


@pytest.fixture
def endless(tmp_path) -> Path:
    """A scenario whose traffic has no end."""
    path = tmp_path / "endless.toml"
    path.write_text(SMALL % "")
    return path


@pytest.fixture
def short(tmp_path) -> Path:
    """A scenario whose traffic is over soon."""
    path = tmp_path / "short.toml"
    path.write_text(SMALL % ", count = 200")
    return path
