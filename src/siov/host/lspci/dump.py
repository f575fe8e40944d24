"""Configuration bytes as text: `lspci -x`, and reading it back."""

import re
from collections.abc import Iterator

from siov.errors import SiovError
from siov.host.lspci.view import Address, PciFunctionView

_MOST = 4096
_SHOWN = {3: 256, 4: _MOST}  # number of -x -> bytes

_ADDRESS = re.compile(
    r"(?:(?P<domain>[0-9a-f]{4,6}):)?(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})\.(?P<function>[0-9]) ", re.I
)
_BYTES = re.compile(r"(?P<at>[0-9a-f]{2,8}): (?P<bytes>.*)", re.I)
_BYTE = re.compile(r"([0-9a-f]{2})(?: |$)", re.I)


class DumpError(SiovError):
    """A file that is no dump of configuration space."""


def hexadecimal(view: PciFunctionView, count: int) -> Iterator[str]:
    """The bytes as `count` -x show them, sixteen a line."""
    if not view.readable:
        yield "WARNING: Cannot show hex-dump of the config space"
        return
    size = 64
    for least, wanted in _SHOWN.items():
        if count >= least and view.covers(wanted):
            size = wanted
    for at in range(0, size, 16):
        yield f"{at:02x}: {view.config[at : at + 16].hex(' ')}"


def parse(text: str, name: str) -> list[PciFunctionView]:
    """The functions in the output of `lspci -x`, `-xxx` or `-xxxx`; `name` is the file's, for a DumpError."""
    functions: list[tuple[Address, bytearray]] = []
    current: bytearray | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line:
            current = None
        elif found := _ADDRESS.match(line):
            numbers = (found["domain"] or "0", found["bus"], found["device"], found["function"])
            current = bytearray()
            functions.append((Address(*(int(text, 16) for text in numbers)), current))
        elif current is not None and (found := _BYTES.match(line)):
            _put(current, int(found["at"], 16), found["bytes"], f"{name}, line {number}")
    return [PciFunctionView(address, bytes(config)) for address, config in functions]


def _put(config: bytearray, at: int, text: str, where: str) -> None:
    data = bytearray()
    end = 0
    while found := _BYTE.match(text, end):
        data.append(int(found[1], 16))
        end = found.end()
    if end != len(text):
        raise DumpError(f"{where}: {text[end:]!r} is not two hexadecimal digits and a space")
    if at + len(data) > _MOST:
        raise DumpError(f"{where}: a function has {_MOST} bytes of configuration space at most")
    if data:
        config.extend(b"\xff" * (at - len(config)))
        config[at : at + len(data)] = data
