"""Which functions to list: the selectors of -s and -d."""

from dataclasses import dataclass

from siov.errors import SiovError
from siov.host.lspci.view import PciFunctionView

_SLOT_FORM = "[[[<domain>]:]<bus>]:][<device>][.[<func>]]"
_DIGITS = set("0123456789abcdef")
_ID_FORM = "[<vendor>]:[<device>][:<class>[:<prog-if>]]"


class SelectorError(SiovError):
    """A selector that can't be read."""


@dataclass(slots=True, frozen=True)
class Pattern:
    """A number to compare with, and the bits of it that count."""

    value: int = 0
    mask: int = 0

    def matches(self, number: int) -> bool:
        """Whether the number has the value in the bits that count."""
        return not (number ^ self.value) & self.mask


@dataclass(slots=True, frozen=True)
class Selector:
    """What a function must match; a pattern that was not given matches all."""

    domain: Pattern = Pattern()
    bus: Pattern = Pattern()
    device: Pattern = Pattern()
    function: Pattern = Pattern()
    vendor_id: Pattern = Pattern()
    device_id: Pattern = Pattern()
    class_id: Pattern = Pattern()
    prog_if: Pattern = Pattern()

    @classmethod
    def of(cls, slot: str | None, ids: str | None) -> "Selector":
        """The selector of the texts of -s and -d; a text that can't be read raises SelectorError."""
        return cls(*_slot(slot or ""), *_ids(ids or ":"))

    def matches(self, view: PciFunctionView) -> bool:
        """Whether the function is selected."""
        at = view.address
        return (
            self.domain.matches(at.domain)
            and self.bus.matches(at.bus)
            and self.device.matches(at.device)
            and self.function.matches(at.function)
            and self.vendor_id.matches(view.vendor)
            and self.device_id.matches(view.device)
            and self.class_id.matches(view.class_id)
            and self.prog_if.matches(view.prog_if)
        )


def _slot(text: str) -> tuple[Pattern, ...]:
    where = f"-s {text}"
    *above, last = text.split(":")
    device, *function = last.split(".")
    if len(above) > 2 or len(function) > 1:
        raise SelectorError(f"{where}: too many fields; the form is {_SLOT_FORM}")
    domain, bus = ["", "", *above][-2:]
    return (
        _number(domain, "domain", 0x7FFF_FFFF, where),
        _number(bus, "bus", 0xFF, where),
        _number(device, "device", 0x1F, where),
        _number(function[0] if function else "", "function", 7, where),
    )


def _ids(text: str) -> tuple[Pattern, ...]:
    where = f"-d {text}"
    fields = text.split(":")
    if not 2 <= len(fields) <= 4:
        raise SelectorError(f"{where}: {len(fields)} fields; the form is {_ID_FORM}")
    vendor, device, class_id, prog_if = [*fields, "", ""][:4]
    return (
        _number(vendor, "vendor", 0xFFFF, where),
        _number(device, "device", 0xFFFF, where),
        _number(class_id, "class", 0xFFFF, where, wildcards=True),
        _number(prog_if, "prog-if", 0xFF, where),
    )


def _number(text: str, what: str, most: int, where: str, wildcards: bool = False) -> Pattern:
    """A field's pattern; x stands for any digit where wildcards are allowed."""
    if text in ("", "*"):
        return Pattern()
    digits = text.lower() if wildcards else text.lower().removeprefix("0x")
    if set(digits) - _DIGITS - ({"x"} if wildcards else set()):
        raise SelectorError(f"{where}: {what} {text!r} is not hexadecimal; 0 to {most:x}, or *")
    if int(digits.replace("x", "1") or "0", 16) > most:
        raise SelectorError(f"{where}: {what} {text} is over {most:x}")
    mask = -1  # digits above those that are given count as 0
    for place, digit in enumerate(reversed(digits)):
        if digit == "x":
            mask &= ~(0xF << 4 * place)
    return Pattern(int(digits.replace("x", "0") or "0", 16), mask)
