"""A machine that can be put anywhere on one course of events: places, and how to get from one to the next.

What a course is, is decided by who derives from Explorer: what was recorded (recorded.py), what is just being recorded
(live.py), what would have been (branch.py). What to stop for is decided in search.py.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from pvtrace.model.digest import Mark
from pvtrace.model.events import Event
from pvtrace.model.inputs import Tape
from pvtrace.model.step import Step
from pvtrace.model.stops import Stop, Why
from pvtrace.timeline.checkpoints import Place, Places
from pvtrace.timeline.conditions import Happens
from pvtrace.timeline.moments import Log
from pvtrace.timeline.pace import WALKING
from pvtrace.timeline.placing import Placing

PASSED: Final = 64
"""Breakpoints passed between two looks at `interrupted`."""

NEAR: Final = 256
GROWTH: Final = 8
"""On a long way, places are kept NEAR steps in front of the goal, GROWTH times that, and so on."""

SPACING: Final = 2_000_000
"""On any way, a place is kept after this many steps."""

BUDGET: Final = 256 << 20
"""Bytes for places in memory."""

Interrupted = Callable[[], bool]

Watch = tuple[int, int, bool, bool, bool]
"""See machine.cpu.Cpu.set_watches."""


class MarkedTape(Tape, Protocol):
    """A tape that knows how much it has handed out and seen."""

    @property
    def mark(self) -> Mark: ...


def never() -> bool:
    """Nobody interrupts."""
    return False


def waypoints(start: int, goal: int) -> Iterator[Step]:
    """Where to keep places on the way from start to goal; ascending."""
    distances = []
    distance = NEAR
    while goal - start > 2 * distance:
        distances.append(distance)
        distance *= GROWTH
    return (Step(goal - distance) for distance in reversed(distances))


class Explorer(ABC):
    """`log`: the events of this course. `progress` is told now and then how far a run has come."""

    first: Step

    def __init__(self, placing: Placing, log: Log, budget: int = BUDGET) -> None:
        self.machine = placing.machine
        self.log = log
        self.progress: Callable[[Step], None] = lambda _: None
        self._placing = placing
        self._places = Places(budget)
        self._breakpoints: frozenset[int] | None = None
        self._watches: tuple[Watch, ...] | None = None
        self._happens: Sequence[Happens] = ()
        self._met: Happens | None = None
        self._slice = WALKING.fewest
        self.furthest = Step(0)
        """The highest step that was run here, and found to be as it should be."""

    # ------------------------------------------------------------------ what a course has to say

    @property
    @abstractmethod
    def last(self) -> Step:
        """The last step of the course that is known."""

    @property
    @abstractmethod
    def open(self) -> bool:
        """Whether it goes on behind `last`."""

    @abstractmethod
    def _fixed_before(self, step: int) -> Place | Step | None:
        """The nearest place at or before `step` that is there for ever, or its step if it has to be fetched."""

    @abstractmethod
    def _fixed(self, step: Step) -> Place:
        """Fetch one of those."""

    @abstractmethod
    def _tape(self, mark: Mark) -> MarkedTape:
        """To go on from a place of this mark; tells `_saw` of each event."""

    @abstractmethod
    def _mark(self) -> Mark:
        """Of where the machine stands."""

    @abstractmethod
    def _limit(self, step: Step) -> int:
        """Behind `step`: the next step at which the machine must halt for `_passed`."""

    @abstractmethod
    def _passed(self, before: Step, until: Step) -> None:
        """The machine has run from `before`, on its way to `until`, and come to a limit or to its end. Raises Diverged
        if it is not as it should be."""

    # ------------------------------------------------------------------ places

    @property
    def step(self) -> Step:
        return self.machine.step

    @property
    def ended(self) -> bool:
        """Whether the guest has come to its end here."""
        return self.machine.ended is not None

    def place_before(self, step: int) -> Step:
        """The nearest step at or before this one, not before the first, that a machine can be put to at once."""
        fixed = self._fixed_before(step)
        kept = self._places.before(step)
        steps = [item.step if isinstance(item, Place) else item for item in (fixed, kept) if item is not None]
        return max(steps, default=self.first)

    def keep(self) -> Step:
        """Make a place of where the machine stands."""
        place = self._placing.take(self._mark())
        self._places.add(place, self.step)
        return place.step

    def restore(self, step: Step) -> None:
        """Put the machine to a place."""
        place = self._places.before(step)
        if place is None or place.step != step:
            place = self._fixed(step)
            self._places.add(place, step)
        self._placing.put(place, self._tape(place.mark))

    # ------------------------------------------------------------------ running

    def look_for(
        self, breakpoints: frozenset[int], watches: tuple[Watch, ...], happens: Sequence[Happens] = ()
    ) -> None:
        """What `advance` stops at (see machine.cpu); `happens` only where the future is open, else the log knows."""
        cpu = self.machine.cpu
        if breakpoints != self._breakpoints:
            self._breakpoints = breakpoints
            cpu.set_breakpoints(sorted(breakpoints))
        if watches != self._watches:
            self._watches = watches
            cpu.set_watches(watches)
        self._happens = happens
        self._met = None
        self.machine.answers.allowed = not happens  # it pauses behind an exit, and is to stop where the event is

    def forget_what_was_looked_for(self) -> None:
        """Somebody else has set what the machine stops at."""
        self._breakpoints = self._watches = None

    def take_met(self) -> Happens | None:
        """The condition of `look_for` that an event has met, once."""
        met, self._met = self._met, None
        return met

    def _saw(self, event: Event) -> None:
        for condition in self._happens:
            if event.kind in condition.kinds and (condition.test is None or condition.test(event)):
                self._met = condition
                self.machine.pause("an event has happened")
                return

    def advance(self, until: Step, interrupted: Interrupted = never, passes: Callable[[], bool] = never) -> Stop | None:
        """Run to `until`, or to something that is looked for, or to the guest's end; None if interrupted.

        `passes`: asked at each breakpoint whether to run on. Raises Diverged if the machine does something that was
        not recorded.
        """
        machine = self.machine
        machine.cpu.take_touch()
        before = machine.step
        while before < until and not (self.open and self.ended):
            if interrupted():
                return None
            since, limit = time.monotonic(), self._limit(before)
            goal = Step(min(until, before + self._slice, limit))
            stop = machine.run(goal)
            for _ in range(PASSED):
                if stop.why is not Why.BREAKPOINT or stop.detail or machine.step >= limit or not passes():
                    break
                stop = machine.run(goal)
            step = machine.step
            self.furthest = max(self.furthest, step)
            if step >= limit or stop.ended:
                self._passed(before, until)
            if self._met is not None or stop.why is Why.WATCHPOINT:
                return stop
            if stop.why is Why.BREAKPOINT and not stop.detail and not passes():
                return stop
            if step == before + self._slice:
                self._slice = WALKING.next(self._slice, time.monotonic() - since)
            self.progress(step)
            if step - self.place_before(step) >= SPACING:
                self.keep()
            before = step
        return Stop(machine.step, Why.ARRIVED)

    def go_to(self, step: Step, interrupted: Interrupted = never) -> bool:
        """Come to a step by the shortest way; whether it was not interrupted."""
        place = self.place_before(step)
        if not place <= self.step <= step:
            self.restore(place)
        self.look_for(frozenset(), ())
        for point in waypoints(self.step, step):
            if self.advance(point, interrupted) is None:
                return False
            self.keep()
        return self.advance(step, interrupted) is not None
