"""The capabilities that functions and ports of this machine have, ready to compose."""

from collections.abc import Sequence

from siov.hw.pcie.config import Bar, Capability, check_bars
from siov.spec.pcie import (
    Acs,
    Aer,
    AerRoot,
    Ari,
    Ats,
    CapabilityId,
    DeviceSerialNumber,
    Express,
    ExpressType,
    ExtendedCapabilityId,
    Msix,
    Pasid,
    PowerManagement,
    Pri,
    SrIov,
)
from siov.spec.pcie.extended import VfBar
from siov.spec.pcie.header import BarType
from siov.spec.word import Access

# 16 GT/s: the E810's link, and what the speeds vector says below it.
LINK_SPEED = 4
SPEEDS_VECTOR = 0b1111

_WRITABLE = (Access.RW, Access.RWS)


def power_management() -> Capability:
    """PCI Power Management with D0 and D3hot."""
    return Capability(CapabilityId.PM, PowerManagement)


def msix(vectors: int, table: tuple[int, int], pba: tuple[int, int]) -> Capability:
    """MSI-X with 1 to 2,048 vectors; table and pending bits each at (BAR, byte offset)."""
    if not 1 <= vectors <= 2048:
        raise ValueError(f"{vectors} MSI-X vectors: a table has 1 to 2,048 (use IMS for more)")
    return Capability(
        CapabilityId.MSIX,
        Msix,
        {
            "CONTROL": Msix.CONTROL.of(SIZE=vectors - 1),
            "TABLE": Msix.TABLE.of(BIR=table[0], OFFSET=table[1] >> 3),
            "PBA": Msix.PBA.of(BIR=pba[0], OFFSET=pba[1] >> 3),
        },
    )


def express(
    kind: ExpressType,
    *,
    flr: bool = False,
    slot: int | None = None,
    port: int = 0,
    prefix: bool = False,
    width: int = 16,
    link_up: bool = True,
) -> Capability:
    """PCI Express version 2: `slot` is a port's physical slot number, `prefix` what PASID needs."""
    rcie = kind is ExpressType.RCIEP
    down = kind in (ExpressType.ROOT_PORT, ExpressType.DOWNSTREAM_PORT)
    link = Express.LNKCAP.of(MLS=LINK_SPEED, MLW=width, ASPMOC=1, DLLLARC=down, PN=port)
    state = Express.LNKSTA.of(CLS=LINK_SPEED, NLW=width if link_up else 0, SCC=1, DLLLA=down and link_up)
    values = {
        "PCIECAP": Express.PCIECAP.of(VERSION=2, TYPE=kind, SLOT=slot is not None),
        "DEVCAP": Express.DEVCAP.initial().replace(FLRC=flr),
        "DEVCAP2": Express.DEVCAP2.of(CTRS=0 if down else 0xF, CTDS=1, ARIFS=down, EFFS=prefix, EETPS=prefix),
    }
    rw: dict[str, int] = {}
    if not rcie:
        values |= {
            "LNKCAP": link,
            "LNKSTA": state,
            "LNKCAP2": Express.LNKCAP2.of(SLSV=SPEEDS_VECTOR),
            "LNKCTL2": Express.LNKCTL2.of(TLS=LINK_SPEED),
        }
    else:
        rw |= {"LNKCTL": 0, "LNKCTL2": 0}
    if slot is not None:
        values |= {
            "SLTCAP": Express.SLTCAP.of(PSN=slot, NCCS=1),
            "SLTSTA": Express.SLTSTA.of(PDS=link_up),
        }
    else:
        rw |= {"SLTCTL": 0}
    if kind is not ExpressType.ROOT_PORT:
        rw |= {"RTCTL": 0}
    if down:
        control = Express.DEVCTL2
        rw |= {"DEVCTL2": control.mask(*_WRITABLE) | control.ARIFE.mask}
        rw |= {"LNKCTL": Express.LNKCTL.mask(*_WRITABLE) | Express.LNKCTL.LD.mask}
    return Capability(CapabilityId.EXPRESS, Express, values, rw)


