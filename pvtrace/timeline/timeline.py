"""The walk over a recording: what one can do, and what it promises.

Where you are is a step and nothing else: the state there does not depend on how you came (law 4). Conditions are never
part of it. Everything long can be interrupted, and stops where all behind it has been looked at. What runs is held
against the recording; a difference is a wall.
"""

from collections.abc import Callable

from pvtrace.machine.machine import Machine
from pvtrace.model.errors import Diverged
from pvtrace.model.step import Step
from pvtrace.timeline.conditions import Condition, Watchpoint
from pvtrace.timeline.explorer import Explorer, Interrupted, never
from pvtrace.timeline.search import Hit, Search, Stopping
from pvtrace.timeline.stops import Cause, Stopped, Way


class Timeline:
    """`machine` may be looked at whenever no method runs. It must not be changed."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._conditions: list[Condition] = []
        self._wall: Diverged | None = None

    @property
    def machine(self) -> Machine:
        return self._explorer.machine

    @property
    def here(self) -> Step:
        return self._explorer.step

    @property
    def first(self) -> Step:
        return self._explorer.first

    @property
    def last(self) -> Step:
        """The last step that was recorded, or that can be reached."""
        return self._explorer.last if self._wall is None else Step(min(self._explorer.last, self._wall.step - 1))

    @property
    def verified(self) -> Step:
        """The highest step that was run here and found to be as recorded."""
        return self._explorer.verified

    # ------------------------------------------------------------------ moving

    def seek(self, step: int, interrupted: Interrupted = never) -> Stopped:
        """Go to a step. One outside the recording stands for the end on that side."""
        goal = Step(min(max(step, self.first), self.last))
        try:
            arrived = self._explorer.go_to(goal, interrupted)
        except Diverged as difference:
            return self._at_wall(difference)
        if not arrived:
            return Stopped(self.here, Cause.INTERRUPTED)
        if step == goal:
            return Stopped(goal, Cause.ARRIVED)
        return self._edge(Way.BACKWARD if step < goal else Way.FORWARD)

    def move(self, steps: int, interrupted: Interrupted = never) -> Stopped:
        """Go by a number of steps; backwards if it is negative."""
        return self.seek(self.here + steps, interrupted)

    def go(self, way: Way, interrupted: Interrupted = never, until: Step | None = None) -> Stopped:
        """Go to the next condition that holds, but no further than `until`, or to the end on that side. One that holds
        here does not count.

        A watchpoint stops behind the access forwards, and in front of it backwards.
        """
        return self._search(way, self._conditions, interrupted, until)

    def last_write(self, address: int, interrupted: Interrupted = never) -> Stopped:
        """Go back to the instruction that wrote this byte (linear address) last: the stop is in front of it. If nothing
        wrote it, stay, and say BEGIN. Raises x86.view.PageFault if there is no memory there now."""
        here = self.here
        physical = self.machine.cpu.look(address)
        stopped = self._search(Way.BACKWARD, [Watchpoint(physical, 1, stores=True, physical=True)], interrupted)
        if stopped.cause is Cause.BEGIN:
            self.seek(here)
            return Stopped(here, Cause.BEGIN)
        return stopped

    def watch(self, condition: Condition) -> Callable[[], None]:
        """`go` stops for this from now on; returns the undo."""
        self._conditions.append(condition)

        def undo() -> None:
            if condition in self._conditions:
                self._conditions.remove(condition)

        return undo

    # ------------------------------------------------------------------ how

    def _search(
        self, way: Way, conditions: list[Condition], interrupted: Interrupted, until: Step | None = None
    ) -> Stopped:
        edge = self.last if way is Way.FORWARD else self.first
        limit = edge if until is None else Step(min(max(until, self.first), self.last))
        search = Search(self._explorer, conditions, interrupted)
        try:
            hit = search.forward(limit) if way is Way.FORWARD else self._backward(search, limit)
            if hit is None:
                self._explorer.go_to(limit)
                return self._edge(way) if limit == edge else Stopped(limit, Cause.ARRIVED)
            if way is Way.BACKWARD and not self._explorer.go_to(hit.step, interrupted):
                return Stopped(self.here, Cause.INTERRUPTED)
            return Stopped(self.here, Cause.HIT, hit.condition, hit.address)
        except Stopping:
            return Stopped(self.here, Cause.INTERRUPTED)
        except Diverged as difference:
            return self._at_wall(difference)

    def _backward(self, search: Search, until: Step) -> Hit | None:
        """Interrupted, it stands where all behind it has been looked at."""
        reached = [self.here]
        try:
            return search.backward(until, reached.append)
        except Stopping:
            self._explorer.go_to(reached[-1])
            raise

    def _edge(self, way: Way) -> Stopped:
        if way is Way.BACKWARD:
            return Stopped(self.here, Cause.BEGIN)
        if self._wall is not None:
            return Stopped(self.here, Cause.DIVERGED, message=str(self._wall))
        return Stopped(self.here, Cause.END)

    def _at_wall(self, difference: Diverged) -> Stopped:
        """The recording cannot be followed any further: stand in front of the step that differs."""
        self._wall = difference
        goal = Step(max(self.first, self.last))
        self._explorer.restore(self._explorer.place_before(goal))
        self._explorer.go_to(goal)
        return Stopped(self.here, Cause.DIVERGED, message=str(difference))
