"""Wireshark's own reader as an oracle: tshark of the guest rig, or of the system."""

import shutil
import subprocess
from pathlib import Path

import pytest

from siov.guests.image import default_path
from siov.guests.initramfs import loader_argv


def command(name: str = "tshark") -> list[str] | None:
    """What starts tshark, or another of Wireshark's programs; None where there is none."""
    root = default_path() / "root"
    program = f"usr/bin/{name}"
    if (root / program).exists():
        return loader_argv(root, program)
    found = shutil.which(name)
    return [found] if found else None


needed = pytest.mark.skipif(command() is None, reason="there is no tshark: 'make vm' fetches one")


def run(*arguments: str, program: str = "tshark") -> str:
    """What tshark prints; it must end well and find no file damaged."""
    start = command(program)
    assert start is not None
    done = subprocess.run([*start, *arguments], capture_output=True, text=True, check=True, timeout=120)
    assert "damaged" not in done.stderr
    assert "cut short" not in done.stderr
    return done.stdout


def fields(path: Path, *names: str) -> list[list[str]]:
    """The fields of each frame of a capture, as text."""
    asked = [part for name in names for part in ("-e", name)]
    rows = run("-n", "-r", str(path), "-T", "fields", "-E", "separator=|", *asked)
    return [line.split("|") for line in rows.splitlines()]


def complaints(path: Path) -> list[str]:
    """The frames that tshark calls malformed, or whose checksums it finds wrong."""
    checks = ("ip", "tcp", "udp", "sctp")
    preferences = [f"{name}.check_checksum:TRUE" for name in checks[:3]]
    # A tunnel over IPv6 may leave its UDP checksum out (RFC 6935).
    preferences += ["sctp.checksum:CRC 32c", "udp.ignore_ipv6_zero_checksum:TRUE"]
    options = [part for preference in preferences for part in ("-o", preference)]
    bad = "_ws.malformed || " + " || ".join(f"{name}.checksum.status == 0" for name in checks)
    return run("-n", "-r", str(path), *options, "-Y", bad).splitlines()


def about(path: Path) -> str:
    """What capinfos tells of a capture: comment of the file, its interfaces."""
    return run(str(path), program="capinfos")
