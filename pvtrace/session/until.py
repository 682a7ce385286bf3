"""Where a recording is to stop: a step, a virtual time, a function."""

import re
from dataclasses import dataclass

from pvtrace.model.errors import UsageError
from pvtrace.x86.elf import SymbolTable


@dataclass(frozen=True, slots=True)
class Until:
    """One of them is set, or none: `ticks` of virtual time, `address` linear."""

    step: int | None = None
    ticks: int | None = None
    address: int | None = None


def parse(text: str | None, hz: int, symbols: SymbolTable) -> Until:
    """ "1000000", "1_000_000", "20s", "0.5s" or a symbol of the guest."""
    if text is None:
        return Until()
    plain = text.replace(",", "").replace("_", "")
    if plain.isdecimal():
        return Until(step=int(plain))
    if seconds := re.fullmatch(r"(\d+(?:\.\d+)?)s", text):
        return Until(ticks=int(float(seconds[1]) * hz))
    address = symbols.address_of(text)
    if address is None:
        raise UsageError(f"--until {text}: not a step, not seconds such as 20s, and the guest has no such symbol")
    return Until(address=address)
