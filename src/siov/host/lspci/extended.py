"""Extended capabilities of the functions that are composed here: from 100h on."""

from collections.abc import Iterator

from siov.host.lspci.capability import Capability
from siov.host.lspci.text import Flags, sign
from siov.spec.pcie.capability import ExpressType
from siov.spec.pcie.extended import (
    Acs,
    Aer,
    AerRoot,
    Ari,
    Ats,
    CorrectableErrors,
    DeviceSerialNumber,
    HeaderLog,
    Pasid,
    Pri,
    SrIov,
    UncorrectableErrors,
    VfBar,
)
from siov.spec.pcie.header import BarType

_UNCORRECTABLE = [
    Flags(UncorrectableErrors, plan)
    for plan in (
        "DLPE:DLP SDE:SDES PTLP:TLP FCPE:FCP CTO:CmpltTO CA:CmpltAbrt UC:UnxCmplt RXOF:RxOF MTLP:MalfTLP",
        "ECRC UR:UnsupReq ACSV:ACSViol UIE:UncorrIntErr MCB:BlockedTLP AOEB:AtomicOpBlocked "
        "TPBE:TLPBlockedErr",
        "PTEB:PoisonTLPBlocked DMWREB:DMWrReqBlocked IDECF:IDECheck MIDETLP:MisIDETLP PCRCCF:PCRC_CHECK "
        "TLPTEB:TLPXlatBlocked",
    )
]
_CORRECTABLE = Flags(
    CorrectableErrors,
    "RXERR:RxErr BADTLP:BadTLP BADDLLP:BadDLLP ROLLOVER:Rollover TIMEOUT:Timeout ADVNFERR:AdvNonFatalErr "
    "CIE:CorrIntErr HLOE:HeaderOF",
)
_ECRC = Flags(Aer.CAP, "EGC:ECRCGenCap EGE:ECRCGenEn ECC:ECRCChkCap ECE:ECRCChkEn")
_LOG = Flags(Aer.CAP, "MHRC:MultHdrRecCap MHRE:MultHdrRecEn TLPPLP:TLPPfxPres CTPHLC:HdrLogCap")
_ROOT_COMMAND = Flags(AerRoot.RECMD, "CERE:CERptEn NFERE:NFERptEn FERE:FERptEn")
_ROOT_SEEN = Flags(AerRoot.RESTA, "CER:CERcvd MCER:MultCERcvd UER:UERcvd MUER:MultUERcvd")
_ROOT_KINDS = Flags(AerRoot.RESTA, "FUF:FirstFatal NFEMR:NonFatalMsg FEMR:FatalMsg")
_ACS_PLAN = "V:SrcValid B:TransBlk R:ReqRedir C:CmpltRedir U:UpstreamFwd E:EgressCtrl T:DirectTrans"
_ACS_CAN, _ACS_CONTROL = Flags(Acs.CAP, _ACS_PLAN), Flags(Acs.CTL, _ACS_PLAN)
_PRI_STATUS = Flags(Pri.STA, "RF UPRGI S:Stopped PRPR:PASID")
_PASID_CAN, _PASID_CONTROL = Flags(Pasid.CAP, "EXEC:Exec PRIV:Priv"), Flags(Pasid.CTL, "EXEC:Exec PRIV:Priv")
_IOV_CONTROL = Flags(
    SrIov.CTL, "VFE:Enable VFME:Migration VFMIE:Interrupt VFMSE:MSE ARICH:ARIHierarchy TAG10E:10BitTagReq"
)
_ALL_ONES = 0xFFFF_FFFF


def advanced_error_reporting(cap: Capability) -> Iterator[str]:
    """AER; a root port's or event collector's has root registers, too."""
    yield "Advanced Error Reporting"
    if not cap.shows(Aer):
        return
    for name, span in (("UESta", Aer.UESTA), ("UEMsk", Aer.UEMSK), ("UESvrt", Aer.UESVRT)):
        errors = cap.read(UncorrectableErrors, span.at)
        lines = "\n\t\t\t".join(flags(errors) for flags in _UNCORRECTABLE)
        yield f"\t\t{name}:\t{lines}"
    for name, span in (("CESta", Aer.CESTA), ("CEMsk", Aer.CEMSK)):
        yield f"\t\t{name}:\t{_CORRECTABLE(cap.read(CorrectableErrors, span.at))}"
    control = cap.read(Aer.CAP)
    yield f"\t\tAERCap:\tFirst Error Pointer: {control.FEP:02x}, {_ECRC(control)}"
    yield f"\t\t\t{_LOG(control)}"
    log = " ".join(f"{cap.read(HeaderLog, at).DW:08x}" for at in Aer.HDRLOG.offsets())
    yield f"\t\tHeaderLog: {log}"
    if cap.port in (ExpressType.ROOT_PORT, ExpressType.RCEC) and cap.covers(AerRoot):
        seen, source = cap.read(AerRoot.RESTA), cap.read(AerRoot.ERRSRC)
        yield f"\t\tRootCmd: {_ROOT_COMMAND(cap.read(AerRoot.RECMD))}"
        yield f"\t\tRootSta: {_ROOT_SEEN(seen)}"
        yield f"\t\t\t {_ROOT_KINDS(seen)} IntMsgNum {seen.AEIMN}"
        yield f"\t\tErrorSrc: ERR_COR: {source.CSRC:04x} ERR_FATAL/NONFATAL: {source.UCSRC:04x}"


