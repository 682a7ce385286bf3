"""The tape of a replay: hands out what was recorded, and holds everything that happens against the record."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pvtrace.model.digest import START, Mark
from pvtrace.model.errors import Diverged
from pvtrace.model.events import KINDS, Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, pack, unpack
from pvtrace.model.step import Step
from pvtrace.tape.queue import InputQueue


class Source(Protocol):
    """A recording (store.reader.TraceReader); both iterate from that number on, in order. Events come as bytes
    (model.packed), any number of them at a time."""

    def inputs(self, since: int = 0) -> Iterator[Input]: ...
    def packed_events(self, since: int = 0) -> Iterator[bytes]: ...


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
        self._chunks = source.packed_events(start.events)
        self._chunk = b""  # recorded events, compared up to `_at`
        self._at = 0
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
        data = pack(event)
        if not self._is_next(data):
            raise self._difference(self._next(), event)
        self._at += len(data)
        self._count += 1
        if self._observer is not None:
            self._observer(event)

    def saw_many(self, events: Packed) -> None:
        if not self._is_next(events.data):
            for event in unpack(events.data):
                self.saw(event)  # which finds the first difference
            return
        self._at += len(events.data)
        self._count += events.total
        if self._observer is not None:
            for event in unpack(events.data):
                self._observer(event)

    def assert_exhausted(self, step: Step) -> None:
        """The replay has come to `step`: raises Diverged if something recorded until there did not happen."""
        self._inputs.assert_exhausted(step)
        missing = self._next()
        if missing is not None and missing.step <= step:
            raise Diverged(missing.step, self._words(missing), "nothing", self._where(missing))

    def _is_next(self, data: bytes) -> bool:
        """Whether these bytes of whole events are the next ones recorded; they may lie in two chunks."""
        if self._at == len(self._chunk):
            self._chunk, self._at = next(self._chunks, b""), 0
        elif len(self._chunk) - self._at < len(data):
            self._chunk, self._at = self._chunk[self._at :] + next(self._chunks, b""), 0
        return self._chunk.startswith(data, self._at)

    def _next(self) -> Event | None:
        """The next recorded event."""
        self._is_next(b"")
        recorded = unpack(self._chunk, self._at, 1)
        return recorded[0] if recorded else None

    def _difference(self, recorded: Event | None, event: Event) -> Diverged:
        if recorded is None:
            return Diverged(event.step, "no further event", self._words(event), self._where(event))
        wanted, got = self._words(recorded), self._words(event)
        if recorded.step != event.step:
            wanted, got = f"{wanted} at step {recorded.step}", f"{got} at step {event.step}"
        elif wanted == got:  # words leave out what rarely matters
            wanted, got = plain_words(recorded), plain_words(event)
        first = recorded if recorded.step <= event.step else event
        return Diverged(first.step, wanted, got, self._where(first))
