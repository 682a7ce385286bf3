"""Events by where they are: found in what was written down, without running anything."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from pvtrace.model.events import Event, Kind
from pvtrace.model.step import Step
from pvtrace.store.reader import TraceReader
from pvtrace.store.rows import EVENT_COLUMNS, Value, row_event

CHUNK: Final = 64

Test = Callable[[Event], bool]


class Log(Protocol):
    """All events of a walk's past, and those of its future that are known. An event's number is its place in order."""

    def walk(self, kinds: frozenset[Kind], step: Step, forward: bool) -> Iterator[Event]:
        """Those of these kinds behind `step`, in order; or those before it, from the last one on."""
        ...

    def at(self, step: Step) -> list[tuple[int, Event]]:
        """The events of one step with their numbers, in order."""
        ...

    def numbered(self, number: int) -> Event | None: ...

    def caused_by(self, number: int, kind: Kind, since: Step) -> Event | None:
        """The first event of a kind that event `number` brought about, looked for from step `since` on."""
        ...


def following(log: Log, kinds: frozenset[Kind], step: Step, test: Test | None = None) -> Event | None:
    """The first event of these kinds after `step`."""
    return _first(log.walk(kinds, step, forward=True), test)


def preceding(log: Log, kinds: frozenset[Kind], step: Step, test: Test | None = None) -> Event | None:
    """The last event of these kinds before `step`."""
    return _first(log.walk(kinds, step, forward=False), test)


def some_after(log: Log, kinds: frozenset[Kind], step: Step, most: int) -> list[Event]:
    """The first few behind `step`, in order."""
    return list(islice(log.walk(kinds, step, forward=True), most))


def some_before(log: Log, kinds: frozenset[Kind], step: Step, most: int) -> list[Event]:
    """The last few before `step`, in order."""
    return list(islice(log.walk(kinds, step, forward=False), most))[::-1]


def _first(events: Iterator[Event], test: Test | None) -> Event | None:
    return next((event for event in events if test is None or test(event)), None)


class Written:
    """The events of a trace. Satisfies Log."""

    def __init__(self, trace: TraceReader) -> None:
        self._trace = trace

    def walk(self, kinds: frozenset[Kind], step: Step, forward: bool) -> Iterator[Event]:
        among = ",".join(str(int(kind)) for kind in sorted(kinds))
        side, order = (">", "ASC") if forward else ("<", "DESC")
        skipped = 0
        while kinds:
            sql = (
                f"SELECT {EVENT_COLUMNS} FROM event WHERE kind IN ({among}) AND step {side} ? "
                f"ORDER BY step {order}, seq {order} LIMIT {CHUNK} OFFSET ?"
            )
            parameters: tuple[Value, ...] = (step, skipped)
            rows = self._trace.rows(sql, parameters)
            yield from (row_event(tuple(row)) for row in rows)
            if len(rows) < CHUNK:
                return
            skipped += CHUNK

    def at(self, step: Step) -> list[tuple[int, Event]]:
        rows = self._trace.rows(f"SELECT seq, {EVENT_COLUMNS} FROM event WHERE step = ? ORDER BY seq", (step,))
        return [(row[0], row_event(tuple(row[1:]))) for row in rows]

    def numbered(self, number: int) -> Event | None:
        rows = self._trace.rows(f"SELECT {EVENT_COLUMNS} FROM event WHERE seq = ?", (number,))
        return row_event(tuple(rows[0])) if rows else None

    def caused_by(self, number: int, kind: Kind, since: Step) -> Event | None:
        sql = f"SELECT {EVENT_COLUMNS} FROM event WHERE kind = ? AND cause = ? AND step >= ? ORDER BY step, seq LIMIT 1"
        rows = self._trace.rows(sql, (int(kind), number, since))
        return row_event(tuple(rows[0])) if rows else None


class Continued:
    """The events of a trace up to a step, and behind it others that are kept in memory. Satisfies Log."""

    def __init__(self, before: Log, step: Step, count: int) -> None:
        """`count`: how many events `before` has up to `step`."""
        self._before = before
        self._step = step
        self._count = count
        self._events: list[Event] = []

    def saw(self, number: int, event: Event) -> None:
        """Event `number` has happened; perhaps it is known already, from the same way gone before."""
        if number == self._count + len(self._events):
            self._events.append(event)

    def forget(self, count: int) -> None:
        """Keep as many events as `count`, together with those of the trace; the rest will not have happened."""
        del self._events[count - self._count :]

    def walk(self, kinds: frozenset[Kind], step: Step, forward: bool) -> Iterator[Event]:
        own = (event for event in (self._events if forward else reversed(self._events)) if event.kind in kinds)
        if forward:
            for event in self._before.walk(kinds, step, forward=True):
                if event.step > self._step:
                    break
                yield event
            yield from (event for event in own if event.step > step)
        else:
            yield from (event for event in own if event.step < step)
            yield from self._before.walk(kinds, Step(min(step, self._step + 1)), forward=False)

    def at(self, step: Step) -> list[tuple[int, Event]]:
        if step <= self._step:
            return self._before.at(step)
        return [(number, event) for number, event in enumerate(self._events, self._count) if event.step == step]

    def numbered(self, number: int) -> Event | None:
        if number < self._count:
            return self._before.numbered(number)
        own = number - self._count
        return self._events[own] if own < len(self._events) else None

    def caused_by(self, number: int, kind: Kind, since: Step) -> Event | None:
        before = self._before.caused_by(number, kind, since)
        if before is not None and before.step <= self._step:
            return before
        own = (event for event in self._events if event.kind is kind and event.cause == number)
        return next((event for event in own if event.step >= since), None)
