"""Where a recording is to stop: a step, a virtual time, a function."""

import re
from collections.abc import Callable
from typing import NamedTuple

from pvtrace.model.errors import UsageError

_POWERS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class Until(NamedTuple):
    """One of them is set, or none: `ticks` of virtual time, `address` linear."""

    step: int | None = None
    ticks: int | None = None
    address: int | None = None


def parse(text: str | None, hz: int, address_of: Callable[[str], int | None]) -> Until:
    """ "1000000", "1_000_000", "3M" (powers of 1000), "20s", "0.5s" or a symbol of the guest."""
    if text is None:
        return Until()
    if steps := re.fullmatch(r"(\d+)([kKmMgG]?)", text.replace(",", "").replace("_", "")):
        return Until(step=int(steps[1]) * _POWERS[steps[2].lower()])
    if seconds := re.fullmatch(r"(\d+(?:\.\d+)?)s", text):
        return Until(ticks=int(float(seconds[1]) * hz))
    address = address_of(text)
    if address is None:
        raise UsageError(f"--until {text}: not a step, not seconds such as 20s, and the guest has no such symbol")
    return Until(address=address)
