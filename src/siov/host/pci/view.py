"""A device as `lspci` is told of it by sysfs."""

from siov.host.lspci import Address, PciFunctionView, Resource
from siov.host.pci.dev import PciDev
from siov.host.pci.sysfs import resource_lines

RESOURCES = 7  # six BARs and the ROM; a bridge has four windows more


def function_view(dev: PciDev) -> PciFunctionView:
    """One function's configuration bytes, resources and driver."""
    lines = resource_lines(dev)
    # The VFs' BARs stand between the ROM and the windows, and lspci passes over them.
    shown = lines[:RESOURCES] + (lines[-4:] if dev.is_bridge else [])
    parent = dev.parent
    return PciFunctionView(
        address=_address(dev),
        config=dev.access.dump(dev.rid),
        resources=[_resource(line) for line in shown],
        irq=0,
        driver=dev.driver.name if dev.driver is not None else None,
        parent=_address(parent) if isinstance(parent, PciDev) else None,
    )


def _address(dev: PciDev) -> Address:
    return Address(dev.domain, dev.rid >> 8, dev.rid >> 3 & 0x1F, dev.rid & 7)


def _resource(line: tuple[int, int, int] | None) -> Resource:
    if line is None:
        return Resource()
    start, end, flags = line
    return Resource(start, end - start + 1, flags)
