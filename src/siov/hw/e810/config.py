"""The configuration space of the PF: 8086:1592 with its capabilities where the E810-C has them."""

from dataclasses import replace

from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, type0_config
from siov.hw.pcie.config import Bar, Capability, ConfigSpace
from siov.spec.pcie import ExpressType

VENDOR_ID, DEVICE_ID, VF_DEVICE_ID = 0x8086, 0x1592, 0x1889
CLASS_CODE = 0x020000
REVISION = 2
SUBSYSTEM_ID = 0x0002  # E810-C-Q2
VECTORS = 2048
MSIX_BAR, MSIX_TABLE, MSIX_PBA = 3, 0, 0x8000
MAX_VFS = 256
VF_BARS = (Bar(0, 128 << 10, prefetchable=True), Bar(3, 16 << 10, prefetchable=True))
PAGE_REQUESTS = 256


def pf_bars(ims: int = 0) -> tuple[Bar, ...]:
    """BAR0 of 128 MiB, or 256 MiB when there are IMS slots, and BAR3 with the MSI-X structures."""
    return (
        Bar(0, (256 if ims else 128) << 20, prefetchable=True),
        Bar(MSIX_BAR, 64 << 10, prefetchable=True),
    )


def serial_of(mac: bytes) -> int:
    """The device's serial number out of its address: an EUI-64 with FF-FF in the middle."""
    return int.from_bytes(mac[:3] + b"\xff\xff" + mac[3:], "big")


def compose_config(
    mac: bytes,
    ims: int = 0,
    function: int = 0,
    kind: ExpressType = ExpressType.ENDPOINT,
    *,
    multifunction: bool = False,
    next_function: int = 0,
) -> ConfigSpace:
    """The PF's configuration space; `function` is its number in the device, `next_function` for ARI."""
    identity = Identity(VENDOR_ID, DEVICE_ID, CLASS_CODE, REVISION, VENDOR_ID, SUBSYSTEM_ID)
    # The VFs of each function lie behind those of the one before, from the ninth routing id on.
    first_vf = 8 + MAX_VFS * function - function
    capabilities = (
        _at(0x40, capability.power_management()),
        _at(0x70, capability.msix(VECTORS, (MSIX_BAR, MSIX_TABLE), (MSIX_BAR, MSIX_PBA))),
        _at(0xA0, capability.express(kind, flr=True, prefix=True)),
        _at(0x100, capability.aer()),
        _at(0x148, capability.ari(next_function)),
        _at(0x150, capability.serial_number(serial_of(mac))),
        _at(0x160, capability.sriov(MAX_VFS, first_vf, 1, VF_DEVICE_ID, VF_BARS)),
        _at(0x1B0, capability.acs_endpoint()),
        _at(0x280, capability.ats()),
        _at(0x290, capability.pri(PAGE_REQUESTS)),
        _at(0x2A0, capability.pasid(20)),
    )
    return type0_config(identity, capabilities, pf_bars(ims), multifunction=multifunction)


def _at(offset: int, what: Capability) -> Capability:
    return replace(what, at=offset)
