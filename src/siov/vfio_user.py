"""The vfio-user sockets of a running server: one for each mediated device, as long as it is there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from errno import EADDRINUSE, ENODEV
from pathlib import Path
from typing import Any

from siov.errors import SiovError
from siov.guests.endpoint import EndpointError
from siov.guests.served import Machine, VdevEndpoint
from siov.host.linux import LinuxError, choices
from siov.host.mdev import MdevCore, MdevDevice

LONGEST = 107 - len("/01234567-89ab-cdef-0123-456789abcdef.sock")  # bytes of the directory's path


@dataclass(slots=True)
class VfioUserSockets:
    """DIRECTORY/UUID.sock for each instance, from `start` to `stop`."""

    directory: Path | None = None
    endpoints: dict[str, VdevEndpoint] = field(default_factory=dict)
    _core: MdevCore | None = None
    _machine: Machine | None = None

    def start(self, directory: Path, core: MdevCore, machine: Machine) -> None:
        """Make sockets in this directory, for the instances that there are and those to come.

        `SiovError` for a directory that can't be had, or that others can write to.
        """
        if not machine.iommu.scalable:
            raise SiovError(
                f"{machine.iommu.name} is in legacy mode, in which a virtual device can't be opened; set the"
                ' scenario\'s iommu mode to "scalable"'
            )
        self.directory = _own(directory)
        self._core, self._machine = core, machine
        core.driver.listeners.append(self)
        for mdev in list(core.devices.values()):
            self.appeared(mdev)

    def stop(self) -> None:
        """Disconnect all clients and remove the sockets."""
        if self._core is not None:
            self._core.driver.listeners.remove(self)
            self._core = None
        for name in list(self.endpoints):
            self._close(name)
        self.directory = None

    def socket(self, uuid: str) -> str:
        """The path of an instance's socket; ENODEV naming those there are."""
        if self.directory is None:
            raise SiovError(
                "this server makes no vfio-user sockets; start it with 'siov serve --vfio-user DIR'"
            )
        found = self.endpoints.get(uuid.lower())
        if found is None:
            have = choices(list(self.endpoints))
            raise LinuxError(ENODEV, f"no mdev {uuid}; there is {have}; list them with 'siov mdev list'")
        return str(found.path)

    # The listener of the mdev core's driver.

    def appeared(self, mdev: MdevDevice) -> None:
        """Make its socket; EADDRINUSE when the path is taken."""
        assert self.directory is not None
        assert self._machine is not None
        try:
            endpoint = VdevEndpoint(self.directory / f"{mdev.name}.sock", mdev, self._machine)
        except EndpointError as why:
            raise LinuxError(EADDRINUSE, str(why)) from None
        endpoint.start()
        self.endpoints[mdev.name] = endpoint

    def leaving(self, mdev: MdevDevice) -> None:
        """Its client goes, and the socket."""
        self._close(mdev.name)

    def _close(self, name: str) -> None:
        endpoint = self.endpoints.pop(name, None)
        if endpoint is not None:
            endpoint.stop()

    def inspect(self) -> dict[str, Any]:
        """Each socket with its client, by UUID."""
        return {name: endpoint.inspect() for name, endpoint in list(self.endpoints.items())}


def _own(directory: Path) -> Path:
    """The directory, made if it is not there, as an absolute path."""
    directory = directory.absolute()
    if len(os.fsencode(directory)) > LONGEST:
        raise SiovError(f"{directory} is longer than the {LONGEST} bytes that leave room for a socket's name")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as why:
        raise SiovError(f"the directory {directory} for sockets can't be made: {why.strerror}") from why
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SiovError(f"{directory} is not a directory that only you can write; choose another for sockets")
    return directory
