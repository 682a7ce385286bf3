"""The walk over a recording: what one can do, and what it promises.

Where you are is a step and nothing else: the state there does not depend on how you came (law 4). Conditions are never
part of it. Everything long can be interrupted, and stops where all behind it has been looked at. What runs is held
against the recording; a difference is a wall.

`branch` leaves the recording: from there on the machine may be changed, and goes on by itself, compared with nothing.
What was before is the same, and whoever goes back there is in the recording again, which nothing has harmed.
"""

from collections.abc import Callable
from dataclasses import replace

from pvtrace.machine.machine import Machine
from pvtrace.model.errors import Diverged
from pvtrace.model.step import NEVER, Step
from pvtrace.timeline.branch import Branch
from pvtrace.timeline.conditions import Breakpoint, Condition, Watchpoint
from pvtrace.timeline.explorer import Explorer, Interrupted, never
from pvtrace.timeline.moments import Log
from pvtrace.timeline.recorded import Recorded
from pvtrace.timeline.search import Hit, Search, Stopping, breakpoint_at
from pvtrace.timeline.stops import Cause, Stopped, Way

LEFT = "back in the recording: what would have been is forgotten"


class Timeline:
    """`machine` may be looked at whenever no method runs, and changed by `change` alone."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._branch: Branch | None = None
        self._conditions: list[Condition] = []
        self._wall: Diverged | None = None

    @property
    def _explorer(self) -> Explorer:
        return self._branch or self._recorded

    @property
    def machine(self) -> Machine:
        return self._explorer.machine

    @property
    def here(self) -> Step:
        return self._explorer.step

    @property
    def first(self) -> Step:
        return self._recorded.first

    @property
    def last(self) -> Step:
        """The last step that was recorded, or that can be reached; in a branch, the last one that was."""
        last = self._explorer.last
        return last if self._wall is None or self._branch is not None else Step(min(last, self._wall.step - 1))

    @property
    def open(self) -> bool:
        """Whether the guest goes on behind `last`: in a branch, and while the recording is made."""
        return self._explorer.open

    @property
    def growing(self) -> bool:
        """Whether the recording itself is still being made."""
        return self._recorded.open

    @property
    def verified(self) -> Step:
        """The highest step that was run here and found to be as recorded."""
        return self._recorded.furthest

    @property
    def log(self) -> Log:
        """The events of this walk."""
        return self._explorer.log

    def progress(self, told: Callable[[Step], None]) -> None:
        """Tell this of how far a run has come, now and then."""
        self._recorded.progress = told
        if self._branch is not None:
            self._branch.progress = told

    def keep(self) -> Step:
        """Make coming back here quick."""
        return self._explorer.keep()

    # ------------------------------------------------------------------ what would have been

    @property
    def branched_at(self) -> Step | None:
        """Where the branch begins; None in the recording."""
        return None if self._branch is None else self._branch.first

    def branch(self) -> None:
        """Leave the recording here. In a branch already: nothing happens."""
        recorded = self._recorded
        if self._branch is not None:
            return
        mark = recorded.mark
        recorded.leave()
        self._branch = Branch(recorded.placing, recorded.log, recorded.source.all_inputs, mark)
        self._branch.progress = recorded.progress

    def change(self, apply: Callable[[Machine], None]) -> None:
        """Change the machine here; only in a branch. What follows is then another future."""
        if self._branch is None:
            raise ValueError("a recording cannot be changed")
        self._branch.change(apply)

    def rejoin(self) -> Stopped:
        """Back to the recording, to where the branch left it."""
        if self._branch is None:
            return Stopped(self.here, Cause.ARRIVED)
        return self.seek(self._drop())

    def _drop(self) -> Step:
        """The branch is over, and the machine somewhere in the recording; returns where the branch began."""
        branch, self._branch = self._branch, None
        assert branch is not None
        self._recorded.forget_what_was_looked_for()
        self._recorded.restore(self._recorded.place_before(branch.first))
        return branch.first

    # ------------------------------------------------------------------ moving

    def seek(self, step: int, interrupted: Interrupted = never) -> Stopped:
        """Go to a step. One outside the recording stands for the end on that side, or, where the guest goes on behind
        the end, for what it does there."""
        message = ""
        if self._branch is not None and step < self._branch.first:
            self._drop()
            message = LEFT
        goal = Step(max(step, self.first) if self.open else min(max(step, self.first), self.last))
        try:
            arrived = self._explorer.go_to(goal, interrupted)
        except Diverged as difference:
            return self._at_wall(difference)
        if not arrived:
            return Stopped(self.here, Cause.INTERRUPTED)
        if step == self.here:
            return Stopped(self.here, Cause.ARRIVED, message=message)
        return self._edge(Way.BACKWARD if step < self.here else Way.FORWARD)

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

    def watches(self, kind: type[Condition]) -> bool:
        """Whether `go` stops for a condition of this kind."""
        return any(isinstance(condition, kind) for condition in self._conditions)

    def breakpoint_here(self) -> Breakpoint | None:
        """The breakpoint that `go` would stop for here, had it come here."""
        return breakpoint_at(self.machine, self._conditions)

    # ------------------------------------------------------------------ how

    def _search(
        self, way: Way, conditions: list[Condition], interrupted: Interrupted, until: Step | None = None
    ) -> Stopped:
        if way is Way.BACKWARD and self._branch is not None:
            return self._back_from_branch(self._branch, conditions, interrupted, until)
        furthest = NEVER if self.open else self.last
        edge = furthest if way is Way.FORWARD else self.first
        limit = edge if until is None else Step(min(max(until, self.first), furthest))
        search = Search(self._explorer, conditions, interrupted)
        try:
            hit = search.forward(limit) if way is Way.FORWARD else self._backward(search, limit)
            goal = limit if hit is None else hit.step
            if way is Way.BACKWARD and not self._explorer.go_to(goal, interrupted):
                return Stopped(self.here, Cause.INTERRUPTED)
            if hit is not None:
                return Stopped(self.here, Cause.HIT, hit.condition, hit.address)
            return self._edge(way) if limit == edge or self.here < limit else Stopped(limit, Cause.ARRIVED)
        except Stopping:
            return Stopped(self.here, Cause.INTERRUPTED)
        except Diverged as difference:
            return self._at_wall(difference)

    def _back_from_branch(
        self, branch: Branch, conditions: list[Condition], interrupted: Interrupted, until: Step | None
    ) -> Stopped:
        """First in the branch, down to its beginning; then in the recording, from there on."""
        try:
            limit = branch.first if until is None else Step(max(until, branch.first))
            hit = self._backward(Search(branch, conditions, interrupted), limit) if limit < branch.step else None
        except Stopping:
            return Stopped(self.here, Cause.INTERRUPTED)
        if hit is not None:
            branch.go_to(hit.step)
            return Stopped(self.here, Cause.HIT, hit.condition, hit.address)
        if limit == until:
            branch.go_to(limit)
            return Stopped(self.here, Cause.ARRIVED)
        self.seek(self._drop())
        return replace(self._search(Way.BACKWARD, conditions, interrupted, until), message=LEFT)

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
