"""How much of what happens in each column of the time strip: read from the recording, and remembered.

Few events are counted; of many it is only asked whether there is one in a column, by a jump from column to column, so
that ten million cost no more than ten thousand.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pvtrace.model.events import KINDS, Kind
from pvtrace.model.step import Step
from pvtrace.tui.record import Record
from pvtrace.tui.strip import Span

COUNTED: Final = 20_000
"""Events that are looked at one by one; of more, one in a column is enough to know."""

LANES: Final[Mapping[str, frozenset[Kind]]] = {
    name: frozenset(kind for kind, info in KINDS.items() if info.family in families)
    for name, families in (
        ("calls", ("call",)),
        ("faults", ("fault",)),
        ("interrupts", ("interrupt",)),
        ("flags", ("flag",)),
    )
}
"""The lanes of events by their names, from the top."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """For each column: `counts` by lane, of events (of many events 1 for any number); `cpl`: the privilege level at its
    end, None before the first event. `exact`: whether the counts are numbers of events."""

    counts: Mapping[str, tuple[int, ...]]
    cpl: tuple[int | None, ...]
    exact: bool


@lru_cache(maxsize=16)
def lanes(record: Record, seen: Span, width: int) -> Lanes:
    """Of a recording that does not change while one looks."""
    ends = [record.at_or_before(Step(seen.start(column + 1, width) - 1)) for column in range(width)]
    before = record.at_or_before(Step(seen.since - 1))
    starts = [before, *ends[:-1]]
    numbers = [0 if start is None else start + 1 for start in starts]
    last = ends[-1]
    stop = 0 if last is None else last + 1
    cpl = tuple(_level(record, end) for end in ends)
    edges = [*numbers, stop]
    exact = stop - numbers[0] <= COUNTED
    count = _counted if exact else _met
    return Lanes({name: count(record, kinds, edges) for name, kinds in LANES.items()}, cpl, exact)


def _level(record: Record, number: int | None) -> int | None:
    event = None if number is None else record.event(number)
    return None if event is None else event.flags >> 35 & 3


def _counted(record: Record, kinds: frozenset[Kind], edges: Sequence[int]) -> tuple[int, ...]:
    """Events of these kinds by column; `edges`: the number of each column's first event, and the end of the last."""
    counts = [0] * (len(edges) - 1)
    for number in record.numbers(kinds, edges[0], edges[-1]):
        counts[bisect_right(edges, number) - 1] += 1
    return tuple(counts)


def _met(record: Record, kinds: frozenset[Kind], edges: Sequence[int]) -> tuple[int, ...]:
    """1 for each column with such an event."""
    met = [0] * (len(edges) - 1)
    for kind in kinds:
        column = 0
        while column < len(met):
            number = record.next_of(kind, edges[column])
            if number is None or number >= edges[-1]:
                break
            column = bisect_right(edges, number) - 1
            met[column] = 1
            column += 1
    return tuple(met)
