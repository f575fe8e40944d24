"""Files that a command writes: found out before it begins whether they can be, and all of them or nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from siov.errors import SiovError


class Output:
    """The file of an option such as `--json`: made when a `with` begins, in place once `write` returns.

    Until then what is written lies beside it, and is taken away when the command ends without it. What is no
    regular file, such as /dev/stdout, is written at once. `SiovError` when the system refuses.
    """

    def __init__(self, option: str, path: Path) -> None:
        self.option, self.path = option, path
        self._file: IO[str] | None = None
        self._part: Path | None = None

    def __enter__(self) -> Output:
        self.check()
        try:
            if self.path.exists() and not self.path.is_file():
                self._file = self.path.open("w")
            else:
                handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
                self._part, self._file = Path(name), os.fdopen(handle, "w")
        except OSError as why:
            raise self._refused(why) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                if kind is None:
                    raise self._refused(error) from None
            finally:
                if self._part is not None:
                    self._part.unlink(missing_ok=True)

    def check(self) -> None:
        """Whether there can be such a file, as far as can be told without making it."""
        folder = self.path.parent
        if not folder.is_dir():
            raise SiovError(f"{self.option} {self.path}: there is no folder {folder}")
        if self.path.is_dir():
            raise SiovError(f"{self.option} {self.path}: this is a folder; name a file in it")

    def append(self, text: str) -> None:
        """Write a piece of it."""
        self._try(lambda file: file.write(text))

    def write(self, text: str = "") -> None:
        """Write the last of it, and put it where it belongs, with the usual permissions."""
        self._try(lambda file: file.write(text))
        self._try(lambda file: file.flush())
        if self._part is not None:
            part, self._part = self._part, None
            mask = os.umask(0)
            os.umask(mask)
            try:
                part.chmod(self.path.stat().st_mode & 0o777 if self.path.exists() else 0o666 & ~mask)
                part.replace(self.path)
            except OSError as why:
                part.unlink(missing_ok=True)
                raise self._refused(why) from None

    def _try(self, act: Callable[[IO[str]], object]) -> None:
        assert self._file is not None, "it is written within its `with`"
        try:
            act(self._file)
        except OSError as why:
            raise self._refused(why) from None

    def _refused(self, why: OSError) -> SiovError:
        return SiovError(f"{self.option} {self.path}: can't be written: {why.strerror}")
