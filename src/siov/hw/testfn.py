"""The test function as hardware: its configuration space, its BAR, and the device behind them."""

from siov._core import TestFunction
from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, type0_config
from siov.hw.pcie.config import Bar, ConfigSpace
from siov.hw.pcie.function import Function
from siov.spec.pcie import ExpressType
from siov.spec.testfn import DEVICE_ID, VECTORS, VENDOR_ID, Bar0

BARS = (Bar(0, Bar0.size, wide=True, prefetchable=False),)
SERIAL = 0x5349_4F56_0000_0001
CLASS_CODE = 0xFF0000  # assigned to no class


def compose_config(kind: ExpressType = ExpressType.ENDPOINT, *, multifunction: bool = False) -> ConfigSpace:
    """Its configuration space: MSI-X, PCI Express with FLR, AER, serial number, ATS, PRI and PASID."""
    capabilities = [
        capability.power_management(),
        capability.msix(VECTORS, (0, Bar0.spans["MSIX_TABLE"].at), (0, Bar0.MSIX_PBA.at)),
        capability.express(kind, flr=True, prefix=True),
        capability.aer(),
        capability.serial_number(SERIAL),
        capability.ats(),
        capability.pri(),
        capability.pasid(20),
    ]
    identity = Identity(VENDOR_ID, DEVICE_ID, CLASS_CODE, revision=1)
    return type0_config(identity, capabilities, BARS, multifunction=multifunction)


class TestFunctionDevice:
    """The device behind the BAR, when a root complex of this process reaches it: vectors become messages."""

    def __init__(self, function: TestFunction) -> None:
        self.function = function
        self.owner: Function | None = None

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes of BAR 0."""
        return self.function.bar_read(offset, size)

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Bytes to BAR 0; what the doorbell raised is sent."""
        self.function.bar_write(offset, data)
        raised = self.function.take_raised()
        if self.owner is not None and self.owner.msix is not None:
            for vector in range(VECTORS):
                if raised >> vector & 1:
                    self.owner.msix.trigger(vector)

    def reset(self) -> None:
        """BAR 0 as after power-on."""
        self.function.reset()


def build(name: str, devfn: tuple[int, int], kind: ExpressType, *, multifunction: bool = False) -> Function:
    """The test function, to be put into a tree of this process."""
    config = compose_config(kind, multifunction=multifunction)
    device = TestFunctionDevice(TestFunction(config.regs))
    device.owner = Function(name, devfn, config, BARS, device)
    return device.owner
