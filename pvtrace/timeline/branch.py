"""What would have been: a course that leaves a recording at one step, can be changed, and is compared with nothing.

From outside comes what the recording has of keys and console bytes behind that step, each at its step, or when the
guest waits for nothing else. Everything else from outside stands still: the wall clock is the last one that was read,
and with the host's clock time passes in halts alone.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pvtrace.machine.machine import Machine
from pvtrace.model.digest import Mark
from pvtrace.model.events import Event
from pvtrace.model.inputs import Input, InputKind
from pvtrace.model.packed import Packed, unpack
from pvtrace.model.step import NEVER, Step
from pvtrace.timeline.checkpoints import Place
from pvtrace.timeline.explorer import BUDGET, Explorer, MarkedTape
from pvtrace.timeline.moments import Continued, Log
from pvtrace.timeline.placing import Placing

TYPED: Final = frozenset({InputKind.CONSOLE, InputKind.KEYS})

Saw = Callable[[int, Event], None]


class BranchTape:
    """Satisfies model.inputs.Tape. `inputs`: what was recorded behind the branch's beginning; `mark`: how many that
    are typed have been handed out of those, and the number of the next event. `saw`: told of each event, with its
    number."""

    def __init__(self, inputs: Iterable[Input], wallclock: int, mark: Mark, saw: Saw) -> None:
        typed = [item for item in inputs if item.kind in TYPED]
        self._typed = deque(typed[mark.inputs :])
        self._wallclock = wallclock
        self._mark = mark
        self._saw = saw

    @property
    def mark(self) -> Mark:
        return self._mark

    def read(self, step: Step, kind: InputKind) -> Input:
        return Input(step, kind, self._wallclock)

    def due(self, step: Step) -> Step:
        return Step(max(self._typed[0].step, step + 1)) if self._typed else NEVER

    def take(self, step: Step) -> Sequence[Input]:
        taken = []
        while self._typed and self._typed[0].step <= step:
            taken.append(self._typed.popleft()._replace(step=step))
        self._mark = self._mark._replace(inputs=self._mark.inputs + len(taken))
        return taken

    def idle(self, step: Step, now: int, alarm: int | None) -> Input | None:
        """Who waits for a key and nothing else is given the next one at once."""
        if alarm is not None or not self._typed:
            return None
        self._typed[0] = self._typed[0]._replace(step=step)
        return Input(step, InputKind.WAKE, now)

    def saw(self, event: Event) -> None:
        number = self._mark.events
        self._mark = self._mark._replace(events=number + 1)
        self._saw(number, event)

    def saw_many(self, events: Packed) -> None:
        for event in unpack(events.data):
            self.saw(event)


class Branch(Explorer):
    """It begins where the machine stands. `change` makes it another one; only what is behind a change is another."""

    def __init__(self, placing: Placing, log: Log, inputs: Sequence[Input], mark: Mark, budget: int = BUDGET) -> None:
        """`inputs`: all that were recorded; `mark`: how many of them were handed out until here, and how many events
        there were."""
        self.first = placing.machine.step
        self._inputs = inputs[mark.inputs :]
        clocks = [item.value for item in inputs[: mark.inputs] if item.kind is InputKind.WALLCLOCK]
        self._wallclock = (clocks or [0])[-1] or 0
        self._own = Continued(log, self.first, mark.events)
        super().__init__(placing, self._own, budget)
        self._going = self._tape(Mark(0, mark.events))
        self._changed: dict[int, Place] = {}
        self.furthest = self.first
        self._fix()

    @property
    def last(self) -> Step:
        return self.furthest

    @property
    def open(self) -> bool:
        return True

    def change(self, apply: Callable[[Machine], None]) -> None:
        """Change the machine here. What was to come will not come."""
        apply(self.machine)
        mark = self._mark()
        self._own.forget(mark.events)
        self._places.forget_from(self.step)
        for step in [step for step in self._changed if step >= self.step]:
            del self._changed[step]
        self.furthest = self.step
        self._fix()

    def _fix(self) -> None:
        place = self._placing.take(self._mark())
        self._changed[place.step] = place
        self._placing.put(place, self._tape(place.mark))

    def _fixed_before(self, step: int) -> Place | None:
        steps = sorted(self._changed)
        index = bisect_right(steps, step) - 1
        return self._changed[steps[index]] if index >= 0 else None

    def _fixed(self, step: Step) -> Place:
        return self._changed[step]

    def _tape(self, mark: Mark) -> MarkedTape:
        self._going = BranchTape(self._inputs, self._wallclock, mark, self._happened)
        return self._going

    def _happened(self, number: int, event: Event) -> None:
        self._own.saw(number, event)
        self._saw(event)

    def _mark(self) -> Mark:
        return self._going.mark

    def _limit(self, step: Step) -> int:
        return min((changed for changed in self._changed if changed > step), default=NEVER)

    def _passed(self, before: Step, until: Step) -> None:
        """Where somebody changed something, it is changed again."""
        del until
        step = self.step
        if step > before and step in self._changed:
            self._placing.put(self._changed[step], self._tape(self._changed[step].mark))
