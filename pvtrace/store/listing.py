"""A trace as it is listed: events by kind, step and address, counts, and what people ask in SQL."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from sqlite_utils import Database

from pvtrace.model.errors import TraceError
from pvtrace.model.events import Event, Kind
from pvtrace.model.step import NEVER, RESET, Step
from pvtrace.store import database
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import EVENT_COLUMNS, Value, row_event

CHUNK: Final = 4096

_PATIENCE: Final = 50_000
"""Steps of SQLite's machine between two looks at whether a question is given up."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events. `kinds`: None for all. Steps and linear addresses from the first to the last, both included."""

    kinds: frozenset[Kind] | None = None
    since: Step = RESET
    until: Step = NEVER
    lowest: int = 0
    highest: int = 0xFFFFFFFF

    def where(self) -> tuple[str, list[Value]]:
        """As a condition, but for the steps; only what is asked for, so that an index can serve it."""
        conditions = ["TRUE"]
        parameters: list[Value] = []
        if self.kinds is not None:
            conditions.append(f"kind IN ({','.join(str(int(kind)) for kind in sorted(self.kinds))})")
        if (self.lowest, self.highest) != (0, 0xFFFFFFFF):
            conditions.append("pc BETWEEN ? AND ?")
            parameters += self.lowest, self.highest
        return " AND ".join(conditions), parameters


EVERYTHING: Final = Selection()


class Count(NamedTuple):
    """How often: `what` is a Kind, or the number of a VMI call (generation << 8 | number)."""

    what: int
    times: int
    first: Step
    last: Step


def select(trace: TraceReader, selection: Selection = EVERYTHING) -> Iterator[tuple[int, Event]]:
    """The events with their numbers, in order."""
    where, parameters = selection.where()
    numbers = _numbers(trace, selection)
    since = numbers.start
    sql = f"SELECT seq, {EVENT_COLUMNS} FROM event WHERE seq >= ? AND seq < ? AND {where} ORDER BY seq LIMIT {CHUNK}"
    while rows := trace.rows(sql, [since, numbers.stop, *parameters]):
        for seq, *row in rows:
            with database.reading(trace.path):
                event = row_event(tuple(row))
            yield seq, event
        since = rows[-1][0] + 1


def count_kinds(trace: TraceReader, selection: Selection = EVERYTHING) -> list[Count]:
    """By kind, in the order of their numbers."""
    return _counted(trace, "kind", selection)


def count_calls(trace: TraceReader, selection: Selection = EVERYTHING) -> list[Count]:
    """VMI calls by number. None if the selection leaves calls out."""
    if selection.kinds is not None and Kind.HYPERCALL not in selection.kinds:
        return []
    return _counted(trace, "a", replace(selection, kinds=frozenset([Kind.HYPERCALL])))


def _counted(trace: TraceReader, column: str, selection: Selection) -> list[Count]:
    where, parameters = selection.where()
    numbers = _numbers(trace, selection)
    which = f"seq >= ? AND seq < ? AND {where}"
    sql = f"SELECT {column}, count(*), min(step), max(step) FROM event WHERE {which} GROUP BY {column}"
    return [Count(*row) for row in trace.rows(sql, [numbers.start, numbers.stop, *parameters])]


def _numbers(trace: TraceReader, selection: Selection) -> range:
    """The numbers of the events of those steps. Events are numbered in the order of their steps."""

    def step(number: int) -> Step:
        rows = trace.rows("SELECT step FROM event WHERE seq = ?", (number,))
        if not rows:
            raise TraceError(f"{trace.path} is damaged: event {number} is missing")
        return Step(rows[0][0])

    every = range(trace.progress().mark.events)
    start = bisect_left(every, selection.since, key=step) if selection.since != RESET else 0
    stop = bisect_right(every, selection.until, key=step) if selection.until != NEVER else len(every)
    return range(start, stop)


def table_sizes(trace: TraceReader) -> dict[str, int]:
    """Rows of each table that grows."""
    tables = ("input", "event", "checkpoint", "checkpoint_page", "blob", "symbol", "finding", "bookmark")
    return {table: trace.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def input_bytes(trace: TraceReader) -> int:
    """Bytes of all that came from outside: 8 for a number, and the console's own."""
    sql = "SELECT coalesce(sum(length(bytes) + CASE WHEN value IS NULL THEN 0 ELSE 8 END), 0) FROM input WHERE seq < ?"
    return int(trace.rows(sql, (trace.progress().mark.inputs,))[0][0])


def query(path: Path, sql: str, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Mapping[str, Value]]:
    """Any SELECT over tables and views, each row by column name. Raises UsageError for SQL that cannot be run, or if
    `interrupted`, which is asked now and then, says so."""
    connection = database.open_to_read(path)
    connection.set_progress_handler(interrupted, _PATIENCE)
    try:
        with database.asking(path):
            yield from Database(connection).query(sql)
    finally:
        connection.close()
