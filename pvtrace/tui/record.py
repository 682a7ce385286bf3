"""The recording as panes read it: a few rows at a time, by number, whatever its size. Keeps no rows.

The thread of the screen has one of its own, over a connection of its own: what the worker does never holds it up. How
things are said is given (Voice).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import islice
from typing import Any, Final

from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.session import names
from pvtrace.session.replay import Words
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import EVENT_COLUMNS, SourceLine, row_event

Numbered = tuple[int, Event]
"""An event with its number."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How things become text: events (report.describe), the VGA's text memory as lines (report.screen)."""

    words: Words
    screen: Callable[[bytes], list[str]]


class Record:
    """Over one trace, for one thread."""

    def __init__(self, trace: TraceReader, voice: Voice) -> None:
        self.trace = trace
        self.voice = voice
        self.symbols = names.stored(trace)

    @cached_property
    def has_sources(self) -> bool:
        """Whether any address has a source line."""
        return bool(self.trace.rows("SELECT 1 FROM source_line LIMIT 1"))

    # ------------------------------------------------------------------ words

    def words(self, event: Event) -> str:
        return self.voice.words(event, self.symbols.at)

    def place(self, address: int) -> str:
        """'main+0x12', or '00101234' where there is no name."""
        return self.symbols.at(address) or f"{address:08x}"

    def source(self, address: int) -> SourceLine | None:
        """File and line of an instruction, if the recording has debugging information."""
        return self.trace.line_at(address)

    # ------------------------------------------------------------------ events

    def event(self, number: int) -> Event | None:
        rows = self._rows("seq = ?", [number], 1, forward=True)
        return rows[0][1] if rows else None

    def after(self, number: int, count: int, kinds: frozenset[Kind] | None = None) -> list[Numbered]:
        """The first `count` events of these kinds from this number on, in order."""
        return self._walk(number, count, kinds, forward=True)

    def before(self, number: int, count: int, kinds: frozenset[Kind] | None = None) -> list[Numbered]:
        """The last `count` events of these kinds in front of this number, in order."""
        return self._walk(number - 1, count, kinds, forward=False)[::-1]

    def at_or_before(self, step: Step) -> int | None:
        """The number of the last event at or before a step: by bisection, for there is no index of steps."""
        low, high = 0, self.trace.progress().mark.events
        while low < high:
            middle = (low + high) // 2
            if self._step(middle) <= step:
                low = middle + 1
            else:
                high = middle
        return low - 1 if low else None

    def numbers(self, kinds: frozenset[Kind], start: int, stop: int) -> list[int]:
        """The numbers of the events of these kinds from `start` up to `stop`, which is not included."""
        marks = ",".join("?" * len(kinds))
        sql = f"SELECT seq FROM event WHERE seq >= ? AND seq < ? AND kind IN ({marks})"
        return [row[0] for row in self.trace.rows(sql, (start, stop, *map(int, kinds)))]

    def next_of(self, kind: Kind, start: int) -> int | None:
        """The number of the first event of this kind from `start` on."""
        rows = self.trace.rows("SELECT seq FROM event WHERE kind = ? AND seq >= ? LIMIT 1", (int(kind), start))
        return rows[0][0] if rows else None

    def brought_about(self, number: int, count: int) -> list[Numbered]:
        """The first events whose cause is this one. They are close behind it, and only there they are looked for."""
        where = "cause = ? AND seq > ? AND seq <= ?"
        return self._rows(where, [number, number, number + NEAR], count, forward=True)

    def _step(self, number: int) -> int:
        rows = self.trace.rows("SELECT step FROM event WHERE seq = ?", (number,))
        return int(rows[0][0]) if rows else 0

    def _walk(self, start: int, count: int, kinds: frozenset[Kind] | None, *, forward: bool) -> list[Numbered]:
        """A walk for each kind, by its index, then merged: no kind is so rare that all rows must be looked at."""
        side = "seq >= ?" if forward else "seq <= ?"
        if kinds is None:
            return self._rows(side, [start], count, forward=forward)
        each = [self._rows(f"kind = ? AND {side}", [int(kind), start], count, forward=forward) for kind in kinds]
        return list(islice(merge(*each, key=_number, reverse=not forward), count))

    def _rows(self, where: str, parameters: Sequence[int], count: int, *, forward: bool) -> list[Numbered]:
        order = "ASC" if forward else "DESC"
        sql = f"SELECT seq, {EVENT_COLUMNS} FROM event WHERE {where} ORDER BY seq {order} LIMIT ?"
        return list(_numbered(self.trace.rows(sql, [*parameters, max(0, count)])))


NEAR: Final = 4096
"""Events behind one in which its consequences are looked for."""


def _number(item: Numbered) -> int:
    return item[0]


def _numbered(rows: Sequence[Any]) -> Iterator[Numbered]:
    for number, *row in rows:
        yield number, row_event(tuple(row))
