"""The tape of a run that is only watched: hands out what was recorded, and takes what happens for what was recorded.

Whoever uses it holds the state against the checkpoints (their states count the events), which costs far less than to
compare each event; `tape.replaying` says where a difference begins.
"""

from collections.abc import Callable, Iterable

from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, unpack
from pvtrace.model.step import Step
from pvtrace.tape.queue import InputQueue


class TrustingTape:
    """Satisfies model.inputs.Tape. `events`: how many there were; `watch` is told of each."""

    def __init__(self, inputs: Iterable[Input], watch: Callable[[Event], None]) -> None:
        self._inputs = InputQueue(inputs)
        self._watch = watch
        self.events = 0
        self.due = self._inputs.due
        self.take = self._inputs.take

    def read(self, step: Step, kind: InputKind) -> Input:
        return self._inputs.read(step, kind)

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        del now, alarm  # the record alone decides
        return self._inputs.idle(step)

    def saw(self, event: Event) -> None:
        self.events += 1
        self._watch(event)

    def saw_many(self, events: Packed) -> None:
        for event in unpack(events.data):
            self.saw(event)
