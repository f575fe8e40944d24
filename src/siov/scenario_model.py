"""What all parts of a scenario are made of: sizes, times, places, names."""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

TIMES = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def parse_size(value: object) -> int:
    """A number of bytes: an int, or text such as "64K" or "2G" (powers of 1,024)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)i?B?", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is no size: write bytes, or a number with K, M, G or T, such as "64K"')
    return int(match[1]) * UNITS[match[2]]


def parse_duration(value: object) -> float:
    """Seconds: a number of them, or text such as "500ms", "30s" or "2m"."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value.strip()) if isinstance(value, str) else None
    if match is None or match[2] not in TIMES:
        raise ValueError(f"{value!r} is no time: write seconds, or a number with us, ms, s, m or h")
    return float(match[1]) * TIMES[match[2]]


def parse_place(value: object) -> tuple[int, int]:
    """Device and function, as lspci writes them: "1c.0"."""
    match = re.fullmatch(r"([0-9a-fA-F]{1,2})\.([0-7])", value) if isinstance(value, str) else None
    if match is None or int(match[1], 16) > 0x1F:
        raise ValueError(f'{value!r} is no place: write device and function, "00.0" to "1f.7"')
    return int(match[1], 16), int(match[2])


Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Place = Annotated[tuple[int, int], BeforeValidator(parse_place)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
Id16 = Annotated[int, Field(ge=0, le=0xFFFF)]


class Model(BaseModel):
    """What all parts share: no unknown keys, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Model):
    """What has a name of its own in a scenario."""

    name: Name
