"""What a function does with an error it sees: status bits, AER, an error message (PCIe 6.2)."""

from siov.hw.pcie.config import ConfigSpace
from siov.hw.pcie.tlp import Bdf, Msg, MWr, Tlp
from siov.spec.pcie import Express, Type0
from siov.spec.pcie.extended import (
    Aer,
    CorrectableErrors,
    CorrectableMask,
    UncorrectableErrors,
    UncorrectableMask,
    UncorrectableSeverity,
)
from siov.spec.pcie.tlp import MessageCode
from siov.spec.word import Field

UR = UncorrectableErrors.UR
CA = UncorrectableErrors.CA
CTO = UncorrectableErrors.CTO
MTLP = UncorrectableErrors.MTLP


def report(config: ConfigSpace, source: Bdf, error: Field, tlp: Tlp | None = None) -> Msg | None:
    """Record an uncorrectable error and give the message to send up, if any is to be sent.

    An error that the requester hears of anyway, through a completion, is only advisory (PCIe 6.2.3.2.4).
    """
    if Express.DEVSTA not in config:
        return None
    if error is CTO:
        tlp = None  # AER's CAP.CTPHLC is 0: the header of a request that timed out is not logged
    fatal = _is_fatal(config, error)
    told = tlp is not None and not isinstance(tlp, MWr) and error in (UR, CA)
    if error is UR:
        config.update(Express.DEVSTA, URD=1)
    if told and not fatal:
        return _report_advisory(config, source, error, tlp)
    config.update(Express.DEVSTA, **{"FED" if fatal else "NFED": 1})
    if not _log(config, error, tlp):
        return None
    control, command = config[Express.DEVCTL], config[Type0.COMMAND]
    enabled = control.FERE if fatal else control.NFERE
    if error is UR:
        enabled = enabled and control.URRE
    if not (enabled or command.SERRE):
        return None
    if command.SERRE:
        config.update(Type0.STATUS, SSE=1)
    return Msg(source, MessageCode.ERR_FATAL if fatal else MessageCode.ERR_NONFATAL)


def _report_advisory(config: ConfigSpace, source: Bdf, error: Field, tlp: Tlp | None) -> Msg | None:
    config.update(Express.DEVSTA, CED=1)
    if CorrectableErrors not in config:
        return None  # without AER an advisory error sends no message
    config.update(CorrectableErrors, ADVNFERR=1)
    if config[CorrectableMask].ADVNFERR:
        return None
    _log(config, error, tlp)  # its mask withholds the log, not the message (PCIe 6.2.4.3)
    control = config[Express.DEVCTL]
    enabled = control.CERE and (control.URRE or error is not UR)
    return Msg(source, MessageCode.ERR_COR) if enabled else None


def _is_fatal(config: ConfigSpace, error: Field) -> bool:
    if UncorrectableSeverity not in config:
        return bool(UncorrectableSeverity.initial().raw & error.mask)
    return bool(config[UncorrectableSeverity].raw & error.mask)


def _log(config: ConfigSpace, error: Field, tlp: Tlp | None) -> bool:
    """Set the bit in UESTA and, for the first unmasked error, pointer and header; False when it is masked."""
    if UncorrectableErrors not in config:
        return True
    status, mask = config[UncorrectableErrors], config[UncorrectableMask]
    config[UncorrectableErrors] = UncorrectableErrors(status.raw | error.mask)
    if mask.raw & error.mask:
        return False
    if not status.raw & ~mask.raw:
        config.update(Aer.CAP, FEP=error.lo)
        prefix = config.name_of(Aer.CAP).rpartition(".")[0]
        header = (tlp.header() if tlp is not None else ()) + (0,) * 4
        for n, dw in enumerate(header[:4]):
            config.regs.set(f"{prefix}.HDRLOG{n}", dw)
    return True
