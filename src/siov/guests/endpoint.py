"""Serving a device to a VMM: a vfio-user socket, and the thread that runs it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from siov._core import Endpoint, ServedVdev, TestFunction
from siov.errors import SiovError


class EndpointError(SiovError):
    """A socket that can't be made: its path is taken, too long, or refused by the system."""


class VfioUserEndpoint:
    """A device on a socket at `path`, served on a thread of its own until it is stopped.

    Entering it as a context starts it. The thread lets go of the interpreter while it serves.
    """

    def __init__(self, path: Path, device: TestFunction | ServedVdev) -> None:
        try:
            self._endpoint = Endpoint(path, device)
        except (ValueError, OSError) as error:
            raise EndpointError(str(error)) from None
        self.path = path
        self._thread = threading.Thread(target=self._endpoint.run, name=f"vfio-user {path.name}")

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect the client, remove the socket, and wait for the thread."""
        self._endpoint.stop()
        if self._thread.is_alive():
            self._thread.join()

    def inspect(self) -> dict[str, Any]:
        """Path, client, DMA maps, vectors and counters."""
        return self._endpoint.inspect()

    def __enter__(self) -> VfioUserEndpoint:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
