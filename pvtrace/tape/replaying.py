"""The tape of a replay: hands out what was recorded, and holds everything that happens against the record."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pvtrace.model.digest import START, Mark, without_trailing_none
from pvtrace.model.errors import Diverged
from pvtrace.model.events import KINDS, Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.step import Step
from pvtrace.tape.queue import InputQueue


class Source(Protocol):
    """A recording (store.reader.TraceReader); both iterate from that number on, in order."""

    def inputs(self, since: int = 0) -> Iterator[Input]: ...
    def events(self, since: int = 0) -> Iterator[Event]: ...


def plain_words(event: Event) -> str:
    """An event for people, from its columns alone."""
    info = KINDS[event.kind]
    words = [
        f"{name}={_value(value)}" for name, value in zip(info.columns, event.args, strict=False) if value is not None
    ]
    caused = "" if event.cause is None else f" caused by event {event.cause}"
    return " ".join([info.name, f"at {event.pc:08x} with flags {event.flags:#x}", *words]) + caused


def _value(value: int | bytes | str | None) -> str:
    return f"{value:#x}" if isinstance(value, int) else repr(value)


class ReplayingTape:
    """Satisfies model.inputs.Tape; raises Diverged at the first event that is not the recorded one.

    `start`: where the machine stands, the mark of the checkpoint that it was restored from. `words` says an event in
    words, `where` names the place of one ("" or something like " in main+0x12"). `observer` is told of each event that
    was as recorded.
    """

    def __init__(
        self,
        source: Source,
        start: Mark = START,
        *,
        words: Callable[[Event], str] = plain_words,
        where: Callable[[Event], str] = lambda _: "",
        observer: Callable[[Event], None] | None = None,
    ) -> None:
        self._inputs = InputQueue(source.inputs(start.inputs))
        self._events = source.events(start.events)
        self._start = start
        self._count = start.events
        self._words = words
        self._where = where
        self._observer = observer

    @property
    def mark(self) -> Mark:
        """How much the replay has taken and done so far. It has no digests: each event was compared with the record,
        and it is the record that is held against its digests (store.reader)."""
        return Mark(self._start.inputs + self._inputs.handed_out, self._count)

    def read(self, step: Step, kind: InputKind) -> Input:
        return self._inputs.read(step, kind)

    def due(self, step: Step) -> Step:
        return self._inputs.due(step)

    def take(self, step: Step) -> Sequence[Input]:
        return self._inputs.take(step)

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        del now, alarm  # the record alone decides
        return self._inputs.idle(step)

    def saw(self, event: Event) -> None:
        recorded = next(self._events, None)
        if recorded != event:
            self._hold(recorded, event)
        self._count += 1
        if self._observer is not None:
            self._observer(event)

    def assert_exhausted(self, step: Step) -> None:
        """The replay has come to `step`: raises Diverged if something recorded until there did not happen."""
        self._inputs.assert_exhausted(step)
        missing = next(self._events, None)
        if missing is not None and missing.step <= step:
            raise Diverged(missing.step, self._words(missing), "nothing", self._where(missing))

    def _hold(self, recorded: Event | None, event: Event) -> None:
        """Raises Diverged unless they differ only in what is not stored."""
        if recorded is None:
            raise Diverged(event.step, "no further event", self._words(event), self._where(event))
        if _comparable(recorded) != _comparable(event):
            raise self._difference(recorded, event)

    def _difference(self, recorded: Event, event: Event) -> Diverged:
        wanted, got = self._words(recorded), self._words(event)
        if recorded.step != event.step:
            wanted, got = f"{wanted} at step {recorded.step}", f"{got} at step {event.step}"
        elif wanted == got:  # words leave out what rarely matters
            wanted, got = plain_words(recorded), plain_words(event)
        first = recorded if recorded.step <= event.step else event
        return Diverged(first.step, wanted, got, self._where(first))


def _comparable(event: Event) -> tuple[object, ...]:
    """Without what is not stored: whether missing arguments are written as None."""
    return (*event[:4], without_trailing_none(event.args), event.cause)
