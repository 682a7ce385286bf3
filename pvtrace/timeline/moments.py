"""Events of a recording by where they are: found in the file, without running anything."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import EVENT_COLUMNS, Value, row_event

CHUNK: Final = 64

Test = Callable[[Event], bool]


def following(trace: TraceReader, kinds: frozenset[Kind], step: Step, test: Test | None = None) -> Event | None:
    """The first event of these kinds after `step`."""
    return _first(trace, kinds, step, test, forward=True)


def preceding(trace: TraceReader, kinds: frozenset[Kind], step: Step, test: Test | None = None) -> Event | None:
    """The last event of these kinds before `step`."""
    return _first(trace, kinds, step, test, forward=False)


def some_after(trace: TraceReader, kinds: frozenset[Kind], step: Step, most: int) -> list[Event]:
    """The first few behind `step`, in order."""
    return list(islice(_walk(trace, kinds, step, forward=True), most))


def some_before(trace: TraceReader, kinds: frozenset[Kind], step: Step, most: int) -> list[Event]:
    """The last few before `step`, in order."""
    return list(islice(_walk(trace, kinds, step, forward=False), most))[::-1]


def at(trace: TraceReader, step: Step) -> list[tuple[int, Event]]:
    """The events of one step with their numbers, in order."""
    rows = trace.rows(f"SELECT seq, {EVENT_COLUMNS} FROM event WHERE step = ? ORDER BY seq", (step,))
    return [(row[0], row_event(tuple(row[1:]))) for row in rows]


def numbered(trace: TraceReader, number: int) -> Event | None:
    """The event with this number."""
    rows = trace.rows(f"SELECT {EVENT_COLUMNS} FROM event WHERE seq = ?", (number,))
    return row_event(tuple(rows[0])) if rows else None


def caused_by(trace: TraceReader, number: int, kind: Kind, since: Step) -> Event | None:
    """The first event of a kind that event `number` brought about, looked for from step `since` on."""
    sql = f"SELECT {EVENT_COLUMNS} FROM event WHERE kind = ? AND cause = ? AND step >= ? ORDER BY step, seq LIMIT 1"
    rows = trace.rows(sql, (int(kind), number, since))
    return row_event(tuple(rows[0])) if rows else None


def _first(trace: TraceReader, kinds: frozenset[Kind], step: Step, test: Test | None, *, forward: bool) -> Event | None:
    return next((event for event in _walk(trace, kinds, step, forward) if test is None or test(event)), None)


def _walk(trace: TraceReader, kinds: frozenset[Kind], step: Step, forward: bool) -> Iterator[Event]:
    among = ",".join(str(int(kind)) for kind in sorted(kinds))
    side, order = (">", "ASC") if forward else ("<", "DESC")
    skipped = 0
    while kinds:
        sql = (
            f"SELECT {EVENT_COLUMNS} FROM event WHERE kind IN ({among}) AND step {side} ? "
            f"ORDER BY step {order}, seq {order} LIMIT {CHUNK} OFFSET ?"
        )
        parameters: Sequence[Value] = (step, skipped)
        rows = trace.rows(sql, parameters)
        yield from (row_event(tuple(row)) for row in rows)
        if len(rows) < CHUNK:
            return
        skipped += CHUNK
