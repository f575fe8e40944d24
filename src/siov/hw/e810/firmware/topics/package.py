"""The package is downloaded, changed and listed (0x0C40 to 0x0C43)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.package import NAME, TRACK_ID, VERSION
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_device import (
    PKG_NAME_BYTES,
    AqDownloadPackage,
    AqPackageState,
    AqPackageVersion,
    ResourceAccess,
    ResourceId,
)
from siov.spec.e810.package import PACKAGE_BUFFER

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware


@command(AqOpcode.DOWNLOAD_PKG, Buffer.IN)
def download(firmware: Firmware, given: Command) -> Reply:
    """A buffer of the package, while the global lock is held; EEXIST when one is in use already."""
    if not firmware.ownership.holds(ResourceId.GLBL_LOCK, ResourceAccess.WRITE):
        raise AqError(AqRc.EACCES)
    if firmware.package.active:
        raise AqError(AqRc.EEXIST)
    firmware.package.download(_buffer(given), last=bool(given.decode(AqDownloadPackage).LAST_BUF))
    return Reply(AqDownloadPackage.of())


@command(AqOpcode.UPDATE_PKG, Buffer.IN)
def update(firmware: Firmware, given: Command) -> Reply:
    """A buffer that changes the package in use, while the change lock is held."""
    if not firmware.ownership.holds(ResourceId.CHNG_LOCK, ResourceAccess.WRITE):
        raise AqError(AqRc.EACCES)
    firmware.package.update(_buffer(given), firmware.vsis)
    return Reply(AqDownloadPackage.of())


@command(AqOpcode.UPLOAD_SECTION, Buffer.ANY)
def upload(firmware: Firmware, given: Command) -> None:
    """Sections can't be read back."""
    raise AqError(AqRc.ENOSYS)


@command(AqOpcode.GET_PKG_INFO_LIST, Buffer.OUT)
def info(firmware: Firmware, given: Command) -> Reply:
    """The package in use, if there is one."""
    data = int(firmware.package.active).to_bytes(4, "little")
    if firmware.package.active:
        major, minor, change, draft = VERSION
        version = AqPackageVersion.of(MAJOR=major, MINOR=minor, UPDATE=change, DRAFT=draft)
        state = AqPackageState.of(TRACK_ID=TRACK_ID, IS_ACTIVE=1)
        name = NAME.encode().ljust(PKG_NAME_BYTES, b"\0")
        data += version.to_bytes() + name + state.to_bytes()
    if given.room < len(data):
        raise AqError(AqRc.ENOMEM)
    return Reply(data=data)


def _buffer(given: Command) -> bytes:
    if len(given.data) > PACKAGE_BUFFER:
        raise AqError(AqRc.E2BIG)
    return given.data
