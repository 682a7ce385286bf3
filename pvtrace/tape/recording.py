"""The tape of a recording: asks the outside world and keeps all that it says, and all that the machine does."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, unpack
from pvtrace.model.step import Step


class Outside(Protocol):
    """The outside world: a Tape without `saw`."""

    def read(self, step: Step, kind: InputKind) -> Input: ...
    def due(self, step: Step) -> Step: ...
    def take(self, step: Step) -> Sequence[Input]: ...
    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None: ...


class Sink(Protocol):
    """Keeps what it is given, in order (store.writer.TraceWriter)."""

    def input(self, item: Input) -> None: ...
    def event(self, event: Event) -> None: ...
    def many(self, events: Packed) -> None: ...


class RecordingTape:
    """Satisfies model.inputs.Tape. `observer` is told of each event after it was kept. `taken`: a step at which the
    outside was asked already."""

    def __init__(
        self,
        sink: Sink,
        outside: Outside,
        observer: Callable[[Event], None] | None = None,
        taken: Step | None = None,
    ) -> None:
        self._sink = sink
        self._outside = outside
        self.observer = observer
        self._taken = taken
        self._halted: Step | None = None
        self._unanswered = 0

    def read(self, step: Step, kind: InputKind) -> Input:
        return self._kept(self._outside.read(step, kind))

    def due(self, step: Step) -> Step:
        return self._outside.due(step)

    def take(self, step: Step) -> Sequence[Input]:
        """Asks only once at each step, or once more after each halt that ends there.

        A replay hands out everything of a step when it is first asked, so a recording must not depend on being asked
        again, which happens whenever a run is split at that step.
        """
        if step == self._taken:
            return ()
        self._taken = step
        return [self._kept(item) for item in self._outside.take(step)]

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        """A halt may ask several times at one step, while alarms pass that wake nobody. The log then has to tell which
        question was answered: the number of those before, since the last answer, is the input's data in digits."""
        if step != self._halted:
            self._halted, self._unanswered = step, 0
        item = self._outside.idle(step, now, alarm)
        if item is None:
            self._unanswered += 1
            return None
        if self._unanswered:
            item = item._replace(data=b"%d" % self._unanswered)
        self._taken, self._halted = None, None
        return self._kept(item)

    def saw(self, event: Event) -> None:
        self._sink.event(event)
        if self.observer is not None:
            self.observer(event)

    def saw_many(self, events: Packed) -> None:
        self._sink.many(events)
        if self.observer is not None:
            for event in unpack(events.data):
                self.observer(event)

    def _kept(self, item: Input) -> Input:
        self._sink.input(item)
        return item
