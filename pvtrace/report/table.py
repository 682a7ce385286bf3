"""Events as aligned lines of text, as strace would show them."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pvtrace.model.events import Event
from pvtrace.report.describe import Symbols, describe, no_symbols, place

_STEP: Final = 14
_PLACE: Final = 24

HEADER: Final = f"{'step':>{_STEP}}  CPL IF IOPL  {'place':<{_PLACE}}  event"
"""The title of the columns of `lines`; IF and IOPL are the guest's own."""


class Level(NamedTuple):
    """The privileges packed in an event's flags (model.events.pack_flags); IF and IOPL are the guest's own."""

    cpl: int
    interrupts: int
    iopl: int


def level(event: Event) -> Level:
    return Level(event.flags >> 35 & 3, event.flags >> 32 & 1, event.flags >> 33 & 3)


def lines(events: Iterable[Event], symbols: Symbols = no_symbols) -> Iterator[str]:
    """A line for each event, under HEADER."""
    for event in events:
        cpl, interrupts, iopl = level(event)
        before = f"{event.step:>{_STEP},}  {cpl:>3} {interrupts:>2} {iopl:>4}  {place(event.pc, symbols):<{_PLACE}}"
        yield f"{before}  {describe(event, symbols)}"


def line(event: Event, symbols: Symbols = no_symbols) -> str:
    """An event by itself: 'step 41,233  CPL 3  user_main+0x1f  POPF asked IF=0 IOPL=0: silently ignored'."""
    return f"step {event.step:,}  CPL {level(event).cpl}  {place(event.pc, symbols)}  {describe(event, symbols)}"


def columns(rows: Iterable[tuple[str, ...]], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Rows of text in columns as wide as their longest; `right`: numbers of the columns that are set to the right."""
    table = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
