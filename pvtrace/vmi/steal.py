"""Stolen time: when the hypervisor gives the CPU to somebody else (vmi: timer interface, the scheduling model).

A schedule says at which times of the real counter the CPU cannot run. It says nothing of the guest: a guest that is
halted then loses nothing until it has something to do. Pure; the machine asks for the next window.
"""

import re
from dataclasses import dataclass
from typing import Final

_NS: Final = 1_000_000_000
_UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": _NS}
_TIME: Final = re.compile(r"(\d+)(ns|us|ms|s)")


@dataclass(frozen=True, slots=True)
class Steal:
    """The last `stolen` of every `period`, and the `windows` (from, to); all in nanoseconds of the real counter."""

    stolen: int = 0
    period: int = 0
    windows: tuple[tuple[int, int], ...] = ()


NOTHING: Final = Steal()
"""The CPU can always run."""


def parse(text: str) -> Steal:
    """'10ms/100ms': the last 10 ms of each 100 ms; '4ms-5ms': once, between these times; several with commas.

    The empty text is NOTHING. Raises ValueError, with a sentence, for anything else.
    """
    stolen = period = 0
    windows: list[tuple[int, int]] = []
    for item in text.split(",") if text else []:
        first, separator, second = item.partition("/" if "/" in item else "-")
        low, high = _nanoseconds(first, item), _nanoseconds(second, item)
        if low >= high:
            raise ValueError(f"{item!r} leaves the guest no time: write the smaller time first")
        if separator == "-":
            windows.append((low, high))
        elif period:
            raise ValueError(f"{text!r} has two periods; one is all that a schedule can have")
        else:
            stolen, period = low, high
    return Steal(stolen, period, tuple(sorted(windows)))


def _nanoseconds(text: str, item: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{item!r} is no schedule; write 10ms/100ms, or 4ms-5ms (units: ns, us, ms, s)")
    return int(match[1]) * _UNITS[match[2]]


def text(steal: Steal) -> str:
    """The inverse of `parse`."""
    regular = [f"{steal.stolen}ns/{steal.period}ns"] if steal.period else []
    return ",".join([*regular, *(f"{low}ns-{high}ns" for low, high in steal.windows)])


def window(steal: Steal, real: int, hz: int) -> tuple[int, int] | None:
    """The window that contains the real counter `real`, else the next one; in ticks, its end not included.

    A window shorter than a tick is none, and of every period the guest has one tick at least.
    """
    found = [(_ticks(low, hz), _ticks(high, hz)) for low, high in steal.windows]
    if steal.period:
        first = real * _NS // hz // steal.period
        ends = [(number + 1) * steal.period for number in (first, first + 1)]
        for end in ends:
            begin = max(_ticks(end - steal.stolen, hz), _ticks(end - steal.period, hz) + 1)
            found.append((begin, _ticks(end, hz)))
    return min(((low, high) for low, high in found if high > max(real, low)), default=None)


def _ticks(nanoseconds: int, hz: int) -> int:
    return nanoseconds * hz // _NS