def aer(*, root: bool = False) -> Capability:
    """Advanced Error Reporting; a root port's also collects the messages from below."""
    return Capability(ExtendedCapabilityId.AER, AerRoot if root else Aer, version=2)


def ari(next_function: int = 0) -> Capability:
    """Alternative Routing-ID Interpretation, with the number of the next function, 0 at the last."""
    return Capability(ExtendedCapabilityId.ARI, Ari, {"CAP": Ari.CAP.of(NFN=next_function)})


def acs() -> Capability:
    """Access Control Services of a port that faces down: validation, blocking, redirects, forwarding."""
    fields = {"V": 1, "B": 1, "R": 1, "C": 1, "U": 1, "T": 1}
    enables = Acs.CTL.of(**fields).raw
    return Capability(ExtendedCapabilityId.ACS, Acs, {"CAP": Acs.CAP.of(**fields)}, {"CTL": enables})


def acs_endpoint() -> Capability:
    """Access Control Services of a function that never sends to its siblings: nothing to control."""
    return Capability(ExtendedCapabilityId.ACS, Acs)


def ats(queue_depth: int = 32) -> Capability:
    """Address Translation Services with room for 1 to 32 invalidations."""
    if not 1 <= queue_depth <= 32:
        raise ValueError(f"an ATS invalidate queue of {queue_depth}: 1 to 32 are allowed")
    return Capability(ExtendedCapabilityId.ATS, Ats, {"CAP": Ats.CAP.initial().replace(IQD=queue_depth % 32)})


def pri(capacity: int = 256) -> Capability:
    """Page Request Interface with so many requests under way at most."""
    return Capability(
        ExtendedCapabilityId.PRI,
        Pri,
        {"CAPACITY": Pri.CAPACITY.of(NUM=capacity), "STA": Pri.STA.of(S=1, PRPR=1)},
    )


def pasid(width: int = 20, *, execute: bool = False, privileged: bool = False) -> Capability:
    """Process Address Space IDs of 1 to 20 bits."""
    if not 1 <= width <= 20:
        raise ValueError(f"PASIDs of {width} bits: 1 to 20 are allowed")
    cap = Pasid.CAP.of(WIDTH=width, EXEC=execute, PRIV=privileged)
    control = Pasid.CTL.of(E=1, EXEC=execute, PRIV=privileged)
    return Capability(ExtendedCapabilityId.PASID, Pasid, {"CAP": cap}, {"CTL": control.raw})


def sriov(total: int, offset: int, stride: int, device_id: int, bars: Sequence[Bar] = ()) -> Capability:
    """SR-IOV with `total` virtual functions, the first `offset` routing ids behind the physical one."""
    values = {
        "INITIAL_VFS": SrIov.INITIAL_VFS.of(NUM=total),
        "TOTAL_VFS": SrIov.TOTAL_VFS.of(NUM=total),
        "FIRST_VF_OFFSET": SrIov.FIRST_VF_OFFSET.of(NUM=offset),
        "VF_STRIDE": SrIov.VF_STRIDE.of(NUM=stride),
        "VF_DEVICE_ID": SrIov.VF_DEVICE_ID.of(ID=device_id),
    }
    check_bars(bars)
    rw = {f"VF_BAR{n}": 0 for n in range(6)}
    for bar in bars:
        kind = BarType.BITS64 if bar.wide else BarType.BITS32
        values[f"VF_BAR{bar.index}"] = VfBar.of(TYPE=kind, PREFETCH=bar.prefetchable)
        rw[f"VF_BAR{bar.index}"] = ~(bar.size - 1) & VfBar.BASE.mask
        if bar.wide:
            rw[f"VF_BAR{bar.index + 1}"] = ~(bar.size - 1) >> 32 & 0xFFFF_FFFF
    return Capability(ExtendedCapabilityId.SRIOV, SrIov, values, rw)


def serial_number(eui64: int) -> Capability:
    """Device Serial Number out of a 64-bit EUI."""
    block = DeviceSerialNumber
    return Capability(
        ExtendedCapabilityId.DSN,
        block,
        {"LOW": block.LOW.of(DW=eui64 & 0xFFFF_FFFF), "HIGH": block.HIGH.of(DW=eui64 >> 32)},
    )
