"""Calls a running server over its control socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from siov.control.calls import TEXT, Call
from siov.errors import SiovError
from siov.host.kernfs import Entry
from siov.host.linux import LinuxError

TIMEOUT = 120.0  # seconds for an answer: a reset of all devices may take some


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class ControlClient:
    """A connection to the server that listens at `path`; a context that closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _Connection(path)

    def call(self, call: Call) -> Any:
        """Have a call made; its result as JSON has it.

        `LinuxError` or `SiovError` with the server's sentence, `SiovError` when no server answers.
        """
        body = json.dumps(call.to_json())
        return self._ask("POST", "/call", body)["result"]

    def get(self, path: str) -> Any:
        """Something to look at, such as /sample, as JSON has it; the errors of `call`."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        try:
            self._connection.request(method, path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError) as why:
            self._connection.close()
            raise SiovError(f"no server listens on {self.path}; start one with 'siov serve'") from why
        except (OSError, http.client.HTTPException, ValueError) as why:
            self._connection.close()
            text = str(why) or type(why).__name__
            raise SiovError(f"the server on {self.path} gave no answer: {text}") from why
        if response.status == http.HTTPStatus.OK:
            return answer
        if isinstance(answer.get("errno"), int):
            raise LinuxError(answer["errno"], answer["error"])
        raise SiovError(answer["error"])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: object, where: TracebackType | None) -> None:
        self.close()


class RemoteSysfs:
    """The sysfs of a running server."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def lstat(self, path: str) -> Entry:
        """Kind, mode and size."""
        return Entry(**self._call("lstat", path=path))

    def listdir(self, path: str) -> Sequence[str]:
        """The names in a directory."""
        found: list[str] = self._call("listdir", path=path)
        return found

    def readlink(self, path: str) -> str:
        """Where a link leads."""
        return str(self._call("readlink", path=path))

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """A file's bytes."""
        return str(self._call("read", path=path, offset=offset, size=size)).encode(TEXT)

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        """One write; the bytes taken."""
        return int(self._call("write", path=path, data=data, offset=offset))

    def _call(self, name: str, **args: Any) -> Any:
        return self._client.call(Call(f"sysfs.{name}", None, args))
