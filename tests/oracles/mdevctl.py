"""The unmodified mdevctl, of the guest rig or of the system."""

import shutil
from pathlib import Path

from siov.guests.image import default_path
from siov.guests.initramfs import loader_argv

PROGRAM = "usr/bin/mdevctl"


def command(folder: Path) -> list[str] | None:
    """What starts mdevctl; None where there is none. The rig's sees, in `folder`, the rig's own files."""
    root = default_path() / "root"
    if (root / PROGRAM).exists():
        (folder / "etc/mdevctl.d").mkdir(parents=True)
        (folder / "usr").symlink_to(root / "usr")
        (folder / "sys").symlink_to("/sys")
        return ["env", f"MDEVCTL_ENV_ROOT={folder}", *loader_argv(root, PROGRAM)]
    found = shutil.which("mdevctl") or shutil.which("mdevctl", path="/usr/sbin:/sbin")
    return [found] if found else None
