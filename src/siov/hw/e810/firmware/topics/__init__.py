"""The commands by topic; importing this fills the command table."""

from siov.hw.e810.firmware.topics import (
    absent,
    capabilities,
    general,
    health,
    link,
    mac,
    nvm,
    package,
    rss,
    rules,
    scheduler,
    switch,
    txqueues,
    vsi,
)

__all__ = [
    "absent",
    "capabilities",
    "general",
    "health",
    "link",
    "mac",
    "nvm",
    "package",
    "rss",
    "rules",
    "scheduler",
    "switch",
    "txqueues",
    "vsi",
]