def device_serial_number(cap: Capability) -> Iterator[str]:
    """Device Serial Number; without the bytes lspci writes nothing, not even the end of the line."""
    if cap.covers(DeviceSerialNumber):
        number = cap.read(DeviceSerialNumber.HIGH).DW << 32 | cap.read(DeviceSerialNumber.LOW).DW
        yield f"Device Serial Number {number.to_bytes(8, 'big').hex('-')}"


def access_control(cap: Capability) -> Iterator[str]:
    """Access Control Services."""
    yield "Access Control Services"
    if cap.shows(Acs):
        yield f"\t\tACSCap:\t{_ACS_CAN(cap.read(Acs.CAP))}"
        yield f"\t\tACSCtl:\t{_ACS_CONTROL(cap.read(Acs.CTL))}"


def alternative_routing(cap: Capability) -> Iterator[str]:
    """Alternative Routing-ID Interpretation."""
    yield "Alternative Routing-ID Interpretation (ARI)"
    if cap.shows(Ari):
        can, control = cap.read(Ari.CAP), cap.read(Ari.CTL)
        yield f"\t\tARICap:\tMFVC{sign(can.MFVC)} ACS{sign(can.ACS)}, Next Function: {can.NFN}"
        yield f"\t\tARICtl:\tMFVC{sign(control.MFVC)} ACS{sign(control.ACS)}, Function Group: {control.FG}"


def address_translation(cap: Capability) -> Iterator[str]:
    """Address Translation Services."""
    yield "Address Translation Service (ATS)"
    if cap.shows(Ats):
        control = cap.read(Ats.CTL)
        yield f"\t\tATSCap:\tInvalidate Queue Depth: {cap.read(Ats.CAP).IQD:02x}"
        yield f"\t\tATSCtl:\tEnable{sign(control.E)}, Smallest Translation Unit: {control.STU:02x}"


def page_request(cap: Capability) -> Iterator[str]:
    """Page Request Interface."""
    yield "Page Request Interface (PRI)"
    if cap.shows(Pri):
        control = cap.read(Pri.CTL)
        yield f"\t\tPRICtl: Enable{sign(control.E)} Reset{sign(control.R)}"
        yield f"\t\tPRISta: {_PRI_STATUS(cap.read(Pri.STA))}"
        capacity, allocation = cap.read(Pri.CAPACITY).NUM, cap.read(Pri.ALLOCATION).NUM
        yield f"\t\tPage Request Capacity: {capacity:08x}, Page Request Allocation: {allocation:08x}"


def process_address_space(cap: Capability) -> Iterator[str]:
    """Process Address Space ID."""
    yield "Process Address Space ID (PASID)"
    if cap.shows(Pasid):
        can, control = cap.read(Pasid.CAP), cap.read(Pasid.CTL)
        yield f"\t\tPASIDCap: {_PASID_CAN(can)}, Max PASID Width: {can.WIDTH:02x}"
        yield f"\t\tPASIDCtl: Enable{sign(control.E)} {_PASID_CONTROL(control)}"


def single_root_virtualization(cap: Capability) -> Iterator[str]:
    """Single Root I/O Virtualization."""
    yield "Single Root I/O Virtualization (SR-IOV)"
    if not cap.shows(SrIov):
        return
    can = cap.read(SrIov.CAP)
    yield f"\t\tIOVCap:\tMigration{sign(can.VFMC)} 10BitTagReq{sign(can.TAG10)} IntMsgNum {can.VFMIMN}"
    yield f"\t\tIOVCtl:\t{_IOV_CONTROL(cap.read(SrIov.CTL))}"
    yield f"\t\tIOVSta:\tMigration{sign(cap.read(SrIov.STA).VFMS)}"
    yield (
        f"\t\tInitial VFs: {cap.read(SrIov.INITIAL_VFS).NUM}, Total VFs: {cap.read(SrIov.TOTAL_VFS).NUM}, "
        f"Number of VFs: {cap.read(SrIov.NUM_VFS).NUM}, "
        f"Function Dependency Link: {cap.read(SrIov.FUNC_DEP_LINK).FN:02x}"
    )
    yield (
        f"\t\tVF offset: {cap.read(SrIov.FIRST_VF_OFFSET).NUM}, stride: {cap.read(SrIov.VF_STRIDE).NUM}, "
        f"Device ID: {cap.read(SrIov.VF_DEVICE_ID).ID:04x}"
    )
    supported, chosen = cap.read(SrIov.SUPPORTED_PAGE_SIZES).SIZES, cap.read(SrIov.SYSTEM_PAGE_SIZE).SIZE
    yield f"\t\tSupported Page Size: {supported:08x}, System Page Size: {chosen:08x}"
    yield from _vf_bars(cap)
    array = cap.read(SrIov.MIGRATION_STATE)
    yield f"\t\tVF Migration: offset: {array.raw - array.BIR:08x}, BIR: {array.BIR:x}"


def _vf_bars(cap: Capability) -> Iterator[str]:
    places = [*SrIov.VF_BAR.offsets(), SrIov.MIGRATION_STATE.at]  # a 64-bit last BAR reads past the row
    index = 0
    while index < SrIov.VF_BAR.count:
        bar, number = cap.read(VfBar, places[index]), index
        index += 1
        if bar.raw in (0, _ALL_ONES):
            continue
        high = ""
        if bar.TYPE == BarType.BITS64:
            high = f"{cap.read(VfBar, places[index]).raw:08x}"
            index += 1
        width = 32 if bar.TYPE == BarType.BITS32 else 64
        address = f"{high}{bar.raw & VfBar.BASE.mask:08x}"
        kind = "" if bar.PREFETCH else "non-"
        yield f"\t\tRegion {number}: Memory at {address} ({width}-bit, {kind}prefetchable)"
