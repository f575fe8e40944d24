"""Files that a command writes at its end: refused before it begins if they can't be, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from siov.errors import SiovError


def check_writable(option: str, path: Path) -> None:
    """`SiovError` when a file can't be made at a path; nothing is left there."""
    if path.is_dir():
        raise SiovError(f"{option} {path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise SiovError(f"{option} {path}: there is no folder {path.parent}")
    try:
        if _is_special(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")
            return
        with _part(path).open("w"):
            pass
        _part(path).unlink()
    except OSError as error:
        raise SiovError(f"{option} {path}: can't be written: {error.strerror}") from None


def write_whole(option: str, path: Path, text: str) -> None:
    """All of the file or none of it, and what was there before in that case; `SiovError` when it can't be."""
    part = path if _is_special(path) else _part(path)
    try:
        part.write_text(text)
        if part != path:
            part.replace(path)
    except BaseException as error:  # a Ctrl-C leaves nothing behind, either
        if part != path:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise SiovError(f"{option} {path}: can't be written: {error.strerror}") from None
        raise


def _part(path: Path) -> Path:
    """Where it grows; of one process, so that two runs don't mix."""
    return path.with_name(f".{path.name[:200]}.{os.getpid()}.part")


def _is_special(path: Path) -> bool:
    """A terminal, a pipe, /dev/null: there is nothing to replace."""
    return path.exists() and not path.is_file()
