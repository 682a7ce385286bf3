"""A tape whose inputs are written down beforehand and whose events stay in memory: for tests and experiments."""

from collections.abc import Sequence

from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, unpack
from pvtrace.model.step import Step
from pvtrace.tape.queue import InputQueue


class ScriptedTape:
    """Satisfies model.inputs.Tape. `inputs` in order of their steps, each handed out at exactly its step; one that the
    machine passes by raises Diverged. `events` is all that the machine did."""

    def __init__(self, inputs: Sequence[Input] = ()) -> None:
        self._inputs = InputQueue(inputs)
        self.events: list[Event] = []

    def read(self, step: Step, kind: InputKind) -> Input:
        return self._inputs.read(step, kind)

    def due(self, step: Step) -> Step:
        return self._inputs.due(step)

    def take(self, step: Step) -> Sequence[Input]:
        return self._inputs.take(step)

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        del now, alarm  # the script alone decides
        return self._inputs.idle(step)

    def saw(self, event: Event) -> None:
        self.events.append(event)

    def saw_many(self, events: Packed) -> None:
        for event in unpack(events.data):
            self.saw(event)
