"""The unmodified mdevctl, of the guest rig or of the system."""

import shutil

from siov.guests.image import default_path
from siov.guests.initramfs import loader_argv

PROGRAM = "usr/sbin/mdevctl"


def command() -> list[str] | None:
    """What starts mdevctl; None where there is none."""
    root = default_path() / "root"
    for program in (PROGRAM, PROGRAM.replace("sbin", "bin")):
        if (root / program).exists():
            return loader_argv(root, program)
    found = shutil.which("mdevctl") or shutil.which("mdevctl", path="/usr/sbin:/sbin")
    return [found] if found else None
